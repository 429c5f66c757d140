"""a: a low-order sensor response ahead of f, x ↦ a(x; θ_a), the identity at the start or near it.

`fir`: x ↦ g ∗ x with Σ g_k = 1, so that the mean pressure stays, and Σ k g_k = 0, so that slow waves are not delayed:
spectra contain no information on time.
`section`: the inverse of a second-order transducer of natural frequency ω and damping ζ, which reports y for the
pressure x where ÿ + 2ζω ẏ + ω² y = ω² x. So

    a(y) = y + (2ζ/ω) ẏ + (1/ω²) ÿ

has two parameters only, c₁ = |θ₁| and c₂ = |θ₂|. A spectrum does not determine their sign, but a transducer only
delays. The gradient in c₁ is zero at 0, so both start a little above. The derivatives are those of y under a narrow
Gaussian, which removes noise above 25 Hz.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cap_jax.models import convolution

_SIGMA = 0.8  # samples
_REACH = 4
_UNIT_1, _UNIT_2 = 1.0, 4.0  # samples, samples²: parameters of order one
_START = 0.05


def filtered(x_bt: jax.Array, taps_k: jax.Array) -> jax.Array:
  """Returns the "same" convolution x ∗ g of windows padded with their end values.

  Args:
    x_bt: (batch, time) windows.
    taps_k: (tap,) g; the number of taps is odd.
  """
  half = taps_k.shape[0] // 2
  padded = convolution.with_ends(x_bt, half, half)
  time = x_bt.shape[1]
  return jnp.stack([padded[:, k : k + time] for k in range(2 * half + 1)], axis=-1) @ taps_k[::-1]


def gaussian_derivatives() -> tuple[np.ndarray, np.ndarray]:
  """Returns the taps of the first and second derivative under a Gaussian, exact on t and t²/2."""
  t = np.arange(-_REACH, _REACH + 1, dtype=np.float64)
  g = np.exp(-0.5 * (t / _SIGMA) ** 2)
  g /= g.sum()
  first = -t * g
  first /= -(first * t).sum()
  second = (t**2 / _SIGMA**2 - 1) * g
  second -= second.mean()
  second /= (second * t**2 / 2).sum()
  return first.astype(np.float32), second.astype(np.float32)


class FIR(nn.Module):
  """Filters scaled windows (batch, time) with taps that sum to one."""

  taps: int

  @nn.compact
  def __call__(self, x_bt: jax.Array) -> jax.Array:
    change_k = self.param("taps", nn.initializers.zeros, (self.taps,))
    identity_k = np.eye(self.taps, dtype=np.float32)[self.taps // 2]
    lag_k = np.arange(self.taps, dtype=np.float32) - self.taps // 2
    delay = (lag_k @ change_k) / (lag_k @ lag_k)
    return filtered(x_bt, identity_k + change_k - change_k.mean() - delay * lag_k)


class SecondOrderSection(nn.Module):
  """Removes a second-order transducer from scaled windows (batch, time): x + c₁ ẋ + c₂ ẍ, time in samples."""

  @nn.compact
  def __call__(self, x_bt: jax.Array) -> jax.Array:
    c_2 = jnp.abs(self.param("response", nn.initializers.constant(_START), (2,)))
    first_k, second_k = gaussian_derivatives()
    correction_k = _UNIT_1 * c_2[0] * first_k + _UNIT_2 * c_2[1] * second_k
    return x_bt + filtered(x_bt, correction_k)
