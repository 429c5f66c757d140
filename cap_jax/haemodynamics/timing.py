"""Times in single periodic beats: feet, the end of ejection, and the smoothed derivatives from which they follow.

All waves are (beat, time), one period each, evenly sampled; periods may differ.
"""

import numpy as np

_HALF_AMPLITUDE_HZ = 10.0
_UPSTROKE_S = 0.04  # from the steepest rise of the smoothed wave to that of the wave
_INCISURA_HZ = 18.0  # of the low-pass in which the incisura is located: sharper than an inflection (a choice)
_EARLIEST_S, _LATEST_S = 0.18, 0.48  # ejection of a human heart between 40 and 180 beats a minute (Weissler 1968)
_LATEST_SHARE = 0.62  # of the period, for fast hearts
_BEND = 0.12  # of the upstroke's own bend: less is no incisura (a choice)


def derivatives(p_bt: np.ndarray, period_b: np.ndarray, half_amplitude_hz: float) -> list[np.ndarray]:
  """Returns the waves under a Gaussian low-pass and their first three time derivatives, each (beat, time).

  Args:
    p_bt: (beat, time) waves.
    period_b: (beat,) length [s].
    half_amplitude_hz: frequency that the low-pass halves.
  """
  samples = p_bt.shape[1]
  f_bk = np.arange(samples // 2 + 1)[None, :] / period_b[:, None]
  spectrum = np.fft.rfft(p_bt, axis=1) * 0.5 ** ((f_bk / half_amplitude_hz) ** 2)
  return [np.fft.irfft((2j * np.pi * f_bk) ** order * spectrum, n=samples, axis=1) for order in range(4)]


def from_sample(x_bt: np.ndarray, start_b: np.ndarray) -> np.ndarray:
  """Rotates periodic waves (beat, time) so that each begins at its own sample `start_b`, (beat,)."""
  turn = (np.arange(x_bt.shape[1])[None, :] + start_b[:, None]) % x_bt.shape[1]
  return np.take_along_axis(x_bt, turn, axis=1)


def foot_times(x_bt: np.ndarray, period_b: np.ndarray) -> np.ndarray:
  """Returns the times of the feet of periodic waves [s] in [0, period), by intersecting tangents.

  The tangent at the steepest rise meets the level of the least value in the third of a period before it. The rise is
  located near that of the smoothed wave, because the rebound after a sharp incisura can be steeper.

  Args:
    x_bt: (…, time) one period each.
    period_b: (…,) length [s], of any shape that broadcasts.
  """
  shape, samples = x_bt.shape[:-1], x_bt.shape[-1]
  x_bt, period_b = x_bt.reshape(-1, samples), np.broadcast_to(period_b, shape).ravel()
  row = np.arange(x_bt.shape[0])
  k = np.arange(samples // 2 + 1)
  spectrum = 2j * np.pi * k * np.fft.rfft(x_bt, axis=1)
  smooth = 0.5 ** ((k[None, :] / period_b[:, None] / _HALF_AMPLITUDE_HZ) ** 2)
  slope, broad = (np.fft.irfft(x_bk, n=samples, axis=1) for x_bk in (spectrum, spectrum * smooth))
  away = (np.arange(samples)[None, :] - broad.argmax(1)[:, None] + samples // 2) % samples - samples // 2
  near = np.abs(away) * period_b[:, None] <= _UPSTROKE_S * samples
  steep = np.where(near, slope, -np.inf).argmax(1)
  before = (steep[:, None] - np.arange(samples // 3)[None, :]) % samples
  least = np.take_along_axis(x_bt, before, axis=1).min(1)
  turns = steep / samples - (x_bt[row, steep] - least) / slope[row, steep]
  return (turns % 1.0 * period_b).reshape(shape)


def ejection(p_bt: np.ndarray, period_b: np.ndarray) -> np.ndarray:
  """Returns the duration of ejection [s], from the foot to the incisura.

  The incisura is where, after its peak, the smoothed wave bends upwards most.

  Args:
    p_bt: (beat, time) aortic pressure, each from its foot.
    period_b: (beat,) length [s].

  Returns:
    (beat,), NaN where no bend is an incisura: less than 12 % of the bend at the foot, or at the end of the search.
  """
  smooth, _, bend, _ = derivatives(p_bt, period_b, _INCISURA_HZ)
  samples = p_bt.shape[1]
  time_bt = np.arange(samples)[None, :] * (period_b / samples)[:, None]
  latest = np.minimum(_LATEST_S, _LATEST_SHARE * period_b)[:, None]
  inside = (time_bt >= _EARLIEST_S) & (time_bt <= latest) & (np.arange(samples)[None, :] > smooth.argmax(1)[:, None])
  row = np.arange(len(p_bt))
  at = np.where(inside, bend, -np.inf).argmax(1)
  upstroke = np.where(time_bt < 0.1, bend, -np.inf).max(1)
  bends = np.isfinite(np.where(inside, bend, -np.inf).max(1)) & (bend[row, at] > _BEND * upstroke)
  turning = (bend[row, at] >= bend[row, at - 1]) & (bend[row, at] >= bend[row, (at + 1) % samples])
  return np.where(bends & turning, time_bt[row, at], np.nan)
