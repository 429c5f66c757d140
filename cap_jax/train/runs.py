"""Whole trainings: of the source network on its task, and of a target network by a strategy."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from cap_jax import config
from cap_jax.data import batches, splits
from cap_jax.data import stream as streaming
from cap_jax.losses import tasks, terms
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
from cap_jax.train import checkpoint, checks, collapse, loop, prediction
from cap_jax.types import InputError, LossFn, Params

_MODEL, _SPEC, _SIGNALS = config.Model(), config.Training(learning_rate=2e-2), config.Signals()
_PARTS = {
  "source": "windows of the source",
  "unlabelled": "unlabelled windows of the target",
  "labelled": "windows of labelled target subjects",
}


@dataclasses.dataclass(frozen=True)
class Data:
  """What a strategy may use.

  Attributes:
    source: windows of the source, for strategies that read them.
    unlabelled: peripheral windows of the target, likewise.
    labelled: windows of the labelled target subjects, likewise.
    validation: target windows on which the training is followed; nothing is chosen by them.
    site: where the target measures.
  """

  source: batches.Pairs | None = None
  unlabelled: batches.Waves | None = None
  labelled: batches.Pairs | None = None
  validation: batches.Pairs | None = None
  site: str = "radial"

  @property
  def n_target(self) -> int:
    return len(self.labelled.subjects) if self.labelled is not None else 0

  def needed(self, part: str, by: str) -> Any:
    """A part that somebody reads.

    Raises:
      InputError: it was not given.
    """
    found = getattr(self, part)
    if found is None:
      raise InputError(f"{by}: reads {_PARTS[part]}, and none were given; pass {part}=")
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapted:
  """A trained target network, how it was trained, the report of the merge, the reason of a choice, if one was made, the lines
  of the target's waves, if they were asked for, and the network as it was when validation subjects liked it best, if that was kept."""

  best: checkpoint.Checkpoint | None = None
  checkpoint: checkpoint.Checkpoint
  fitted: loop.FitResult
  report: list[surgery.Leaf]
  reason: str
  transducers: transducer_response.TransducerMixture | None = None


def arrays(
  scaling: batches.Scaling, windows: batches.Pairs | batches.Waves, model: config.Model, numerics: Sequence[str] = ()
) -> dict[str, np.ndarray]:
  """A stream of a batch: "x", "c", "m", and "y" where there is a reference, all scaled."""
  count = len(windows.x_bt)
  stream = {
    "x": scaling.scale(windows.x_bt),
    "c": scaling.standardise(windows.covariates, model.covariates, count),
  }
  if isinstance(windows, batches.Pairs):
    stream["y"] = scaling.scale(windows.y_bt)
    stream["m"] = scaling.standardise(windows.covariates, numerics, count)
  return stream


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
  """Trains a source network on its task. The checkpoint tells its validation error.

  Args:
    training: windows in memory, or streamed from a store.
    validation: windows of other subjects.
    task: name in `tasks.TASKS`.
    model: the network; the task chooses its head.
    spec: steps, batch, rates and seed.
    signals: what the windows are.
    origin: where the data are from, for the checkpoint.
    recorder: where its states and metrics go.

  Returns:
    The checkpoint, and what the training gave.

  Raises:
    splits.LeakError: a subject stands in both parts.
  """
  splits.Split({"training": training.subjects, "validation": validation.subjects})
  of_task = tasks.TASKS[task]
  model = of_task.model(model)
  numerics = of_task.numerics or ()
  scaling = batches.fit_scaling(training, (*model.covariates, *numerics))
  nets.check(model, signals.windows)
  net = nets.make_net(model)
  source_loss = of_task.make_loss(net, signals.windows.margin)
  loss = terms.make_total(pretraining.STRATEGY.loss, "sum", terms.Context(net, source_loss, source_loss))
  fresh = net.init(jax.random.key(spec.seed), signals.windows.samples)
  plans = loop.plan(pretraining.STRATEGY, spec.steps, spec.learning_rate, [()], ())
  stream: batches.Stream
  if isinstance(training, batches.Pairs):
    stream = arrays(scaling, training, model, numerics)
  else:
    stream = streaming.Scaled(training, scaling, model.covariates, numerics)
  who = {"source": training.subject_b} if isinstance(training, batches.Pairs) else {}
  fitted = loop.fit(
    net, loss, plans, fresh, {"source": stream}, spec, loop.Watch("pre-training", subjects=who, recorder=recorder)
  )
  seen = arrays(scaling, validation, model, numerics)
  error = prediction.evaluate(source_loss, fitted.params, seen)
  flat = collapse.warning(net, fitted.params, seen) if of_task.numerics is None else ""
  about = {
    **origin,
    "source_subjects": len(training.subjects),
    "steps": spec.steps,
    # of standardised numerics too, where the task has them
    "validation_rmse_mmhg": round(scaling.sd_mmhg * error, 3),
    "train_s": round(fitted.train_s, 1),
    **({"warning": flat} if flat else {}),
  }
  made = checkpoint.Checkpoint(
    params=fitted.params, model=model, windows=signals.windows, scaling=scaling, site=signals.site, task=task, about=about, calibration=signals.calibration, reference=signals.reference,
    seen_subject_hashes=checkpoint.digests_of(training.subjects, validation.subjects),
  )  # fmt: skip
  return made, fitted


