"""Pressure from a cuff: a wave of unknown scale and zero → mmHg, by an affine map.

    sbp_dbp            systole ↦ SBP, diastole ↦ DBP
    map_dbp, invasive  mean ↦ MAP, diastole ↦ DBP

with the wave's own systole, diastole and mean over its beats. Where a cuff gives no MAP it is estimated: DBP + PP/3,
DBP + 0.4 PP (Bos 2007), DBP + 0.412 PP (Meaney 2000), √(SBP · DBP).
"""

import dataclasses
import math
import zlib
from collections.abc import Callable, Mapping

import numpy as np

from cap_jax import config
from cap_jax.signals import beats
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


@dataclasses.dataclass(frozen=True)
class Levels:
  """Of a wave, in its own unit: median systole and diastole of its beats, and their mean."""

  systolic: float
  diastolic: float
  mean: float


def levels(x_t: np.ndarray, fs_hz: float) -> Levels | None:
  """Levels of a wave with gaps; None where it has no whole beat.

  Args:
    x_t: (time,) any wave with a pulse, NaN in its gaps.
    fs_hz: sampling rate.
  """
  parts = np.ma.clump_unmasked(np.ma.masked_invalid(x_t))
  found = [beats.pressures(x_t[part], beats.find_feet(x_t[part], fs_hz)) for part in parts]
  found = [pressures for pressures in found if pressures.mean.size]
  if not found and len(parts) == 1:  # it may be one beat: its feet lie in its second round
    feet = beats.whole_beats(x_t[parts[0]], fs_hz)
    found = [beats.pressures(np.tile(x_t[parts[0]], 3), feet)] if len(feet) >= 2 else []
  if not found:
    return None
  systolic, diastolic, mean = (
    np.concatenate([getattr(part, name) for part in found]) for name in ("systolic", "diastolic", "mean")
  )
  return Levels(float(np.median(systolic)), float(np.median(diastolic)), float(np.median(mean)))


def check(calibration: config.Calibration) -> None:
  """Raises:
  InputError: its kind or its form is unknown."""
  if calibration.kind not in KINDS:
    raise InputError(f"calibration.kind={calibration.kind}: unknown; choose one of {', '.join(KINDS)}")
  if calibration.form not in FORMS:
    raise InputError(f"calibration.form={calibration.form}: unknown; choose one of {', '.join(FORMS)}")


def without_errors(calibration: config.Calibration) -> config.Calibration:
  """The same calibration for a reading that is what it is: errors are injected into training and test alone."""
  return config.Calibration(kind=calibration.kind, form=calibration.form)


def may_have(calibration: config.Calibration) -> tuple[str, ...]:
  """Covariates that are used where they are known."""
  return CUFF[2:] if calibration.kind == "map_dbp" else ()


def needs(calibration: config.Calibration) -> tuple[str, ...]:
  """Covariates that must be known: a cuff's MAP need not be."""
  return {"none": (), "invasive": CATHETER}.get(calibration.kind, CUFF[:2])


def reading(
  calibration: config.Calibration, covariates: Mapping[str, float], subject: str
) -> tuple[float, float, float]:
  """(SBP, DBP, MAP) [mmHg] that the wave is scaled to, with the error that the calibration injects.

  Raises:
    InputError: a covariate is not known, or the pulse pressure is below 10 mmHg.
  """
  missing = [name for name in needs(calibration) if not np.isfinite(covariates.get(name, np.nan))]
  if missing:
    known = ", ".join(sorted(covariates)) or "nothing"
    raise InputError(f"{subject}: calibration {calibration.kind} needs {', '.join(missing)}; known are {known}")
  if calibration.kind == "invasive":
    mean, dbp = (covariates[name] for name in CATHETER)
    return float("nan"), dbp, mean
  sbp, dbp = covariates[CUFF[0]], covariates[CUFF[1]]
  told = covariates.get(CUFF[2], float("nan"))
  share = (told - dbp) / (sbp - dbp) if np.isfinite(told) and sbp > dbp else None
  rng = np.random.default_rng([calibration.seed, zlib.crc32(subject.encode())])
  sbp += calibration.sbp_bias_mmhg + calibration.sbp_sd_mmhg * rng.normal()
  dbp += calibration.dbp_bias_mmhg + calibration.dbp_sd_mmhg * rng.normal()
  if sbp - dbp < _LEAST_PULSE_MMHG or dbp <= 0:
    raise InputError(f"{subject}: a cuff of {sbp:.0f}/{dbp:.0f} mmHg cannot be; correct it, or inject a smaller error")
  return sbp, dbp, dbp + share * (sbp - dbp) if share is not None else FORMS[calibration.form](sbp, dbp)


def affine(
  calibration: config.Calibration, found: Levels | None, covariates: Mapping[str, float], subject: str
) -> tuple[float, float]:
  """(gain, offset) of x ↦ gain · x + offset.

  Raises:
    InputError: no reading, or no beat that could be scaled to it.
  """
  if calibration.kind == "none":
    return 1.0, 0.0
  sbp, dbp, mean = reading(calibration, covariates, subject)
  if found is None:
    raise InputError(f"{subject}: no whole beat that could be calibrated; give a longer record")
  high, level = (sbp, found.systolic) if calibration.kind == "sbp_dbp" else (mean, found.mean)
  if level - found.diastolic <= 0:
    raise InputError(f"{subject}: the wave has no pulse that could be calibrated; leave the record out")
  gain = (high - dbp) / (level - found.diastolic)
  return gain, dbp - gain * found.diastolic
