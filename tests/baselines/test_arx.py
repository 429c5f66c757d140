"""An ARX model finds the system that made the data."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from cap_jax.baselines import arx
from cap_jax.types import UnfitError
from tests.baselines.waves import SPEC, pairs, rms

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(1)
A, B, C, LEAD = [1.2, -0.5], [0.1, 0.15, 0.05], 3.0, 10


def output(count, noise=0.0):
  """Windows of a wave that repeats, and what the system makes of it, 10 samples ahead."""
  xs, ys = [], []
  for _ in range(count):
    period = RNG.integers(85, 115)
    # a rough beat, so that all of the system can be seen, with a steep rise for its foot
    beat = (
      80
      + 30 * np.exp(-0.5 * ((np.arange(period) - 25) / 8) ** 2)
      + scipy.ndimage.gaussian_filter1d(RNG.normal(0, 12, period), 2.0, mode="wrap")
    )
    x = np.tile(beat, 20)
    y = scipy.signal.lfilter(B, [1, *(-a for a in A)], x - 80) + (C + 80 * sum(B)) / (1 - sum(A))
    start = 8 * period + RNG.integers(0, period)
    xs.append(x[start : start + SPEC.samples] + noise * RNG.normal(size=SPEC.samples))
    # y(t) reads x(t + LEAD): the aortic wave comes first
    ys.append(y[start + LEAD : start + LEAD + SPEC.samples])
  return pairs(xs, ys)


def test_the_system_itself_is_found():
  result = output(30)
  fitted = arx._solve(result.x_bt, result.y_bt, 2, LEAD, SPEC.fs_hz)
  np.testing.assert_allclose(fitted.a, A, atol=5e-3)
  np.testing.assert_allclose(fitted.b, B, atol=5e-3)
  assert fitted.c == pytest.approx(C, abs=0.1)
  assert fitted.stable


def test_its_run_reconstructs_the_wave_of_new_subjects():
  fitted = arx.fit(output(40), output(8), SPEC)
  fresh = output(6)
  assert fitted.lead >= LEAD - 3
  assert rms(fitted.predict(fresh.x_bt), fresh.y_bt) < 1.0
  assert rms(fresh.x_bt, fresh.y_bt) > 5


def test_a_run_settles_at_the_gain_of_the_system():
  result = arx.Arx(np.array(A), np.array(B), C, LEAD, SPEC.fs_hz)
  flat = result.predict(np.full((2, SPEC.samples), 90.0, np.float32))
  np.testing.assert_allclose(flat, (C + 90 * sum(B)) / (1 - sum(A)), rtol=1e-4)


def test_an_unstable_model_is_not_a_candidate(monkeypatch):
  assert not arx.Arx(np.array([1.01]), np.array([0.1, 0.1]), 0.0, 5, SPEC.fs_hz).stable
  monkeypatch.setattr(arx, "_solve", lambda *_: arx.Arx(np.array([1.01]), np.array([0.1, 0.1]), 0.0, 5, SPEC.fs_hz))
  with pytest.raises(UnfitError, match="no stable ARX model"):
    arx.fit(output(4), output(2), SPEC)


def test_the_order_is_chosen_by_the_run_on_validation_subjects():
  training, validation = output(20, noise=0.5), output(8, noise=0.5)
  chosen = arx.fit(training, validation, SPEC)
  best = rms(chosen.predict(validation.x_bt), validation.y_bt)
  for order in arx.ORDERS:
    for lead in arx.LEADS_S:
      other = arx._solve(training.x_bt, training.y_bt, order, round(lead * SPEC.fs_hz), SPEC.fs_hz)
      assert not other.stable or rms(other.predict(validation.x_bt), validation.y_bt) >= best - 1e-9
