"""Agreement between an estimate and a reference, over subjects. Everything is per subject first: beats of one person are no
independent sample."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.stats

RESAMPLES = 2000
_LIMIT = 1.96


@dataclasses.dataclass(frozen=True)
class Interval:
  """A mean over subjects and its bootstrap interval; NaN ends of fewer than three subjects."""

  mean: float
  low: float
  high: float


NONE = Interval(float("nan"), float("nan"), float("nan"))


def interval(values_s: np.ndarray, level: float = 0.95, seed: int = 0) -> Interval:
  """The mean over subjects, with its BCa bootstrap interval (Efron 1987, J. Am. Stat. Assoc. 82, 171) over subjects; NaN values
  are left out."""
  known = values_s[np.isfinite(values_s)]
  if known.size < 3 or np.ptp(known) <= 1e-9 * np.abs(known).max():
    mean = float(known.mean()) if known.size else float("nan")
    return Interval(mean, *((mean, mean) if known.size >= 3 else (float("nan"),) * 2))
  found = scipy.stats.bootstrap(
    (known,), np.mean, n_resamples=RESAMPLES, confidence_level=level, rng=np.random.default_rng(seed)
  ).confidence_interval
  return Interval(float(known.mean()), float(found.low), float(found.high))


def icc(estimate_s: np.ndarray, true_s: np.ndarray) -> float:
  """ICC(A,1): absolute agreement of single measurements, two-way model (McGraw & Wong 1996, Psychol. Methods 1, 30); NaN of fewer
  than three subjects."""
  table = np.stack([estimate_s, true_s], axis=1)
  table = table[np.isfinite(table).all(1)]
  n, k = table.shape
  if n < 3:
    return float("nan")
  mean = table.mean()
  rows = k * np.square(table.mean(1) - mean).sum() / (n - 1)
  columns = n * np.square(table.mean(0) - mean).sum() / (k - 1)
  left = table - table.mean(1, keepdims=True) - table.mean(0, keepdims=True) + mean
  error = np.square(left).sum() / ((n - 1) * (k - 1))
  return float((rows - error) / (rows + (k - 1) * error + k * (columns - error) / n))


def pearson(estimate_s: np.ndarray, true_s: np.ndarray) -> float:
  """Pearson's r over subjects; NaN of fewer than three, or of constant values."""
  known = np.isfinite(estimate_s) & np.isfinite(true_s)
  a, b = estimate_s[known], true_s[known]
  if known.sum() < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
    return float("nan")
  return float(np.corrcoef(a, b)[0, 1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlandAltman:
  """Limits of agreement with repeated measures, bias ± 1.96·√(σ_between² + σ_within²).

  Attributes:
    bias: mean difference, estimate minus reference, each subject counting alike.
    between, within: SDs of the difference between subjects, and within one.
    slope: of the subjects' differences on their means: proportional bias; with its standard error. A scatter of the differences
      σ_d alone gives σ_d²/2 over the variance of the means, since those hold half of it.
  """

  subjects: int
  bias: float
  between: float
  within: float
  slope: float
  slope_error: float

  @property
  def sd(self) -> float:
    """Of single differences, √(σ_between² + σ_within²)."""
    return float(np.hypot(self.between, self.within))

  @property
  def limits(self) -> tuple[float, float]:
    """Of agreement."""
    return self.bias - _LIMIT * self.sd, self.bias + _LIMIT * self.sd

  @property
  def slope_p(self) -> float:
    """Of no slope, by the t distribution; NaN of constant means."""
    if np.isnan(self.slope_error):
      return float("nan")
    with np.errstate(divide="ignore"):
      return float(2 * scipy.stats.t.sf(np.abs(np.divide(self.slope, self.slope_error)), self.subjects - 2))


def bland_altman(
  true_s: np.ndarray, error_s: np.ndarray, within_s: np.ndarray | None = None, count_s: np.ndarray | None = None
) -> BlandAltman:
  """Bland & Altman 2007 (J. Biopharm. Stat. 17, 571), for a true value that varies: variance components of a one-way analysis of the
  differences, with unequal numbers.

  Args:
    true_s, error_s: each subject's mean reference and mean difference.
    within_s, count_s: SD of the differences within each subject, and their number; without them each subject counts once.

  Raises:
    ValueError: fewer than three subjects.
  """
  count_s = np.ones(error_s.shape) if count_s is None else np.asarray(count_s, dtype=float)
  within_s = np.zeros(error_s.shape) if within_s is None else np.where(count_s > 1, within_s, 0.0)
  known = np.isfinite(error_s) & np.isfinite(true_s) & np.isfinite(within_s) & (count_s > 0)
  d, m, n, s = error_s[known], true_s[known] + error_s[known] / 2, count_s[known], within_s[known]
  k, total = d.size, n.sum()
  if k < 3:
    raise ValueError(f"{k} subject(s): limits of agreement need three or more")
  ms_between = float((n * np.square(d - (n * d).sum() / total)).sum() / (k - 1))
  ms_within = float(((n - 1) * np.square(s)).sum() / (total - k)) if total > k else 0.0
  typical = float((total - np.square(n).sum() / total) / (k - 1))
  between = max(ms_between - ms_within, 0.0) / typical
  slope = slope_error = float("nan")
  if np.ptp(m) > 0:
    line = scipy.stats.linregress(m, d)
    slope, slope_error = float(line.slope), float(line.stderr)
  return BlandAltman(
    subjects=k,
    bias=float(d.mean()),
    between=float(np.sqrt(between)),
    within=float(np.sqrt(ms_within)),
    slope=slope,
    slope_error=slope_error,
  )


def over_draws(found: Sequence[BlandAltman]) -> BlandAltman:
  """Agreement of a method that was trained on several draws, with the same subjects: that of one training on one subject, whose
  between-subject variance holds that of the draws' biases too. The draws share their subjects, so the slope's error is no smaller
  for their number."""
  bias = np.array([one.bias for one in found])
  drawn = float(bias.var(ddof=1)) if len(found) > 1 else 0.0

  def rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.square(values).mean()))

  return BlandAltman(
    subjects=min(one.subjects for one in found),
    bias=float(bias.mean()),
    between=float(np.sqrt(rms([one.between for one in found]) ** 2 + drawn)),
    within=rms([one.within for one in found]),
    slope=float(np.mean([one.slope for one in found])),
    slope_error=rms([one.slope_error for one in found]),
  )


