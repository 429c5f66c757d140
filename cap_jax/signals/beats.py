"""Beats of an arterial pressure wave: feet and the pressures between them.

The upstroke is where the slope sum, the sum of positive slopes over 128 ms, is large (Zong et al., Computers in
Cardiology 2003). The foot is the lowest pressure shortly before it.

Libraries find the peaks of PPG records of ten seconds or more. This module finds the feet of a pressure or a PPG, from
one beat to hours. The tests compare it with `neurokit2`.
"""

import bisect
import dataclasses
import itertools

import numpy as np
import scipy.signal

from cap_jax.signals import filters

SHORTEST_S = 0.27  # one beat at 220 a minute
_SLOPE_WINDOW_S = 0.128
_REFRACTORY_S = 0.3
_FAST_S, _FAST_BEAT_S = 0.25, 0.4  # refractory time where beats are shorter than 0.4 s, up to 220 a minute
_STRONG, _WEAK = 0.45, 0.15  # of the strong slopes
# A weak beat starts this long after the foot before it [s], at most this far above it, and rises at least so much, as
# parts of the height. A dicrotic wave comes earlier: ejection ends within 0.38 s (0.413 s − 0.0017 s per beat a minute,
# Weissler 1968).
_WEAK_FEET = ((0.46, 0.45, 0.15), (0.4, 0.12, 0.25), (0.3, 0.2, 0.4))
# A weak beat that divides an interval of the usual length is one of many, as in alternans, or a dicrotic wave.
_LONGER, _LEAST_WEAK = 1.2, 0.2
_RISE_S = 0.4
_FOOT_SEARCH_S, _BESIDE_S = 0.35, 0.06
_GENTLE, _LOW = 0.15, 0.5  # parts of the steepest slope, and of the fall from there to the lowest point
_BLOCK_S = 10.0


