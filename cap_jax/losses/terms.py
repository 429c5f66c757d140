"""Terms of a strategy's loss by name. Their weighted sum is the loss, so a combination of strategies is a value.

A term lists the streams of windows that it reads and the blocks of parameters that it needs besides the network's own:

| stream | holds | | block | is |
|---|---|---|---|---|
| target | x, y of the labelled target subjects | | s | head of the source's task, trained |
| source | x, y of the source | | d | discriminator, trained |
| unlabelled | x alone of other target subjects | | f_s | extractor of the source, frozen |
| | | | anchor | parameters transferred from the source, frozen |
| | | | teacher | running mean of the network, frozen |
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cap_jax.losses import adversarial, alignment, discrepancy, multi_task, regularisation, self_training
from cap_jax.models.net import Net
from cap_jax.types import Batch, InputError, LossFn, Metrics, Params

FROM_TARGET = ("target", "unlabelled")


@dataclasses.dataclass(frozen=True)
class Context:
  """What a loss closes over.

  Attributes:
    net: the target's network.
    target_loss: loss of a part of a batch for the target's task.
    source_loss: the same for the source's task.
  """

  net: Net
  target_loss: LossFn
  source_loss: LossFn


class Definition(NamedTuple):
  """How a term is built, the streams that it reads and the blocks that it needs.

  Attributes:
    make: context → loss(params, batch, key), which returns a scalar and metrics. A batch maps streams to their windows
      "x", references "y", covariates "c" and features "h".
    streams: names of the streams, such as "target".
    blocks: blocks of parameters besides the network's own.
  """

  make: Callable[[Context], LossFn]
  streams: tuple[str, ...]
  blocks: tuple[str, ...] = ()


class Term(NamedTuple):
  """One term λ(t) L of a loss.

  Attributes:
    name: name in `TERMS`, or of a term of your own.
    weight: λ.
    schedule: name in `multi_task.SCHEDULES`: how λ changes during the training.
    definition: definition of a term of your own; None for one of `TERMS`.
  """

  name: str
  weight: float = 1.0
  schedule: str = "constant"
  definition: Definition | None = None

  @property
  def defined(self) -> Definition:
    """The definition of the term."""
    return TERMS[self.name] if self.definition is None else self.definition


def _target(context: Context) -> LossFn:
  return lambda params, batch, key: context.target_loss(params, batch["target"], key)


def _source(context: Context) -> LossFn:
  return lambda params, batch, key: context.source_loss(params, batch["source"], key)


def _source_task(context: Context) -> LossFn:
  return lambda params, batch, key: context.source_loss({**params, "r": params["s"]}, batch["source"], key)


def _weights(batch: Batch) -> jax.Array:
  """Returns the weights w of the source windows, ones where they carry none."""
  return batch["source"].get("w", jnp.ones(batch["source"]["x"].shape[0]))


def _pooled(batch: Batch) -> tuple[jax.Array, jax.Array]:
  return alignment.pooled(batch["source"]["h"]), alignment.pooled(batch["unlabelled"]["h"])


def _drift(target_bd: jax.Array) -> Metrics:
  """Returns the norm of the features as a metric: aligned features may shrink, which harms a regression."""
  return {"feature_norm": jnp.linalg.norm(target_bd, axis=1).mean()}


def _make_discrepancy(name: str, shape_only: bool = False) -> Callable[[Context], LossFn]:
  distance = discrepancy.DISCREPANCIES[name]

  def make(context: Context) -> LossFn:
    del context

    def term(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
      del params, key
      h_s, h_t = _pooled(batch)
      metrics = _drift(h_t)
      if shape_only:
        h_s, h_t = alignment.without_level(h_s, h_t, batch["source"]["x"], batch["unlabelled"]["x"])
      return distance(h_s, h_t, _weights(batch)), metrics

    return term

  return make


def _make_adversary(adversary: Callable[..., tuple[jax.Array, Metrics]]) -> Callable[[Context], LossFn]:
  def make(context: Context) -> LossFn:
    del context

    def term(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
      del key
      h_s, h_t = _pooled(batch)
      loss, metrics = adversary(params["d"], h_s, h_t, _weights(batch), batch["progress"])
      return loss, metrics | _drift(h_t)

    return term

  return make


def _spectrum(context: Context) -> LossFn:
  del context

  def term(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    del params, key
    return alignment.spectral_distance(batch["source"]["x"], batch["unlabelled"]["x"], _weights(batch)), {}

  return term


def _l2_sp(context: Context) -> LossFn:
  del context
  return lambda params, batch, key: (regularisation.l2_sp(params, params["anchor"]), {})


def _mean_teacher(context: Context) -> LossFn:
  net = context.net

  def term(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    part = batch["unlabelled"]
    teacher = jax.lax.stop_gradient(params["teacher"])
    disturbed_bt, gain_b = self_training.disturb(key, part["x"])
    teacher_bt = net.reconstruct(teacher["r"], net.features(teacher["f"], part["x"], part["c"]), part["x"])
    student_bt = net.reconstruct(params["r"], net.features(params["f"], disturbed_bt, part["c"]), disturbed_bt)
    reference_bt = jax.lax.stop_gradient(self_training.amplify(teacher_bt, part["x"], gain_b))
    return jnp.square(student_bt - reference_bt).mean(), {}

  return term


_BOTH = ("source", "unlabelled")
TERMS: dict[str, Definition] = {
  "target": Definition(_target, ("target",)),
  "source": Definition(_source, ("source",)),
  "source_task": Definition(_source_task, ("source",), ("s",)),
  "mmd": Definition(_make_discrepancy("mmd"), _BOTH),
  "coral": Definition(_make_discrepancy("coral"), _BOTH),
  "dare_gram": Definition(_make_discrepancy("dare_gram"), _BOTH),
  "chordal": Definition(_make_discrepancy("chordal"), _BOTH),
  "sinkhorn": Definition(_make_discrepancy("sinkhorn"), _BOTH),
  "shape_mmd": Definition(_make_discrepancy("mmd", shape_only=True), _BOTH),
  "shape_coral": Definition(_make_discrepancy("coral", shape_only=True), _BOTH),
  "dann": Definition(_make_adversary(adversarial.dann), _BOTH, ("d",)),
  "adda": Definition(_make_adversary(adversarial.adda), _BOTH, ("d", "f_s")),
  "spectrum": Definition(_spectrum, _BOTH),
  "mean_teacher": Definition(_mean_teacher, ("unlabelled",), ("teacher",)),
  "l2_sp": Definition(_l2_sp, (), ("anchor",)),
}


def reader(params: Params, stream: str) -> tuple[str, bool]:
  """Returns the block that reads a stream's windows, "f" or "f_s", and whether the adaptor is applied to them.

  Args:
    params: parameter tree of the training.
    stream: name of a stream, such as "source".
  """
  return ("f_s" if stream == "source" and "f_s" in params else "f"), stream in FROM_TARGET


def _encoded(context: Context, loss: LossFn, view: Callable[[Params], Params]) -> LossFn:
  """Wraps a loss: its target windows are adapted, and its streams carry their features "h", computed in one pass."""
  net = context.net

  def encoded(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    params = view(params)
    parts: dict[str, Any] = dict(batch)
    streams = [name for name in ("target", "unlabelled", "source") if name in parts]
    for name in streams:
      if reader(params, name)[1]:
        parts[name] = {**parts[name], "x": net.adapt(params, parts[name]["x"])}
    for block in ("f", "f_s"):
      unencoded = [name for name in streams if "h" not in parts[name] and reader(params, name)[0] == block]
      if not unencoded:
        continue
      x_bt, c_bq = (jnp.concatenate([parts[name][axis] for name in unencoded]) for axis in ("x", "c"))
      h_bnd, start = net.features(params[block], x_bt, c_bq), 0
      for name in unencoded:
        stop = start + parts[name]["x"].shape[0]
        parts[name] = {**parts[name], "h": h_bnd[start:stop]}
        start = stop
    return loss(params, parts, key)

  return encoded


def streams(loss: tuple[Term, ...]) -> tuple[str, ...]:
  """Returns the streams that a loss reads.

  Args:
    loss: the terms.
  """
  return tuple(dict.fromkeys(stream for term in loss for stream in term.defined.streams))


def _checked(term: Term, context: Context) -> LossFn:
  """Returns the loss of a term, which a user may have defined, with a check of what it returns."""
  loss = term.defined.make(context)

  def checked(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    result = loss(params, batch, key)
    if not (
      isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping) and not jnp.shape(result[0])
    ):
      raise InputError(f"term {term.name}: returns no scalar and dict of metrics; end it with `return loss, {{}}`")
    return result

  return checked


@functools.cache
def make_total(
  terms: tuple[Term, ...], combine: str, context: Context, view: Callable[[Params], Params] = lambda params: params
) -> LossFn:
  """Returns L = Σ λ_i(t) L_i of a strategy, balanced as `combine` says (see `multi_task`).

  Args:
    terms: names, weights, schedules.
    combine: name in `multi_task.MAKERS`.
    context: network and losses of both tasks.
    view: maps the trained parameters to those of the network, for example for low-rank updates.

  Returns:
    loss(params, batch, key); a batch maps streams to their parts, and "progress" to the fraction of the training done.
  """
  losses = [(term.name, term.weight, term.schedule, _checked(term, context)) for term in terms]
  if combine == "pcgrad":  # each loss has its own gradient in f, so each encodes its own streams
    encoded_losses = [(name, size, schedule, _encoded(context, loss, view)) for name, size, schedule, loss in losses]
    return multi_task.make_pcgrad(encoded_losses)
  return _encoded(context, multi_task.MAKERS[combine](losses), view)
