"""r: a head from features of single samples to the aortic wave, as a correction of the input: y = x + W gelu(W₁ h)."""

import jax
from flax import linen as nn

from cap_jax.types import DType


class SampleHead(nn.Module):
  """Maps features (batch, time, feature) and the scaled window (batch, time) to the scaled aortic window (batch, time).

  Raises:
    ValueError: the features are not of single samples.
  """

  channels: int
  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array, x_bt: jax.Array) -> jax.Array:
    if h_bnd.shape[1] != x_bt.shape[1]:
      raise ValueError(
        f"{h_bnd.shape[1]} tokens for {x_bt.shape[1]} samples: the head `sample` needs one token per sample"
      )
    u = nn.gelu(nn.Dense(self.channels, dtype=self.dtype, name="hidden")(h_bnd))
    return x_bt + nn.Dense(1, name="wave")(u)[..., 0]
