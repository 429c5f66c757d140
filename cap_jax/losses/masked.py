"""Masked reconstruction, which needs no labels,

    L(θ) = Σ m (r(f(x̃; θ_f), x̃; θ_r) − x)² / Σ m,     x̃ = (1 − m) x + m x̄

where m hides random stretches of a window under its mean x̄ (He et al. 2022, CVPR, for images).
"""

import functools

import jax
import jax.numpy as jnp

from cap_jax.models.net import Net
from cap_jax.types import Batch, LossFn, Metrics, Params

SHARE = 0.4
_STRETCH = 20  # samples hidden together


def draw_mask(key: jax.Array, batch: int, time: int) -> jax.Array:
  """(batch, time) of 0 and 1: stretches of samples, hidden with probability `SHARE` each."""
  stretches = -(-time // _STRETCH)
  hidden = jax.random.bernoulli(key, SHARE, (batch, stretches)).astype(jnp.float32)
  return jnp.repeat(hidden, _STRETCH, axis=1)[:, :time]


@functools.cache
def make_masked(net: Net, margin: int) -> LossFn:
  """The loss for a network; `margin` samples at each end are left out. A part holds "x" and "c", and "w" if it has weights."""

  def masked(params: Params, part: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    x_bt = part["x"]
    mask_bt = draw_mask(key, *x_bt.shape)
    seen_bt = x_bt + mask_bt * (x_bt.mean(1, keepdims=True) - x_bt)
    h_bnd = net.features(params["f"], seen_bt, part["c"])
    error_bt = net.reconstruct(params["r"], h_bnd, seen_bt) - x_bt
    inner = slice(margin, x_bt.shape[1] - margin)
    hidden = mask_bt[:, inner] * part.get("w", jnp.ones(x_bt.shape[0]))[:, None]
    loss = (hidden * jnp.square(error_bt[:, inner])).sum() / jnp.maximum(hidden.sum(), 1.0)
    return loss, {"rmse": jnp.sqrt(loss)}

  return masked
