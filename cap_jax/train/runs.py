"""Whole trainings: of the source network on its task, and of a target network by a strategy."""

import dataclasses
import functools
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
from cap_jax.train import checkpoint, checks, collapse, forward, loop
from cap_jax.transfer import freezing, importance, likeness, lines, low_rank, pretraining, surgery
from cap_jax.transfer.strategy import Strategy
from cap_jax.types import LossFn, Params


@dataclasses.dataclass(frozen=True)
class Data:
  """What a strategy may use: labelled target windows (none for n_target 0), the source's, unlabelled ones of the target."""

  source: batches.Pairs
  unlabelled: batches.Waves
  labelled: batches.Pairs | None = None

  @property
  def n_target(self) -> int:
    return len(self.labelled.subjects) if self.labelled is not None else 0


@dataclasses.dataclass(frozen=True)
class Adapted:
  """A trained target network, how it was trained, the report of the merge, the reason of a choice, if one was made, the lines
  of the target's waves, if they were asked for, and the network as it was when validation subjects liked it best, if that was kept."""

  best: checkpoint.Checkpoint | None = dataclasses.field(default=None, kw_only=True)
  checkpoint: checkpoint.Checkpoint
  fitted: loop.Fitted
  report: list[surgery.Leaf]
  reason: str
  clinic: lines.Lines | None = None


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
  study: config.Study,
  training: batches.Pairs | streaming.Stream,
  validation: batches.Pairs,
  origin: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[checkpoint.Checkpoint, loop.Fitted]:
  """Trains the source network on its task; the checkpoint tells its validation error.

  Args:
    training: windows in memory, or streamed from a store.
    origin: where the data are from, for the checkpoint.

  Raises:
    splits.LeakError: a subject stands in both parts.
  """
  splits.Split({"training": training.subjects, "validation": validation.subjects})
  task = tasks.TASKS[study.task]
  model = task.model(study.model)
  numerics = task.numerics or ()
  scaling = batches.fit_scaling(training, (*model.covariates, *numerics))
  net = nets.make_net(model)
  margin, spec = study.windows.margin, study.pretrain
  source_loss = task.make_loss(net, margin)
  loss = terms.make_total(pretraining.STRATEGY.loss, "sum", terms.Context(net, source_loss, source_loss))
  fresh = net.init(jax.random.key(spec.seed), study.windows.samples)
  plans = loop.plan(pretraining.STRATEGY, spec.steps, spec.learning_rate, [()], ())
  stream: batches.Stream
  if isinstance(training, batches.Pairs):
    stream = arrays(scaling, training, model, numerics)
  else:
    stream = streaming.Scaled(training, scaling, model.covariates, numerics)
  who = {"source": training.subject_b} if isinstance(training, batches.Pairs) else {}
  fitted = loop.fit(net, loss, plans, fresh, {"source": stream}, spec, "pre-training", who=who)
  seen = arrays(scaling, validation, model, numerics)
  error = forward.evaluate(source_loss, fitted.params, seen)
  flat = collapse.warning(net, fitted.params, seen) if task.numerics is None else ""
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
    fitted.params, model, study.windows, scaling, study.site, study.task, about, study.calibration, study.reference,
    met=checkpoint.digests_of(training.subjects, validation.subjects),
  )  # fmt: skip
  return made, fitted


def streams(
  strategy: Strategy,
  data: Data,
  scaling: batches.Scaling,
  model: config.Model,
  source: checkpoint.Checkpoint,
  seed: int,
  site: str,
) -> tuple[dict[str, dict[str, np.ndarray]], lines.Lines | None]:
  """The streams that a strategy reads, and no other; and the lines of the target's waves, where it asks for them."""
  found: dict[str, dict[str, np.ndarray]] = {}
  clinic = None
  if "target" in strategy.streams and data.labelled is not None:
    found["target"] = arrays(scaling, data.labelled, model)
  if "unlabelled" in strategy.streams:
    found["unlabelled"] = arrays(scaling, data.unlabelled, model)
  if "source" in strategy.streams:
    numerics = tasks.TASKS[source.task].numerics or ()
    found["source"] = arrays(scaling, data.source, model, numerics)
    if strategy.reweigh:
      found["source"]["w"] = importance.weights(found["source"]["x"], scaling.scale(data.unlabelled.x_bt))
    if strategy.lines:
      clinic = lines_of(data, scaling, source.windows.fs_hz, site)
      found["source"]["x"] = _sent(clinic, data.source, scaling, source.windows.fs_hz, seed)
  return found, clinic


