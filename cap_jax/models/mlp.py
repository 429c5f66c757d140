"""f: dense layers over a whole point or window, which is one token, for problems of a few numbers."""

import jax
from flax import linen as nn


class MLP(nn.Module):
  """Maps points (batch, coordinate) to features (batch, 1, channels). Ignores covariates."""

  channels: int
  layers: int

  @nn.compact
  def __call__(self, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    del c_bq
    h = x_bt
    for k in range(self.layers):
      h = nn.relu(nn.Dense(self.channels, name=f"layer_{k}")(h))
    return h[:, None]
