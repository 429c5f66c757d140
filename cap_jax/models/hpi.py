"""f and r: the network of pyvital that predicts hypotension from 20 s of arterial pressure, in two blocks.

    h_k = pool(norm(relu(conv_k(h_{k−1}))))     k = 0 … 4, one norm for all
    y = σ(W₂ relu(W₁ mean_n h_4))               probability of hypotension within the next five minutes

(VitalDB, `pyvital/filters/abp_hpi.py`, MIT licence.) Each convolution has three taps and no padding, and each pool takes
the larger of two tokens. f ends ahead of the third pool, where a token is four samples, 40 ms at 100 Hz; r is the rest.

Without padding, 4 n samples have n − 4 tokens. f repeats the first sample 8 times and the last one 6 times, so that there
are n, each centred on its four samples within one sample. r drops the two at each end that contain repeated samples.
What is left are exactly the tokens of the original.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from cap_jax.models import context, convolution, frozen_norm
from cap_jax.types import DType

PATCH = 4  # samples per token
_TAPS = 3
_BEFORE, _AFTER = 8, 6  # samples
_ENDS = 2  # tokens
_EARLY, _LAYERS = 3, 5
_HIDDEN = 16


def _valid(h_bnd: jax.Array, features: int, name: str, dtype: DType) -> jax.Array:
  """Convolves tokens without padding: two tokens fewer."""
  return convolution.ShiftedConv(features, _TAPS, dtype=dtype, name=name)(h_bnd)[:, 1:-1]


class HPI(nn.Module):
  """Maps windows (batch, time), scaled as (p − 65)/65, to features (batch, time / 4, channels). Ignores covariates.

  Raises:
    ValueError: the window is not a whole number of patches.
  """

  channels: int
  dtype: DType = None

  @nn.compact
  def __call__(self, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    del c_bq
    context.check_patches(x_bt.shape[1], PATCH)
    h = convolution.with_ends(x_bt, _BEFORE, _AFTER)[..., None]
    norm = frozen_norm.FrozenNorm(name="norm")
    for k in range(_EARLY):
      h = frozen_norm.max_pool(h) if k else h
      h = norm(nn.relu(_valid(h, self.channels, f"layer_{k}", self.dtype)))
    return h


class HypotensionHead(nn.Module):
  """Maps the features of `HPI` (batch, token, feature) to a probability, (batch, 1). Ignores the window itself."""

  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array, x_bt: jax.Array) -> jax.Array:
    del x_bt
    h = h_bnd[:, _ENDS:-_ENDS]
    norm = frozen_norm.FrozenNorm(name="norm")
    for k in range(_EARLY, _LAYERS):
      h = frozen_norm.max_pool(h)
      h = norm(nn.relu(_valid(h, h.shape[-1], f"layer_{k}", self.dtype)))
    h = frozen_norm.max_pool(h).mean(1, dtype=jnp.float32)
    return nn.sigmoid(nn.Dense(1, name="probability")(nn.relu(nn.Dense(_HIDDEN, name="hidden")(h))))
