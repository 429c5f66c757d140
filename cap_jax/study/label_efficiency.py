"""What transfer gained: how many labels it saved, how much of a gap it closed, how near a choice came to the best.

With R(n) the mean RMSE over subjects and seeds at n labelled subjects,

    labels saved     n* such that R_scratch(n*) = R_method(n)
    gap closed       (R_source − R_method(n)) / (R_source − R_oracle),     R_oracle the least of all strategies at the largest n
    a good choice    R_chosen ≤ 1.1 min_m R_m, of one clinic, n and seed

Between the n at which scratch was measured ln R is a straight line in ln n, and what more labels made worse counts as no better. Intervals
are percentiles of a bootstrap over subjects, all methods seen by the same ones (Efron & Tibshirani 1993).
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas

from cap_jax.metrics import agreement
from cap_jax.study.methods import BASELINES
from cap_jax.train import strategy_selection

SCRATCH, SOURCE = "scratch", "source"
NEAR = 1.1
EXPLAINED = (
  "As scratch with: the number of labelled subjects with which the network from scratch has the same RMSE, on straight lines between the "
  "numbers that were tried. Gap closed: 100 % is the best strategy with most labels, 0 the source network unchanged."
)


@dataclasses.dataclass(frozen=True)
class Gain:
  """What one method gained with `n_target` labelled subjects in one clinic.

  Attributes:
    equivalent_labels: labelled subjects with which the network from scratch is as good, with its interval; infinite where it never was, the
      least that was tried where it was better from there on; NaN without scratch at two numbers of labels.
    closed: share of the gap between the source network and the oracle; NaN without one of them, or without a gap.
  """

  method: str
  n_target: int
  equivalent_labels: agreement.Interval
  closed: agreement.Interval

  @property
  def known(self) -> bool:
    """Whether there was anything to compare it with."""
    return not (np.isnan(self.equivalent_labels.mean) and np.isnan(self.closed.mean))


@dataclasses.dataclass(frozen=True)
class Choices:
  """A method that chooses, beside the best strategy of each (n_target, seed) of one clinic.

  cells, near: how many there are, and in how many its error is at most 1.1 times the least.
  excess: mean of its error over the least, less one; worst: the largest.
  """

  cells: int
  near: int
  excess: float
  worst: float


_Curves = Mapping[tuple[str, int], np.ndarray]
"""(method, n_target) → (resample,) mean RMSE, that of all subjects first."""


def _curves(rows: pandas.DataFrame) -> _Curves:
  known = rows[rows["rmse_mmhg"].notna()]
  table = known.pivot_table("rmse_mmhg", "subject", ["method", "n_target"], aggfunc="mean", sort=False).dropna()
  draws = np.random.default_rng(0).integers(len(table), size=(agreement.RESAMPLES, len(table)))
  everybody = np.arange(len(table))[None]
  people = np.concatenate([everybody, draws])
  keys = [(str(key[0]), int(key[1])) for key in table.columns]
  return {key: column[people].mean(1) for key, column in zip(keys, table.to_numpy(float).T, strict=True)}


def _interval(values: np.ndarray) -> agreement.Interval:
  # the nearest resample: between a number and infinity lies nothing
  low, high = np.quantile(values[1:], (0.025, 0.975), method="nearest")
  return agreement.Interval(float(values[0]), float(low), float(high))


def equal_labels(n_k: np.ndarray, scratch_k: np.ndarray, rmse: float) -> float:
  """The number of labels at which scratch is as good.

  Args:
    n_k: (number,) of labels, rising.
    scratch_k: (number,) its RMSE there.
    rmse: to be met, in the same unit.
  """
  best = np.minimum.accumulate(scratch_k)
  if rmse < best[-1]:
    return float("inf")
  if rmse >= best[0]:
    return float(n_k[0])
  k = int(np.argmax(best <= rmse))
  share = np.log(best[k - 1] / rmse) / np.log(best[k - 1] / best[k])
  return float(n_k[k - 1] * (n_k[k] / n_k[k - 1]) ** share)


def _as_scratch(curves: _Curves, key: tuple[str, int]) -> agreement.Interval:
  n_k = np.array(sorted(n for method, n in curves if method == SCRATCH and n))
  if len(n_k) < 2:
    return agreement.NONE
  scratch = np.stack([curves[SCRATCH, n] for n in n_k], axis=1)
  found = [equal_labels(n_k, curve, rmse) for curve, rmse in zip(scratch, curves[key], strict=True)]
  return _interval(np.array(found))


def _closed(curves: _Curves, key: tuple[str, int]) -> agreement.Interval:
  most = max(n for _, n in curves)
  ends = [name for name in curves if name[1] == most and name[0] not in BASELINES]
  if (SOURCE, 0) not in curves or not ends or not most:
    return agreement.NONE
  source, oracle = curves[SOURCE, 0], curves[min(ends, key=lambda name: curves[name][0])]
  if source[0] <= oracle[0]:
    return agreement.NONE
  with np.errstate(divide="ignore", invalid="ignore"):
    share = (source - curves[key]) / (source - oracle)
  return _interval(np.where(source > oracle, share, -np.inf))


def gains(rows: pandas.DataFrame) -> list[Gain]:
  """Of every strategy at every number of labels, and of the source network; scratch itself is the measure.

  Args:
    rows: of one clinic.
  """
  curves = _curves(rows)
  keys = [key for key in curves if key[0] != SCRATCH and (key[0] not in BASELINES or key == (SOURCE, 0))]
  keys.sort(key=lambda key: key[1])
  return [Gain(*key, _as_scratch(curves, key), _closed(curves, key)) for key in keys]


def choices(rows: pandas.DataFrame) -> Choices | None:
  """How near `auto` comes to the best strategy; None where it, or every other, is not among the methods.

  Args:
    rows: of one clinic.
  """
  own = rows[~rows["method"].isin(BASELINES) | (rows["method"] == SOURCE)]
  rmse = own.groupby(["n_target", "seed", "method"])["rmse_mmhg"].mean().unstack("method")
  if strategy_selection.NAME not in rmse:
    return None
  if SOURCE in rmse:  # one for all seeds
    rmse[SOURCE] = rmse[SOURCE].groupby("n_target").transform("first")
  least = rmse.drop(columns=strategy_selection.NAME).min(axis=1)
  over = (rmse[strategy_selection.NAME] / least).dropna().to_numpy(float)
  if not over.size:
    return None
  return Choices(len(over), int((over <= NEAR).sum()), float(over.mean() - 1), float(over.max() - 1))
