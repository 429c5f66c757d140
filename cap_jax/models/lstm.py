"""f: LSTM layers over tokens, each in both directions (Hochreiter & Schmidhuber 1997; Schuster & Paliwal 1997).

[i, f, g, o] = W x_n + U h_{n−1} + b,   c_n = σ(f) c_{n−1} + σ(i) tanh g,   h_n = σ(o) tanh c_n
h ← norm([LSTM→(h), LSTM←(h)])
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Initializer

from cap_jax.models import context, token_cnn
from cap_jax.types import DType

_GATES = 4


def _orthogonal_gates() -> Initializer:
  """Returns an initializer of (half, 4 half): one orthogonal matrix per gate."""
  one = nn.initializers.orthogonal()

  def init(key: jax.Array, shape: tuple[int, int], dtype: DType = jnp.float32) -> jax.Array:
    half = shape[0]
    return jnp.concatenate([one(k, (half, half), dtype) for k in jax.random.split(key, _GATES)], axis=1)

  return init


class Gates(nn.Module):
  """The gates of one direction: their inputs from all tokens at once, and the matrix U from the state."""

  half: int
  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array) -> tuple[jax.Array, jax.Array]:
    wide = _GATES * self.half
    input_bng = nn.Dense(wide, dtype=self.dtype, name="input")(h_bnd)
    return input_bng, self.param("state", _orthogonal_gates(), (self.half, wide)).astype(input_bng.dtype)


class BiLSTM(nn.Module):
  """One LSTM forwards and one backwards, half the channels each.

  Both run in one scan. A token is a small matrix product, so the cost is the number of steps. Unrolling does not help
  on a CPU.
  """

  channels: int
  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array) -> jax.Array:
    half = self.channels // 2
    forward_bng, forward_hg = Gates(half, self.dtype, name="forward")(h_bnd)
    backward_bng, backward_hg = Gates(half, self.dtype, name="backward")(h_bnd[:, ::-1])
    input_nebg = jnp.stack([forward_bng, backward_bng]).transpose(2, 0, 1, 3)  # e: direction
    state_ehg = jnp.stack([forward_hg, backward_hg])

    def token(
      carry: tuple[jax.Array, jax.Array], input_ebg: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
      c, h = carry
      i, f, g, o = jnp.split(input_ebg + jnp.einsum("ebh,ehg->ebg", h, state_ehg), _GATES, axis=-1)
      c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
      h = (nn.sigmoid(o) * jnp.tanh(c)).astype(input_ebg.dtype)
      return (c, h), h

    zero = jnp.zeros((2, h_bnd.shape[0], half))  # the cell's memory is float32 in every precision
    _, out_nebh = jax.lax.scan(token, (zero, zero.astype(input_nebg.dtype)), input_nebg)
    forward_bnh, backward_bnh = out_nebh.transpose(1, 2, 0, 3)
    both_bnd = jnp.concatenate([forward_bnh, backward_bnh[:, ::-1]], axis=-1)
    return nn.LayerNorm(dtype=self.dtype, name="norm")(both_bnd)


class LSTM(nn.Module):
  """Maps scaled windows (batch, time) and covariates (batch, covariate) to features (batch, token, channels).

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
    h = context.embed_context(h, x_bt, c_bq)
    for k in range(self.layers):
      h = BiLSTM(self.channels, self.dtype, name=f"lstm_{k}")(h)
    return h
