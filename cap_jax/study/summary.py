"""A study's rows as a table: a line per clinic, method and number of labels.

What is never negative, as an RMSE, is the mean over seeds for each subject, who counts once. Signed errors are not averaged over seeds
before their spread is taken: that would evaluate an ensemble of networks, which nobody ran.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas

from cap_jax.haemodynamics import indices
from cap_jax.inference import uncertainty
from cap_jax.metrics import agreement, standards, waveform_metrics
from cap_jax.study.methods import BASELINES

_NOTHING = 1e-6  # mmHg: what rounding leaves of no difference when seeds are averaged


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
  """One method at one number of labels in one clinic.

  Attributes:
    subjects, seeds: how many.
    rmse: of the waveform, mean over subjects with its bootstrap interval [mmHg]; NaN of a method without a wave.
    lag_free_mmhg, nrmse_percent, r: means over subjects.
    error: quantity of `errors.PRESSURES` and `errors.SHAPES` → mean and SD over subjects and seeds.
    against: the method that it is compared with: scratch at the same labels, the unchanged source without; "" for none.
    difference: RMSE less that of `against`, subject by subject, at the seeds where both came to an end; p of it, adjusted by Holm
      over the clinic's comparisons.
    steps_to_scratch, s_to_scratch: training until the validation RMSE was as good as the best of scratch, NaN where it was not
      with every seed.
    held: what prediction intervals held, means over subjects; NaN without intervals.
    cells, diverged: how many, and of how many the training came to no end.
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
  held: uncertainty.Coverage
  cells: int
  diverged: int
  against: str = ""
  difference: agreement.Interval = agreement.NONE
  p: float = float("nan")

  @property
  def harm(self) -> str:
    """Negative transfer: "certain" where the interval of the difference lies above zero, or no training came to an end; "likely"
    where only its mean does, or a training diverged. Of strategies alone."""
    if not self.against or self.method in BASELINES:
      return ""
    if self.difference.low > _NOTHING or self.diverged == self.cells:
      return "certain"
    return "likely" if self.difference.mean > _NOTHING or self.diverged else ""


def frame(rows: Sequence[Mapping[str, object]]) -> pandas.DataFrame:
  """Rows of a study as a frame."""
  return pandas.DataFrame.from_records(list(rows))


def of_subjects(part: pandas.DataFrame) -> pandas.DataFrame:
  """One row a subject: means over seeds and folds."""
  return part.drop(columns=["scenario", "method"]).groupby("subject", sort=False).mean(numeric_only=True)


def of_seeds(part: pandas.DataFrame) -> list[pandas.DataFrame]:
  """The subjects of each seed whose training came to an end."""
  ended = part[part["diverged"] == 0]
  return [of_subjects(drawn) for _, drawn in ended.groupby("seed", sort=False)]


def limits(part: pandas.DataFrame, quantity: str) -> agreement.BlandAltman | None:
  """Bland and Altman's agreement of a method's pressure; None of fewer than three subjects."""
  found = []
  for people in of_seeds(part):
    true, error, within = (people[f"{quantity}{end}_mmhg"].to_numpy(float) for end in ("_true", "_error", "_error_sd"))
    if (np.isfinite(error) & np.isfinite(true)).sum() >= 3:
      found.append(agreement.bland_altman(true, error, within, people["beats"].to_numpy(float)))
  return agreement.over_draws(found) if found else None


def readings(part: pandas.DataFrame, quantity: str) -> standards.Readings | None:
  """The errors of a method's pressure as validation standards ask for them; None of fewer than three subjects."""
  found, people = limits(part, quantity), of_subjects(part)
  if found is None:
    return None
  errors_of = part[f"{quantity}_error_mmhg"].to_numpy(float)
  shares = tuple(
    100 * float(people[f"{quantity}_frac_within_{limit}mmhg"].mean()) for limit in waveform_metrics.SHARES_MMHG
  )
  true = people[f"{quantity}_true_mmhg"][people[f"{quantity}_error_mmhg"].notna()].to_numpy(float)
  mad = float(people[f"{quantity}_mae_mmhg"].mean())
  return standards.Readings(
    true_s=true, bias=found.bias, sd=found.sd, sd_of_subjects=agreement.spread(errors_of)[1], shares=shares, mad=mad
  )


