"""Beats of an arterial pressure wave: feet and the pressures between them.

The upstroke is where the slope sum, the sum of positive slopes over 128 ms, is large (Zong et al., Computers in
Cardiology 2003). The foot is the lowest pressure shortly before it.

Libraries find the peaks of PPG records of ten seconds or more. This module finds the feet of a pressure or a PPG, from
one beat to hours. The tests compare it with `neurokit2`.
"""

import dataclasses
import itertools

import numpy as np
import scipy.signal

from cap_jax.signals import filters

SHORTEST_S = 0.33  # one beat at 180 a minute
_SLOPE_WINDOW_S = 0.128
_REFRACTORY_S = 0.3
_FOOT_SEARCH_S = 0.35
_BLOCK_S = 10.0


def _threshold(slope_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns 0.45 of the strong slopes of each 10 s, (time,), so that the threshold follows a record of hours."""
  size: int = max(int(_BLOCK_S * fs_hz), 1)
  starts = range(0, max(len(slope_t) - size // 2, 1), size)
  centres = [start + min(size, len(slope_t) - start) / 2 for start in starts]
  strong = [np.percentile(slope_t[start : start + size], 97) for start in starts]
  return 0.45 * np.interp(np.arange(len(slope_t)), centres, strong)


def find_feet(p_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Finds the feet of all beats.

  Args:
    p_t: (time,) pressure without gaps.
    fs_hz: sampling rate.

  Returns:
    (beat,) increasing indices.
  """
  if p_t.size < int(0.3 * fs_hz) or np.ptp(p_t) == 0:
    return np.zeros(0, dtype=int)
  smooth = filters.lowpass(np.asarray(p_t, dtype=float), fs_hz, 16.0)
  slope = np.maximum(np.diff(smooth, prepend=smooth[0]), 0)
  width = max(int(_SLOPE_WINDOW_S * fs_hz), 1)
  slope_sum = np.convolve(slope, np.ones(width))[: slope.size]
  peaks, _ = scipy.signal.find_peaks(
    slope_sum, height=_threshold(slope_sum, fs_hz), distance=max(int(_REFRACTORY_S * fs_hz), 1)
  )
  feet: list[int] = []
  for peak in peaks.tolist():
    # the upstroke lies within the window of the slope sum
    first = max(peak - width, 0)
    steepest = first + int(np.argmax(slope[first : peak + 1]))
    start = max(steepest - int(_FOOT_SEARCH_S * fs_hz), feet[-1] + 1 if feet else 0)
    foot = start + int(np.argmin(smooth[start : steepest + 1])) if steepest >= start else steepest
    if foot > 0 and (not feet or foot - feet[-1] >= int(_REFRACTORY_S * fs_hz) // 2):
      feet.append(foot)
  return np.array(feet, dtype=int)


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