def _strong(slope_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns the strong slopes of each 10 s, (time,), so that thresholds follow a record of hours."""
  size: int = max(int(_BLOCK_S * fs_hz), 1)
  starts = range(0, max(len(slope_t) - size // 2, 1), size)
  centres = [start + min(size, len(slope_t) - start) / 2 for start in starts]
  strong = [np.percentile(slope_t[start : start + size], 97) for start in starts]
  return np.interp(np.arange(len(slope_t)), centres, strong)


def find_feet(p_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Finds the feet of all beats, up to 220 a minute, weak ones too.

  A weak beat, as every other one in pulsus alternans or a premature one in bigeminy, has a smaller upstroke than the
  threshold. It differs from a dicrotic wave by its time and by its foot, which lies near diastole.

  Args:
    p_t: (time,) pressure without gaps.
    fs_hz: sampling rate.

  Returns:
    (beat,) increasing indices.
  """
  if p_t.size < int(_REFRACTORY_S * fs_hz) or np.ptp(p_t) == 0:
    return np.zeros(0, dtype=int)
  smooth = filters.lowpass(np.asarray(p_t, dtype=float), fs_hz, 16.0)
  slope = np.maximum(np.diff(smooth, prepend=smooth[0]), 0)
  width = max(int(_SLOPE_WINDOW_S * fs_hz), 1)
  slope_sum = np.convolve(slope, np.ones(width))[: slope.size]
  strong_t = _strong(slope_sum, fs_hz)

  def upstrokes(share: float, apart_s: float) -> np.ndarray:
    peaks, _ = scipy.signal.find_peaks(slope_sum, height=share * strong_t, distance=max(int(apart_s * fs_hz), 1))
    return np.asarray(peaks)

  peaks = upstrokes(_STRONG, _FAST_S)
  feet = _feet_of(peaks, smooth, slope, fs_hz)
  if feet.size < 3 or np.median(np.diff(feet)) > _FAST_BEAT_S * fs_hz:  # a dicrotic wave may come within 0.3 s
    peaks = upstrokes(_STRONG, _REFRACTORY_S)
    feet = _feet_of(peaks, smooth, slope, fs_hz)
  if feet.size < 2:
    return feet
  weak = upstrokes(_WEAK, _FAST_S)
  weak = weak[np.abs(weak[:, None] - peaks[None, :]).min(1) > 0.2 * fs_hz]
  return _with_weak(feet, _feet_of(weak, smooth, slope, fs_hz), smooth, fs_hz)


def _feet_of(peaks: np.ndarray, smooth: np.ndarray, slope: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns the lowest pressure shortly before each upstroke, given the peaks of the slope sum."""
  width = max(int(_SLOPE_WINDOW_S * fs_hz), 1)
  feet: list[int] = []
  for peak in peaks.tolist():
    # the upstroke lies within the window of the slope sum
    first = max(peak - width, 0)
    steepest = first + int(np.argmax(slope[first : peak + 1]))
    start = max(steepest - int(_FOOT_SEARCH_S * fs_hz), feet[-1] + 1 if feet else 0)
    foot = steepest - _back_to_foot(smooth[start : steepest + 1][::-1], fs_hz) if steepest >= start else steepest
    if foot > 0 and (not feet or foot - feet[-1] >= int(_REFRACTORY_S * fs_hz) // 2):
      feet.append(foot)
  return np.array(feet, dtype=int)


def _back_to_foot(back_t: np.ndarray, fs_hz: float) -> int:
  """Returns the position of the foot in a wave that runs backwards from the steepest point of the upstroke.

  The upstroke begins where its slope is a small part of the steepest one, low in the wave; the foot is the lowest point
  just before. The lowest point of the whole diastole may be another: in vasodilation a dicrotic notch lies lower, and the
  wave may climb from there to the upstroke.
  """
  slope_t = back_t[:-1] - back_t[1:]
  low_t = back_t[:-1] <= back_t.min() + _LOW * (back_t[0] - back_t.min())
  gentle = np.flatnonzero((slope_t < _GENTLE * slope_t.max(initial=0.0)) & low_t)
  first = int(gentle[0]) if gentle.size else int(np.argmin(back_t))
  beside = max(round(_BESIDE_S * fs_hz), 1)
  return first + int(np.argmin(back_t[first : first + beside + 1]))


def _with_weak(feet: np.ndarray, weak: np.ndarray, smooth: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns the feet with those of weak beats among them. Times and levels are choices, see `_WEAK_FEET`."""
  found = feet.tolist()
  usual = float(np.median(np.diff(feet)))
  within: list[int] = []  # weak beats in an interval of the usual length
  for foot in weak.tolist():
    at = bisect.bisect(found, foot)
    before, after = found[at - 1] if at else foot, found[at] if at < len(found) else smooth.size
    if foot == before or after - foot < _FAST_S * fs_hz:
      continue
    base, height = smooth[before], np.ptp(smooth[before:foot])
    level = (smooth[foot] - base) / height if height > 0 else np.inf
    rise = smooth[foot : min(after, foot + int(_RISE_S * fs_hz))].max() - smooth[foot]
    if any(
      foot - before >= least_s * fs_hz and level <= most and rise >= least * height
      for least_s, most, least in _WEAK_FEET
    ):
      found.insert(at, foot)
      if after - before < _LONGER * usual:
        within.append(foot)
  if len(within) < max(_LEAST_WEAK * feet.size, 2):  # a single one is a dicrotic wave
    found = [foot for foot in found if foot not in within]
  return np.array(found, dtype=int)


def whole_beats(p_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Finds the feet of a record that may be as short as one beat.

  A record with fewer than two feet is treated as one period that repeats. Its feet are then those of the second
  repetition and lie beyond its end.

  Args:
    p_t: (time,) pressure without gaps.
    fs_hz: sampling rate.

  Returns:
    (beat + 1,) increasing indices; empty if the record has no beat.
  """
  feet = find_feet(p_t, fs_hz)
  if len(feet) >= 2:
    return feet
  around = find_feet(np.tile(p_t, 3), fs_hz)
  second = around[(around >= p_t.size) & (around < 2 * p_t.size)]
  return np.append(second, second[:1] + p_t.size)


def heart_rate(p_t: np.ndarray, fs_hz: float) -> float:
  """Returns the median heart rate of a record [1/min]; NaN if it has no whole beat.

  Args:
    p_t: (time,) pressure without gaps.
    fs_hz: sampling rate.
  """
  feet = find_feet(p_t, fs_hz)
  return 60 * fs_hz / float(np.median(np.diff(feet))) if feet.size > 1 else float("nan")


def phase(x_t: np.ndarray, feet: np.ndarray) -> np.ndarray:
  """Returns the (time,) number of beats since the first foot, linear between feet and beyond them.

  Args:
    x_t: (time,) a wave, of which only the length counts.
    feet: (beat + 1,) increasing indices; with fewer than two the result is NaN.
  """
  if len(feet) < 2:
    return np.full(x_t.shape, np.nan)
  time = np.arange(len(x_t))
  before = (time - feet[0]) / (feet[1] - feet[0])
  after = len(feet) - 1 + (time - feet[-1]) / (feet[-1] - feet[-2])
  inside = np.interp(time, feet, np.arange(len(feet)))
  return np.where(time < feet[0], before, np.where(time > feet[-1], after, inside))


def ensemble(x_t: np.ndarray, feet: np.ndarray, samples: int) -> np.ndarray:
  """Averages the beats between successive feet, each stretched to one period.

  Args:
    x_t: (time,) any wave on the clock of the feet; it repeats beyond its end.
    feet: (beat + 1,) increasing indices, from `whole_beats`.
    samples: number of samples of the result.

  Returns:
    (samples,) mean beat.
  """
  turn = np.arange(samples) / samples
  around = np.tile(x_t, 3)
  index = np.arange(len(around))
  return np.mean([np.interp(a + turn * (b - a), index, around) for a, b in itertools.pairwise(feet)], axis=0)


@dataclasses.dataclass(frozen=True)
class BeatPressures:
  """Systolic, diastolic, pulse and mean pressure of each beat, each (beat,) [mmHg]."""

  systolic: np.ndarray
  diastolic: np.ndarray
  pulse: np.ndarray
  mean: np.ndarray


def pressures(p_t: np.ndarray, feet: np.ndarray) -> BeatPressures:
  """Returns the pressures of the beats between successive feet.

  Args:
    p_t: (time,) pressure [mmHg].
    feet: (beat + 1,) increasing indices; fewer than two return empty arrays.
  """
  if len(feet) < 2:
    empty = np.zeros(0)
    return BeatPressures(empty, empty, empty, empty)
  beats = [p_t[a:b] for a, b in itertools.pairwise(feet)]
  systolic = np.array([beat.max() for beat in beats])
  diastolic = np.array([beat.min() for beat in beats])
  mean = np.array([beat.mean() for beat in beats])
  return BeatPressures(systolic, diastolic, systolic - diastolic, mean)
