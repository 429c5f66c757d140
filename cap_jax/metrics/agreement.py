"""Agreement between an estimate and a reference, over subjects.

Values are averaged per subject first, since beats of one subject are not independent.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.stats

RESAMPLES = 2000
_LIMIT = 1.96


@dataclasses.dataclass(frozen=True)
class Interval:
  """A mean over subjects with its bootstrap interval, whose ends are NaN for fewer than three subjects."""

  mean: float
  low: float
  high: float


NONE = Interval(float("nan"), float("nan"), float("nan"))


def interval(values_s: np.ndarray, level: float = 0.95, seed: int = 0) -> Interval:
  """Computes the mean over subjects with its BCa bootstrap interval (Efron 1987, J. Am. Stat. Assoc. 82, 171).

  Args:
    values_s: (subject,) values; NaN is left out.
    level: of confidence.
    seed: of the resamples.
  """
  finite = values_s[np.isfinite(values_s)]
  if finite.size < 3 or np.ptp(finite) <= 1e-9 * np.abs(finite).max():
    mean = float(finite.mean()) if finite.size else float("nan")
    return Interval(mean, *((mean, mean) if finite.size >= 3 else (float("nan"),) * 2))
  bootstrap = scipy.stats.bootstrap(
    (finite,), np.mean, n_resamples=RESAMPLES, confidence_level=level, rng=np.random.default_rng(seed)
  ).confidence_interval
  return Interval(float(finite.mean()), float(bootstrap.low), float(bootstrap.high))


def icc(estimate_s: np.ndarray, true_s: np.ndarray) -> float:
  """Computes ICC(A,1), the absolute agreement of single measurements in a two-way model.

  McGraw & Wong 1996, Psychol. Methods 1, 30.

  Args:
    estimate_s, true_s: (subject,) values; subjects with NaN are left out.

  Returns:
    The coefficient, NaN for fewer than three subjects.
  """
  table = np.stack([estimate_s, true_s], axis=1)
  table = table[np.isfinite(table).all(1)]
  n, k = table.shape
  if n < 3:
    return float("nan")
  mean = table.mean()
  rows = k * np.square(table.mean(1) - mean).sum() / (n - 1)
  columns = n * np.square(table.mean(0) - mean).sum() / (k - 1)
  residual = table - table.mean(1, keepdims=True) - table.mean(0, keepdims=True) + mean
  error = np.square(residual).sum() / ((n - 1) * (k - 1))
  return float((rows - error) / (rows + (k - 1) * error + k * (columns - error) / n))


def pearson(estimate_s: np.ndarray, true_s: np.ndarray) -> float:
  """Computes Pearson's r over subjects.

  Args:
    estimate_s, true_s: (subject,) values; subjects with NaN are left out.

  Returns:
    The coefficient, NaN for fewer than three subjects or constant values.
  """
  finite = np.isfinite(estimate_s) & np.isfinite(true_s)
  a, b = estimate_s[finite], true_s[finite]
  if finite.sum() < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
    return float("nan")
  return float(np.corrcoef(a, b)[0, 1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlandAltman:
  """Limits of agreement with repeated measures, bias ± 1.96·√(σ_between² + σ_within²).

  Attributes:
    bias: mean difference, estimate minus reference, with equal weights of the subjects.
    between, within: SDs of the difference between subjects and within a subject.
    slope: of the subjects' differences on their means, the proportional bias. Random differences of SD σ_d alone cause a slope of
      σ_d²/2 over the variance of the means, since the means contain half of each difference.
    slope_error: standard error of the slope.
  """

  subjects: int
  bias: float
  between: float
  within: float
  slope: float
  slope_error: float

  @property
  def sd(self) -> float:
    """SD of single differences, √(σ_between² + σ_within²)."""
    return float(np.hypot(self.between, self.within))

  @property
  def limits(self) -> tuple[float, float]:
    """Lower and upper limit of agreement."""
    return self.bias - _LIMIT * self.sd, self.bias + _LIMIT * self.sd

  @property
  def slope_p(self) -> float:
    """p of a zero slope, by the t distribution; NaN for constant means."""
    if np.isnan(self.slope_error):
      return float("nan")
    with np.errstate(divide="ignore"):
      return float(2 * scipy.stats.t.sf(np.abs(np.divide(self.slope, self.slope_error)), self.subjects - 2))


def bland_altman(
  true_s: np.ndarray, error_s: np.ndarray, within_s: np.ndarray | None = None, count_s: np.ndarray | None = None
) -> BlandAltman:
  """Computes limits of agreement for repeated measures of a true value that varies.

  The variance components are of a one-way analysis of the differences, with unequal numbers (Bland & Altman 2007, J. Biopharm. Stat.
  17, 571).

  Args:
    true_s, error_s: (subject,) mean reference and mean difference.
    within_s, count_s: (subject,) SD and number of the differences within a subject. Without them each subject has one difference.

  Raises:
    ValueError: fewer than three subjects.
  """
  count_s = np.ones(error_s.shape) if count_s is None else np.asarray(count_s, dtype=float)
  within_s = np.zeros(error_s.shape) if within_s is None else np.where(count_s > 1, within_s, 0.0)
  usable = np.isfinite(error_s) & np.isfinite(true_s) & np.isfinite(within_s) & (count_s > 0)
  d, m, n, s = error_s[usable], true_s[usable] + error_s[usable] / 2, count_s[usable], within_s[usable]
  k, total = d.size, n.sum()
  if k < 3:
    raise ValueError(f"{k} subject(s): limits of agreement need at least three")
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


def over_draws(draws: Sequence[BlandAltman]) -> BlandAltman:
  """Combines the agreement of a method over several draws of its training, with the same subjects.

  The result describes one training on one subject, so its between-subject variance includes that of the draws' biases. The draws
  share their subjects, so their number does not reduce the slope's error.
  """
  bias = np.array([one.bias for one in draws])
  drawn = float(bias.var(ddof=1)) if len(draws) > 1 else 0.0

  def rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.square(values).mean()))

  return BlandAltman(
    subjects=min(one.subjects for one in draws),
    bias=float(bias.mean()),
    between=float(np.sqrt(rms([one.between for one in draws]) ** 2 + drawn)),
    within=rms([one.within for one in draws]),
    slope=float(np.mean([one.slope for one in draws])),
    slope_error=rms([one.slope_error for one in draws]),
  )


@dataclasses.dataclass(frozen=True)
class Paired:
  """Difference a − b of two methods on the same subjects, with p of Wilcoxon's signed-rank test."""

  difference: Interval
  p: float


