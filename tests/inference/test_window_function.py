"""A network as one function of arrays gives the answers of the package."""

import dataclasses

import jax
import numpy as np
import pytest

from cap_jax.data import batches
from cap_jax.inference import pretrained, uncertainty, window_function
from cap_jax.types import InputError
from tests import tiers

READINGS = {"age": 61.0, "cuff_sbp_mmhg": 131.0, "cuff_dbp_mmhg": 78.0}


def record(samples=4000):
  """A pressure, then the same through a slow line, which is out of distribution."""
  rng, time = np.random.default_rng(0), np.arange(samples) / 125
  u = np.cumsum(1.1 + 0.05 * np.sin(time)) / 125 % 1
  p = 74 + 3 * np.sin(time) + 45 * np.exp(-((u - 0.2) ** 2) / 0.006) + 12 * np.exp(-((u - 0.45) ** 2) / 0.01)
  p += rng.normal(0, 0.1, samples)
  slow = np.convolve(np.pad(p, 12, mode="edge"), np.ones(25) / 25, "valid")
  return np.concatenate([p, slow])


@pytest.mark.parametrize("name", tiers.sample(list(pretrained.names()), "radial"))
def test_its_answers_are_those_of_the_package(name):
  trained = pretrained.load(name)
  x_bt = np.lib.stride_tricks.sliding_window_view(record(), trained.windows.samples)[::250].astype(np.float32)
  covariates = {q: np.full(len(x_bt), READINGS[q], np.float32) for q in trained.model.covariates}
  expected = uncertainty.read(trained, batches.Waves(x_bt, np.full(len(x_bt), "r"), covariates))
  exported = window_function.of(trained)
  parts = {"peripheral": x_bt}
  log_power_bk = np.asarray(jax.jit(exported.log_power)(x_bt)).mean(0)
  parts["log_power"] = np.tile(log_power_bk, (len(x_bt), 1))
  if covariates:
    parts["covariates"] = np.stack([covariates[q] for q in trained.model.covariates], axis=1)
  assert {q: parts[q].shape[1:] for q in exported.inputs} == exported.inputs
  y_bt, sigma_bt, ood_b = jax.jit(exported.answer)(*(parts[q] for q in exported.inputs))
  pairs = {
    "wave": (y_bt, expected.y_bt),
    "sigma": (sigma_bt, expected.sigma_bt),
    "logit": (ood_b, expected.ood_b),
  }
  largest = {output: float(np.abs(found - value).max()) for output, (found, value) in pairs.items()}
  print(f"{name}: largest differences of {len(x_bt)} windows", {q: f"{value:.1e}" for q, value in largest.items()})
  assert np.max(list(largest.values())) < 2e-3  # not of NaN
  if name == "radial":
    assert (ood_b > trained.uncertainty_calibration.ood_threshold).mean() > 0.3
    assert (ood_b <= trained.uncertainty_calibration.ood_threshold).any()


def test_a_wave_without_a_pulse_has_one_answer_too():
  """All lags between network and filter are as good then."""
  trained = pretrained.load("radial")
  x_bt = np.full((3, 500), 90.0, np.float32)
  expected = uncertainty.read(trained, batches.Waves(x_bt, np.full(3, "r")))
  functions = window_function.of(trained)
  log_power_bk = np.asarray(functions.log_power(x_bt))
  y_bt, *_ = jax.jit(functions.answer)(x_bt, log_power_bk)
  np.testing.assert_allclose(y_bt, expected.y_bt, atol=0.02)


def test_a_network_returns_only_what_it_knows():
  trained = pretrained.load("radial")
  assert window_function.of(trained).outputs == ("aortic", "sigma", "ood")
  bare = window_function.of(dataclasses.replace(trained, uncertainty_calibration=None))
  assert bare.outputs == ("aortic",)
  (y_bt,) = bare.answer(np.full((2, 500), 90.0, np.float32), np.zeros((2, 60), np.float32))
  assert y_bt.shape == (2, 500)


def test_a_network_of_numbers_has_no_such_function():
  trained = dataclasses.replace(pretrained.load("radial"), task="cuff_pressure")
  with pytest.raises(InputError, match="trained for cuff_pressure, not for a wave; transfer it first"):
    window_function.of(trained)
