"""A recording's peripheral wave, calibrated: the one place where training and inference alike scale a wave to a reading."""

import dataclasses

from cap_jax import config
from cap_jax.data import recordings
from cap_jax.signals import calibration as scales
from cap_jax.types import InputError


def calibrate(recording: recordings.Recording, site: str, calibration: config.Calibration) -> recordings.Recording:
  """The recording with the wave of a site scaled to a reading among its covariates; the others stay as they are.

  Raises:
    InputError: no reading, no beat to scale, or a wave in no unit of pressure that is not calibrated.
  """
  wave = recording.signals[site]
  if calibration.kind == "none":
    if recording.units[site] != "mmHg":
      unit = "has no unit" if recording.units[site] == "1" else f"is {recording.units[site]}"
      raise InputError(f"{recording.subject}: {site} {unit}; calibrate it, as with --config.calibration.kind=sbp_dbp")
    return recording
  found = scales.levels(wave, recording.fs_hz)
  gain, offset = scales.affine(calibration, found, recording.covariates, recording.subject)
  signals = {**recording.signals, site: gain * wave + offset}
  return dataclasses.replace(recording, signals=signals, units={**recording.units, site: "mmHg"})
