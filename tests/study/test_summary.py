"""Rows to summaries_of: what is averaged over what, compared with what, and when it is called negative transfer."""

import numpy as np
import pandas
import pytest

from cap_jax.metrics import agreement, waveform_metrics
from cap_jax.study import run_study, summary
from cap_jax.study.study_results import Key

pytestmark = pytest.mark.quick
RNG = np.random.default_rng(0)


def rows(method, n_target, rmse, seeds=(0,), scenario="device", shift=0.0):
  """A row a subject and seed; `rmse` of each subject, and 0.1 mmHg more by seed; cSBP errors 2 less, and `shift` more by seed."""
  return [
    run_study.row(
      Key(scenario, 0, method, n_target, seed),
      waveform_metrics.SubjectErrors(
        subject=f"p{k}",
        beats=30,
        rmse_mmhg=value + 0.1 * seed,
        csbp_true_mmhg=120.0 + k,
        csbp_error_mmhg=value - 2 + shift * seed,
        csbp_error_sd_mmhg=0.0,
        csbp_frac_within_5mmhg=0.5,
        csbp_frac_within_10mmhg=1.0,
        csbp_frac_within_15mmhg=1.0,
        csbp_mae_mmhg=4.0 + 0.1 * seed,
      ),
      {"train_s": 1.0 + seed, "steps": 50},
    )
    for seed in seeds
    for k, value in enumerate(rmse)
  ]


BASE = RNG.uniform(1, 3, 30)


def summaries_of(*pieces):
  result = summary.summarise(summary.frame([row for part in pieces for row in part]))
  return {(line.scenario, line.method, line.n_target): line for line in result}


def test_a_subject_counts_once_over_seeds():
  line = summaries_of(rows("scratch", 5, BASE, seeds=(0, 1, 2)))["device", "scratch", 5]
  assert (line.subjects, line.seeds) == (30, 3)
  assert line.rmse.mean == pytest.approx(BASE.mean() + 0.1)
  assert line.rmse == agreement.interval(BASE + 0.1)  # over 30 subjects, not over 90 rows
  assert line.error["csbp"] == pytest.approx(((BASE - 2).mean(), np.tile(BASE - 2, 3).std(ddof=1)))
  assert line.train_s == pytest.approx(2.0)


def test_signed_errors_of_several_trainings_are_no_ensembles():
  """Errors of −4, 0 and 4 mmHg by seed have no mean, and a spread."""
  part = summary.frame(rows("fine_tuning", 5, np.full(30, 2.0) + 1e-3 * BASE, seeds=(-1, 0, 1), shift=4.0))
  line = summary.summarise(part)[0]
  assert line.error["csbp"][0] == pytest.approx(0, abs=0.01)
  assert line.error["csbp"][1] == pytest.approx(4 * np.sqrt(60 / 89), rel=0.01)
  result = summary.limits(part, "csbp")
  assert result.between == pytest.approx(4, rel=0.01)
  readings = summary.readings(part, "csbp")
  assert readings.percent_within == (50.0, 100.0, 100.0)
  assert readings.mad == pytest.approx(4.0)
  assert readings.sd_of_subjects == pytest.approx(line.error["csbp"][1])
  assert len(readings.true_s) == 30
  assert summary.limits(part[part["subject"].isin(["p0", "p1"])], "csbp") is None


def test_negative_transfer_is_certain_likely_or_none():
  noise = RNG.normal(0, 0.05, 30)
  result = summaries_of(
    rows("scratch", 5, BASE),
    rows("fine_tuning", 5, BASE + 0.5 + noise),
    rows("feature_transfer", 5, BASE - 0.5 + noise),
    rows("multi_task", 5, BASE + np.where(np.arange(30) % 2, 1.0, -0.9)),
    rows("gtf_target", 5, BASE + 2 + noise),
  )
  assert {name: line.harm for (_, name, _), line in result.items()} == {
    "scratch": "", "fine_tuning": "certain", "feature_transfer": "", "multi_task": "likely", "gtf_target": "",
  }  # fmt: skip
  assert result["device", "fine_tuning", 5].against == "scratch"
  assert result["device", "fine_tuning", 5].difference.mean == pytest.approx(0.5, abs=0.05)


def test_without_labels_the_unchanged_source_is_the_measure():
  result = summaries_of(rows("source", 0, BASE), rows("domain_adaptation", 0, BASE + 0.3 + RNG.normal(0, 0.02, 30)))
  line = result["device", "domain_adaptation", 0]
  assert (line.against, line.harm) == ("source", "certain")
  assert result["device", "source", 0].against == ""


def test_p_values_are_adjusted_over_the_clinics_comparisons():
  pieces = [
    rows("scratch", 5, BASE),
    *(rows(name, 5, BASE + RNG.normal(0.05, 0.1, 30)) for name in ("fine_tuning", "feature_transfer", "multi_task")),
  ]
  result = summaries_of(*pieces)
  single = {
    name: summaries_of(pieces[0], part)["device", name, 5].p
    for name, part in zip(("fine_tuning", "feature_transfer", "multi_task"), pieces[1:], strict=True)
  }
  together = [result["device", name, 5].p for name in single]
  np.testing.assert_allclose(together, agreement.holm(list(single.values())))
  assert max(together) > max(single.values()) - 1e-12


