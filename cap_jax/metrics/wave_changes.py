"""Gives windows of one set of waves a single property of another, to see which property sets the two apart.

Each change takes a window and a donor, a window of the other set, and returns the window with the donor's property.
"""

from collections.abc import Callable, Mapping

import numpy as np

from cap_jax.metrics.realism import WindowSet
from cap_jax.signals import beats, filters, windows

_FAST_HZ, _MONITOR_HZ = 25.0, 12.0
_SAMPLES = 256  # of a mean beat
Change = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def _pulse(x_t: np.ndarray, fs_hz: float) -> float:
  """Returns the median pulse pressure of a window with a whole beat, otherwise its range."""
  pulse_b = beats.pressures(x_t, beats.find_feet(x_t, fs_hz)).pulse
  return float(np.median(pulse_b)) if pulse_b.size else float(np.ptp(x_t))


def level(x_t: np.ndarray, donor_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns a window with the mean pressure of another."""
  return x_t - x_t.mean() + donor_t.mean()


def pulse(x_t: np.ndarray, donor_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns a window scaled about its mean to the pulse pressure of another."""
  return x_t.mean() + (x_t - x_t.mean()) * _pulse(donor_t, fs_hz) / _pulse(x_t, fs_hz)


def rate(x_t: np.ndarray, donor_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns a window played at the heart rate of another; its own beats continue it where it becomes too short."""
  faster = beats.heart_rate(donor_t, fs_hz) / beats.heart_rate(x_t, fs_hz)
  if not np.isfinite(faster):
    return x_t
  at = np.arange(x_t.size) * faster
  longer = windows.extend_periodically(x_t, fs_hz, 0, max(int(np.ceil(at[-1])) + 2 - x_t.size, 0))
  return np.interp(at, np.arange(longer.size), longer)


def shape(x_t: np.ndarray, donor_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns the mean beat of another window, repeated at this window's beats, mean and pulse pressure."""
  own, other = beats.find_feet(x_t, fs_hz), beats.whole_beats(donor_t, fs_hz)
  if len(own) < 2 or len(other) < 2:
    return x_t
  beat = beats.ensemble(donor_t, other, _SAMPLES)
  turn = beats.phase(x_t, own) % 1.0
  wave = np.interp(turn * _SAMPLES, np.arange(_SAMPLES + 1), np.append(beat, beat[0]))
  return x_t.mean() + (wave - wave.mean()) * _pulse(x_t, fs_hz) / np.ptp(beat)


def swing(x_t: np.ndarray, donor_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns a window whose beats have the swing of mean pressure of another's, from beat to beat."""

  def baseline(wave_t: np.ndarray) -> np.ndarray:
    feet = beats.find_feet(wave_t, fs_hz)
    if len(feet) < 3:
      return np.zeros(wave_t.shape)
    mean_b = beats.pressures(wave_t, feet).mean
    return np.interp(np.arange(wave_t.size), (feet[1:] + feet[:-1]) / 2, mean_b - mean_b.mean())

  return x_t - baseline(x_t) + baseline(donor_t)


def noise(x_t: np.ndarray, donor_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns a window with what another contains above 25 Hz."""
  return filters.lowpass(x_t, fs_hz, _FAST_HZ) + donor_t - filters.lowpass(donor_t, fs_hz, _FAST_HZ)


def low_pass(x_t: np.ndarray, donor_t: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns a window under a low-pass of 12 Hz, without delay."""
  return filters.lowpass(x_t, fs_hz, _MONITOR_HZ)


def _several(*changes: Change) -> Change:
  def apply(x_t: np.ndarray, donor_t: np.ndarray, fs_hz: float) -> np.ndarray:
    for change in changes:
      x_t = change(x_t, donor_t, fs_hz)
    return x_t

  return apply


CHANGES: Mapping[str, Change] = {
  "nothing": _several(),
  "noise above 25 Hz": noise,
  "low-pass of 12 Hz": low_pass,
  "swing of the mean pressure": swing,
  "pulse pressure": pulse,
  "mean pressure": level,
  "heart rate": rate,
  "shape of the beat": shape,
  "mean and pulse pressure": _several(pulse, level),
  "heart rate, mean and pulse pressure": _several(rate, pulse, level),
  "heart rate, mean and pulse pressure, shape": _several(shape, rate, pulse, level),
}


def exchange(cut_windows: WindowSet, donors: WindowSet, change: Change, seed: int = 0) -> WindowSet:
  """Returns windows with a property of others, each of a donor drawn at random.

  Args:
    cut_windows: the windows.
    donors: windows of the same length.
    change: the property.
    seed: of the draw.
  """
  rows = np.random.default_rng(seed).integers(len(donors.x_bt), size=len(cut_windows.x_bt))
  pairs = zip(cut_windows.x_bt, donors.x_bt[rows], strict=True)
  changed = [change(x_t, donor_t, cut_windows.fs_hz) for x_t, donor_t in pairs]
  return cut_windows._replace(x_bt=np.stack(changed))
