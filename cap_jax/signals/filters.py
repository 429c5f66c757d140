"""Low-pass filters and resampling between clocks, without a shift in time."""

import functools

import numpy as np
import scipy.interpolate
import scipy.signal


@functools.lru_cache(64)
def _butterworth(fs_hz: float, cutoff_hz: float) -> np.ndarray:
  return scipy.signal.butter(2, cutoff_hz, fs=fs_hz, output="sos")


def lowpass(p_t: np.ndarray, fs_hz: float, cutoff_hz: float) -> np.ndarray:
  """Filters a wave with a zero-phase Butterworth low-pass of order 4 (2 + 2, forward and back).

  The wave is returned unchanged if the cut-off is not below the Nyquist frequency or the wave is too short to filter.

  Args:
    p_t: (…, time) the wave.
    fs_hz: sampling rate.
    cutoff_hz: cut-off frequency.
  """
  if cutoff_hz >= 0.5 * fs_hz or p_t.shape[-1] <= 12:
    return p_t
  return scipy.signal.sosfiltfilt(_butterworth(float(fs_hz), cutoff_hz), p_t, axis=-1)


def resample(time_s: np.ndarray, p_t: np.ndarray, at_s: np.ndarray) -> np.ndarray:
  """Resamples a wave to another clock by cubic interpolation, low-passed first where the new clock is slower.

  Args:
    time_s: increasing times of the samples [s].
    p_t: the wave, without NaN.
    at_s: increasing times of the result [s]; they reach at most one sample beyond `time_s`.
  """
  if len(time_s) < 4:
    return np.interp(at_s, time_s, p_t)
  step, new_step = np.median(np.diff(time_s)), np.median(np.diff(at_s)) if len(at_s) > 1 else 0.0
  if new_step > 1.01 * step:
    p_t = lowpass(p_t, 1 / step, 0.4 / new_step)
  wave = scipy.interpolate.CubicSpline(time_s, p_t)
  return wave(np.clip(at_s, time_s[0], time_s[-1]))


def at_times(time_s: np.ndarray, x_t: np.ndarray, at_s: np.ndarray) -> np.ndarray:
  """Interpolates a wave with gaps on a clock that is as fast or faster, by cubic splines between its gaps.

  Args:
    time_s, x_t: (time,) increasing times and the wave, NaN in its gaps.
    at_s: increasing times of the result.

  Returns:
    The wave at `at_s`; NaN outside it, and between a sample and a gap.
  """
  if time_s.shape == at_s.shape and np.array_equal(time_s, at_s):
    return np.asarray(x_t, dtype=float)
  half_step = 0.5 * float(np.median(np.diff(time_s))) if time_s.size > 1 else 0.0
  wave = np.full(at_s.shape, np.nan)
  for part in np.ma.clump_unmasked(np.ma.masked_invalid(x_t)):
    own_s = time_s[part]
    first, last = np.searchsorted(at_s, [own_s[0] - half_step, own_s[-1] + half_step])
    if last > first:
      wave[first:last] = resample(own_s, x_t[part], at_s[first:last])
  return wave
