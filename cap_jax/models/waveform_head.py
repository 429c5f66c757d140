"""r: features → the aortic wave on the clock of the input, as a correction of the input."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cap_jax.models import convolution


def overlap_add(pieces_bnp: jax.Array) -> jax.Array:
  """Pieces of two patches, each centred on its token, laid half over each other with raised cosines that add up to one.

  Args:
    pieces_bnp: (batch, token, 2 · patch).

  Returns:
    (batch, token · patch): smooth from token to token.
  """
  batch, tokens, width = pieces_bnp.shape
  patch = width // 2
  weight = np.sin(np.pi * (np.arange(width) + 0.5) / width) ** 2
  weighted = jnp.pad(pieces_bnp * weight.astype(np.float32)[None, None], ((0, 0), (1, 1), (0, 0)))
  first = weighted[:, 1:, :patch].reshape(batch, -1)
  second = weighted[:, :-1, patch:].reshape(batch, -1)
  return (first + second)[:, patch // 2 : patch // 2 + tokens * patch]


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
    return x_bt + overlap_add(nn.Dense(2 * self.patch, name="wave")(u))