def streams(
  strategy: Strategy,
  data: Data,
  scaling: batches.Scaling,
  model: config.Model,
  source: checkpoint.Checkpoint,
  seed: int,
) -> tuple[dict[str, dict[str, np.ndarray]], transducer_response.TransducerMixture | None]:
  """The streams that a strategy reads, and no other; and the lines of the target's waves, where it asks for them.

  Raises:
    InputError: it reads windows that were not given.
  """
  by = f"strategy {strategy.name}"
  found: dict[str, dict[str, np.ndarray]] = {}
  transducers = None
  if "target" in strategy.streams:
    found["target"] = arrays(scaling, data.needed("labelled", by), model)
  if "unlabelled" in strategy.streams:
    found["unlabelled"] = arrays(scaling, data.needed("unlabelled", by), model)
  if "source" in strategy.streams:
    numerics = tasks.TASKS[source.task].numerics or ()
    people = data.needed("source", by)
    found["source"] = arrays(scaling, people, model, numerics)
    if strategy.reweigh:
      found["source"]["w"] = importance.weights(found["source"]["x"], scaling.scale(data.needed("unlabelled", by).x_bt))
    if strategy.transducer:
      transducers = transducers_of(data, scaling, source.windows.fs_hz, by)
      found["source"]["x"] = _sent(transducers, people, scaling, source.windows.fs_hz, seed)
  return found, transducers


def transducers_of(
  data: Data, scaling: batches.Scaling, fs_hz: float, by: str
) -> transducer_response.TransducerMixture:
  """The lines that the target's unlabelled waves show beside the source's; `by` asks for them.

  Raises:
    InputError: there are no windows of one of the two.
  """
  return _lines_between(data.needed("source", by), data.needed("unlabelled", by), scaling, fs_hz, data.site)


# the same clinic is looked at for each number of labels, strategy and fold
@functools.lru_cache(4)
def _lines_between(
  source: batches.Pairs, unlabelled: batches.Waves, scaling: batches.Scaling, fs_hz: float, site: str
) -> transducer_response.TransducerMixture:
  source_bt, target_bt = scaling.scale(source.x_bt), scaling.scale(unlabelled.x_bt)
  return transducer_response.fit(source_bt, source.subject_b, target_bt, unlabelled.subject_b, fs_hz, site)


@functools.lru_cache(4)
def _sent(
  transducers: transducer_response.TransducerMixture,
  windows: batches.Pairs,
  scaling: batches.Scaling,
  fs_hz: float,
  seed: int,
) -> np.ndarray:
  """Scaled windows (window, time) sent through a clinic's lines."""
  return transducer_response.apply(transducers, scaling.scale(windows.x_bt), fs_hz, seed)


def simulate_recording(
  transducers: transducer_response.TransducerMixture,
  windows: batches.Pairs,
  scaling: batches.Scaling,
  fs_hz: float,
  seed: int,
) -> batches.Pairs:
  """Windows of the source as the target's clinic would have recorded them."""
  return dataclasses.replace(windows, x_bt=scaling.unscale(_sent(transducers, windows, scaling, fs_hz, seed)))


def distance(trained: checkpoint.Checkpoint, data: Data) -> float:
  """Proxy A-distance of a network's pooled features on source and target, without labels.

  Raises:
    InputError: there are no windows of one of the two.
  """
  (h_s, subject_s), (h_t, subject_t) = (
    prediction.pooled(trained, data.needed("source", "the distance of the domains"), False),
    prediction.pooled(trained, data.needed("unlabelled", "the distance of the domains"), True),
  )
  return domain_distance.proxy_a_distance(h_s, h_t, subject_s, subject_t)


