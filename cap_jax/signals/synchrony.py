"""Lag of one signal behind another, beat by beat: transit of the pulse plus the delay of a monitor.

The coarse lag is where the upstrokes of both signals correlate best, within ± 2 s: heart rate variability distinguishes
the right beat from its neighbours. The fine lag is the median difference of their feet by intersecting tangents. A foot
is where the steepest tangent of the upstroke meets the level of diastole, which a flat diastole does not move.

A plain cross-correlation (`scipy.signal`, used here for the coarse lag) knows neither beats nor gaps.
"""

import dataclasses

import numpy as np
import scipy.signal

from cap_jax.signals import beats, filters

REACH_S = 2.0
_MATCH_S = 0.15
_UPSTROKE_S = 0.3
_LEAST_BEATS = _FIFTHS = 5
CONSTANT_S = 0.03  # a lag with more scatter is not a constant delay


@dataclasses.dataclass(frozen=True)
class Lag:
  """Lag of a signal behind another.

  Attributes:
    lag_s: median over beats [s].
    spread_s: robust SD over beats [s].
    beats: number of beats that agree on the lag.
    drift_s: largest distance between the median of a fifth of the record and that of all [s].
  """

  lag_s: float
  spread_s: float
  beats: int
  drift_s: float

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
  for part in np.ma.clump_unmasked(np.ma.masked_invalid(x_t)):
    smooth = filters.lowpass(x_t[part], fs_hz, 16.0)
    slope = np.gradient(smooth)
    for foot in beats.find_feet(x_t[part], fs_hz).tolist():
      steepest = foot + int(np.argmax(slope[foot : foot + int(_UPSTROKE_S * fs_hz)]))
      if slope[steepest] > 0:
        feet.append(part.start + steepest - (smooth[steepest] - smooth[foot]) / slope[steepest])
  return np.array(feet)


def find_lag(first_t: np.ndarray, second_t: np.ndarray, fs_hz: float) -> Lag | None:
  """Returns the lag of the second signal behind the first, negative if it is ahead; None where too few beats agree.

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
  coarse = int(lags[near][np.argmax(correlation[near])])
  feet, others = tangent_feet(first_t, fs_hz), tangent_feet(second_t, fs_hz)
  if not feet.size or not others.size:
    return None
  after = np.clip(np.searchsorted(others, feet + coarse), 1, max(others.size - 1, 1))
  around = np.stack([others[after - 1], others[np.minimum(after, others.size - 1)]])
  nearest = np.take_along_axis(around, np.abs(around - feet - coarse).argmin(0)[None], axis=0)[0]
  lag = (nearest - feet) / fs_hz
  lag = lag[np.abs(lag - coarse / fs_hz) <= _MATCH_S]
  if lag.size < _LEAST_BEATS:
    return None
  middle = float(np.median(lag))
  drift = max(abs(float(np.median(part)) - middle) for part in np.array_split(lag, _FIFTHS))
  return Lag(middle, float(1.4826 * np.median(np.abs(lag - middle))), int(lag.size), drift)
