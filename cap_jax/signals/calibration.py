"""Calibration of a wave of unknown scale and zero to mmHg, by an affine map from a cuff's reading.

    sbp_dbp            systole ↦ SBP, diastole ↦ DBP
    map_dbp, invasive  mean ↦ MAP, diastole ↦ DBP

Systole, diastole and mean are those of the wave's own beats. Where a cuff has no MAP it is estimated: DBP + PP/3,
DBP + 0.4 PP (Bos 2007), DBP + 0.412 PP (Meaney 2000), √(SBP · DBP).
"""

import dataclasses
import math
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cap_jax import config
from cap_jax.signals import beats, blocks
from cap_jax.types import InputError

KINDS = ("none", "sbp_dbp", "map_dbp", "invasive")
FORMS: Mapping[str, Callable[[float, float], float]] = {
  "third": lambda sbp, dbp: dbp + (sbp - dbp) / 3,
  "0.4": lambda sbp, dbp: dbp + 0.4 * (sbp - dbp),
  "0.412": lambda sbp, dbp: dbp + 0.412 * (sbp - dbp),
  "geometric": lambda sbp, dbp: math.sqrt(sbp * dbp),
}
CUFF = ("cuff_sbp_mmhg", "cuff_dbp_mmhg", "cuff_map_mmhg")
CATHETER = ("invasive_map_mmhg", "invasive_dbp_mmhg")
_LEAST_PULSE_MMHG = 10.0
_HIGHEST_MMHG = 350.0  # of a systolic pressure
_READINGS = 20  # attempts at one reading


@dataclasses.dataclass(frozen=True)
class Levels:
  """Median systole and diastole of a wave's beats and the median of their means, in its own unit."""

  systolic: float
  diastolic: float
  mean: float


def levels(x_t: np.ndarray, fs_hz: float) -> Levels | None:
  """Returns the levels of a wave with gaps; None where it has no whole beat.

  Args:
    x_t: (time,) any wave with a pulse, NaN in its gaps.
    fs_hz: sampling rate.
  """
  pieces = [x_t[start:stop] for start, stop in blocks.runs(np.isfinite(x_t)).tolist()]
  beat_pressures = [beats.pressures(part, beats.find_feet(part, fs_hz)) for part in pieces]
  beat_pressures = [pressures for pressures in beat_pressures if pressures.mean.size]
  if not beat_pressures and len(pieces) == 1:  # it may be a single beat, whose feet lie in its second repetition
    feet = beats.whole_beats(pieces[0], fs_hz)
    beat_pressures = [beats.pressures(np.tile(pieces[0], 3), feet)] if len(feet) >= 2 else []
  if not beat_pressures:
    return None
  systolic, diastolic, mean = (
    np.concatenate([getattr(pressures, name) for pressures in beat_pressures])
    for name in ("systolic", "diastolic", "mean")
  )
  return Levels(float(np.median(systolic)), float(np.median(diastolic)), float(np.median(mean)))


def check(calibration: config.Calibration) -> None:
  """Checks the kind and the form.

  Raises:
    InputError: the kind or the form is unknown.
  """
  if calibration.kind not in KINDS:
    raise InputError(f"calibration.kind={calibration.kind}: unknown; choose one of {', '.join(KINDS)}")
  if calibration.form not in FORMS:
    raise InputError(f"calibration.form={calibration.form}: unknown; choose one of {', '.join(FORMS)}")


def without_errors(calibration: config.Calibration) -> config.Calibration:
  """Returns the same calibration without injected errors, which are for training and test only."""
  return config.Calibration(kind=calibration.kind, form=calibration.form)


def may_have(calibration: config.Calibration) -> tuple[str, ...]:
  """Returns the covariates that the calibration uses if they are present."""
  return CUFF[2:] if calibration.kind == "map_dbp" else ()


def needs(calibration: config.Calibration) -> tuple[str, ...]:
  """Returns the covariates that the calibration requires; the MAP of a cuff is optional."""
  return {"none": (), "invasive": CATHETER}.get(calibration.kind, CUFF[:2])


