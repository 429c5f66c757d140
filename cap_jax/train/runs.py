"""Complete trainings: of a source network on its task, and of a target network by a strategy."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from cap_jax import config
from cap_jax.data import batches, scalings, splits
from cap_jax.data import stream as streaming
from cap_jax.losses import tasks, terms, waveform
from cap_jax.models import net as nets
from cap_jax.strategies import (
  changes_of,
  domain_distance,
  freezing,
  importance,
  low_rank,
  pretraining,
  surgery,
  transducer_response,
)
from cap_jax.strategies.strategy import Strategy
from cap_jax.train import (
  checkpoint,
  checks,
  collapse,
  filter_blend,
  loop,
  prediction,
  source_evidence,
  uncertainty_calibration,
)
from cap_jax.types import InputError, LossFn, Params

_MODEL, _SPEC, _SIGNALS = config.Model(), config.Training(learning_rate=2e-2), config.Signals()
_DESCRIPTIONS = {
  "source": "windows of the source",
  "unlabelled": "unlabelled windows of the target",
  "labelled": "windows of labelled target subjects",
}


@dataclasses.dataclass(frozen=True)
class Data:
  """The windows that a strategy may use.

  Attributes:
    source: windows of the source, for strategies that read them.
    unlabelled: peripheral windows of the target, for strategies that read them.
    labelled: windows of the labelled target subjects, for strategies that read them.
    validation: target windows on which the training is monitored; they choose nothing but `Adapted.best`.
    site: where the target measures.
  """

  source: batches.Pairs | None = None
  unlabelled: batches.Waves | None = None
  labelled: batches.Pairs | None = None
  validation: batches.Pairs | None = None
  site: str = "radial"

  @property
  def n_target(self) -> int:
    """The number of labelled target subjects."""
    return len(self.labelled.subjects) if self.labelled is not None else 0

  def needed(self, part: str, by: str) -> Any:
    """Returns windows that must be present.

    Args:
      part: name of the field.
      by: what reads the windows, for the error.

    Raises:
      InputError: there are none.
    """
    windows = getattr(self, part)
    if windows is None:
      raise InputError(f"{by}: needs {_DESCRIPTIONS[part]}; pass {part}=")
    return windows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapted:
  """A trained target network, and how it was trained.

  Attributes:
    best: the network at its least validation error, if that state was saved; None if it is the last one.
    checkpoint: the network at the end of the training.
    fitted: result of the training.
    report: report of the merge.
    reason: why something was chosen, "" for nothing.
    transducers: transducers estimated from the target's waves, where the strategy requires them.
  """

  best: checkpoint.Checkpoint | None = None
  checkpoint: checkpoint.Checkpoint
  fitted: loop.FitResult
  report: list[surgery.Leaf]
  reason: str
  transducers: transducer_response.TransducerMixture | None = None

  def blended(self, blend: filter_blend.FilterBlend | None) -> "Adapted":
    """Returns the same training, whose networks' waves are blended with a linear filter.

    Args:
      blend: the filter and its share; None changes nothing.
    """
    if blend is None:
      return self
    best = None if self.best is None else dataclasses.replace(self.best, blend=blend)
    return dataclasses.replace(self, best=best, checkpoint=dataclasses.replace(self.checkpoint, blend=blend))


def arrays(
  scaling: scalings.Scaling, windows: batches.Pairs | batches.Waves, model: config.Model, numerics: Sequence[str] = (),
  of_target: bool = False,
) -> dict[str, np.ndarray]:  # fmt: skip
  """Returns a stream of a batch: "x", "c", and "y", "m" where there is a reference, all scaled.

  Args:
    scaling: scaling of the windows.
    windows: the windows.
    model: network whose covariates are read.
    numerics: names of the numbers that the task learns.
    of_target: whether these are the labelled windows of the target, whose labels are circumstances of each other.
  """
  if of_target and isinstance(windows, batches.Pairs) and model.reads_context:
    inputs = scaling.labelled_inputs(windows, model)
  else:
    inputs = scaling.inputs(windows, model)
  stream = dict(zip(("x", "c"), inputs, strict=True))
  if isinstance(windows, batches.Pairs):
    stream["y"] = scaling.scale(windows.y_bt)
    stream["m"] = scaling.standardise(windows.covariates, numerics, len(windows.x_bt))
  return stream


def _source_stream(
  training: batches.Pairs | streaming.Stream, scaling: scalings.Scaling, model: config.Model, numerics: Sequence[str]
) -> tuple[batches.Stream, dict[str, np.ndarray]]:
  """Returns the scaled windows of the source, and whose they are where they lie in memory."""
  if isinstance(training, batches.Pairs):
    return arrays(scaling, training, model, numerics), {"source": training.subject_b}
  return streaming.Scaled(training, scaling, model.covariates, numerics), {}


def pretrain(
  training: batches.Pairs | streaming.Stream,
  validation: batches.Pairs,
  task: str = "waveform",
  model: config.Model = _MODEL,
  spec: config.Training = _SPEC,
  signals: config.Signals = _SIGNALS,
  origin: Mapping[str, Any] = MappingProxyType({}),
  recorder: loop.Recorder = loop.NOWHERE,
) -> tuple[checkpoint.Checkpoint, loop.FitResult]:
  """Trains a source network on its task. The checkpoint records its validation error.

  Args:
    training: windows in memory, or streamed from a store.
    validation: windows of other subjects.
    task: name in `tasks.TASKS`.
    model: the network; the task chooses its head.
    spec: steps, batch, rates and seed.
    signals: kind of the windows.
    origin: provenance of the data, for the checkpoint.
    recorder: where its states and metrics go.

  Returns:
    The checkpoint, and the result of the training.

  Raises:
    splits.LeakError: a subject is in both training and validation.
    InputError: `spec` wants the RMSE of a task that is no wave.
  """
  splits.Split({"training": training.subjects, "validation": validation.subjects})
  of_task = tasks.TASKS[task]
  model = of_task.model(model)
  numerics = of_task.numerics or ()
  scaling = scalings.fit(training, (*model.covariates, *numerics), signals.unitless, model.reads_context)
  nets.check(model, signals.windows)
  net = nets.make_net(model)
  source_loss = of_task.make_loss(net, signals.windows.margin)
  trained_loss = _trained_loss(net, signals.windows.margin, task, spec.loss)
  loss = terms.make_total(pretraining.STRATEGY.loss, "sum", terms.Context(net, trained_loss, trained_loss))
  fresh = net.init(jax.random.key(spec.seed), signals.windows.samples)
  plans = loop.plan_stages(pretraining.STRATEGY, spec.steps, spec.learning_rate, [()], ())
  stream, subjects = _source_stream(training, scaling, model, numerics)
  watch = loop.Watch("pre-training", subjects=subjects, recorder=recorder)
  fitted = loop.fit(net, loss, plans, fresh, {"source": stream}, spec, watch)
  validation_arrays = arrays(scaling, validation, model, numerics)
  error = prediction.evaluate(source_loss, fitted.params, validation_arrays)
  flat = collapse.warning(net, fitted.params, validation_arrays) if of_task.numerics is None else ""
  about = {
    **origin,
    "source_subjects": len(training.subjects),
    "steps": spec.steps,
    **_validation_error(error, scaling, task),
    "train_s": round(fitted.train_s, 1),
    **({"warning": flat} if flat else {}),
  }
  source = checkpoint.Checkpoint(
    params=fitted.params, model=model, scaling=scaling, signals=signals, task=task, about=about,
    seen_subject_hashes=checkpoint.digests_of(training.subjects, validation.subjects),
  )  # fmt: skip
  return source, fitted


def _trained_loss(net: nets.Net, margin: int, task: str, loss: str) -> LossFn:
  """Returns the loss of a pre-training.

  Raises:
    InputError: it is the RMSE of a task that is no wave.
  """
  make = tasks.TASKS[task].make_loss
  if loss == "mse":
    return make(net, margin)
  if make is not waveform.make_waveform:
    raise InputError(f"Training.loss={loss}: is the error of a wave, but the task is {task}; use mse")
  return waveform.make_rmse(net, margin)


def _outputs_pressure(scaling: scalings.Scaling, task: str) -> bool:
  """Returns whether a network learns a pressure, not the PPG that it reads."""
  return not scaling.unitless or tasks.TASKS[task].reference is not None


def _validation_error(error: float, scaling: scalings.Scaling, task: str) -> dict[str, float]:
  """Returns the error of a source network under a name with its unit; standardised numerics count like pressures."""
  if _outputs_pressure(scaling, task):
    return {"validation_rmse_mmhg": round(scaling.sd_mmhg * error, 3)}
  return {"validation_rmse_sd": round(error, 3)}


def streams(
  strategy: Strategy,
  data: Data,
  scaling: scalings.Scaling,
  model: config.Model,
  source: checkpoint.Checkpoint,
  seed: int,
) -> tuple[dict[str, dict[str, np.ndarray]], transducer_response.TransducerMixture | None]:
  """Returns exactly the streams that a strategy reads, and the target's transducers where it requires them.

  Args:
    strategy: how to transfer.
    data: windows of both domains.
    scaling: scaling of the target network.
    model: config of the target network.
    source: the source network.
    seed: seed of the simulated transducers.

  Raises:
    InputError: the strategy reads windows that are missing.
  """
  by = f"strategy {strategy.name}"
  scaled: dict[str, dict[str, np.ndarray]] = {}
  transducers = None
  if "target" in strategy.streams:
    scaled["target"] = arrays(scaling, data.needed("labelled", by), model, of_target=True)
  if "unlabelled" in strategy.streams:
    scaled["unlabelled"] = arrays(scaling, data.needed("unlabelled", by), model)
  if "source" in strategy.streams:
    numerics = tasks.TASKS[source.task].numerics or ()
    people = data.needed("source", by)
    if strategy.transducer:
      transducers = transducers_of(data, scaling, source.windows.fs_hz, by)
    if transducers is None or not transducers.has_transducers:
      scaled["source"] = arrays(scaling.without_clinic(), people, model, numerics)  # the target's clinic is not theirs
    else:
      recorded = simulate_recording(transducers, people, scaling, source.windows.fs_hz, seed)
      scaled["source"] = arrays(scaling, recorded, model, numerics)
      scaled["source"]["x"] = _simulate_scaled(transducers, people, scaling, source.windows.fs_hz, seed)
    if strategy.reweigh:
      scaled["source"]["w"] = importance.weights(
        scaling.scale_input(people.x_bt), scaling.scale_input(data.needed("unlabelled", by).x_bt)
      )
  return scaled, transducers


def transducers_of(
  data: Data, scaling: scalings.Scaling, fs_hz: float, by: str
) -> transducer_response.TransducerMixture:
  """Estimates the transducers of the target from its unlabelled waves and those of the source.

  Args:
    data: windows of both domains.
    scaling: scaling of the windows.
    fs_hz: sampling rate [Hz] of the windows.
    by: what requires the transducers, for the error.

  Returns:
    The mixture of transducers, or that there is none.

  Raises:
    InputError: one of the two domains has no windows.
  """
  return _fit_transducers(data.needed("source", by), data.needed("unlabelled", by), scaling, fs_hz, data.site)


# cached: the clinic is the same for each number of labels, strategy and fold
@functools.lru_cache(4)
def _fit_transducers(
  source: batches.Pairs, unlabelled: batches.Waves, scaling: scalings.Scaling, fs_hz: float, site: str
) -> transducer_response.TransducerMixture:
  source_bt, target_bt = scaling.scale_input(source.x_bt), scaling.scale_input(unlabelled.x_bt)
  return transducer_response.fit(source_bt, source.subject_b, target_bt, unlabelled.subject_b, fs_hz, site)


@functools.lru_cache(4)
def _simulate_scaled(
  transducers: transducer_response.TransducerMixture,
  windows: batches.Pairs,
  scaling: scalings.Scaling,
  fs_hz: float,
  seed: int,
) -> np.ndarray:
  """Simulates scaled windows (window, time) as recorded through a clinic's transducers."""
  return transducer_response.apply(transducers, scaling.scale_input(windows.x_bt), fs_hz, seed)


