"""Makes the report of a study from the files in its folder: figures, tables, the page."""

import dataclasses
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas

from cap_jax import files
from cap_jax.metrics import label_efficiency, standards
from cap_jax.report import efficiency_tables, figures, page, participants, study_figures, study_tables, tables
from cap_jax.signals import beats
from cap_jax.study import (
  characteristics,
  study_config,
  study_datasets,
  study_grid,
  study_results,
  study_runner,
  summary,
)
from cap_jax.study.methods import BASELINES
from cap_jax.study.study_results import Cell
from cap_jax.train import strategy_selection

AUTO, RANKING_METHOD = strategy_selection.NAME, "fine_tuning"
_WAVES = ("gtf_target", "scratch")
_WHOSE = {
  1: "one test subject, reconstructed by", 2: "test subjects with the smaller and the larger error of",
  3: "test subjects with the smallest, the median and the largest error of",
}  # fmt: skip
_COMPARED = (
  "gtf_target", "source", "scratch", "feature_transfer", RANKING_METHOD, "parameter_transfer", "multi_task", "multi_task/transducer", AUTO,
)  # fmt: skip
_BROWSED = ("source", "gtf_source", "domain_adaptation/section", *_WAVES, RANKING_METHOD)
_FEW = 4
_FEW_STRATEGIES = 6
_STRATIFIED = ("gtf_target", "source", "scratch", RANKING_METHOD, "domain_adaptation/section")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClinicResults:
  """The results of a study in one clinic.

  Attributes:
    study: in this clinic.
    rows: a row a subject and cell.
    summaries: a method at a number of labels each.
    waves: method → stored waves and features of the first fold and seed, at the labels of `everything`; "peripheral" has
      the measured and the true waves.
    first: the cells of those.
    groups: part of the split → characteristics of its subjects; of the first fold.
  """

  study: study_config.Study
  rows: pandas.DataFrame
  summaries: Sequence[summary.MethodSummary]
  waves: Mapping[str, Mapping[str, np.ndarray]]
  first: Sequence[Cell] = ()
  groups: Mapping[str, characteristics.Group] = dataclasses.field(default_factory=dict)

  @property
  def name(self) -> str:
    return self.study.target_name

  @property
  def focus(self) -> int:
    return study_grid.focus(self.study)

  def at(self, n_target: int) -> pandas.DataFrame:
    return self.rows[self.rows["n_target"] == n_target]

  @property
  def everything(self) -> dict[str, pandas.DataFrame]:
    """Returns method → its rows at `focus` labels, or without labels where it has none there."""
    by_method = {}
    for name, part in self.rows.groupby("method", sort=False):
      focused = part[part["n_target"] == self.focus]
      by_method[str(name)] = focused if len(focused) else part[part["n_target"] == 0]
    return {name: part for name, part in by_method.items() if len(part)}

  @property
  def drawn(self) -> dict[str, pandas.DataFrame]:
    """Returns the methods of `everything` that figures show side by side.

    Few methods are all shown. Of more, figures show the strategies and common baselines; of many strategies, the
    common ones and all of domain adaptation.
    """
    there, strategies = self.everything, self.study.strategies
    if len(there) <= _FEW:
      return there
    if len(strategies) > _FEW_STRATEGIES:
      strategies = tuple(n for n in strategies if n in _COMPARED or n.startswith("domain_adaptation"))
    compared = [name for name in _COMPARED if name in BASELINES or name in strategies]
    return {name: there[name] for name in dict.fromkeys((*compared, *strategies)) if name in there}


