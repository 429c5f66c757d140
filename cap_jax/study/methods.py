"""Baselines and strategies that a study compares, by name, behind one interface."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cap_jax import baselines, config
from cap_jax.baselines import rescaling, systolic
from cap_jax.data import batches
from cap_jax.inference import uncertainty
from cap_jax.signals import windows
from cap_jax.strategies import find, surgery
from cap_jax.study import study_config, study_datasets, training
from cap_jax.train import checkpoint, loop, prediction, runs, strategy_selection
from cap_jax.types import InputError, suggest

NO_REFERENCE_USED = ""
ONLY_SYSTOLIC = ("npma", "map_dbp")
LEVELS = "the true MAP and DBP"


class PublishedNetwork(NamedTuple):
  """A published architecture with its learning rate and optimiser.

  The rate was chosen on validation subjects of the default clinic at five labels.
  """

  model: config.Model
  learning_rate: float
  optimizer: str = "adam"


# TCN: Liu et al. 2023 (IEEE JBHI). CNN-BiLSTM with attention: Xiao et al. 2023 (Artif. Intell. Med. 142, 102683).
NETWORKS: dict[str, PublishedNetwork] = {
  "tcn": PublishedNetwork(config.Model(extractor="tcn", head="sample", channels=48, layers=5, kernel=5), 3e-3),
  "cnn_bilstm": PublishedNetwork(config.Model(extractor="cnn_bilstm", layers=2), 1e-2),
}


class Setting(NamedTuple):
  """Factors on the learning rate and on the number of steps of a training."""

  rate: float = 1.0
  steps: float = 1.0


AS_IT_IS = Setting()


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodInputs:
  """What a method may use.

  Attributes:
    study: of one target clinic.
    trained: the source network.
    published: name in `NETWORKS` → that network, trained on the source.
    n_target, seed: number of labelled subjects, and the seed that draws them.
    setting: of the training.
    train: name of a strategy → its training on these inputs, for a method that chooses one. A training that the study has done is
      not repeated.
    recorder: where training states and metrics go.
  """

  study: study_config.Study
  source: study_datasets.Source
  target: study_datasets.Target
  trained: checkpoint.Checkpoint
  published: Callable[[str], checkpoint.Checkpoint]
  n_target: int
  seed: int
  setting: Setting = AS_IT_IS
  train: Callable[[str], runs.Adapted] | None = None
  recorder: loop.Recorder = loop.NOWHERE

  @functools.cached_property
  def labelled(self) -> batches.Pairs:
    """The labelled windows, for methods that run at n_target > 0 only."""
    pairs = self.target.draw(self.n_target, self.seed)
    assert pairs is not None
    return pairs

  @property
  def site(self) -> str:
    return study_datasets.target_site(self.study)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
  """Output of a method on the test windows.

  Attributes:
    predicted_bt: (window, time) waves [mmHg]. With `only_systolic`, arrays whose highest value in a beat is cSBP.
    only_systolic: whether the method estimates cSBP alone.
    train_s: seconds of training.
    steps: of training, 0 for a method that is not trained in steps.
    validation: scores on validation subjects during the training.
    loss: of the training, every step, in the network's scale.
    reason: why the method froze or chose what it did, "" if it does not choose.
    network: the network with its intervals, None for a method without one.
    reading: waves, σ and features of the test windows.
    merge: origin of each leaf of the parameters.
  """

  predicted_bt: np.ndarray
  only_systolic: bool = False
  train_s: float = 0.0
  steps: int = 0
  validation: tuple[loop.ValidationScore, ...] = ()
  loss: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
  reason: str = ""
  network: checkpoint.Checkpoint | None = None
  reading: uncertainty.Reading | None = None
  merge: tuple[surgery.Leaf, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
  """How a method runs.

  Attributes:
    run: inputs → output.
    labels: whether it runs at n_target > 0 (True), at 0 (False) or at both (None).
    settings: number of settings that are tried on validation subjects.
    uses_of_reference: what it uses of the test subject's own aortic wave, "" for nothing. A method that uses any of it is a bound.
    from_source: whether it needs a source network whose task is the wave.
    drawn: whether the seed changes it at n_target = 0.
    sites: where it is defined; everywhere if empty.
    train: the training alone, for a method that is trained on the target in steps. A choice of the setting needs no more.
    needs_no_source: whether that training starts without a source network and uses labelled subjects only.
  """

  run: Callable[[MethodInputs], Output]
  labels: bool | None
  settings: int = 1
  uses_of_reference: str = NO_REFERENCE_USED
  from_source: bool = False
  drawn: bool = False
  sites: tuple[str, ...] = ()
  train: Callable[[MethodInputs], runs.Adapted] | None = None
  needs_no_source: bool = False

  def runs_at(self, n_target: int) -> bool:
    """Returns whether the method runs at `n_target` labelled subjects."""
    return self.labels is None or self.labels == (n_target > 0)


def _time(
  predict: Callable[[MethodInputs], np.ndarray], only_systolic: bool = False
) -> Callable[[MethodInputs], Output]:
  """Wraps a prediction so that it returns an output with its seconds."""

  def run(inputs: MethodInputs) -> Output:
    began = time.perf_counter()
    predicted_bt = predict(inputs)
    return Output(predicted_bt=predicted_bt, only_systolic=only_systolic, train_s=time.perf_counter() - began)

  return run


def _as_read(study: study_config.Study, pairs: batches.Pairs) -> batches.Pairs:
  """Returns windows as networks read them: those without a unit scaled one by one."""
  return dataclasses.replace(pairs, x_bt=windows.min_max(pairs.x_bt)) if study.signals.unitless else pairs


def _classical(kind: str, on_target: bool) -> Method:
  """Makes the method that fits a classical baseline on the target's labels, or on the source."""
  fit, settings = baselines.FITTED[kind]

  def predict(inputs: MethodInputs) -> np.ndarray:
    training = inputs.labelled if on_target else inputs.source.in_memory
    validation = inputs.target.validation if on_target else inputs.source.validation
    training, validation, test = (_as_read(inputs.study, one) for one in (training, validation, inputs.target.test))
    return fit(training, validation, inputs.study.windows)(test)

  return Method(run=_time(predict), labels=on_target, settings=settings, from_source=not on_target)