def simulate_recording(
  transducers: transducer_response.TransducerMixture,
  windows: batches.Pairs,
  scaling: scalings.Scaling,
  fs_hz: float,
  seed: int,
) -> batches.Pairs:
  """Returns windows of the source as the target clinic would have recorded them.

  Args:
    transducers: those of the clinic.
    windows: windows of the source.
    scaling: scaling of the windows.
    fs_hz: sampling rate [Hz] of the windows.
    seed: draws a transducer for each window, and the noise.
  """
  if not transducers.has_transducers:
    return windows
  return dataclasses.replace(
    windows, x_bt=scaling.unscale(_simulate_scaled(transducers, windows, scaling, fs_hz, seed))
  )


def distance(trained: checkpoint.Checkpoint, data: Data) -> float:
  """Returns the proxy A-distance between pooled features of source and target, without labels.

  Args:
    trained: the network.
    data: windows of both domains.

  Raises:
    InputError: one of the two domains has no windows.
  """
  (h_s, subject_s), (h_t, subject_t) = (
    prediction.pooled(trained, data.needed("source", "the distance of the domains"), False),
    prediction.pooled(trained, data.needed("unlabelled", "the distance of the domains"), True),
  )
  return domain_distance.proxy_a_distance(h_s, h_t, subject_s, subject_t)


