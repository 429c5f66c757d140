"""A strategy as a value: what comes from the source, what is frozen, and the loss.

    θ⁰ = θ_init^S ⊕ θ_rest^new,     θ_frozen frozen,     the rest minimises L = Σ λ_i(t) L_i

The training never depends on the name of a strategy. A new strategy, or a combination of old ones, is a new value.
"""

import dataclasses
import math
from collections.abc import Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cap_jax import config
from cap_jax.losses import multi_task, terms
from cap_jax.losses.terms import Term
from cap_jax.models.discriminator import Discriminator
from cap_jax.models.net import ADAPTORS, Net
from cap_jax.strategies import low_rank, surgery
from cap_jax.strategies.surgery import check_paths
from cap_jax.types import InputError, Params, suggest

LEAST_STEPS = 150
FROZEN = ("f_s", "anchor", "teacher")
# ln σ² must move from 0 to the logarithm of a loss, some −6, in some hundred steps
_BALANCE_RATE = 20.0


def _check(kind: str, name: str, registered: Collection[str]) -> None:
  if name not in registered:
    raise InputError(f"{kind} {name!r} is unknown; {suggest(name, registered)}")


class Stage(NamedTuple):
  """A part of the training.

  Attributes:
    freeze: what is frozen in it: path prefixes such as "f/embed", or "first:N", "last:N%", "auto".
    share: share of the steps.
    rate: learning rate relative to the strategy's.
    without: names of the terms of the loss that it omits.
    per_label: steps for each labelled subject, at least 150 and at most its share; 0 for its whole share.
  """

  freeze: tuple[str, ...] = ()
  share: float = 1.0
  rate: float = 1.0
  without: tuple[str, ...] = ()
  per_label: int = 0

  def steps(self, most: int, n_target: int) -> int:
    """Returns the number of steps.

    Args:
      most: steps of its share.
      n_target: number of labelled subjects.
    """
    return min(most, max(self.per_label * n_target, LEAST_STEPS)) if self.per_label else most


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strategy:
  """One way to transfer.

  Attributes:
    equation: θ_t in the notation of the method, for readers.
    init_from_source: path prefixes that come from the source. "s=r" initialises the block s, a head for the source's
      own task, from the source's r.
    stages: what is frozen, stage by stage. A frozen f computes its features once. () trains nothing: a loss
      then says only which windows are the context (`models.context_cnn`).
    loss: terms, weights, schedules.
    combine: how the terms are balanced, name in `multi_task.MAKERS`.
    adaptor: adaptor ahead of the target's extractor, name in `net.ADAPTORS`.
    separate: whether the source keeps an extractor of its own, θ_s, frozen.
    reweigh: whether source windows count by importance weights.
    transducer: whether source windows are simulated through the target's transducers
      (`strategies.transducer_response`).
    weigh_source: whether the source's loss is multiplied by the evidence that the labelled subjects are of its system
      (`train.source_evidence`).
    by_site: whether the source keeps a head of its own, s, if the target measures at another site (`at`).
    low_rank: rank of the change of each matrix, 0 for none.
    rate_decay: factor on the learning rate from one layer to the one before it.
    learning_rate: highest learning rate; those of the registered strategies were chosen on validation subjects.
    weight_decay: weight decay, chosen likewise.
    optimizer: name in `train.optimizer.OPTIMIZERS`.
    name: for messages, logs and the checkpoint.
  """

  equation: str = ""
  init_from_source: tuple[str, ...] = ()
  stages: tuple[Stage, ...] = (Stage(),)
  loss: tuple[Term, ...] = (Term("target"),)
  combine: str = "sum"
  adaptor: str = "none"
  separate: bool = False
  reweigh: bool = False
  transducer: bool = False
  weigh_source: bool = False
  by_site: bool = False
  low_rank: int = 0
  rate_decay: float = 1.0
  learning_rate: float = 1e-2
  weight_decay: float = 1e-2
  optimizer: str = "adam"
  name: str = "custom"

  def __post_init__(self) -> None:
    """Checks the values.

    Raises:
      InputError: a name is unknown, a number is out of range, or options exclude each other.
    """
    check_paths(self.init_from_source, "init_from_source")
    for field, kind in (("stages", Stage), ("loss", Term)):
      value = getattr(self, field)
      if not isinstance(value, tuple) or isinstance(value, kind) or not all(isinstance(one, kind) for one in value):
        raise InputError(f"{field}={value}: must be a tuple of {kind.__name__}, as ({kind.__name__}(…),)")
    self._check_numbers()
    for term in self.loss:
      if term.definition is None:
        _check("loss", term.name, terms.TERMS)
      elif term.name in terms.TERMS or not isinstance(term.definition, terms.Definition):
        raise InputError(f"loss {term.name!r}: a term of your own needs a new name and a Definition")
      _check("schedule", term.schedule, multi_task.SCHEDULES)
      if not 0 < term.weight < math.inf:
        raise InputError(f"loss {term.name}: weight {term.weight} must be positive; omit the term for no weight")
    _check("combine", self.combine, multi_task.MAKERS)
    _check("adaptor", self.adaptor, ADAPTORS)
    untrained = not self.stages and {"f", "r"} <= set(self.init_from_source)
    if not untrained and (not self.loss or not self.stages):
      raise InputError(
        f"stages={self.stages}, loss={self.loss}: pass at least one stage and one term; or no stage, with f and r from the source"
      )
    shares = sum(stage.share for stage in self.stages)
    if self.stages and abs(shares - 1) > 1e-6:
      raise InputError(f"stages: their shares add up to {shares:g}; they must add up to 1")
    if self.stages and not self.streams:
      raise InputError(f"loss={self.loss}: reads no windows; add a term that does, such as target")
    if self.transducer and "source" not in self.streams:
      raise InputError(f"transducer, loss={self.loss}: no term reads source windows; add a term such as source")
    if self.learning_rate <= 0 or self.weight_decay < 0 or self.low_rank < 0 or not 0 < self.rate_decay <= 1:
      raise InputError(
        f"learning_rate={self.learning_rate}, weight_decay={self.weight_decay}, low_rank={self.low_rank}, "
        f"rate_decay={self.rate_decay}: learning_rate must be positive, weight_decay and low_rank 0 or more, rate_decay in (0, 1]"
      )
    if min((min(stage.share, stage.rate) for stage in self.stages), default=1.0) <= 0:
      raise InputError(f"stages={self.stages}: shares and rates must be positive")
    self._check_stages()
    self._check_together()

  def _check_numbers(self) -> None:
    """Checks the types of numbers and paths."""
    real = {name: getattr(self, name) for name in ("learning_rate", "weight_decay", "rate_decay")}
    whole = {"low_rank": self.low_rank}
    for number, stage in enumerate(self.stages):
      check_paths(stage.freeze, f"stages[{number}].freeze")
      check_paths(stage.without, f"stages[{number}].without")
      real |= {f"stages[{number}].share": stage.share, f"stages[{number}].rate": stage.rate}
      whole[f"stages[{number}].per_label"] = stage.per_label
    real |= {f"loss[{number}].weight": term.weight for number, term in enumerate(self.loss)}
    for name, value in real.items():
      if not config.is_real(value):
        raise InputError(f"{name}={value!r}: must be a finite number")
    for name, value in whole.items():
      if not config.is_whole(value):
        raise InputError(f"{name}={value!r}: must be a whole number")

  def _check_stages(self) -> None:
    names = {term.name for term in self.loss}
    for stage in self.stages:
      if stage.per_label < 0 or not set(stage.without) <= names or not self.in_stage(stage):
        raise InputError(
          f"stage {tuple(stage)}: without must name some but not all losses of the strategy ({', '.join(sorted(names))}), and per_label "
          "must be 0 or more"
        )
      if stage.without and self.combine != "sum":
        raise InputError(
          f"combine={self.combine}: balances all losses in every stage; remove without from the stages, or use combine=sum"
        )

  def _check_together(self) -> None:
    names = {term.name for term in self.loss}
    if self.combine == "uncertainty" and not names <= {"target", "source", "source_task"}:
      raise InputError("combine=uncertainty: balances only task losses (target, source, source_task); use combine=sum")
    if self.combine == "pcgrad" and (self.low_rank or any(stage.freeze for stage in self.stages)):
      raise InputError(
        "combine=pcgrad: projects the gradients of all of f; use no freeze and low_rank=0, or combine=sum"
      )
    if self.low_rank and "mean_teacher" in names:
      raise InputError("low_rank: the mean teacher averages full parameters; remove low_rank or the loss mean_teacher")

  @property
  def streams(self) -> tuple[str, ...]:
    """The streams that its loss reads."""
    return terms.streams(self.loss)

  def in_stage(self, stage: Stage) -> tuple[Term, ...]:
    """Returns the loss of a stage.

    Args:
      stage: one of its stages.
    """
    return tuple(term for term in self.loss if term.name not in stage.without)

  @property
  def needs_labels(self) -> bool:
    """Whether it requires labelled target subjects."""
    return "target" in self.streams

  @property
  def needs_no_source(self) -> bool:
    """Whether it starts without the source and trains on labelled target subjects alone."""
    return not self.init_from_source and self.streams == ("target",)

  @property
  def blocks(self) -> tuple[str, ...]:
    """The blocks of its parameters besides the network's."""
    blocks = [block for term in self.loss for block in term.defined.blocks]
    blocks += ["f_s"] * self.separate + ["u"] * (self.combine == "uncertainty") + [low_rank.BLOCK] * (self.low_rank > 0)
    return tuple(dict.fromkeys(blocks))

  def at(self, source_site: str, target_site: str) -> "Strategy":
    """Returns the strategy between two sites.

    One head cannot map two peripheral waves to the same aortic wave, because nothing tells the network which site it
    reads. With `by_site`, different sites therefore get a head each.

    Args:
      source_site, target_site: where source and target measure.
    """
    if not self.by_site or source_site == target_site:
      return self
    apart = tuple(term._replace(name="source_task") if term.name == "source" else term for term in self.loss)
    return dataclasses.replace(self, loss=apart, init_from_source=(*self.init_from_source, "s=r"))

  def start(
    self, source: Params, net: Net, source_net: Net, samples: int, key: jax.Array
  ) -> tuple[Params, list[surgery.Leaf]]:
    """Returns θ⁰ and the report of the merge.

    Args:
      source: θ^S.
      net, source_net: networks of target and source.
      samples: length of a window.
      key: random key of all fresh parameters.

    Raises:
      surgery.MergeError: the trees do not fit together as required.
    """
    net_key, head_key, d_key, rank_key = jax.random.split(key, 4)
    fresh = net.init(net_key, samples)
    if "s" in self.blocks:
      fresh["s"] = source_net.init(head_key, samples)["r"]
    if "d" in self.blocks:
      shape = jax.eval_shape(
        lambda: net.features(fresh["f"], jnp.zeros((1, samples)), jnp.zeros((1, net.covariates)))
      ).shape
      fresh["d"] = Discriminator().init(d_key, jnp.zeros((1, shape[-1])))["params"]
    if "u" in self.blocks:
      fresh["u"] = {"log_variance": jnp.zeros(len(self.loss))}
    # an extractor is transferred together with its adaptor
    adapted = net.a is not None and net.a == source_net.a and "f" in self.init_from_source
    params, report = surgery.merge(source, fresh, (*self.init_from_source, "a") if adapted else self.init_from_source)
    if "f_s" in self.blocks:
      params["f_s"] = surgery.cut(source, ("f",))["f"]
    if "anchor" in self.blocks:
      params["anchor"] = surgery.cut(params, [rule.partition("=")[0] for rule in self.init_from_source])
    if "teacher" in self.blocks:
      params["teacher"] = surgery.cut(params, ("f", "r"))
    if self.low_rank:
      params[low_rank.BLOCK] = low_rank.start(rank_key, params, net.blocks, self.low_rank)
    return params, report

  def frozen(self, freeze: tuple[str, ...]) -> tuple[str, ...]:
    """Returns a stage's frozen paths, with those that are never trained.

    Args:
      freeze: path prefixes that the stage freezes.
    """
    always = tuple(block for block in FROZEN if block in self.blocks)
    return tuple(dict.fromkeys((*freeze, *(("f", "r") if self.low_rank else ()), *always)))

  def rates(self, layers: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    """Returns paths with the factors of their learning rates.

    They are η_l/η = d^(L − l) for layer l of L, and a larger one for ln σ².

    Args:
      layers: paths of the layers, from the input to the output.
    """
    decayed = [(path, self.rate_decay ** (len(layers) - 1 - k)) for k, path in enumerate(layers)]
    return (*(decayed if self.rate_decay < 1 else ()), *([("u", _BALANCE_RATE)] if "u" in self.blocks else ()))

  def finish(self, params: Params, net: Net) -> Params:
    """Returns θ_t: the network's blocks of the trained parameters.

    Args:
      params: trained parameters.
      net: the target network.
    """
    whole = low_rank.view(params)
    return {block: whole[block] for block in net.blocks}
