"""Makes the tables of a study."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas

from cap_jax.metrics import agreement, standards, waveform_metrics
from cap_jax.report.tables import NotedTable, Table, condense, label
from cap_jax.study import methods, study_config, summary
from cap_jax.study.summary import MethodSummary

MARK = {"": "", "likely": " △", "certain": " ▲"}
_NAMES = {"csbp": "cSBP", "cdbp": "cDBP", "cpp": "cPP", "map": "MAP"}
_SHAPES = {"aix": ("AIx", "% points", 1), "form_factor": ("form factor", "", 3), "ejection": ("ejection", "ms", 0)}
_SHAPES |= {"sevr": ("SEVR", "% points", 1)}
_STRATIFIED = {"age": "age [years]", "hr_bpm": "heart rate [bpm]", "amplification": "amplification"}
_ERROR = "estimated minus true, mean ± SD over subjects and seeds of the errors of their beats [mmHg]"
_TERMS = {
  "labels": "labelled subjects of the target that the method used",
  "seeds": "draws of the labelled subjects and of the initial parameters",
  "RMSE": "root mean square error of the wave, per subject, averaged over subjects [mmHg]",
  "95 % CI": "95 % bootstrap confidence interval over subjects",
  "lag-free": "RMSE after the best common time shift of a subject [mmHg]",
  "cSBP error": f"central systolic pressure: {_ERROR}",
  "cDBP error": f"central diastolic pressure: {_ERROR}",
  "cPP error": f"central pulse pressure: {_ERROR}",
  "MAP error": f"mean pressure: {_ERROR}",
  "difference": "RMSE minus that of the network from scratch with the same labels, or of the unchanged source network without labels, "
  "paired by subject. Red: negative transfer, a strategy that is worse; ▲ if the interval of the difference lies above zero, △ if only "
  "the mean does",
  "p": "of that difference by Wilcoxon's test, adjusted by Holm",
  "budget": "settings tried on validation subjects × training steps",
  "train [s]": "seconds of training",
  "steps to scratch": "training steps until the RMSE on validation subjects was as good as the best of the network from scratch with the "
  "same labels; empty if it never was",
  "s to scratch": "the same in seconds",
}
_BOUND = "uses the true MAP and DBP of each test subject: a bound, not a method"


def terms(table: Table) -> dict[str, str]:
  """Returns column → what it means, for the columns that a reader sees, and † if a method has it."""
  shown = {name: _TERMS[name] for name in condense(table).header if name in _TERMS}
  return shown | ({"†": _BOUND} if any("†" in row[0] for row in table.rows) else {})


def number(value: float, digits: int = 2) -> str:
  """Formats a number for readers.

  Args:
    value: the number.
    digits: after the point.

  Returns:
    The text, empty for NaN.
  """
  return "" if np.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}"


def width(half_mmhg: float) -> str:
  """Formats half the width of an interval [mmHg]: "none" if it is infinite, empty if it was never calibrated."""
  return "none" if np.isinf(half_mmhg) else number(half_mmhg)


def spread(pair: tuple[float, float], digits: int = 1) -> str:
  """Formats a mean error and its SD, the mean with its sign."""
  mean, sd = pair
  mean_text = "" if np.isnan(mean) else f"{round(mean, digits) + 0.0:+.{digits}f}"
  return mean_text if np.isnan(sd) else f"{mean_text} ± {sd:.{digits}f}"


def between(interval: agreement.Interval, sign: str = "") -> str:
  """Formats the ends of an interval, with a sign if it is "+"; empty for NaN."""
  if np.isnan(interval.low):
    return ""
  return f"{round(interval.low, 2) + 0.0:{sign}.2f} to {round(interval.high, 2) + 0.0:{sign}.2f}"


def _p(value: float) -> str:
  return "" if np.isnan(value) else ("< 0.001" if value < 0.001 else f"{value:.3f}")


def budget(result: MethodSummary) -> str:
  """Returns the number of settings tried × steps."""
  return (
    f"{result.settings} × {result.steps}" if result.steps else (f"{result.settings}" if result.settings > 1 else "")
  )


def main(summaries: Sequence[MethodSummary]) -> Table:
  """Returns the table of all methods of one clinic."""
  header = (
    "method", "labels", "seeds", "RMSE", "95 % CI", "lag-free", "cSBP error", "cDBP error", "cPP error", "MAP error", "difference",
    "95 % CI of difference", "p", "budget", "train [s]", "steps to scratch", "s to scratch",
  )  # fmt: skip
  rows = [
    (
      label(result.method) + MARK[result.harm] + (f" ({result.diverged} diverged)" if result.diverged else ""),
      str(result.n_target),
      str(result.seeds),
      number(result.rmse.mean),
      between(result.rmse),
      number(result.lag_free_mmhg),
      *(spread(result.error[name]) for name in waveform_metrics.PRESSURES),
      "" if np.isnan(result.difference.mean) else f"{round(result.difference.mean, 2) + 0.0:+.2f}",
      between(result.difference, "+"),
      _p(result.p),
      budget(result),
      number(result.train_s, 1),
      number(result.steps_to_scratch, 0),
      number(result.s_to_scratch, 1),
    )
    for result in summaries
  ]
  return Table(
    header, rows, 1, [result.harm for result in summaries], "Errors of every method at every number of labels [mmHg]"
  )


def short(summaries: Sequence[MethodSummary]) -> Table:
  """Returns the columns of `main` that fit a terminal."""
  whole = main(summaries)
  header = (
    "method", "labels", "RMSE", "95 % CI", "cSBP error", "cDBP error", "cPP error", "difference", "budget", "train [s]",
    "steps to scratch", "s to scratch",
  )  # fmt: skip
  columns = [whole.header.index(name) for name in header]
  return Table(header, [tuple(row[k] for k in columns) for row in whole.rows], 1, whole.marks, whole.caption)


def _marked(result: MethodSummary) -> str:
  """Returns the RMSE with the mark of a negative transfer."""
  return (number(result.rmse.mean) or "diverged") + MARK[result.harm]


def clinics(summaries: Sequence[MethodSummary], focus: int) -> Table:
  """Returns the waveform RMSE of every method in every clinic.

  Args:
    summaries: of all clinics.
    focus: number of labelled subjects that is shown beside 0.

  Returns:
    The table.
  """
  scenarios = list(dict.fromkeys(result.scenario for result in summaries))
  result_of = {(x.method, x.n_target, x.scenario): x for x in summaries if np.isfinite(x.rmse.mean) or x.diverged}
  rows = []
  for method, n_target in dict.fromkeys((method, n) for method, n, _ in result_of if n in (0, focus)):
    own = [result_of.get((method, n_target, scenario)) for scenario in scenarios]
    rows.append((label(method), str(n_target), *("" if result is None else _marked(result) for result in own)))
  rows.sort(key=lambda row: int(row[1]))
  labels = f"without labels or with {focus}" if focus else "without labels"
  caption = f"Waveform RMSE [mmHg] in each target clinic, {labels}; ▲ △: negative transfer"
  return Table(("method", "labels", *scenarios), rows, 1, caption=caption)


def shapes(summaries: Sequence[MethodSummary]) -> Table:
  """Returns the errors of the wave's shape, from the mean beat of each subject."""
  named = (f"{name} [{unit}]" if unit else name for name, unit, _ in _SHAPES.values())
  header = ("method", "labels", "NRMSE/PP [%]", "r", *named)
  rows = [
    (
      label(result.method),
      str(result.n_target),
      number(result.nrmse_percent, 1),
      number(result.r, 4),
      *(_shape(result, name, digits) for name, (_, _, digits) in _SHAPES.items()),
    )
    for result in summaries
    if np.isfinite(result.rmse.mean)
  ]
  caption = "Errors of indices of the mean beat, estimated minus true, mean ± SD over subjects"
  note = "n: subjects in whose true and reconstructed waves the index is defined, if not in all."
  return NotedTable(header, rows, 1, caption=caption, note=note)