def _distance_if_known(trained: checkpoint.Checkpoint, data: Data) -> float:
  """Returns `distance`, from the labelled subjects' waves without others; NaN if a domain has fewer than two subjects."""
  if data.unlabelled is None and data.labelled is not None:
    data = dataclasses.replace(data, unlabelled=data.labelled.unlabelled())
  domains = (data.source, data.unlabelled)
  enough = all(part is not None and len(part.subjects) > 1 for part in domains)
  return distance(trained, data) if enough else math.nan


def _frozen_paths(
  strategy: Strategy, layers: tuple[str, ...], source: checkpoint.Checkpoint, data: Data
) -> tuple[list[tuple[str, ...]], str]:
  """Returns the paths that each stage freezes, and the reason where they were chosen."""
  choosing = any("auto" in stage.freeze for stage in strategy.stages)
  d_a = _distance_if_known(source, data) if choosing else 0.0
  resolved = [freezing.resolve(stage.freeze, layers, data.n_target, d_a) for stage in strategy.stages]
  return [paths for paths, _ in resolved], "; ".join(reason for _, reason in resolved if reason)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
  """A training by a strategy with everything decided.

  Attributes:
    strategy: how to transfer.
    model: config of the target network.
    scaling: scaling of the target network.
    params: θ⁰.
    report: report of the merge.
    loss, plans, spec: see `loop.fit`.
    fed: stream → arrays of its windows.
    reason: why something was chosen.
    transducers: transducers estimated from the target's waves, where the strategy requires them.
    source_weight: factor on the loss of the source's windows.
  """

  strategy: Strategy
  model: config.Model
  scaling: scalings.Scaling
  params: Params
  report: list[surgery.Leaf]
  loss: LossFn
  plans: list[loop.Plan]
  spec: config.Training
  fed: dict[str, dict[str, np.ndarray]]
  reason: str
  transducers: transducer_response.TransducerMixture | None
  source_weight: float

  @property
  def net(self) -> nets.Net:
    """The target network."""
    return nets.make_net(self.model)