def _line(part: pandas.DataFrame, scenario: str, n_target: int, method: str) -> Line:
  people = of_subjects(part)
  cells = part.drop_duplicates(["seed", "fold"])

  def mean(name: str) -> float:
    return float(people[name].mean())

  quantities = {
    name: agreement.spread(part[f"{name}_error{indices.ending(name)}"].to_numpy(float))
    for name in (*waveform_metrics.PRESSURES, *waveform_metrics.SHAPES)
  }
  return Line(
    scenario=scenario,
    method=method,
    n_target=n_target,
    subjects=len(people),
    seeds=part["seed"].nunique(),
    rmse=agreement.interval(people["rmse_mmhg"].to_numpy(float)),
    lag_free_mmhg=mean("rmse_lag_free_mmhg"),
    nrmse_percent=mean("nrmse_percent"),
    r=mean("r"),
    error=quantities,
    train_s=float(cells.loc[cells["diverged"] == 0, "train_s"].mean()),
    steps=int(cells["steps"].max()),
    settings=int(cells["settings"].iloc[0]),
    steps_to_scratch=float(cells["steps_to_scratch"].mean(skipna=False)),
    s_to_scratch=float(cells["s_to_scratch"].mean(skipna=False)),
    held=uncertainty.Coverage(
      mean("wave_covered"),
      mean("csbp_covered"),
      mean("half_width_mmhg"),
      mean("csbp_half_width_mmhg"),
      mean("ood_fraction"),
    ),
    cells=len(cells),
    diverged=int(cells["diverged"].sum()),
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
    if other in own and other != key and not _bound(key[2]) and (np.isfinite(own[key].rmse.mean) or own[key].diverged):
      pairs[key] = agreement.paired(*_both(parts[key], parts[other]))
  p = dict(zip(pairs, agreement.holm([pair.p for pair in pairs.values()]).tolist(), strict=True))
  return [
    dataclasses.replace(line, against="scratch" if key[1] else "source", difference=pairs[key].difference, p=p[key])
    if key in pairs
    else line
    for key, line in own.items()
  ]


@dataclasses.dataclass(frozen=True)
class Contrast:
  """A strategy against a baseline in one clinic: RMSE less that of the baseline, subject by subject, and p adjusted by Holm over all
  such pairs of the clinic."""

  method: str
  against: str
  difference: agreement.Interval
  p: float


def contrasts(rows: pandas.DataFrame) -> list[Contrast]:
  """Every strategy against every baseline that gives a wave and is no bound, both at the number of labels that they have in the rows
  of one clinic."""
  parts = {
    str(name): part
    for name, part in rows.groupby("method", sort=False)
    if part["rmse_mmhg"].notna().any() and not _bound(str(name))
  }
  pairs = {
    (name, other): agreement.paired(*_both(parts[name], parts[other]))
    for name in parts
    for other in parts
    if name not in BASELINES and other in BASELINES
  }
  p = agreement.holm([pair.p for pair in pairs.values()]).tolist()
  return [Contrast(*key, pair.difference, one) for (key, pair), one in zip(pairs.items(), p, strict=True)]


def _bound(method: str) -> bool:
  """Whether it knows something of the test subjects' own aortic waves."""
  return method in BASELINES and bool(BASELINES[method].knows)


def _both(mine: pandas.DataFrame, theirs: pandas.DataFrame) -> tuple[np.ndarray, np.ndarray]:
  """(subject,) RMSE of two methods, at the folds, and where both use labels at the seeds, where both came to an end; what no seed
  changes stands for all of them."""
  a, b = (part[part["rmse_mmhg"].notna()] for part in (mine, theirs))
  drawn = (mine["n_target"] > 0).all() and (theirs["n_target"] > 0).all()
  cells = ["fold", "seed"] if drawn else ["fold"]
  first_of, second_of = (part.set_index(cells).index for part in (a, b))
  a, b = a[first_of.isin(second_of)], b[second_of.isin(first_of)]
  first, second = (of_subjects(part)["rmse_mmhg"] for part in (a, b))
  first, second = first.align(second, join="inner")
  return first.to_numpy(float), second.to_numpy(float)
