"""Beat by beat regression."""

import dataclasses

import numpy as np
import pytest

from cap_jax.baselines import ridge
from tests.baselines.waves import SPEC, pairs, pulse, rms

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(4)


def output(subjects, rng=RNG):
  """An aortic beat that is linear in the peripheral one: the average of it with itself a tenth of a beat earlier and later."""
  xs, ys = [], []
  for _ in range(subjects):
    look = {"dbp": rng.uniform(65, 90), "pp": rng.uniform(30, 60)}
    for _ in range(2):
      period, phase = rng.uniform(0.7, 1.0), rng.uniform()
      xs.append(pulse(4, period, phase, **look))
      ys.append(0.5 * pulse(4, period, phase - 0.1, **look) + 0.5 * pulse(4, period, phase + 0.1, **look) + 2)
  return pairs(xs, ys)


def test_a_linear_map_of_beats_is_found():
  training, validation, fresh = output(30), output(6), output(6)
  result = ridge.fit(training, validation, SPEC)
  assert rms(result.predict(fresh.x_bt), fresh.y_bt) < 0.5
  assert rms(fresh.x_bt, fresh.y_bt) > 5


def test_validation_subjects_choose_the_penalty(monkeypatch):
  """The best on them is chosen; with few beats and noise it is not the least."""
  rng = np.random.default_rng(5)
  training, validation = output(4, rng), output(10, rng)
  noise = rng.normal(0, 2, training.x_bt.shape).astype(np.float32)
  noisy = dataclasses.replace(training, x_bt=training.x_bt + noise)
  chosen = rms(ridge.fit(noisy, validation, SPEC).predict(validation.x_bt), validation.y_bt)
  errors = []
  for penalty in ridge.RIDGES:
    monkeypatch.setattr(ridge, "RIDGES", (penalty,))
    errors.append(rms(ridge.fit(noisy, validation, SPEC).predict(validation.x_bt), validation.y_bt))
    monkeypatch.undo()
  assert chosen == pytest.approx(min(errors))
  assert chosen < errors[0]


def test_windows_without_beats_get_the_mean():
  flat = np.full((2, SPEC.samples), 88.0, np.float32)
  result = ridge.fit(output(4), output(2), SPEC)
  np.testing.assert_allclose(result.predict(flat), result.mean.mean(), rtol=1e-6)
  nothing = ridge.fit(pairs(list(flat), list(flat + 2)), output(2), SPEC)
  np.testing.assert_allclose(nothing.predict(flat), 90.0, rtol=1e-6)


def test_the_wave_is_continuous_from_beat_to_beat():
  result = ridge.fit(output(20), output(4), SPEC)
  steps = np.abs(np.diff(result.predict(output(4).x_bt), axis=1))
  assert steps.max() < 6  # the steepest rise itself makes 4 mmHg a sample


@pytest.mark.parametrize("subjects", [1, 3, 4])
def test_beats_that_are_all_the_same_give_their_mean(subjects):
  x, y = pulse(4, 0.8), pulse(4, 0.8, 0.05, 78.0, 30.0)
  same = pairs([x] * subjects, [y] * subjects, 1)
  result = ridge.fit(same, same, SPEC)
  assert rms(result.predict(same.x_bt), same.y_bt) < 0.5