@dataclasses.dataclass(frozen=True)
class Budget:
  """The budget of a strategy. Learning rates belong to the strategy.

  Attributes:
    steps: steps of all stages together.
    batch: windows of each stream in a step.
    seed: seed of fresh parameters and of the order of windows.
  """

  steps: int = 600
  batch: int = 32
  seed: int = 0

  def __post_init__(self) -> None:
    """Checks the values.

    Raises:
      InputError: a number is out of range.
    """
    config.check_steps("Budget.steps", self.steps)
    object.__setattr__(self, "steps", int(self.steps))
    for name, least, most in (("batch", 1, config.MOST_WINDOWS_A_STEP), ("seed", 0, config.LARGEST_SEED)):
      config.check_whole(f"Budget.{name}", getattr(self, name), least, most)
      object.__setattr__(self, name, int(getattr(self, name)))


def _target_scaling(
  strategy: Strategy, source: checkpoint.Checkpoint, data: Data, model: config.Model
) -> scalings.Scaling:
  """Returns the scaling of the target network: the source's if the strategy uses its parameters or its windows.

  A network that reads the circumstances gets those of the target's clinic with it, labels included if the strategy reads them.
  """
  if not strategy.stages and not strategy.needs_labels:
    data.needed("unlabelled", f"strategy {strategy.name}")
  scaling = source.scaling if model.reads_context else dataclasses.replace(source.scaling, context=None)
  clinic = data.unlabelled if data.unlabelled is not None else data.labelled
  if data.labelled is not None and not checks.source_scales(strategy):
    scaling = scalings.fit(data.labelled, model.covariates, scaling.unitless, model.reads_context)
  elif data.labelled is not None and not _outputs_pressure(scaling, source.task):
    mean, sd = data.labelled.moments(reference=True)
    scaling = dataclasses.replace(scaling, mean_mmhg=mean, sd_mmhg=sd)
  return scaling if clinic is None else scaling.at_clinic(clinic, data.labelled if strategy.needs_labels else None)


