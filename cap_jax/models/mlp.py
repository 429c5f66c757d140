"""f: dense layers over a whole point or window, which is the one token. For problems of a few numbers."""

import jax
from flax import linen as nn


class MLP(nn.Module):
  """Points (batch, coordinate) → features (batch, 1, channels). Takes no covariates."""

  channels: int
  layers: int

  @nn.compact
  def __call__(self, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    del c_bq
    h = x_bt
    for k in range(self.layers):
      h = nn.relu(nn.Dense(self.channels, name=f"layer_{k}")(h))
    return h[:, None]
