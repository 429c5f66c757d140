"""Summary of a study's rows: one line per clinic, method and number of labels.

Non-negative quantities such as the RMSE are averaged over seeds for each subject, so that a subject counts once. Signed errors are not
averaged over seeds before their spread is computed, since that would evaluate an ensemble of networks.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas

from cap_jax.haemodynamics import indices
from cap_jax.inference import uncertainty
from cap_jax.metrics import agreement, standards, waveform_metrics
from cap_jax.study.methods import BASELINES

_ROUNDING_MMHG = 1e-6  # rounding error of a zero difference when seeds are averaged


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodSummary:
  """One method at one number of labels in one clinic.

  Attributes:
    subjects, seeds: their numbers.
    rmse: of the waveform, mean over subjects with its bootstrap interval [mmHg]; NaN for a method without a wave.
    lag_free_mmhg, nrmse_percent, r: means over subjects.
    error: quantity of `waveform_metrics.PRESSURES` and `SHAPES` → mean and SD over subjects and seeds.
    defined: quantity → number of subjects in whose true and reconstructed waves it is defined.
    train_s, steps, settings: mean seconds of training, its steps, and the number of settings that were tried.
    steps_to_scratch, s_to_scratch: mean steps and seconds of training until the validation RMSE was as good as the best of scratch.
      They are NaN if a seed never was.
    coverage: interval coverage, means over subjects; NaN without intervals.
    cell_count, diverged: numbers of cells, and of those whose training diverged.
    against: the method of the comparison: scratch at the same labels, or the unchanged source without labels; "" for none.
    difference: RMSE minus that of `against`, paired by subject, over the seeds where neither diverged.
    p: of the difference, adjusted by Holm over the clinic's comparisons.
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
  defined: Mapping[str, int]
  train_s: float
  steps: int
  settings: int
  steps_to_scratch: float
  s_to_scratch: float
  coverage: uncertainty.Coverage
  cell_count: int
  diverged: int
  against: str = ""
  difference: agreement.Interval = agreement.NONE
  p: float = float("nan")

  @property
  def harm(self) -> str:
    """Negative transfer of a strategy, "" for none or for a baseline.

    It is "certain" if the interval of the difference lies above zero or all trainings diverged. It is "likely" if only the mean
    lies above zero or a training diverged.
    """
    if not self.against or self.method in BASELINES:
      return ""
    if self.difference.low > _ROUNDING_MMHG or self.diverged == self.cell_count:
      return "certain"
    return "likely" if self.difference.mean > _ROUNDING_MMHG or self.diverged else ""


def frame(rows: Sequence[Mapping[str, object]]) -> pandas.DataFrame:
  """Converts rows of a study to a frame."""
  return pandas.DataFrame.from_records(list(rows))


def of_subjects(part: pandas.DataFrame) -> pandas.DataFrame:
  """Returns one row per subject, as means over seeds and folds."""
  return part.drop(columns=["scenario", "method"]).groupby("subject", sort=False).mean(numeric_only=True)


def of_seeds(part: pandas.DataFrame) -> list[pandas.DataFrame]:
  """Returns the subjects of each seed, without diverged trainings."""
  ended = part[part["diverged"] == 0]
  return [of_subjects(drawn) for _, drawn in ended.groupby("seed", sort=False)]


def limits(part: pandas.DataFrame, quantity: str) -> agreement.BlandAltman | None:
  """Computes the Bland-Altman agreement of a method's pressure.

  Args:
    part: rows of one method and number of labels.
    quantity: one of `waveform_metrics.PRESSURES`.

  Returns:
    The agreement, None for fewer than three subjects.
  """
  agreements = []
  for people in of_seeds(part):
    true, error, within = (people[f"{quantity}{end}_mmhg"].to_numpy(float) for end in ("_true", "_error", "_error_sd"))
    if (np.isfinite(error) & np.isfinite(true)).sum() >= 3:
      agreements.append(agreement.bland_altman(true, error, within, people["beats"].to_numpy(float)))
  return agreement.over_draws(agreements) if agreements else None


def readings(part: pandas.DataFrame, quantity: str) -> standards.Readings | None:
  """Returns the errors of a method's pressure in the form that validation standards need.

  Args:
    part: rows of one method and number of labels.
    quantity: one of `waveform_metrics.STANDARDISED`.

  Returns:
    The errors, None for fewer than three subjects.
  """
  agreement_limits, people = limits(part, quantity), of_subjects(part)
  if agreement_limits is None:
    return None
  errors_of = part[f"{quantity}_error_mmhg"].to_numpy(float)
  percent_within = tuple(
    100 * float(people[f"{quantity}_frac_within_{limit}mmhg"].mean()) for limit in waveform_metrics.SHARES_MMHG
  )
  true = people[f"{quantity}_true_mmhg"][people[f"{quantity}_error_mmhg"].notna()].to_numpy(float)
  mad = float(people[f"{quantity}_mae_mmhg"].mean())
  return standards.Readings(
    true_s=true,
    bias=agreement_limits.bias,
    sd=agreement_limits.sd,
    sd_of_subjects=agreement.spread(errors_of)[1],
    percent_within=percent_within,
    mad=mad,
  )


