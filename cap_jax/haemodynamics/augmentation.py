"""Augmentation of aortic waves by the reflected wave, batched over beats.

It follows Murgo et al. 1980 (Circulation 62, 105) and Kelly et al. 1989 (Circulation 80, 1652): the reflected wave
appears as an inflection P_i of the systolic wave. Before the peak (types A and B) the augmentation pressure is P_peak −
P_i. After it (type C) it is P_i − P_peak, which is negative.

The inflection is located in a wave of 10 Hz bandwidth. This is a choice: published normal values rest on synthesised
waves of unknown bandwidth. On the virtual cohort, 10 Hz reproduces McEniery's augmentation *and* his times to the
reflection, two quantities by one choice. With 25 Hz the detector finds the corners of ejection instead, and an index 30
points higher.
"""

from typing import NamedTuple

import numpy as np

from cap_jax.haemodynamics import timing

_HALF_AMPLITUDE_HZ = 10.0
_EARLIEST_S = 0.03  # after the foot, for an inflection
_RISE = 0.4  # of the steepest slope: an upstroke, not a ripple
_EARLIEST_BEND_S = 0.14  # a wave that peaks earlier has no bend before the peak but its own rise
# Measured from the smoothed wave's own foot, its least value, which lies some 30 ms before the foot from which ejection
# is counted: the search ends about 10 ms before the incisura.
_AFTER_EJECTION_S = 0.02


class Augmentation(NamedTuple):
  """Augmentation of beats; each field is (beat,), and NaN where no inflection was found.

  Attributes:
    ap_mmhg: augmentation pressure, P2 − P1.
    aix_percent: augmentation index, relative to the pulse pressure of the smoothed wave.
    tr_s: time from the foot of the smoothed wave to the inflection.
    at_s: the same instant from the first sample of the input.
    kind: Murgo's "A" (AIx > 12 %), "B" (0 to 12 %), "C" (the inflection follows the peak), or "" without an inflection.
    p1_mmhg, p2_mmhg: first and second systolic pressure of the smoothed wave.
  """

  ap_mmhg: np.ndarray
  aix_percent: np.ndarray
  tr_s: np.ndarray
  at_s: np.ndarray
  kind: np.ndarray
  p1_mmhg: np.ndarray
  p2_mmhg: np.ndarray


def _crossing(x_bt: np.ndarray, start_b: np.ndarray, stop_b: np.ndarray) -> np.ndarray:
  """Returns the first sample in [start, stop − 1) after which x turns from negative to not negative; −1 without one."""
  index = np.arange(x_bt.shape[1] - 1)[None, :]
  turns = (x_bt[:, :-1] < 0) & (x_bt[:, 1:] >= 0) & (index >= start_b[:, None]) & (index < stop_b[:, None] - 1)
  return np.where(turns.any(1), turns.argmax(1), -1)


def _inflection(
  d1_bt: np.ndarray, d2_bt: np.ndarray, d3_bt: np.ndarray, peak_b: np.ndarray, end_b: np.ndarray, fs_b: np.ndarray
) -> np.ndarray:
  """Returns the sample of the inflection of beats that start at their feet, −1 without one.

  Before the peak it is where the slope is least between two rises, or where a shoulder bends most; else the same after
  the peak.
  """
  samples = d1_bt.shape[1]
  index = np.arange(samples - 1)[None, :]
  steep = d1_bt[:, 1:] > _RISE * d1_bt.max(1, keepdims=True)
  rises = (d2_bt[:, :-1] > 0) & (d2_bt[:, 1:] <= 0) & steep & (index < peak_b[:, None] - 1)
  first = np.where(rises.any(1), rises.argmax(1) + 1, 1)
  first = np.maximum(first, (_EARLIEST_S * fs_b).astype(int))
  end_b = np.minimum(end_b, samples)
  shoulder = np.where(peak_b > _EARLIEST_BEND_S * fs_b, _crossing(-d3_bt, first, peak_b - 1), -1)
  at = _crossing(d2_bt, first, peak_b - 1)
  for candidate in (shoulder, _crossing(-d2_bt, peak_b + 1, end_b), _crossing(d3_bt, peak_b + 2, end_b)):
    at = np.where(at < 0, candidate, at)
  return at


def augmentation(
  p_bt: np.ndarray, period_b: np.ndarray, ejection_b: np.ndarray, half_amplitude_hz: float = _HALF_AMPLITUDE_HZ
) -> Augmentation:
  """Computes the augmentation of aortic waves.

  Args:
    p_bt: (beat, time) one period each, evenly sampled, with any starting point.
    period_b: (beat,) length [s].
    ejection_b: (beat,) duration of ejection [s]; inflections after it are ignored. NaN: none is found.
    half_amplitude_hz: of the Gaussian low-pass in which the inflection is located.
  """
  period_b = np.asarray(period_b, dtype=float)
  waves = timing.derivatives(np.asarray(p_bt, dtype=float), period_b, half_amplitude_hz)
  foot = waves[0].argmin(1)
  wave, d1, d2, d3 = (timing.from_sample(x_bt, foot) for x_bt in waves)
  fs_b, peak, row = wave.shape[1] / period_b, wave.argmax(1), np.arange(len(wave))
  timed = np.isfinite(ejection_b)
  end = np.round((np.where(timed, ejection_b, 0.0) + _AFTER_EJECTION_S) * fs_b).astype(int)
  bend_at = np.where(timed, _inflection(d1, d2, d3, peak, end, fs_b), -1)
  summit, bend, missing = wave[row, peak], wave[row, bend_at], bend_at < 0
  before = bend_at < peak
  p1, p2 = np.where(before, bend, summit), np.where(before, summit, bend)
  p1[missing], p2[missing] = np.nan, np.nan
  aix = 100 * (p2 - p1) / np.ptp(wave, axis=1)
  kind = np.where(before, np.where(aix <= 12, "B", "A"), "C")
  kind[missing] = ""
  at = (foot + bend_at) % wave.shape[1]
  tr_s, at_s = (np.where(missing, np.nan, samples / fs_b) for samples in (bend_at, at))
  return Augmentation(p2 - p1, aix, tr_s, at_s, kind, p1, p2)
