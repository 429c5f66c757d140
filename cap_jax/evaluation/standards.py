"""What the validation standards ask of errors, and which of their preconditions are not met.

| standard | asks |
|---|---|
| AAMI/ISO 81060-2, criterion 1 | \\|mean error\\| ≤ 5 and SD ≤ 8 mmHg |
| AAMI/ISO 81060-2, criterion 2 | SD of the subjects' mean errors under a limit that falls with the bias: a share of 85 % within 10 mmHg |
| BHS | share of \\|error\\| within 5, 10, 15 mmHg: A 60/85/95 %, B 50/75/90, C 40/65/85, else D |
| IEEE 1708 | mean absolute difference: A ≤ 5, B ≤ 6, C ≤ 7 mmHg, else D |
| ARTERY 2017 (PMC5837446) | as criterion 1, against an invasive reference |

Nothing here says that a standard is met unless every one of its preconditions is.
"""

import dataclasses

import numpy as np
import scipy.optimize
import scipy.stats

LEAST_SUBJECTS = 85
_TOLERABLE_MMHG, _SHARE = 10.0, 0.85
# of the reference [mmHg]: low, raised, high
_LEVELS = {"csbp": (100.0, 140.0, 160.0), "cdbp": (60.0, 85.0, 100.0)}


@dataclasses.dataclass(frozen=True)
class Reference:
  """What the truth is: whether real people were measured, whether by a catheter in the aorta, and the share of men among them,
  NaN where it is not known."""

  real: bool
  invasive: bool
  male_share: float = float("nan")


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
  def sentence(self) -> str:
    """For a reader. That a standard is met is said only where all its preconditions are."""
    result = f"grade {self.grade}" if self.grade else ("within the limits" if self.within else "outside the limits")
    if self.unmet:
      return f"{self.standard}: {self.figures}; the figures alone are {result}, which claims nothing: {'; '.join(self.unmet)}"
    verb = "meets" if self.within else "does not meet"
    return f"{self.standard}: {self.figures}; {result}, {verb} it"


def largest_sd(bias_mmhg: float) -> float:
  """Criterion 2: the SD at which 85 % of normal errors of this mean lie within ±10 mmHg; 6.95 at no bias, 4.8 at 5 mmHg, NaN beyond
  10."""
  if abs(bias_mmhg) >= _TOLERABLE_MMHG:
    return float("nan")

  def share(sd: float) -> float:
    return float(np.diff(scipy.stats.norm.cdf((np.array([-1, 1]) * _TOLERABLE_MMHG - bias_mmhg) / sd))[0])

  return float(scipy.optimize.brentq(lambda sd: share(sd) - _SHARE, 1e-3, 20.0))


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


def _unmet(reference: Reference, subjects: int, least: int, invasive: bool) -> tuple[str, ...]:
  found = []
  if not reference.real:
    found.append("the subjects are virtual")
  if subjects < least:
    found.append(f"n = {subjects} < {least}")
  if invasive and not (reference.real and reference.invasive):
    found.append("no invasive reference")
  return tuple(found)


def bhs_grade(error: np.ndarray) -> tuple[str, tuple[float, ...]]:
  """Grade, and the shares [%] of |error| within 5, 10 and 15 mmHg."""
  shares = tuple(float(100 * (np.abs(error) <= limit).mean()) for limit in (5, 10, 15))
  for grade, least in (("A", (60, 85, 95)), ("B", (50, 75, 90)), ("C", (40, 65, 85))):
    if all(share >= limit for share, limit in zip(shares, least, strict=True)):
      return grade, shares
  return "D", shares


def ieee_grade(error: np.ndarray) -> tuple[str, float]:
  """Grade, and the mean absolute difference [mmHg]."""
  mad = float(np.abs(error).mean())
  return next((grade for grade, most in (("A", 5), ("B", 6), ("C", 7)) if mad <= most), "D"), mad


def judge(
  quantity: str, true_s: np.ndarray, error_s: np.ndarray, pooled_sd_mmhg: float, reference: Reference
) -> list[Verdict]:
  """All standards.

  Args:
    quantity: "csbp" or "cdbp".
    true_s, error_s: (subject,) mean reference and mean error of it [mmHg]; NaN are left out.
    pooled_sd_mmhg: SD of all single errors, between and within subjects; NaN: that of the subjects' means.
    reference: what the truth is.

  Raises:
    ValueError: fewer than two subjects.
  """
  known = np.isfinite(error_s) & np.isfinite(true_s)
  error, n = error_s[known], int(known.sum())
  if n < 2:
    raise ValueError(f"{n} subject(s): an SD needs two or more")
  bias, sd = float(error.mean()), float(error.std(ddof=1))
  pooled = pooled_sd_mmhg if np.isfinite(pooled_sd_mmhg) else sd
  limit = largest_sd(bias)
  by_bhs, shares = bhs_grade(error)
  by_ieee, mad = ieee_grade(error)
  first = abs(bias) <= 5 and pooled <= 8
  clinic = _unmet(reference, n, LEAST_SUBJECTS, invasive=False)
  central = _unmet(reference, n, LEAST_SUBJECTS, invasive=True)
  iso = (*central, *_lacking(quantity, true_s[known]))
  if not 0.3 <= reference.male_share <= 0.7:
    iso = (*iso, "30 % of each sex are asked")
  return [
    Verdict("AAMI/ISO 81060-2 criterion 1", f"{bias:+.1f} ± {pooled:.1f} mmHg", first, "", iso),
    Verdict(
      "AAMI/ISO 81060-2 criterion 2",
      f"SD over subjects {sd:.1f} mmHg, limit {limit:.2f} at this bias",
      bool(sd <= limit),
      "",
      iso,
    ),
    Verdict("BHS", " / ".join(f"{share:.0f} %" for share in shares), by_bhs in "AB", by_bhs, clinic),
    Verdict("IEEE 1708", f"mean absolute difference {mad:.1f} mmHg", by_ieee != "D", by_ieee, clinic),
    Verdict("ARTERY 2017", f"{bias:+.1f} ± {pooled:.1f} mmHg", first, "", central),
  ]
