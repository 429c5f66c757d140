"""A tube with a load: its two parameters are found, for all_windows and for each subject."""

import dataclasses

import numpy as np
import pytest

from cap_jax.baselines import tube_load
from tests.baselines.waves import SPEC, pairs, pulse, rms

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(2)


def test_the_inlet_of_a_known_tube():
  """A cosine at the load is (e^{iωT} + Γ e^{−iωT})/(1 + Γ) times as much at the inlet."""
  t = np.arange(SPEC.samples) / SPEC.fs_hz
  omega, delay, gamma = 2 * np.pi * 2.0, 0.06, 0.5
  load = np.cos(omega * t)
  gain = (np.exp(1j * omega * delay) + gamma * np.exp(-1j * omega * delay)) / (1 + gamma)
  expected = np.real(gain * np.exp(1j * omega * t))
  result = tube_load.central(load[None], delay, gamma, SPEC.fs_hz)[0]
  assert np.abs(result - expected)[20:-20].max() < 5e-3


def output(count, time_s, reflection, per_subject=2):
  xs = [pulse(4, RNG.uniform(0.7, 1.0), RNG.uniform(), RNG.uniform(65, 90), RNG.uniform(30, 60)) for _ in range(count)]
  y = tube_load.central(np.stack(xs), time_s, reflection, SPEC.fs_hz)
  return pairs(xs, list(y), per_subject)


@pytest.mark.parametrize(("time_s", "reflection"), [(0.05, 0.3), (0.09, 0.7)])
def test_least_squares_finds_time_and_reflection(time_s, reflection):
  training = output(20, time_s, reflection)
  result = tube_load.fit(training, training, SPEC)
  assert result.time_s == pytest.approx(time_s, abs=1e-9)
  assert result.reflection == pytest.approx(reflection, abs=0.02)
  fresh = output(4, time_s, reflection)
  assert rms(result.predict(fresh.x_bt), fresh.y_bt) < 0.2


def test_it_is_least_squares_of_the_pressure():
  """Of noisy pairs too: no reflection near the one found has a smaller error."""
  training = output(20, 0.05, 0.55)
  noisy = dataclasses.replace(training, y_bt=training.y_bt + RNG.normal(0, 6, training.y_bt.shape).astype(np.float32))
  result = tube_load.fit(noisy, noisy, SPEC)
  inner = slice(SPEC.margin, SPEC.samples - SPEC.margin)

  def error(reflection):
    reconstructed = tube_load.central(noisy.x_bt, result.time_s, reflection, SPEC.fs_hz)
    return np.square(reconstructed - noisy.y_bt)[:, inner].mean()

  assert 0.1 < result.reflection < 0.9
  assert error(result.reflection) < min(error(result.reflection - 0.03), error(result.reflection + 0.03))


def of_exponential(time_s, reflection, period_s, phase):
  """A peripheral wave whose central one falls as an exponential in diastole: the filter undone by its Fourier series."""
  count = round(period_s * 1000)
  turn = (np.arange(count) / count + phase) % 1
  systole = turn < 0.4
  fall = np.where(systole, 0.0, 112 * np.exp(-(turn - 0.4) * 0.67))
  start, end = 112 * np.exp(-0.6 * 0.67), 112.0
  rise = start + (end - start) * turn / 0.4 + 18 * np.sin(np.pi * np.clip(turn / 0.4, 0, 1)) ** 2
  central = np.where(systole, rise, fall)
  k = np.fft.rfftfreq(count, period_s / count)
  gain = (np.exp(2j * np.pi * k * time_s) + reflection * np.exp(-2j * np.pi * k * time_s)) / (1 + reflection)
  peripheral = np.fft.irfft(np.fft.rfft(central) / gain * np.exp(-((k / 12) ** 2)), count)
  at = np.arange(SPEC.samples) / SPEC.fs_hz
  return tuple(np.interp(at % period_s, np.arange(count) * period_s / count, p) for p in (peripheral, central))


def test_the_adaptive_filter_finds_each_subject_its_own():
  xs, ys = [], []
  truth = [(0.04, 0.2), (0.06, 0.4), (0.08, 0.5)]
  for time_s, reflection in truth:
    for _ in range(3):
      x, y = of_exponential(time_s, reflection, 0.86, RNG.uniform())
      xs.append(x)
      ys.append(y)
  windows = pairs(xs, ys, per_subject=3)
  fitted = tube_load.fit_adaptive(windows, windows, SPEC)
  assert fitted.diastole in tube_load.DIASTOLES
  own = rms(fitted.predict(windows), windows.y_bt)
  all_windows = tube_load.fit(windows, windows, SPEC)
  assert own < rms(all_windows.predict(windows.x_bt), windows.y_bt)
  assert own < 0.5 * rms(windows.x_bt, windows.y_bt)


def test_without_beats_it_still_answers():
  windows = pairs([np.full(SPEC.samples, 90.0)] * 2, [np.full(SPEC.samples, 90.0)] * 2)
  np.testing.assert_allclose(tube_load.fit_adaptive(windows, windows, SPEC).predict(windows), 90.0, rtol=1e-6)
