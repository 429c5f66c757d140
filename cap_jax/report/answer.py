"""Makes what a report opens with: one sentence with its interval, the waves of three subjects, the few-label curve and a short table."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from cap_jax.metrics import agreement
from cap_jax.report import page, study_figures, study_report, study_tables, tables
from cap_jax.report.study_report import ClinicResults
from cap_jax.study.methods import BASELINES
from cap_jax.study.summary import MethodSummary

MOST_ROWS = 8
_COMPARED = {
  "source": "the unchanged source network", "packaged": "the unchanged packaged network", "scratch": "the same network from scratch",
  "gtf_target": "an FIR transfer function", "peripheral": "the unchanged peripheral wave",
}  # fmt: skip
_MOST_COMPARED = 3
_LEAST_SUBJECTS = 5
_IN_A_LINE = {
  "source": "source network unchanged", "scratch": "the same network from scratch", "gtf_target": "FIR transfer function"
}  # fmt: skip
_IN_A_SENTENCE = {study_report.AUTO: "the automatically chosen strategy", "source": "the source network"}
_PRESSURES = {"csbp": "cSBP error", "cdbp": "cDBP error", "cpp": "cPP error"}


def _results(clinic: ClinicResults) -> dict[str, MethodSummary]:
  """Returns method → its result at `focus` labels, or without labels where it has none there."""
  result_of: dict[str, MethodSummary] = {}
  for result in clinic.summaries:
    if result.n_target == clinic.focus or (result.n_target == 0 and result.method not in result_of):
      result_of[result.method] = result
  return result_of


def _is_bound(method: str) -> bool:
  return method in BASELINES and bool(BASELINES[method].uses_of_reference)


def headline(clinic: ClinicResults, place: str) -> str:
  """Returns the result in one line, for a terminal.

  It has the waveform RMSE of `auto`, or else of the method that ranks the subjects, at `focus` labels. The unchanged source network, the network from
  scratch and the transfer function with the same labels follow.

  Args:
    clinic: its results.
    place: where the errors come from, such as "in silico".

  Returns:
    The line.
  """
  result_of = {
    name: result
    for name, result in _results(clinic).items()
    if (result.n_target == clinic.focus or name == "source") and np.isfinite(result.rmse.mean)
  }
  name = study_report.ranking_method(clinic)
  if name not in result_of or result_of[name].n_target != clinic.focus:
    return f"{clinic.name}: no network was trained on the target ({place})"
  rmse = result_of[name].rmse
  who = f"{clinic.focus} labelled subject{'s' * (clinic.focus > 1)}" if clinic.focus else "No labelled subject"
  by = ", auto" if name == study_report.AUTO else f", {tables.label(name)}"
  beside = [
    f"{title} {result_of[other].rmse.mean:.2f}"
    for other, title in _IN_A_LINE.items()
    if other in result_of and other != name
  ]
  return "; ".join([f"{who}{by}: {rmse.mean:.2f} mmHg{_interval(rmse)}", *beside]) + f" ({place})"


def _interval(rmse: agreement.Interval) -> str:
  return "" if np.isnan(rmse.low) else f" (95 % CI {rmse.low:.2f} to {rmse.high:.2f})"


def sentence(clinic: ClinicResults, place: str) -> str:
  """Returns the result in one sentence: method, labels, RMSE, interval, what it is compared with, and where the errors come from.

  Args:
    clinic: its results.
    place: where the errors come from, such as "in silico".
  """
  result_of = {name: result for name, result in _results(clinic).items() if np.isfinite(result.rmse.mean)}
  name = study_report.ranking_method(clinic)
  if name not in result_of:
    return f"{clinic.name}: no network was trained on the target ({place})"
  own = result_of[name]
  labels = f"With {own.n_target} labelled subject{'s' * (own.n_target > 1)}" if own.n_target else "Without labels"
  others = [
    f"{result_of[other].rmse.mean:.2f} of {title}"
    for other, title in _COMPARED.items()
    if other in result_of and other != name and result_of[other].n_target in (own.n_target, 0)
  ]
  *first, last = others[:_MOST_COMPARED] or [""]
  listed = f"{', '.join(first)} and {last}" if first else last
  against = f", against {listed}" if listed else ""
  people = f"{own.subjects} test subject{'s' * (own.subjects > 1)}"
  return (
    f"{labels}, {_IN_A_SENTENCE.get(name, tables.label(name))} has a waveform RMSE of {own.rmse.mean:.2f} mmHg{_interval(own.rmse)}"
    f"{against}; {people}, {place}."
  )


def without_delay(clinic: ClinicResults) -> str:
  """Returns the sentence that says the error without the delay of each subject, "" where it is not known."""
  own = _results(clinic).get(study_report.ranking_method(clinic))
  if own is None or not np.isfinite(own.lag_free_mmhg):
    return ""
  return f"With each subject's delay removed, the RMSE is {own.lag_free_mmhg:.2f} mmHg."


def caution(clinic: ClinicResults) -> str:
  """Returns sentences on a comparison that has a lower error than the method, and on too few subjects; "" if neither is so."""
  result_of, name = _results(clinic), study_report.ranking_method(clinic)
  own = result_of.get(name)
  if own is None:
    return ""
  lower = [
    title
    for other, title in _COMPARED.items()
    if other in result_of and other != name and result_of[other].rmse.mean < own.rmse.mean
  ]
  texts = []
  if lower:
    titles = " and ".join(lower)
    advice = (
      " Keep it, unless more labelled subjects show otherwise."
      if lower in (["the unchanged source network"], ["the unchanged packaged network"])
      else ""
    )
    texts.append(f"{titles[0].upper()}{titles[1:]} {'have' if lower[1:] else 'has'} a lower error here.{advice}")
  if own.subjects < _LEAST_SUBJECTS and len(result_of) > 1:
    texts.append(f"{own.subjects} test subject{'s' * (own.subjects > 1)} cannot tell methods apart.")
  return " ".join(texts)


def methods(clinic: ClinicResults) -> list[str]:
  """Returns the methods of the short table, the smallest RMSE first.

  They are the method that was fixed before the results, what it is compared with, and of the others those with the smallest RMSE.
  """
  result_of = _results(clinic)
  order = sorted(
    (name for name in result_of if not _is_bound(name)),
    key=lambda name: np.nan_to_num(result_of[name].rmse.mean, nan=np.inf),
  )
  first = [name for name in (study_report.ranking_method(clinic), *_COMPARED) if name in order]
  chosen = set(list(dict.fromkeys((*first, *order)))[:MOST_ROWS])
  return [name for name in order if name in chosen]


def _best(columns: Mapping[int, Sequence[float]], texts: Sequence[tuple[str, ...]]) -> list[tuple[int, int]]:
  """Returns row and column of the smallest value of each column, and of those that read the same."""
  cells = []
  for column, values in columns.items():
    if np.isfinite(values).sum() > 1:
      smallest = texts[int(np.nanargmin(values))][column]
      cells += [(row, column) for row in range(len(values)) if texts[row][column] == smallest]
  return cells


def table(clinic: ClinicResults) -> tables.NotedTable:
  """Returns the short table of one clinic, with the best of each column in bold."""
  result_of, names = _results(clinic), methods(clinic)
  own = study_report.ranking_method(clinic)
  results = [result_of[name] for name in names]
  rows = [
    (
      tables.label(one.method) + study_tables.MARK[one.harm],
      str(one.n_target),
      study_tables.number(one.rmse.mean),
      study_tables.between(one.rmse),
      *(study_tables.spread(one.error[name]) for name in _PRESSURES),
    )
    for one in results
  ]
  squares = {4 + k: [float(np.hypot(*np.nan_to_num(one.error[name]))) if np.isfinite(one.error[name][0]) else np.nan for one in results] for k, name in enumerate(_PRESSURES)}  # fmt: skip
  bold = _best({2: [one.rmse.mean for one in results], **squares}, rows)
  with_labels = f", with {clinic.focus} labelled subjects or none" if clinic.focus else ""
  return tables.NotedTable(
    ("method", "labels", "RMSE", "95 % CI", *_PRESSURES.values()),
    rows,
    marks=[one.harm for one in results],
    caption=f"Errors of the wave and of central pressures [mmHg]{with_labels}",
    bold=bold,
    own=names.index(own) if own in names else None,
    note=_note(clinic, len(names)),
  )


def _note(clinic: ClinicResults, shown: int, spreads: bool = True) -> str:
  """Returns how to read the short table.

  Args:
    clinic: its results, or those of the first of several.
    shown: number of methods in the table.
    spreads: whether it has means and SDs.
  """
  best = "Bold: the best of the column" + "; of mean ± SD, the smallest root mean square" * spreads
  count = len([name for name in _results(clinic) if not _is_bound(name)])
  parts = [
    f"{best}." if shown > 1 else "",
    "◆ the method of the sentence above. It is fixed beforehand: auto, else fine-tuning, else the last strategy of the study."
    if clinic.first
    else "◆ the evaluated network.",
    f"{shown} of {count} methods; the part “All methods” has the others." if shown < count else "",
  ]
  return " ".join(part for part in parts if part)


def _table_of_clinics(clinics: Sequence[ClinicResults]) -> tables.NotedTable:
  """Returns the RMSE of the methods of the short table in each clinic."""
  names, own = methods(clinics[0]), study_report.ranking_method(clinics[0])
  results = [_results(clinic) for clinic in clinics]
  values = [[one[name].rmse.mean if name in one else np.nan for name in names] for one in results]
  rows = [
    (tables.label(name), *(study_tables.number(column[row]) for column in values)) for row, name in enumerate(names)
  ]
  focus = clinics[0].focus
  return tables.NotedTable(
    ("method", *(clinic.name for clinic in clinics)),
    rows,
    caption=f"Waveform RMSE [mmHg] in each target clinic, {f'with {focus} labelled subjects or none' if focus else 'without labels'}",
    bold=_best(dict(enumerate(values, start=1)), rows),
    own=names.index(own) if own in names else None,
    note=_note(clinics[0], len(names), spreads=False),
  )


def clinics_section(clinics: Sequence[ClinicResults], place: str) -> list[page.Section]:
  """Makes the section of a report about several clinics, which compares them.

  Args:
    clinics: the results of all.
    place: where the errors come from, such as "in silico".

  Returns:
    The section; an empty list for one clinic.
  """
  summaries = [result for clinic in clinics for result in clinic.summaries]
  if len({result.scenario for result in summaries}) < 2:
    return []
  names, focus = list(clinics[0].drawn), clinics[0].focus
  caption = "Waveform RMSE by labelled subjects in each target clinic, with 95 % intervals over subjects"
  description = f"{caption}. The table of clinics contains the values."
  figure = page.Drawn("clinics", study_figures.clinics(summaries, names, place), caption, description)
  sheets = {"clinics": study_tables.clinics(summaries, focus)}
  return [
    page.Section(
      heading="All target clinics", shows="The errors of every method, clinic by clinic.", drawn=[figure], sheets=sheets
    )
  ]


def _curve(clinic: ClinicResults, place: str) -> list[page.Drawn]:
  """Draws the methods of the short table by their labels; nothing for a study of less than two numbers of labels."""
  if len({result.n_target for result in clinic.summaries if result.n_target}) < 2:
    return []
  names = [name for name in methods(clinic) if name != "peripheral"]  # whose error would flatten the curves
  finite = [one for one in clinic.summaries if one.method in names and np.isfinite(one.rmse.mean)]
  caption = "RMSE by the number of labelled subjects, with 95 % intervals over subjects"
  values = ", ".join(f"{tables.label(one.method)} with {one.n_target}: {one.rmse.mean:.2f}" for one in finite)
  figure = study_figures.curve(finite, names, place)
  panels = page.Panels([study_figures.curve(finite, names, place, legend=False)], study_figures.keys(figure))
  return [page.Drawn(f"few_labels_{clinic.name}", figure, caption, f"{caption}. {values}.", panels)]


def opening(
  clinics: Sequence[ClinicResults], place: str, facts: str, warnings: Sequence[str] = (), lines: Sequence[str] = ()
) -> page.Section:
  """Makes the first screen.

  Args:
    clinics: the results of each clinic; the first one's waves are shown.
    place: where the errors come from, such as "in silico".
    facts: text below the sentence.
    warnings: what a reader must not miss.
    lines: further text, a paragraph each.

  Returns:
    The opening of a page.
  """
  first = clinics[0]
  sheet = table(first) if len(clinics) == 1 else _table_of_clinics(clinics)
  more = [f"{clinic.name}: {sentence(clinic, place)}" for clinic in clinics[1:]] or [
    " ".join(text for text in (caution(first), without_delay(first)) if text)
  ]
  heading, drawn = sentence(first, place), [*study_report.waves(first), *_curve(first, place)]
  if len(clinics) > 1:
    heading = f"{first.name}: {heading}"
    drawn = [dataclasses.replace(one, caption=f"{first.name}: {one.caption}") for one in drawn]
  return page.Section(
    heading=heading,
    text="\n".join(text for text in (*more, facts, *lines) if text),
    drawn=drawn,
    sheets={f"answer_{first.name}": sheet},
    terms=study_tables.terms(sheet),
    warnings=warnings,
  )


def prefixed(clinic: ClinicResults, sections: Sequence[page.Section], count: int) -> list[page.Section]:
  """Returns the sections of a clinic with its name before each heading, if there are several clinics.

  Args:
    clinic: whose sections these are.
    sections: of the clinic.
    count: number of clinics.
  """
  if count == 1:
    return list(sections)
  return [
    dataclasses.replace(one, heading=f"{clinic.name}: {one.heading[0].lower()}{one.heading[1:]}") for one in sections
  ]
