"""Errors by hand."""

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import batches
from cap_jax.metrics import waveform_metrics

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def held_out():
  t = np.arange(500) / 125
  y = np.stack([80 + 40 * np.exp(-(((t + s) % 0.9 - 0.3) ** 2) / 0.01) for s in (0, 0.2, 0.4, 0.1)])
  return batches.Pairs(y.astype(np.float32), y.astype(np.float32), np.array(["a", "a", "b", "b"]))


def test_a_constant_error_is_itself_everywhere_but_in_pulse_pressure(held_out):
  evaluator = waveform_metrics.Evaluator(held_out, config.Windows())
  for result in evaluator.errors(held_out.y_bt + 3):
    assert result.rmse_mmhg == pytest.approx(3, abs=1e-4)
    assert result.csbp_error_mmhg == result.cdbp_error_mmhg == pytest.approx(3, abs=1e-3)
    assert result.map_error_mmhg == pytest.approx(3, abs=1e-3)
    assert result.cpp_error_mmhg == pytest.approx(0, abs=1e-3)


def test_a_delay_is_free_of_lag(held_out):
  evaluator = waveform_metrics.Evaluator(held_out, config.Windows())
  late = np.roll(held_out.y_bt, 8, axis=1)
  for result in evaluator.errors(late):
    assert result.rmse_mmhg > 3
    assert result.rmse_lag_free_mmhg < 1e-3
  for result in evaluator.errors(held_out.y_bt + np.random.default_rng(0).normal(size=held_out.y_bt.shape)):
    assert result.rmse_lag_free_mmhg <= result.rmse_mmhg


def test_the_margins_count_in_no_error(held_out):
  evaluator = waveform_metrics.Evaluator(held_out, config.Windows())
  wrong = held_out.y_bt.copy()
  wrong[:, :31] = wrong[:, -31:] = 0
  result = evaluator.errors(wrong)
  assert [f.subject for f in result] == ["a", "b"]
  assert waveform_metrics.mean_rmse(result) == 0


def test_rmse_is_per_subject_then_mean(held_out):
  evaluator = waveform_metrics.Evaluator(held_out, config.Windows())
  offset = np.array([1, 7, 2, 2.0])[:, None]  # √((1 + 49)/2) = 5 and 2
  result = evaluator.errors(held_out.y_bt + offset)
  np.testing.assert_allclose([f.rmse_mmhg for f in result], [5, 2], rtol=1e-4)
  assert waveform_metrics.mean_rmse(result) == pytest.approx(3.5, rel=1e-4)


def test_relative_errors_and_readings_by_hand(held_out):
  evaluator = waveform_metrics.Evaluator(held_out, config.Windows())
  pulse, gain = evaluator.errors(held_out.y_bt)[0].cpp_true_mmhg, 1.5
  mean = held_out.y_bt.mean()
  for result in evaluator.errors(mean + gain * (held_out.y_bt - mean)):
    assert result.r == pytest.approx(1, abs=1e-4)
    assert result.nrmse_percent == pytest.approx(100 * result.rmse_mmhg / pulse, rel=1e-4)
    assert result.cpp_error_mmhg == pytest.approx(0.5 * pulse, rel=1e-3)
    assert result.form_factor_error == pytest.approx(0, abs=1e-3)
    assert result.aix_error_percent == pytest.approx(0, abs=0.1) or np.isnan(result.aix_true_percent)
  assert all(result.r == pytest.approx(-1, abs=1e-4) for result in evaluator.errors(2 * mean - held_out.y_bt))
  # one window of each subject is 7 mmHg off, the other 12
  for result in evaluator.errors(held_out.y_bt + np.array([7, 12, 12, 7.0])[:, None]):
    assert result.csbp_frac_within_5mmhg == 0
    assert 0.3 < result.csbp_frac_within_10mmhg < 0.7
    assert (result.csbp_frac_within_15mmhg, result.cdbp_frac_within_15mmhg) == (1, 1)
    assert result.csbp_mae_mmhg == pytest.approx(
      7 * result.csbp_frac_within_10mmhg + 12 * (1 - result.csbp_frac_within_10mmhg), rel=1e-4
    )


def test_beats_without_an_answer_are_no_misses(held_out):
  evaluator = waveform_metrics.Evaluator(held_out, config.Windows())
  silent = held_out.y_bt + 3
  silent[0] = np.nan
  first, second = evaluator.errors(silent, only_systolic=True)
  assert first.csbp_error_mmhg == pytest.approx(3, abs=1e-3)
  assert first.csbp_frac_within_5mmhg == second.csbp_frac_within_5mmhg == 1
  silent[1] = np.nan
  first, _ = evaluator.errors(silent, only_systolic=True)
  assert np.isnan(first.csbp_error_mmhg)
  assert np.isnan(first.csbp_frac_within_5mmhg)


def test_unusable_predictions_are_refused(held_out):
  evaluator = waveform_metrics.Evaluator(held_out, config.Windows())
  with pytest.raises(ValueError, match="the test windows have"):
    evaluator.errors(held_out.y_bt[:2])
  with pytest.raises(ValueError, match="contains NaN"):
    evaluator.errors(held_out.y_bt * np.nan)
