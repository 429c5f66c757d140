"""Label efficiency of transfer: equivalent labels, gap closed, and the regret of a choice of strategy.

With R(n) the mean RMSE over subjects and seeds at n labelled subjects,

    equivalent labels   n* such that R_scratch(n*) = R_method(n)
    gap closed          (R_source − R_method(n)) / (R_source − R_oracle),     R_oracle the least of all strategies at the largest n
    regret              R_chosen / min_m R_m − 1, of one clinic, n and seed; a choice is good up to 0.1

Between the n at which scratch was measured, ln R is interpolated linearly in ln n. Where more labels made scratch worse, its curve stays
level. Intervals are percentiles of a bootstrap over subjects, with the same subjects for all methods (Efron & Tibshirani 1993).
"""

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np
import pandas

from cap_jax.metrics import agreement
from cap_jax.train import strategy_selection

SCRATCH, SOURCE = "scratch", "source"
TARGET_FILTER = "gtf_arx_target"  # the target's own transfer function, with which `auto` blends a network
NEAR = 1.1
EXPLAINED = (
  "Equivalent labels: the number of labelled subjects with which the network from scratch has the same RMSE, interpolated linearly between the "
  "numbers tried. Gap closed: 0 % is the source network unchanged, 100 % the best strategy with the most labels."
)


@dataclasses.dataclass(frozen=True)
class LabelEfficiency:
  """Label efficiency of one method with `n_target` labelled subjects in one clinic.

  Attributes:
    equivalent_labels: labelled subjects with which the network from scratch is as good, with its interval. It is infinite where scratch
      never is, and the least number that was tried where scratch is always as good. It is NaN without scratch at two numbers of labels.
    gap_closed: share of the gap between the source network and the oracle; NaN without one of them, or without a gap.
  """

  method: str
  n_target: int
  equivalent_labels: agreement.Interval
  gap_closed: agreement.Interval

  @property
  def has_baseline(self) -> bool:
    """Whether there was a network to compare it with."""
    return not (np.isnan(self.equivalent_labels.mean) and np.isnan(self.gap_closed.mean))


@dataclasses.dataclass(frozen=True)
class Choices:
  """Choices of a method, compared with the best strategy of each (n_target, seed) of one clinic.

  Attributes:
    cell_count, near: number of cells, and of those in which its RMSE is at most 1.1 times the least.
    regret: mean over cells of its RMSE over the least, minus one.
    worst: the largest of these.
  """

  cell_count: int
  near: int
  regret: float
  worst: float


_Curves = Mapping[tuple[str, int], np.ndarray]
"""(method, n_target) → (resample,) mean RMSE. The first entry is over all subjects, without resampling."""


def _curves(rows: pandas.DataFrame) -> _Curves:
  measured = rows[rows["rmse_mmhg"].notna()]
  table = measured.pivot_table("rmse_mmhg", "subject", ["method", "n_target"], aggfunc="mean", sort=False).dropna()
  draws = np.random.default_rng(0).integers(len(table), size=(agreement.RESAMPLES, len(table)))
  everyone = np.arange(len(table))[None]
  resamples = np.concatenate([everyone, draws])
  keys = [(str(key[0]), int(key[1])) for key in table.columns]
  return {key: column[resamples].mean(1) for key, column in zip(keys, table.to_numpy(float).T, strict=True)}


def _interval(values: np.ndarray) -> agreement.Interval:
  # "nearest", because values between a number and infinity are undefined
  low, high = np.quantile(values[1:], (0.025, 0.975), method="nearest")
  return agreement.Interval(float(values[0]), float(low), float(high))


def equal_labels(n_k: np.ndarray, scratch_k: np.ndarray, rmse: float) -> float:
  """Returns the number of labels at which the network from scratch has a given RMSE.

  Args:
    n_k: (k,) numbers of labels, increasing.
    scratch_k: (k,) RMSE of scratch at these.
    rmse: to reach, in the same unit.

  Returns:
    The number, infinite if scratch never reaches it and `n_k[0]` if it always does.
  """
  best = np.minimum.accumulate(scratch_k)
  if rmse < best[-1]:
    return float("inf")
  if rmse >= best[0]:
    return float(n_k[0])
  k = int(np.argmax(best <= rmse))
  share = np.log(best[k - 1] / rmse) / np.log(best[k - 1] / best[k])
  return float(n_k[k - 1] * (n_k[k] / n_k[k - 1]) ** share)


def _equivalent_labels(curves: _Curves, key: tuple[str, int]) -> agreement.Interval:
  n_k = np.array(sorted(n for method, n in curves if method == SCRATCH and n))
  if len(n_k) < 2:
    return agreement.NONE
  scratch = np.stack([curves[SCRATCH, n] for n in n_k], axis=1)
  labels = [equal_labels(n_k, curve, rmse) for curve, rmse in zip(scratch, curves[key], strict=True)]
  return _interval(np.array(labels))


def _gap_closed(curves: _Curves, key: tuple[str, int], baselines: Collection[str]) -> agreement.Interval:
  most = max(n for _, n in curves)
  ends = [name for name in curves if name[1] == most and name[0] not in baselines]
  if (SOURCE, 0) not in curves or not ends or not most:
    return agreement.NONE
  source, oracle = curves[SOURCE, 0], curves[min(ends, key=lambda name: curves[name][0])]
  if source[0] <= oracle[0]:
    return agreement.NONE
  with np.errstate(divide="ignore", invalid="ignore"):
    share = (source - curves[key]) / (source - oracle)
  return _interval(np.where(source > oracle, share, -np.inf))


def summarise(rows: pandas.DataFrame, baselines: Collection[str]) -> list[LabelEfficiency]:
  """Returns the equivalent labels and the gap closed of every strategy at every number of labels, and of the source network.

  Args:
    rows: a row a subject of one clinic, with those of scratch as the measure.
    baselines: methods that are no strategies.
  """
  curves = _curves(rows)
  keys = [key for key in curves if key[0] != SCRATCH and (key[0] not in baselines or key == (SOURCE, 0))]
  keys.sort(key=lambda key: key[1])
  return [LabelEfficiency(*key, _equivalent_labels(curves, key), _gap_closed(curves, key, baselines)) for key in keys]


def choices(rows: pandas.DataFrame, baselines: Collection[str]) -> Choices | None:
  """Returns the regret of `auto`, or None if it, or every other strategy, is not among the methods.

  Args:
    rows: a row a subject of one clinic.
    baselines: methods that are no strategies.
  """
  own = rows[~rows["method"].isin(list(baselines)) | rows["method"].isin((SOURCE, TARGET_FILTER))]
  rmse = own.groupby(["n_target", "seed", "method"])["rmse_mmhg"].mean().unstack("method")
  if strategy_selection.NAME not in rmse:
    return None
  if SOURCE in rmse:  # one row for all seeds
    rmse[SOURCE] = rmse[SOURCE].groupby("n_target").transform("first")
  least = rmse.drop(columns=strategy_selection.NAME).min(axis=1)
  over = (rmse[strategy_selection.NAME] / least).dropna().to_numpy(float)
  if not over.size:
    return None
  return Choices(len(over), int((over <= NEAR).sum()), float(over.mean() - 1), float(over.max() - 1))
