"""Networks of source and target with what they know of their own errors: a training, then its calibration."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cap_jax import config
from cap_jax.data import batches, stream
from cap_jax.inference import uncertainty
from cap_jax.strategies import find
from cap_jax.study import study_config, study_datasets
from cap_jax.train import checkpoint, checks, loop, runs, strategy_selection
from cap_jax.types import Params

OF_SOURCE, OF_TARGET = "validation subjects of the source", "validation subjects of the target"


def check(study: study_config.Study, name: str, source_model: config.Model) -> None:
  """Checks, before long work, that a strategy of the study fits a source network.

  Raises:
    InputError: it cannot follow a source of the study's task.
    surgery.MergeError: the networks do not fit together as it asks, or it holds what there is not.
  """
  strategy = find(name, study.custom.get(name))
  checks.check(strategy, study.model_of_target, source_model, study.task, study.windows.samples)


def pretrained(
  study: study_config.Study,
  training: batches.Pairs | stream.Stream,
  validation: batches.Pairs,
  origin: Mapping[str, Any],
  recorder: loop.Recorder = loop.NOWHERE,
) -> tuple[checkpoint.Checkpoint, loop.FitResult]:
  """`runs.pretrain` as the study says."""
  return runs.pretrain(training, validation, study.task, study.model, study.pretrain, study.signals, origin, recorder)


def adapt(
  study: study_config.Study,
  name: str,
  trained: checkpoint.Checkpoint,
  data: runs.Data,
  seed: int,
  recorder: loop.Recorder = loop.NOWHERE,
) -> runs.Adapted:
  """`runs.adapt` with a strategy, the steps and the networks of the study."""
  budget = runs.Budget(study.steps, study.batch, seed)
  facts = {"target_data": study.target_data} if study.target_data else {}
  return runs.adapt(find(name, study.custom.get(name)), trained, data, budget, study.model_of_target, facts, recorder)


def source_network(
  study: study_config.Study, source: study_datasets.Source, recorder: loop.Recorder = loop.NOWHERE
) -> tuple[checkpoint.Checkpoint, loop.FitResult]:
  """The source network on its task; where that is the wave, with σ fitted on its training and intervals calibrated on its validation
  subjects.

  Raises:
    splits.LeakError: a subject stands in both.
  """
  trained, fitted = pretrained(study, source.training, source.validation, source.origin, recorder)
  if trained.task != "waveform":
    return trained, fitted
  head = uncertainty.fit_head(trained, source.held, recorder=recorder)
  return calibrated(trained, head, source, None), fitted


def calibrated(
  network: checkpoint.Checkpoint,
  head: Params | None,
  source: study_datasets.Source,
  target: study_datasets.Target | None,
) -> checkpoint.Checkpoint:
  """A network with its intervals: calibrated on validation subjects of the target, or where it may see no target label on those of
  the source."""
  if target is None:
    return uncertainty.equip(network, head, source.held, source.validation, OF_SOURCE, adapted=False)
  return uncertainty.equip(network, head, target.unlabelled, target.validation, OF_TARGET)


def choose(
  study: study_config.Study, trained: checkpoint.Checkpoint, source: study_datasets.Source, target: study_datasets.Target,
  n_target: int, seed: int, recorder: loop.Recorder = loop.NOWHERE,
) -> strategy_selection.Choice:  # fmt: skip
  """`strategy_selection.choose` with the strategies, the steps and the networks of the study."""

  def train(name: str, data: runs.Data, budget: runs.Budget) -> runs.Adapted:
    return adapt(dataclasses.replace(study, steps=budget.steps), name, trained, data, budget.seed, recorder)

  budget = runs.Budget(study.steps, study.batch, seed)
  return strategy_selection.choose(trained, target.data(source, n_target, seed), source.validation, budget, train)


def adapted(
  study: study_config.Study, name: str, trained: checkpoint.Checkpoint, source: study_datasets.Source,
  target: study_datasets.Target, n_target: int, seed: int,
  recorder: loop.Recorder = loop.NOWHERE,
) -> runs.Adapted:  # fmt: skip
  """The training of a strategy with `n_target` labelled subjects; its network knows nothing of its own errors.

  Raises:
    surgery.MergeError: the networks do not fit together as the strategy asks.
    splits.LeakError: a subject stands in two parts of the data.
  """
  data = dataclasses.replace(target.data(source, n_target, seed), validation=target.validation)
  return adapt(study, name, trained, data, seed, recorder)


def with_intervals(
  made: runs.Adapted, trained: checkpoint.Checkpoint, source: study_datasets.Source, target: study_datasets.Target,
  n_target: int,
) -> runs.Adapted:  # fmt: skip
  """What a strategy made of the source network `trained`, its network with intervals."""
  head = uncertainty.transferred_head(made, trained)
  if made.transducers is not None and made.transducers.found:
    network, fs_hz = made.checkpoint, made.checkpoint.windows.fs_hz
    sent = [
      runs.simulate_recording(made.transducers, part, network.scaling, fs_hz, 0)
      for part in (source.held, source.validation)
    ]
    source = dataclasses.replace(source, training=sent[0], validation=sent[1])
  network = calibrated(made.checkpoint, head, source, target if n_target else None)
  return dataclasses.replace(made, checkpoint=network)
