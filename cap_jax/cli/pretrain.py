"""Trains the source network on the virtual cohort and saves it.

python -m experiments.pretrain --workdir=DIR        writes DIR/checkpoint

Run the same command again to resume a stopped training.
"""

import dataclasses
import os
import sys

from absl import flags

from cap_jax.cli import distributed, launcher, study_flags
from cap_jax.losses import tasks
from cap_jax.study import study_datasets, training
from cap_jax.train import checkpoint, host_liveness, loop, metrics_writer

_CONFIG = study_flags.define_study("source cohort, model, training")
_WORKDIR = flags.DEFINE_string("workdir", None, "folder for the checkpoint: new, or of a stopped run")
_SITE = flags.DEFINE_string("site", None, "peripheral site that the network reads (default: from the config, radial)")


def main() -> None:
  with distributed.joined() as watch:
    _pretrain(watch)


def _pretrain(watch: host_liveness.HostMonitor | None) -> None:
  launcher.metrics()
  study = study_flags.read_study(_CONFIG)
  study = dataclasses.replace(study, site=_SITE.value or study.site)
  settings = (study, study_datasets.store_hashes(study))
  with distributed.work_folder(launcher.required(_WORKDIR, "DIR"), *settings, watch=watch) as (workdir, states):
    source = study_datasets.load_source(study)
    study_datasets.split_of(source).save(os.path.join(workdir, "split.json"))
    with metrics_writer.writing(os.path.join(workdir, "logs"), launcher.metrics()) as metrics:
      trained, fitted = training.source_network(study, source, loop.Recorder(states, metrics))
    checkpoint.save(os.path.join(workdir, "checkpoint"), trained)
  about, numerics = trained.about, tasks.TASKS[study.task].numerics
  error = (
    f"{about['validation_rmse_mmhg']} mmHg" if "validation_rmse_mmhg" in about else f"{about['validation_rmse_sd']} SD"
  )
  scaled = ", numerics in SDs times the SD of the waves," if numerics else ""
  print(
    f"{study_datasets.describe(study)} {study.site}, task {study.task}: RMSE {error}{scaled} on "
    f"{len(source.validation.subjects)} unseen source subjects; {study.pretrain.steps} steps in {fitted.train_s:.0f} s"
  )
  if "warning" in trained.about:
    print(f"warning: {trained.about['warning']}", file=sys.stderr)
  if trained.unknown_level:
    print(f"note: {trained.unknown_level}")
  if source.left_out:
    print(f"excluded: {len(source.left_out)} records, such as {source.left_out[0]}")
  print(os.path.join(workdir, "checkpoint"))
