"""Windows that the source does not contain."""

import numpy as np
import pytest

from cap_jax.data import outliers

pytestmark = pytest.mark.quick
FS_HZ = 125.0


def cosine(frequency_hz, samples=500):
  """A wave whose mirror image continues it, with a whole number of half periods."""
  return 90 + 10 * np.cos(2 * np.pi * frequency_hz * (np.arange(samples) + 0.5) / FS_HZ)


@pytest.mark.parametrize("frequency_hz", [1.0, 3.75, 8.0])
def test_tubing_has_the_gain_of_its_equation(frequency_hz):
  x_bt = cosine(frequency_hz)[None]
  result = outliers.through_tubing(x_bt, FS_HZ, natural_hz=4.0, damping=0.2, roll_off_hz=5.0, order=2)
  r = frequency_hz / 4.0
  gain = 1 / np.sqrt((1 - r**2) ** 2 + (2 * 0.2 * r) ** 2) / (1 + (frequency_hz / 5.0) ** 2)
  np.testing.assert_allclose(result - 90, gain * (x_bt - 90), atol=1e-8)


def test_each_window_has_an_outlier_and_each_kind_its_share():
  rng = np.random.default_rng(0)
  count = 32 * len(outliers.KINDS)
  rate = rng.uniform(0.8, 2.0, (count, 1))
  time_s = np.arange(500)[None] / FS_HZ
  x_bt = 90 + 15 * np.sin(2 * np.pi * rate * time_s) + 6 * np.sin(4 * np.pi * rate * time_s + 1)
  y_bt = x_bt - 3
  result = outliers.make(x_bt, y_bt, FS_HZ, seed=1)
  mean = x_bt.mean(1, keepdims=True)
  is_kind = {
    "upside_down": np.isclose(result, 2 * mean - x_bt).all(1),
    "reversed": np.isclose(result, x_bt[:, ::-1]).all(1),
    "other_site": np.isclose(result, y_bt).all(1),
  }
  assert {name: int(rows.sum()) for name, rows in is_kind.items()} == dict.fromkeys(is_kind, count // 5)
  filtered = ~np.logical_or.reduce(list(is_kind.values()))
  assert filtered.sum() == 2 * count // 5
  assert np.abs(result - x_bt)[filtered].max(1).min() > 0.01
  # filters change the shape of a pulse, not its mean pressure
  np.testing.assert_allclose(result[filtered].mean(1), x_bt[filtered].mean(1), atol=1.5)
  np.testing.assert_array_equal(result, outliers.make(x_bt, y_bt, FS_HZ, seed=1))
  assert (result != outliers.make(x_bt, y_bt, FS_HZ, seed=2)).any()


def test_a_single_window_is_enough():
  x_bt = cosine(1.0)[None]
  assert outliers.make(x_bt, x_bt, FS_HZ, seed=0).shape == x_bt.shape
