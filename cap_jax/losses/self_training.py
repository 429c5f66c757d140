"""Self-training by a mean teacher (Tarvainen & Valpola 2017, NeurIPS; French et al. 2018 for domains),

    L(θ) = mean (g(x̃_t; θ) − g(x_t; θ′))²,     θ′ ← m θ′ + (1 − m) θ after each step

The student g(·; θ) sees the target's window disturbed, x̃; the teacher, the running mean of the students, sees it as it is.
"""

import jax
import jax.numpy as jnp

from cap_jax.types import Params

MOMENTUM = 0.99
_NOISE = 0.1
_GAIN = 0.05


def disturb(key: jax.Array, x_bt: jax.Array) -> jax.Array:
  """x̃: a gain about the window's mean and a smooth noise, in scaled units."""
  gain_key, noise_key = jax.random.split(key)
  gain = 1 + _GAIN * jax.random.normal(gain_key, (x_bt.shape[0], 1))
  noise = jax.random.normal(noise_key, x_bt.shape)
  smooth = (jnp.roll(noise, 1, 1) + noise + jnp.roll(noise, -1, 1)) / jnp.sqrt(3.0)
  level = x_bt.mean(1, keepdims=True)
  return level + gain * (x_bt - level) + _NOISE * smooth


def teach(params: Params) -> Params:
  """θ′ ← m θ′ + (1 − m) θ, for the blocks that the teacher has."""
  teacher = {
    block: jax.tree.map(lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new, theta, params[block])
    for block, theta in params["teacher"].items()
  }
  return {**params, "teacher": teacher}
