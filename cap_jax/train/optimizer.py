"""The optimiser: decoupled weight decay inside the trained label, nothing inside the held one.

    θ ← θ − η(s/S) (direction + w θ)

with the direction of Adam (Loshchilov & Hutter 2019),

    m, v ← moments of clip(g);     direction = m̂/(√v̂ + ε)

or for matrices that of Muon (Jordan et al. 2024), the orthogonal factor of the momentum, found by Newton and
Schulz's iteration,

    m ← β m + clip(g);     direction = U Vᵀ √max(1, columns/rows),     m = U S Vᵀ

with Nesterov's look ahead in both. What it gives: docs/experiments.md. The clip sits inside the label: outside, the gradients of held
blocks would count in the norm. The learning rate is no part of the transformation: it depends on the share s/S of the steps done, so one
compiled program serves every length of training and every rate.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cap_jax.types import InputError, Params


def _adam() -> optax.GradientTransformation:
  # all leaves as one: a small network's step is spent on starting its many little programs
  return optax.flatten(optax.scale_by_adam())


def _muon() -> optax.GradientTransformation:
  return optax.chain(optax.contrib.muon(1.0), optax.scale(-1.0))  # it descends by itself


OPTIMIZERS: dict[str, Callable[[], optax.GradientTransformation]] = {"adam": _adam, "muon": _muon}


def check(kind: str) -> None:
  """Raises:
  InputError: no optimiser has this name."""
  if kind not in OPTIMIZERS:
    raise InputError(f"optimizer {kind!r} is unknown; choose of {', '.join(OPTIMIZERS)}")


def make_optimizer(
  labels: Callable[[Params], Any], weight_decay: float, clip: float, kind: str = "adam"
) -> optax.GradientTransformation:
  """Directions of descent for "train" leaves, zero for "freeze" leaves, which have no state.

  Args:
    labels: parameters → tree (or prefix tree) of "train" and "freeze".
    weight_decay: w.
    clip: largest global norm of the trained gradient.
    kind: of the direction, name in `OPTIMIZERS`.

  Raises:
    InputError: the kind is unknown.
  """
  check(kind)
  trained = optax.chain(optax.clip_by_global_norm(clip), OPTIMIZERS[kind](), optax.add_decayed_weights(weight_decay))
  return optax.multi_transform({"train": trained, "freeze": optax.set_to_zero()}, labels)


def learning_rate(progress: jax.Array, peak: jax.Array, warmup: float) -> jax.Array:
  """η at a share of the training in [0, 1]: linear to `peak` over `warmup`, then half a cosine to zero."""
  fall = 0.5 + 0.5 * jnp.cos(jnp.pi * jnp.clip((progress - warmup) / (1 - warmup), 0, 1))
  return peak * jnp.where(progress < warmup, progress / warmup, fall)