def _shape(result: MethodSummary, name: str, digits: int) -> str:
  count = result.defined[name]
  return spread(result.error[name], digits) + (f" (n = {count})" if 0 < count < result.subjects else "")


def intervals(summaries: Sequence[MethodSummary]) -> Table:
  """Returns the coverage and width of the prediction intervals."""
  header = (
    "method",
    "labels",
    "wave coverage [%]",
    "wave ± [mmHg]",
    "cSBP coverage [%]",
    "cSBP ± [mmHg]",
    "windows out of distribution [%]",
  )
  rows = []
  for result in summaries:
    coverage = result.coverage
    if not np.isnan(coverage.half_width_mmhg):
      wave, csbp = (number(100 * share, 1) for share in (coverage.wave, coverage.csbp))
      widths = (width(half) for half in (coverage.half_width_mmhg, coverage.csbp_half_width_mmhg))
      shares = itertools.chain(*zip((wave, csbp), widths, strict=True))
      rows.append((label(result.method), str(result.n_target), *shares, number(100 * coverage.ood_fraction, 0)))
  note = (
    "Split-conformal over subjects: calibrated on validation subjects of the target, or of the source if no target labels are used. "
    "none: fewer than nine such subjects."
  )
  return NotedTable(header, rows, 1, caption="How often the 90 % prediction intervals hold the true values", note=note)