def test_clinics_stay_apart():
  result = summaries_of(rows("scratch", 5, BASE), rows("scratch", 5, BASE + 1, scenario="population"))
  assert result["population", "scratch", 5].rmse.mean == pytest.approx(BASE.mean() + 1)
  assert result["device", "scratch", 5].rmse.mean == pytest.approx(BASE.mean())


def diverged(method, n_target, seeds):
  return [
    run_study.row(
      Key("device", 0, method, n_target, seed), waveform_metrics.SubjectErrors(subject=f"p{k}"), {"diverged": 1}
    )
    for seed in seeds
    for k in range(30)
  ]


def test_a_diverged_training_is_counted_and_compared_at_the_seeds_that_both_have():
  noise = RNG.normal(0, 0.05, 30)
  result = summaries_of(
    rows("scratch", 5, BASE, seeds=(0, 10)),  # 1 mmHg worse at the second seed
    [*rows("fine_tuning", 5, BASE - 0.5 + noise), *diverged("fine_tuning", 5, (10,))],
    diverged("multi_task", 5, (0, 10)),
  )
  line = result["device", "fine_tuning", 5]
  assert (line.cell_count, line.diverged) == (2, 1)
  assert line.train_s == pytest.approx(1.0)  # of the training that ended
  assert np.isnan(result["device", "multi_task", 5].train_s)
  assert line.rmse.mean == pytest.approx((BASE - 0.5 + noise).mean())
  assert line.difference.mean == pytest.approx((noise - 0.5).mean())
  assert line.harm == "likely"  # better where it ended; but it did not always
  assert result["device", "multi_task", 5].harm == "certain"
  assert np.isnan(result["device", "multi_task", 5].rmse.mean)
  assert result["device", "multi_task", 5].against == "scratch"


def test_folds_are_compared_where_both_came_to_an_end():
  """Scratch ends in both folds, fine-tuning at this seed in the first alone: the second must not stand against nothing."""
  noise = RNG.normal(0, 0.05, 30)
  theirs = summary.frame([*rows("scratch", 5, BASE, seeds=(0, 10)), *rows("scratch", 5, BASE + 5, seeds=(0, 10))])
  theirs["fold"] = np.repeat([0, 1], 60)
  theirs["subject"] += np.where(theirs["fold"] == 1, "b", "")
  mine = theirs.assign(method="fine_tuning", rmse_mmhg=theirs["rmse_mmhg"] - 0.5 + np.tile(noise, 4))
  lost = (mine["fold"] == 1) & (mine["seed"] == 10)
  mine = mine.assign(rmse_mmhg=mine["rmse_mmhg"].where(~lost), diverged=lost.astype(int))
  result = {line.method: line for line in summary.summarise(pandas.concat([theirs, mine]))}
  assert result["fine_tuning"].difference.mean == pytest.approx((noise - 0.5).mean())


def test_every_strategy_is_set_against_every_baseline():
  noise = RNG.normal(0, 0.05, (3, 30))
  part = summary.frame([
    *rows("source", 0, BASE), *rows("gtf_target", 5, BASE + 1 + noise[0], seeds=(0, 1)), *rows("rescaled", 0, BASE + 1),
    *rows("npma", 0, np.full(30, np.nan)),
    *rows("fine_tuning", 5, BASE - 0.5 + noise[1], seeds=(0, 1)), *rows("domain_adaptation", 0, BASE + 0.3 + noise[2]),
  ])  # fmt: skip
  result = {(one.method, one.against): one for one in summary.contrasts(part)}
  assert set(result) == {(a, b) for a in ("fine_tuning", "domain_adaptation") for b in ("source", "gtf_target")}
  # the source has no seeds: it stands beside both of fine-tuning's, of which the second is 0.1 worse
  assert result["fine_tuning", "source"].difference.mean == pytest.approx((noise[1] - 0.45).mean())
  assert result["fine_tuning", "gtf_target"].difference.mean == pytest.approx((noise[1] - noise[0] - 1.5).mean())
  assert result["domain_adaptation", "source"].difference.low > 0
  single = [agreement.paired(BASE + 0.3 + noise[2], BASE).p, result["domain_adaptation", "source"].p]
  assert single[1] >= single[0]


def test_bounds_are_compared_with_nothing():
  result = summaries_of(rows("source", 0, BASE), rows("rescaled", 0, BASE + 1), rows("peripheral", 0, BASE + 2))
  assert result["device", "rescaled", 0].against == ""
  assert result["device", "peripheral", 0].against == "source"


def test_one_without_beats_has_not_diverged():
  nobody = waveform_metrics.SubjectErrors(subject="p30", rmse_mmhg=2.0)
  part = [run_study.row(Key("device", 0, "fine_tuning", 5, 0), nobody, {}), *rows("fine_tuning", 5, BASE)]
  line = summaries_of(part)["device", "fine_tuning", 5]
  assert (line.diverged, line.subjects) == (0, 31)


def test_of_nothing_there_is_nothing():
  assert summary.summarise(pandas.DataFrame()) == []


def test_a_method_that_changes_nothing_harms_nobody():
  """What seeds leave alone differs from itself by the rounding of their mean."""
  result = summaries_of(
    rows("source", 0, BASE), [{**row, "seed": seed} for seed in range(3) for row in rows("domain_adaptation", 0, BASE)]
  )
  assert result["device", "domain_adaptation", 0].difference.mean == pytest.approx(0, abs=1e-12)
  assert result["device", "domain_adaptation", 0].harm == ""