def open_clinics(study: study_config.Study, folder: str, rows: pandas.DataFrame) -> list[ClinicResults]:
  """Loads the results of each clinic.

  Args:
    study: of all clinics.
    folder: of the study.
    rows: of all clinics, a row a subject and cell.

  Returns:
    The results, a clinic each.

  Raises:
    DataError: a file of the study is damaged.
  """
  summaries = summary.summarise(rows)
  results = []
  for clinic in study_grid.clinics_of(study):
    name, focused = clinic.target_name, study_grid.focused(clinic)
    keys = [
      key
      for key in study_grid.keys(clinic)
      if key.fold == 0 and key.seed == study.seeds[0] and key.n_target == focused.get(key.method)
    ]
    first = [cell for key in keys if (cell := study_results.load(folder, key)) is not None]
    outputs = {
      cell.key.method: stored for cell in first if (stored := study_results.load_figure_data(folder, cell.key))
    }
    truth = next((stored for stored in outputs.values() if "true_bt" in stored), None)
    if truth is not None:
      outputs["peripheral"] = {**truth, "predicted_bt": truth["peripheral_bt"]}
    own = [result for result in summaries if result.scenario == name]
    groups = characteristics.load(characteristics.path_in(folder, name)) or characteristics.load(
      characteristics.path_in(folder, f"{name}_fold_0")
    )
    results.append(
      ClinicResults(
        study=clinic, rows=rows[rows["scenario"] == name], summaries=own, waves=outputs, first=first, groups=groups
      )
    )
  return results


def _first(clinic: ClinicResults) -> pandas.DataFrame:
  """Returns the rows of the first seed and fold, of each method at the number of labels of its stored waves."""
  rows = pandas.concat(clinic.everything.values())
  return rows[(rows["seed"] == clinic.study.seeds[0]) & (rows["fold"] == 0)]


def waves(clinic: ClinicResults) -> list[page.Drawn]:
  """Draws the waves of the best, the median and the worst subject; [] if none were stored."""
  ranked_by = ranking_method(clinic)
  if not ranked_by or "peripheral" not in clinic.waves:
    return []
  methods = ["peripheral", *(m for m in _WAVES if m in clinic.waves and m != ranked_by), ranked_by]
  site, fs_hz, first = study_datasets.target_site(clinic.study), clinic.study.windows.fs_hz, _first(clinic)
  unitless = clinic.study.signals.unitless
  shown = {m: clinic.waves[m] for m in methods}
  figure = study_figures.waves(first, shown, ranked_by, site, fs_hz, unitless)
  subjects = study_figures.ranked(first, ranked_by)
  panels = [study_figures.waves(first, shown, ranked_by, site, fs_hz, unitless, (word,)) for word in subjects]
  caption = f"Reconstructed and true aortic waves of the {_WHOSE[len(subjects)]} “{tables.label(ranked_by)}”"
  caption += f", with {clinic.focus} labelled subject{'s' * (clinic.focus > 1)}" if clinic.focus else ", without labels"
  caption += ", in the first fold" if clinic.study.folds != 1 else ""
  titles = "; ".join(axes.get_title() for axes in figure.axes)
  people = ", ".join(subjects.values())
  description = f"{caption}. {titles}. Subjects {people}."
  return [
    page.Drawn(f"waves_{clinic.name}", figure, caption, description, page.Panels(panels, study_figures.keys(figure)))
  ]


def few_shot(clinic: ClinicResults, place: str) -> page.Drawn:
  """Draws the errors of all methods by the number of labels."""
  finite = [result for result in clinic.summaries if np.isfinite(result.rmse.mean)]
  description = ", ".join(
    f"{tables.label(result.method)} with {result.n_target}: {result.rmse.mean:.2f}" for result in finite
  )
  caption = "Waveform RMSE by labelled subjects, with 95 % intervals over subjects"
  return page.Drawn(f"few_shot_{clinic.name}", study_figures.few_shot(clinic.summaries, place), caption, description)


def _agreement(clinic: ClinicResults, place: str) -> list[page.Drawn]:
  both = pandas.concat(clinic.drawn.values()) if clinic.drawn else clinic.rows[:0]
  figure = study_figures.bland_altman(both, list(clinic.drawn), "csbp", place)
  caption = "Bland–Altman plot of cSBP: one point per subject and seed, with the bias and the limits of agreement for repeated measures"
  description = f"{caption}. The table of agreement contains the values."
  return [page.Drawn(f"bland_altman_{clinic.name}", figure, caption, description)] if figure is not None else []


