"""Splits a store into k folds, or by leave-one-subject-out. Each split is a file for --config.target_split.

python -m experiments.split --store=STORE --folds=5 --output=FOLDS
python -m experiments.split --store=STORE --folds=0 --output=FOLDS       leave-one-subject-out
python -m experiments.transfer --config.target_data=STORE --config.target_split=FOLDS/fold-000.json …
"""

import os

from absl import flags

from cap_jax.cli import launcher, output_folders, split_flags
from cap_jax.data import store, subject_partition

_STORE = flags.DEFINE_string("store", None, "prepared store")
_FOLDS = flags.DEFINE_integer("folds", 5, "number of folds; 0 for leave-one-subject-out", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "folder to create")


def main() -> None:
  opened = store.open_store(launcher.required(_STORE, "STORE"))
  output = launcher.required(_OUTPUT, "FOLDS")
  records = [record for shard in opened.shards for record in shard.records]
  splits = subject_partition.folds(records, split_flags.partition_from_flags(), _FOLDS.value or None)
  with output_folders.whole_folder(output, "--output") as folder:
    for number, split in enumerate(splits):
      split.save(os.path.join(folder, f"fold-{number:03d}.json"))
  sizes = ", ".join(f"{part} {len(names)}" for part, names in splits[0].subjects.items())
  print(f"{output}: {len(splits)} splits, fold-000.json …; the first contains {sizes}")
