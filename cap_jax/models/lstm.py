"""f: LSTM layers over tokens, each in both directions (Hochreiter & Schmidhuber 1997; Schuster & Paliwal 1997).

h ← norm([LSTM→(h), LSTM←(h)])
"""

from typing import cast

import jax
import jax.numpy as jnp
from flax import linen as nn

from cap_jax.models import context, token_cnn
from cap_jax.types import DType


class BiLSTM(nn.Module):
  """One LSTM forwards and one backwards, half the channels each."""

  channels: int
  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array) -> jax.Array:
    cells = [nn.OptimizedLSTMCell(self.channels // 2, dtype=self.dtype, name=name) for name in ("forward", "backward")]
    forward, backward = (nn.RNN(cell, unroll=5) for cell in cells)
    ahead_bnd, back_bnd = cast(jax.Array, forward(h_bnd)), cast(jax.Array, backward(h_bnd[:, ::-1]))
    return nn.LayerNorm(dtype=self.dtype, name="norm")(jnp.concatenate([ahead_bnd, back_bnd[:, ::-1]], axis=-1))


class LSTM(nn.Module):
  """Scaled windows (batch, time) and covariates (batch, covariate) → features (batch, token, channels).

  Raises:
    ValueError: the window is not a whole number of patches.
  """

  patch: int
  channels: int
  layers: int
  dtype: DType = None

  @nn.compact
  def __call__(self, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    h = nn.Dense(self.channels, dtype=self.dtype, name="embed")(token_cnn.tokens(x_bt, self.patch))
    h = context.told(h, x_bt, c_bq)
    for k in range(self.layers):
      h = BiLSTM(self.channels, self.dtype, name=f"lstm_{k}")(h)
    return h