def _summarise_cell(part: pandas.DataFrame, scenario: str, n_target: int, method: str) -> MethodSummary:
  """Summarises one method at one number of labels, without its comparison."""
  people = of_subjects(part)
  cells = part.drop_duplicates(["seed", "fold"])

  def mean(name: str) -> float:
    return float(people[name].mean())

  columns = {
    name: f"{name}_error{indices.ending(name)}" for name in (*waveform_metrics.PRESSURES, *waveform_metrics.SHAPES)
  }
  return MethodSummary(
    scenario=scenario,
    method=method,
    n_target=n_target,
    subjects=len(people),
    seeds=part["seed"].nunique(),
    rmse=agreement.interval(people["rmse_mmhg"].to_numpy(float)),
    lag_free_mmhg=mean("rmse_lag_free_mmhg"),
    nrmse_percent=mean("nrmse_percent"),
    r=mean("r"),
    error={name: agreement.spread(part[column].to_numpy(float)) for name, column in columns.items()},
    defined={name: int(people[column].notna().sum()) for name, column in columns.items()},
    train_s=float(cells.loc[cells["diverged"] == 0, "train_s"].mean()),
    steps=int(cells["steps"].max()),
    settings=int(cells["settings"].iloc[0]),
    steps_to_scratch=float(cells["steps_to_scratch"].mean(skipna=False)),
    s_to_scratch=float(cells["s_to_scratch"].mean(skipna=False)),
    coverage=uncertainty.Coverage(
      mean("wave_covered"),
      mean("csbp_covered"),
      mean("half_width_mmhg"),
      mean("csbp_half_width_mmhg"),
      mean("ood_fraction"),
    ),
    cell_count=len(cells),
    diverged=int(cells["diverged"].sum()),
  )


def summarise(rows: pandas.DataFrame) -> list[MethodSummary]:
  """Returns the lines by clinic, number of labels and method, with clinics and methods in the order of the rows."""
  if rows.empty:
    return []
  order = {name: list(dict.fromkeys(rows[name])) for name in ("scenario", "method")}
  rows_by_key = {
    (scenario, n_target, method): part
    for scenario in order["scenario"]
    for n_target in sorted(set(rows["n_target"]))
    for method in order["method"]
    if len(part := rows[(rows["scenario"] == scenario) & (rows["n_target"] == n_target) & (rows["method"] == method)])
  }
  summaries = {key: _summarise_cell(part, *key) for key, part in rows_by_key.items()}
  return [result for scenario in order["scenario"] for result in _compare(scenario, summaries, rows_by_key)]


def _compare(
  scenario: str,
  summaries: Mapping[tuple[str, int, str], MethodSummary],
  rows_by_key: Mapping[tuple[str, int, str], pandas.DataFrame],
) -> list[MethodSummary]:
  """Compares each line of one clinic with scratch, or with the source network without labels."""
  own = {key: result for key, result in summaries.items() if key[0] == scenario}
  pairs = {}
  for key in own:
    other = (scenario, key[1], "scratch" if key[1] else "source")
    if (
      other in own and other != key and not _is_bound(key[2]) and (np.isfinite(own[key].rmse.mean) or own[key].diverged)
    ):
      pairs[key] = agreement.paired(*_paired_rmse(rows_by_key[key], rows_by_key[other]))
  p = dict(zip(pairs, agreement.holm([pair.p for pair in pairs.values()]).tolist(), strict=True))
  return [
    dataclasses.replace(result, against="scratch" if key[1] else "source", difference=pairs[key].difference, p=p[key])
    if key in pairs
    else result
    for key, result in own.items()
  ]


@dataclasses.dataclass(frozen=True)
class Contrast:
  """Comparison of a strategy with a baseline in one clinic.

  Attributes:
    method, against: the strategy and the baseline.
    difference: RMSE minus that of the baseline, paired by subject.
    p: of the difference, adjusted by Holm over all such pairs of the clinic.
  """

  method: str
  against: str
  difference: agreement.Interval
  p: float


def contrasts(rows: pandas.DataFrame) -> list[Contrast]:
  """Compares every strategy with every baseline that reconstructs a wave and is no bound.

  Args:
    rows: of one clinic, with one number of labels for each method.
  """
  rows_by_key = {
    str(name): part
    for name, part in rows.groupby("method", sort=False)
    if part["rmse_mmhg"].notna().any() and not _is_bound(str(name))
  }
  pairs = {
    (name, other): agreement.paired(*_paired_rmse(rows_by_key[name], rows_by_key[other]))
    for name in rows_by_key
    for other in rows_by_key
    if name not in BASELINES and other in BASELINES
  }
  p = agreement.holm([pair.p for pair in pairs.values()]).tolist()
  return [Contrast(*key, pair.difference, one) for (key, pair), one in zip(pairs.items(), p, strict=True)]


def _is_bound(method: str) -> bool:
  """Returns whether a method uses the test subjects' own aortic waves."""
  return method in BASELINES and bool(BASELINES[method].uses_of_reference)


def _paired_rmse(mine: pandas.DataFrame, theirs: pandas.DataFrame) -> tuple[np.ndarray, np.ndarray]:
  """Returns the RMSE (subject,) of two methods over the cells in which neither diverged.

  Cells are matched by fold, and by seed if both methods use labels. Otherwise one method is the same for all seeds.
  """
  a, b = (part[part["rmse_mmhg"].notna()] for part in (mine, theirs))
  drawn = (mine["n_target"] > 0).all() and (theirs["n_target"] > 0).all()
  cells = ["fold", "seed"] if drawn else ["fold"]
  first_of, second_of = (part.set_index(cells).index for part in (a, b))
  a, b = a[first_of.isin(second_of)], b[second_of.isin(first_of)]
  first, second = (of_subjects(part)["rmse_mmhg"] for part in (a, b))
  first, second = first.align(second, join="inner")
  return first.to_numpy(float), second.to_numpy(float)
