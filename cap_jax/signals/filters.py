"""Low-pass filters and resampling between clocks, without a shift in time."""

import functools
import math

import numpy as np
import scipy.interpolate
import scipy.signal

from cap_jax.signals import blocks, clocks

_EDGE = 9  # samples by which a wave is extended before it is filtered
_NOTHING = 1e-18  # part of a sample that rounding hides
_NEIGHBOURS = 64  # samples to each side that a cubic spline depends on: each counts for 0.27 of the one before


@functools.lru_cache(64)
def _butterworth(fs_hz: float, cutoff_hz: float) -> tuple[np.ndarray, np.ndarray]:
  """Returns a low-pass of order 2, and its state after a long stretch of ones."""
  sections = scipy.signal.butter(2, cutoff_hz, fs=fs_hz, output="sos")
  return sections, scipy.signal.sosfilt_zi(sections)[0]


@functools.lru_cache(64)
def _memory(fs_hz: float, cutoff_hz: float) -> int:
  """Returns the samples after which the low-pass has forgotten a sample."""
  pole = max(abs(np.roots(_butterworth(fs_hz, cutoff_hz)[0][0, 3:])))
  return math.ceil(math.log(_NOTHING) / math.log(pole))


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
  sections, state = _butterworth(float(fs_hz), cutoff_hz)
  # as scipy's sosfiltfilt, which computes the state anew for each wave: for short ones that takes as long as the filter
  before, after = 2 * p_t[..., :1] - p_t[..., _EDGE:0:-1], 2 * p_t[..., -1:] - p_t[..., -2 : -_EDGE - 2 : -1]
  wave_t = np.concatenate([before, p_t, after], axis=-1)
  for _ in range(2):
    wave_t, _ = scipy.signal.sosfilt(sections, wave_t, zi=(wave_t[..., :1] * state)[None])
    wave_t = wave_t[..., ::-1]
  return wave_t[..., _EDGE:-_EDGE]


def lowpass_part(
  p_t: np.ndarray, start: int, stop: int, fs_hz: float, cutoff_hz: float, fill: float | None = None
) -> np.ndarray:
  """Returns samples [start, stop) of the filtered wave, which is filtered only there and where they depend on it.

  Args:
    p_t: (time,) the wave.
    start, stop: samples of the result.
    fs_hz: sampling rate.
    cutoff_hz: cut-off frequency.
    fill: value of missing samples; None if there are none.
  """
  filtered = cutoff_hz < 0.5 * fs_hz and p_t.size > 12
  overlap = _memory(float(fs_hz), cutoff_hz) + 12 if filtered else 0
  first = max(start - overlap, 0)
  part = p_t[first : stop + overlap]
  if fill is not None:
    part = np.where(np.isfinite(part), part, fill)
  return lowpass(part, fs_hz, cutoff_hz)[start - first : stop - first] if filtered else part


def resample(
  time_s: np.ndarray, p_t: np.ndarray, at_s: np.ndarray, steps_s: tuple[float, float] | None = None
) -> np.ndarray:
  """Resamples a wave to another clock by cubic interpolation, low-passed first where the new clock is slower.

  Args:
    time_s: increasing times of the samples [s].
    p_t: the wave, without NaN.
    at_s: increasing times of the result [s]; they reach at most one sample beyond `time_s`.
    steps_s: median steps of both clocks, if the times are parts of longer ones.
  """
  if len(time_s) < 4:
    return np.interp(at_s, time_s, p_t)
  step, new_step = steps_s or (clocks.median_step(time_s), clocks.median_step(at_s))
  slower, wave = new_step > 1.01 * step, np.empty(len(at_s))
  for first, last in blocks.cut(len(at_s)):
    own_s = np.clip(at_s[first:last], time_s[0], time_s[-1])
    start, stop = (int(place) for place in np.searchsorted(time_s, own_s[[0, -1]]))
    start, stop = max(start - _NEIGHBOURS, 0), min(stop + _NEIGHBOURS, len(time_s))
    part = lowpass_part(p_t, start, stop, 1 / step, 0.4 / new_step) if slower else p_t[start:stop]
    wave[first:last] = scipy.interpolate.CubicSpline(time_s[start:stop], part)(own_s)
  return wave


def reach(step_s: float, new_step_s: float) -> int:
  """Returns the samples to each side that a sample of `resample` depends on.

  Args:
    step_s, new_step_s: median steps of both clocks.
  """
  slower = new_step_s > 1.01 * step_s and 0.4 / new_step_s < 0.5 / step_s
  return _NEIGHBOURS + 1 + (_memory(1 / step_s, 0.4 / new_step_s) + 12 if slower else 0)


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
  half_step = 0.5 * clocks.median_step(time_s) if time_s.size > 1 else 0.0
  wave = np.full(at_s.shape, np.nan)
  for start, stop in blocks.runs(np.isfinite(x_t)).tolist():
    own_s = time_s[start:stop]
    first, last = np.searchsorted(at_s, [own_s[0] - half_step, own_s[-1] + half_step])
    if last > first:
      wave[first:last] = resample(own_s, x_t[start:stop], at_s[first:last])
  return wave