def _distance_if_known(trained: checkpoint.Checkpoint, data: Data) -> float:
  """`distance`, by the labelled subjects' waves where there are no others; NaN where a domain has fewer than two subjects."""
  if data.unlabelled is None and data.labelled is not None:
    data = dataclasses.replace(data, unlabelled=data.labelled.unlabelled())
  domains = (data.source, data.unlabelled)
  enough = all(part is not None and len(part.subjects) > 1 for part in domains)
  return distance(trained, data) if enough else math.nan


def _holds(
  strategy: Strategy, layers: tuple[str, ...], source: checkpoint.Checkpoint, data: Data
) -> tuple[list[tuple[str, ...]], str]:
  """The paths that each stage holds, and the reason where they were chosen."""
  choosing = any("auto" in stage.freeze for stage in strategy.stages)
  apart = _distance_if_known(source, data) if choosing else 0.0
  found = [freezing.resolve(stage.freeze, layers, data.n_target, apart) for stage in strategy.stages]
  return [paths for paths, _ in found], "; ".join(reason for _, reason in found if reason)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
  """A training by a strategy with everything decided.

  Attributes:
    params: θ⁰; report: of the merge.
    loss, plans, spec: see `loop.fit`.
    fed: stream → arrays of its windows.
    reason: of what was chosen; transducers: the lines of the target's waves, where the strategy asks for them.
  """

  strategy: Strategy
  model: config.Model
  scaling: batches.Scaling
  params: Params
  report: list[surgery.Leaf]
  loss: LossFn
  plans: list[loop.Plan]
  spec: config.Training
  fed: dict[str, dict[str, np.ndarray]]
  reason: str
  transducers: transducer_response.TransducerMixture | None

  @property
  def net(self) -> nets.Net:
    return nets.make_net(self.model)


@dataclasses.dataclass(frozen=True)
class Budget:
  """Steps of a strategy, all stages together, windows of each stream in a step, and the seed of fresh parameters and of the order of
  windows. Rates belong to the strategy."""

  steps: int = 600
  batch: int = 32
  seed: int = 0

  def __post_init__(self) -> None:
    """Raises:
    InputError: a number cannot be."""
    config.check_steps("Budget.steps", self.steps)
    for name, least in (("batch", 1), ("seed", 0)):
      value = getattr(self, name)
      if not isinstance(value, int) or value < least:
        raise InputError(f"Budget.{name}={value}: must be a whole number, {least} or more")


def prepare(
  strategy: Strategy,
  source: checkpoint.Checkpoint,
  data: Data,
  budget: Budget = Budget(),
  model: config.Model | None = None,
  streamed: tuple[dict[str, dict[str, np.ndarray]], transducer_response.TransducerMixture | None] | None = None,
) -> Prepared:
  """Decides all that `adapt` trains; see there. `streamed`: its streams and lines, where they are made already."""
  checks.check_task(strategy, source.task)
  model = checks.with_adaptor(strategy, model or checks.wave_model(source.model))
  strategy = strategy.at(source.site, data.site)
  net, samples, margin = nets.make_net(model), source.windows.samples, source.windows.margin
  params, report = strategy.start(source.params, net, source.net, samples, jax.random.key(budget.seed))
  if checks.source_scales(strategy) or data.labelled is None:
    scaling = source.scaling
  else:
    scaling = batches.fit_scaling(data.labelled, model.covariates)
  layers = net.layers(samples)
  holds, reason = _holds(strategy, layers, source, data)
  context = terms.Context(
    net,
    tasks.TASKS["waveform"].make_loss(net, margin),
    tasks.TASKS[source.task].make_loss(_source_reader(net, source.net, strategy), margin),
  )
  loss = terms.make_total(strategy.loss, strategy.combine, context, low_rank.view)
  rates = strategy.rates(layers)
  plans = loop.plan(strategy, budget.steps, strategy.learning_rate, holds, rates, data.n_target)
  losses = [strategy.in_stage(stage) for stage in strategy.stages]
  for k, part in enumerate(losses):
    if part != strategy.loss:
      own = terms.make_total(part, strategy.combine, context, low_rank.view)
      plans[k] = dataclasses.replace(plans[k], loss=own, reads=terms.streams(part))
  spec = config.Training(
    batch=budget.batch, weight_decay=strategy.weight_decay, seed=budget.seed, optimizer=strategy.optimizer
  )
  fed, transducers = streamed or streams(strategy, data, scaling, model, source, budget.seed)
  if (
    transducers is not None and not transducers.found
  ):  # without line and label there is nothing to learn, and nothing is risked
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
    reason=reason,
    transducers=transducers,
  )


