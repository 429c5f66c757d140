"""Whole trainings: of the source network on its task, and of a target network by a strategy."""

import dataclasses
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
from cap_jax.train import checkpoint, loop
from cap_jax.transfer import find, freezing, importance, likeness, lines, low_rank, pretraining, surgery
from cap_jax.transfer.strategy import Strategy
from cap_jax.types import InputError, Params

_LIKENESS_WINDOWS = 1024


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
  """A trained target network, how it was trained, the report of the merge, the reason of a choice, if one was made, and the lines
  of the target's waves, if they were asked for."""

  checkpoint: checkpoint.Checkpoint
  fitted: loop.Fitted
  report: list[surgery.Leaf]
  reason: str
  clinic: lines.Lines | None = None


def target_model(study: config.Study) -> config.Model:
  """The target's network: its own, or the source's with a head for the wave."""
  if study.target_model.extractor:
    return study.target_model
  head = nets.WAVE_HEADS.get(study.model.extractor, "waveform")
  return dataclasses.replace(study.model, head=head) if study.model.head == "numbers" else study.model


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
  fitted = loop.fit(net, loss, plans, fresh, {"source": stream}, spec, "pre-training")
  error = loop.evaluate(source_loss, fitted.params, arrays(scaling, validation, model, numerics))
  about = {
    **origin,
    "source_subjects": len(training.subjects),
    "steps": spec.steps,
    # of standardised numerics too, where the task has them
    "validation_rmse_mmhg": round(scaling.sd_mmhg * error, 3),
    "train_s": round(fitted.train_s, 1),
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
      x_bt, fs_hz = found["source"]["x"], source.windows.fs_hz
      seen_bt = scaling.scale(data.unlabelled.x_bt)
      clinic = lines.fit(x_bt, data.source.subject_b, seen_bt, data.unlabelled.subject_b, fs_hz, site)
      found["source"]["x"] = lines.send(clinic, x_bt, fs_hz, seed)
  return found, clinic


def recorded(
  clinic: lines.Lines, windows: batches.Pairs, scaling: batches.Scaling, fs_hz: float, seed: int
) -> batches.Pairs:
  """Windows of the source as the target's clinic would have recorded them."""
  seen_bt = lines.send(clinic, scaling.scale(windows.x_bt), fs_hz, seed)
  return dataclasses.replace(windows, x_bt=scaling.unscale(seen_bt))


def pooled(
  trained: checkpoint.Checkpoint, windows: batches.Pairs | batches.Waves, adapted: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Features of up to 1,024 windows, averaged over tokens, (window, feature), and their subjects; unadapted, the input is read
  as it is."""
  rows = np.random.default_rng(0).permutation(len(windows.x_bt))[:_LIKENESS_WINDOWS]
  c_bq = trained.scaling.standardise(windows.covariates, trained.model.covariates, len(windows.x_bt))
  h_bnd = loop.features(
    trained.net, trained.params, trained.scaling.scale(windows.x_bt[rows]), c_bq[rows], adapted=adapted
  )
  return h_bnd.mean(1), windows.subject_b[rows]


def distance(trained: checkpoint.Checkpoint, data: Data) -> float:
  """Proxy A-distance of a network's pooled features on source and target, without labels."""
  (h_s, subject_s), (h_t, subject_t) = pooled(trained, data.source, False), pooled(trained, data.unlabelled, True)
  return likeness.proxy_a_distance(h_s, h_t, subject_s, subject_t)


def _holds(
  strategy: Strategy, layers: tuple[str, ...], source: checkpoint.Checkpoint, data: Data
) -> tuple[list[tuple[str, ...]], str]:
  """The paths that each stage holds, and the reason where they were chosen."""
  choosing = any("auto" in stage.hold for stage in strategy.stages)
  apart = distance(source, data) if choosing else 0.0
  found = [freezing.resolve(stage.hold, layers, data.n_target, apart) for stage in strategy.stages]
  return [paths for paths, _ in found], "; ".join(reason for _, reason in found if reason)


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
  _check_apart(data, validation)
  strategy, model = _chosen(study, name, source.task)
  strategy = strategy.at(source.site, site)
  net, samples, margin = nets.make_net(model), study.windows.samples, study.windows.margin
  params, report = strategy.start(source.params, net, source.net, samples, jax.random.key(seed))
  if _source_scales(strategy) or data.labelled is None:
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
  plans = loop.plan(strategy, study.steps, strategy.learning_rate, holds, strategy.rates(layers))
  spec = config.Training(batch=study.batch, weight_decay=strategy.weight_decay, seed=seed, optimizer=strategy.optimizer)
  validate = None
  if validation is not None:
    validate = loop.make_validator(net, lambda p: strategy.finish(p, net), scaling, model, validation, study.windows)
  label = f"{name}, n={data.n_target}, seed {seed}"
  fed, clinic = streams(strategy, data, scaling, model, source, seed, site)
  if clinic is not None and not clinic.found and not strategy.needs_labels:
    plans = []  # no line, no label: there is nothing to learn, and nothing is risked
  fitted = loop.fit(net, loss, plans, params, fed, spec, label, validate)
  about: dict[str, Any] = {
    "source": study.source,
    **({"source_data": study.source_data} if study.source_data else {}),
    **({"target_data": study.target_data} if study.target_data else {}),
    "strategy": name,
    "changes": dict(study.custom.get(name) or {}),
    "n_target": data.n_target if strategy.needs_labels else 0,
    "seed": seed,
    "history": source.about,
  }
  finished = strategy.finish(fitted.params, net)
  made = checkpoint.Checkpoint(
    finished, model, study.windows, scaling, site, "waveform", about, study.calibration, study.reference,
    met=tuple(sorted({*source.met, *_met(data, validation)})),
  )  # fmt: skip
  return Adapted(made, fitted, report, "; ".join(text for text in (reason, str(clinic or "")) if text), clinic)


def _met(data: Data, validation: batches.Pairs | None) -> tuple[str, ...]:
  """Whom a target network meets: labelled, unlabelled and validation subjects of the target."""
  parts = (data.unlabelled, data.labelled, validation)
  return checkpoint.digests_of(*(part.subjects for part in parts if part is not None))


def _check_apart(data: Data, validation: batches.Pairs | None) -> None:
  """A labelled subject's waves may serve as unlabelled ones too.

  Raises:
    splits.LeakError: somebody of the source is of the target too, or somebody whom the training sees is validated on.
  """
  seen = (*data.unlabelled.subjects, *(data.labelled.subjects if data.labelled is not None else ()))
  parts = {"source": data.source.subjects, "target": tuple(dict.fromkeys(seen))}
  if validation is not None:
    parts["validation"] = validation.subjects
  splits.Split(parts)


def _chosen(study: config.Study, name: str, task: str) -> tuple[Strategy, config.Model]:
  """The strategy, and the target's network with the adaptor that it asks for.

  Raises:
    InputError: the strategy cannot follow a source of this task.
  """
  strategy = find(name, study.custom.get(name))
  _check_task(name, strategy, task)
  model = target_model(study)
  return strategy, dataclasses.replace(model, adaptor=strategy.adaptor) if strategy.adaptor != "none" else model


def check(study: config.Study, name: str, source_model: config.Model, task: str) -> None:
  """Before long work: that a strategy fits a source network.

  Raises:
    InputError: it cannot follow a source of this task.
    surgery.MergeError: the networks do not fit together as it asks, or it holds what there is not.
  """
  strategy, model = _chosen(study, name, task)
  net, source_net, samples = nets.make_net(model), nets.make_net(source_model), study.windows.samples
  unknown = [word for word in model.covariates if word not in source_model.covariates]
  if unknown and _source_scales(strategy):
    raise InputError(
      f"strategy {name}: the source network takes no {', '.join(unknown)}, so the target's cannot either"
    )
  try:
    _check_parts(strategy, net, source_net, samples, task)
  except surgery.MergeError as error:
    raise surgery.MergeError(f"strategy {name}: {error}") from None


def _source_scales(strategy: Strategy) -> bool:
  """Whether scaling comes with the source: where its parameters or its windows are used."""
  return bool(strategy.take) or "source" in strategy.streams or not strategy.needs_labels


def _check_parts(strategy: Strategy, net: nets.Net, source_net: nets.Net, samples: int, task: str) -> None:
  if not {"target", "source"} & {term.name for term in strategy.loss} and "r" not in strategy.take:
    raise surgery.MergeError("nothing trains its fresh head; take r, or add the loss target")

  def begin() -> Params:
    source = source_net.init(jax.random.key(0), samples)
    return strategy.start(source, net, source_net, samples, jax.random.key(1))[0]

  start = jax.eval_shape(begin)  # shapes tell it all: nothing is drawn or compiled
  for stage in strategy.stages:
    paths, _ = freezing.resolve(stage.hold, net.layers(samples), 1, 0.0)
    labels = surgery.label(start, strategy.held(paths))
    own = {block: labels[block] for block in (*net.blocks, low_rank.BLOCK) if block in labels}
    if "train" not in jax.tree.leaves(own):
      raise surgery.MergeError(f"all of its network is held ({', '.join(paths)}); leave something to train")
  # `labels` are those of the last stage
  if task != "waveform" and "r" in strategy.take and "hold" in jax.tree.leaves(labels["r"]):
    raise surgery.MergeError(f"its head was trained for {task} and stays held; let the last stage train all of r")


def _check_task(name: str, strategy: Strategy, task: str) -> None:
  """Raises:
  InputError: the strategy trains, takes or keeps the head of another task than the target's."""
  if task == "waveform":
    return
  shares_head = any(term.name == "source" for term in strategy.loss)
  takes_head = any(rule == "r" or rule.startswith("r/") for rule in strategy.take)
  gives_numbers = tasks.TASKS[task].numerics is not None
  if shares_head or (takes_head and (gives_numbers or not strategy.needs_labels)):
    raise InputError(
      f"strategy {name}: its head comes from the source, which was trained for {task}; take other parts "
      '(take=("f",)) or give the source\'s task a head of its own (the loss source_task)'
    )


def _source_reader(net: nets.Net, source_net: nets.Net, strategy: Strategy) -> nets.Net:
  """The network that reads the source's windows: the target's extractor with the source task's head."""
  return dataclasses.replace(net, r=source_net.r if "s" in strategy.blocks else net.r)
