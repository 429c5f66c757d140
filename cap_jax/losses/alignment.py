"""Quantities that are aligned: pooled features, their shape without the pressure level, or the spectrum of the input.

    pooled      h̄ = mean over tokens of f(x)
    shape       h̄ − B ℓ, with B the ridge regression of h̄ on ℓ = (level, swing) of the window over both domains
    spectrum    S(x) = mean over windows of ln |F(x)|² below 20 Hz

Where two populations differ in their labels, aligning everything removes differences that should stay. The pressure
level is the part of the label that the input shows, so `shape` removes it first. `spectrum` concerns the sensor only.
"""

import jax
import jax.numpy as jnp
import numpy as np

_RIDGE = 1e-2
_HIGHEST = 0.16  # of the sampling rate: 20 Hz at 125 Hz
_FLOOR = 1e-3


def pooled(h_bnd: jax.Array) -> jax.Array:
  """Returns the mean over tokens, (batch, feature)."""
  return h_bnd.mean(1, dtype=jnp.float32)


def level_and_swing(x_bt: jax.Array) -> jax.Array:
  """Returns mean and SD of each window, (batch, 2), which determine mean and pulse pressure."""
  return jnp.stack([x_bt.mean(1), x_bt.std(1)], axis=1)


def without_level(
  source_bd: jax.Array, target_bd: jax.Array, source_bt: jax.Array, target_bt: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Subtracts from the features of both domains what level and swing of their windows explain.

  One regression serves both domains. It has one intercept per domain, which is not subtracted: a difference that the
  level does not explain stays.

  Args:
    source_bd, target_bd: (batch, feature) pooled features.
    source_bt, target_bt: (batch, time) the windows.

  Returns:
    The residual features of source and target, each (batch, feature).
  """

  def centred(a_bq: jax.Array) -> jax.Array:
    return a_bq - a_bq.mean(0)[None]

  l_s, l_t = level_and_swing(source_bt), level_and_swing(target_bt)
  l_bq = jnp.concatenate([centred(l_s), centred(l_t)])
  h_bd = jnp.concatenate([centred(source_bd), centred(target_bd)])
  b_qd = jnp.linalg.solve(l_bq.T @ l_bq + _RIDGE * l_bq.shape[0] * jnp.eye(2), l_bq.T @ h_bd)
  return source_bd - l_s @ b_qd, target_bd - l_t @ b_qd


def log_spectrum(x_bt: jax.Array, w_b: jax.Array) -> jax.Array:
  """Returns the (frequency,) weighted mean over windows of ln(|F(h x)|² + floor) with Hann's window h.

  The frequencies lie below 20 Hz and above the lowest bin.

  Args:
    x_bt: (batch, time) windows.
    w_b: (batch,) weights.
  """
  time = x_bt.shape[1]
  window = jnp.asarray(np.hanning(time), jnp.float32)
  centred = x_bt - x_bt.mean(1, keepdims=True)
  power = jnp.square(jnp.abs(jnp.fft.rfft(centred * window[None], axis=1))) / jnp.square(window).sum()
  return w_b @ jnp.log(power[:, 2 : int(_HIGHEST * time) + 1] + _FLOOR) / w_b.sum()


def spectral_distance(source_bt: jax.Array, target_bt: jax.Array, w_b: jax.Array) -> jax.Array:
  """Returns the mean over frequency of (S(x_s) − S(x_t))².

  Args:
    source_bt, target_bt: (batch, time) windows.
    w_b: (batch,) weights of the source windows.
  """
  return jnp.square(log_spectrum(source_bt, w_b) - log_spectrum(target_bt, jnp.ones(target_bt.shape[0]))).mean()
