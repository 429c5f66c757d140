"""The tables of a study."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas

from cap_jax.metrics import agreement, standards, waveform_metrics
from cap_jax.report.tables import Table, label
from cap_jax.study import methods, study_config, summary
from cap_jax.study.summary import Line

_MARK = {"": "", "likely": " △", "certain": " ▲"}
_NAMES = {"csbp": "cSBP", "cdbp": "cDBP", "cpp": "cPP", "map": "MAP"}
_SHAPES = {"aix": ("AIx", "% points", 1), "form_factor": ("form factor", "", 3), "ejection": ("ejection", "ms", 0)}
_SHAPES |= {"sevr": ("SEVR", "% points", 1)}
_STRATIFIED = {"age": "age [years]", "hr_bpm": "heart rate [bpm]", "amplification": "amplification"}
EXPLAINED = (
  "Errors in mmHg, estimated minus true: RMSE of the waveform per subject, then the mean over subjects, with its 95 % bootstrap "
  "interval over subjects; pressures per beat, mean ± SD over subjects and seeds. A lag-free RMSE is taken after the best common shift. Labels: "
  "labelled target subjects. Less: RMSE less that of scratch with the same labels, or of the unchanged source network without labels, "
  "subject by subject, with its interval and p of Wilcoxon's test by Holm. Negative transfer, a strategy worse than that, is red: ▲ "
  "where the interval lies above zero, △ where only the mean does. Budget: settings tried on validation subjects × steps of training. "
  "As scratch after: steps of training, and seconds, until the RMSE on validation subjects was as good as the best that the network "
  "from scratch had there with the same labels; empty where it never was. † knows the true MAP and DBP of each test subject: a bound, "
  "no method."
)


def number(value: float, digits: int = 2) -> str:
  """A number for readers, nothing for NaN."""
  return "" if np.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}"


def width(half_mmhg: float) -> str:
  """Half the width of an interval; "none" of one without end, nothing of what was never calibrated."""
  return "none" if np.isinf(half_mmhg) else number(half_mmhg)


def _spread(pair: tuple[float, float], digits: int = 1) -> str:
  mean, sd = pair
  said = "" if np.isnan(mean) else f"{round(mean, digits) + 0.0:+.{digits}f}"
  return said if np.isnan(sd) else f"{said} ± {sd:.{digits}f}"


def _between(found: agreement.Interval, sign: str = "") -> str:
  if np.isnan(found.low):
    return ""
  return f"{round(found.low, 2) + 0.0:{sign}.2f} to {round(found.high, 2) + 0.0:{sign}.2f}"


def _p(value: float) -> str:
  return "" if np.isnan(value) else ("< 0.001" if value < 0.001 else f"{value:.3f}")


def budget(line: Line) -> str:
  """Settings tried × steps."""
  return f"{line.settings} × {line.steps}" if line.steps else (f"{line.settings}" if line.settings > 1 else "")


def main(lines: Sequence[Line]) -> Table:
  """All methods of one clinic."""
  header = (
    "method", "labels", "seeds", "RMSE", "95 %", "lag-free", "cSBP error", "cDBP error", "cPP error", "MAP error", "less",
    "95 % of it", "p", "budget", "train s", "as scratch after", "s",
  )  # fmt: skip
  rows = [
    (
      label(line.method) + _MARK[line.harm] + (f" ({line.diverged} diverged)" if line.diverged else ""),
      str(line.n_target),
      str(line.seeds),
      number(line.rmse.mean),
      _between(line.rmse),
      number(line.lag_free_mmhg),
      *(_spread(line.error[name]) for name in waveform_metrics.PRESSURES),
      "" if np.isnan(line.difference.mean) else f"{round(line.difference.mean, 2) + 0.0:+.2f}",
      _between(line.difference, "+"),
      _p(line.p),
      budget(line),
      number(line.train_s, 1),
      number(line.steps_to_scratch, 0),
      number(line.s_to_scratch, 1),
    )
    for line in lines
  ]
  return Table(header, rows, 1, [line.harm for line in lines], "All methods; errors in mmHg")


def short(lines: Sequence[Line]) -> Table:
  """What fits a terminal."""
  whole = main(lines)
  kept = (
    "method", "labels", "RMSE", "95 %", "cSBP error", "cDBP error", "cPP error", "less", "budget", "train s",
    "as scratch after", "s",
  )  # fmt: skip
  columns = [whole.header.index(name) for name in kept]
  return Table(kept, [tuple(row[k] for k in columns) for row in whole.rows], 1, whole.marks, whole.caption)


def _marked(line: Line) -> str:
  """RMSE with the sign of a negative transfer."""
  return (number(line.rmse.mean) or "diverged") + _MARK[line.harm]


def clinics(lines: Sequence[Line], focus: int) -> Table:
  """The waveform RMSE of every method in every clinic, without labels or with `focus` labelled subjects."""
  scenarios = list(dict.fromkeys(line.scenario for line in lines))
  found = {(x.method, x.n_target, x.scenario): x for x in lines if np.isfinite(x.rmse.mean) or x.diverged}
  rows = []
  for method, n_target in dict.fromkeys((method, n) for method, n, _ in found if n in (0, focus)):
    own = [found.get((method, n_target, scenario)) for scenario in scenarios]
    rows.append((label(method), str(n_target), *("" if line is None else _marked(line) for line in own)))
  rows.sort(key=lambda row: int(row[1]))
  labels = f"without labels or with {focus}" if focus else "without labels"
  caption = f"Waveform RMSE [mmHg] in each target clinic, {labels}; ▲ △: negative transfer"
  return Table(("method", "labels", *scenarios), rows, 1, caption=caption)


def shapes(lines: Sequence[Line]) -> Table:
  """Errors of the wave's shape, of the mean beat of each subject."""
  named = (f"{name} [{unit}]" if unit else name for name, unit, _ in _SHAPES.values())
  header = ("method", "labels", "NRMSE/PP [%]", "r", *named)
  rows = [
    (
      label(line.method),
      str(line.n_target),
      number(line.nrmse_percent, 1),
      number(line.r, 4),
      *(_spread(line.error[name], digits) for name, (_, _, digits) in _SHAPES.items()),
    )
    for line in lines
    if np.isfinite(line.rmse.mean)
  ]
  return Table(
    header, rows, 1, caption="Errors of indices of the mean beat, estimated minus true, mean ± SD over subjects"
  )


