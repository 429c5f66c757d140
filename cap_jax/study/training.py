"""Trains networks of source and target, then calibrates their prediction intervals."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cap_jax import config
from cap_jax.data import batches, stream
from cap_jax.inference import uncertainty, uncertainty_training
from cap_jax.strategies import find
from cap_jax.study import study_config, study_datasets
from cap_jax.train import (
  checkpoint,
  checks,
  domains,
  loop,
  runs,
  source_training,
  strategy_selection,
  uncertainty_calibration,
)
from cap_jax.types import Params


def check(study: study_config.Study, name: str, source_model: config.Model) -> None:
  """Checks that a strategy of the study fits a source network.

  Args:
    study: of the strategy.
    name: of the strategy.
    source_model: model of the source network.

  Raises:
    InputError: it cannot start from a source network of the study's task and input.
    surgery.MergeError: the networks do not merge as it needs, or it freezes parameters that do not exist.
  """
  strategy = find(name, study.custom.get(name))
  checks.check_unit(strategy, study.signals.unitless)
  checks.check(strategy, study.model_of_target, source_model, study.task, study.windows.samples)


def pretrained(
  study: study_config.Study,
  training: batches.Pairs | stream.Stream,
  validation: batches.Pairs,
  origin: Mapping[str, Any],
  recorder: loop.Recorder = loop.NOWHERE,
) -> tuple[checkpoint.Checkpoint, loop.FitResult]:
  """Trains a source network with the study's configuration, see `source_training.pretrain`.

  Args:
    study: of the network.
    training, validation: windows of the source.
    origin: where the data are from.
    recorder: where training states and metrics go.

  Returns:
    The network and its training.
  """
  return source_training.pretrain(
    training, validation, study.task, study.model, study.pretrain, study.signals, origin, recorder
  )


def adapt(
  study: study_config.Study,
  name: str,
  trained: checkpoint.Checkpoint,
  data: domains.Data,
  seed: int,
  recorder: loop.Recorder = loop.NOWHERE,
) -> runs.Adapted:
  """Adapts a network with a strategy, the steps and the models of the study, see `runs.adapt`.

  Args:
    study: of the strategy.
    name: of the strategy.
    trained: the source network.
    data: that the strategy may use.
    seed: of the training.
    recorder: where training states and metrics go.
  """
  budget = study.budget(seed)
  facts = {"target_data": study.target_data} if study.target_data else {}
  return runs.adapt(find(name, study.custom.get(name)), trained, data, budget, study.model_of_target, facts, recorder)


def source_network(
  study: study_config.Study, source: study_datasets.Source, recorder: loop.Recorder = loop.NOWHERE
) -> tuple[checkpoint.Checkpoint, loop.FitResult]:
  """Trains the source network on its task.

  If the task is the wave, it fits σ and the detector on the training subjects, and calibrates intervals on the validation
  subjects, as the devices of `uncertainty_source` measure them: behind a line of its own each, or in several simulated
  clinics, so the intervals are conformal over people and lines together. The fallback is fitted without these devices, whose wrong
  gains would bend it, and without the lines of simulated clinics.

  Args:
    study: of the network.
    source: its data.
    recorder: where training states and metrics go.

  Returns:
    The network and its training.

  Raises:
    splits.LeakError: a subject is in both parts.
  """
  trained, fitted = pretrained(study, source.training, source.validation, source.origin, recorder)
  return (trained if trained.task != "waveform" else equipped(study, trained, source, recorder)), fitted


def equipped(
  study: study_config.Study, trained: checkpoint.Checkpoint, source: study_datasets.Source, recorder: loop.Recorder
) -> checkpoint.Checkpoint:
  """Returns a source network with intervals, a detector and a fallback, see `source_network`.

  Args:
    study: of the network.
    trained: the network, of waves.
    source: its data.
    recorder: where training states and metrics go.
  """
  plain = study_datasets.plain_source(study, source)
  conservative = uncertainty_training.fit_fallback(trained, plain.in_memory, plain.validation)
  if study.uncertainty_source:
    source = study_datasets.load_source(
      dataclasses.replace(study, source=study.uncertainty_source, uncertainty_source="")
    )
  source = study_datasets.without_labels(source)  # intervals hold without labels too
  head = uncertainty_training.fit_head(trained, source.in_memory, recorder=recorder)
  theta = uncertainty_training.fit_detector(trained, source.in_memory, study.pretrain.steps, recorder)
  return calibrated(trained, head, uncertainty.OutlierDetector(theta, fallback=conservative), source, None)


def calibrated(
  network: checkpoint.Checkpoint,
  head: Params | None,
  detector: uncertainty.OutlierDetector | None,
  source: study_datasets.Source,
  target: study_datasets.Target | None,
) -> checkpoint.Checkpoint:
  """Calibrates the intervals of a network on validation subjects.

  Args:
    network: to calibrate.
    head: θ_v of σ, None for a constant σ.
    detector: of windows out of distribution, None for no detection.
    source: of the study, whose validation subjects are used if `target` is None.
    target: of the study, None for a network that may see no target label.
  """
  if target is None:
    return uncertainty.equip(
      network, head, detector, source.in_memory, source.validation, uncertainty_calibration.OF_SOURCE, adapted=False
    )
  return uncertainty.equip(
    network, head, detector, target.unlabelled, target.validation, uncertainty_calibration.OF_TARGET
  )


def choose(
  study: study_config.Study, trained: checkpoint.Checkpoint, source: study_datasets.Source, target: study_datasets.Target,
  n_target: int, seed: int, recorder: loop.Recorder = loop.NOWHERE,
) -> strategy_selection.Choice:  # fmt: skip
  """Chooses a strategy with the strategies, the steps and the models of the study, see `strategy_selection.choose`.

  Args:
    study: of one target clinic.
    trained: the source network.
    source, target: data of the study.
    n_target, seed: number of labelled subjects, and the seed that draws them.
    recorder: where training states and metrics go.
  """

  def train(name: str, data: domains.Data, budget: runs.Budget) -> runs.Adapted:
    return adapt(dataclasses.replace(study, steps=budget.steps), name, trained, data, budget.seed, recorder)

  budget = study.budget(seed)
  return strategy_selection.choose(trained, target.data(source, n_target, seed), source.validation, budget, train)


def adapted(
  study: study_config.Study, name: str, trained: checkpoint.Checkpoint, source: study_datasets.Source,
  target: study_datasets.Target, n_target: int, seed: int,
  recorder: loop.Recorder = loop.NOWHERE,
) -> runs.Adapted:  # fmt: skip
  """Trains a strategy with `n_target` labelled subjects, without intervals.

  Args:
    study: of one target clinic.
    name: of the strategy.
    trained: the source network.
    source, target: data of the study.
    n_target, seed: number of labelled subjects, and the seed that draws them.
    recorder: where training states and metrics go.

  Raises:
    surgery.MergeError: the networks do not merge as the strategy needs.
    splits.LeakError: a subject is in two parts of the data.
  """
  data = dataclasses.replace(target.data(source, n_target, seed), validation=target.validation)
  return adapt(study, name, trained, data, seed, recorder)


def with_intervals(
  adaptation: runs.Adapted, trained: checkpoint.Checkpoint, source: study_datasets.Source, target: study_datasets.Target,
  n_target: int,
) -> runs.Adapted:  # fmt: skip
  """Returns an adaptation whose network has intervals.

  Args:
    adaptation: of the source network.
    trained: the source network.
    source, target: data of the study.
    n_target: number of labelled subjects. With 0, the source's validation subjects calibrate the intervals, which are no
      narrower than those of the source network.
  """
  if adaptation.checkpoint.uncertainty_calibration is not None:
    return adaptation  # nothing was trained: those of the source network
  head = uncertainty_training.transferred_head(adaptation, trained)
  if adaptation.transducers is not None and adaptation.transducers.has_transducers:
    network, fs_hz = adaptation.checkpoint, adaptation.checkpoint.windows.fs_hz
    simulated = [
      domains.simulate_recording(adaptation.transducers, windows, network.scaling, fs_hz, 0)
      for windows in (source.in_memory, source.validation)
    ]
    source = dataclasses.replace(source, training=simulated[0], validation=simulated[1])
  detector = uncertainty.inherited_detector(trained, labelled=n_target > 0)
  network = calibrated(adaptation.checkpoint, head, detector, source, target if n_target else None)
  network = network if n_target else uncertainty.at_least(network, trained)
  return dataclasses.replace(adaptation, checkpoint=network)