def _strata(clinic: ClinicResults, place: str) -> list[page.Drawn]:
  many = len(clinic.drawn) > _FEW
  few = {name: part for name, part in clinic.drawn.items() if not many or name in _STRATIFIED}
  few = {name: part for name, part in few.items() if part["rmse_mmhg"].notna().any()}
  if not few:
    return []
  figure = study_figures.strata(pandas.concat(few.values()), list(few), place)
  caption = "Waveform RMSE by age, heart rate and amplification, with 95 % intervals over subjects"
  description = f"{caption}. The table of strata contains the values."
  return [page.Drawn(f"strata_{clinic.name}", figure, caption, description)]


def _learning(clinic: ClinicResults, source_loss: Sequence[float]) -> list[page.Drawn]:
  trained = [cell for cell in clinic.first if cell.validation]
  source = "loss of the source network, and " if len(source_loss) else ""
  caption = f"Training: {source}RMSE of the networks trained on the target, on validation subjects"
  figure = study_figures.training(source_loss, study_runner.MEAN_OF, trained)
  last = "; ".join(f"{tables.label(cell.key.method)} {cell.validation[-1].rmse_mmhg:.2f}" for cell in trained)
  drawn = [page.Drawn(f"training_{clinic.name}", figure, caption, f"{caption}. At the end: {last} mmHg.")]
  mapped = study_figures.feature_map(clinic.waves)
  if mapped is not None:
    caption = "Pooled features of source and target windows, before and after adaptation"
    apart = study_figures.distances(clinic.waves)
    description = ", ".join(f"{tables.label(name)} {value:.2f}" for name, value in apart.items())
    description = f"{caption}. Distance between the domain means, relative to the spread of the source: {description}."
    drawn.append(page.Drawn(f"features_{clinic.name}", mapped, caption, description))
  return drawn


def ranking_method(clinic: ClinicResults) -> str:
  """Returns the method that ranks the subjects: `auto`, else fine-tuning, else another with stored waves."""
  candidates = (
    AUTO,
    RANKING_METHOD,
    *(cell.key.method for cell in reversed(clinic.first) if cell.validation),
    *reversed(list(clinic.waves)),
  )
  return next((name for name in candidates if name in clinic.waves and name != "peripheral"), "")


def _browser(clinic: ClinicResults) -> page.Browser | None:
  """Returns a browser of the beats of the best, the median and the worst subject."""
  ranked_by = ranking_method(clinic)
  if not ranked_by or "peripheral" not in clinic.waves:
    return None
  people = study_figures.ranked(_first(clinic), ranked_by)
  truth = clinic.waves["peripheral"]
  predictions = {
    name: clinic.waves[name]["predicted_bt"] for name in dict.fromkeys((*_BROWSED, ranked_by)) if name in clinic.waves
  }
  records = []
  for word, subject in people.items():
    rows = np.flatnonzero(truth["subject_b"] == subject)
    waves = {"true": truth["true_bt"][rows], **{name: wave_bt[rows] for name, wave_bt in predictions.items()}}
    records.append(
      record(subject if word == "only" else f"{word}: {subject}", waves, truth["predicted_bt"][rows], clinic.study)
    )
  whose = {1: "only", 2: "best and worst", 3: "best, median and worst"}[len(people)]
  caption = (
    f"Records of the {whose} subject of {tables.label(ranked_by)}, beat by beat: drag to zoom, "
    "double-click to reset, hover for values. The outer 0.25 s of each window, which do not count in the errors, are hidden."
  )
  return page.Browser(records, caption)


