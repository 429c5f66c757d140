"""f: a conventional convolutional network: convolutions over samples, pooled to tokens on the way.

    h ← pool(gelu(groupnorm(conv(h))))

Each pool divides the number of samples by a prime factor of the patch, smallest first, one a layer, until a token is a
patch long. GroupNorm (Wu & He 2018) has no running statistics that could change in a frozen layer.
"""

import jax
from flax import linen as nn

from cap_jax.models import context, convolution
from cap_jax.types import DType


def prime_factors(number: int) -> list[int]:
  """Returns the prime factors in increasing order: 10 → [2, 5]."""
  factors, divisor = [], 2
  while number > 1:
    while number % divisor == 0:
      factors.append(divisor)
      number //= divisor
    divisor += 1
  return factors


def pool(h_bnd: jax.Array, factor: int) -> jax.Array:
  """Averages each `factor` neighbouring tokens: (batch, token / factor, feature)."""
  batch, count, features = h_bnd.shape
  return h_bnd.reshape(batch, count // factor, factor, features).mean(2)


class CNN(nn.Module):
  """Maps scaled windows (batch, time) and covariates (batch, covariate) to features (batch, time / patch, channels).

  Channels double with every pool up to `channels`, so that a layer at the full sampling rate costs no more than one at
  the end.

  Raises:
    ValueError: the window is not a whole number of patches, or there are fewer layers than pools.
  """

  patch: int
  channels: int
  layers: int
  kernel: int
  dtype: DType = None

  @nn.compact
  def __call__(self, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    context.check_patches(x_bt.shape[1], self.patch)
    factors = prime_factors(self.patch)
    if len(factors) > self.layers:
      raise ValueError(
        f"{self.layers} layers are too few for a patch of {self.patch}, which needs {len(factors)} pooling layers"
      )
    h = (x_bt - context.level(x_bt))[..., None]
    for k in range(self.layers):
      width = max(self.channels // 2 ** max(len(factors) - k, 0), 4)
      h = convolution.ShiftedConv(width, self.kernel, dtype=self.dtype, name=f"layer_{k}")(h)
      h = nn.gelu(nn.GroupNorm(num_groups=None, group_size=min(4, width), dtype=self.dtype, name=f"norm_{k}")(h))
      if k < len(factors):
        h = pool(h, factors[k])
    h = context.embed_context(h, x_bt, c_bq)
    return nn.LayerNorm(dtype=self.dtype, name="norm")(
      convolution.ShiftedConv(self.channels, 3, dtype=self.dtype, name="mix")(h)
    )