RowsByMethod = Mapping[str, pandas.DataFrame]
"""Method → rows of one clinic at one number of labels."""


def agreements(by_method: RowsByMethod) -> Table:
  """Returns limits of agreement with repeated measures, proportional bias, ICC and r."""
  header = (
    "method",
    "pressure",
    "bias",
    "95 % CI of bias",
    "limits of agreement",
    "SD between",
    "SD within",
    "slope",
    "p",
    "ICC",
    "r",
  )
  rows = []
  for method, part in by_method.items():
    for name in ("csbp", "cdbp", "cpp"):
      limits = summary.limits(part, name)
      if limits is None:
        continue
      low, high = limits.limits
      drawn = [
        (p[f"{name}_true_mmhg"].to_numpy(float), p[f"{name}_error_mmhg"].to_numpy(float))
        for p in summary.of_seeds(part)
      ]
      error = summary.of_subjects(part)[f"{name}_error_mmhg"].to_numpy(float)
      rows.append(
        (
          label(method),
          _NAMES[name],
          f"{limits.bias:+.2f}",
          between(agreement.interval(error), "+"),
          f"{low:+.1f} to {high:+.1f}",
          f"{limits.between:.2f}",
          f"{limits.within:.2f}",
          f"{limits.slope:+.3f}" if np.isfinite(limits.slope) else "",
          _p(limits.slope_p),
          number(float(np.mean([agreement.icc(true + d, true) for true, d in drawn])), 3),
          number(float(np.mean([agreement.pearson(true + d, true) for true, d in drawn])), 3),
        )
      )
  note = (
    "Repeated measures, of one training. The SD between subjects includes the seeds. Slope: of differences on means, with its p. ICC and r are "
    "means over seeds."
  )
  return NotedTable(header, rows, 0, caption="Bland–Altman analysis of central pressures [mmHg]", note=note)


def _verdicts(by_method: RowsByMethod, reference: standards.Reference) -> Iterator[tuple[str, str, standards.Verdict]]:
  """Yields method, pressure and verdict."""
  for method, part in by_method.items():
    for name in waveform_metrics.STANDARDISED:
      readings = summary.readings(part, name)
      knows = methods.BASELINES[method].uses_of_reference if method in methods.BASELINES else ""
      for verdict in standards.evaluate(name, readings, reference, knows) if readings else ():
        yield method, name, verdict


def all_verdicts(by_method: RowsByMethod, reference: standards.Reference) -> list[standards.Verdict]:
  """Returns the verdict of each standard on each method.

  Args:
    by_method: method → rows.
    reference: of the standards.

  Returns:
    The verdicts.
  """
  return [verdict for _, _, verdict in _verdicts(by_method, reference)]


