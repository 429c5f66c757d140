"""Counts the beats that conditioning calls faulty in clean records of virtual subjects, in silico, where every beat is sound.

  python -m experiments.false_alarms --subjects=2000        2 minutes on 2 cores

Prints a table: periodic records and records with a heart rhythm, measured exactly and with the noise of a transducer, and the
records of the nonlinear solver.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import flags

from cap_jax import clinics, config
from cap_jax.cli import launcher
from cap_jax.data import conditioning, datasets, recordings
from cap_jax.data.sources import nonlinear, virtual
from cap_jax.types import InputError

_SUBJECTS = flags.DEFINE_integer("subjects", 2000, "virtual subjects of each kind", lower_bound=1)
POPULATIONS = ("reference", "wide", "icu", "elderly_hypertensive")
_STILL = clinics.Rhythm(rr_low_sd=0.0, rr_high_sd=0.0, sv_breathing=0.0, sv_noise=0.0, pressure_swing_mmhg=0.0)
RHYTHMS = {"periodic": _STILL, "with rhythm": clinics.Rhythm()}
DEVICES = {"exact": clinics.EXACT, "transducer": clinics.TRANSDUCER}
_SECONDS, _SEED = 16.0, 77
_CHUNK = 500  # subjects in memory at once


class Count(NamedTuple):
  """What conditioning makes of clean records.

  Attributes:
    beats: number of beats.
    faulty: beats that it calls faulty; ectopic ones are none.
    refused: records that it refuses, or of which it leaves no window.
  """

  beats: int
  faulty: int
  refused: int

  @property
  def per_thousand(self) -> float:
    """Returns the faulty beats per 1,000."""
    return 1000 * self.faulty / max(self.beats, 1)


def count(records: Sequence[recordings.Recording], spec: config.Conditioning) -> Count:
  """Counts the false alarms in clean records with a radial pressure.

  Args:
    records: the records.
    spec: conditioning settings.
  """
  beats = faulty = refused = 0
  for record in records:
    radial = dataclasses.replace(record, signals={"radial": record.signals["radial"]}, units={"radial": "mmHg"})
    try:
      cleaned, report = conditioning.condition(radial, spec)
    except InputError:
      refused += 1
      continue
    beats += report.beats["radial"]
    faulty += sum(number for fault, number in report.faults["radial"].items() if fault != "ectopic")
    whole = np.ma.clump_unmasked(np.ma.masked_invalid(cleaned.signals["radial"]))
    refused += not any(part.stop - part.start >= config.Windows().samples for part in whole)
  return Count(beats, faulty, refused)


def measure(population: str, rhythm: str, device: str, subjects: int) -> Count:
  """Counts the false alarms in the records of virtual subjects.

  Args:
    population: name in `clinics.POPULATIONS`.
    rhythm, device: names in `RHYTHMS` and `DEVICES`.
    subjects: number of subjects.
  """
  total = Count(0, 0, 0)
  for first in range(0, subjects, _CHUNK):
    clinic = clinics.Clinic(
      name=population,
      subjects=min(_CHUNK, subjects - first),
      seconds=_SECONDS,
      population=clinics.POPULATIONS[population],
      device=DEVICES[device],
      rhythm=RHYTHMS[rhythm],
      seed=_SEED + first // _CHUNK,
    )
    part = count(virtual.draw(clinic, ("radial",)), config.Conditioning(synchronise=False))
    total = Count(*(a + b for a, b in zip(total, part, strict=True)))
  return total


def measure_nonlinear() -> Count:
  """Counts the false alarms in the periodic records of the nonlinear solver, which has other physics than the cohort."""
  records = [datasets.read(entry) for entry in nonlinear.load("dev").entries]
  return count(records, config.Conditioning(synchronise=False))


def main() -> None:
  print("| subjects, in silico | record | measured | beats | called faulty per 1,000 | records refused |")
  print("|---|---|---|---|---|---|")
  for population in POPULATIONS:
    for rhythm in RHYTHMS:
      for device in DEVICES:
        _print(
          f"{_SUBJECTS.value:,} of `{population}`", rhythm, device, measure(population, rhythm, device, _SUBJECTS.value)
        )
  _print("128 of the nonlinear solver", "periodic", "exact", measure_nonlinear())


def _print(subjects: str, rhythm: str, device: str, result: Count) -> None:
  figures = f"{result.beats:,} | {result.per_thousand:.2f} | {result.refused}"
  print(f"| {subjects} | {rhythm} | {device} | {figures} |", flush=True)


if __name__ == "__main__":
  launcher.launch(main)
