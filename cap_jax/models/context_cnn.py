"""f: the extractor `token_cnn`, with the context in which a window was measured.

The context consists of spectra, of the subject's record and mean and SD of those of the clinic, and mean and SD of the responses
of the clinic's labelled subjects (`signals.spectra`). A small network e encodes them, and its code sets two things:

    a(x; c₁, c₂) = x + c₁ ẋ + c₂ ẍ,     (c₁, c₂) = W_a e(s)          the inverse of a second-order transducer (`adaptor`)
    g ↦ (1 + γ) g + β,                  (γ, β) = W e(s), each layer   as in `token_cnn.Residual`

So one network adapts to the line of a clinic without training: amortised domain adaptation, learnt over simulated clinics
(`data.simulated_clinics`). W_a and W start at zero: a fresh network is `token_cnn`.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from cap_jax.models import adaptor, context, convolution, token_cnn
from cap_jax.signals import spectra
from cap_jax.types import DType

_LIMIT = 3.0
_UNITS = (1.0, 4.0)  # of c₁ and c₂, samples and samples²


def derivatives(x_bt: jax.Array) -> jax.Array:
  """Returns first and second derivative of windows under a narrow Gaussian, (batch, time, 2)."""
  first_k, second_k = adaptor.gaussian_derivatives()
  half = len(first_k) // 2
  padded = convolution.with_ends(x_bt, half, half)
  time = x_bt.shape[1]
  taps_kd = jnp.stack([first_k[::-1], second_k[::-1]], axis=-1)
  return jnp.stack([padded[:, k : k + time] for k in range(2 * half + 1)], axis=-1) @ taps_kd


class ContextCNN(nn.Module):
  """Maps scaled windows (batch, time) and covariates (batch, covariate) to features (batch, token, channels).

  The last `spectra.CONTEXT_SIZE` columns of the covariates are the context.

  Raises:
    ValueError: the window is not a whole number of patches.
  """

  patch: int
  channels: int
  layers: int
  kernel: int
  code: int
  dtype: DType = None

  @nn.compact
  def __call__(self, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    covariates_bq, spectra_bq = c_bq[:, : -spectra.CONTEXT_SIZE], c_bq[:, -spectra.CONTEXT_SIZE :]
    code_bd = _LIMIT * jnp.tanh(spectra_bq / _LIMIT)
    for k in range(2):
      code_bd = nn.gelu(nn.Dense(self.code, dtype=self.dtype, name=f"encoder_{k}")(code_bd))
    inverse_b2 = nn.Dense(2, kernel_init=nn.initializers.zeros, name="section")(code_bd) * jnp.asarray(_UNITS)[None]
    x_bt = x_bt + (derivatives(x_bt) * inverse_b2[:, None]).sum(-1)
    h = convolution.ShiftedConv(self.channels, 3, dtype=self.dtype, name="embed")(token_cnn.tokens(x_bt, self.patch))
    h = context.embed_context(h, x_bt, covariates_bq)
    for k in range(self.layers):
      h = token_cnn.Residual(self.channels, self.kernel, 2 ** (k % 3), self.dtype, name=f"layer_{k}")(h, code_bd)
    return nn.LayerNorm(dtype=self.dtype, name="norm")(h)
