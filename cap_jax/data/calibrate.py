"""Calibration of a recording's peripheral wave. Training and inference both scale a wave to a cuff reading here."""

import dataclasses

from cap_jax import config
from cap_jax.data import recordings
from cap_jax.signals import calibration as scales
from cap_jax.types import InputError


def calibrate(
  recording: recordings.Recording, site: str, calibration: config.Calibration, unitless: bool = False
) -> recordings.Recording:
  """Scales the wave of one site to a reading among the covariates; the other signals stay as they are.

  Args:
    recording: recording with the wave and the readings.
    site: name of the signal to scale.
    calibration: which reading to use; kind "none" only checks that the wave is in mmHg.
    unitless: whether a wave without a unit may stay as it is, for a network that reads such waves.

  Returns:
    The recording with the wave of `site` in mmHg, or as it is.

  Raises:
    InputError: there is no reading or no beat to scale, or a wave that is not in mmHg has no calibration.
  """
  wave = recording.signals[site]
  if calibration.kind == "none":
    if recording.units[site] != "mmHg" and not unitless:
      unit = "has no unit" if recording.units[site] == "1" else f"is {recording.units[site]}"
      raise InputError(
        f"{recording.subject}: {site} {unit}; calibrate it, for example with --config.calibration.kind=sbp_dbp"
      )
    return recording
  levels = scales.levels(wave, recording.fs_hz)
  gain, offset = scales.affine(calibration, levels, recording.covariates, recording.subject)
  signals = {**recording.signals, site: gain * wave + offset}
  return dataclasses.replace(recording, signals=signals, units={**recording.units, site: "mmHg"})
