"""f: a temporal convolutional network at the full sampling rate (Bai et al. 2018, arXiv 1803.01271).

    h ← h + W gelu(conv_d(norm(h))),     d = 1, 2, 4, …

The architecture behind Liu et al. (IEEE JBHI 2023), with symmetric kernels, since a reconstruction need not be causal.
Its features belong to single samples, so its head is `sample`.
"""

import jax
from flax import linen as nn

from cap_jax.models import context, convolution
from cap_jax.types import DType


class DilatedBlock(nn.Module):
  """Residual block h + W gelu(conv_d(norm(h)))."""

  channels: int
  kernel: int
  dilation: int
  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array) -> jax.Array:
    u = nn.LayerNorm(dtype=self.dtype, name="norm")(h_bnd)
    u = nn.gelu(convolution.ShiftedConv(self.channels, self.kernel, self.dilation, self.dtype, name="conv")(u))
    return h_bnd + nn.Dense(self.channels, dtype=self.dtype, name="mix")(u)


class TCN(nn.Module):
  """Maps scaled windows (batch, time) and covariates (batch, covariate) to features (batch, time, channels)."""

  channels: int
  layers: int
  kernel: int
  dtype: DType = None

  @nn.compact
  def __call__(self, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    h = convolution.ShiftedConv(self.channels, self.kernel, dtype=self.dtype, name="embed")(
      (x_bt - context.level(x_bt))[..., None]
    )
    h = context.embed_context(h, x_bt, c_bq)
    for k in range(self.layers):
      h = DilatedBlock(self.channels, self.kernel, 2**k, self.dtype, name=f"layer_{k}")(h)
    return nn.LayerNorm(dtype=self.dtype, name="norm")(h)
