"""Who the subjects are: characteristics of the groups, and the list by patient."""

import numpy as np
import pandas
import pytest

from cap_jax.report import participants, study_report, tables
from cap_jax.study import characteristics, summary
from cap_jax.study import run_study as studies

pytestmark = pytest.mark.quick


def rows_of(rmse, **columns):
  """Rows of one method, with the subjects P00, P01 …"""
  count = len(rmse)
  values = {
    "age": 60.0,
    "hr_bpm": 70.0,
    "amplification": 1.4,
    "csbp_true_mmhg": 120.0,
    "csbp_error_mmhg": -0.04,
    "ood_fraction": 0.0,
  }
  values |= {
    "scenario": "here",
    "method": "fine_tuning",
    "rmse_mmhg": rmse,
    "subject": [f"P{k:02d}" for k in range(count)],
  }
  return pandas.DataFrame({**values, **columns})


def test_the_worst_patient_is_first_and_an_outlier_is_marked_with_what_is_unusual():
  rmse = [0.5, 0.6, 0.4, 0.7, 0.55, 3.0, 0.45]
  amplification = [1.4, 1.45, 1.35, 1.5, 1.42, 2.4, 1.38]
  rows = rows_of(
    rmse, amplification=amplification, hr_bpm=[70, 72, 69, 71, 130, 70, 73], ood_fraction=[0, 0, 0, 0.8, 0, 0, 0]
  )
  table = participants.patients(rows, {})
  assert [row[0] for row in table.rows] == ["P05 !", "P03", "P01", "P04", "P00", "P06", "P02"]
  assert [bool(mark) for mark in table.marks] == [True] + [False] * 6
  unusual = {row[0]: row[-1] for row in table.rows}
  assert unusual["P05 !"] == "amplification 2.40 (middle half of all: 1.39 to 1.48)"
  assert unusual["P04"].startswith("heart rate 130 bpm (")
  assert unusual["P03"] == "80 % of its windows out of distribution"
  assert not unusual["P00"]
  low, high = np.percentile(rmse, [25, 75])
  assert f"beyond {high + 1.5 * (high - low):.2f} mmHg" in table.note
  assert table.rows[0][table.header.index("cSBP error")] == "+0.0"  # no -0.0


def test_an_outlier_without_anything_unusual_is_marked_too():
  table = participants.patients(rows_of([0.5, 0.6, 0.4, 0.7, 0.55, 3.0]), {})
  assert (table.rows[0][0], table.rows[0][-1]) == ("P05 !", "only its error")


def test_a_named_subject_is_marked_and_few_subjects_have_no_rule():
  table = participants.patients(rows_of([0.5, 9.0, 0.4]), {"P00": "amplification of the pulse pressure 0.50"})
  assert [row[0] for row in table.rows] == ["P01", "P00 !", "P02"]
  assert table.rows[1][-1] == "amplification of the pulse pressure 0.50"
  assert table.note.startswith("Fewer than 5 subjects")


def test_a_subject_counts_once_over_draws_and_one_without_errors_is_left_out():
  rows = pandas.concat([rows_of([1.0, np.nan]), rows_of([2.0, np.nan])])
  table = participants.patients(rows, {})
  assert [row[:2] for row in table.rows] == [("P00", "1.50")]


def test_what_is_unknown_of_a_group_is_a_dash():
  groups = {
    "network": characteristics.Group(1200, 0),
    "evaluated": characteristics.Group(4, 20, {"age": characteristics.Spread(3, 61.24, 4.0), "csbp_mmhg": characteristics.Spread(4, 120, 9)}),
  }  # fmt: skip
  table = participants.characteristics_table(groups)
  cells = {row[0]: row[1:] for row in table.rows}
  assert cells["subjects"] == ("1,200", "4")
  assert cells["windows"] == ("—", "20")
  assert cells["age [years]"] == ("—", "61.2 ± 4.0 (n = 3)")
  assert cells["heart rate [bpm]"] == cells["SBP [mmHg]"] == cells["PP [mmHg]"] == ("—", "—")
  assert cells["central SBP [mmHg]"] == ("—", "120.0 ± 9.0")
  assert "central PP [mmHg]" not in cells  # which no group has
  assert participants.characteristics_section({}, "here") == []


def test_the_groups_of_a_study_are_those_of_its_split(small_study, done_study):
  rows = summary.frame(studies.rows(small_study, str(done_study)))
  (clinic,) = study_report.open_clinics(small_study, str(done_study), rows)
  sizes = {name: group.subjects for name, group in clinic.groups.items()}
  assert sizes == {
    "source_training": 24, "source_validation": 2, "target_labelled": 3, "target_unlabelled": 3, "target_validation": 2, "target_test": 4,
  }  # fmt: skip
  test = clinic.groups["target_test"]
  assert test.windows == 8  # 8 s of each, in windows of 4 s
  people = summary.of_subjects(rows[rows["method"] == "scratch"])
  for name, column in (("age", "age"), ("csbp_mmhg", "csbp_true_mmhg"), ("hr_bpm", "hr_bpm")):
    values = people[column].to_numpy(float)
    n, mean, sd = test.values[name]
    tolerance = {"age": 1e-3, "csbp_mmhg": 0.5, "hr_bpm": 1.0}[name]
    assert (n, mean, sd) == (
      4,
      pytest.approx(values.mean(), abs=tolerance),
      pytest.approx(values.std(ddof=1), abs=tolerance),
    )
  assert "csbp_mmhg" not in clinic.groups["target_unlabelled"].values
  assert test.values["pp_mmhg"].mean == pytest.approx(test.values["sbp_mmhg"].mean - test.values["dbp_mmhg"].mean)
  table = participants.characteristics_table(clinic.groups)
  assert table.header[1:] == tuple(participants.GROUPS[name] for name in clinic.groups)
  assert isinstance(table, tables.Table)