def _network_on_target(name: str) -> Method:
  """Makes the method that trains a published architecture from scratch on the labelled subjects, with the steps of the strategies."""
  network = NETWORKS[name]

  def train(inputs: MethodInputs) -> runs.Adapted:
    changes = {"learning_rate": inputs.setting.rate * network.learning_rate, "optimizer": network.optimizer}
    study = dataclasses.replace(inputs.study, target_model=network.model, custom={"scratch": changes})
    return _adapt(study, "scratch", inputs)

  return Method(run=lambda inputs: finish(inputs, train(inputs)), labels=True, train=train, needs_no_source=True)


def _adapt(study: study_config.Study, strategy: str, inputs: MethodInputs) -> runs.Adapted:
  """Trains a strategy of the study on the inputs, in their setting."""
  study = dataclasses.replace(study, steps=loop.whole(inputs.setting.steps * study.steps))
  return training.adapted(
    study, strategy, inputs.trained, inputs.source, inputs.target, inputs.n_target, inputs.seed, inputs.recorder
  )


def finish(inputs: MethodInputs, adaptation: runs.Adapted) -> Output:
  """Calibrates the intervals of a training and reconstructs the test windows.

  Args:
    inputs: of the training.
    adaptation: the trained strategy.
  """
  adaptation = training.with_intervals(adaptation, inputs.trained, inputs.source, inputs.target, inputs.n_target)
  fitted, reading = adaptation.fitted, _read_test_windows(adaptation.checkpoint, inputs)
  return Output(
    predicted_bt=reading.y_bt,
    train_s=fitted.train_s,
    steps=len(fitted.loss),
    validation=fitted.validation,
    loss=fitted.loss,
    reason=adaptation.reason,
    network=adaptation.checkpoint,
    reading=reading,
    merge=tuple(adaptation.report),
  )


def _read_test_windows(network: checkpoint.Checkpoint, inputs: MethodInputs) -> uncertainty.Reading:
  """Reconstructs the test windows with a network.

  Raises:
    splits.LeakError: the network has seen a test subject.
  """
  network.check_unseen(inputs.target.test.subjects)
  return uncertainty.read(network, inputs.target.test)


def strategy(study: study_config.Study, name: str) -> Method:
  """Returns the method of a strategy.

  Args:
    study: whose `custom` changes the strategy's fields.
    name: in `strategies.STRATEGIES`.
  """
  changes = dict(study.custom.get(name) or {})
  chosen = find(name, changes)

  def train(inputs: MethodInputs) -> runs.Adapted:
    rate = chosen.learning_rate * inputs.setting.rate
    custom = {**inputs.study.custom, name: {**changes, "learning_rate": rate}}
    return _adapt(dataclasses.replace(inputs.study, custom=custom), name, inputs)

  return Method(
    run=lambda inputs: finish(inputs, train(inputs)),
    labels=chosen.needs_labels,
    drawn=True,
    train=train,
    needs_no_source=chosen.needs_no_source,
  )


def _affine(inputs: MethodInputs) -> np.ndarray:
  labelled = inputs.labelled
  inputs.trained.check_unseen(inputs.target.test.subjects)
  affine = rescaling.fit_affine(
    prediction.predict(inputs.trained, labelled), labelled.y_bt, inputs.study.windows.margin
  )
  return affine.predict(prediction.predict(inputs.trained, inputs.target.test))


