"""f: a convolutional extractor over tokens.

A window is cut into patches, each a token. Residual convolutions give a token its neighbourhood; a dense layer over the
mean of all tokens gives it the whole window, by which a network can tell the subject's arteries from the shape.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from cap_jax.models import convolution

LEVEL_LIMIT = 3.0


def level(x_bt: jax.Array) -> jax.Array:
  """(batch, 1) mean of a scaled window: the pressure level, which the network passes on instead of learning it."""
  return x_bt.mean(1, keepdims=True)


class Residual(nn.Module):
  """h + W₂ gelu(conv(norm(h)) + W₃ mean(norm(h)))."""

  channels: int
  kernel: int
  dilation: int

  @nn.compact
  def __call__(self, h_bnd: jax.Array) -> jax.Array:
    g = nn.LayerNorm(name="norm")(h_bnd)
    context = nn.Dense(self.channels, use_bias=False, name="context")(g.mean(1, keepdims=True))
    u = convolution.ShiftedConv(self.channels, self.kernel, self.dilation, name="conv")(g)
    u = nn.gelu(u + jnp.broadcast_to(context, u.shape))
    return h_bnd + nn.Dense(self.channels, name="mix")(u)


class TokenCNN(nn.Module):
  """Scaled windows (batch, time) → features (batch, token, channels).

  Raises:
    ValueError: the window is not a whole number of patches.
  """

  patch: int
  channels: int
  layers: int
  kernel: int

  @nn.compact
  def __call__(self, x_bt: jax.Array) -> jax.Array:
    batch, time = x_bt.shape
    if time % self.patch:
      raise ValueError(f"a window of {time} samples is not a whole number of patches of {self.patch}")
    centred = (x_bt - level(x_bt)).reshape(batch, time // self.patch, self.patch)
    h = convolution.ShiftedConv(self.channels, 3, name="embed")(centred)
    # bounded, so that a pressure outside the source's range cannot drive the features far from what they were
    bounded = LEVEL_LIMIT * jnp.tanh(level(x_bt) / LEVEL_LIMIT)
    h = h + jnp.broadcast_to(nn.Dense(self.channels, name="level")(bounded)[:, None], h.shape)
    for k in range(self.layers):
      h = Residual(self.channels, self.kernel, 2 ** (k % 3), name=f"layer_{k}")(h)
    return nn.LayerNorm(name="norm")(h)