@dataclasses.dataclass(frozen=True)
class Paired:
  """Two methods on the same subjects: mean of a − b with its bootstrap interval, and p of Wilcoxon's signed-rank test."""

  difference: Interval
  p: float


def paired(a_s: np.ndarray, b_s: np.ndarray) -> Paired:
  """Compares two methods subject by subject; p is NaN of fewer than six subjects, 1 without any difference."""
  known = np.isfinite(a_s) & np.isfinite(b_s)
  difference = a_s[known] - b_s[known]
  if difference.size < 6:
    return Paired(interval(difference), float("nan"))
  if not difference.any():
    return Paired(interval(difference), 1.0)
  return Paired(interval(difference), float(scipy.stats.wilcoxon(difference).pvalue))


def holm(p_values: Sequence[float]) -> np.ndarray:
  """p adjusted for their number by Holm's step-down method (Holm 1979, Scand. J. Stat. 6, 65); NaN stay and count for none."""
  p = np.asarray(p_values, dtype=float)
  known = np.flatnonzero(np.isfinite(p))
  out = np.full(p.shape, np.nan)
  order = known[np.argsort(p[known])]
  raised = p[order] * (len(order) - np.arange(len(order)))
  out[order] = np.minimum(np.maximum.accumulate(raised), 1.0) if len(order) else raised
  return out


@dataclasses.dataclass(frozen=True)
class Stratum:
  """Subjects whose covariate lies in [low, high)."""

  covariate: str
  low: float
  high: float

  @property
  def label(self) -> str:
    if not np.isfinite(self.low):
      return f"under {self.high:g}"
    return f"{self.low:g} and over" if not np.isfinite(self.high) else f"{self.low:g} to {self.high:g}"

  def holds(self, values_s: np.ndarray) -> np.ndarray:
    """(subject,) who is in it; nobody whose covariate is unknown."""
    return (values_s >= self.low) & (values_s < self.high)


_EDGES: dict[str, tuple[float, ...]] = {"age": (40, 60, 70), "hr_bpm": (60, 70, 80, 90)}


def strata(covariate: str, values_s: np.ndarray) -> list[Stratum]:
  """Fixed edges of age and heart rate; thirds of the subjects otherwise, as of the amplification. Empty strata are left out."""
  known = values_s[np.isfinite(values_s)]
  if not known.size:
    return []
  edges = _EDGES.get(covariate) or tuple(np.round(np.quantile(known, (1 / 3, 2 / 3)), 2).tolist())
  found = [Stratum(covariate, a, b) for a, b in zip((-np.inf, *edges), (*edges, np.inf), strict=True)]
  return [stratum for stratum in found if stratum.holds(values_s).any()]


def spread(values: np.ndarray) -> tuple[float, float]:
  """Mean and SD (ddof 1, NaN of a single value); NaN left out."""
  known = values[np.isfinite(values)]
  if not known.size:
    return float("nan"), float("nan")
  return float(known.mean()), float(known.std(ddof=1)) if known.size > 1 else float("nan")
