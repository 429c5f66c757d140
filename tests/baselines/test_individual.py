"""A transfer function whose resonance moves with the pressure."""

import numpy as np
import pytest

from cap_jax.baselines import individual, transfer_function
from tests.baselines.waves import SPEC, pairs, pulse, rms

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(3)


def test_scaling_moves_a_resonance_and_keeps_the_gain_at_rest():
  lag = np.arange(-31, 32)
  taps = np.exp(-np.abs(lag) / 12) * np.cos(2 * np.pi * 5 * lag / SPEC.fs_hz)
  result = transfer_function.TransferFunction(taps / taps.sum(), 2.0)
  f = np.fft.rfftfreq(4096, 1 / SPEC.fs_hz)
  peak = f[np.abs(np.fft.rfft(result.taps, 4096)).argmax()]
  for scale in (0.8, 1.3):
    moved = individual.scaled(result, scale)
    assert moved.taps.sum() == pytest.approx(1.0)
    assert moved.bias == 2.0
    assert f[np.abs(np.fft.rfft(moved.taps, 4096)).argmax()] == pytest.approx(scale * peak, abs=0.25)


def resonant(scale):
  """A filter that damps and delays, with its frequencies times `scale`."""
  lag = np.arange(-31, 32)
  taps = np.exp(-0.5 * ((scale * lag + 8) / 4) ** 2) + 0.4 * np.exp(-0.5 * ((scale * lag - 6) / 5) ** 2)
  return taps / taps.sum()


def output(subjects, beta):
  xs, ys = [], []
  for _ in range(subjects):
    dbp, pp = RNG.uniform(65, 85), RNG.uniform(35, 70)
    scale = np.exp(beta * (dbp + 1.005 * pp - 127))
    for _ in range(2):
      wide = pulse(5, RNG.uniform(0.75, 0.95), RNG.uniform(), dbp, pp) + RNG.normal(0, 0.1, 625)
      xs.append(wide[31:531])
      ys.append(np.convolve(wide, resonant(scale), mode="valid")[: SPEC.samples])
  return pairs(xs, ys)


def test_the_line_over_subjects_is_found():
  training, validation, fresh = output(60, 0.008), output(10, 0.008), output(12, 0.008)
  result = individual.fit(training, validation, SPEC)
  assert result.beta == pytest.approx(0.008, rel=0.35)
  own = rms(result.predict(fresh), fresh.y_bt)
  assert own < 0.7 * rms(result.general.predict(fresh.x_bt), fresh.y_bt)


def test_of_two_subjects_no_line_is_drawn():
  result = individual.fit(output(2, 0.008), output(2, 0.008), SPEC)
  assert result.beta == 0.0


def test_no_beat_no_systole_but_the_highest_sample():
  assert individual.systolic(np.full((2, 500), 90.0), SPEC.fs_hz) == 90.0
