"""What transfer gained, as text."""

import dataclasses

import numpy as np
import pytest

from cap_jax.metrics import agreement, label_efficiency
from cap_jax.report import efficiency_tables, study_report, tables
from cap_jax.study import run_study as studies
from cap_jax.study import summary

ONE, MANY = agreement.Interval(37.4, 5.0, float("inf")), agreement.Interval(float("inf"), 61.0, float("inf"))
SHARE = agreement.Interval(0.62, 0.47, 0.777)


@pytest.mark.quick
def test_labels_saved_and_gaps_closed_as_text():
  result = {
    "device": [
      label_efficiency.LabelEfficiency("fine_tuning", 5, ONE, agreement.NONE),
      label_efficiency.LabelEfficiency("multi_task/transducer", 5, MANY, SHARE),
    ],
    "site": [
      label_efficiency.LabelEfficiency(
        "domain_adaptation/transducer", 0, agreement.NONE, agreement.Interval(-0.1, float("-inf"), 0.2)
      )
    ],
  }
  assert efficiency_tables.efficiency(result, (0, 100, 5)).rows == [
    ("device", "fine-tuning", "5", "37", "≤ 5 to > 100", "", ""),
    ("device", "multi-task learning: transducer", "5", "> 100", "61 to > 100", "62", "47 to 78"),
    ("site", "domain adaptation: transducer", "0", "", "", "-10", "−∞ to 20"),
  ]


@pytest.mark.quick
def test_choices_of_all_clinics_add_up():
  here, there = label_efficiency.Choices(10, 9, 0.02, 0.3), label_efficiency.Choices(30, 24, 0.1, 0.25)
  assert efficiency_tables.chosen({"here": here}).rows == [("here", "10", "9", "2.0", "30.0")]
  assert efficiency_tables.chosen({"here": here, "there": there}).rows[2] == ("all", "40", "33", "8.0", "30.0")


def test_a_study_reports_every_number_of_labels_and_its_gain(small_study, done_study):
  rows = summary.frame(studies.rows(small_study, str(done_study)))
  result = study_report.open_clinics(small_study, str(done_study), rows)
  sheets = study_report.efficiency_tables_of(result)
  assert set(sheets) == {"by_labels", "label_efficiency"}  # nothing chose
  by_labels = sheets["by_labels"]
  assert by_labels.header == ("clinic", "method", "0", "1", "2")
  cells = {row[1]: row[2:] for row in by_labels.rows}
  for line in result[0].summaries:
    if np.isfinite(line.rmse.mean):
      assert cells[tables.label(line.method)][line.n_target].startswith(f"{line.rmse.mean:.2f} (")
  reported = {(row[1], row[2]) for row in sheets["label_efficiency"].rows}
  assert ("fine-tuning", "1") in reported
  assert ("network from scratch", "1") not in reported
  assert ("source network unchanged", "0") in reported


def test_figures_of_few_strategies_show_all_of_them(small_study, done_study):
  rows = summary.frame(studies.rows(small_study, str(done_study)))
  (result,) = study_report.open_clinics(small_study, str(done_study), rows)
  assert set(result.drawn) == {*small_study.strategies, "gtf_target", "source"}
  several = dataclasses.replace(
    result.study, strategies=(*small_study.strategies, "combination", "multi_task/transducer")
  )
  assert "multi_task/transducer" not in dataclasses.replace(result, study=several).drawn
