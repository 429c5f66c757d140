"""Haemodynamic indices of single periodic beats, batched.

Augmentation follows Murgo et al. 1980 (Circulation 62, 105) and Kelly et al. 1989 (Circulation 80, 1652): the reflected
wave shows as an inflection P_i of the systolic wave. Before the peak (types A and B) the augmentation pressure is
P_peak − P_i, after it (type C) P_i − P_peak, which is negative.

The inflection is looked for in a wave of 10 Hz bandwidth, a choice: published normal values rest on synthesised waves,
whose bandwidth is not given. On the virtual cohort it meets McEniery's augmentation *and* his times to the reflection,
two numbers by one choice; with 25 Hz the detector finds the corners of ejection instead, and an index 30 points higher.
"""

from typing import NamedTuple

import numpy as np

_HALF_AMPLITUDE_HZ = 10.0
_EARLIEST_S = 0.03  # after the foot, for an inflection
_UPSTROKE_S = 0.04  # from the steepest rise of the smoothed wave to that of the wave
_RISE = 0.4  # of the steepest slope: an upstroke, not a ripple
_EARLIEST_BEND_S = 0.14  # a wave that peaks earlier has no bend before the peak but its own rise


class Augmentation(NamedTuple):
  """ap_mmhg: augmentation pressure. aix_percent: of the pulse pressure. tr_s: time from the foot to the inflection.
  kind: Murgo's "A" (AIx > 12 %), "B" (0 to 12 %), "C" (the inflection follows the peak), or "" where none was found:
  then the numbers are NaN. Each of shape (beat,)."""

  ap_mmhg: np.ndarray
  aix_percent: np.ndarray
  tr_s: np.ndarray
  kind: np.ndarray


def form_factor(p_bt: np.ndarray) -> np.ndarray:
  """(MAP − DBP)/PP of (beat, time) waves."""
  return (p_bt.mean(1) - p_bt.min(1)) / np.ptp(p_bt, axis=1)


def _derivatives(p_bt: np.ndarray, period_b: np.ndarray, half_amplitude_hz: float) -> list[np.ndarray]:
  """The smoothed waves and their first three derivatives in time."""
  samples = p_bt.shape[1]
  f_bk = np.arange(samples // 2 + 1)[None, :] / period_b[:, None]
  spectrum = np.fft.rfft(p_bt, axis=1) * 0.5 ** ((f_bk / half_amplitude_hz) ** 2)
  return [np.fft.irfft((2j * np.pi * f_bk) ** order * spectrum, n=samples, axis=1) for order in range(4)]


def _first_crossing(x_t: np.ndarray, start: int, stop: int, upwards: bool) -> int | None:
  """First sample in [start, stop) after which the sign changes in the wanted direction."""
  part = x_t[start:stop] if upwards else -x_t[start:stop]
  found = np.flatnonzero((part[:-1] < 0) & (part[1:] >= 0))
  return start + int(found[0]) if found.size else None


def _inflection(slope: np.ndarray, bend: np.ndarray, turn: np.ndarray, peak: int, end: int, fs_hz: float) -> int | None:
  """Sample of the inflection of one beat that starts at its foot; the derivatives are of first, second, third order.

  Before the peak: where the slope is least between two rises, or where a shoulder bends most; else the same after it.
  """
  rises = np.flatnonzero((bend[: peak - 1] > 0) & (bend[1:peak] <= 0) & (slope[1:peak] > _RISE * slope.max()))
  first = max(int(rises[0]) + 1 if rises.size else 1, int(_EARLIEST_S * fs_hz))
  found = _first_crossing(bend, first, peak - 1, upwards=True)
  if found is None and peak > _EARLIEST_BEND_S * fs_hz:
    found = _first_crossing(turn, first, peak - 1, upwards=False)
  if found is None:
    found = _first_crossing(bend, peak + 1, end, upwards=False)
  if found is None:
    found = _first_crossing(turn, peak + 2, end, upwards=True)
  return found


def augmentation(
  p_bt: np.ndarray, period_b: np.ndarray, ejection_b: np.ndarray, half_amplitude_hz: float = _HALF_AMPLITUDE_HZ
) -> Augmentation:
  """Augmentation of aortic waves.

  Args:
    p_bt: (beat, time) one period each, evenly sampled, beginning anywhere.
    period_b: (beat,) length [s].
    ejection_b: (beat,) duration of ejection [s]; an inflection after it is none.
    half_amplitude_hz: of the Gaussian low-pass in which the inflection is looked for.
  """
  smooth, slope, bend, turn = _derivatives(
    np.asarray(p_bt, dtype=float), np.asarray(period_b, dtype=float), half_amplitude_hz
  )
  beats, samples = smooth.shape
  ap, tr, kind = np.full(beats, np.nan), np.full(beats, np.nan), np.full(beats, "", dtype="<U1")
  for b in range(beats):
    foot, fs_hz = smooth[b].argmin(), samples / period_b[b]
    wave, d1, d2, d3 = (np.roll(x[b], -foot) for x in (smooth, slope, bend, turn))
    peak = int(wave.argmax())
    where = _inflection(d1, d2, d3, peak, round((ejection_b[b] + 0.02) * fs_hz), fs_hz)
    if where is not None:
      ap[b] = wave[peak] - wave[where] if where < peak else wave[where] - wave[peak]
      tr[b] = where / fs_hz
      kind[b] = "A" if where < peak else "C"
  aix = 100 * ap / np.ptp(smooth, axis=1)
  kind[(kind == "A") & (aix <= 12)] = "B"
  return Augmentation(ap, aix, tr, kind)


def foot_times(x_bt: np.ndarray, period_b: np.ndarray) -> np.ndarray:
  """Times of the feet of periodic waves [s] in [0, period), by intersecting tangents.

  The tangent at the steepest rise meets the level of the least value in the third of a period before it. The rise is
  looked for near that of the smoothed wave: the rebound after a sharp incisura can be steeper.

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
  slope, broad = (np.fft.irfft(part, n=samples, axis=1) for part in (spectrum, spectrum * smooth))
  away = (np.arange(samples)[None, :] - broad.argmax(1)[:, None] + samples // 2) % samples - samples // 2
  near = np.abs(away) * period_b[:, None] <= _UPSTROKE_S * samples
  steep = np.where(near, slope, -np.inf).argmax(1)
  before = (steep[:, None] - np.arange(samples // 3)[None, :]) % samples
  least = np.take_along_axis(x_bt, before, axis=1).min(1)
  turns = steep / samples - (x_bt[row, steep] - least) / slope[row, steep]
  return (turns % 1.0 * period_b).reshape(shape)