def record(
  name: str, waves: Mapping[str, np.ndarray], peripheral_bt: np.ndarray, study: study_config.Study
) -> dict[str, Any]:
  """Makes one record for a browser of beats.

  Args:
    name: of the record.
    waves: "true" if it was measured, and method → (window, time) [mmHg].
    peripheral_bt: (window, time) [mmHg], or a PPG in any unit.
    study: whose windows these are.

  Returns:
    The record, see `page.Browser`.
  """
  spec, inner = study.windows, slice(study.windows.margin, study.windows.samples - study.windows.margin)
  count = len(peripheral_bt)
  time_s = (np.arange(count)[:, None] * spec.seconds + np.arange(spec.samples)[None, :] / spec.fs_hz).round(3)
  site, unitless = study_datasets.target_site(study), study.signals.unitless
  leader = waves["true"] if "true" in waves else next(iter(waves.values()))
  if unitless:
    peripheral_bt = figures.beside(peripheral_bt, leader)
  looks = {
    "peripheral": (figures.peripheral_label(site, unitless), figures.COLOURS["peripheral"], 1.0),
    "true": ("aortic root, true", "ink", 2.6),
  }
  series = []
  for key, wave_bt in {"peripheral": peripheral_bt, **waves}.items():
    shade = study_figures.shade(key, waves.keys() - {"true"})
    label, shade, width = looks.get(key, (tables.label(key), shade, 1.6))
    inner_bt = np.full(wave_bt.shape, np.nan)
    inner_bt[:, inner] = wave_bt[:, inner]
    dash = "dash" if key.endswith("_source") else "solid"  # its colour is that of the one fitted on the target
    series.append({"name": label, "colour": shade, "width": width, "dash": dash, "values": inner_bt.ravel()})
  entries = []
  for k in range(count):
    feet = beats.find_feet(leader[k, inner], spec.fs_hz) + spec.margin
    for a, b in itertools.pairwise(feet.tolist()):
      pressures = {key: wave_bt[k, a:b] for key, wave_bt in waves.items()}
      pressures_text = "; ".join(
        f"{looks.get(key, (tables.label(key),))[0]} cSBP {p.max():.1f}, cDBP {p.min():.1f}"
        for key, p in pressures.items()
      )
      entries.append({"start_s": float(time_s[k, a]), "end_s": float(time_s[k, b]), "text": pressures_text + " mmHg"})
  return {"name": name, "time_s": time_s.ravel(), "series": series, "beats": entries}


def _merge_table(clinic: ClinicResults) -> tables.Table | None:
  """Returns the fate of each leaf of the target network, for the strategies that transferred any."""
  rows = [
    (tables.label(cell.key.method), *leaf)
    for cell in clinic.first
    for leaf in cell.merge
    if any(other[1] == "transferred" for other in cell.merge)
  ]
  header = ("method", "leaf", "fate", "shape", "note")
  return (
    tables.Table(header, rows, 0, caption="Result of merging source and target parameters, for each leaf")
    if rows
    else None
  )


def sections(
  clinic: ClinicResults, source_loss: Sequence[float], place: str, reference: standards.Reference
) -> list[page.Section]:
  """Makes the part of a study's report about one clinic, without its answer.

  Args:
    clinic: its results.
    source_loss: training curve of the source network, empty if the study did not train it.
    place: where the errors come from, such as "in silico".
    reference: of the validation standards.

  Returns:
    The sections in order.
  """
  merged = _merge_table(clinic)
  learning = {f"budget_{clinic.name}": study_tables.budgets(clinic.study, clinic.summaries)}
  if merged is not None:
    learning[f"merge_{clinic.name}"] = merged
  first, *others = error_sections(clinic, describe_clinic(clinic), place, reference)
  first = dataclasses.replace(first, drawn=[few_shot(clinic, place)])
  last = page.Section(
    heading="Training and features",
    shows="How the errors fell during training, what each training cost, and which parameters came from the source.",
    drawn=_learning(clinic, source_loss),
    sheets=learning,
  )
  return [first, *others, last]


def efficiency_tables_of(clinics: Sequence[ClinicResults]) -> dict[str, tables.Table]:
  """Returns name → table of label efficiency, without the tables that have no data."""
  rows = {clinic.name: clinic.rows for clinic in clinics}
  efficiencies = {
    name: [one for one in label_efficiency.summarise(part, BASELINES) if one.has_baseline]
    for name, part in rows.items()
  }
  chosen = {
    name: choices for name, part in rows.items() if (choices := label_efficiency.choices(part, BASELINES)) is not None
  }
  sheets = {"by_labels": efficiency_tables.by_labels([result for clinic in clinics for result in clinic.summaries])}
  if any(efficiencies.values()):
    sheets["label_efficiency"] = efficiency_tables.efficiency(efficiencies, clinics[0].study.n_target)
  if chosen:
    sheets["choices"] = efficiency_tables.chosen(chosen)
  return sheets


