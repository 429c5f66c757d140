"""Rows to lines: what is averaged over what, compared with what, and when it is called negative transfer."""

import dataclasses

import numpy as np
import pandas
import pytest

from cap_jax.evaluation import agreement, errors, study, summary
from cap_jax.evaluation.cells import Key

RNG = np.random.default_rng(0)


def rows(method, n_target, rmse, seeds=(0,), scenario="device"):
  """A row a subject and seed; `rmse` of each subject, and 0.1 mmHg more by seed."""
  return [
    study.row(
      Key(scenario, 0, method, n_target, seed),
      errors.SubjectErrors(f"p{k}", 30, rmse_mmhg=value + 0.1 * seed, csbp_error_mmhg=value - 2),
      {"train_s": 1.0 + seed, "steps": 50},
    )
    for seed in seeds
    for k, value in enumerate(rmse)
  ]


BASE = RNG.uniform(1, 3, 30)


def lines(*parts):
  found = summary.summarise(summary.frame([row for part in parts for row in part]))
  return {(line.scenario, line.method, line.n_target): line for line in found}


def test_a_subject_counts_once_over_seeds():
  line = lines(rows("scratch", 5, BASE, seeds=(0, 1, 2)))["device", "scratch", 5]
  assert (line.subjects, line.seeds) == (30, 3)
  assert line.rmse.mean == pytest.approx(BASE.mean() + 0.1)
  assert line.rmse == agreement.interval(BASE + 0.1)  # over 30 subjects, not over 90 rows
  assert line.error["csbp"] == pytest.approx(((BASE - 2).mean(), (BASE - 2).std(ddof=1)))
  assert line.train_s == pytest.approx(2.0)


def test_negative_transfer_is_certain_likely_or_none():
  noise = RNG.normal(0, 0.05, 30)
  found = lines(
    rows("scratch", 5, BASE),
    rows("fine_tuning", 5, BASE + 0.5 + noise),
    rows("feature_transfer", 5, BASE - 0.5 + noise),
    rows("multi_task", 5, BASE + np.where(np.arange(30) % 2, 1.0, -0.9)),
    rows("gtf_target", 5, BASE + 2 + noise),
  )
  assert {name: line.harm for (_, name, _), line in found.items()} == {
    "scratch": "", "fine_tuning": "certain", "feature_transfer": "", "multi_task": "likely", "gtf_target": "",
  }  # fmt: skip
  assert found["device", "fine_tuning", 5].against == "scratch"
  assert found["device", "fine_tuning", 5].difference.mean == pytest.approx(0.5, abs=0.05)


def test_without_labels_the_unchanged_source_is_the_measure():
  found = lines(rows("source", 0, BASE), rows("domain_adaptation", 0, BASE + 0.3 + RNG.normal(0, 0.02, 30)))
  line = found["device", "domain_adaptation", 0]
  assert (line.against, line.harm) == ("source", "certain")
  assert found["device", "source", 0].against == ""


def test_p_values_are_adjusted_over_the_clinics_comparisons():
  parts = [
    rows("scratch", 5, BASE),
    *(rows(name, 5, BASE + RNG.normal(0.05, 0.1, 30)) for name in ("fine_tuning", "feature_transfer", "multi_task")),
  ]
  found = lines(*parts)
  alone = {
    name: lines(parts[0], part)["device", name, 5].p
    for name, part in zip(("fine_tuning", "feature_transfer", "multi_task"), parts[1:], strict=True)
  }
  together = [found["device", name, 5].p for name in alone]
  np.testing.assert_allclose(together, agreement.holm(list(alone.values())))
  assert max(together) > max(alone.values()) - 1e-12


def test_clinics_stay_apart():
  found = lines(rows("scratch", 5, BASE), rows("scratch", 5, BASE + 1, scenario="population"))
  assert found["population", "scratch", 5].rmse.mean == pytest.approx(BASE.mean() + 1)
  assert found["device", "scratch", 5].rmse.mean == pytest.approx(BASE.mean())


def test_a_diverged_cell_is_counted_and_leaves_its_mean_to_the_others():
  lost = [
    {**row, **{k: v for k, v in dataclasses.asdict(errors.SubjectErrors(row["subject"])).items() if k != "subject"}}
    for row in rows("fine_tuning", 5, BASE, seeds=(1,))
  ]
  line = lines(rows("fine_tuning", 5, BASE), lost)["device", "fine_tuning", 5]
  assert line.diverged == 1
  assert line.rmse.mean == pytest.approx(BASE.mean())


def test_of_nothing_there_is_nothing():
  assert summary.summarise(pandas.DataFrame()) == []
