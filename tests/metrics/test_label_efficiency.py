"""Labels saved, gaps closed and choices against curves whose answers are known."""

import numpy as np
import pytest

from cap_jax.metrics import label_efficiency, waveform_metrics
from cap_jax.study import run_study, summary
from cap_jax.study.methods import BASELINES
from cap_jax.study.study_results import Key

pytestmark = pytest.mark.quick
PEOPLE = np.random.default_rng(1).uniform(0.8, 1.2, 40)
PEOPLE /= PEOPLE.mean()


def rows(method, n_target, rmse, seeds=(0, 1)):
  """A row a subject and seed whose mean RMSE is the given one; seeds differ by a tenth of it, and cancel."""
  return [
    run_study.row(
      Key("device", 0, method, n_target, s),
      waveform_metrics.SubjectErrors(subject=f"p{k}", beats=30, rmse_mmhg=rmse * one + 0.1 * sign),
      {},
    )
    for s, sign in zip(seeds, (1, -1), strict=False)
    for k, one in enumerate(PEOPLE)
  ]


def result(*pieces):
  output = label_efficiency.summarise(summary.frame([row for part in pieces for row in part]), BASELINES)
  return {(gain.method, gain.n_target): gain for gain in output}


SCRATCH = [*rows("scratch", 5, 2.0), *rows("scratch", 20, 1.0), *rows("scratch", 80, 0.5)]


def test_labels_lie_on_straight_lines_between_logarithms():
  # R = 2 at 5 and 1 at 20: R ∝ 1/√n, and likewise from 20 to 80
  n_k, scratch_k = np.array([5.0, 20, 80]), np.array([2.0, 1.0, 0.5])
  for n in (5, 7, 20, 33, 80):
    assert label_efficiency.equal_labels(n_k, scratch_k, 2 * np.sqrt(5 / n)) == pytest.approx(n)
  assert label_efficiency.equal_labels(n_k, scratch_k, 3.0) == 5
  assert np.isinf(label_efficiency.equal_labels(n_k, scratch_k, 0.49))


def test_more_labels_that_harm_count_as_no_better():
  n_k, scratch_k = np.array([5.0, 20, 80]), np.array([1.0, 2.0, 0.25])
  assert label_efficiency.equal_labels(n_k, scratch_k, 1.0) == 5
  assert label_efficiency.equal_labels(n_k, scratch_k, 0.5) == pytest.approx(40)  # half-way from 20 to 80 in ln n


def test_a_method_is_as_good_as_scratch_with_more_labels():
  output = result(SCRATCH, rows("fine_tuning", 5, 1.0), rows("multi_task", 5, 0.4), rows("gtf_target", 5, 1.5))
  assert set(output) == {("fine_tuning", 5), ("multi_task", 5)}
  gain = output["fine_tuning", 5].equivalent_labels
  assert gain.mean == pytest.approx(20)
  # errors of the same people in proportion: whoever is drawn, the ratio stays
  assert gain.low == pytest.approx(20)
  assert gain.high == pytest.approx(20)
  assert np.isinf(output["multi_task", 5].equivalent_labels.mean)
  assert np.isnan(output["fine_tuning", 5].gap_closed.mean)  # no source network


def test_an_interval_is_wide_where_people_differ():
  other = [
    run_study.row(
      Key("device", 0, "fine_tuning", 5, 0),
      waveform_metrics.SubjectErrors(subject=f"p{k}", beats=30, rmse_mmhg=value),
      {},
    )
    for k, value in enumerate(np.random.default_rng(2).permutation(np.linspace(0.2, 1.8, 40)))
  ]
  gain = result(SCRATCH, other)["fine_tuning", 5].equivalent_labels
  assert gain.low < 0.8 * gain.mean < gain.mean < 1.2 * gain.mean < gain.high


def test_the_gap_is_that_to_the_best_with_most_labels():
  output = result(
    SCRATCH, rows("source", 0, 1.5, seeds=(0,)), rows("domain_adaptation", 0, 1.1), rows("fine_tuning", 5, 0.9),
    rows("fine_tuning", 80, 0.6),
  )  # fmt: skip
  # seed 0 alone adds a tenth to the source's
  assert output["source", 0].gap_closed.mean == 0
  assert output["domain_adaptation", 0].gap_closed.mean == pytest.approx((1.6 - 1.1) / (1.6 - 0.5))
  assert output["fine_tuning", 5].gap_closed.mean == pytest.approx((1.6 - 0.9) / (1.6 - 0.5))
  assert output["domain_adaptation", 0].gap_closed.low <= output["domain_adaptation", 0].gap_closed.mean


def test_no_gap_where_the_source_is_best():
  output = result(SCRATCH, rows("source", 0, 0.3, seeds=(0,)), rows("domain_adaptation", 0, 0.4))
  assert np.isnan(output["domain_adaptation", 0].gap_closed.mean)


def test_choices_beside_the_best_of_each_cell():
  pieces = [*SCRATCH, *rows("source", 0, 1.0, seeds=(0,)), *rows("domain_adaptation", 0, 1.3)]
  pieces += [*rows("auto", 0, 1.05), *rows("auto", 5, 1.5), *rows("auto", 20, 1.3), *rows("auto", 80, 0.5)]
  pieces += rows("fine_tuning", 5, 1.5)
  pieces += rows("gtf_target", 20, 0.1)  # a baseline is no strategy to choose
  output = label_efficiency.choices(summary.frame(pieces), BASELINES)
  assert (output.cell_count, output.near) == (8, 6)  # 30 % off with 20 labels, at both seeds
  assert output.worst == pytest.approx(0.3 / 0.9)
  assert output.regret == pytest.approx(((1.15 + 0.95) / 1.1 + 2 + 1.4 / 1.1 + 1.2 / 0.9 + 2) / 8 - 1, abs=1e-6)


def test_the_own_transfer_function_is_a_candidate():
  pieces = [*rows("auto", 5, 1.2), *rows("fine_tuning", 5, 1.2), *rows(label_efficiency.TARGET_FILTER, 5, 1.0)]
  output = label_efficiency.choices(summary.frame(pieces), BASELINES)
  assert (output.cell_count, output.near) == (2, 0)
  assert output.regret == pytest.approx((1.3 / 1.1 + 1.1 / 0.9) / 2 - 1, abs=1e-6)


def test_no_choices_without_auto():
  assert label_efficiency.choices(summary.frame(SCRATCH), BASELINES) is None
  assert label_efficiency.choices(summary.frame(rows("auto", 5, 1.0)), BASELINES) is None
