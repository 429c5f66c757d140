"""Writes the methods paragraph of a report from the study or the evaluation itself, ready for a paper."""

import importlib.metadata
import re
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from cap_jax import __version__, config
from cap_jax.inference import pretrained
from cap_jax.metrics import agreement
from cap_jax.report import page, study_report, tables
from cap_jax.report.study_report import ClinicResults
from cap_jax.strategies import STRATEGIES, find
from cap_jax.study import own_data, study_config, study_datasets, study_grid
from cap_jax.study.summary import MethodSummary
from cap_jax.train import checkpoint, strategy_selection
from cap_jax.types import counted

_USED = re.compile(r"uses ([\w/]+)(?: (blended with [^(;]*))?")


def _listed(texts: Sequence[object]) -> str:
  words = [str(text) for text in texts]
  return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _wave(site: str) -> str:
  words = site.replace("_", " ")
  return words.replace("ppg", "PPG") if site.endswith("ppg") else f"{words} pressure"


def _windows(count: int, spec: config.Windows) -> str:
  return f"{counted(count, 'window')} of {spec.seconds:g} s at {spec.fs_hz:g} Hz without overlap"


def _signals(signals: config.Signals, site: str) -> str:
  kind = signals.calibration.kind
  scaled = f", calibrated ({kind})" if kind != "none" else ""
  return f"The input was the {_wave(site)}{scaled}, the reference the {_wave(signals.reference)}."


def _data(clinic: ClinicResults) -> str:
  study, people = clinic.study, clinic.rows["subject"].nunique()
  test = clinic.groups.get("target_test")
  windows = f" ({_windows(test.windows, study.windows)})" if test and clinic.rows["fold"].nunique() == 1 else ""
  return (
    f"{study_datasets.describe(study)} Errors were measured on {counted(people, 'test subject')}{windows} of the target clinic "
    f"“{clinic.name}”. {_signals(study.signals, study_datasets.target_site(study))}"
  )


def _split(clinic: ClinicResults) -> str:
  study, count, groups = clinic.study, clinic.rows["fold"].nunique(), clinic.groups
  parts = {"target_labelled": "labelled", "target_unlabelled": "unlabelled", "target_validation": "validation"}
  others = [f"{groups[name].subjects} {word}" for name, word in parts.items() if name in groups]
  besides = f" The clinic had {_listed(others)} subjects besides." if others and count == 1 else ""
  folds = f" Each subject was tested once, in one of {count} folds." if count > 1 else ""
  left = f" The subjects with {study.leave_out.replace(':', ' = ')} were tested." if study.leave_out else ""
  numbers = sorted(n for n in study.n_target if n)
  draws = (
    f" Of the labelled subjects, {_listed(numbers)} were used, in {counted(len(study.seeds), 'random draw')}; a larger draw contained the "
    "smaller one."
    if numbers
    else ""
  )
  return f"Data were divided by subject: no subject was in two groups.{besides}{folds}{left}{draws}"


def _size(trained: checkpoint.Checkpoint) -> str:
  parameters = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(trained.params))
  return f"{trained.model.extractor}, {counted(parameters, 'parameter')}"


def _source(about: Mapping[str, object]) -> str:
  """Returns who the source network was trained on, as far as its checkpoint says."""
  subjects, steps, name = (about.get(key) for key in ("source_subjects", "steps", "source"))
  parts = [
    f"on {counted(int(str(subjects)), 'subject')}" if subjects else "",
    f"of the source “{name}”" if name else "",
    f"in {counted(int(str(steps)), 'step')}" if steps else "",
  ]
  said = " ".join(part for part in parts if part)
  return f" was trained {said}" if said else ""


def _network(study: study_config.Study, trained: checkpoint.Checkpoint | None) -> str:
  if trained is None:
    return ""
  packaged = f" “{study.source_network}” of the package" if study.source_network in pretrained.names() else ""
  return f"The source network{packaged} ({_size(trained)}){_source(trained.about)}."


def _equation(name: str, changes: Mapping[str, object] | None = None) -> str:
  if name not in STRATEGIES:
    return ""
  changed = f"; changed from its defaults: {', '.join(changes)}" if changes else ""
  return f" ({find(name, changes).equation}{changed})"


def _strategy(clinic: ClinicResults, own: MethodSummary | None) -> str:
  study, name = clinic.study, study_report.ranking_method(clinic)
  if own is None:
    return ""
  labels = f"with {counted(own.n_target, 'labelled subject')}" if own.n_target else "without labels"
  if name != strategy_selection.NAME:
    return f"The method fixed before the results was {tables.label(name)}{_equation(name, study.custom.get(name))}, {labels}."
  reason = next(
    (cell.reason for cell in clinic.first if cell.key.method == name and cell.key.n_target == own.n_target), ""
  )
  used = _USED.search(reason)
  draw = " in the first draw" if len(study.seeds) > 1 or clinic.rows["fold"].nunique() > 1 else ""
  chose = ""
  if used:
    blend = f", {used[2].strip()}" if used[2] else ""
    chose = f"; {labels} it used{draw} {tables.label(used[1])}{_equation(used[1], study.custom.get(used[1]))}{blend}"
  return f"The method fixed before the results was auto, which chooses a strategy without test labels{chose}."


