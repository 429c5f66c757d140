"""What a user should look at in a record that can be read: doubtful covariates, few samples a second, short parts, doubtful zeros."""

from collections.abc import Mapping

import numpy as np

from cap_jax import config
from cap_jax.data import recordings, signal_names
from cap_jax.signals import blocks, calibration, synchrony

AORTIC = "aortic_root"
_LOOKED_AT_S = 300.0
SHORT = f"; a window needs {config.Windows().seconds:g} s"
LEAST_HZ = 50.0  # a pulse wave reaches to 20 Hz or so, and a filter needs some room below half the rate
# Means of two arteries differ by a few mmHg in most people; a difference of a transducer 14 cm too high is as large.
MOST_MEAN_MMHG = 10.0
# Covariate → least and greatest value that a living adult or child has.
_POSSIBLE: Mapping[str, tuple[float, float]] = {
  "age": (0, 120), "hr_bpm": (20, 300), **dict.fromkeys((*calibration.CUFF, *calibration.CATHETER), (20, 300))
}  # fmt: skip


def of_covariates(covariates: Mapping[str, float]) -> list[str]:
  """Returns remarks on values that nobody has, and on a cuff's systole that is not above its diastole."""
  found = [
    f"{name} is {covariates[name]:g}, but can be {low:g} to {high:g}; correct it, networks and reports read it"
    for name, (low, high) in _POSSIBLE.items()
    if name in covariates and not low <= covariates[name] <= high
  ]
  systole, diastole = (covariates.get(name, np.nan) for name in calibration.CUFF[:2])
  if systole <= diastole:
    found.append(f"{calibration.CUFF[0]} {systole:g} is not above {calibration.CUFF[1]} {diastole:g}; exchange them")
  return found


def of_waves(recording: recordings.Recording) -> list[str]:
  """Returns remarks on the sampling rate, on waves upside down and on mean pressures that no two arteries of one person have."""
  found = []
  if recording.fs_hz < LEAST_HZ:
    found.append(
      f"{recording.fs_hz:.3g} samples a second, so the wave above {recording.fs_hz / 2:.2g} Hz is missing, and with it the incisura; "
      f"export at least {LEAST_HZ:g}"
    )
  pressures = [name for name, unit in recording.units.items() if unit == "mmHg" and signal_names.is_pressure(name)]
  found += [
    f"{name} falls with the pulse, so it is upside down; correct its sign and its zero, or leave the record out"
    for name in pressures
    if _falls(recording.signals[name], recording.fs_hz)
  ]
  for name in pressures if AORTIC in pressures else ():
    difference = recording.signals[name] - recording.signals[AORTIC]
    if not np.isfinite(difference).any():
      continue
    mean = float(np.nanmean(difference))
    if abs(mean) > MOST_MEAN_MMHG:
      found.append(
        f"the mean of {name} lies {abs(mean):.0f} mmHg {'above' if mean > 0 else 'below'} that of {AORTIC}; "
        "check the zeros, the heights and the units of both transducers"
      )
  return found


def _falls(wave_t: np.ndarray, fs_hz: float) -> bool:
  """Returns whether a wave falls with the pulse, by its first minutes; False for a record of less than a window."""
  measured = np.flatnonzero(np.isfinite(wave_t))
  if measured.size < config.Windows().seconds * fs_hz:
    return False
  part = wave_t[measured[0] : measured[0] + round(_LOOKED_AT_S * fs_hz)]
  return synchrony.polarity(part, fs_hz) < 0


def of_lengths(waves: Mapping[str, np.ndarray], faults: Mapping[str, Mapping[str, int]], fs_hz: float) -> list[str]:
  """Returns remarks on signals of which no usable part is as long as a window.

  Args:
    waves: name → (time,) conditioned wave, NaN where it cannot be used.
    faults: signal → reason → how often.
    fs_hz: sampling rate of the waves.
  """
  found, least_s = [], config.Windows().seconds
  for name, wave in waves.items():
    if signal_names.split_signal(name)[1] not in ("", "ppg"):
      continue
    longest_s = max((stop - start for start, stop in blocks.runs(np.isfinite(wave)).tolist()), default=0) / fs_hz
    if longest_s < least_s:
      why = f" ({', '.join(faults[name])})" if faults.get(name) else ""
      found.append(f"the longest usable part of {name} has {longest_s:.1f} s{why}{SHORT}")
  return found