def finished(
  source: checkpoint.Checkpoint,
  data: Data,
  begun: Prepared,
  fitted: loop.FitResult,
  facts: Mapping[str, Any] = MappingProxyType({}),
) -> Adapted:
  """The network of a training, with all that its use needs."""
  of_source = {name: source.about[name] for name in ("source", "source_data") if source.about.get(name)}
  about: dict[str, Any] = {
    **of_source,
    **facts,
    "strategy": begun.strategy.name,
    "changes": changes_of(begun.strategy),
    "n_target": data.n_target if begun.strategy.needs_labels else 0,
    "seed": begun.spec.seed,
    "history": source.about,
  }
  made = checkpoint.Checkpoint(
    params=begun.strategy.finish(fitted.params, begun.net), model=begun.model, windows=source.windows, scaling=begun.scaling, site=data.site, task="waveform", about=about,
    calibration=source.calibration, reference=source.reference, seen_subject_hashes=tuple(sorted({*source.seen_subject_hashes, *_subjects_seen(data)})),
  )  # fmt: skip
  labelled = next((part for part in begun.fed.values() if "y" in part), None)
  flat = collapse.warning(begun.net, made.params, labelled) if labelled is not None else ""
  reason = "; ".join(text for text in (flat, begun.reason, str(begun.transducers or "")) if text)
  return Adapted(checkpoint=made, fitted=fitted, report=begun.report, reason=reason, transducers=begun.transducers)


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

  Scaling comes with the source where its parameters or its windows are used; from the labelled subjects elsewhere.

  Args:
    strategy: how to transfer.
    source: the trained source network.
    data: of both domains, as far as the strategy reads them.
    budget: steps, batch and seed.
    model: the target's network; without it that of the source, with a head for the wave.
    facts: where the target's data are from, for the checkpoint.
    recorder: where its states and metrics go.

  Returns:
    The trained target network, and how it was trained.

  Raises:
    InputError: the strategy reads windows that were not given, or cannot follow a source of this task.
    surgery.MergeError: the networks do not fit together as the strategy asks.
    splits.LeakError: a subject stands in two parts of the data.
  """
  check_apart(data)
  begun = prepare(strategy, source, data, budget, model)
  net, validate = begun.net, None
  if data.validation is not None:
    validate = prediction.make_validator(
      net, lambda p: begun.strategy.finish(p, net), begun.scaling, begun.model, data.validation, source.windows
    )
  label = f"{strategy.name}, n={data.n_target}, seed {budget.seed}"
  parts = {"target": data.labelled, "source": data.source, "unlabelled": data.unlabelled}
  who = {stream: part.subject_b for stream, part in parts.items() if stream in begun.fed and part is not None}
  watch = loop.Watch(label, validate, who, recorder)
  fitted = loop.fit(net, begun.loss, begun.plans, begun.params, begun.fed, begun.spec, watch)
  made = finished(source, data, begun, fitted, facts)
  if fitted.best is None:
    return made
  seen, params = fitted.best
  about = {**made.checkpoint.about, "steps": seen.steps, "validation_rmse_mmhg": round(seen.rmse_mmhg, 3)}
  best = dataclasses.replace(made.checkpoint, params=begun.strategy.finish(params, net), about=about)
  return dataclasses.replace(made, best=best)


def _subjects_seen(data: Data) -> tuple[str, ...]:
  """Whom a target network meets: labelled, unlabelled and validation subjects of the target."""
  parts = (data.unlabelled, data.labelled, data.validation)
  return checkpoint.digests_of(*(part.subjects for part in parts if part is not None))


def check_apart(data: Data) -> None:
  """Checks that no subject stands in two parts. A labelled subject's waves may serve as unlabelled ones too.

  Raises:
    splits.LeakError: somebody of the source is of the target too, or somebody whom the training sees is validated on.
  """
  target = [name for part in (data.unlabelled, data.labelled) if part is not None for name in part.subjects]
  parts = {"source": data.source.subjects if data.source is not None else (), "target": tuple(dict.fromkeys(target))}
  if data.validation is not None:
    parts["validation"] = data.validation.subjects
  splits.Split(parts)


def _source_reader(net: nets.Net, source_net: nets.Net, strategy: Strategy) -> nets.Net:
  """The network that reads the source's windows: the target's extractor with the source task's head."""
  return dataclasses.replace(net, r=source_net.r if "s" in strategy.blocks else net.r)
