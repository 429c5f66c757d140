"""Formulas for cSBP, and scaling of waves to pressures."""

import numpy as np
import pytest

from cap_jax.baselines import rescaling, systolic
from tests.baselines.waves import SPEC, pairs, pulse

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(("site", "points"), [("radial", 31), ("brachial", 21)])
def test_the_moving_average_is_over_a_fraction_of_the_rate(site, points):
  """125/4 and 125/6 samples, rounded; centred, with the ends held."""
  x = np.random.default_rng(0).normal(100, 10, (2, 500)).astype(np.float32)
  result = systolic.moving_average(x, site, SPEC)
  by_hand = np.lib.stride_tricks.sliding_window_view(x, points, axis=1).mean(2)
  half = points // 2
  np.testing.assert_allclose(result[:, half : 500 - half], by_hand, rtol=1e-5)


def test_no_points_were_published_for_the_finger():
  with pytest.raises(KeyError):
    systolic.moving_average(np.zeros((1, 500)), "digital", SPEC)


def test_map_squared_over_diastolic_by_hand():
  x = pulse(4)[None].astype(np.float32)
  beat = pulse(0.8)
  result = systolic.mean_squared_over_diastolic(x, SPEC)
  assert result.shape == x.shape
  np.testing.assert_allclose(result, beat.mean() ** 2 / beat.min(), rtol=2e-3)
  assert np.isnan(systolic.mean_squared_over_diastolic(np.full((1, 500), 80.0), SPEC)).all()


def test_a_wave_gets_the_true_mean_and_diastole():
  shape = [pulse(4, phase=k / 4) for k in range(4)]
  true = [pulse(4, 0.9, k / 4, dbp, pp) for k, (dbp, pp) in enumerate([(60, 30), (60, 30), (90, 70), (90, 70)])]
  windows = pairs(shape, true)
  result = rescaling.to_true_levels(windows.x_bt, windows)
  for rows in (slice(0, 2), slice(2, 4)):
    assert result[rows].mean() == pytest.approx(windows.y_bt[rows].mean(), rel=1e-5)
    assert result[rows].min(1).mean() == pytest.approx(windows.y_bt[rows].min(1).mean(), rel=1e-5)


def test_a_flat_shape_stays_flat_at_the_true_mean():
  true = np.tile(80 + 40 * np.sin(np.linspace(0, 12, 500)) ** 2, (2, 1))
  result = rescaling.to_true_levels(np.full((2, 500), 7.0), pairs(list(true), list(true), per_subject=2))
  np.testing.assert_allclose(result, true.mean())


def test_the_affine_map_is_found_and_margins_do_not_count():
  p = np.random.default_rng(1).normal(90, 15, (6, 500))
  y = 0.8 * p + 12
  y[:, :31] += 500
  result = rescaling.fit_affine(p, y, SPEC.margin)
  assert result.gain == pytest.approx(0.8)
  assert result.offset == pytest.approx(12.0)
  np.testing.assert_allclose(result.predict(p)[:, 31:-31], y[:, 31:-31])
