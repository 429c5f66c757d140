"""Prepares a data set: conditions its records, writes them in shards to a store with a manifest, and splits it by subject.
Run the same command again to resume a stopped preparation.

python -m experiments.prepare --format=csv --path=FOLDER --output=STORE
python -m experiments.prepare --format=pwdb --path=FOLDER --out_of_distribution=age:60:80 --output=STORE
python -m experiments.prepare --format=virtual --path=healthy,subjects=1000 --output=STORE
"""

import os

from absl import flags

from cap_jax import config, executors
from cap_jax.cli import dataset_flags, executor_flag, launcher, split_flags
from cap_jax.data import datasets, preparation, store, subject_partition
from cap_jax.signals import beat_quality
from cap_jax.types import DataError, InputError, counted

_OUTPUT = flags.DEFINE_string("output", None, "folder of the store: new, or of a stopped preparation")
_EXECUTOR = executor_flag.define(None, "one process a core; one for virtual subjects")
_SHARD = flags.DEFINE_integer("shard_records", 64, "records per shard", lower_bound=1)
_FS_HZ = flags.DEFINE_float("fs_hz", config.Conditioning.fs_hz, "sampling rate of the store in Hz")
_DROP = flags.DEFINE_list(
  "drop", list(config.Conditioning.drop), f"faults to remove, from {', '.join(beat_quality.FAULTS)}"
)
_SYNCHRONISE = flags.DEFINE_bool(
  "synchronise", None, "remove the monitor's constant delay (default: only for records of people)"
)
_TRANSIT = flags.DEFINE_list(
  "transit_s",
  [str(edge) for edge in config.Conditioning.transit_s],
  "range of physiological lags in s; any other lag counts as a delay of the monitor",
)


def main() -> None:
  output = launcher.required(_OUTPUT, "STORE")
  is_virtual = dataset_flags.FORMAT.value == "virtual"
  executor = _EXECUTOR.value or f"processes:{1 if is_virtual else os.cpu_count() or 1}"
  executors.check(executor, output=output, path=None if is_virtual else dataset_flags.PATH.value)
  how = split_flags.partition_from_flags()
  dataset = dataset_flags.open_dataset()
  synchronise = dataset.place in datasets.PEOPLE if _SYNCHRONISE.value is None else _SYNCHRONISE.value
  try:
    low, high = (float(edge) for edge in _TRANSIT.value)
  except ValueError as error:
    raise InputError(f"--transit_s={','.join(_TRANSIT.value)}: must be two numbers in s, such as -0.1,0.25") from error
  spec = config.Conditioning(
    fs_hz=_FS_HZ.value, drop=tuple(_DROP.value), synchronise=synchronise, transit_s=(low, high)
  )
  finished = store.exists(output)
  with executors.opened(executor) as workers:
    prepared = preparation.prepare(
      dataset, output, spec, how, workers.executor, _SHARD.value, dataset_flags.STRICT.value
    )
  manifest, totals = prepared.manifest, prepared.manifest["totals"]
  total = len(dataset.entries) + len(dataset.lost)
  place = "" if dataset.place in datasets.PEOPLE else f", {dataset.place}"
  if finished:
    print(f"{output}: this preparation was finished before; nothing was written")
  print(
    f"{output}: {counted(total - len(manifest['lost']), 'record')}, {totals['seconds']:.0f} s at {prepared.fs_hz:g} Hz{place}"
  )
  for name, unit in prepared.units.items():
    good = totals["good_s"].get(name, 0.0)
    faults = ", ".join(f"{reason} {count}" for reason, count in sorted(totals["faults"].get(name, {}).items()))
    print(f"  {name} [{unit}]: {good:.0f} s good" + (f"; {faults}" if faults else ""))
  for name, sync in totals["sync"].items():
    print(f"  {name}: delay of {sync['median_removed_s']:.3f} s removed from {counted(sync['records'], 'record')}")
  for line in datasets.missing_waves(prepared.units):
    print(f"  {line}")
  if not dataset.subjects_known:
    print("  the subjects are unknown: the split is by record, so one person may be in two parts")
  notes = prepared.manifest["notes"]
  print("\n".join([f"  note: {note}" for note in notes]), end="\n" if notes else "")
  print("  split: " + ", ".join(f"{part} {len(names)}" for part, names in prepared.split.subjects.items() if names))
  advice = subject_partition.advice(prepared.split.subjects, output)
  print("\n".join(f"  {line}" for line in advice), end="\n" if advice else "")
  print("\n".join(dataset_flags.describe_lost([DataError(**lost) for lost in manifest["lost"]], total)))
