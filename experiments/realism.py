"""Compares measured pressure waves with those of virtual clinics, without any training: shapes of beats, their variation, and
distances.

  python -m experiments.realism --format=csv --path=FOLDER --cohort=reference,icu --workdir=DIR
  python -m experiments.realism --format=csv --path=FOLDER --site=aortic_root --network= --workdir=DIR

Prints a table of features, one of distances, and with --exchange one of single properties exchanged between measured and
virtual windows. DIR gets the tables as CSV and LaTeX and the figures as PNG, PDF and SVG. Measured waves are conditioned as for
a training; nothing is fitted to them.
"""

import functools
import os
import time

import numpy as np
import tqdm
from absl import flags

from cap_jax import config
from cap_jax.api import network as networks
from cap_jax.cli import dataset_flags, launcher, output_folders
from cap_jax.data import conditioning
from cap_jax.data.sources import virtual
from cap_jax.metrics import realism, wave_changes
from cap_jax.report import page, tables
from cap_jax.report import realism as sheets
from cap_jax.train import checkpoint
from cap_jax.types import DataError, InputError

_COHORT = flags.DEFINE_list("cohort", ["reference"], "virtual clinics: sources or scenarios of clinics.py")
_SUBJECTS = flags.DEFINE_integer("subjects", 400, "virtual subjects of each clinic", lower_bound=30)
_SITE = flags.DEFINE_string("site", "radial", "site of the waves")
_NETWORK = flags.DEFINE_string(
  "network", "radial", "network whose detector of windows out of distribution is asked; empty: none"
)
_EXCHANGE = flags.DEFINE_string("exchange", None, "clinic of --cohort to exchange single properties with")
_SEED = flags.DEFINE_integer("seed", 1, "random seed of the virtual subjects", lower_bound=0, upper_bound=2**32 - 1)
_MOST_S = flags.DEFINE_float("seconds", 120.0, "longest part of each measured record", lower_bound=4.0)
_WINDOW_S = flags.DEFINE_float(
  "window_s", 12.0, "length of the windows of the features; less for short records", lower_bound=4.0
)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder to create for tables and figures")
_FS_HZ = config.Windows().fs_hz


def measured_waves() -> list[tuple[str, np.ndarray]]:
  """Returns subject and wave of each measured record, NaN where it cannot be used."""
  waves = []
  spec = config.Conditioning(synchronise=False)
  entries = dataset_flags.open_dataset().entries
  for entry in tqdm.tqdm(entries, desc="records", unit="", leave=False):
    try:
      _, cleaned, _ = conditioning.read(entry, spec)
    except DataError as error:
      if dataset_flags.STRICT.value:
        raise
      print(f"excluded: {error}")
      continue
    if _SITE.value not in cleaned.signals:
      raise InputError(f"--site={_SITE.value}: {entry.subject} has {', '.join(cleaned.sites)}; choose one of them")
    waves.append((entry.subject, cleaned.signals[_SITE.value][: round(_MOST_S.value * _FS_HZ)]))
  if not waves:
    raise InputError("no record can be used; see the reasons above")
  return waves


@functools.cache
def virtual_waves(name: str) -> list[tuple[str, np.ndarray]]:
  """Returns subject and wave of each subject of a virtual clinic, one window of the features long.

  Raises:
    InputError: there is no such clinic.
  """
  channels = {"radial": "radial"} if _SITE.value == "aortic_root" else {_SITE.value: _SITE.value}
  path = f"{name},subjects={_SUBJECTS.value},seconds={_WINDOW_S.value:g},fs_hz={_FS_HZ:g},seed={_SEED.value}"
  return [(entry.subject, entry.read().signals[_SITE.value]) for entry in virtual.load(path, channels).entries]


def _network_windows(waves: list[tuple[str, np.ndarray]], trained: checkpoint.Checkpoint) -> realism.WindowSet:
  spec = trained.windows
  return realism.cut(waves, spec.fs_hz, spec.samples / spec.fs_hz, round(_MOST_S.value * spec.fs_hz / spec.samples))


