"""Sums of losses, L_total = Σ_i λ_i(t) L_i, and two ways to balance them.

    sum             ∇L = Σ λ_i ∇L_i                               λ constant or scheduled over the progress t
    uncertainty     L = Σ λ_i (½ e^(−u_i) L_i + ½ u_i)            u_i = ln σ_i² trained (Kendall et al. 2018, CVPR)
    pcgrad          g_i ← g_i − (g_i·g_j / ‖g_j‖²) g_j if g_i·g_j < 0, for each j ≠ i; ∇L = Σ g_i, g_i = λ_i ∇L_i
                                                                  (Yu et al. 2020, NeurIPS; over the shared block f)

A constant λ is the default: arXiv 2201.04122 finds it as good as gradient surgery.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from cap_jax.losses import adversarial
from cap_jax.types import Batch, LossFn, Metrics, Params

SHARED = "f"
SCHEDULES: dict[str, Callable[[jax.Array], jax.Array]] = {
  "constant": jnp.ones_like,
  "ramp": adversarial.ramp,
  "rise": lambda t: t,
  "fall": lambda t: 1 - t,
}

Weighted = tuple[str, float, str, LossFn]
"""Name, λ, schedule, loss."""


def _weight(weighted: Weighted, batch: Batch) -> jax.Array:
  _, size, schedule, _ = weighted
  return size * SCHEDULES[schedule](batch["progress"])


def _evaluate(
  losses: Sequence[Weighted], params: Params, batch: Batch, key: jax.Array
) -> tuple[list[jax.Array], Metrics]:
  values: list[jax.Array] = []
  metrics_by_name: Metrics = {}
  for position, weighted in enumerate(losses):
    value, metrics = weighted[3](params, batch, jax.random.fold_in(key, position))
    values.append(_weight(weighted, batch) * value)
    metrics_by_name |= {weighted[0]: value, **{f"{weighted[0]}_{name}": metric for name, metric in metrics.items()}}
  return values, metrics_by_name


def make_sum(losses: Sequence[Weighted]) -> LossFn:
  """Returns the loss Σ λ_i(t) L_i.

  Its metrics are "loss", each L_i under its name, and the metrics of each L_i.
  """

  def total(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    values, metrics = _evaluate(losses, params, batch, key)
    loss = functools.reduce(jnp.add, values)
    return loss, {"loss": loss, **metrics}

  return total


def make_uncertainty(losses: Sequence[Weighted]) -> LossFn:
  """Returns the loss Σ λ_i (½ e^(−u_i) L_i + ½ u_i) with u (loss,) in params["u"]["log_variance"]."""

  def total(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    values, metrics = _evaluate(losses, params, batch, key)
    u = params["u"]["log_variance"]
    terms = [0.5 * jnp.exp(-u[i]) * value + 0.5 * _weight(losses[i], batch) * u[i] for i, value in enumerate(values)]
    loss = functools.reduce(jnp.add, terms)
    return loss, {"loss": loss, "log_variance": u, **metrics}

  return total


def _inner(a: Params, b: Params) -> jax.Array:
  return jax.tree.reduce(jnp.add, jax.tree.map(lambda x, y: (x * y).sum(), a, b))


def project(gradients: Sequence[Params]) -> list[Params]:
  """Returns PCGrad's projections of gradient trees, each against all the others in turn."""
  projected = []
  for i, g_i in enumerate(gradients):
    for j, g_j in enumerate(gradients):
      if i != j:
        conflict = jnp.minimum(_inner(g_i, g_j), 0.0) / jnp.maximum(_inner(g_j, g_j), 1e-20)
        g_i = jax.tree.map(lambda a, b, c=conflict: a - c * b, g_i, g_j)
    projected.append(g_i)
  return projected


def make_pcgrad(losses: Sequence[Weighted]) -> LossFn:
  """Returns a loss of value Σ λ_i L_i whose gradient in the shared block is the sum of PCGrad's projections.

  The loss adds ⟨Σ g_i^projected − Σ g_i, θ_f⟩ with the first factor frozen and a value of zero. This replaces the
  gradient of the value, so the caller differentiates the loss as any other.
  """

  def total(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    values, metrics = _evaluate(losses, params, batch, key)
    loss = functools.reduce(jnp.add, values)

    def loss_of_shared(theta: Params, position: int) -> jax.Array:
      weighted = losses[position]
      value, _ = weighted[3]({**params, SHARED: theta}, batch, jax.random.fold_in(key, position))
      return _weight(weighted, batch) * value

    shared = params[SHARED]
    gradients = [jax.grad(loss_of_shared)(shared, position) for position in range(len(losses))]
    difference = jax.tree.map(lambda *g: sum(g[len(losses) :]) - sum(g[: len(losses)]), *gradients, *project(gradients))
    moved = jax.tree.map(lambda theta: theta - jax.lax.stop_gradient(theta), shared)
    conflict = (_inner(gradients[0], gradients[-1]) < 0).astype(jnp.float32)
    return loss + _inner(jax.lax.stop_gradient(difference), moved), {"loss": loss, "conflict": conflict, **metrics}

  return total


MAKERS: dict[str, Callable[[Sequence[Weighted]], LossFn]] = {
  "sum": make_sum,
  "uncertainty": make_uncertainty,
  "pcgrad": make_pcgrad,
}