def prepare(
  strategy: Strategy,
  source: checkpoint.Checkpoint,
  data: Data,
  budget: Budget = Budget(),
  model: config.Model | None = None,
  streamed: tuple[dict[str, dict[str, np.ndarray]], transducer_response.TransducerMixture | None] | None = None,
) -> Prepared:
  """Returns everything that `adapt` trains.

  Args:
    strategy, source, data, budget, model: see `adapt`.
    streamed: streams and transducers, if they were computed already.
  """
  checks.check_task(strategy, source.task)
  checks.check_unit(strategy, source.scaling.unitless)
  checks.check_circumstances(strategy, source.model)
  checks.check_site(strategy, source.site, data.site)
  model = checks.with_adaptor(strategy, model or checks.wave_model(source.model))
  strategy = strategy.at(source.site, data.site)
  net, samples, margin = nets.make_net(model), source.windows.samples, source.windows.margin
  params, report = strategy.start(source.params, net, source.net, samples, jax.random.key(budget.seed))
  scaling = _target_scaling(strategy, source, data, model)
  layers = net.layers(samples)
  frozen, reason = _frozen_paths(strategy, layers, source, data)
  context = terms.Context(
    net,
    tasks.TASKS["waveform"].make_loss(net, margin),
    tasks.TASKS[source.task].make_loss(_source_reader(net, source.net, strategy), margin),
  )
  loss = terms.make_total(strategy.loss, strategy.combine, context, low_rank.view)
  rates = strategy.rates(layers)
  plans = loop.plan_stages(strategy, budget.steps, strategy.learning_rate, frozen, rates, data.n_target)
  losses = [strategy.in_stage(stage) for stage in strategy.stages]
  for k, part in enumerate(losses):
    if part != strategy.loss:
      own = terms.make_total(part, strategy.combine, context, low_rank.view)
      plans[k] = dataclasses.replace(plans[k], loss=own, reads=terms.streams(part))
  spec = config.Training(
    batch=budget.batch, weight_decay=strategy.weight_decay, seed=budget.seed, optimizer=strategy.optimizer
  )
  fed, transducers = streamed or streams(strategy, data, scaling, model, source, budget.seed)
  fed, evidence = _weigh_source(strategy, source, data, transducers, fed, budget.seed)
  # without a transducer and a label there is nothing to learn
  if transducers is not None and not transducers.has_transducers:
    plans = [one for one, part in zip(plans, losses, strict=True) if "target" in terms.streams(part)]
  return Prepared(
    strategy=strategy,
    model=model,
    scaling=scaling,
    params=params,
    report=report,
    loss=loss,
    plans=plans,
    spec=spec,
    fed=fed,
    reason="; ".join(text for text in (_describe_context(strategy, data, scaling), reason, str(evidence)) if text),
    transducers=transducers,
    source_weight=evidence.weight,
  )


