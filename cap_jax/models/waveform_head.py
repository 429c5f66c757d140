"""r: features → the aortic wave on the clock of the input, as a correction of the input."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from cap_jax.models import convolution


class WaveformHead(nn.Module):
  """Features (batch, token, feature) and the scaled window (batch, time) → scaled aortic window (batch, time).

  y = x + decode(h). The mean pressure falls by only 1–2 mmHg along the large arteries, so a wave keeps its level even
  where the network never saw such a pressure.
  """

  patch: int
  channels: int

  @nn.compact
  def __call__(self, h_bnd: jax.Array, x_bt: jax.Array) -> jax.Array:
    u = nn.gelu(convolution.ShiftedConv(self.channels, 3, name="conv")(h_bnd))
    wave_bnp = convolution.ShiftedConv(self.patch, 3, name="wave")(u)
    return x_bt + wave_bnp.reshape(x_bt.shape)
