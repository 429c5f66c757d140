"""The optimiser: decoupled weight decay for trained parameters, no update for frozen ones.

    θ ← θ − η(s/S) (direction + w θ)

with the direction of Adam (Loshchilov & Hutter 2019),

    m, v ← moments of clip(g);     direction = m̂/(√v̂ + ε)

or, for matrices, that of Muon (Jordan et al. 2024): the orthogonal factor of the momentum, computed by the
Newton–Schulz iteration,

    m ← β m + clip(g);     direction = U Vᵀ √max(1, columns/rows),     m = U S Vᵀ

with Nesterov momentum in both. docs/experiments.md has the results. The clip sits inside the label: outside, the
gradients of frozen blocks would count in the norm. The learning rate is not part of the transformation. It depends on
the share s/S of the steps done, so one compiled program serves every length of training and every rate.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cap_jax.types import InputError, Params


def _adam() -> optax.GradientTransformation:
  # all leaves as one: a small network spends its step on starting many little programs
  return optax.flatten(optax.scale_by_adam())


def _muon() -> optax.GradientTransformation:
  return optax.chain(optax.contrib.muon(1.0), optax.scale(-1.0))  # muon already negates the direction


OPTIMIZERS: dict[str, Callable[[], optax.GradientTransformation]] = {"adam": _adam, "muon": _muon}


def check(kind: str) -> None:
  """Checks the name of an optimiser.

  Raises:
    InputError: no optimiser has this name.
  """
  if kind not in OPTIMIZERS:
    raise InputError(f"optimizer {kind!r} is unknown; choose from {', '.join(OPTIMIZERS)}")


def make_optimizer(
  labels: Callable[[Params], Any], weight_decay: float, clip: float, kind: str = "adam"
) -> optax.GradientTransformation:
  """Returns a transformation to directions of descent for "train" leaves and zero for "freeze" leaves.

  "freeze" leaves have no state.

  Args:
    labels: parameters → tree (or prefix tree) of "train" and "freeze".
    weight_decay: w.
    clip: largest global norm of the trained gradient.
    kind: direction, a name in `OPTIMIZERS`.

  Raises:
    InputError: the kind is unknown.
  """
  check(kind)
  trained = optax.chain(optax.clip_by_global_norm(clip), OPTIMIZERS[kind](), optax.add_decayed_weights(weight_decay))
  return optax.multi_transform({"train": trained, "freeze": optax.set_to_zero()}, labels)


def learning_rate(progress: jax.Array, peak: jax.Array, warmup: float) -> jax.Array:
  """Returns η at a share of the training: linear to the peak during the warm-up, then half a cosine to zero.

  Args:
    progress: share of the steps done, in [0, 1].
    peak: largest η.
    warmup: share of the steps for the warm-up.
  """
  fall = 0.5 + 0.5 * jnp.cos(jnp.pi * jnp.clip((progress - warmup) / (1 - warmup), 0, 1))
  return peak * jnp.where(progress < warmup, progress / warmup, fall)
