"""f: convolutions, a bidirectional LSTM and self-attention, the architecture of Xiao et al. (Artif. Intell. Med. 2023).

h = LSTM↔(convs(x)),     f = norm(h + attention(h, h, h))
"""

import jax
from flax import linen as nn

from cap_jax.models import context, lstm, token_cnn
from cap_jax.types import DType

_HEADS = 4


class CNNBiLSTM(nn.Module):
  """Maps scaled windows (batch, time) and covariates (batch, covariate) to features (batch, token, channels).

  Raises:
    ValueError: the window is not a whole number of patches, or the channels are not a multiple of the heads.
  """

  patch: int
  channels: int
  layers: int
  kernel: int
  dtype: DType = None

  @nn.compact
  def __call__(self, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    if self.channels % _HEADS:
      raise ValueError(f"channels={self.channels}: must be a multiple of {_HEADS}, the number of attention heads")
    h = nn.Dense(self.channels, dtype=self.dtype, name="embed")(token_cnn.tokens(x_bt, self.patch))
    h = context.embed_context(h, x_bt, c_bq)
    for k in range(self.layers):
      h = token_cnn.Residual(self.channels, self.kernel, 2 ** (k % 3), self.dtype, name=f"layer_{k}")(h)
    h = lstm.BiLSTM(self.channels, self.dtype, name="lstm_0")(h)
    attended = nn.MultiHeadDotProductAttention(num_heads=_HEADS, dtype=self.dtype, name="attention")(h)
    return nn.LayerNorm(dtype=self.dtype, name="norm")(h + attended)