def lines_of(data: Data, scaling: batches.Scaling, fs_hz: float, site: str) -> lines.Lines:
  """The lines that the target's unlabelled waves show beside the source's."""
  return _lines_between(data.source, data.unlabelled, scaling, fs_hz, site)


# the same clinic is looked at for each number of labels, strategy and fold
@functools.lru_cache(4)
def _lines_between(
  source: batches.Pairs, unlabelled: batches.Waves, scaling: batches.Scaling, fs_hz: float, site: str
) -> lines.Lines:
  source_bt, target_bt = scaling.scale(source.x_bt), scaling.scale(unlabelled.x_bt)
  return lines.fit(source_bt, source.subject_b, target_bt, unlabelled.subject_b, fs_hz, site)


@functools.lru_cache(4)
def _sent(clinic: lines.Lines, windows: batches.Pairs, scaling: batches.Scaling, fs_hz: float, seed: int) -> np.ndarray:
  """Scaled windows (window, time) sent through a clinic's lines."""
  return lines.send(clinic, scaling.scale(windows.x_bt), fs_hz, seed)


def recorded(
  clinic: lines.Lines, windows: batches.Pairs, scaling: batches.Scaling, fs_hz: float, seed: int
) -> batches.Pairs:
  """Windows of the source as the target's clinic would have recorded them."""
  return dataclasses.replace(windows, x_bt=scaling.unscale(_sent(clinic, windows, scaling, fs_hz, seed)))


def distance(trained: checkpoint.Checkpoint, data: Data) -> float:
  """Proxy A-distance of a network's pooled features on source and target, without labels."""
  (h_s, subject_s), (h_t, subject_t) = (
    forward.pooled(trained, data.source, False),
    forward.pooled(trained, data.unlabelled, True),
  )
  return likeness.proxy_a_distance(h_s, h_t, subject_s, subject_t)


def _holds(
  strategy: Strategy, layers: tuple[str, ...], source: checkpoint.Checkpoint, data: Data
) -> tuple[list[tuple[str, ...]], str]:
  """The paths that each stage holds, and the reason where they were chosen."""
  choosing = any("auto" in stage.hold for stage in strategy.stages)
  apart = distance(source, data) if choosing else 0.0
  found = [freezing.resolve(stage.hold, layers, data.n_target, apart) for stage in strategy.stages]
  return [paths for paths, _ in found], "; ".join(reason for _, reason in found if reason)


@dataclasses.dataclass(frozen=True)
class Prepared:
  """A training by a strategy with everything decided.

  Attributes:
    params: θ⁰; report: of the merge.
    loss, plans, spec: see `loop.fit`.
    fed: stream → arrays of its windows.
    reason: of what was chosen; clinic: the lines of the target's waves, where the strategy asks for them.
  """

  name: str
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
  clinic: lines.Lines | None

  @property
  def net(self) -> nets.Net:
    return nets.make_net(self.model)


def prepare(
  study: config.Study,
  name: str,
  source: checkpoint.Checkpoint,
  data: Data,
  seed: int,
  site: str,
  streamed: tuple[dict[str, dict[str, np.ndarray]], lines.Lines | None] | None = None,
) -> Prepared:
  """What `adapt` trains; see there. `streamed`: its streams and lines, where they are made already."""
  strategy, model = checks.chosen(study, name, source.task)
  strategy = strategy.at(source.site, site)
  net, samples, margin = nets.make_net(model), study.windows.samples, study.windows.margin
  params, report = strategy.start(source.params, net, source.net, samples, jax.random.key(seed))
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
  plans = loop.plan(strategy, study.steps, strategy.learning_rate, holds, rates, data.n_target)
  losses = [strategy.in_stage(stage) for stage in strategy.stages]
  for k, part in enumerate(losses):
    if part != strategy.loss:
      own = terms.make_total(part, strategy.combine, context, low_rank.view)
      plans[k] = dataclasses.replace(plans[k], loss=own, reads=terms.streams(part))
  spec = config.Training(batch=study.batch, weight_decay=strategy.weight_decay, seed=seed, optimizer=strategy.optimizer)
  fed, clinic = streamed or streams(strategy, data, scaling, model, source, seed, site)
  if clinic is not None and not clinic.found:  # without line and label there is nothing to learn, and nothing is risked
    plans = [one for one, part in zip(plans, losses, strict=True) if "target" in terms.streams(part)]
  return Prepared(name, strategy, model, scaling, params, report, loss, plans, spec, fed, reason, clinic)


