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
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.ndimage

from cap_jax.signals import beats

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


def _sharpness(x_t: np.ndarray, fs_hz: float, start_k: np.ndarray, stop_k: np.ndarray) -> np.ndarray:
  """Returns the (beat,) strongest downward curvature of the slightly blurred wave in the first half of each beat."""
  curvature = scipy.ndimage.gaussian_filter1d(x_t, _BLUR_S * fs_hz, order=2) * fs_hz**2
  return -_in_each(np.minimum, curvature, start_k, (start_k + stop_k) // 2)


def _in_each(function: np.ufunc, x_t: np.ndarray, start_k: np.ndarray, stop_k: np.ndarray) -> np.ndarray:
  """Reduces the samples of each beat with a ufunc, (beat,); beats need not be contiguous."""
  return function.reduceat(x_t, np.stack([start_k, stop_k], axis=1).ravel())[::2]


def _rail_levels(x_t: np.ndarray, longest: int) -> set[float]:
  """Returns the highest and the lowest value, and values beyond most others where the wave often rests.

  A marker or a spike may lie beyond the rails at which the wave itself is cut off.
  """
  finite = x_t[np.isfinite(x_t)]
  low, high = np.percentile(finite, _BEYOND)
  starts = np.flatnonzero(np.diff(x_t, prepend=np.nan) != 0)
  lengths = np.diff(np.append(starts, x_t.size))
  rests = x_t[starts[lengths >= longest]]
  levels, counts = np.unique(rests[(rests >= high) | (rests <= low)], return_counts=True)
  return {float(finite.max()), float(finite.min()), *levels[counts >= _OFTEN_AT_REST].tolist()}


def at_rails(x_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Marks the samples where a signal stays at its highest or lowest value for 40 ms, because it was cut off there.

  Pass the samples as they were recorded: a resampled wave rings where it was cut. A wave in whole mmHg also rests on
  its peaks, but it reaches them by single steps.

  Args:
    x_t: (time,) the wave as recorded, NaN in its gaps.
    fs_hz: sampling rate.

  Returns:
    (time,) bool.
  """
  finite = x_t[np.isfinite(x_t)]
  steps = np.abs(np.diff(finite))
  step = steps[steps > 0].min() if (steps > 0).any() else 0.0
  steps_at_once = _COARSE_STEPS if step >= _COARSE_MMHG else _STEPS
  cut_off_t = np.zeros(x_t.shape, dtype=bool)
  longest, reach = max(int(_CLIPPED_S * fs_hz), 3), max(round(_ENTRY_S * fs_hz), 1)
  for level in _rail_levels(x_t, longest) if finite.size and np.ptp(finite) > 0 else ():
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (x_t == level).astype(np.int8), [0]])))
    for start, stop in edges.reshape(-1, 2):
      beside = x_t[[k for k in (start - reach, stop - 1 + reach) if 0 <= k < x_t.size]]
      coarse_foot = steps_at_once == _COARSE_STEPS and level < np.median(finite)
      enough = max(int(_COARSE_FOOT_S * fs_hz), longest) if coarse_foot else longest
      if stop - start >= enough and np.any(np.abs(beside - level) > max(steps_at_once * step, _ENTRY * np.ptp(finite))):
        cut_off_t[start:stop] = True
  return cut_off_t


def _correlation_with_neighbours(
  x_t: np.ndarray, start_k: np.ndarray, stop_k: np.ndarray, weak_k: np.ndarray
) -> np.ndarray:
  """Returns the (beat,) correlation of each beat with the median of its neighbours of the same strength.

  Beats are aligned at their steepest rise, which noise in a flat diastole does not move. The end of long beats is left
  out, because systole keeps its length when diastole does not.

  Args:
    x_t: (time,) the wave.
    start_k, stop_k: (beat,) feet before and after each beat.
    weak_k: (beat,) which beats are weak ones among strong ones.
  """
  slope, length = scipy.ndimage.gaussian_filter1d(x_t, _ALIGN_SAMPLES, order=1), stop_k - start_k
  steepest = np.array(
    [a + np.argmax(slope[a : a + max(int(_RISE * n), 1)]) for a, n in zip(start_k, length, strict=True)]
  )
  turn = np.linspace(-_BEFORE, _AFTER, _PHASES)
  usual = np.zeros_like(length)
  for own_k in (weak_k, ~weak_k):
    usual[own_k] = _running_median(length[own_k])
  at = steepest[:, None] + turn[None, :] * np.minimum(length, usual)[:, None]
  beat = np.interp(at.ravel(), np.arange(x_t.size), x_t).reshape(at.shape)
  beat = beat - beat.mean(1, keepdims=True)
  template = np.zeros_like(beat)
  for own_k in (weak_k, ~weak_k):
    size = min(_NEIGHBOURS, max(own_k.sum() // 2 * 2 - 1, 1))
    template[own_k] = scipy.ndimage.median_filter(beat[own_k], size=(size, 1), mode="nearest") if own_k.any() else 0
  template = template - template.mean(1, keepdims=True)
  norm = np.linalg.norm(beat, axis=1) * np.linalg.norm(template, axis=1)
  return (beat * template).sum(1) / np.where(norm > 0, norm, np.inf)


def assess(
  x_t: np.ndarray,
  fs_hz: float,
  feet: np.ndarray,
  pressure: bool,
  rails_t: np.ndarray | None = None,
  joins: Sequence[int] = (),
) -> Mapping[str, np.ndarray]:
  """Finds the faults of each beat.

  Args:
    x_t: (time,) a wave without gaps, or the concatenated pieces of one.
    fs_hz: sampling rate.
    feet: (beat + 1,) increasing indices of the beats' feet.
    pressure: whether the wave is in mmHg; only then are damped and flushed beats detected.
    rails_t: (time,) where the record was cut off, from `at_rails`.
    joins: beats that reach from one piece into the next. They are not real: they have no fault and are no neighbours.

  Returns:
    fault → (beat,) which beats have it.
  """
  beat_k = np.ones(max(len(feet) - 1, 0), dtype=bool)
  beat_k[list(joins)] = False
  faults = {name: np.zeros(beat_k.shape, dtype=bool) for name in FAULTS}
  if beat_k.any():
    for name, bad in _assess(x_t, fs_hz, feet[:-1][beat_k], feet[1:][beat_k], pressure, rails_t).items():
      faults[name][beat_k] = bad
  return faults


def _assess(
  x_t: np.ndarray, fs_hz: float, start_k: np.ndarray, stop_k: np.ndarray, pressure: bool, rails_t: np.ndarray | None
) -> Mapping[str, np.ndarray]:
  high, low = (_in_each(function, x_t, start_k, stop_k) for function in (np.maximum, np.minimum))
  rise_t = np.diff(x_t, append=x_t[-1]) * fs_hz
  slope, jump = (_in_each(np.maximum, each, start_k, stop_k) for each in (rise_t, np.abs(rise_t)))
  height, interval = high - low, (stop_k - start_k) / fs_hz
  least = np.where(height > 0, height, np.inf)
  weak = _weak(high, x_t[start_k])
  strong_k = np.flatnonzero(~weak)
  usual = np.interp(np.arange(len(height)), strong_k, _running_median(height[strong_k]))
  steepness = slope / least
  flat = height < _FLAT_SHARE * usual
  damped = flush = np.zeros(len(height), dtype=bool)
  if pressure:
    flat = flat | (height < _FLAT_MMHG)
    flush = high > _running_median(high) + _FLUSH_MMHG
  clipped = jump > _WRAPPED_PER_S * least
  if rails_t is not None:
    clipped |= _in_each(np.logical_or, rails_t, start_k, stop_k)
  step = np.abs(x_t[stop_k] - x_t[start_k])
  motion = (_correlation_with_neighbours(x_t, start_k, stop_k, weak) < _LEAST_CORRELATION[pressure]) | (
    step > _STEP_SHARE * usual
  )
  if pressure:
    sound = ~(flat | clipped | motion | flush)
    sharpness = _sharpness(x_t, fs_hz, start_k, stop_k) / least
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
  ends = np.cumsum([len(piece_feet) for piece_feet in feet])
  starts = np.cumsum([0, *(x_t.size for x_t in pieces)])
  all_feet = np.concatenate(
    [np.zeros(0, dtype=int), *(piece_feet + start for piece_feet, start in zip(feet, starts, strict=False))]
  )
  joins = sorted({int(end) - 1 for end in ends if 0 < end < len(all_feet)})
  faults: Mapping[str, np.ndarray] = {}
  if len(all_feet):
    faults = assess(np.concatenate(pieces), fs_hz, all_feet, pressure, np.concatenate(rails), joins)
  beat_slices = [
    slice(int(end) - len(piece_feet), max(int(end) - 1, int(end) - len(piece_feet)))
    for piece_feet, end in zip(feet, ends, strict=True)
  ]
  no_faults = {name: np.zeros(0, dtype=bool) for name in FAULTS}
  ends_of = _flushed_ends(pieces, feet) if pressure else [(False, False)] * len(feet)
  return [
    Assessed(own, {name: bad_k[own_beats] for name, bad_k in faults.items()} or no_faults, flushed)
    for own, own_beats, flushed in zip(feet, beat_slices, ends_of, strict=True)
  ]


def _flushed_ends(pieces: Sequence[np.ndarray], feet: Sequence[np.ndarray]) -> list[tuple[bool, bool]]:
  """Returns for each piece whether the incomplete beats at its ends are flushed, judged as the whole beats beside them."""
  tops = [np.array([x_t[a:b].max() for a, b in itertools.pairwise(own)]) for x_t, own in zip(pieces, feet, strict=True)]
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
