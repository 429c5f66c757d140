"""Tables as text, CSV and LaTeX."""

import csv
import dataclasses
import io
import re

import numpy as np
import pytest

from cap_jax.metrics import agreement, standards
from cap_jax.report import answer, study_report, study_tables, tables
from cap_jax.study import run_study as studies
from cap_jax.study import summary

STRATEGIES = ("fine_tuning", "feature_transfer", "domain_adaptation", "multi_task")
TABLE = tables.Table(("method", "n"), [("a_b & c", "1 ± 2"), ("50 %", "−3")], 0, ["certain", ""], "caption")


@pytest.mark.quick
def test_csv_comes_back():
  assert list(csv.reader(io.StringIO(tables.to_csv(TABLE)))) == [["method", "n"], ["a_b & c", "1 ± 2"], ["50 %", "−3"]]


@pytest.mark.quick
def test_latex_escapes_and_marks_harm_in_red():
  text = tables.to_latex(TABLE)
  assert r"\color{red} a\_b \& c & \color{red} 1 $\pm$ 2 \\" in text
  assert r"50 \% & $-$3 \\" in text
  assert text.startswith("% caption\n\\begin{tabular}{lr}\n\\toprule")
  assert text.count(r"\addlinespace") == 1
  body = text.partition("\n")[2]
  assert not re.search(r"(?<!\\)[_%&#](?![^\n]*\\\\)", body.replace(" & ", "  "))
  assert tables.latex("{~^\\}") == r"\{\textasciitilde{}\textasciicircum{}\textbackslash{}\}"


@pytest.mark.quick
def test_a_reader_sees_no_column_that_tells_no_rows_apart():
  rows = [("here", "a", "", "1", "x"), ("here", "b", "", "1", "y")]
  whole = tables.NotedTable(("clinic", "method", "p", "seeds", "RMSE"), rows, 1, bold=[(1, 4), (0, 3)], note="A note.")
  shown = tables.condense(whole)
  assert shown.header == ("method", "RMSE")
  assert shown.rows == [("a", "x"), ("b", "y")]
  assert (shown.group, shown.bold) == (0, [(1, 1)])
  assert shown.note == "A note. The same in all rows: clinic here; seeds 1."
  one = tables.condense(tables.Table(("method", "p", "RMSE"), [("a", "", "x")]))  # of one row only what is empty goes
  assert (one.header, one.note) == (("method", "RMSE"), "")
  assert tables.to_csv(whole).startswith("clinic,method,p,seeds,RMSE\n")  # a file is whole
  assert tables.to_latex(whole).count(r"\textbf{y}") == 1


@pytest.fixture(scope="module")
def clinic(small_study, done_study):
  rows = summary.frame(studies.rows(small_study, str(done_study)))
  return study_report.open_clinics(small_study, str(done_study), rows)[0]


def test_the_table_says_what_was_measured(clinic):
  lines = clinic.summaries
  for table in (study_tables.main(lines), study_tables.short(lines)):
    text = tables.text(table).splitlines()
    for line in lines:
      displayed = study_tables.number(line.rmse.mean)
      assert any(row.startswith(tables.label(line.method)) and displayed in row for row in text)
  by_name = {row[0]: row for row in study_tables.main(lines).rows}
  assert by_name["network from scratch"][study_tables.main(lines).header.index("budget")] == "1 × 50"


def test_no_standard_is_claimed(clinic):
  """Virtual subjects, fewer than 85, no catheter: each verdict names what is not met, and no word claims more."""
  result = clinic
  table = study_tables.verdicts(result.everything, standards.Reference(place="in silico", invasive=False))
  assert {row[0] for row in table.rows} == {
    tables.label(line.method) for line in result.summaries if line.n_target in (0, result.focus)
  }
  assert {row[3:5] for row in table.rows} == {("II", "none")}
  assert {row[2] for row in table.rows} >= {"AAMI/ISO 81060-2 criterion 1", "BHS", "IEEE 1708", "ARTERY 2017"}
  for row in table.rows:
    assert "the subjects are virtual; n = " in row[-1]
    assert "the reference is not invasive" in row[-1]
    assert not re.search(r"\b(meets|passes)\b", " ".join(row))


