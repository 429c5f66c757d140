"""Criteria of validation standards for errors, with the preconditions that are not met.

| standard | requirement |
|---|---|
| AAMI/ISO 81060-2, criterion 1 | \\|mean error\\| ≤ 5 and SD ≤ 8 mmHg |
| AAMI/ISO 81060-2, criterion 2 | SD of the subjects' mean errors under a limit that falls with the bias: a share of 85 % within 10 mmHg |
| BHS | share of readings with \\|error\\| within 5, 10, 15 mmHg: A 60/85/95 %, B 50/75/90, C 40/65/85, else D; its own sequence of readings |
| IEEE 1708 | mean absolute difference: A ≤ 5, B ≤ 6, C ≤ 7 mmHg, else D; induced changes of pressure, and a repeat |
| ARTERY 2017 (PMC5837446) | as criterion 1, against an invasive reference; a claim of type I (relative to the brachial pressure) or II (absolute) |

They are applied to one central pressure at a time, whose reference is a catheter in the aorta. No standard is reported as met unless all
of its preconditions are. BHS and IEEE 1708 need a protocol that recordings cannot show, so they are never reported as met. The
distribution of pressures and sexes is that of ISO 81060-2 for all.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.optimize
import scipy.stats

from cap_jax.data import datasets

LEAST_SUBJECTS = 85
_TOLERABLE_MMHG, _SHARE, _LEAST_SD_MMHG = 10.0, 0.85, 1e-3
# of the reference [mmHg]: low, raised, high
_LEVELS = {"csbp": (100.0, 140.0, 160.0), "cdbp": (60.0, 85.0, 100.0)}
_NO_PEOPLE = {datasets.IN_SILICO: "virtual", datasets.IN_VITRO: "records of a mock circulatory loop"}
_BHS = "two observers did not take sequential readings"
_IEEE = "induced pressure changes and repeated measurements are missing"


@dataclasses.dataclass(frozen=True)
class Reference:
  """The reference of a validation.

  Attributes:
    place: where the subjects come from, one of `datasets.PLACES`.
    invasive: whether a catheter in the aorta measured the reference.
    male_share: of the subjects, NaN if unknown.
    calibration: of the peripheral waves, `config.Calibration.kind`.
    claim_type: of ARTERY; errors here are of the absolute central pressure, type II.
  """

  place: str
  invasive: bool
  male_share: float = float("nan")
  calibration: str = "none"
  claim_type: str = "II"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Readings:
  """Errors of a method over single readings, with equal weights of the subjects.

  Attributes:
    true_s: (subject,) mean reference [mmHg].
    bias: mean of all errors [mmHg].
    sd, sd_of_subjects: SD of single errors and of the subjects' mean errors [mmHg].
    percent_within: [%] of readings with an error within 5, 10 and 15 mmHg.
    mad: mean absolute error of the readings [mmHg].
  """

  true_s: np.ndarray
  bias: float
  sd: float
  sd_of_subjects: float
  percent_within: tuple[float, ...]
  mad: float


@dataclasses.dataclass(frozen=True)
class Verdict:
  """Result for one standard.

  Attributes:
    figures: the values that it needs, as text.
    within: whether they are within its limits.
    grade: "" for a standard without grades.
    unmet_preconditions: preconditions that do not hold.
  """

  standard: str
  figures: str
  within: bool
  grade: str
  unmet_preconditions: tuple[str, ...]

  @property
  def position(self) -> str:
    """The grade or position of the figures, without a claim."""
    return f"grade {self.grade}" if self.grade else ("within" if self.within else "outside")

  @property
  def claim(self) -> str:
    """The claim that is allowed. It says that the standard is met only if all preconditions hold."""
    if self.unmet_preconditions:
      return f"no claim: {'; '.join(self.unmet_preconditions)}"
    return f"all preconditions are met: this pressure {'meets' if self.within else 'does not meet'} the standard"


def largest_sd(bias_mmhg: float) -> float:
  """Returns the limit of criterion 2: the SD at which 85 % of normal errors of this mean lie within ±10 mmHg.

  It is 6.95 at no bias and 4.8 at 5 mmHg. Near 10 mmHg and beyond, where no SD is small enough, it is NaN.
  """

  def share(sd: float) -> float:
    return float(np.diff(scipy.stats.norm.cdf((np.array([-1, 1]) * _TOLERABLE_MMHG - bias_mmhg) / sd))[0])

  if not share(_LEAST_SD_MMHG) > _SHARE:
    return float("nan")
  return float(scipy.optimize.brentq(lambda sd: share(sd) - _SHARE, _LEAST_SD_MMHG, 20.0))


def _missing_pressures(quantity: str, true_s: np.ndarray) -> list[str]:
  """Returns the requirements of ISO 81060-2 on low and high pressures that the subjects do not meet."""
  sign = "SBP" if quantity == "csbp" else "DBP"
  low, raised, high = _LEVELS[quantity]
  requirements = (
    (true_s <= low, 5, f"of {low:g} or less"),
    (true_s >= raised, 20, f"of {raised:g} or more"),
    (true_s >= high, 5, f"of {high:g} or more"),
  )
  return [
    f"{100 * inside.mean():.0f} % of subjects have a {sign} {range_name} mmHg, but {least} % are required"
    for inside, least, range_name in requirements
    if 100 * inside.mean() < least
  ]


def _unmet_preconditions(reference: Reference, subjects: int) -> tuple[str, ...]:
  """Returns the unmet preconditions on the subjects and the reference."""
  reasons = []
  real = reference.place in datasets.PEOPLE
  if not real:
    reasons.append(f"the subjects are {_NO_PEOPLE[reference.place]}")
  if subjects < LEAST_SUBJECTS:
    reasons.append(f"n = {subjects} < {LEAST_SUBJECTS}")
  if not (real and reference.invasive):
    reasons.append("the reference is not invasive")
  return tuple(reasons)


def bhs_grade(percent_within: Sequence[float]) -> str:
  """Returns the grade for the percent_within [%] of errors within 5, 10 and 15 mmHg."""
  for grade, least in (("A", (60, 85, 95)), ("B", (50, 75, 90)), ("C", (40, 65, 85))):
    if all(share >= limit for share, limit in zip(percent_within, least, strict=True)):
      return grade
  return "D"


def ieee_grade(mad_mmhg: float) -> str:
  """Returns the grade for the mean absolute difference."""
  return next((grade for grade, most in (("A", 5), ("B", 6), ("C", 7)) if mad_mmhg <= most), "D")


def evaluate(quantity: str, readings: Readings, reference: Reference, uses_of_reference: str = "") -> list[Verdict]:
  """Evaluates the errors of one pressure against all standards.

  Args:
    quantity: "csbp" or "cdbp".
    readings: its errors.
    reference: of the validation.
    uses_of_reference: what the method uses of the reference, "" if nothing.
  """
  limit = largest_sd(readings.bias)
  first = abs(readings.bias) <= 5 and readings.sd <= 8
  by_bhs, by_ieee = bhs_grade(readings.percent_within), ieee_grade(readings.mad)
  unmet = (*_unmet_preconditions(reference, len(readings.true_s)), *_missing_pressures(quantity, readings.true_s))
  if not 0.3 <= reference.male_share <= 0.7:
    unmet = (*unmet, "at least 30 % of each sex are required")
  if uses_of_reference:
    unmet = (*unmet, f"the method uses {uses_of_reference} of each subject")
  spread = f"{readings.bias:+.1f} ± {readings.sd:.1f} mmHg"
  return [
    Verdict("AAMI/ISO 81060-2 criterion 1", spread, first, "", unmet),
    Verdict(
      "AAMI/ISO 81060-2 criterion 2",
      f"SD over subjects {readings.sd_of_subjects:.1f} mmHg, "
      + ("no SD suffices at this bias" if np.isnan(limit) else f"limit {limit:.2f} at this bias"),
      bool(readings.sd_of_subjects <= limit),
      "",
      unmet,
    ),
    Verdict(
      "BHS", " / ".join(f"{share:.0f} %" for share in readings.percent_within), by_bhs in "AB", by_bhs, (*unmet, _BHS)
    ),
    Verdict("IEEE 1708", f"mean absolute difference {readings.mad:.1f} mmHg", by_ieee != "D", by_ieee, (*unmet, _IEEE)),
    Verdict("ARTERY 2017", spread, first, "", unmet),
  ]
