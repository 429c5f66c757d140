"""Lag of one signal behind another, beat by beat: transit of the pulse plus the delay of a monitor.

The coarse lag is where the upstrokes of both signals correlate best, within ± 5 s: heart rate variability distinguishes
the right beat from its neighbours. The fine lag is the median difference of their feet by intersecting tangents. A foot
is where the steepest tangent of the upstroke meets the level of diastole, which a flat diastole does not move.

A plain cross-correlation (`scipy.signal`, used here for the coarse lag) knows neither beats nor gaps.
"""

import dataclasses
import itertools

import numpy as np
import scipy.ndimage
import scipy.signal

from cap_jax.signals import beats, blocks, filters

REACH_S = 5.0
_AS_GOOD = 0.97  # in a regular rhythm a lag of some beats correlates as well: the shortest such lag counts
_MATCH_S = 0.15
_UPSTROKE_S = 0.3
_LEAST_BEATS = _FIFTHS = 5
CONSTANT_S = 0.03  # a lag with more scatter is not a constant delay
_JUDGED_BEATS = 8  # fewer beats say nothing about rhythms
_LEAST_MATCHED = 0.6  # of the beats of two signals of one heart; of two hearts a third to a half agree by chance
_LARGEST_SPREAD_S = 0.05
_LEAST_RUN = 0.3  # part of the beats that a stretch of one lag has at least
_STEEPER = 1.2  # an inverted PPG falls so much faster than it rises
_COURSE = 9  # beats of a running median
_AHEAD_S = -0.05  # no artery of one record is so far ahead of another
_SINGLE = 2  # so many beats without a counterpart do not end a stretch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lag:
  """Lag of a signal behind another.

  Attributes:
    lag_s: median over beats [s].
    spread_s: robust SD of the beats about the course of the lag [s].
    beats: number of beats that agree on the lag.
    drift_s: distance of the course of the lag from its median that 95 % of the beats keep [s].
    fault: why the signals are not simultaneous throughout, "" if they are.
    valid: first and last sample of each stretch with this lag.
  """

  lag_s: float
  spread_s: float
  beats: int
  drift_s: float
  fault: str = ""
  valid: tuple[tuple[int, int], ...] = ()

  @property
  def constant(self) -> bool:
    return self.beats >= _LEAST_BEATS and self.spread_s <= CONSTANT_S and self.drift_s <= CONSTANT_S


