"""f: a fast convolutional extractor over tokens.

A window is cut into patches, each a token. Residual convolutions combine a token with its neighbours. A dense layer
over the mean of all tokens adds the whole window, from which the network can infer the subject's arteries.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from cap_jax.models import context, convolution
from cap_jax.types import DType


def tokens(x_bt: jax.Array, patch: int) -> jax.Array:
  """Cuts windows less their level into patches, (batch, token, patch).

  Args:
    x_bt: (batch, time) scaled windows.
    patch: samples of a patch.

  Raises:
    ValueError: the window is not a whole number of patches.
  """
  batch, time = x_bt.shape
  context.check_patches(time, patch)
  return (x_bt - context.level(x_bt)).reshape(batch, time // patch, patch)


class Residual(nn.Module):
  """Residual block h + W₂ gelu(conv(g) + W₃ mean(g)), g = norm(h); with a code, g = (1 + γ) norm(h) + β.

  (γ, β) = W code, feature-wise linear modulation (Perez et al. 2018). W starts at zero.
  """

  channels: int
  kernel: int
  dilation: int
  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array, code_bd: jax.Array | None = None) -> jax.Array:
    g = nn.LayerNorm(dtype=self.dtype, name="norm")(h_bnd)
    if code_bd is not None:
      film = nn.Dense(2 * self.channels, kernel_init=nn.initializers.zeros, dtype=self.dtype, name="film")(code_bd)
      scale, shift = jnp.split(film[:, None], 2, axis=-1)
      g = g * jnp.broadcast_to(1 + scale, g.shape) + jnp.broadcast_to(shift, g.shape)
    window_context = nn.Dense(self.channels, use_bias=False, dtype=self.dtype, name="context")(g.mean(1, keepdims=True))
    u = convolution.ShiftedConv(self.channels, self.kernel, self.dilation, self.dtype, name="conv")(g)
    u = nn.gelu(u + jnp.broadcast_to(window_context, u.shape))
    return h_bnd + nn.Dense(self.channels, dtype=self.dtype, name="mix")(u)


class TokenCNN(nn.Module):
  """Maps scaled windows (batch, time) and covariates (batch, covariate) to features (batch, token, channels).

  Raises:
    ValueError: the window is not a whole number of patches.
  """

  patch: int
  channels: int
  layers: int
  kernel: int
  dtype: DType = None

  @nn.compact
  def __call__(self, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    h = convolution.ShiftedConv(self.channels, 3, dtype=self.dtype, name="embed")(tokens(x_bt, self.patch))
    h = context.embed_context(h, x_bt, c_bq)
    for k in range(self.layers):
      h = Residual(self.channels, self.kernel, 2 ** (k % 3), self.dtype, name=f"layer_{k}")(h)
    return nn.LayerNorm(dtype=self.dtype, name="norm")(h)