def intervals(lines: Sequence[Line]) -> Table:
  """What the prediction intervals hold."""
  header = (
    "method",
    "labels",
    "wave held [%]",
    "wave ± [mmHg]",
    "cSBP held [%]",
    "cSBP ± [mmHg]",
    "windows out of distribution [%]",
  )
  rows = []
  for line in lines:
    held = line.held
    if not np.isnan(held.half_width_mmhg):
      wave, csbp = (number(100 * share, 1) for share in (held.wave, held.csbp))
      widths = (width(half) for half in (held.half_width_mmhg, held.csbp_half_width_mmhg))
      shares = itertools.chain(*zip((wave, csbp), widths, strict=True))
      rows.append((label(line.method), str(line.n_target), *shares, number(100 * held.ood_fraction, 0)))
  caption = (
    "Prediction intervals of 90 %, split-conformal over subjects: calibrated on validation subjects of the target, of the source "
    "where no target label is used; none: they need nine such subjects"
  )
  return Table(header, rows, 1, caption=caption)


Shown = Mapping[str, pandas.DataFrame]
"""Method → rows of one clinic at one number of labels."""


def agreements(shown: Shown) -> Table:
  """Limits of agreement with repeated measures, proportional bias, ICC and r."""
  header = (
    "method",
    "pressure",
    "bias",
    "95 % of it",
    "limits of agreement",
    "SD between",
    "SD within",
    "slope",
    "p",
    "ICC",
    "r",
  )
  rows = []
  for method, part in shown.items():
    for name in ("csbp", "cdbp", "cpp"):
      found = summary.limits(part, name)
      if found is None:
        continue
      low, high = found.limits
      drawn = [
        (p[f"{name}_true_mmhg"].to_numpy(float), p[f"{name}_error_mmhg"].to_numpy(float))
        for p in summary.of_seeds(part)
      ]
      error = summary.of_subjects(part)[f"{name}_error_mmhg"].to_numpy(float)
      rows.append(
        (
          label(method),
          _NAMES[name],
          f"{found.bias:+.2f}",
          _between(agreement.interval(error), "+"),
          f"{low:+.1f} to {high:+.1f}",
          f"{found.between:.2f}",
          f"{found.within:.2f}",
          f"{found.slope:+.3f}" if np.isfinite(found.slope) else "",
          _p(found.slope_p),
          number(float(np.mean([agreement.icc(true + d, true) for true, d in drawn])), 3),
          number(float(np.mean([agreement.pearson(true + d, true) for true, d in drawn])), 3),
        )
      )
  caption = (
    "Bland–Altman with repeated measures [mmHg], of one training: seeds are a part of the SD between; slope of differences on means; "
    "ICC and r are means over seeds"
  )
  return Table(header, rows, 0, caption=caption)