def compare(values: dict[str, np.ndarray]) -> list[sheets.ClinicComparison]:
  """Compares feature → (window,) of measured waves with each clinic of --cohort."""
  result = []
  for name in _COHORT.value:
    own = realism.features(realism.cut(virtual_waves(name), _FS_HZ, _WINDOW_S.value, 1))
    distances = [realism.joint(values, own, names) for names in (realism.JOINT, realism.SHAPE)]
    joint, shape = (distance if distance.rows.size else None for distance in distances)
    result.append(sheets.ClinicComparison(name, own, realism.compare(values, own), joint, shape))
  return result


def exchange(
  waves: list[tuple[str, np.ndarray]], name: str, trained: checkpoint.Checkpoint
) -> list[sheets.ChangeResult]:
  """Exchanges single properties between measured windows and those of a clinic.

  Args:
    waves: subject and measured wave.
    name: of the clinic.
    trained: network whose detector reads them.
  """
  measured, drawn = _network_windows(waves, trained), _network_windows(virtual_waves(name), trained)
  results = []
  for label, change in tqdm.tqdm(wave_changes.CHANGES.items(), desc="properties", unit="", leave=False):
    sides = []
    for windows, donors in ((measured, drawn), (drawn, measured)):
      away = realism.by_network(trained, wave_changes.exchange(windows, donors, change))
      sides.append((float(np.median(away.measured_b)), away.inside))
    results.append(sheets.ChangeResult(label, *sides))
  return results


def main() -> None:
  began = time.perf_counter()
  workdir = launcher.required(_WORKDIR, "DIR")
  trained = networks.load(_NETWORK.value).checkpoint if _NETWORK.value else None
  if trained and trained.site != _SITE.value:
    raise InputError(f"--network={_NETWORK.value}: reads {trained.site}, not {_SITE.value}; pass --network=")
  if _EXCHANGE.value and (trained is None or _EXCHANGE.value not in _COHORT.value):
    raise InputError(f"--exchange={_EXCHANGE.value}: needs a --network and a clinic of --cohort")
  with output_folders.whole_folder(workdir, "--workdir") as folder:
    waves = measured_waves()
    windows = realism.cut(waves, _FS_HZ, _WINDOW_S.value, round(_MOST_S.value / _WINDOW_S.value))
    if not len(windows.x_bt):
      raise InputError(f"no record has {_WINDOW_S.value:g} s without a gap; use longer records")
    values = realism.features(windows)
    clinics = compare(values)
    network = realism.by_network(trained, _network_windows(waves, trained)) if trained else None
    shown = {"features": sheets.feature_table(clinics), "distances": sheets.distance_table(clinics, network)}
    if _EXCHANGE.value and trained:
      shown["exchange"] = sheets.change_table(exchange(waves, _EXCHANGE.value, trained), _EXCHANGE.value)
    sets = {"measured": windows}
    sets |= {name: realism.cut(virtual_waves(name), _FS_HZ, _WINDOW_S.value, 1) for name in _COHORT.value}
    drawn = [
      page.Drawn("features", sheets.feature_figure(values, clinics), "Features of measured and virtual windows"),
      page.Drawn("beats", sheets.beat_figure(sets), "Mean beats, scaled to their pulse"),
    ]
    page.write_figures_and_tables(folder, [page.Section(heading="Realism", drawn=drawn, sheets=shown)])
  subjects = len(dict.fromkeys(windows.subject_b.tolist()))
  print(f"{len(windows.x_bt)} windows of {subjects} subjects, measured; {_SUBJECTS.value} subjects a clinic, in silico")
  for table in shown.values():
    print(f"\n{table.caption}\n\n{tables.to_markdown(table)}", end="")
  print(f"\n{os.path.join(workdir, 'figures')}: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
  launcher.launch(main)
