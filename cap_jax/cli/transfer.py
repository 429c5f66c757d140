"""Transfers a source network to a target clinic.

  python -m experiments.transfer --strategy=feature_transfer --source=DIR/checkpoint --n_target=5 --workdir=DIR2
  python -m experiments.transfer --strategy=domain_adaptation --source=DIR/checkpoint --target=device --workdir=DIR2
  python -m experiments.transfer --strategy=fine_tuning --source=DIR/checkpoint --freeze=f/embed,first:40% --workdir=DIR2
  python -m experiments.transfer --strategy=auto --source=DIR/checkpoint --n_target=5 --workdir=DIR2
  python -m experiments.transfer --config=experiments/configs/NAME.py --workdir=DIR2

Without --source, the command first trains and saves the source network of the config.
"""

import dataclasses
import os
from collections.abc import Sequence

from absl import flags

from cap_jax import config
from cap_jax.cli import distributed, launcher, study_flags
from cap_jax.data import batches, splits, store, subject_partition
from cap_jax.inference import pretrained, uncertainty
from cap_jax.losses import tasks
from cap_jax.metrics import waveform_metrics
from cap_jax.report import tables
from cap_jax.strategies import STRATEGIES, find
from cap_jax.study import folds, study_config, study_datasets, training
from cap_jax.train import (
  checkpoint,
  host_liveness,
  loop,
  metrics_writer,
  strategy_selection,
  training_state,
)
from cap_jax.types import InputError, suggest

_CONFIG = study_flags.define_study("source, target and training")
_STRATEGY = flags.DEFINE_string(
  "strategy", None, "name of the strategy, or auto, which chooses one (default: the first in the config)"
)
_SOURCE = flags.DEFINE_string(
  "source",
  None,
  "checkpoint of the source network, or a packaged one such as radial; if omitted, a source network is trained first",
)
_TARGET = flags.DEFINE_string("target", None, "scenario of the target clinic (default: from the config)")
_N_TARGET = flags.DEFINE_integer(
  "n_target", None, "number of labelled target subjects (default: the last in the config; all of a store)"
)
_SEED = flags.DEFINE_integer(
  "seed",
  0,
  "random seed of the labelled subjects and of fresh parameters",
  lower_bound=0,
  upper_bound=config.LARGEST_SEED,
)
_STEPS = flags.DEFINE_integer(
  "steps", None, "training steps of the strategy, a multiple of 50 (default: from the config)"
)
_BATCH = flags.DEFINE_integer("batch", None, "windows in a step (default: from the config)")
_RATE = flags.DEFINE_float("rate", None, "learning rate (default: from the strategy)")
_INIT = flags.DEFINE_list(
  "init_from_source", None, "path prefixes to initialise from the source (default: from the strategy)"
)
_FREEZE = flags.DEFINE_list(
  "freeze", None, "what to freeze: paths, first:N, last:N%, auto (default: the stages of the strategy)"
)
_LOSS = flags.DEFINE_list("loss", None, "loss terms NAME:WEIGHT[:SCHEDULE] (default: from the strategy)")
_WORKDIR = flags.DEFINE_string("workdir", None, "folder for the checkpoint: new, or of a stopped run")
_SCRATCH = "scratch"  # beside every strategy with labels, as the config sets it


def _study(source: checkpoint.Checkpoint | None) -> tuple[study_config.Study, str]:
  """Returns the study with the flags in it, and the strategy."""
  study = study_flags.read_study(_CONFIG)
  if source is not None:
    overrides, remedy = study_flags.read_overrides(_CONFIG), "omit --source to train a new source network"
    study = study_flags.checked_follow(study, source, overrides, "", remedy)
  name = _STRATEGY.value or study.strategies[0]
  if name not in (*STRATEGIES, strategy_selection.NAME):
    raise InputError(f"--strategy={name}: unknown; {suggest(name, (*STRATEGIES, strategy_selection.NAME))}")
  changes = dict(study.custom.get(name) or {})
  if _INIT.value is not None:
    changes["init_from_source"] = tuple(_INIT.value)
  if _FREEZE.value is not None:
    changes["stages"] = ((tuple(_FREEZE.value),),)
  if _LOSS.value is not None:
    changes["loss"] = study_flags.read_terms(_LOSS.value)
  if _RATE.value is not None:
    changes["learning_rate"] = _RATE.value
  if name == strategy_selection.NAME and changes:
    raise InputError(
      "--strategy=auto: sets these itself; omit --init_from_source, --freeze, --loss and --rate, or name a strategy"
    )
  n_target = _N_TARGET.value
  if n_target is None:
    n_target = _default_n_target(study) if strategy_selection.needs_labels(name, changes) is not False else 0
  study = dataclasses.replace(
    study,
    scenario=_TARGET.value or study.scenario,
    strategies=(name,),
    n_target=(n_target,),
    seeds=(_SEED.value,),
    steps=study.steps if _STEPS.value is None else _STEPS.value,
    batch=study.batch if _BATCH.value is None else _BATCH.value,
    custom={
      one: fields for one, fields in {**study.custom, name: changes}.items() if fields and one in (name, _SCRATCH)
    },
  )
  study_datasets.check_stores(study)
  study_datasets.check_rates(study)
  folds.check_labelled(study)
  if strategy_selection.needs_labels(name, changes) and not n_target:
    raise InputError(f"--n_target=0: {name} needs labelled target subjects; pass 1 or more")
  return study, name


