"""The optimiser: AdamW inside the trained label, nothing inside the held one.

    m, v ← Adam moments of clip(g);     θ ← θ − η(s/S) (m̂/(√v̂ + ε) + w θ)

(Loshchilov & Hutter 2019). The clip sits inside the label: outside, the gradients of held blocks would count in the norm.
The learning rate is no part of the transformation: it depends on the share s/S of the steps done, so one compiled
program serves every length of training and every rate.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cap_jax.types import Params


def make_optimizer(labels: Callable[[Params], Any], weight_decay: float, clip: float) -> optax.GradientTransformation:
  """Directions of descent for "train" leaves, zero for "hold" leaves, which have no state.

  Args:
    labels: parameters → tree (or prefix tree) of "train" and "hold".
    weight_decay: w.
    clip: largest global norm of the trained gradient.
  """
  trained = optax.chain(optax.clip_by_global_norm(clip), optax.scale_by_adam(), optax.add_decayed_weights(weight_decay))
  return optax.multi_transform({"train": trained, "hold": optax.set_to_zero()}, labels)


def learning_rate(progress: jax.Array, peak: jax.Array, warmup: float) -> jax.Array:
  """η at a share of the training in [0, 1]: linear to `peak` over `warmup`, then half a cosine to zero."""
  fall = 0.5 + 0.5 * jnp.cos(jnp.pi * jnp.clip((progress - warmup) / (1 - warmup), 0, 1))
  return peak * jnp.where(progress < warmup, progress / warmup, fall)
