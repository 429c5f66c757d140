"""What the validation standards ask of errors, and which of their preconditions are not met.

| standard | asks |
|---|---|
| AAMI/ISO 81060-2, criterion 1 | \\|mean error\\| ≤ 5 and SD ≤ 8 mmHg |
| AAMI/ISO 81060-2, criterion 2 | SD of the subjects' mean errors under a limit that falls with the bias: a share of 85 % within 10 mmHg |
| BHS | share of readings with \\|error\\| within 5, 10, 15 mmHg: A 60/85/95 %, B 50/75/90, C 40/65/85, else D; its own sequence of readings |
| IEEE 1708 | mean absolute difference: A ≤ 5, B ≤ 6, C ≤ 7 mmHg, else D; induced changes of pressure, and a repeat |
| ARTERY 2017 (PMC5837446) | as criterion 1, against an invasive reference; a claim of type I (relative to the brachial pressure) or II (absolute) |

They are read as of the central pressure, whose reference is a catheter in the aorta, of one pressure at a time. Nothing here says that a standard is met unless every one of
its preconditions is; those of BHS and IEEE 1708 are of a protocol that recordings cannot show, so nothing is ever claimed by them. The distribution of pressures and sexes is
ISO 81060-2's for all.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.optimize
import scipy.stats

LEAST_SUBJECTS = 85
_TOLERABLE_MMHG, _SHARE, _LEAST_SD_MMHG = 10.0, 0.85, 1e-3
# of the reference [mmHg]: low, raised, high
_LEVELS = {"csbp": (100.0, 140.0, 160.0), "cdbp": (60.0, 85.0, 100.0)}
_BHS = "no sequence of readings by two observers"
_IEEE = "no induced change of pressure and no repeat was measured"


@dataclasses.dataclass(frozen=True)
class Reference:
  """What the truth is.

  Attributes:
    real: whether real people were measured.
    invasive: whether by a catheter in the aorta.
    male_share: of the subjects, NaN where it is not known.
    calibration: of the peripheral waves, `config.Calibration.kind`.
    claim_type: ARTERY's: errors here are of the absolute central pressure, type II.
  """

  real: bool
  invasive: bool
  male_share: float = float("nan")
  calibration: str = "none"
  claim_type: str = "II"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Readings:
  """The errors of a method, reading by reading, each subject counting alike.

  Attributes:
    true_s: (subject,) mean reference [mmHg].
    bias, sd, sd_of_subjects: mean of all errors, SD of all single ones, and of the subjects' means [mmHg].
    shares: [%] of readings with an error within 5, 10 and 15 mmHg.
    mad: mean absolute error of the readings [mmHg].
  """

  true_s: np.ndarray
  bias: float
  sd: float
  sd_of_subjects: float
  shares: tuple[float, ...]
  mad: float


@dataclasses.dataclass(frozen=True)
class Verdict:
  """One standard. figures: what it asks for, as computed. within: whether they lie within its limits. grade: where it has
  grades. unmet: its preconditions that do not hold."""

  standard: str
  figures: str
  within: bool
  grade: str
  unmet: tuple[str, ...]

  @property
  def alone(self) -> str:
    """What the figures are, which claims nothing."""
    return f"grade {self.grade}" if self.grade else ("within" if self.within else "outside")

  @property
  def claim(self) -> str:
    """What may be said. That a standard is met is said only where all its preconditions are."""
    if self.unmet:
      return f"nothing is claimed: {'; '.join(self.unmet)}"
    return f"all preconditions hold: this pressure {'meets' if self.within else 'does not meet'} it"


def largest_sd(bias_mmhg: float) -> float:
  """Criterion 2: the SD at which 85 % of normal errors of this mean lie within ±10 mmHg; 6.95 at no bias, 4.8 at 5 mmHg, NaN near 10
  and beyond, where no SD is small enough."""

  def share(sd: float) -> float:
    return float(np.diff(scipy.stats.norm.cdf((np.array([-1, 1]) * _TOLERABLE_MMHG - bias_mmhg) / sd))[0])

  if not share(_LEAST_SD_MMHG) > _SHARE:
    return float("nan")
  return float(scipy.optimize.brentq(lambda sd: share(sd) - _SHARE, _LEAST_SD_MMHG, 20.0))


def _lacking(quantity: str, true_s: np.ndarray) -> list[str]:
  """What the distribution of the reference lacks of ISO 81060-2's: shares of subjects with low and high pressures."""
  sign = "SBP" if quantity == "csbp" else "DBP"
  low, raised, high = _LEVELS[quantity]
  asked = (
    (true_s <= low, 5, f"of {low:g} or less"),
    (true_s >= raised, 20, f"of {raised:g} or more"),
    (true_s >= high, 5, f"of {high:g} or more"),
  )
  return [
    f"{100 * who.mean():.0f} % of subjects with a {sign} {words} mmHg, {least} % are asked"
    for who, least, words in asked
    if 100 * who.mean() < least
  ]


def _unmet(reference: Reference, subjects: int) -> tuple[str, ...]:
  found = []
  if not reference.real:
    found.append("the subjects are virtual")
  if subjects < LEAST_SUBJECTS:
    found.append(f"n = {subjects} < {LEAST_SUBJECTS}")
  if not (reference.real and reference.invasive):
    found.append("no invasive reference")
  return tuple(found)


def bhs_grade(shares: Sequence[float]) -> str:
  """Of the shares [%] of errors within 5, 10 and 15 mmHg."""
  for grade, least in (("A", (60, 85, 95)), ("B", (50, 75, 90)), ("C", (40, 65, 85))):
    if all(share >= limit for share, limit in zip(shares, least, strict=True)):
      return grade
  return "D"


def ieee_grade(mad_mmhg: float) -> str:
  """Of the mean absolute difference."""
  return next((grade for grade, most in (("A", 5), ("B", 6), ("C", 7)) if mad_mmhg <= most), "D")


def evaluate(quantity: str, found: Readings, reference: Reference, knows: str = "") -> list[Verdict]:
  """All standards.

  Args:
    quantity: "csbp" or "cdbp".
    found: the errors of it.
    reference: what the truth is.
    knows: what the method knows of the truth, "" of a method that may be used where there is none.
  """
  limit = largest_sd(found.bias)
  first = abs(found.bias) <= 5 and found.sd <= 8
  by_bhs, by_ieee = bhs_grade(found.shares), ieee_grade(found.mad)
  asked = (*_unmet(reference, len(found.true_s)), *_lacking(quantity, found.true_s))
  if not 0.3 <= reference.male_share <= 0.7:
    asked = (*asked, "30 % of each sex are asked")
  if knows:
    asked = (*asked, f"it knows {knows} of each subject")
  spread = f"{found.bias:+.1f} ± {found.sd:.1f} mmHg"
  return [
    Verdict("AAMI/ISO 81060-2 criterion 1", spread, first, "", asked),
    Verdict(
      "AAMI/ISO 81060-2 criterion 2",
      f"SD over subjects {found.sd_of_subjects:.1f} mmHg, "
      + ("no SD suffices at this bias" if np.isnan(limit) else f"limit {limit:.2f} at this bias"),
      bool(found.sd_of_subjects <= limit),
      "",
      asked,
    ),
    Verdict("BHS", " / ".join(f"{share:.0f} %" for share in found.shares), by_bhs in "AB", by_bhs, (*asked, _BHS)),
    Verdict("IEEE 1708", f"mean absolute difference {found.mad:.1f} mmHg", by_ieee != "D", by_ieee, (*asked, _IEEE)),
    Verdict("ARTERY 2017", spread, first, "", asked),
  ]
