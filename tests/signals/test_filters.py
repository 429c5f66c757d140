"""Resampling."""

import numpy as np
import pytest

from cap_jax.signals import filters

pytestmark = pytest.mark.quick


def wave(t):
  return 90 + 20 * np.sin(2 * np.pi * 1.2 * t) + 5 * np.cos(2 * np.pi * 4.8 * t)


def test_resampling_neither_shifts_nor_scales():
  for rate, other in ((60.0, 125.0), (500.0, 125.0), (124.945, 125.0)):
    t, at = np.arange(0, 8, 1 / rate), np.arange(0.5, 7.5, 1 / other)
    assert np.abs(filters.resample(t, wave(t), at) - wave(at)).max() < 0.1


def test_an_irregular_clock_is_met():
  rng = np.random.default_rng(0)
  t = np.cumsum(rng.uniform(0.004, 0.012, 1000))
  at = np.arange(0.5, 7, 0.008)
  assert np.abs(filters.resample(t, wave(t), at) - wave(at)).max() < 0.05


def test_slower_clocks_do_not_alias():
  t = np.arange(0, 8, 0.002)
  at = np.arange(1, 7, 1 / 60)
  signals_received = filters.resample(t, 90 + 10 * np.sin(2 * np.pi * 55 * t), at)
  assert np.abs(signals_received - 90).max() < 0.5