def finished(
  study: config.Study,
  source: checkpoint.Checkpoint,
  data: Data,
  site: str,
  begun: Prepared,
  fitted: loop.Fitted,
  validation: batches.Pairs | None = None,
) -> Adapted:
  """The network of a training, with all that its use needs."""
  about: dict[str, Any] = {
    "source": study.source,
    **({"source_data": study.source_data} if study.source_data else {}),
    **({"target_data": study.target_data} if study.target_data else {}),
    "strategy": begun.name,
    "changes": dict(study.custom.get(begun.name) or {}),
    "n_target": data.n_target if begun.strategy.needs_labels else 0,
    "seed": begun.spec.seed,
    "history": source.about,
  }
  made = checkpoint.Checkpoint(
    begun.strategy.finish(fitted.params, begun.net), begun.model, study.windows, begun.scaling, site, "waveform", about,
    study.calibration, study.reference, met=tuple(sorted({*source.met, *_met(data, validation)})),
  )  # fmt: skip
  labelled = next((part for part in begun.fed.values() if "y" in part), None)
  flat = collapse.warning(begun.net, made.params, labelled) if labelled is not None else ""
  reason = "; ".join(text for text in (flat, begun.reason, str(begun.clinic or "")) if text)
  return Adapted(made, fitted, begun.report, reason, begun.clinic)


def adapt(
  study: config.Study,
  name: str,
  source: checkpoint.Checkpoint,
  data: Data,
  seed: int,
  site: str,
  validation: batches.Pairs | None = None,
) -> Adapted:
  """Trains θ_t by a strategy: θ⁰ by merge, then its loss over the streams that it reads.

  Scaling comes with the source where its parameters or its windows are used; from the labelled subjects elsewhere.

  Args:
    study: networks, steps, batch, and changes of strategies.
    name: of the strategy.
    source: the trained source network.
    data: of both domains.
    seed: of fresh parameters and of the order of windows.
    site: where the target measures.
    validation: target windows on which the training is followed; nothing is chosen by them.

  Raises:
    surgery.MergeError: the networks do not fit together as the strategy asks.
    splits.LeakError: a subject stands in two parts of the data.
  """
  check_apart(data, validation)
  begun = prepare(study, name, source, data, seed, site)
  net, validate = begun.net, None
  if validation is not None:
    validate = forward.make_validator(
      net, lambda p: begun.strategy.finish(p, net), begun.scaling, begun.model, validation, study.windows
    )
  label = f"{name}, n={data.n_target}, seed {seed}"
  parts = {"target": data.labelled, "source": data.source, "unlabelled": data.unlabelled}
  who = {stream: part.subject_b for stream, part in parts.items() if stream in begun.fed and part is not None}
  fitted = loop.fit(net, begun.loss, begun.plans, begun.params, begun.fed, begun.spec, label, validate, who)
  made = finished(study, source, data, site, begun, fitted, validation)
  if fitted.best is None:
    return made
  seen, params = fitted.best
  about = {**made.checkpoint.about, "steps": seen.steps, "validation_rmse_mmhg": round(seen.rmse_mmhg, 3)}
  best = dataclasses.replace(made.checkpoint, params=begun.strategy.finish(params, net), about=about)
  return dataclasses.replace(made, best=best)


def _met(data: Data, validation: batches.Pairs | None) -> tuple[str, ...]:
  """Whom a target network meets: labelled, unlabelled and validation subjects of the target."""
  parts = (data.unlabelled, data.labelled, validation)
  return checkpoint.digests_of(*(part.subjects for part in parts if part is not None))


def check_apart(data: Data, validation: batches.Pairs | None) -> None:
  """A labelled subject's waves may serve as unlabelled ones too.

  Raises:
    splits.LeakError: somebody of the source is of the target too, or somebody whom the training sees is validated on.
  """
  seen = (*data.unlabelled.subjects, *(data.labelled.subjects if data.labelled is not None else ()))
  parts = {"source": data.source.subjects, "target": tuple(dict.fromkeys(seen))}
  if validation is not None:
    parts["validation"] = validation.subjects
  splits.Split(parts)


def _source_reader(net: nets.Net, source_net: nets.Net, strategy: Strategy) -> nets.Net:
  """The network that reads the source's windows: the target's extractor with the source task's head."""
  return dataclasses.replace(net, r=source_net.r if "s" in strategy.blocks else net.r)