def test_every_table_is_ascii_in_latex(clinic):
  """What LaTeX cannot read, and "<" and ">", which it prints as other signs."""
  result = clinic
  reference = standards.Reference(place="in silico", invasive=False)
  for table in (
    study_tables.main(result.summaries),
    study_tables.verdicts(result.everything, reference),
    study_tables.contrasts(result.everything, result.focus),
    study_tables.agreements(result.everything),
  ):
    body = tables.to_latex(table).partition("\\begin")[2]
    assert body.isascii(), set(re.findall(r"[^\x00-\x7f]", body))
    assert not re.search(r"(?<!\$)[<>]", body)
    assert not re.search(r"(?<![\w$])-\d", body)
  assert tables.latex("p < 0.001, -0.5 to 81060-2") == "p $<$ 0.001, $-$0.5 to 81060-2"


def test_each_strategy_stands_against_each_baseline(clinic, small_study):
  result = clinic
  table = study_tables.contrasts(result.everything, result.focus)
  assert set(table.header[1:]) == {tables.label(name) for name in small_study.strategies}
  assert len(table.rows) == 6  # all but the moving average, which gives no wave
  assert all(re.fullmatch(r"[+-]\d+\.\d\d\*?( [▲△])?", cell) for row in table.rows for cell in row[1:])
  rmse = {line.method: line.rmse.mean for line in result.summaries if line.n_target in (0, result.focus)}
  own = {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}
  displayed = own["peripheral wave unchanged"]["fine-tuning"]
  assert float(displayed.rstrip(" ▲△*")) == pytest.approx(rmse["fine_tuning"] - rmse["peripheral"], abs=0.006)


def test_clinics_stand_side_by_side(clinic):
  """A column a clinic with the RMSE of its lines and their marks; one clinic alone has no such part."""
  here = clinic
  worse = agreement.Interval(1.0, 0.5, 1.5)
  there = [
    dataclasses.replace(line, scenario="there", difference=worse) for line in here.summaries if line.method != "scratch"
  ]
  table = study_tables.clinics([*here.summaries, *there], here.focus)
  assert table.header == ("method", "labels", "device", "there")
  rows = {row[:2]: row[2:] for row in table.rows}
  known = [line for line in here.summaries if line.n_target in (0, here.focus) and np.isfinite(line.rmse.mean)]
  assert set(rows) == {(tables.label(line.method), str(line.n_target)) for line in known}
  for line in known:
    own, other = rows[tables.label(line.method), str(line.n_target)]
    assert own.rstrip(" ▲△") == study_tables.number(line.rmse.mean)
    assert other == ("" if line.method == "scratch" else own.rstrip(" ▲△") + " ▲" * line.method.startswith(STRATEGIES))
  (section,) = answer.clinics_section([here, dataclasses.replace(here, summaries=there)], "in silico")
  assert [axes.get_title() for axes in section.drawn[0].figure.axes] == ["device", "there"]
  assert answer.clinics_section([here], "in silico") == []


def test_the_budget_is_the_same_for_all_that_is_trained(clinic, small_study):
  result = clinic
  table = study_tables.budgets(small_study, result.summaries)
  trained = {row[0]: row[1:3] for row in table.rows if row[2]}
  assert set(trained.values()) == {("1", "50")}
  assert set(trained) == {tables.label(name) for name in small_study.strategies}


def test_a_strategy_that_never_ended_is_marked_and_not_dropped(clinic):
  here = clinic
  nothing = agreement.NONE
  lost = [
    dataclasses.replace(line, scenario="there", rmse=nothing, diverged=line.cell_count)
    if line.method == "scratch"
    else line
    for line in here.summaries
  ]
  table = study_tables.clinics([*here.summaries, *lost], here.focus)
  (row,) = (row for row in table.rows if row[0] == "network from scratch" and row[1] == str(here.focus))
  assert row[3].startswith("diverged")


def test_strata_are_those_of_everybody(clinic):
  """A method without the youngest subject has its figures under the same heads as the others."""
  result = clinic.everything
  young = result["scratch"].sort_values("age")["subject"].iloc[0]
  lacking = result["fine_tuning"].copy()
  lacking.loc[lacking["subject"] == young, ["age", "hr_bpm", "amplification"]] = np.nan
  rows = study_tables.strata({"scratch": result["scratch"], "fine_tuning": lacking}).rows
  heads = {name: [row[1] for row in rows if row[0] == tables.label(name)] for name in ("scratch", "fine_tuning")}
  assert heads["scratch"] == heads["fine_tuning"]
