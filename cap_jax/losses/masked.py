"""Masked reconstruction, which needs no labels,

    L(θ) = Σ m (r(f(x̃; θ_f), x̃; θ_r) − x)² / Σ m,     x̃ = (1 − m) x + m x̄

where m replaces random stretches of a window by its mean x̄ (He et al. 2022, CVPR, for images).
"""

import functools

import jax
import jax.numpy as jnp

from cap_jax.models.net import Net
from cap_jax.types import Batch, LossFn, Metrics, Params

SHARE = 0.4
_STRETCH = 20  # samples hidden together


def draw_mask(key: jax.Array, batch: int, time: int) -> jax.Array:
  """Draws a mask of 0 and 1, (batch, time): stretches of samples, each hidden with probability `SHARE`.

  Args:
    key: typed PRNG key.
    batch: number of windows.
    time: samples of a window.
  """
  stretches = -(-time // _STRETCH)
  hidden = jax.random.bernoulli(key, SHARE, (batch, stretches)).astype(jnp.float32)
  return jnp.repeat(hidden, _STRETCH, axis=1)[:, :time]


@functools.cache
def make_masked(net: Net, margin: int) -> LossFn:
  """Returns the masked loss of a network.

  Args:
    net: the network.
    margin: samples at each end of a window that do not count.

  Returns:
    loss(params, part, key); a part holds "x" (batch, time) and "c" (batch, covariate), and optionally weights "w"
    (batch,).
  """

  def masked(params: Params, part: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    x_bt = part["x"]
    mask_bt = draw_mask(key, *x_bt.shape)
    masked_bt = x_bt + mask_bt * (x_bt.mean(1, keepdims=True) - x_bt)
    h_bnd = net.features(params["f"], masked_bt, part["c"])
    error_bt = net.reconstruct(params["r"], h_bnd, masked_bt) - x_bt
    inner = slice(margin, x_bt.shape[1] - margin)
    hidden = mask_bt[:, inner] * part.get("w", jnp.ones(x_bt.shape[0]))[:, None]
    loss = (hidden * jnp.square(error_bt[:, inner])).sum() / jnp.maximum(hidden.sum(), 1.0)
    return loss, {"rmse": jnp.sqrt(loss)}

  return masked