def _default_n_target(study: study_config.Study) -> int:
  """Returns the number of labelled subjects where no flag states one: the config's last, or all of a store."""
  if not study.target_data or study.n_target != study_config.Study.n_target:
    return max(study.n_target)
  return folds.labelled_available(study)


def main() -> None:
  with distributed.joined() as watch:
    _run(watch)


def _run(watch: host_liveness.HostMonitor | None) -> None:
  launcher.metrics()
  place = pretrained.place(_SOURCE.value) if _SOURCE.value else ""
  source = checkpoint.load(place) if place else None
  study, name = _study(source)
  for one in strategy_selection.expanded((name,)):
    training.check(study, one, source.model if source else tasks.TASKS[study.task].model(study.model))
  folder, settings = (
    launcher.required(_WORKDIR, "DIR"),
    (study, source and checkpoint.digest(place), study_datasets.store_hashes(study)),
  )
  with distributed.work_folder(folder, *settings, watch=watch) as (workdir, states):
    _transfer(study, name, source, workdir, states)


def _print_errors(
  study: study_config.Study, test: batches.Pairs, trained: Sequence[tuple[str, checkpoint.Checkpoint]]
) -> None:
  """Prints the waveform RMSE of named networks on the test subjects."""
  evaluator = waveform_metrics.Evaluator(test, study.windows, study.signals.unitless)
  count = f"{len(test.subjects)} test subject{'s' * (len(test.subjects) > 1)}"
  print(f"{study_datasets.describe(study)} {study.target_name}: waveform RMSE on {count} [mmHg]")
  for label, network in trained:
    network.check_unseen(test.subjects)
    errors = evaluator.errors(uncertainty.read(network, test).y_bt)
    print(f"  {label:30} {waveform_metrics.mean_rmse(errors):.2f}")


def _transfer(
  study: study_config.Study,
  name: str,
  source: checkpoint.Checkpoint | None,
  workdir: str,
  states: training_state.StateKeeper,
) -> None:
  large, target = study_datasets.load_source(study), study_datasets.load_target(study)
  split = study_datasets.split_of(large, target)
  labels = 0 if strategy_selection.needs_labels(name, study.custom.get(name) or {}) is False else study.n_target[0]
  logs = os.path.join(workdir, "logs")
  if source is None:
    with metrics_writer.writing(logs, launcher.metrics()) as metrics:
      source, _ = training.source_network(study, large, loop.Recorder(states, metrics))
    checkpoint.save(os.path.join(workdir, "source"), source)
    print(f"source, task {study.task}: {source.about}")
  drawn = target.draw(labels, _SEED.value)
  used = {} if drawn is None else {"labelled": drawn.subjects}
  splits.Split({**split.subjects, "target_labelled": (), **used}).save(os.path.join(workdir, "split.json"))
  blend = None
  if name == strategy_selection.NAME:
    choice = training.choose(study, source, large, target, labels, _SEED.value, loop.Recorder(states))
    print(f"{strategy_selection.format_ranking(choice)}\n")
    name, blend = choice.name, choice.blend
  with metrics_writer.writing(logs, launcher.metrics()) as metrics:
    recorder = loop.Recorder(states, metrics)
    adapted = training.adapted(study, name, source, large, target, labels, _SEED.value, recorder)
  adapted = training.with_intervals(adapted.blended(blend), source, large, target, labels)
  print(f"{find(name, study.custom.get(name)).equation}\n\n{tables.merge_summary(adapted.report)}\n")
  if adapted.reason:
    print(f"{adapted.reason}\n")
  if adapted.checkpoint.unknown_level:
    print(f"note: {adapted.checkpoint.unknown_level}\n")
  intervals = adapted.checkpoint.uncertainty_calibration
  if intervals is not None and intervals.lacking:
    print(f"no prediction intervals: {intervals.lacking}\n")
  trained = [("source network unchanged", source)] * (source.task == "waveform") + [(name, adapted.checkpoint)]
  if labels and name != _SCRATCH:
    scratch = training.adapted(study, _SCRATCH, source, large, target, labels, _SEED.value, loop.Recorder(states))
    trained.append(("the same network from scratch", scratch.checkpoint))
  _print_errors(study, target.test, trained)
  for metric, values in adapted.fitted.metrics.items():  # aligned features may shrink, adversaries may win
    if metric.endswith(("feature_norm", "discriminator_accuracy")):
      print(f"  {metric:30} {values[:50].mean():.2f} at the start, {values[-50:].mean():.2f} at the end")
  if study.target_data:
    parts = folds.target_subjects(study, store.open_store(study.target_data))
    has_intervals = intervals is not None and not intervals.lacking
    source_name = _SOURCE.value or pretrained.TRAIN
    for line in subject_partition.advice(parts, study.target_data, source_name, name, has_intervals):
      print(line)
  checkpoint.save(os.path.join(workdir, "checkpoint"), adapted.checkpoint)
  if adapted.best is not None:
    checkpoint.save(os.path.join(workdir, "best"), adapted.best)
    print(f"lowest validation error after {adapted.best.about['steps']} steps: {os.path.join(workdir, 'best')}")
  print(
    f"{labels} labelled subjects, {adapted.fitted.train_s:.1f} s of training\n{os.path.join(workdir, 'checkpoint')}"
  )
