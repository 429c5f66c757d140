"""Self-training with a mean teacher (Tarvainen & Valpola 2017, NeurIPS; French et al. 2018 for domains),

    L(θ) = mean (g(x̃_t; θ) − A g(x_t; θ′))²,     x̃_t = A x_t + noise,     θ′ ← m θ′ + (1 − m) θ after each step

The student g(·; θ) reads the perturbed window x̃ of the target. The teacher, the running mean of the students, reads
the window itself. A scales a wave about the mean pressure of its window: it changes the radial and the aortic pulse
alike. Training returns the student.
"""

import jax
import jax.numpy as jnp

from cap_jax.types import Params

MOMENTUM = 0.99
_NOISE = 0.1
_GAIN = 0.05


def amplify(y_bt: jax.Array, x_bt: jax.Array, gain_b: jax.Array) -> jax.Array:
  """Returns A y: waves scaled about the mean of the windows x.

  Args:
    y_bt: (batch, time) waves.
    x_bt: (batch, time) windows.
    gain_b: (batch,) gains of A.
  """
  level = x_bt.mean(1, keepdims=True)
  return level + gain_b[:, None] * (y_bt - level)


def disturb(key: jax.Array, x_bt: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns the perturbed windows x̃ (batch, time), with smooth noise in scaled units, and the gains (batch,) of A."""
  gain_key, noise_key = jax.random.split(key)
  gain_b = 1 + _GAIN * jax.random.normal(gain_key, (x_bt.shape[0],))
  noise = jax.random.normal(noise_key, x_bt.shape)
  smooth = (jnp.roll(noise, 1, 1) + noise + jnp.roll(noise, -1, 1)) / jnp.sqrt(3.0)
  return amplify(x_bt, x_bt, gain_b) + _NOISE * smooth, gain_b


def teach(params: Params) -> Params:
  """Updates the teacher, θ′ ← m θ′ + (1 − m) θ, for the blocks that it has."""
  teacher = {
    block: jax.tree.map(lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new, theta, params[block])
    for block, theta in params["teacher"].items()
  }
  return {**params, "teacher": teacher}
