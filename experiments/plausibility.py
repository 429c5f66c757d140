"""Reconstructs records of which nobody knows the aortic wave, and says in how many beats it is plausible.

  python -m experiments.plausibility --format=csv --path=FOLDER
  python -m experiments.plausibility --format=wfdb --path=FOLDER --checkpoint=DIR/checkpoint

Prints the share of the beats of each record that pass each check (`cap_jax.metrics.plausibility`), and the transfer function from
the aortic to the peripheral wave. The records are measured; what the bounds say of the reconstruction is no error.
"""

import dataclasses

import numpy as np
import tqdm
from absl import flags

from cap_jax.cli import dataset_flags, launcher
from cap_jax.data import datasets, recordings
from cap_jax.inference import pretrained, reconstruct
from cap_jax.metrics import plausibility
from cap_jax.report import tables
from cap_jax.train import checkpoint
from cap_jax.types import InputError

_CHECKPOINT = flags.DEFINE_string("checkpoint", pretrained.NAME, "network; by default that of the package")
_SECONDS = flags.DEFINE_float("seconds", 120.0, "longest part of each record", lower_bound=4.0)
_MOST = 0.95  # share of the beats that a plausible record has


def measure(trained: checkpoint.Checkpoint) -> dict[str, plausibility.BeatPlausibility]:
  """Returns record → plausibility of the reconstructed beats.

  Raises:
    InputError: no record can be reconstructed.
  """
  results: dict[str, plausibility.BeatPlausibility] = {}
  for entry in tqdm.tqdm(dataset_flags.open_dataset().entries, desc="records", unit="", leave=False):
    try:
      record = _beginning(datasets.read(entry), _SECONDS.value)
      result = reconstruct.reconstruct(trained, record)
    except InputError as error:
      if dataset_flags.STRICT.value:
        raise
      print(f"excluded: {error}")
      continue
    name = entry.subject if entry.record in ("", entry.subject) else f"{entry.subject}/{entry.record}"
    results[name] = plausibility.of_record(result.peripheral, result.aortic_mmhg, record.fs_hz, trained.site)
  if not results:
    raise InputError("no record can be reconstructed; see the reasons above")
  return results


def _beginning(record: recordings.Recording, seconds: float) -> recordings.Recording:
  """Returns the first seconds of a record."""
  part = record.time_s <= record.time_s[0] + seconds
  signals = {site: wave_t[part] for site, wave_t in record.signals.items()}
  return dataclasses.replace(record, time_s=record.time_s[part], signals=signals)


def beats_table(results: dict[str, plausibility.BeatPlausibility]) -> tables.Table:
  """Returns the share of plausible beats of each record, and of all."""
  names = [*plausibility.CHECKS]
  rows = [
    (name, str(one.beats), *(f"{100 * one.share(check):.0f}" for check in names), f"{100 * one.share(*names):.0f}")
    for name, one in results.items()
  ]
  sums = [sum(one.share(*which) * one.beats for one in results.values() if one.beats) for which in (*zip(names), names)]
  total = sum(one.beats for one in results.values())
  rows.append(("all beats", str(total), *(f"{100 * number / max(total, 1):.1f}" for number in sums)))
  good = [sum(one.share(*which) >= _MOST for one in results.values()) for which in (*zip(names), names)]
  rows.append((f"records with {100 * _MOST:.0f} % or more", str(len(results)), *map(str, good)))
  caption = "Share of the beats [%] that pass each check, and all of them; measured records, reconstructed"
  return tables.Table(("record", "beats", *names, "all"), rows, caption=caption)


def gain_table(results: dict[str, plausibility.BeatPlausibility]) -> tables.Table:
  """Returns the transfer function from the aortic to the peripheral wave over records."""
  gain_rf = np.array([one.gain_f for one in results.values() if np.isfinite(one.gain_f).all()])
  rows = [
    (f"{frequency:g}", *(f"{value:.2f}" for value in np.quantile(gain_rf[:, k], (0.05, 0.5, 0.95))))
    for k, frequency in enumerate(plausibility.FREQUENCIES_HZ if len(gain_rf) else ())
  ]
  caption = "Gain from the reconstructed aortic to the measured wave, quantiles over records"
  return tables.Table(("Hz", "5 %", "median", "95 %"), rows, caption=caption)


def main() -> None:
  trained = checkpoint.load(pretrained.place(_CHECKPOINT.value))
  if trained.scaling.unitless:
    raise InputError(
      f"--checkpoint={_CHECKPOINT.value}: reads a PPG without a unit, which has no pressures to compare with"
    )
  results = measure(trained)
  for table in (beats_table(results), gain_table(results)):
    print(f"{table.caption}\n\n{tables.to_markdown(table)}")


if __name__ == "__main__":
  launcher.launch(main)