def _describe_context(strategy: Strategy, data: Data, scaling: scalings.Scaling) -> str:
  """Returns what an untrained network reads of the clinic, "" for a trained one."""
  if strategy.stages or scaling.context is None:
    return ""
  clinic = data.unlabelled if data.unlabelled is not None else data.labelled
  assert clinic is not None
  labels = f" and the labels of {scaling.context.labels}" if scaling.context.labels else ""
  return f"nothing is trained: the network reads the waves of {len(clinic.subjects)} subjects of the clinic{labels}"


def _weigh_source(
  strategy: Strategy,
  source: checkpoint.Checkpoint,
  data: Data,
  transducers: transducer_response.TransducerMixture | None,
  fed: dict[str, dict[str, np.ndarray]],
  seed: int,
) -> tuple[dict[str, dict[str, np.ndarray]], source_evidence.SourceEvidence]:
  """Returns the streams, with the weight of the source's windows, and the evidence for its world, if the strategy asks for it.

  At another site the source network errs in the same world too, so the source keeps its weight there.
  """
  if not strategy.weigh_source or data.labelled is None or data.site != source.site:
    return fed, source_evidence.SourceEvidence()
  people = data.needed("source", f"strategy {strategy.name}")
  evidence = assess_source(source, data, people, data.labelled, transducers, seed)
  if evidence.weight < 1:
    weight_b = np.full(len(fed["source"]["x"]), evidence.weight, np.float32)
    fed = {**fed, "source": {**fed["source"], "w": weight_b}}
  return fed, evidence


def assess_source(
  source: checkpoint.Checkpoint,
  data: Data,
  people: batches.Pairs | None,
  labelled: batches.Pairs,
  transducers: transducer_response.TransducerMixture | None,
  seed: int,
) -> source_evidence.SourceEvidence:
  """Returns the evidence that the labelled subjects are of the world of the source.

  Args:
    source: the source network.
    data: windows of the target, which show its clinic to a network that reads the circumstances.
    people: windows of the source; None for none.
    labelled: windows of the labelled subjects.
    transducers: those of the target, through which the people are recorded; None for people as they are.
    seed: draws a transducer for each window.
  """
  clinic = data.unlabelled if data.unlabelled is not None else labelled
  there = dataclasses.replace(source, scaling=source.scaling.at_clinic(clinic))
  if people is None or transducers is None or not transducers.has_transducers:
    elsewhere = dataclasses.replace(source, scaling=source.scaling.without_clinic())
    return source_evidence.assess(elsewhere, people, there, labelled)
  people = simulate_recording(transducers, people, source.scaling, source.windows.fs_hz, seed)
  return source_evidence.assess(there, people, there, labelled)


def finished(
  source: checkpoint.Checkpoint,
  data: Data,
  prepared: Prepared,
  fitted: loop.FitResult,
  facts: Mapping[str, Any] = MappingProxyType({}),
) -> Adapted:
  """Returns the trained target network with everything that its use needs.

  Args:
    source: the source network.
    data: windows of both domains.
    prepared: the training.
    fitted: its result.
    facts: provenance of the target's data, for the checkpoint.
  """
  of_source = {name: source.about[name] for name in ("source", "source_data") if source.about.get(name)}
  if prepared.strategy.needs_no_source:
    of_source = {"source": "none"}
  about: dict[str, Any] = {
    **of_source,
    **facts,
    "strategy": prepared.strategy.name,
    "changes": changes_of(prepared.strategy),
    "n_target": data.n_target if prepared.strategy.needs_labels else 0,
    "seed": prepared.spec.seed,
    "history": source.about,
  }
  target = checkpoint.Checkpoint(
    params=prepared.strategy.finish(fitted.params, prepared.net), model=prepared.model, scaling=prepared.scaling, signals=dataclasses.replace(source.signals, site=data.site), about=about,
    seen_subject_hashes=tuple(sorted({*source.seen_subject_hashes, *_hash_seen_subjects(data)})),
    uncertainty_calibration=_kept_intervals(prepared.strategy, source),
    blend=None if prepared.strategy.stages else source.blend,
  )  # fmt: skip
  labelled = next((part for part in prepared.fed.values() if "y" in part), None)
  collapse_warning = ""
  if labelled is not None and prepared.strategy.stages:
    collapse_warning = collapse.warning(prepared.net, target.params, labelled)
  reason = "; ".join(text for text in (collapse_warning, prepared.reason, str(prepared.transducers or "")) if text)
  return Adapted(
    checkpoint=target, fitted=fitted, report=prepared.report, reason=reason, transducers=prepared.transducers
  )


