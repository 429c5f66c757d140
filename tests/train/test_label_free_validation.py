"""Importance-weighted validation estimates an error on people whom it never saw."""

import numpy as np
import pytest

from cap_jax.strategies import importance
from cap_jax.train import label_free_validation

pytestmark = pytest.mark.quick


def test_weights_count_windows_and_subjects():
  """By hand: subject a has RMSE √(3·1 + 1·5)/4 = √2 with weight 4, b has 3 with weight 1."""
  result = label_free_validation.weighted_rmse(
    np.array([1.0, 9.0, 5.0]), np.array(["a", "b", "a"]), np.array([3.0, 1.0, 1.0])
  )
  assert result.rmse_mmhg == pytest.approx((4 * np.sqrt(2.0) + 3.0) / 5)
  assert result.subjects == pytest.approx(25 / 17)


def test_equal_weights_are_the_plain_mean_over_all_subjects():
  square, people = np.array([1.0, 4.0, 9.0]), np.array(["a", "b", "c"])
  result = label_free_validation.weighted_rmse(square, people, np.ones(3))
  assert result.rmse_mmhg == pytest.approx(2.0)
  assert result.subjects == pytest.approx(3.0)


def test_an_error_that_grows_with_the_pressure_is_predicted_where_pressures_are_higher():
  rng = np.random.default_rng(0)

  def people(mean, count):
    level = rng.normal(mean, 1.0, count)
    wave = np.sin(np.linspace(0, 20, 100)) * rng.uniform(0.9, 1.1, (count, 1))
    return level, (level[:, None] + wave).astype(np.float32)

  level_s, source = people(0.0, 4000)
  level_t, target = people(0.7, 4000)
  rmse_s, rmse_t = np.abs(2.0 + 0.5 * level_s), np.abs(2.0 + 0.5 * level_t)
  result = label_free_validation.weighted_rmse(np.square(rmse_s), np.arange(4000), importance.weights(source, target))
  assert result.rmse_mmhg == pytest.approx(rmse_t.mean(), abs=0.05)
  assert rmse_s.mean() < rmse_t.mean() - 0.25
  assert 500 < result.subjects < 4000
