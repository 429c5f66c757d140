"""What a network answers where its input is unlike its training: less and less its own wave, and more and more that of a
conservative linear filter, √G,

    ŷ(t) = ŷ_w(t) + w ℓ∗(ŷ_f − ŷ_w)(t),     w = 1 − exp(−(max(s − s_0, 0) / s_1)²)
    ŷ_w(t) = ŷ_net(t − wτ),     ŷ_f(t) = (√G∗x)(t + (1 − w)τ)

s is the logit of the network's detector, s_0 its threshold (`inference.uncertainty`), beyond which few windows of the
training's kind lie, and those not far.

Without knowledge of the artery and of the device, two answers are at hand: the peripheral wave itself, which has the mean of
the aortic one, and the transfer function G of the source. √G lies half-way between them: half the gain in dB and half the
delay. Two things keep the incisura, although a filter smooths: ℓ, a Gaussian low-pass of 5 Hz (−3 dB), leaves the fast part
to the network, in which little of its error lies; and delays are mixed like waves, not by adding two waves of which one is
late: τ is the lag of √G∗x behind ŷ_net. How far the two answers are apart says how large the error may be,

    d² = mean_t ((x − G∗x)/2)²,     half-width = (1 − w) q σ(t) + w q_f d

An error of the mixture is about the same mixture of the errors of both, so the half-widths mix likewise. q_f is conformal
over simulated systems, each with a tubing of its own between aorta and sensor (`data.outliers`): in nine of ten systems, nine
tenths of the wave lie within q_f d.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from cap_jax.baselines import transfer_function

_LARGEST = 1e4  # of a number in a header
_LOW_PASS_HZ = 5.0  # of ℓ
_LARGEST_LAG_S = 0.12  # of τ; all of G leads by less
_LEAST_POWER = 1e-12  # of slopes [mmHg² per sample²]
_LIKE = (
  0.05  # least likeness of slopes, 1 − error, at which a lag counts in full: of a wave without a pulse, all are as good
)
_SCALE = 1.5  # s_1: hardly a clean window is beyond the threshold, those of the rig are 1 to 6 logits away
_BLOCK = 64  # windows
MOST_SAMPLES = 2000
"""Longest window with a fallback: its operators are matrices of the square of it, 0.1 GB here."""


class Operators(NamedTuple):
  """The linear operations on windows, as matrices that multiply windows from the right.

  Attributes:
    filter_tt: √G without its bias; beyond its ends, a window continues as its own mirror image, which keeps level and slope.
    whole_ti: G without its bias, inside the window.
    smooth_tt: ℓ.
    spline_tc: to the coefficients of cubic splines through a window that is extended by its last values.
    bias: of √G and of G, (2,).
  """

  filter_tt: jax.Array
  whole_ti: jax.Array
  smooth_tt: jax.Array
  spline_tc: jax.Array
  bias: jax.Array


@functools.lru_cache(8)
def _operators(taps: bytes, bias: float, samples: int, fs_hz: float) -> Operators:
  source = transfer_function.TransferFunction(np.frombuffer(taps), bias)
  root, half = transfer_function.half_way(source), len(source.taps) // 2
  ones = np.eye(samples, dtype=np.float32)
  longer = np.pad(ones, ((0, 0), (half, half)), mode="reflect", reflect_type="odd")
  extended = np.pad(np.eye(samples), ((0, 0), (_spare(fs_hz), _spare(fs_hz))), mode="edge")
  sd = math.sqrt(math.log(2)) / (2 * math.pi * _LOW_PASS_HZ) * fs_hz  # samples
  parts = (
    root.predict(longer)[:, half : half + samples] - root.bias,
    source.predict(ones)[:, half : samples - half] - source.bias,
    ndimage.gaussian_filter1d(np.eye(samples), sd, axis=1, mode="nearest"),
    ndimage.spline_filter1d(extended, axis=1, mode="nearest"),
    np.array([root.bias, source.bias]),
  )
  with jax.ensure_compile_time_eval():  # also where a caller is traced
    return Operators(*(jnp.asarray(part, jnp.float32) for part in parts))


def _most(fs_hz: float) -> int:
  """Returns the largest lag in samples."""
  return round(_LARGEST_LAG_S * fs_hz)


def _spare(fs_hz: float) -> int:
  """Returns by how many samples a window is extended, so that it can be moved by the largest lag."""
  return _most(fs_hz) + 12  # a spline feels its end no further


@dataclasses.dataclass(frozen=True)
class Fallback:
  """The conservative answer, and how far it can be trusted.

  Attributes:
    source: G, the transfer function of the source.
    wave, csbp: q_f of the wave at one instant, and of the systolic pressure of a beat.
  """

  source: transfer_function.TransferFunction
  wave: float = 1.0
  csbp: float = 1.0

  def operators(self, samples: int, fs_hz: float) -> Operators:
    """Returns the linear operations on windows of some samples."""
    taps = np.ascontiguousarray(self.source.taps, np.float64).tobytes()
    return _operators(taps, float(self.source.bias), samples, fs_hz)

  def mix(
    self, network_bt: np.ndarray, x_bt: np.ndarray, w_b: np.ndarray, fs_hz: float, block: int = _BLOCK
  ) -> np.ndarray:
    """Returns ŷ, (window, time) [mmHg].

    Args:
      network_bt: (window, time) waves of the network [mmHg].
      x_bt: (window, time) peripheral waves [mmHg].
      w_b: (window,) w.
      fs_hz: sampling rate.
      block: windows that are computed at once.
    """
    y_bt, rows = np.array(network_bt, np.float32), np.flatnonzero(w_b > 0)
    operators = self.operators(x_bt.shape[1], fs_hz)
    for start in range(0, rows.size, block):
      own = np.resize(rows[start : start + block], block)  # one shape, so one program
      y_bt[own] = mix(operators, *(jnp.asarray(part[own], jnp.float32) for part in (network_bt, x_bt, w_b)), fs_hz)
    return y_bt

  def apart(self, x_bt: np.ndarray, fs_hz: float) -> np.ndarray:
    """Returns d, (window,) [mmHg].

    Args:
      x_bt: (window, time) peripheral waves [mmHg].
      fs_hz: sampling rate.
    """
    return np.asarray(apart(self.operators(x_bt.shape[1], fs_hz), jnp.asarray(x_bt, jnp.float32)))

  @property
  def header(self) -> dict[str, Any]:
    """Returns what a checkpoint stores."""
    return {"taps": self.source.taps.tolist(), "bias": self.source.bias, "wave": self.wave, "csbp": self.csbp}

  @classmethod
  def restored(cls, header: Mapping[str, Any]) -> "Fallback":
    """Returns the fallback from `header` of a checkpoint.

    Raises:
      ValueError: a value is not finite, or there is no tap in the middle.
    """
    taps, bias = np.asarray(header["taps"], dtype=float), float(header["bias"])
    wave, csbp = float(header["wave"]), float(header["csbp"])
    sound = taps.ndim == 1 and len(taps) % 2 == 1 and np.abs([*taps, bias, wave, csbp]).max() < _LARGEST
    if not sound or min(wave, csbp) < 0:
      raise ValueError("fallback")
    return cls(transfer_function.TransferFunction(taps, bias), wave, csbp)


def weight(ood_b: jax.Array | np.ndarray, threshold: float | jax.Array) -> jax.Array:
  """Returns w, (window,): 0 up to the threshold, and without a detector.

  Args:
    ood_b: (window,) s; NaN without a detector.
    threshold: s_0.
  """
  beyond_b = jnp.where(jnp.isnan(ood_b), 0.0, jnp.maximum(ood_b - threshold, 0))
  return -jnp.expm1(-jnp.square(beyond_b / _SCALE))


class Answer(NamedTuple):
  """A wave (window, time) and σ (window, time) [mmHg]."""

  y_bt: jax.Array
  sigma_bt: jax.Array


@functools.partial(jax.jit, static_argnums=5)
def answer(
  operators: Operators, network: Answer, x_bt: jax.Array, ood_b: jax.Array, levels: tuple[float, float], fs_hz: float
) -> Answer:
  """Returns what is answered in place of a network's own wave.

  Args:
    operators: of the fallback.
    network: wave and σ of the network.
    x_bt: (window, time) peripheral waves [mmHg].
    ood_b: (window,) s.
    levels: s_0, and the factor that makes d a σ.
    fs_hz: sampling rate.
  """
  threshold, sigma_of_d = levels
  w_b = weight(ood_b, threshold)
  other_b = sigma_of_d * apart(operators, x_bt)
  sigma_bt = (1 - w_b)[:, None] * network.sigma_bt + (w_b * other_b)[:, None]
  return Answer(mix(operators, network.y_bt, x_bt, w_b, fs_hz), sigma_bt)


@jax.jit
def apart(operators: Operators, x_bt: jax.Array) -> jax.Array:
  """Returns d, (window,) [mmHg], see `Fallback.apart`."""
  overhang = (x_bt.shape[1] - operators.whole_ti.shape[1]) // 2
  inner_bt = x_bt[:, overhang : x_bt.shape[1] - overhang]
  return jnp.sqrt(jnp.square(0.5 * (inner_bt - (x_bt @ operators.whole_ti + operators.bias[1]))).mean(1))


@functools.partial(jax.jit, static_argnums=4)
def mix(operators: Operators, network_bt: jax.Array, x_bt: jax.Array, w_b: jax.Array, fs_hz: float) -> jax.Array:
  """Returns ŷ, (window, time) [mmHg], see `Fallback.mix`."""
  filter_bt = x_bt @ operators.filter_tt + operators.bias[0]
  overhang = (x_bt.shape[1] - operators.whole_ti.shape[1]) // 2
  lag_b = _lag(network_bt, filter_bt, _most(fs_hz), overhang)
  own_bt = _late(operators, network_bt, w_b * lag_b, fs_hz)
  other_bt = _late(operators, filter_bt, (w_b - 1) * lag_b, fs_hz)
  return own_bt + w_b[:, None] * ((other_bt - own_bt) @ operators.smooth_tt)


def _lag(early_bt: jax.Array, late_bt: jax.Array, most: int, overhang: int) -> jax.Array:
  """Returns τ, (window,) in samples: the delay of one wave that brings its slopes closest to those of the other.

  Args:
    early_bt, late_bt: (window, time) the waves.
    most: largest delay [samples].
    overhang: samples at each end of `late_bt` that depend on what lies beyond the window, and do not count.
  """
  early_bt, late_bt = jnp.diff(early_bt, axis=1), jnp.diff(late_bt, axis=1)
  ends = max(most, overhang)
  stop = early_bt.shape[1] - ends
  late_bt = late_bt[:, ends:stop]
  moved = jnp.stack([early_bt[:, ends - k : stop - k] for k in range(most + 1)], axis=1)
  # relative to the power of both, as an upstroke that leaves the window takes its power away
  power_bk = jnp.square(moved).mean(2) + jnp.square(late_bt).mean(1, keepdims=True)
  error_bk = jnp.square(moved - late_bt[:, None]).mean(2) / jnp.maximum(power_bk, _LEAST_POWER)
  least_b = error_bk.argmin(1)
  # the minimum of the parabola through three neighbours, so that the answer is continuous in the input
  around_b3 = jnp.clip(least_b[:, None] + jnp.arange(-1, 2)[None], 0, most)
  before_b, at_b, after_b = jnp.take_along_axis(error_bk, around_b3, axis=1).T
  bend_b = before_b - 2 * at_b + after_b
  between_b = (least_b > 0) & (least_b < most) & (bend_b > 0)
  lag_b = least_b + jnp.where(between_b, 0.5 * (before_b - after_b) / jnp.where(between_b, bend_b, 1.0), 0.0)
  return lag_b * jnp.clip((1 - at_b) / _LIKE, 0, 1)


def _late(operators: Operators, wave_bt: jax.Array, samples_b: jax.Array, fs_hz: float) -> jax.Array:
  """Returns waves that come later by a number of samples; an end repeats its last value.

  Cubic splines, as a line between two samples would smooth the incisura (Unser 1999, IEEE Signal Process. Mag. 16, 22).
  """
  time, early_b = wave_bt.shape[1], -samples_b
  whole_b = jnp.floor(early_b)
  f_b1 = (early_b - whole_b)[:, None]
  first_b1 = _spare(fs_hz) - 1 + whole_b.astype(jnp.int32)[:, None]
  own_bc = jnp.take_along_axis(wave_bt @ operators.spline_tc, first_b1 + jnp.arange(time + 3)[None], axis=1)
  parts = ((1 - f_b1) ** 3, 4 - 6 * f_b1**2 + 3 * f_b1**3, 1 + 3 * f_b1 + 3 * f_b1**2 - 3 * f_b1**3, f_b1**3)
  return cast(jax.Array, sum(part * own_bc[:, k : k + time] for k, part in enumerate(parts)) / 6)
