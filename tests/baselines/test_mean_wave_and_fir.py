"""Transfer function and mean wave."""

import numpy as np
import pytest

from cap_jax import config
from cap_jax.baselines import mean_wave, transfer_function
from cap_jax.data import batches

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(0)


def noise_pairs(count, taps, bias, scatter=0.0):
  """x white, y its exact FIR response."""
  half = len(taps) // 2
  x = RNG.normal(90, 15, (count, 500 + 2 * half))
  y = np.stack([np.convolve(row, taps, mode="valid") for row in x]) + bias + scatter * RNG.normal(size=(count, 500))
  names = np.array([f"s{k // 4}" for k in range(count)])
  return batches.Pairs(x[:, half : half + 500].astype(np.float32), y.astype(np.float32), names)


def test_least_squares_finds_the_filter_itself():
  taps = np.zeros(11)
  taps[[1, 5, 6, 9]] = [0.1, 0.5, 0.3, -0.2]  # convolution order: taps[j] weighs x(t + 5 − j)
  fitted = transfer_function.fit(noise_pairs(40, taps, 4.0), noise_pairs(8, taps, 4.0), config.Windows())
  half = len(fitted.taps) // 2
  np.testing.assert_allclose(fitted.taps[half - 5 : half + 6], taps, atol=2e-3)
  assert fitted.bias == pytest.approx(4.0, abs=0.3)
  fresh = noise_pairs(4, taps, 4.0)
  assert np.abs(fitted.predict(fresh.x_bt) - fresh.y_bt)[:, 31:-31].max() < 0.3


def test_a_delay_is_undone():
  t = np.arange(2000) / 125
  wave = 90 + 15 * np.sin(2 * np.pi * 1.1 * t) + 6 * np.sin(2 * np.pi * 3.3 * t + 1) + RNG.normal(0, 1, 2000)
  frames = np.lib.stride_tricks.sliding_window_view(wave, 510)[::30]
  pairs = batches.Pairs(
    frames[:, :500].astype(np.float32), frames[:, 10:].astype(np.float32), np.array(["a"] * len(frames))
  )
  fitted = transfer_function.fit(pairs, pairs, config.Windows())
  lag = np.arange(len(fitted.taps)) - len(fitted.taps) // 2
  assert lag[np.argmax(fitted.taps)] == -10  # y(t) = x(t + 10)


def test_mean_wave_is_laid_on_the_beats_of_the_input():
  t = np.arange(500) / 125

  def pair(period, phase):
    u = (t / period + phase) % 1
    radial = 70 + 50 * np.exp(-((u - 0.3) ** 2) / 0.01)
    aortic = 75 + 30 * np.exp(-((u - 0.25) ** 2) / 0.02)
    return radial, aortic

  waves = [pair(RNG.uniform(0.7, 1.0), RNG.uniform()) for _ in range(60)]
  x, y = (np.stack(part).astype(np.float32) for part in zip(*waves, strict=True))
  pairs = batches.Pairs(x, y, np.array(["a"] * 60))
  fitted = mean_wave.fit(pairs, 125.0)
  assert fitted.wave.max() == pytest.approx(105, abs=2)
  assert fitted.wave.min() == pytest.approx(75, abs=2)
  error = fitted.predict(x) - y
  assert np.sqrt(np.square(error[:, 31:-31]).mean()) < 3


def test_mean_wave_without_beats_is_the_mean_pressure():
  fitted = mean_wave.MeanWave(np.linspace(80, 100, 100), 125.0)
  np.testing.assert_allclose(fitted.predict(np.full((2, 500), 90, np.float32)), 90, atol=1e-4)


def test_the_mean_wave_is_not_early():
  """A straight rise over each beat comes back at its own phase, within a tenth of a slot."""
  t, period = np.arange(500) / 125, 0.83
  x = np.stack([70 + 50 * np.exp(-(((t / period + p) % 1 - 0.3) ** 2) / 0.01) for p in np.linspace(0, 1, 40)])
  pairs = batches.Pairs(x.astype(np.float32), x.astype(np.float32), np.array(["a"] * 40))
  fitted = mean_wave.fit(pairs, 125.0)
  rows = slice(31, -31)
  output, true = fitted.predict(x)[:, rows], x[:, rows]
  slope = np.gradient(true, axis=1) * 125
  early_s = ((output - true) * slope).sum() / np.square(slope).sum()
  assert abs(early_s) < 0.1 * period / mean_wave.PHASES


def test_the_reach_of_the_filter_is_in_seconds():
  for fs_hz in (125.0, 250.0):
    spec = config.Windows(fs_hz=fs_hz)
    wave = RNG.normal(90, 15, (8, spec.samples)).astype(np.float32)
    pairs = batches.Pairs(wave, np.roll(wave, -round(0.2 * fs_hz), axis=1), np.array(["a"] * 8))
    taps = transfer_function.fit(pairs, pairs, spec).taps
    assert (len(taps) // 2) / fs_hz == pytest.approx(0.25, abs=0.01)