def _verdicts(shown: Shown, reference: standards.Reference) -> Iterator[tuple[str, str, standards.Verdict]]:
  """Method, pressure and verdict."""
  for method, part in shown.items():
    for name in waveform_metrics.STANDARDISED:
      readings = summary.readings(part, name)
      knows = methods.BASELINES[method].knows if method in methods.BASELINES else ""
      for found in standards.evaluate(name, readings, reference, knows) if readings else ():
        yield method, name, found


def all_verdicts(shown: Shown, reference: standards.Reference) -> list[standards.Verdict]:
  """What each standard says of each method."""
  return [verdict for _, _, verdict in _verdicts(shown, reference)]


def verdicts(shown: Shown, reference: standards.Reference) -> Table:
  """The standards, with the preconditions that are not met."""
  header = (
    "method", "pressure", "standard", "claim type", "calibration", "figures", "the figures alone", "what may be said",
  )  # fmt: skip
  rows = [
    (
      label(method),
      _NAMES[name],
      found.standard,
      reference.claim_type,
      reference.calibration,
      found.figures,
      found.alone,
      found.claim,
    )
    for method, name, found in _verdicts(shown, reference)
  ]
  caption = (
    "Validation standards: what they ask for, and what may be said. Type II: of the absolute central pressure; calibration: of the "
    "peripheral waves"
  )
  return Table(header, rows, 1, caption=caption)


def contrasts(shown: Shown) -> Table:
  """Each strategy less each baseline."""
  found = summary.contrasts(pandas.concat(shown.values())) if shown else []
  pairs = {(one.against, one.method): one for one in found}
  strategies = list(dict.fromkeys(one.method for one in found))
  rows = [
    (label(against), *(_contrast(pairs[against, name]) for name in strategies))
    for against in dict.fromkeys(one.against for one in found)
  ]
  caption = (
    "Each strategy's RMSE less that of each baseline, subject by subject [mmHg]; * p < 0.05 by Wilcoxon's test, adjusted by Holm over "
    "the table; ▲ the baseline is better, and the 95 % interval of the difference lies above zero; △ only the mean does"
  )
  return Table(("baseline", *map(label, strategies)), rows, caption=caption)


def _contrast(found: summary.Contrast) -> str:
  mean = found.difference.mean
  if np.isnan(mean):
    return ""
  worse = " ▲" if found.difference.low > 0 else (" △" if mean > 0 else "")
  return f"{round(mean, 2) + 0.0:+.2f}{'*' if found.p < 0.05 else ''}{worse}"


def strata(shown: Shown) -> Table:
  """RMSE and cSBP error by age, heart rate and amplification."""
  header = ("method", "stratum", "subjects", "RMSE", "95 %", "cSBP error")
  rows = []
  everybody = summary.of_subjects(pandas.concat(shown.values())) if shown else pandas.DataFrame()
  for covariate, title in _STRATIFIED.items() if shown else ():
    found = agreement.strata(covariate, everybody[covariate].to_numpy(float))
    for method, part in shown.items():
      people = summary.of_subjects(part)
      values = people[covariate].to_numpy(float)
      for stratum in found:
        own = people[stratum.holds(values)]
        rmse = agreement.interval(own["rmse_mmhg"].to_numpy(float))
        csbp = agreement.spread(part[part["subject"].isin(own.index)]["csbp_error_mmhg"].to_numpy(float))
        rows.append(
          (label(method), f"{title} {stratum.label}", str(len(own)), number(rmse.mean), _between(rmse), _spread(csbp))
        )
  return Table(header, rows, 0, caption="Errors by stratum [mmHg]")


def budgets(study: study_config.Study, lines: Sequence[Line]) -> Table:
  """What each method was given."""
  rows = []
  for name in dict.fromkeys(line.method for line in lines):
    own = [line for line in lines if line.method == name]
    knows = methods.method(study, name).knows
    rows.append(
      (
        label(name),
        str(own[0].settings),
        str(own[0].steps) if own[0].steps else "",
        f"{np.mean([line.train_s for line in own]):.1f}",
        knows,
      )
    )
  header = ("method", "settings tried on validation subjects", "steps", "train s", "knows of test subjects")
  return Table(header, rows, caption="The budget of each method")