def paired(a_s: np.ndarray, b_s: np.ndarray) -> Paired:
  """Compares two methods subject by subject.

  Args:
    a_s, b_s: (subject,) values; subjects with NaN are left out.

  Returns:
    The difference; p is NaN for fewer than six subjects and 1 if all differences are 0.
  """
  finite = np.isfinite(a_s) & np.isfinite(b_s)
  difference = a_s[finite] - b_s[finite]
  if difference.size < 6:
    return Paired(interval(difference), float("nan"))
  if not difference.any():
    return Paired(interval(difference), 1.0)
  return Paired(interval(difference), float(scipy.stats.wilcoxon(difference).pvalue))


def holm(p_values: Sequence[float]) -> np.ndarray:
  """Adjusts p values for their number by Holm's step-down method (Holm 1979, Scand. J. Stat. 6, 65); NaN stays and does not count."""
  p = np.asarray(p_values, dtype=float)
  finite = np.flatnonzero(np.isfinite(p))
  adjusted = np.full(p.shape, np.nan)
  order = finite[np.argsort(p[finite])]
  scaled = p[order] * (len(order) - np.arange(len(order)))
  adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0) if len(order) else scaled
  return adjusted


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
    return f"{self.low:g} or more" if not np.isfinite(self.high) else f"{self.low:g} to {self.high:g}"

  def contains(self, values_s: np.ndarray) -> np.ndarray:
    """Returns (subject,) whether each is in the stratum, False for NaN."""
    return (values_s >= self.low) & (values_s < self.high)


_EDGES: dict[str, tuple[float, ...]] = {"age": (40, 60, 70), "hr_bpm": (60, 70, 80, 90)}


def strata(covariate: str, values_s: np.ndarray) -> list[Stratum]:
  """Divides subjects into strata of a covariate, without empty ones.

  Age and heart rate have fixed edges. Other covariates, such as the amplification, are divided into thirds of the subjects.

  Args:
    covariate: its name.
    values_s: (subject,) its values.
  """
  finite = values_s[np.isfinite(values_s)]
  if not finite.size:
    return []
  edges = _EDGES.get(covariate) or tuple(np.round(np.quantile(finite, (1 / 3, 2 / 3)), 2).tolist())
  candidates = [Stratum(covariate, a, b) for a, b in zip((-np.inf, *edges), (*edges, np.inf), strict=True)]
  return [stratum for stratum in candidates if stratum.contains(values_s).any()]


def spread(values: np.ndarray) -> tuple[float, float]:
  """Returns the mean and the SD (ddof 1, NaN for a single value) without NaN."""
  finite = values[np.isfinite(values)]
  if not finite.size:
    return float("nan"), float("nan")
  return float(finite.mean()), float(finite.std(ddof=1)) if finite.size > 1 else float("nan")