def _agreement_section(clinic: ClinicResults, place: str, reference: standards.Reference) -> page.Section:
  """Makes the section on the agreement of pressures, the intervals and the validation standards."""
  by_method, name = clinic.everything, clinic.name
  verdicts = study_tables.all_verdicts(by_method, reference)
  unmet = "; ".join(dict.fromkeys(why for verdict in verdicts for why in verdict.unmet_preconditions))
  lines = []
  if clinic.focus:
    lines = [f"All methods, with {clinic.focus} labelled subjects or without labels; figures show a selection of many."]
  if unmet and all(verdict.unmet_preconditions for verdict in verdicts):
    lines.append(f"No validation standard is claimed: {unmet}.")
  return page.Section(
    heading="Agreement and standards",
    shows="Whether estimated and true pressures can replace each other, how often the intervals cover the truth, and what validation standards require.",
    text="\n".join(lines),
    drawn=_agreement(clinic, place),
    sheets={
      f"agreement_{name}": study_tables.agreements(by_method),
      f"intervals_{name}": study_tables.intervals(clinic.summaries),
      f"standards_{name}": study_tables.verdicts(by_method, reference),
    },
  )


def error_sections(
  clinic: ClinicResults,
  text: str,
  place: str,
  reference: standards.Reference,
  named: Mapping[str, str] | None = None,
) -> list[page.Section]:
  """Makes the sections on the errors of all methods in one clinic: methods, patients, beats, agreement, subgroups.

  Args:
    clinic: its results.
    text: of the first section.
    place: where the errors come from, such as "in silico".
    reference: of the validation standards.
    named: subject → why its two waves may not belong together, if that is known.

  Returns:
    The sections in order.
  """
  by_method, name = clinic.everything, clinic.name
  main = {
    f"methods_{name}": study_tables.main(clinic.summaries),
    f"shape_{name}": study_tables.shapes(clinic.summaries),
  }
  contrasts = study_tables.contrasts(by_method, clinic.focus)
  if contrasts.rows:
    main[f"contrasts_{name}"] = contrasts
  sections = [
    page.Section(
      heading="All methods",
      shows="The errors of every method at every number of labels, the cost of its training, and whether transfer helped."
      if any(one.against for one in clinic.summaries)
      else "The errors of the network, and those of methods that need no training.",
      text=text,
      sheets=main,
      terms=study_tables.terms(main[f"methods_{name}"]),
    ),
    participants.patients_section(
      by_method.get(ranking_method(clinic), clinic.rows[:0]), name, ranking_method(clinic), named or {}
    ),
    page.Section(
      heading="Beat by beat",
      shows="The waves of some subjects, to zoom into and to step through beat by beat.",
      browser=_browser(clinic),
    ),
  ]
  if clinic.rows["subject"].nunique() > 1:  # agreement and subgroups of one subject say nothing
    subgroups = page.Section(
      heading="Errors by subgroup",
      shows="Whether the errors depend on age, heart rate or amplification.",
      drawn=_strata(clinic, place),
      sheets={f"strata_{name}": study_tables.strata(by_method)},
    )
    sections += [_agreement_section(clinic, place, reference), subgroups]
  return [one for one in sections if one.drawn or one.browser or any(table.rows for table in one.sheets.values())]


def describe_clinic(clinic: ClinicResults) -> str:
  """Returns the number of test subjects, the steps, and the reasons of choices, in one line."""
  reasons = " ".join(
    f"{tables.label(cell.key.method)}, {cell.key.n_target} labels: {cell.reason}."
    for cell in clinic.first
    if cell.reason
  )
  people = clinic.rows["subject"].nunique()
  return f"{people} test subjects; {clinic.study.steps} steps for each strategy. {reasons}".strip()


def source_loss(folder: str) -> list[float]:
  """Returns the training curve of the source network, [] if it was not saved."""
  try:
    with open(files.regular(os.path.join(folder, "checkpoint.json")), encoding="utf-8") as file:
      return [float(value) for value in json.load(file)["loss"]]
  except FileNotFoundError:
    return []
