"""f and r: APCONet, which estimates stroke volume from 20 s of arterial pressure, in two blocks.

    h = norm(conv(norm(conv(x))))                               stem
    h ← [relu(A₀ h), relu(A₁ relu(A₂ h)), relu(A₃ relu(A₄ h)), relu(A₅ max₃ h)]      A_i: convolution, then norm
    h ← h + norm(Z softmax((T h)(P h)ᵀ) G h)                    ahead of the last two blocks
    y = W₂ norm(relu(W₁ [relu(W₀ q), mean_n h]))                stroke volume [ml]

(VitalDB, `pyvital/filters/sv_dlapco.py`; its fifteen blocks have kernels of 1, 3 and 5 taps, the latter two dilated by 5
and 7, and a pool that averages two tokens follows every second block.) q are age [years], sex (1 male), weight [kg] and
height [cm]. f ends ahead of the third pool, where a token is four samples, 40 ms at 100 Hz; r is the rest. The softmax
sums to one over the tokens that ask, not over those that answer, as in the original.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from cap_jax.models import context, convolution, frozen_norm
from cap_jax.types import DType

PATCH = 4  # samples per token
PATHS = 4
_EARLY, _LAYERS = 5, 15
_ATTENTION = (13, 14)
_HIDDEN = 64
TYPICAL = (60.0, 1.0, 65.8, 164.9)  # age, sex, weight, height: what pyvital assumes of unknown people


class ConvNorm(nn.Module):
  """A "same" convolution, then a frozen normalisation."""

  features: int
  kernel: int
  dilation: int = 1
  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array) -> jax.Array:
    conv = convolution.ShiftedConv(self.features, self.kernel, self.dilation, self.dtype, name="conv")
    return frozen_norm.FrozenNorm(name="norm")(conv(h_bnd))


def _largest_of_three(h_bnd: jax.Array) -> jax.Array:
  """Returns the largest of each token and its two neighbours."""
  padded = jnp.pad(h_bnd, ((0, 0), (1, 1), (0, 0)), constant_values=-jnp.inf)
  return jnp.maximum(jnp.maximum(padded[:, :-2], padded[:, 2:]), h_bnd)


class Inception(nn.Module):
  """Four paths of convolutions side by side (Szegedy et al. 2015), a quarter of the features each."""

  channels: int
  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array) -> jax.Array:
    def path(h: jax.Array, name: str, kernel: int = 1, dilation: int = 1) -> jax.Array:
      return nn.relu(ConvNorm(self.channels // PATHS, kernel, dilation, self.dtype, name=name)(h))

    wide = path(path(h_bnd, "path_1_in"), "path_1", 3, 5)
    wider = path(path(h_bnd, "path_2_in"), "path_2", 5, 7)
    pooled = path(_largest_of_three(h_bnd), "path_3")
    return jnp.concatenate([path(h_bnd, "path_0"), wide, wider, pooled], axis=-1)


class NonLocal(nn.Module):
  """Self-attention over tokens (Wang et al. 2018), added to its input."""

  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array) -> jax.Array:
    def matrix(h: jax.Array, name: str) -> jax.Array:
      return nn.Dense(h.shape[-1], use_bias=False, dtype=self.dtype, name=name)(h)

    asking_bnd, answering_bmd, value_bmd = (matrix(h_bnd, name) for name in ("t", "p", "g"))
    weight_bnm = jax.nn.softmax(asking_bnd @ answering_bmd.transpose(0, 2, 1), axis=1)
    return h_bnd + frozen_norm.FrozenNorm(name="norm")(matrix(weight_bnm @ value_bmd, "z"))


class APCONet(nn.Module):
  """Maps windows (batch, time), scaled as p/100, to features (batch, time / 4, channels). Ignores covariates.

  Raises:
    ValueError: the window is not a whole number of patches, or the channels are not a multiple of the paths.
  """

  channels: int
  dtype: DType = None

  @nn.compact
  def __call__(self, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    del c_bq
    context.check_patches(x_bt.shape[1], PATCH)
    if self.channels % PATHS:
      raise ValueError(f"channels={self.channels}: must be a multiple of {PATHS}, the number of paths")
    h = ConvNorm(self.channels // PATHS, 3, dtype=self.dtype, name="stem_0")(x_bt[..., None])
    h = ConvNorm(self.channels, 3, dtype=self.dtype, name="stem_1")(h)
    for k in range(_EARLY):
      h = Inception(self.channels, self.dtype, name=f"layer_{k}")(h)
      h = frozen_norm.pairs(h).mean(2) if k % 2 == 0 and k < _EARLY - 1 else h
    return h


class StrokeVolumeHead(nn.Module):
  """Maps the features of `APCONet` (batch, token, feature) to the stroke volume [ml], (batch, 1).

  Ignores the window itself.

  Attributes:
    person: age [years], sex (1 male, 0 female), weight [kg] and height [cm] of all subjects.
    dtype: data type of the convolutions; None is that of the arrays.
  """

  person: tuple[float, ...] = TYPICAL
  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array, x_bt: jax.Array) -> jax.Array:
    del x_bt
    h, width = frozen_norm.pairs(h_bnd).mean(2), h_bnd.shape[-1]
    for k in range(_EARLY, _LAYERS):
      h = NonLocal(self.dtype, name=f"attention_{k}")(h) if k in _ATTENTION else h
      h = Inception(width, self.dtype, name=f"layer_{k}")(h)
      h = frozen_norm.pairs(h).mean(2) if k % 2 == 0 else h
    h = h.mean(1, dtype=jnp.float32)
    person = jnp.tile(jnp.asarray(self.person, jnp.float32)[None], (len(h), 1))
    person = nn.relu(nn.Dense(len(self.person), name="person")(person))
    h = nn.relu(nn.Dense(_HIDDEN, name="hidden")(jnp.concatenate([person, h], axis=1)))
    return nn.Dense(1, name="stroke_volume")(frozen_norm.FrozenNorm(name="norm")(h))