def _compared(clinic: ClinicResults) -> str:
  own = study_report.ranking_method(clinic)
  others = list(dict.fromkeys(tables.label(one.method) for one in clinic.summaries if one.method != own))
  return (
    f"It was compared with {counted(len(others), 'other method')} on the same subjects: {'; '.join(others)}."
    if others
    else ""
  )


def _budget(clinic: ClinicResults, own: MethodSummary | None) -> str:
  study = clinic.study
  if not any(study_grid.trained(study, one.method) for one in clinic.summaries):
    return ""
  rates = len(study.rate_factors)
  tried = f" at {rates} learning rates, of which validation subjects chose one with the first draw" if rates > 1 else ""
  mine = (
    f" The method itself took {counted(own.steps, 'step')}." if own and own.steps and own.steps != study.steps else ""
  )
  return f"Each training on the target had {study.steps} steps of {study.batch} windows{tried}.{mine}"


def _metric(windows: config.Windows, tested: bool, subjects: int, draws: int = 1) -> str:
  mean = "averaged over draws and then over subjects" if draws > 1 else "averaged over subjects"
  interval = (
    f", with 95 % bias-corrected and accelerated bootstrap intervals over subjects ({agreement.RESAMPLES:,} resamples; Efron 1987)"
    if subjects > 2
    else ""
  )
  test = (
    " Differences were paired by subject and tested by Wilcoxon's signed-rank test, with p adjusted by Holm's method."
    * tested
  )
  return (
    f"The root mean square error (RMSE) of the wave was computed for each subject, without the outer {windows.margin_s:g} s of each window, "
    f"and {mean}{interval}. Errors of pressures are estimated minus true, per beat, as mean ± SD over subjects.{test}"
  )


def software() -> str:
  """Returns the versions of the software."""
  return f"Software: cap_jax {__version__}, jax {importlib.metadata.version('jax')}."


def of_study(clinic: ClinicResults, trained: checkpoint.Checkpoint | None) -> str:
  """Returns the paragraph of a study in one clinic.

  Args:
    clinic: its results.
    trained: the source network; None if the study has none.
  """
  name = study_report.ranking_method(clinic)
  results = [one for one in clinic.summaries if one.method == name and one.n_target in (clinic.focus, 0)]
  own = max(results, key=lambda one: one.n_target, default=None)
  tested = any(np.isfinite(one.p) for one in clinic.summaries)
  metric = _metric(clinic.study.windows, tested, clinic.rows["subject"].nunique(), len(clinic.study.seeds))
  sentences = [
    _data(clinic),
    _split(clinic),
    _network(clinic.study, trained),
    _strategy(clinic, own),
    _compared(clinic),
    _budget(clinic, own),
    metric,
    software(),
  ]
  return " ".join(text for text in sentences if text)


def of_evaluation(trained: checkpoint.Checkpoint, own: own_data.UserWindows, data: str) -> str:
  """Returns the paragraph of a network on a user's data.

  Args:
    trained: the network.
    own: the windows.
    data: name of the data set, and where its records come from.
  """
  name, n_target, _ = own_data.method_of(trained)
  about, spec, people = trained.about, trained.windows, len(own.all_windows.subjects)
  history = about.get("history")
  origin = history if isinstance(history, Mapping) else about
  labels = f" with {counted(n_target, 'labelled subject')}" if n_target else ""
  steps = f" in {counted(int(about['steps']), 'step')}" if "strategy" in about and about.get("steps") else ""
  adapted = ""
  if name != "source":
    changes = about.get("changes")
    adapted = f" It was adapted by {tables.label(name)}{_equation(name, changes if isinstance(changes, Mapping) else None)}{labels}{steps}."
  sentences = [
    f"The waves of {counted(people, 'subject')} of {data} were reconstructed in {_windows(len(own.all_windows.x_bt), spec)}.",
    _signals(trained.signals, trained.site) if own.paired is not None else f"The input was the {_wave(trained.site)}.",
    f"The source network ({_size(trained)}){_source(origin)}.{adapted}",
  ]
  if own.paired is not None:
    count = len(own.paired.subjects)
    sentences += [
      f"Errors were measured on {counted(count, 'subject')} with a measured reference ({_windows(len(own.paired.x_bt), spec)}).",
      "Subjects whom the network had seen before, by their names, were excluded from the errors.",
      _metric(spec, False, count),
    ]
  return " ".join([*sentences, software()])


def section(text: str) -> page.Section:
  """Makes the section with a paragraph of `of_study` or `of_evaluation`."""
  return page.Section(
    heading="Methods for a paper",
    shows="What was done, as a paragraph to copy; every number is that of this run.",
    text=text,
  )