def _mean_wave_scaled(inputs: MethodInputs) -> np.ndarray:
  wave = baselines.FITTED["mean_wave"].fit(inputs.source.in_memory, inputs.source.validation, inputs.study.windows)
  return rescaling.to_true_levels(wave(inputs.target.test), inputs.target.test)


def _npma(inputs: MethodInputs) -> np.ndarray:
  return systolic.moving_average(inputs.target.test.x_bt, inputs.site, inputs.study.windows)


def _map_dbp(inputs: MethodInputs) -> np.ndarray:
  return systolic.mean_squared_over_diastolic(inputs.target.test.x_bt, inputs.study.windows)


def _source_as_it_is(network: Callable[[MethodInputs], checkpoint.Checkpoint]) -> Method:
  """Makes the method that uses a network of the source without adaptation."""

  def run(inputs: MethodInputs) -> Output:
    trained = network(inputs)
    reading = _read_test_windows(trained, inputs)
    return Output(predicted_bt=reading.y_bt, network=trained, reading=reading)

  return Method(run=run, labels=False, from_source=True)


BASELINES: dict[str, Method] = {
  "peripheral": Method(run=lambda inputs: Output(predicted_bt=inputs.target.test.x_bt), labels=False),
  "rescaled": Method(
    run=lambda inputs: Output(predicted_bt=rescaling.to_true_levels(inputs.target.test.x_bt, inputs.target.test)),
    labels=False,
    uses_of_reference=LEVELS,
  ),
  "npma": Method(run=_time(_npma, only_systolic=True), labels=False, sites=tuple(systolic.FRACTIONS)),
  "map_dbp": Method(run=_time(_map_dbp, only_systolic=True), labels=False),
  "mean_wave_scaled": Method(run=_time(_mean_wave_scaled), labels=False, uses_of_reference=LEVELS, from_source=True),
  **{f"{kind}_source": _classical(kind, on_target=False) for kind in baselines.FITTED},
  **{f"{kind}_target": _classical(kind, on_target=True) for kind in baselines.FITTED if kind != "adaptive_tf"},
  "source": _source_as_it_is(lambda inputs: inputs.trained),
  "source_affine": Method(run=_time(_affine), labels=True, from_source=True),
  **{f"{name}_source": _source_as_it_is(lambda inputs, name=name: inputs.published(name)) for name in NETWORKS},  # type: ignore[misc]
  **{f"{name}_target": _network_on_target(name) for name in NETWORKS},
}


# baselines whose formula needs the peripheral wave in mmHg
_READS_PRESSURE = (
  "peripheral",
  "map_dbp",
  *(f"{kind}_{where}" for kind in ("individual_tf", "tube_load", "adaptive_tf") for where in ("source", "target")),
)


def _auto() -> Method:
  """Makes the method that uses the strategy which `strategy_selection` chooses in each cell."""

  def train(inputs: MethodInputs) -> runs.Adapted:
    choice = training.choose(
      inputs.study, inputs.trained, inputs.source, inputs.target, inputs.n_target, inputs.seed, inputs.recorder
    )
    adaptation = inputs.train(choice.name) if inputs.train else _adapt(inputs.study, choice.name, inputs)
    reason = "; ".join(text for text in (strategy_selection.format_ranking(choice), adaptation.reason) if text)
    scores = tuple(score._replace(train_s=score.train_s + choice.train_s) for score in adaptation.fitted.validation)
    fitted = dataclasses.replace(
      adaptation.fitted, train_s=adaptation.fitted.train_s + choice.train_s, validation=scores
    )
    return dataclasses.replace(adaptation.blended(choice.blend), fitted=fitted, reason=reason)

  return Method(
    run=lambda inputs: finish(inputs, train(inputs)), labels=None, from_source=True, drawn=True, train=train
  )


def method(study: study_config.Study, name: str) -> Method:
  """Returns a baseline or a strategy by name.

  Args:
    study: that names it.
    name: in `BASELINES` or `strategies.STRATEGIES`, or that of the strategy selection.

  Raises:
    InputError: the study names an unknown baseline.
  """
  if name in study.baselines and name not in BASELINES:
    raise InputError(f"baselines={name}: unknown; {suggest(name, BASELINES)}")
  if name == strategy_selection.NAME:
    return _auto()
  return BASELINES[name] if name in BASELINES else strategy(study, name)


def unavailable(study: study_config.Study, name: str) -> str:
  """Returns why a method cannot be part of a study, "" if it can.

  Args:
    study: of one target clinic.
    name: of the method.
  """
  entry, site = method(study, name), study_datasets.target_site(study)
  if entry.from_source and study.task != "waveform":
    return f"the source was trained for {study.task}"
  if entry.sites and site not in entry.sites:
    return f"is defined for {', '.join(entry.sites)}, not for {site}"
  if study.signals.unitless and name in _READS_PRESSURE:
    return "reads a pressure in mmHg, but a PPG has no unit"
  return ""
