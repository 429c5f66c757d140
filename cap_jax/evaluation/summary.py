"""A study's rows as a table: a line per clinic, method and number of labels, each subject counted once over seeds and folds."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas

from cap_jax.evaluation import agreement, errors, indices
from cap_jax.evaluation.methods import BASELINES


@dataclasses.dataclass(frozen=True)
class Line:
  """One method at one number of labels in one clinic.

  Attributes:
    subjects, seeds: how many.
    rmse: of the waveform, mean over subjects with its bootstrap interval [mmHg]; NaN of a method without a wave.
    lag_free_mmhg, nrmse_percent, r: means over subjects.
    error: quantity of `errors.PRESSURES` and `errors.SHAPES` → mean and SD over subjects.
    against: the method that it is compared with: scratch at the same labels, the unchanged source without; "" for none.
    difference: RMSE less that of `against`, subject by subject; p of it, adjusted by Holm over the clinic's comparisons.
    steps_to_scratch, s_to_scratch: training until the validation RMSE was as good as the best of scratch, NaN where it was not
      with every seed.
    covered: mean over subjects of the shares that prediction intervals held, of the wave and of cSBP; half the width of the wave's
      interval [mmHg]; share of windows unlike the training. NaN without intervals.
    diverged: cells whose training came to no end.
  """

  scenario: str
  method: str
  n_target: int
  subjects: int
  seeds: int
  rmse: agreement.Interval
  lag_free_mmhg: float
  nrmse_percent: float
  r: float
  error: Mapping[str, tuple[float, float]]
  train_s: float
  steps: int
  settings: int
  steps_to_scratch: float
  s_to_scratch: float
  covered: tuple[float, float, float, float]
  diverged: int
  against: str = ""
  difference: agreement.Interval = agreement.NONE
  p: float = float("nan")

  @property
  def harm(self) -> str:
    """Negative transfer: "certain" where the interval of the difference lies above zero, "likely" where only its mean does. Of
    strategies alone."""
    if not self.against or self.method in BASELINES or not self.difference.mean > 0:
      return ""
    return "certain" if self.difference.low > 0 else "likely"


def frame(rows: Sequence[Mapping[str, object]]) -> pandas.DataFrame:
  """Rows of a study as a frame."""
  return pandas.DataFrame.from_records(list(rows))


def of_subjects(part: pandas.DataFrame) -> pandas.DataFrame:
  """One row a subject: means over seeds and folds."""
  return part.drop(columns=["scenario", "method"]).groupby("subject", sort=False).mean(numeric_only=True)


def _line(part: pandas.DataFrame, scenario: str, n_target: int, method: str) -> Line:
  people = of_subjects(part)
  cells = part.drop_duplicates(["seed", "fold"])

  def mean(name: str) -> float:
    return float(people[name].mean())

  quantities = {
    name: agreement.over_subjects(people[f"{name}_error{indices.ending(name)}"].to_numpy(float))
    for name in (*errors.PRESSURES, *errors.SHAPES)
  }
  return Line(
    scenario,
    method,
    n_target,
    len(people),
    part["seed"].nunique(),
    agreement.interval(people["rmse_mmhg"].to_numpy(float)),
    mean("rmse_lag_free_mmhg"),
    mean("nrmse_percent"),
    mean("r"),
    quantities,
    float(cells["train_s"].mean()),
    int(cells["steps"].iloc[0]),
    int(cells["settings"].iloc[0]),
    float(cells["steps_to_scratch"].mean(skipna=False)),
    float(cells["s_to_scratch"].mean(skipna=False)),
    (mean("wave_covered"), mean("csbp_covered"), mean("half_width_mmhg"), mean("unseen")),
    int(cells["csbp_error_mmhg"].isna().sum()),
  )


def summarise(rows: pandas.DataFrame) -> list[Line]:
  """Lines by clinic, number of labels and method, in the order in which they first appear."""
  if rows.empty:
    return []
  order = {name: list(dict.fromkeys(rows[name])) for name in ("scenario", "method")}
  parts = {
    (scenario, n_target, method): part
    for scenario in order["scenario"]
    for n_target in sorted(set(rows["n_target"]))
    for method in order["method"]
    if len(part := rows[(rows["scenario"] == scenario) & (rows["n_target"] == n_target) & (rows["method"] == method)])
  }
  lines = {key: _line(part, *key) for key, part in parts.items()}
  return [line for scenario in order["scenario"] for line in _compared(scenario, lines, parts)]


def _compared(
  scenario: str, lines: Mapping[tuple[str, int, str], Line], parts: Mapping[tuple[str, int, str], pandas.DataFrame]
) -> list[Line]:
  """The lines of one clinic, each compared with what it has to beat."""
  own = {key: line for key, line in lines.items() if key[0] == scenario}
  pairs = {}
  for key in own:
    other = (scenario, key[1], "scratch" if key[1] else "source")
    if other in own and other != key and np.isfinite(own[key].rmse.mean):
      mine, theirs = (of_subjects(parts[k])["rmse_mmhg"] for k in (key, other))
      mine, theirs = mine.align(theirs, join="inner")
      pairs[key] = agreement.paired(mine.to_numpy(float), theirs.to_numpy(float))
  p = dict(zip(pairs, agreement.holm([pair.p for pair in pairs.values()]).tolist(), strict=True))
  return [
    dataclasses.replace(line, against="scratch" if key[1] else "source", difference=pairs[key].difference, p=p[key])
    if key in pairs
    else line
    for key, line in own.items()
  ]
