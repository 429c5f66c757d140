"""What a study compares, by name: baselines and strategies behind one interface, on the same data."""

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
from cap_jax.strategies import find, surgery
from cap_jax.study import study_config, study_datasets, training
from cap_jax.train import checkpoint, loop, prediction, runs, strategy_selection
from cap_jax.types import InputError

NO_TRUTH = ""
LEVELS = "the true MAP and DBP"


class PublishedNetwork(NamedTuple):
  """A published architecture, its learning rate, chosen on validation subjects of the default clinic at five labels, and its
  optimiser."""

  model: config.Model
  learning_rate: float
  optimizer: str = "adam"


# TCN: Liu et al. 2023 (IEEE JBHI). CNN-BiLSTM with attention: Xiao et al. 2023 (Artif. Intell. Med. 142, 102683).
NETWORKS: dict[str, PublishedNetwork] = {
  "tcn": PublishedNetwork(config.Model(extractor="tcn", head="sample", channels=48, layers=5, kernel=5), 3e-3),
  "cnn_bilstm": PublishedNetwork(config.Model(extractor="cnn_bilstm", layers=2), 1e-2),
}


class Setting(NamedTuple):
  """Factors on the learning rate and on the steps of a training."""

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
    n_target, seed: labelled subjects, and what draws them.
    setting: of what is trained.
    train: name of a strategy → its training here, not repeated where the study has it already; for a method that chooses one.
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
    """The labelled windows of a method that stands at n_target > 0 only."""
    found = self.target.draw(self.n_target, self.seed)
    assert found is not None
    return found

  @property
  def site(self) -> str:
    return study_datasets.target_site(self.study)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
  """What a method makes of the test windows.

  Attributes:
    predicted_bt: waves, or where `only_systolic` arrays whose highest value in a beat is cSBP [mmHg].
    train_s: seconds of training.
    steps: of training, 0 for what is not trained in steps.
    validation: looks at validation subjects along the training.
    loss: of the training, every step, in the network's scale.
    reason: why it held what it held, where it chose.
    network: the network, where it is one, with its intervals.
    made: what it read of the test windows.
    merge: what became of each leaf of its parameters.
  """

  predicted_bt: np.ndarray
  only_systolic: bool = False
  train_s: float = 0.0
  steps: int = 0
  validation: tuple[loop.ValidationScore, ...] = ()
  loss: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
  reason: str = ""
  network: checkpoint.Checkpoint | None = None
  made: uncertainty.Reading | None = None
  merge: tuple[surgery.Leaf, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
  """How a method runs.

  Attributes:
    run: on a ground.
    labels: whether it stands at n_target > 0, or at 0; at both if None.
    settings: tried on validation subjects.
    knows: what it knows of the test subject's own aortic wave: a bound then, no method.
    from_source: whether it needs a source whose task is the wave.
    drawn: whether a seed changes it at n_target = 0.
    sites: where it is defined; everywhere if empty.
    train: of what is trained on the target in steps, the training alone: all that a choice of the setting needs.
    alone: whether that begins with nothing and learns on labelled subjects alone.
  """

  run: Callable[[MethodInputs], Output]
  labels: bool | None
  settings: int = 1
  knows: str = NO_TRUTH
  from_source: bool = False
  drawn: bool = False
  sites: tuple[str, ...] = ()
  train: Callable[[MethodInputs], runs.Adapted] | None = None
  alone: bool = False

  def stands(self, n_target: int) -> bool:
    """Whether it can be compared at so many labelled subjects."""
    return self.labels is None or self.labels == (n_target > 0)


def _timed(
  predict: Callable[[MethodInputs], np.ndarray], only_systolic: bool = False
) -> Callable[[MethodInputs], Output]:
  def run(ground: MethodInputs) -> Output:
    began = time.perf_counter()
    found = predict(ground)
    return Output(predicted_bt=found, only_systolic=only_systolic, train_s=time.perf_counter() - began)

  return run


def _fitted(kind: str, on_target: bool) -> Method:
  fit, settings = baselines.FITTED[kind]

  def predict(ground: MethodInputs) -> np.ndarray:
    if on_target:
      found = fit(ground.labelled, ground.target.validation, ground.study.windows)
    else:
      found = fit(ground.source.held, ground.source.validation, ground.study.windows)
    return found(ground.target.test)

  return Method(run=_timed(predict), labels=on_target, settings=settings, from_source=not on_target)


def _network_on_target(name: str) -> Method:
  """A published architecture from scratch on the labelled subjects, with the steps of the strategies."""
  network = NETWORKS[name]

  def train(ground: MethodInputs) -> runs.Adapted:
    changes = {"learning_rate": ground.setting.rate * network.learning_rate, "optimizer": network.optimizer}
    study = dataclasses.replace(ground.study, target_model=network.model, custom={"scratch": changes})
    return _adapted(study, "scratch", ground)

  return Method(run=lambda ground: finish(ground, train(ground)), labels=True, train=train, alone=True)


def _adapted(study: study_config.Study, strategy: str, ground: MethodInputs) -> runs.Adapted:
  study = dataclasses.replace(study, steps=loop.whole(ground.setting.steps * study.steps))
  return training.adapted(
    study, strategy, ground.trained, ground.source, ground.target, ground.n_target, ground.seed, ground.recorder
  )


def finish(ground: MethodInputs, made: runs.Adapted) -> Output:
  """What a method's training makes of the test windows, with its intervals."""
  made = training.with_intervals(made, ground.trained, ground.source, ground.target, ground.n_target)
  fitted, read = made.fitted, _read(made.checkpoint, ground)
  return Output(
    predicted_bt=read.y_bt,
    train_s=fitted.train_s,
    steps=len(fitted.loss),
    validation=fitted.validation,
    loss=fitted.loss,
    reason=made.reason,
    network=made.checkpoint,
    made=read,
    merge=tuple(made.report),
  )


def _read(network: checkpoint.Checkpoint, ground: MethodInputs) -> uncertainty.Reading:
  """What a network makes of the test windows.

  Raises:
    splits.LeakError: it has met a test subject.
  """
  network.check_unseen(ground.target.test.subjects)
  return uncertainty.read(
    network, network.uncertainty_calibration.head if network.uncertainty_calibration else None, ground.target.test
  )


def strategy(study: study_config.Study, name: str) -> Method:
  """A strategy of `transfer.STRATEGIES`, with the study's changes."""
  changes = dict(study.custom.get(name) or {})
  chosen = find(name, changes)

  def train(ground: MethodInputs) -> runs.Adapted:
    rate = chosen.learning_rate * ground.setting.rate
    custom = {**ground.study.custom, name: {**changes, "learning_rate": rate}}
    return _adapted(dataclasses.replace(ground.study, custom=custom), name, ground)

  return Method(
    run=lambda ground: finish(ground, train(ground)),
    labels=chosen.needs_labels,
    drawn=True,
    train=train,
    alone=chosen.alone,
  )


def _affine(ground: MethodInputs) -> np.ndarray:
  labelled = ground.labelled
  ground.trained.check_unseen(ground.target.test.subjects)
  found = rescaling.fit_affine(prediction.predict(ground.trained, labelled), labelled.y_bt, ground.study.windows.margin)
  return found.predict(prediction.predict(ground.trained, ground.target.test))


def _mean_wave_scaled(ground: MethodInputs) -> np.ndarray:
  wave = baselines.FITTED["mean_wave"].fit(ground.source.held, ground.source.validation, ground.study.windows)
  return rescaling.to_true_levels(wave(ground.target.test), ground.target.test)


def _npma(ground: MethodInputs) -> np.ndarray:
  return systolic.moving_average(ground.target.test.x_bt, ground.site, ground.study.windows)


def _map_dbp(ground: MethodInputs) -> np.ndarray:
  return systolic.mean_squared_over_diastolic(ground.target.test.x_bt, ground.study.windows)


def _unchanged(network: Callable[[MethodInputs], checkpoint.Checkpoint]) -> Method:
  """A network of the source as it is."""

  def run(ground: MethodInputs) -> Output:
    trained = network(ground)
    read = _read(trained, ground)
    return Output(predicted_bt=read.y_bt, network=trained, made=read)

  return Method(run=run, labels=False, from_source=True)


BASELINES: dict[str, Method] = {
  "peripheral": Method(run=lambda ground: Output(predicted_bt=ground.target.test.x_bt), labels=False),
  "rescaled": Method(
    run=lambda ground: Output(predicted_bt=rescaling.to_true_levels(ground.target.test.x_bt, ground.target.test)),
    labels=False,
    knows=LEVELS,
  ),
  "npma": Method(run=_timed(_npma, only_systolic=True), labels=False, sites=tuple(systolic.FRACTIONS)),
  "map_dbp": Method(run=_timed(_map_dbp, only_systolic=True), labels=False),
  "mean_wave_scaled": Method(run=_timed(_mean_wave_scaled), labels=False, knows=LEVELS, from_source=True),
  **{f"{kind}_source": _fitted(kind, on_target=False) for kind in baselines.FITTED},
  **{f"{kind}_target": _fitted(kind, on_target=True) for kind in baselines.FITTED if kind != "adaptive_tf"},
  "source": _unchanged(lambda ground: ground.trained),
  "source_affine": Method(run=_timed(_affine), labels=True, from_source=True),
  **{f"{name}_source": _unchanged(lambda ground, name=name: ground.published(name)) for name in NETWORKS},  # type: ignore[misc]
  **{f"{name}_target": _network_on_target(name) for name in NETWORKS},
}


def _auto() -> Method:
  """The strategy that `selection` chooses in each cell."""

  def train(ground: MethodInputs) -> runs.Adapted:
    choice = training.choose(
      ground.study, ground.trained, ground.source, ground.target, ground.n_target, ground.seed, ground.recorder
    )
    made = ground.train(choice.name) if ground.train else _adapted(ground.study, choice.name, ground)
    reason = "; ".join(text for text in (strategy_selection.format_ranking(choice), made.reason) if text)
    looks = tuple(one._replace(train_s=one.train_s + choice.train_s) for one in made.fitted.validation)
    fitted = dataclasses.replace(made.fitted, train_s=made.fitted.train_s + choice.train_s, validation=looks)
    return dataclasses.replace(made, fitted=fitted, reason=reason)

  return Method(
    run=lambda ground: finish(ground, train(ground)), labels=None, from_source=True, drawn=True, train=train
  )


def method(study: study_config.Study, name: str) -> Method:
  """A baseline or a strategy by name.

  Raises:
    InputError: the study names a baseline that there is not.
  """
  if name in study.baselines and name not in BASELINES:
    raise InputError(f"baselines={name}: unknown; choose of {', '.join(BASELINES)}")
  if name == strategy_selection.NAME:
    return _auto()
  return BASELINES[name] if name in BASELINES else strategy(study, name)


def unavailable(study: study_config.Study, name: str) -> str:
  """Why a method cannot be in a study, or nothing."""
  found, site = method(study, name), study_datasets.target_site(study)
  if found.from_source and study.task != "waveform":
    return f"the source was trained for {study.task}"
  if found.sites and site not in found.sites:
    return f"is defined for {', '.join(found.sites)}, not for {site}"
  return ""
