"""The training of a target network by a strategy."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from cap_jax import config
from cap_jax.data import scalings
from cap_jax.losses import tasks, terms
from cap_jax.models import net as nets
from cap_jax.strategies import (
  changes_of,
  freezing,
  low_rank,
  surgery,
  transducer_response,
)
from cap_jax.strategies.strategy import Strategy
from cap_jax.train import (
  checkpoint,
  checks,
  collapse,
  domains,
  filter_blend,
  loop,
  prediction,
  source_evidence,
  source_training,
  uncertainty_calibration,
)
from cap_jax.types import LossFn, Params


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


def _frozen_paths(
  strategy: Strategy, layers: tuple[str, ...], source: checkpoint.Checkpoint, data: domains.Data
) -> tuple[list[tuple[str, ...]], str]:
  """Returns the paths that each stage freezes, and the reason where they were chosen."""
  choosing = any("auto" in stage.freeze for stage in strategy.stages)
  d_a = domains.distance_if_known(source, data) if choosing else 0.0
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
  strategy: Strategy, source: checkpoint.Checkpoint, data: domains.Data, model: config.Model
) -> scalings.Scaling:
  """Returns the scaling of the target network: the source's if the strategy uses its parameters or its windows.

  A network that reads the context gets that of the target's clinic with it, labels included if the strategy reads them.
  """
  if not strategy.stages and not strategy.needs_labels:
    data.needed("unlabelled", f"strategy {strategy.name}")
  scaling = source.scaling if model.reads_context else dataclasses.replace(source.scaling, context=None)
  clinic = data.unlabelled if data.unlabelled is not None else data.labelled
  if data.labelled is not None and not checks.source_scales(strategy):
    scaling = scalings.fit(data.labelled, model.covariates, scaling.unitless, model.reads_context)
  elif data.labelled is not None and not source_training.outputs_pressure(scaling, source.task):
    mean, sd = data.labelled.moments(reference=True)
    scaling = dataclasses.replace(scaling, mean_mmhg=mean, sd_mmhg=sd)
  return scaling if clinic is None else scaling.at_clinic(clinic, data.labelled if strategy.needs_labels else None)


def prepare(
  strategy: Strategy,
  source: checkpoint.Checkpoint,
  data: domains.Data,
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
  checks.check_context(strategy, source.model)
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
  fed, transducers = streamed or domains.streams(strategy, data, scaling, model, source, budget.seed)
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


def _describe_context(strategy: Strategy, data: domains.Data, scaling: scalings.Scaling) -> str:
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
  data: domains.Data,
  transducers: transducer_response.TransducerMixture | None,
  fed: dict[str, dict[str, np.ndarray]],
  seed: int,
) -> tuple[dict[str, dict[str, np.ndarray]], source_evidence.SourceEvidence]:
  """Returns the streams, with the weight of the source's windows, and the evidence for its system, if the strategy asks for it.

  At another site the source network errs in the same system too, so the source keeps its weight there.
  """
  if not strategy.weigh_source or data.labelled is None or data.site != source.site:
    return fed, source_evidence.SourceEvidence()
  people = data.needed("source", f"strategy {strategy.name}")
  evidence = source_evidence.assess_clinic(source, data, people, data.labelled, transducers, seed)
  if evidence.weight < 1:
    weight_b = np.full(len(fed["source"]["x"]), evidence.weight, np.float32)
    fed = {**fed, "source": {**fed["source"], "w": weight_b}}
  return fed, evidence


def finished(
  source: checkpoint.Checkpoint,
  data: domains.Data,
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
    seen_subject_hashes=tuple(sorted({*source.seen_subject_hashes, *domains.hash_seen_subjects(data)})),
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
  data: domains.Data,
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
  domains.check_apart(data)
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


def _source_reader(net: nets.Net, source_net: nets.Net, strategy: Strategy) -> nets.Net:
  """Returns the network that reads the source's windows: the target's extractor with the source task's head."""
  return dataclasses.replace(net, r=source_net.r if "s" in strategy.blocks else net.r)
