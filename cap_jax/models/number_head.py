"""r: a head from features to a few numbers of the whole window, such as SBP and DBP: W gelu(W₁ mean_n h)."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class NumberHead(nn.Module):
  """Maps features (batch, token, feature) to (batch, outputs). Ignores the window itself."""

  channels: int
  outputs: int

  @nn.compact
  def __call__(self, h_bnd: jax.Array, x_bt: jax.Array) -> jax.Array:
    del x_bt
    u = nn.gelu(nn.Dense(self.channels, name="hidden")(h_bnd.mean(1, dtype=jnp.float32)))
    return nn.Dense(self.outputs, name="numbers")(u)