def verdicts(by_method: RowsByMethod, reference: standards.Reference) -> Table:
  """Returns the validation standards, with the preconditions that are not met.

  Args:
    by_method: method → rows.
    reference: of the standards.

  Returns:
    The table.
  """
  header = (
    "method", "pressure", "standard", "claim type", "calibration", "values", "result by values alone", "allowed claim",
  )  # fmt: skip
  rows = [
    (
      label(method),
      _NAMES[name],
      verdict.standard,
      reference.claim_type,
      reference.calibration,
      verdict.figures,
      verdict.position,
      verdict.claim,
    )
    for method, name, verdict in _verdicts(by_method, reference)
  ]
  note = "Type II: claims on absolute central pressure. Calibration: of the peripheral waves."
  return NotedTable(header, rows, 1, caption="Validation standards and the claims that they allow", note=note)


def contrasts(by_method: RowsByMethod, focus: int) -> Table:
  """Returns the RMSE of each strategy minus that of each baseline.

  Args:
    by_method: rows of each method.
    focus: number of labelled subjects; methods that use none have none.
  """
  comparisons = summary.contrasts(pandas.concat(by_method.values())) if by_method else []
  pairs = {(one.against, one.method): one for one in comparisons}
  strategies = list(dict.fromkeys(one.method for one in comparisons))
  rows = [
    (label(against), *(_contrast(pairs[against, name]) for name in strategies))
    for against in dict.fromkeys(one.against for one in comparisons)
  ]
  note = (
    "Paired by subject. * p < 0.05 in Wilcoxon's test, adjusted by Holm over the table; ▲ the baseline is better, and the 95 % interval of "
    "the difference is above zero; △ only the mean is."
  )
  labels = f"with {focus} labelled subjects, or none where a method uses none" if focus else "without labels"
  caption = f"RMSE of each strategy minus that of each baseline [mmHg], {labels}"
  return NotedTable(("baseline", *map(label, strategies)), rows, caption=caption, note=note)


def _contrast(contrast: summary.Contrast) -> str:
  mean = contrast.difference.mean
  if np.isnan(mean):
    return ""
  worse = " ▲" if contrast.difference.low > 0 else (" △" if mean > 0 else "")
  return f"{round(mean, 2) + 0.0:+.2f}{'*' if contrast.p < 0.05 else ''}{worse}"


def strata(by_method: RowsByMethod) -> Table:
  """Returns RMSE and cSBP error by age, heart rate and amplification."""
  header = ("method", "stratum", "subjects", "RMSE", "95 % CI", "cSBP error")
  rows = []
  all_windows = summary.of_subjects(pandas.concat(by_method.values())) if by_method else pandas.DataFrame()
  for covariate, title in _STRATIFIED.items() if by_method else ():
    groups = agreement.strata(covariate, all_windows[covariate].to_numpy(float))
    for method, part in by_method.items():
      people = summary.of_subjects(part)
      values = people[covariate].to_numpy(float)
      for stratum in groups:
        own = people[stratum.contains(values)]
        rmse = agreement.interval(own["rmse_mmhg"].to_numpy(float))
        csbp = agreement.spread(part[part["subject"].isin(own.index)]["csbp_error_mmhg"].to_numpy(float))
        rows.append(
          (label(method), f"{title} {stratum.label}", str(len(own)), number(rmse.mean), between(rmse), spread(csbp))
        )
  return Table(header, rows, 0, caption="Errors by stratum [mmHg]")


def budgets(study: study_config.Study, summaries: Sequence[MethodSummary]) -> Table:
  """Returns the budget of each method.

  Args:
    study: that defines the methods.
    summaries: of one clinic.

  Returns:
    The table.
  """
  rows = []
  for name in dict.fromkeys(result.method for result in summaries):
    own = [result for result in summaries if result.method == name]
    knows = methods.method(study, name).uses_of_reference
    rows.append(
      (
        label(name),
        str(own[0].settings),
        str(max(result.steps for result in own) or ""),
        f"{np.mean([result.train_s for result in own]):.1f}",
        knows,
      )
    )
  header = ("method", "settings tried on validation subjects", "steps", "train [s]", "uses of test subjects")
  return Table(header, rows, caption="Budget of each method")