def _upstrokes(x_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns the positive slopes, 0 in gaps and clipped so that all beats have about the same weight."""
  filled = np.where(np.isfinite(x_t), x_t, np.nanmedian(x_t))
  slope = np.maximum(np.diff(filters.lowpass(filled, fs_hz, 10.0), prepend=filled[0]), 0)
  slope = np.minimum(slope, np.percentile(slope, 99))
  return slope - slope.mean()


def tangent_feet(x_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns the (beat,) times of the feet of a signal with gaps [samples], between samples.

  Args:
    x_t: (time,) the signal, NaN in its gaps.
    fs_hz: sampling rate.
  """
  feet = []
  for start, stop in blocks.runs(np.isfinite(x_t)).tolist():
    part = x_t[start:stop]
    smooth = filters.lowpass(part, fs_hz, 16.0)
    slope = np.gradient(smooth)
    for foot in beats.find_feet(part, fs_hz).tolist():
      steepest = foot + int(np.argmax(slope[foot : foot + int(_UPSTROKE_S * fs_hz)]))
      if slope[steepest] > 0:
        feet.append(start + steepest - (smooth[steepest] - smooth[foot]) / slope[steepest])
  return np.array(feet)


def find_lag(first_t: np.ndarray, second_t: np.ndarray, fs_hz: float) -> Lag | None:
  """Returns the lag of the second signal behind the first, negative if it is ahead; None where too few beats agree.

  Signals of one heart agree beat by beat. If the lag jumps, the stretches with the shortest lag are valid. If it drifts, or
  if the beats have counterparts by chance only, nothing is.

  Args:
    first_t, second_t: (time,) two signals on one clock, NaN in their gaps.
    fs_hz: sampling rate.
  """
  if not (np.isfinite(first_t).any() and np.isfinite(second_t).any()):
    return None
  a, b = _upstrokes(first_t, fs_hz), _upstrokes(second_t, fs_hz)
  correlation = scipy.signal.correlate(b, a, mode="full", method="fft")
  lags = scipy.signal.correlation_lags(b.size, a.size, mode="full")
  near = np.abs(lags) <= REACH_S * fs_hz
  as_good = lags[near][correlation[near] >= _AS_GOOD * correlation[near].max()]
  peak = int(as_good[np.argmin(np.abs(as_good))])
  around_peak = near & (np.abs(lags - peak) <= _MATCH_S * fs_hz)
  coarse = int(lags[around_peak][np.argmax(correlation[around_peak])])
  feet, others = tangent_feet(first_t, fs_hz), tangent_feet(second_t, fs_hz)
  if not feet.size or not others.size:
    return None
  after = np.clip(np.searchsorted(others, feet + coarse), 1, max(others.size - 1, 1))
  around = np.stack([others[after - 1], others[np.minimum(after, others.size - 1)]])
  nearest = np.take_along_axis(around, np.abs(around - feet - coarse).argmin(0)[None], axis=0)[0]
  lag_s = (nearest - feet) / fs_hz
  matched = np.abs(lag_s - coarse / fs_hz) <= _MATCH_S
  if matched.sum() < _LEAST_BEATS:
    return None
  whole = _lag_of(lag_s[matched], valid=((0, first_t.size),))
  compared = min(feet.size, others.size)
  if compared < _JUDGED_BEATS:
    return whole
  share, runs = matched.sum() / compared, _runs(matched)
  if share >= _LEAST_MATCHED and whole.spread_s <= _LARGEST_SPREAD_S:
    if whole.drift_s > CONSTANT_S and whole.drift_s > 2 * whole.spread_s:
      fault = f"the lag drifts by {whole.drift_s:.2f} s to each side"
      return dataclasses.replace(whole, fault=fault, valid=())
    apart = [run for run in runs if not _agrees(matched[run])]
    elsewhere = _lags_of(first_t, second_t, fs_hz, feet, apart)
    if not elsewhere:
      return whole
    bounds = [0, *(at for run in apart for at in _around(feet, run, first_t.size)), first_t.size]
    stretches = tuple((start, stop) for start, stop in zip(bounds[::2], bounds[1::2], strict=True) if start < stop)
    return _chosen(dataclasses.replace(whole, valid=stretches), elsewhere, fs_hz)
  run = max(runs, key=lambda run: (run.stop - run.start) * _agrees(matched[run]))
  part = lag_s[run][matched[run]]
  if part.size >= max(_JUDGED_BEATS, _LEAST_RUN * compared) and _lag_of(part).constant:
    rest = [one for one in (slice(0, run.start), slice(run.stop, feet.size)) if one.start < one.stop]
    own = _lag_of(part, valid=(_within(feet, run, first_t.size),))
    return _chosen(own, _lags_of(first_t, second_t, fs_hz, feet, rest), fs_hz)
  return dataclasses.replace(
    whole, fault=f"the rhythms differ: {100 * share:.0f} % of the beats have a counterpart", valid=()
  )


def _lag_of(lag_s: np.ndarray, valid: tuple[tuple[int, int], ...] = ()) -> Lag:
  middle = float(np.median(lag_s))
  # the course of the lag over the beats; about its median, a drift would count as scatter
  course = scipy.ndimage.median_filter(lag_s, min(_COURSE, lag_s.size), mode="nearest")
  drift = float(np.percentile(np.abs(course - middle), 95))
  spread = float(1.4826 * np.median(np.abs(lag_s - course)))
  return Lag(lag_s=middle, spread_s=spread, beats=int(lag_s.size), drift_s=drift, valid=valid)


def _runs(matched: np.ndarray) -> list[slice]:
  """Returns the runs of beats with and without a counterpart, but for a few among others: they agree or differ by chance."""
  closed = scipy.ndimage.binary_closing(np.pad(matched, _SINGLE), np.ones(_SINGLE + 1, dtype=bool))[_SINGLE:-_SINGLE]
  opened = scipy.ndimage.binary_opening(closed, np.ones(_LEAST_BEATS, dtype=bool))
  edges = [0, *(np.flatnonzero(np.diff(opened)) + 1).tolist(), matched.size]
  return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _agrees(matched: np.ndarray) -> bool:
  """Returns whether most beats of a run have a counterpart."""
  return bool(matched.mean() > _LEAST_MATCHED)


def _within(feet: np.ndarray, run: slice, size: int) -> tuple[int, int]:
  """Returns the samples from the first to the last foot of a run, or to the ends of the record."""
  start = 0 if run.start <= _SINGLE else int(feet[run.start])
  return start, size if run.stop >= feet.size - _SINGLE else int(feet[run.stop - 1])


def _around(feet: np.ndarray, run: slice, size: int) -> tuple[int, int]:
  """Returns the samples from the last foot before a run to the first one after it: the lag jumps somewhere between two feet."""
  start = 0 if run.start == 0 else int(feet[run.start - 1])
  return start, size if run.stop >= feet.size else int(feet[run.stop])


def _lags_of(first_t: np.ndarray, second_t: np.ndarray, fs_hz: float, feet: np.ndarray, runs: list[slice]) -> list[Lag]:
  """Returns the lags of runs of beats that have a constant lag of their own."""
  found = []
  for run in runs:
    start, stop = _within(feet, run, first_t.size)
    lag = find_lag(first_t[start:stop], second_t[start:stop], fs_hz) if run.stop - run.start >= _LEAST_BEATS else None
    if lag is not None and lag.constant and not lag.fault:
      found.append(dataclasses.replace(lag, valid=((start, stop),)))
  return found


def _chosen(own: Lag, others: list[Lag], fs_hz: float) -> Lag:
  """Returns the shortest of several lags of one pair, with a fault that names it and where it is valid.

  A recorder delays a wave, and a pulse takes time: what is longer has a delay, and what is ahead was moved.
  """
  choices = [own, *(other for other in others if other.beats >= _JUDGED_BEATS)]
  best = min(choices, key=lambda lag: (lag.lag_s < _AHEAD_S, abs(lag.lag_s)))
  alike = [best, *(one for one in others if one is not best and abs(one.lag_s - best.lag_s) <= CONSTANT_S)]
  valid = tuple(sorted(stretch for one in alike for stretch in one.valid))
  rest_s = dict.fromkeys(f"{one.lag_s:.2f} s" for one in (own, *others) if not any(one is like for like in alike))
  where = " and ".join(f"{start / fs_hz:.0f} to {stop / fs_hz:.0f} s" for start, stop in valid)
  fault = f"the lag is {best.lag_s:.2f} s from {where} only, and {' or '.join(rest_s) or 'none'} elsewhere"
  return dataclasses.replace(best, valid=valid, fault=fault)


def polarity(x_t: np.ndarray, fs_hz: float) -> int:
  """Returns 1 if the wave rises with the pulse, −1 if it falls: an upstroke is steeper than a run-off.

  Args:
    x_t: (time,) the wave, NaN in its gaps.
    fs_hz: sampling rate.
  """
  middle, slope = float(np.nanmedian(x_t)), np.empty(x_t.size - 1)
  for start, stop in blocks.cut(slope.size):
    slope[start:stop] = np.diff(filters.lowpass_part(x_t, start, stop + 1, fs_hz, 10.0, middle))
  fall, rise = np.percentile(slope, [2, 98], overwrite_input=True) * (-1, 1)
  return -1 if fall > _STEEPER * rise else 1