def unknown_level(unitless: bool, covariates: Sequence[str]) -> str:
  """Returns that the pressure level of a reconstruction is unknown, "" if the input contains it.

  Args:
    unitless: whether the network reads a wave without a unit.
    covariates: names of the covariates that it reads.
  """
  if not unitless or set(covariates) & {*CUFF, *CATHETER}:
    return ""
  known = f", apart from what {' and '.join(covariates)} tell{'s' * (len(covariates) == 1)}" if covariates else ""
  return (
    "the pressure level is unknown: a PPG without a cuff's reading does not contain it, so it is the mean of the training"
    + known
  )


def reading(
  calibration: config.Calibration, covariates: Mapping[str, float], subject: str
) -> tuple[float, float, float]:
  """Returns the pressures (SBP, DBP, MAP) [mmHg] to which the wave is scaled, with the injected error.

  Args:
    calibration: kind, form and errors.
    covariates: covariate → value of the subject.
    subject: name, which also seeds the error.

  Raises:
    InputError: a required covariate is missing, or the pulse pressure is below 10 mmHg.
  """
  missing = [name for name in needs(calibration) if not np.isfinite(covariates.get(name, np.nan))]
  if missing:
    available = ", ".join(sorted(covariates)) or "nothing"
    raise InputError(
      f"{subject}: calibration {calibration.kind} needs {', '.join(missing)} (found: {available}); add the missing covariates"
    )
  if calibration.kind == "invasive":
    mean, dbp = (covariates[name] for name in CATHETER)
    return float("nan"), dbp, mean
  sbp, dbp = covariates[CUFF[0]], covariates[CUFF[1]]
  cuff_map = covariates.get(CUFF[2], float("nan"))
  share = (cuff_map - dbp) / (sbp - dbp) if np.isfinite(cuff_map) and sbp > dbp else None
  rng = np.random.default_rng([calibration.seed, zlib.crc32(subject.encode())])
  for _ in range(_READINGS):  # a reading that the injected error makes impossible is repeated, as at the bedside
    read_sbp = sbp + calibration.sbp_bias_mmhg + calibration.sbp_sd_mmhg * rng.normal()
    read_dbp = dbp + calibration.dbp_bias_mmhg + calibration.dbp_sd_mmhg * rng.normal()
    if read_sbp - read_dbp >= _LEAST_PULSE_MMHG and read_dbp > 0:
      break
  else:
    raise InputError(
      f"{subject}: impossible cuff reading {read_sbp:.0f}/{read_dbp:.0f} mmHg (SBP/DBP); correct it or its unit, or inject a smaller error"
    )
  sbp, dbp = read_sbp, read_dbp
  return sbp, dbp, dbp + share * (sbp - dbp) if share is not None else FORMS[calibration.form](sbp, dbp)


def check_reading(covariates: Mapping[str, float], subject: str) -> None:
  """Checks the reading of a cuff that a network reads as covariates.

  Args:
    covariates: covariate → value of the subject.
    subject: name, for the message.

  Raises:
    InputError: SBP and DBP [mmHg] are known, and no artery has them.
  """
  sbp, dbp = (covariates.get(name, float("nan")) for name in CUFF[:2])
  if np.isfinite([sbp, dbp]).all() and not (0 < dbp <= sbp - _LEAST_PULSE_MMHG and sbp <= _HIGHEST_MMHG):
    raise InputError(f"{subject}: impossible cuff reading {sbp:g}/{dbp:g} mmHg (SBP/DBP); correct it, or its unit")


def affine(
  calibration: config.Calibration, wave_levels: Levels | None, covariates: Mapping[str, float], subject: str
) -> tuple[float, float]:
  """Returns (gain, offset) of the map x ↦ gain · x + offset.

  Args:
    calibration: kind, form and errors.
    wave_levels: levels of the subject's wave, from `levels`.
    covariates: covariate → value of the subject.
    subject: name.

  Raises:
    InputError: there is no reading, or no beat that could be scaled to it.
  """
  if calibration.kind == "none":
    return 1.0, 0.0
  sbp, dbp, mean = reading(calibration, covariates, subject)
  if wave_levels is None:
    raise InputError(f"{subject}: no whole beat to calibrate; use a longer record")
  high, level = (sbp, wave_levels.systolic) if calibration.kind == "sbp_dbp" else (mean, wave_levels.mean)
  if level - wave_levels.diastolic <= 0:
    raise InputError(f"{subject}: the wave has no pulse to calibrate; omit the record")
  gain = (high - dbp) / (level - wave_levels.diastolic)
  return gain, dbp - gain * wave_levels.diastolic
