"""What a report opens with."""

import dataclasses

import numpy as np
import pandas
import pytest

from cap_jax.metrics import standards
from cap_jax.report import answer, page, study_figures, study_report, tables
from cap_jax.study import run_study as studies
from cap_jax.study import summary


@pytest.fixture(scope="module")
def clinic(small_study, done_study):
  rows = summary.frame(studies.rows(small_study, str(done_study)))
  return study_report.open_clinics(small_study, str(done_study), rows)[0]


def test_one_test_subject_has_no_agreement_and_no_subgroups(clinic):
  parts = {"Agreement and standards", "Errors by subgroup"}
  for count in (1, 2):
    few = clinic.rows[clinic.rows["subject"].isin(clinic.rows["subject"].unique()[:count])]
    sections = study_report.error_sections(
      dataclasses.replace(clinic, rows=few), "", "in silico", standards.Reference("in silico", invasive=False)
    )
    assert {one.heading for one in sections} & parts == (parts if count > 1 else set())


def result(clinic, method):
  """Returns a method at the focus, or without labels."""
  return max((one for one in clinic.summaries if one.method == method and one.n_target in (0, clinic.focus)), key=lambda x: x.n_target)  # fmt: skip


def test_the_sentence_has_method_labels_error_interval_comparison_and_place(clinic):
  own, source, scratch, gtf = (result(clinic, name) for name in ("fine_tuning", "source", "scratch", "gtf_target"))
  assert clinic.focus == 2
  assert answer.sentence(clinic, "in silico") == (
    f"With 2 labelled subjects, fine-tuning has a waveform RMSE of {own.rmse.mean:.2f} mmHg (95 % CI {own.rmse.low:.2f} to "
    f"{own.rmse.high:.2f}), against {source.rmse.mean:.2f} of the unchanged source network, {scratch.rmse.mean:.2f} of the same network "
    f"from scratch and {gtf.rmse.mean:.2f} of an FIR transfer function; 4 test subjects, in silico."
  )


def test_one_clinic_says_the_error_without_delays(clinic):
  own = result(clinic, "fine_tuning")
  assert own.lag_free_mmhg < own.rmse.mean
  opening = answer.opening([clinic], "in silico", "facts")
  assert opening.text.splitlines() == [
    "An FIR transfer function has a lower error here. 4 test subjects cannot tell methods apart. "
    f"With each subject's delay removed, the RMSE is {own.lag_free_mmhg:.2f} mmHg.", "facts",
  ]  # fmt: skip
  unknown = [dataclasses.replace(one, lag_free_mmhg=np.nan) for one in clinic.summaries]
  assert answer.without_delay(dataclasses.replace(clinic, summaries=unknown)) == ""


def test_a_lower_error_of_a_comparison_and_few_subjects_are_said(clinic):
  assert (
    result(clinic, "gtf_target").rmse.mean
    < result(clinic, "fine_tuning").rmse.mean
    < result(clinic, "source").rmse.mean
  )
  assert (
    answer.caution(clinic)
    == "An FIR transfer function has a lower error here. 4 test subjects cannot tell methods apart."
  )
  many = [dataclasses.replace(one, subjects=5) for one in clinic.summaries if one.method != "gtf_target"]
  assert answer.caution(dataclasses.replace(clinic, summaries=many)) == ""
  least = dataclasses.replace(result(clinic, "source"), rmse=result(clinic, "gtf_target").rmse, subjects=5)
  better = [least if one.method == "source" else one for one in many]
  assert answer.caution(dataclasses.replace(clinic, summaries=better)) == (
    "The unchanged source network has a lower error here. Keep it, unless more labelled subjects show otherwise."
  )


def test_few_subjects_are_drawn_once_each(clinic):
  rows = clinic.rows[clinic.rows["method"] == "fine_tuning"]
  people = summary.of_subjects(rows)["rmse_mmhg"].sort_values().index
  some = {count: rows[rows["subject"].isin(people[:count])] for count in (1, 2, 3)}
  ranked = {count: study_figures.ranked(part, "fine_tuning") for count, part in some.items()}
  assert ranked[1] == {"only": people[0]}
  assert ranked[2] == {"best": people[0], "worst": people[1]}
  assert ranked[3] == {"best": people[0], "median": people[1], "worst": people[2]}
  alone = dataclasses.replace(clinic, rows=clinic.rows[clinic.rows["subject"] == people[0]])
  (drawn,) = study_report.waves(alone)
  assert len(drawn.figure.axes) == len(drawn.panels.figures) == 1
  assert "of the one test subject, reconstructed by “fine-tuning”" in drawn.caption
  pair = dataclasses.replace(clinic, rows=clinic.rows[clinic.rows["subject"].isin(people[:2])])
  (drawn,) = study_report.waves(pair)
  assert [axes.get_title().partition(":")[0] for axes in drawn.figure.axes] == ["best subject", "worst subject"]
  names = [record["name"] for record in study_report._browser(pair).records]
  assert names == [f"best: {people[0]}", f"worst: {people[1]}"]