def _kept_intervals(
  strategy: Strategy, source: checkpoint.Checkpoint
) -> uncertainty_calibration.UncertaintyCalibration | None:
  """Returns the intervals of a network that is not trained: over clinics they hold in this one too, those of another clinic do not."""
  own = source.uncertainty_calibration
  return None if strategy.stages or (own is not None and own.where == uncertainty_calibration.OF_TARGET) else own


def adapt(
  strategy: Strategy,
  source: checkpoint.Checkpoint,
  data: Data,
  budget: Budget = Budget(),
  model: config.Model | None = None,
  facts: Mapping[str, Any] = MappingProxyType({}),
  recorder: loop.Recorder = loop.NOWHERE,
) -> Adapted:
  """Trains θ_t by a strategy: θ⁰ by merge, then its loss over the streams that it reads.

  The scaling comes with the source if its parameters or its windows are used, otherwise from the labelled subjects.

  Args:
    strategy: how to transfer.
    source: the trained source network.
    data: windows of both domains, as far as the strategy reads them.
    budget: steps, batch and seed.
    model: config of the target network; by default that of the source, with a head for the wave.
    facts: provenance of the target's data, for the checkpoint.
    recorder: where its states and metrics go.

  Returns:
    The trained target network, and how it was trained.

  Raises:
    InputError: the strategy reads windows that are missing, or cannot follow a source of this task.
    surgery.MergeError: the networks do not fit together as the strategy requires.
    splits.LeakError: a subject is in two parts of the data.
  """
  check_apart(data)
  prepared = prepare(strategy, source, data, budget, model)
  net, validate = prepared.net, None
  if data.validation is not None:
    validate = prediction.make_validator(
      net, lambda p: prepared.strategy.finish(p, net), prepared.scaling, prepared.model, data.validation, source.windows
    )
  label = f"{strategy.name}, n={data.n_target}, seed {budget.seed}"
  windows = {"target": data.labelled, "source": data.source, "unlabelled": data.unlabelled}
  subjects = {stream: part.subject_b for stream, part in windows.items() if stream in prepared.fed and part is not None}
  watch = loop.Watch(label, validate, subjects, recorder)
  fitted = loop.fit(net, prepared.loss, prepared.plans, prepared.params, prepared.fed, prepared.spec, watch)
  adapted = finished(source, data, prepared, fitted, facts)
  if fitted.best is None:
    return adapted
  score, params = fitted.best
  about = {**adapted.checkpoint.about, "steps": score.steps, "validation_rmse_mmhg": round(score.rmse_mmhg, 3)}
  best = dataclasses.replace(adapted.checkpoint, params=prepared.strategy.finish(params, net), about=about)
  return dataclasses.replace(adapted, best=best)


def _hash_seen_subjects(data: Data) -> tuple[str, ...]:
  """Returns the hashes of all subjects in the data."""
  windows = (data.source, data.unlabelled, data.labelled, data.validation)
  return checkpoint.digests_of(*(part.subjects for part in windows if part is not None))


def check_apart(data: Data) -> None:
  """Checks that no subject is in two parts. A labelled subject's waves may also serve as unlabelled ones.

  Args:
    data: windows of both domains.

  Raises:
    splits.LeakError: a subject is both of the source and of the target, or both used for training and validated on.
  """
  target = [name for part in (data.unlabelled, data.labelled) if part is not None for name in part.subjects]
  subjects = {"source": data.source.subjects if data.source is not None else (), "target": tuple(dict.fromkeys(target))}
  if data.validation is not None:
    subjects["validation"] = data.validation.subjects
  splits.Split(subjects)


def _source_reader(net: nets.Net, source_net: nets.Net, strategy: Strategy) -> nets.Net:
  """Returns the network that reads the source's windows: the target's extractor with the source task's head."""
  return dataclasses.replace(net, r=source_net.r if "s" in strategy.blocks else net.r)
