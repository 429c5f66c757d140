"""Fault detection for the beats of a pressure or a PPG; each rejected beat keeps its reason.

    flat      no pulse: a small part of its neighbours' amplitude, or below 8 mmHg
    clipped   cut off at the highest or the lowest value of the record, or wrapped around from one to the other
    damped    a pressure whose upstroke is slow for its height, or two or more slower and blunter at the top than others
    flush     a pressure far above its neighbours', as when a catheter line is flushed
    motion    unlike the median beat about it, or its two feet far apart in height
    ectopic   an interval that differs by more than a fifth from its neighbours' (Malik 1996 has this fifth)

Published libraries score a PPG beat with one quality index. They do not detect the faults of a pressure transducer, so
this module does.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.ndimage

from cap_jax.signals import beats, blocks

FAULTS = ("flat", "clipped", "damped", "flush", "motion", "ectopic")
_NEIGHBOURS = 31  # beats of a running median
_FLAT_SHARE, _FLAT_MMHG = 0.2, 8.0
_CLIPPED_S = 0.04
_BEYOND, _OFTEN_AT_REST = (20, 80), 4  # percentiles of all samples, and times that a wave rests at a rail
# A wave that is cut off lies this far from the rail `_ENTRY_S` before and after: in its smallest steps, or as a part of
# its range.
_ENTRY_S, _STEPS, _ENTRY = 0.008, 1.5, 0.002
_COARSE_FOOT_S = 0.25  # diastole falls by 10 mmHg a second at its end, so it rests on its last mmHg for 0.1 s
_COARSE_STEPS, _COARSE_MMHG = 2.5, 0.5  # a peak in whole mmHg may be reached by two steps at once
_WRAPPED_PER_S = 40.0  # slope over height that no pulse has
_SLOPE_PER_S = 4.0  # steepest slope over height; an undamped transducer shows 9 and more
# Relative to the upper quartile of the neighbours, of which less than half may be damped themselves. A transducer
# damped for 10 s (pole at 2 Hz) leaves 0.7 of the slope and 0.4 of the curvature at the top (median of 687 beats, in
# silico). Of 1,840 other beats none lies below 0.91 and 0.92.
_DAMPED_STEEPNESS, _DAMPED_SHARPNESS = 0.85, 0.6
_BLUR_S = 0.016
_ALIGN_SAMPLES = 2.0  # width of the filter in which the steepest rise is found
_FLUSH_MMHG = 60.0
_LEAST_CORRELATION = {True: 0.8, False: 0.86}  # PPG: Orphanidou 2015, IEEE JBHI 19, 832; pressure: a choice
_STEP_SHARE = 0.6
_WEAK, _OFTEN = 0.6, 0.2  # rise of a weak beat, as a part of that of strong ones; and the least share of weak beats
_ECTOPIC_SHARE = 0.2
_PHASES = 48
_RISE, _BEFORE, _AFTER = (
  0.35,
  0.15,
  0.7,
)  # parts of a beat: where its rise lies, and what is compared before and after it


def _running_median(value_k: np.ndarray) -> np.ndarray:
  return scipy.ndimage.median_filter(value_k, min(_NEIGHBOURS, max(len(value_k) // 2 * 2 - 1, 1)), mode="nearest")


def _weak(high_k: np.ndarray, foot_k: np.ndarray) -> np.ndarray:
  """Returns which beats are weak ones among strong ones, as in alternans or bigeminy: a fifth of all at least.

  Args:
    high_k: (beat,) highest values.
    foot_k: (beat,) values at the foot before each.
  """
  rise_k = high_k - foot_k
  weak_k = rise_k < _WEAK * np.percentile(rise_k, 75)
  return weak_k & (weak_k.mean() >= _OFTEN)


def _upper_quartile(value_k: np.ndarray, sound_k: np.ndarray) -> np.ndarray:
  """Returns the (beat,) running upper quartile of the sound beats, NaN where none is sound.

  The window is four times that of the running median. It is mirrored at the ends, because a fault may affect the last
  beats.
  """
  at = np.flatnonzero(sound_k)
  if not at.size:
    return np.full(len(value_k), np.nan)
  quartile = scipy.ndimage.percentile_filter(value_k[at], 75, min(4 * _NEIGHBOURS, at.size), mode="reflect")
  return np.interp(np.arange(len(value_k)), at, quartile)


def _in_each(function: np.ufunc, x_t: np.ndarray, start_k: np.ndarray, stop_k: np.ndarray) -> np.ndarray:
  """Reduces the samples of each beat with a ufunc, (beat,); beats need not be contiguous."""
  return function.reduceat(x_t, np.stack([start_k, stop_k], axis=1).ravel())[::2]


def _rail_levels(x_t: np.ndarray, valid_t: np.ndarray, longest: int) -> tuple[list[float], float]:
  """Returns the highest and the lowest value and values beyond most others where the wave often rests, and the median.

  A marker or a spike may lie beyond the rails at which the wave itself is cut off.
  """
  valid = x_t[valid_t]
  levels = {float(valid.min()), float(valid.max())}
  low, median, high = np.percentile(valid, [_BEYOND[0], 50, _BEYOND[1]], overwrite_input=True)
  del valid
  rests = blocks.runs((x_t[1:] == x_t[:-1]) & valid_t[1:])
  resting = x_t[rests[rests[:, 1] - rests[:, 0] + 1 >= longest, 0]]
  values, counts = np.unique(resting[(resting >= high) | (resting <= low)], return_counts=True)
  return sorted(levels.union(values[counts >= _OFTEN_AT_REST].tolist())), float(median)


def _smallest_step(x_t: np.ndarray, valid_t: np.ndarray) -> float:
  """Returns the smallest difference between neighbouring valid samples that differ, 0 if none do."""
  least, before = np.inf, np.zeros(0)
  for start, stop in blocks.cut(x_t.size):
    valid = np.concatenate([before, x_t[start:stop][valid_t[start:stop]]])
    steps, before = np.abs(np.diff(valid)), valid[-1:]
    least = min(least, steps[steps > 0].min(initial=np.inf))
  return float(least) if np.isfinite(least) else 0.0


def at_rails(x_t: np.ndarray, fs_hz: float, valid_t: np.ndarray | None = None) -> np.ndarray:
  """Marks the samples where a signal stays at its highest or lowest value for 40 ms, because it was cut off there.

  Pass the samples as they were recorded: a resampled wave rings where it was cut. A wave in whole mmHg also rests on
  its peaks, but it reaches them by single steps.

  Args:
    x_t: (time,) the wave as recorded.
    fs_hz: sampling rate.
    valid_t: (time,) which samples are no gaps; the finite ones if None.

  Returns:
    (time,) bool.
  """
  cut_off_t = np.zeros(x_t.shape, dtype=bool)
  valid_t = np.isfinite(x_t) if valid_t is None else valid_t
  highest, lowest = x_t.max(where=valid_t, initial=-np.inf), x_t.min(where=valid_t, initial=np.inf)
  if not highest > lowest:
    return cut_off_t
  step = _smallest_step(x_t, valid_t)
  steps_at_once = _COARSE_STEPS if step >= _COARSE_MMHG else _STEPS
  longest, reach = max(int(_CLIPPED_S * fs_hz), 3), max(round(_ENTRY_S * fs_hz), 1)
  levels, median = _rail_levels(x_t, valid_t, longest)
  for level in levels:
    coarse_foot = steps_at_once == _COARSE_STEPS and level < median
    enough = max(int(_COARSE_FOOT_S * fs_hz), longest) if coarse_foot else longest
    rests = blocks.runs(x_t == level)
    for start, stop in rests[rests[:, 1] - rests[:, 0] >= enough].tolist():
      beside = x_t[[k for k in (start - reach, stop - 1 + reach) if 0 <= k < x_t.size and valid_t[k]]]
      if np.any(np.abs(beside - level) > max(steps_at_once * step, _ENTRY * (highest - lowest))):
        cut_off_t[start:stop] = True
  return cut_off_t


class _Pieces:
  """Pieces of a record on one axis, one after another."""

  def __init__(self, pieces: Sequence[np.ndarray]):
    self._pieces = pieces
    self.starts = np.cumsum([0, *(len(piece) for piece in pieces)])  # (piece + 1,) their first samples, and the end

  def part(self, start: int, stop: int) -> np.ndarray:
    """Returns the samples [start, stop) of all pieces."""
    first = int(np.searchsorted(self.starts, start, side="right")) - 1
    last = int(np.searchsorted(self.starts, stop, side="left"))
    own = range(max(first, 0), min(last, len(self._pieces)))
    parts = [self._pieces[k][max(start - int(self.starts[k]), 0) : stop - int(self.starts[k])] for k in own]
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0), *parts])

  def around(self, start_k: np.ndarray, stop_k: np.ndarray, margin: int) -> Iterator[tuple[slice, int, np.ndarray]]:
    """Yields groups of successive beats: their slice, the first sample of their stretch of the record, and the stretch.

    Args:
      start_k, stop_k: feet before and after each beat.
      margin: samples before and after the beats.
    """
    group_k = np.unique(start_k // blocks.SAMPLES, return_index=True)[1]
    for first, last in itertools.pairwise([*group_k.tolist(), len(start_k)]):
      begin = max(int(start_k[first]) - margin, 0)
      yield slice(first, last), begin, self.part(begin, min(int(stop_k[last - 1]) + margin, int(self.starts[-1])))


class _Shapes(NamedTuple):
  """Features of beats, each (beat,).

  Attributes:
    high, low: highest and lowest values.
    foot, end: values at the feet before and after.
    slope, jump: steepest rise, and steepest change in either direction [1/s].
    sharpness: strongest downward curvature of the slightly blurred wave in the first half.
    steepest: sample of the steepest rise.
    railed: whether the record was cut off.
  """

  high: np.ndarray
  low: np.ndarray
  foot: np.ndarray
  end: np.ndarray
  slope: np.ndarray
  jump: np.ndarray
  sharpness: np.ndarray
  steepest: np.ndarray
  railed: np.ndarray


def _shapes(wave: _Pieces, rails: _Pieces | None, start_k: np.ndarray, stop_k: np.ndarray, fs_hz: float) -> _Shapes:
  """Returns the features of beats.

  Args:
    wave: the wave.
    rails: where it was cut off; None if it was nowhere.
    start_k, stop_k: feet before and after each beat.
    fs_hz: sampling rate.
  """
  shapes = _Shapes(*(np.empty(len(start_k)) for _ in _Shapes._fields))
  margin = int(5 * max(_BLUR_S * fs_hz, _ALIGN_SAMPLES)) + 2  # the filters reach over four widths
  for own, begin, x_t in wave.around(start_k, stop_k, margin):
    start, stop = start_k[own] - begin, stop_k[own] - begin
    rise_t = np.diff(x_t, append=x_t[-1]) * fs_hz
    align_t = scipy.ndimage.gaussian_filter1d(x_t, _ALIGN_SAMPLES, order=1)
    curvature_t = scipy.ndimage.gaussian_filter1d(x_t, _BLUR_S * fs_hz, order=2) * fs_hz**2
    stretches = zip(start.tolist(), np.maximum((_RISE * (stop - start)).astype(int), 1).tolist(), strict=True)
    values = _Shapes(
      high=_in_each(np.maximum, x_t, start, stop),
      low=_in_each(np.minimum, x_t, start, stop),
      foot=x_t[start],
      end=x_t[stop],
      slope=_in_each(np.maximum, rise_t, start, stop),
      jump=_in_each(np.maximum, np.abs(rise_t), start, stop),
      sharpness=-_in_each(np.minimum, curvature_t, start, (start + stop) // 2),
      steepest=begin + np.array([a + int(np.argmax(align_t[a : a + n])) for a, n in stretches]),
      railed=_in_each(np.logical_or, rails.part(begin, begin + x_t.size), start, stop)
      if rails is not None
      else np.zeros(len(start)),
    )
    for whole, part in zip(shapes, values, strict=True):
      whole[own] = part
  return shapes


def _correlation_with_neighbours(
  wave: _Pieces, start_k: np.ndarray, stop_k: np.ndarray, steepest_k: np.ndarray, weak_k: np.ndarray
) -> np.ndarray:
  """Returns the (beat,) correlation of each beat with the median of its neighbours of the same strength.

  Beats are aligned at their steepest rise, which noise in a flat diastole does not move. The end of long beats is left
  out, because systole keeps its length when diastole does not.

  Args:
    wave: the wave.
    start_k, stop_k: (beat,) feet before and after each beat.
    steepest_k: (beat,) samples of their steepest rise.
    weak_k: (beat,) which beats are weak ones among strong ones.
  """
  turn, correlation = np.linspace(-_BEFORE, _AFTER, _PHASES), np.zeros(len(start_k))
  for own in (np.flatnonzero(weak_k), np.flatnonzero(~weak_k)):
    if not own.size:
      continue
    length = stop_k[own] - start_k[own]
    span = np.minimum(length, _running_median(length))
    size = min(_NEIGHBOURS, max(own.size // 2 * 2 - 1, 1))
    for first, last in blocks.cut(own.size, width=_PHASES):
      around = slice(max(first - size, 0), min(last + size, own.size))
      at = steepest_k[own[around], None] + turn[None, :] * span[around, None]
      begin = max(int(at.min()), 0)
      x_t = wave.part(begin, min(int(at.max()) + 2, int(wave.starts[-1])))
      beat = np.interp(at.ravel() - begin, np.arange(x_t.size), x_t).reshape(at.shape)
      beat = beat - beat.mean(1, keepdims=True)
      phases = [scipy.ndimage.median_filter(column, size, mode="nearest") for column in np.ascontiguousarray(beat.T)]
      template = np.stack(phases, axis=1)
      inner = slice(first - around.start, last - around.start)
      beat, template = beat[inner], template[inner] - template[inner].mean(1, keepdims=True)
      norm = np.linalg.norm(beat, axis=1) * np.linalg.norm(template, axis=1)
      correlation[own[first:last]] = (beat * template).sum(1) / np.where(norm > 0, norm, np.inf)
  return correlation


def assess(
  x_t: np.ndarray, fs_hz: float, feet: np.ndarray, pressure: bool, rails_t: np.ndarray | None = None
) -> Mapping[str, np.ndarray]:
  """Finds the faults of each beat.

  Args:
    x_t: (time,) a wave without gaps.
    fs_hz: sampling rate.
    feet: (beat + 1,) increasing indices of the beats' feet.
    pressure: whether the wave is in mmHg; only then are damped and flushed beats detected.
    rails_t: (time,) where the record was cut off, from `at_rails`.

  Returns:
    fault → (beat,) which beats have it.
  """
  rails = None if rails_t is None else _Pieces([rails_t])
  return _assess(_Pieces([x_t]), fs_hz, feet[:-1], feet[1:], pressure, rails)


def _assess(
  wave: _Pieces, fs_hz: float, start_k: np.ndarray, stop_k: np.ndarray, pressure: bool, rails: _Pieces | None
) -> Mapping[str, np.ndarray]:
  if not len(start_k):
    return {name: np.zeros(0, dtype=bool) for name in FAULTS}
  shapes = _shapes(wave, rails, start_k, stop_k, fs_hz)
  height, interval = shapes.high - shapes.low, (stop_k - start_k) / fs_hz
  least = np.where(height > 0, height, np.inf)
  weak = _weak(shapes.high, shapes.foot)
  strong_k = np.flatnonzero(~weak)
  usual = np.interp(np.arange(len(height)), strong_k, _running_median(height[strong_k]))
  steepness = shapes.slope / least
  flat = height < _FLAT_SHARE * usual
  damped = flush = np.zeros(len(height), dtype=bool)
  if pressure:
    flat = flat | (height < _FLAT_MMHG)
    flush = shapes.high > _running_median(shapes.high) + _FLUSH_MMHG
  clipped = (shapes.jump > _WRAPPED_PER_S * least) | (shapes.railed > 0)
  correlation = _correlation_with_neighbours(wave, start_k, stop_k, shapes.steepest, weak)
  motion = (correlation < _LEAST_CORRELATION[pressure]) | (np.abs(shapes.end - shapes.foot) > _STEP_SHARE * usual)
  if pressure:
    sound = ~(flat | clipped | motion | flush)
    sharpness = shapes.sharpness / least
    slow = steepness < _DAMPED_STEEPNESS * _upper_quartile(steepness, sound)
    blunt = sharpness < _DAMPED_SHARPNESS * _upper_quartile(sharpness, sound)
    # damping lasts: a single slow beat between others is a weak one, as every other beat in bigeminy
    lasting = scipy.ndimage.binary_opening(slow & blunt, np.ones(2, dtype=bool))
    damped = ((steepness < _SLOPE_PER_S) | lasting) & ~flat
  ectopic = np.abs(interval / _running_median(interval) - 1) > _ECTOPIC_SHARE
  return dict(zip(FAULTS, (flat, clipped & ~flat, damped, flush, motion & ~flat, ectopic), strict=True))


class Assessed(NamedTuple):
  """Beats of a piece.

  Attributes:
    feet: (beat + 1,) feet in it.
    faults: fault → (beat,) which beats have it.
    flushed_ends: whether what lies before the first foot, and after the last one, reaches as high as a flush.
  """

  feet: np.ndarray
  faults: Mapping[str, np.ndarray]
  flushed_ends: tuple[bool, bool] = (False, False)


def assess_pieces(
  pieces: Sequence[np.ndarray], fs_hz: float, pressure: bool, rails: Sequence[np.ndarray]
) -> list[Assessed]:
  """Finds the faults of the beats in the pieces of one record.

  Each beat is compared with those of all pieces: one piece between gaps may hold only a few beats, all of them faulty.

  Args:
    pieces: waves without gaps, each (time,).
    fs_hz: sampling rate.
    pressure: whether the wave is in mmHg.
    rails: for each piece, (time,) where it was cut off.
  """
  feet = [beats.find_feet(x_t, fs_hz) for x_t in pieces]
  wave = _Pieces(pieces)
  begins = wave.starts[:-1].tolist()
  start_k, stop_k = (
    np.concatenate([np.zeros(0, dtype=int), *(own[part] + begin for own, begin in zip(feet, begins, strict=True))])
    for part in (slice(-1), slice(1, None))
  )
  faults = _assess(wave, fs_hz, start_k, stop_k, pressure, _Pieces(rails))
  ends = np.cumsum([max(len(own) - 1, 0) for own in feet]).tolist()
  beat_slices = [slice(end - max(len(own) - 1, 0), end) for own, end in zip(feet, ends, strict=True)]
  flushed = _flushed_ends(pieces, feet) if pressure else [(False, False)] * len(feet)
  return [
    Assessed(own, {name: bad_k[part] for name, bad_k in faults.items()}, at_ends)
    for own, part, at_ends in zip(feet, beat_slices, flushed, strict=True)
  ]


def _flushed_ends(pieces: Sequence[np.ndarray], feet: Sequence[np.ndarray]) -> list[tuple[bool, bool]]:
  """Returns for each piece whether the incomplete beats at its ends are flushed, judged as the whole beats beside them."""
  tops = [beats.pressures(x_t, own).systolic for x_t, own in zip(pieces, feet, strict=True)]
  every = np.concatenate([np.zeros(0), *tops])
  limit_k = _running_median(every) + _FLUSH_MMHG if every.size else every
  limits = np.split(limit_k, np.cumsum([top.size for top in tops])[:-1]) if tops else []
  return [
    (_exceeds(x_t[: own[0]], own_limits[0]), _exceeds(x_t[own[-1] :], own_limits[-1]))
    if own_limits.size
    else (False, False)
    for x_t, own, own_limits in zip(pieces, feet, limits, strict=True)
  ]


def _exceeds(x_t: np.ndarray, limit: float) -> bool:
  return bool(x_t.size and x_t.max() > limit)
