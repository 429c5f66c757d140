"""Layers that imported networks share: batch normalisation after its training, and pooling of pairs of tokens.

After the training, batch normalisation (Ioffe & Szegedy 2015) is an affine map per feature,

    h ↦ a h + b,     a = γ/√(σ² + ε),     b = β − a μ,

with the running mean μ and variance σ². Here a and b are its parameters. So there are no statistics that could change
in a frozen layer, and a layer that is tuned does not depend on the batch.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn


class FrozenNorm(nn.Module):
  """Maps features (batch, token, feature) or (batch, feature) to a h + b; the identity at the start."""

  @nn.compact
  def __call__(self, h: jax.Array) -> jax.Array:
    shape = (h.shape[-1],)
    scale = self.param("scale", nn.initializers.ones, shape).astype(h.dtype)
    bias = self.param("bias", nn.initializers.zeros, shape).astype(h.dtype)
    broadcast = (1,) * (h.ndim - 1) + shape
    return scale.reshape(broadcast) * h + bias.reshape(broadcast)


def pairs(h_bnd: jax.Array) -> jax.Array:
  """Returns neighbouring tokens in pairs, (batch, token // 2, 2, feature); a last odd token is dropped, as in PyTorch."""
  batch, count, features = h_bnd.shape
  return h_bnd[:, : count // 2 * 2].reshape(batch, count // 2, 2, features)


def max_pool(h_bnd: jax.Array) -> jax.Array:
  """Returns the larger of each pair of neighbouring tokens, (batch, token // 2, feature)."""
  # The gradient of a maximum along an axis divides by the number of values that equal it. That is none, and the gradient NaN, where XLA
  # computes the values twice and rounds them in two ways.
  pairs_bn2d = pairs(h_bnd)
  return jnp.maximum(pairs_bn2d[:, :, 0], pairs_bn2d[:, :, 1])
