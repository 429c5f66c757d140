"""Beats of an arterial pressure wave: feet and the pressures between them.

The upstroke is where the slope sum, the sum of positive slopes over 128 ms, is large (Zong et al., Computers in
Cardiology 2003). The foot is the lowest pressure shortly before it.

Libraries find the peaks of PPG records of ten seconds or more. This module finds the feet of a pressure or a PPG, from
one beat to hours. The tests compare it with `neurokit2`.
"""

import bisect
import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
import scipy.signal

from cap_jax.signals import blocks, filters

SHORTEST_S = 0.27  # one beat at 220 a minute
_SMOOTH_HZ = 16.0
_SLOPE_WINDOW_S = 0.128
_REFRACTORY_S = 0.3
_FAST_S, _FAST_BEAT_S = 0.25, 0.4  # refractory time where beats are shorter than 0.4 s, up to 220 a minute
_HIGH = 97  # percentile of the slope sums that is a strong slope
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


class _Smooth:
  """A wave after the low-pass, computed in blocks when it is read."""

  def __init__(self, p_t: np.ndarray, fs_hz: float):
    self._wave, self._fs_hz = p_t, fs_hz
    self._start, self._block = 0, np.zeros(0)

  def part(self, start: int, stop: int) -> np.ndarray:
    """Returns the samples [start, stop)."""
    if start < self._start or stop > self._start + self._block.size:
      self._start = max(start - blocks.SAMPLES // 8, 0)
      end = min(max(stop, start + blocks.SAMPLES), self._wave.size)
      part = filters.lowpass_part(self._wave, self._start, end, self._fs_hz, _SMOOTH_HZ)
      self._block = np.asarray(part, dtype=float)
    return self._block[start - self._start : stop - self._start]


class _Upstrokes(NamedTuple):
  """Peaks of the slope sum.

  Attributes:
    at: (peak,) samples.
    height: (peak,) slope sums.
    strong: (peak,) the strong slope sums around.
  """

  at: np.ndarray
  height: np.ndarray
  strong: np.ndarray

  def above(self, share: float, apart: float) -> np.ndarray:
    """Returns (peak,) the samples of the peaks above a share of the strong ones; of two that are too close, the higher.

    Args:
      share: of the strong ones.
      apart: least distance [samples].
    """
    high = self.height >= share * self.strong
    at, height = self.at[high], self.height[high]
    close = at[1:] - at[:-1] < apart
    if not close.any():
      return at
    crowded = np.flatnonzero(np.append(close, False) | np.append(False, close))
    kept, place = np.ones(at.size, dtype=bool), at.tolist()
    for k in crowded[np.argsort(height[crowded], kind="stable")[::-1]].tolist():
      if not kept[k]:
        continue
      for step in (-1, 1):
        other = k + step
        while 0 <= other < len(place) and abs(place[other] - place[k]) < apart:
          kept[other] = False
          other += step
    return at[kept]


def _upstrokes(smooth: _Smooth, size: int, fs_hz: float) -> _Upstrokes:
  """Returns the upstrokes of a wave; the strong ones are those of each 10 s, so that thresholds follow a record of hours.

  Args:
    smooth: the wave.
    size: its samples.
    fs_hz: sampling rate.
  """
  width, length = max(int(_SLOPE_WINDOW_S * fs_hz), 1), max(int(_BLOCK_S * fs_hz), 1)
  centres, strong, at, height = [], [], [], []
  for start, stop in blocks.cut(size, multiple=length):
    first = max(start - 2 * width - 2, 0)
    part = smooth.part(first, min(stop + width + 1, size))
    slope_sum = _sums_of_last(np.maximum(np.diff(part, prepend=part[0]), 0), width)
    peaks, _ = scipy.signal.find_peaks(slope_sum, height=0.0)
    peaks = peaks[(peaks >= start - first) & (peaks < stop - first)]
    at.append(peaks + first)
    height.append(slope_sum[peaks])
    for own in range(start, stop, length):
      if own == 0 or own < size - length // 2:  # the rest of a record is no block of its own
        end = min(own + length, size)
        centres.append((own + end) / 2)
        strong.append(_percentile(slope_sum[own - first : end - first], _HIGH))
  peaks = np.concatenate(at)
  return _Upstrokes(peaks, np.concatenate(height), np.interp(peaks, centres, strong))


def _sums_of_last(x_t: np.ndarray, width: int) -> np.ndarray:
  """Returns the sum of the last `width` samples at each sample, (time,).

  The order of the additions is the same on every machine, unlike that of a convolution by BLAS: while the window holds a whole
  upstroke its sum changes by rounding alone, on which the highest sample hangs.
  """
  sum_t = x_t.copy()
  for k in range(1, min(width, x_t.size)):
    sum_t[k:] += x_t[:-k]
  return sum_t


def _percentile(x_t: np.ndarray, percent: float) -> float:
  """Returns what `numpy.percentile` does, in less time for a short wave."""
  place = (x_t.size - 1) * percent / 100
  low = int(place)
  ordered = np.partition(x_t, [low, min(low + 1, x_t.size - 1)])
  return float(ordered[low] + (place - low) * (ordered[min(low + 1, x_t.size - 1)] - ordered[low]))


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
  p_t = np.asarray(p_t)
  if p_t.size < int(_REFRACTORY_S * fs_hz) or np.ptp(p_t) == 0:
    return np.zeros(0, dtype=int)
  smooth = _Smooth(p_t, fs_hz)
  upstrokes = _upstrokes(smooth, p_t.size, fs_hz)
  peaks = upstrokes.above(_STRONG, max(int(_FAST_S * fs_hz), 1))
  feet = _feet_of(peaks, smooth, fs_hz)
  if feet.size < 3 or np.median(np.diff(feet)) > _FAST_BEAT_S * fs_hz:  # a dicrotic wave may come within 0.3 s
    apart = upstrokes.above(_STRONG, max(int(_REFRACTORY_S * fs_hz), 1))
    feet = feet if np.array_equal(apart, peaks) else _feet_of(apart, smooth, fs_hz)
    peaks = apart
  if feet.size < 2:
    return feet
  weak = upstrokes.above(_WEAK, max(int(_FAST_S * fs_hz), 1))
  weak = weak[np.abs(weak - nearest(peaks, weak)) > 0.2 * fs_hz]
  return _with_weak(feet, _feet_of(weak, smooth, fs_hz), smooth, p_t.size, fs_hz)


def nearest(values: np.ndarray, to: np.ndarray) -> np.ndarray:
  """Returns the nearest of some increasing values to each of others, the lower one of two.

  Args:
    values: (value,) increasing, at least one.
    to: (other,) others.
  """
  after = np.clip(np.searchsorted(values, to), 1, max(values.size - 1, 1))
  low, high = values[after - 1], values[np.minimum(after, values.size - 1)]
  return np.where(np.abs(to - low) <= np.abs(high - to), low, high)


def _feet_of(peaks: np.ndarray, smooth: _Smooth, fs_hz: float) -> np.ndarray:
  """Returns the lowest pressure shortly before each upstroke, given the peaks of the slope sum."""
  width, reach = max(int(_SLOPE_WINDOW_S * fs_hz), 1), int(_FOOT_SEARCH_S * fs_hz)
  least = int(_REFRACTORY_S * fs_hz) // 2
  feet: list[int] = []
  last = -1
  for part in np.split(peaks, np.flatnonzero(np.diff(peaks // blocks.SAMPLES)) + 1) if peaks.size else ():
    first = max(int(part[0]) - width - reach - 1, 0)
    p_t = smooth.part(first, int(part[-1]) + 1)
    slope_t = np.diff(p_t, prepend=p_t[0])
    # the upstroke lies within the window of the slope sum
    window = np.maximum(part[:, None] - first + np.arange(-width, 1), 0)
    steepest = window[np.arange(part.size), np.maximum(slope_t[window], 0).argmax(1)]
    back = steepest[:, None] - np.arange(reach + 1)
    back_kt = p_t[np.maximum(back, 0)]
    alone = steepest - _back_to_foot(back_kt, np.minimum(steepest, reach) + 1, fs_hz)
    for k, (peak, foot) in enumerate(zip((steepest + first).tolist(), (alone + first).tolist(), strict=True)):
      if last >= peak:
        foot = peak
      elif last >= peak - reach:  # the search ends at the foot before
        foot = peak - int(_back_to_foot(back_kt[k : k + 1], np.array([peak - last]), fs_hz)[0])
      if foot > 0 and (last < 0 or foot - last >= least):
        feet.append(foot)
        last = foot
  return np.array(feet, dtype=int)


def _back_to_foot(back_kt: np.ndarray, length_k: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns the position of the foot in waves that run backwards from the steepest point of the upstroke, (beat,).

  The upstroke begins where its slope is a small part of the steepest one, low in the wave; the foot is the lowest point
  just before. The lowest point of the whole diastole may be another: in vasodilation a dicrotic notch lies lower, and the
  wave may climb from there to the upstroke.

  Args:
    back_kt: (beat, time) the waves.
    length_k: (beat,) their samples; what follows does not count.
    fs_hz: sampling rate.
  """
  beat, count = np.arange(len(back_kt)), back_kt.shape[1]
  slope_kt = back_kt[:, :-1] - back_kt[:, 1:]
  if length_k.min() < count:
    beyond = np.arange(count) >= length_k[:, None]
    back_kt, slope_kt = np.where(beyond, np.inf, back_kt), np.where(beyond[:, 1:], np.inf, slope_kt)
    steepest_k = np.where(beyond[:, 1:], 0.0, slope_kt).max(1, initial=0.0)
  else:
    steepest_k = slope_kt.max(1, initial=0.0)
  lowest_k, top_k = back_kt.min(1), back_kt[:, 0]
  low_kt = back_kt[:, :-1] <= (lowest_k + _LOW * (top_k - lowest_k))[:, None]
  gentle_kt = np.append(
    low_kt & (slope_kt < _GENTLE * steepest_k[:, None]), np.ones((len(beat), 1), dtype=bool), axis=1
  )
  first_k = gentle_kt.argmax(1)
  first_k = np.where(first_k < count - 1, first_k, back_kt.argmin(1))
  beside = first_k[:, None] + np.arange(max(round(_BESIDE_S * fs_hz), 1) + 1)
  beside_kt = np.where(beside < count, back_kt[beat[:, None], np.minimum(beside, count - 1)], np.inf)
  return first_k + beside_kt.argmin(1)


def _with_weak(feet: np.ndarray, weak: np.ndarray, smooth: _Smooth, size: int, fs_hz: float) -> np.ndarray:
  """Returns the feet with those of weak beats among them. Times and levels are choices, see `_WEAK_FEET`.

  Args:
    feet: (beat,) feet of strong beats.
    weak: (other,) feet that may be those of weak beats.
    smooth: the wave.
    size: its samples.
    fs_hz: sampling rate.
  """
  found = feet.tolist()
  usual = float(np.median(np.diff(feet)))
  within: set[int] = set()  # weak beats in an interval of the usual length
  for foot in weak.tolist():
    at = bisect.bisect(found, foot)
    before, after = found[at - 1] if at else foot, found[at] if at < len(found) else size
    if foot == before or after - foot < _FAST_S * fs_hz:
      continue
    stop = min(after, foot + int(_RISE_S * fs_hz))
    part = smooth.part(before, stop)
    base, level, height = part[0], part[foot - before], np.ptp(part[: foot - before])
    share = (level - base) / height if height > 0 else np.inf
    rise = part[foot - before :].max() - level
    if any(
      foot - before >= least_s * fs_hz and share <= most and rise >= least * height
      for least_s, most, least in _WEAK_FEET
    ):
      found.insert(at, foot)
      if after - before < _LONGER * usual:
        within.add(foot)
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
  within = p_t[: feet[-1]]
  systolic, diastolic = (function.reduceat(within, feet[:-1]) for function in (np.maximum, np.minimum))
  mean = np.add.reduceat(within, feet[:-1]) / np.diff(feet)
  return BeatPressures(systolic, diastolic, systolic - diastolic, mean)


def merged(pressures_k: BeatPressures, feet: np.ndarray, kept: np.ndarray) -> BeatPressures:
  """Returns the pressures of the beats between some of the feet.

  Args:
    pressures_k: pressures of the beats between all feet.
    feet: (beat + 1,) all feet.
    kept: (other + 1,) those that count; fewer than two return empty arrays.
  """
  if len(kept) < 2:
    return pressures(np.zeros(0), kept)
  at = np.searchsorted(feet, kept)
  systolic = np.maximum.reduceat(pressures_k.systolic[: at[-1]], at[:-1])
  diastolic = np.minimum.reduceat(pressures_k.diastolic[: at[-1]], at[:-1])
  sums = np.add.reduceat((pressures_k.mean * np.diff(feet))[: at[-1]], at[:-1])
  return BeatPressures(systolic, diastolic, systolic - diastolic, sums / np.diff(kept))