def test_a_panel_has_the_error_at_the_labels_of_its_wave(clinic):
  """`auto` has errors without labels too."""
  tuned = clinic.rows[(clinic.rows["method"] == "fine_tuning") & (clinic.rows["n_target"] == clinic.focus)]
  unlabelled = tuned.assign(n_target=0, rmse_mmhg=tuned["rmse_mmhg"].to_numpy()[::-1] + 5)
  both = dataclasses.replace(clinic, rows=pandas.concat([clinic.rows, unlabelled]))
  ((drawn,), (alone,)) = (study_report.waves(one) for one in (both, clinic))
  ranked = [f"{value:.2f} mmHg" for value in sorted(tuned["rmse_mmhg"])]
  titles = [axes.get_title().partition(": ")[2] for axes in drawn.figure.axes]
  assert titles == [ranked[0], ranked[2], ranked[3]]
  assert drawn.description == alone.description


def test_without_labels_it_is_compared_with_what_needs_none(clinic):
  study = dataclasses.replace(clinic.study, n_target=(0,))
  free = dataclasses.replace(
    clinic, study=study, summaries=[one for one in clinic.summaries if not one.n_target], first=[], waves={"source": {}}
  )
  text = answer.sentence(free, "in vitro")
  assert text.startswith("Without labels, the source network has a waveform RMSE of ")
  assert (
    f"against {result(free, 'peripheral').rmse.mean:.2f} of the unchanged peripheral wave; 4 test subjects, in vitro."
    in text
  )


def test_the_table_is_short_and_its_best_are_bold(clinic):
  many = [
    dataclasses.replace(one, method=f"{one.method}/{k}") if k else one for one in clinic.summaries for k in range(4)
  ]
  for here in (clinic, dataclasses.replace(clinic, summaries=many)):
    table = answer.table(here)
    assert 3 < len(table.rows) <= answer.MOST_ROWS == 8
    assert {tables.label(name) for name in ("fine_tuning", "scratch", "gtf_target", "source")} <= {
      row[0].rstrip(" ▲△") for row in table.rows
    }
    assert table.rows[table.own][0].startswith("fine-tuning")
    rmse = [float(row[2]) if row[2] else np.inf for row in table.rows]
    assert rmse == sorted(rmse)
    assert {row for row, column in table.bold if column == 2} == {k for k, value in enumerate(rmse) if value == rmse[0]}
    for column in (4, 5, 6):
      squares = [np.hypot(*map(float, row[column].split(" ± "))) if row[column] else np.inf for row in table.rows]
      bold = [squares[row] for row, k in table.bold if k == column]
      assert min(squares) + 0.1 > max(bold) >= min(squares)
  assert "of 4" in answer.table(dataclasses.replace(clinic, summaries=many)).note


def test_a_bound_is_no_method_of_the_table(clinic):
  bound = dataclasses.replace(
    result(clinic, "peripheral"), method="rescaled", rmse=dataclasses.replace(result(clinic, "source").rmse, mean=0.1)
  )
  table = answer.table(dataclasses.replace(clinic, summaries=[*clinic.summaries, bound]))
  assert not any("†" in row[0] for row in table.rows)


def test_two_clinics_stand_in_one_table(clinic):
  other = dataclasses.replace(
    clinic, summaries=[dataclasses.replace(one, scenario="there") for one in clinic.summaries]
  )
  opening = answer.opening([clinic, other], "in silico", "facts", ["careful"])
  assert isinstance(opening, page.Section)
  assert opening.heading == f"device: {answer.sentence(clinic, 'in silico')}"
  assert opening.text.splitlines() == [f"device: {answer.sentence(other, 'in silico')}", "facts"]
  assert opening.warnings == ["careful"]
  assert all(one.caption.startswith("device: ") for one in opening.drawn)
  (table,) = opening.sheets.values()
  assert len(table.rows) <= answer.MOST_ROWS
  assert all(row[1] == row[2] for row in table.rows)
  parts = [page.Section(heading="All methods")]
  assert [one.heading for one in answer.prefixed(clinic, parts, 2)] == ["device: all methods"]
  assert answer.prefixed(clinic, parts, 1) == parts


def test_the_curve_has_the_methods_of_the_table(clinic):
  (waves, curve) = answer.opening([clinic], "in silico", "").drawn
  assert len(waves.panels.figures) == 3
  assert {name.lstrip("● ┄") for name in curve.panels.keys} == {
    tables.label(name) for name in answer.methods(clinic) if name not in ("peripheral", "npma")
  }
  assert len({name[0] for name in curve.panels.keys if "FIR" in name}) == 2  # of one colour, so each has a sign
  one = dataclasses.replace(clinic, summaries=[x for x in clinic.summaries if x.n_target in (0, 2)])
  assert len(answer.opening([one], "in silico", "").drawn) == 1  # one number of labels is no curve
