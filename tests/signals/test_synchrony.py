"""Lags between signals: a monitor's delay, found beat by beat."""

import numpy as np
import pytest

from cap_jax.signals import synchrony

pytestmark = pytest.mark.quick


def pulses(fs_hz, seconds, delay_s=0.0, seed=0, smooth=1.0):
  """A pressure whose intervals vary as those of a heart, later by a delay; `smooth` slows its upstroke."""
  rng = np.random.default_rng(seed)
  onsets = np.cumsum(0.85 + 0.04 * rng.standard_normal(int(1.3 * seconds) + 10)) - 4
  time_s = np.arange(int(seconds * fs_hz)) / fs_hz - delay_s
  p_t = np.full(time_s.size, 80.0)
  for onset in onsets:
    since = np.maximum(time_s - onset, 0)
    p_t += 40 * (np.square(since / (0.12 * smooth)) * np.exp(2 - 2 * since / (0.12 * smooth)))
  return p_t


@pytest.mark.parametrize("delay_s", [-0.4, -0.05, 0.0, 0.0313, 0.34, 1.2])
def test_a_constant_delay_is_found_within_half_a_sample(delay_s):
  fs_hz = 125.0
  result = synchrony.find_lag(pulses(fs_hz, 60), pulses(fs_hz, 60, delay_s), fs_hz)
  assert result.lag_s == pytest.approx(delay_s, abs=0.5 / fs_hz)
  assert result.constant
  assert result.beats > 50


def test_a_slower_upstroke_is_not_a_delay():
  result = synchrony.find_lag(pulses(125.0, 60), pulses(125.0, 60, smooth=1.6), 125.0)
  assert abs(result.lag_s) < 0.015


def test_a_drifting_delay_is_not_constant():
  time_s = np.arange(60 * 125) / 125
  drifting = np.interp(time_s - 0.2 * time_s / 60, time_s, pulses(125.0, 60))
  result = synchrony.find_lag(pulses(125.0, 60), drifting, 125.0)
  assert not result.constant


def test_gaps_and_signals_without_beats():
  first, second = pulses(125.0, 60), pulses(125.0, 60, 0.3)
  first[1000:2500] = second[4000:4400] = np.nan
  assert synchrony.find_lag(first, second, 125.0).lag_s == pytest.approx(0.3, abs=0.004)
  assert synchrony.find_lag(first, np.full(first.size, np.nan), 125.0) is None
  assert synchrony.find_lag(first, np.zeros(first.size), 125.0) is None
