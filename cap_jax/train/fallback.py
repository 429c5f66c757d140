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
over simulated worlds, each with a tubing of its own between aorta and sensor (`data.outliers`): in nine of ten worlds, nine
tenths of the wave lie within q_f d.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from cap_jax.baselines import transfer_function

_LARGEST = 1e4  # of a number in a header
_LOW_PASS_HZ = 5.0  # of ℓ
_LARGEST_LAG_S = 0.12  # of τ; all of G leads by less
_LEAST_POWER = 1e-12  # of slopes [mmHg² per sample²]
_SCALE = 1.5  # s_1: hardly a clean window is beyond the threshold, those of the rig are 1 to 6 logits away


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

  def mix(self, network_bt: np.ndarray, x_bt: np.ndarray, w_b: np.ndarray, fs_hz: float) -> np.ndarray:
    """Returns ŷ, (window, time) [mmHg].

    Args:
      network_bt: (window, time) waves of the network [mmHg].
      x_bt: (window, time) peripheral waves [mmHg].
      w_b: (window,) w.
      fs_hz: sampling rate.
    """
    y_bt, rows = np.array(network_bt, np.float32), np.flatnonzero(w_b > 0)
    if not rows.size:
      return y_bt
    half = len(self.source.taps) // 2
    # the filter overhangs the window: each end continues as its own mirror image, which keeps level and slope
    longer_bt = np.pad(x_bt[rows], ((0, 0), (half, half)), mode="reflect", reflect_type="odd")
    filter_bt = transfer_function.half_way(self.source).predict(longer_bt)[:, half : half + x_bt.shape[1]]
    lag_b = _lag(network_bt[rows], filter_bt, round(_LARGEST_LAG_S * fs_hz), half)
    w_b1 = w_b[rows, None]
    own_bt, other_bt = _late(network_bt[rows], w_b[rows] * lag_b), _late(filter_bt, (w_b[rows] - 1) * lag_b)
    sd = math.sqrt(math.log(2)) / (2 * math.pi * _LOW_PASS_HZ) * fs_hz  # samples
    y_bt[rows] = own_bt + w_b1 * ndimage.gaussian_filter1d(other_bt - own_bt, sd, axis=1, mode="nearest")
    return y_bt

  def apart(self, x_bt: np.ndarray) -> np.ndarray:
    """Returns d, (window,) [mmHg].

    Args:
      x_bt: (window, time) peripheral waves [mmHg].
    """
    half = len(self.source.taps) // 2
    difference_bt = 0.5 * (x_bt - self.source.predict(x_bt))[:, half : x_bt.shape[1] - half]
    return np.sqrt(np.square(difference_bt).mean(1, dtype=np.float64))

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


def weight(ood_b: np.ndarray, threshold: float) -> np.ndarray:
  """Returns w, (window,): 0 up to the threshold, and without a detector.

  Args:
    ood_b: (window,) s; NaN without a detector.
    threshold: s_0.
  """
  beyond_b = np.where(np.isnan(ood_b), 0.0, np.maximum(ood_b - threshold, 0))
  return -np.expm1(-np.square(beyond_b / _SCALE))


def _lag(early_bt: np.ndarray, late_bt: np.ndarray, most: int, overhang: int) -> np.ndarray:
  """Returns τ, (window,) in samples: the delay of one wave that brings its slopes closest to those of the other.

  Args:
    early_bt, late_bt: (window, time) the waves.
    most: largest delay [samples].
    overhang: samples at each end of `late_bt` that depend on what lies beyond the window, and do not count.
  """
  early_bt, late_bt = np.diff(early_bt, axis=1), np.diff(late_bt, axis=1)
  ends = max(most, overhang)
  inner = slice(ends, early_bt.shape[1] - ends)
  moved = [early_bt[:, inner.start - k : inner.stop - k] for k in range(most + 1)]
  late_bt = late_bt[:, inner]
  # relative to the power of both, as an upstroke that leaves the window takes its power away
  power_b = np.square(late_bt).mean(1)
  errors = np.stack(
    [np.square(one - late_bt).mean(1) / np.maximum(np.square(one).mean(1) + power_b, _LEAST_POWER) for one in moved]
  )
  least_b, window = errors.argmin(0), np.arange(errors.shape[1])
  # the minimum of the parabola through three neighbours, so that the answer is continuous in the input
  before, at, after = (errors[np.clip(least_b + step, 0, most), window] for step in (-1, 0, 1))
  bend = before - 2 * at + after
  between = (least_b > 0) & (least_b < most) & (bend > 0)
  return least_b + np.where(between, 0.5 * (before - after) / np.where(between, bend, 1.0), 0.0)


def _late(wave_bt: np.ndarray, samples_b: np.ndarray) -> np.ndarray:
  """Returns waves that come later by a number of samples; an end repeats its last value.

  Cubic splines, as a line between two samples would smooth the incisura.
  """
  return np.stack(
    [
      ndimage.shift(wave_t, late, mode="nearest") if late else wave_t
      for wave_t, late in zip(wave_bt, samples_b, strict=True)
    ]
  )
