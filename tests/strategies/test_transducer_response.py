"""Lines of a clinic from its unlabelled waves."""

import dataclasses
import functools

import numpy as np
import pytest

from cap_jax import clinics, config
from cap_jax.data import batches
from cap_jax.data.sources import virtual
from cap_jax.strategies import transducer_response

FS = 125.0
MEAN, SD = 95.0, 18.0


@functools.cache
def windows(population, device, subjects, seed, name="target", noise=0.5):
  device = dataclasses.replace(device, noise=noise)
  clinic = clinics.Clinic(name=name, subjects=subjects, seconds=16.0, population=population, device=device, seed=seed)
  pairs = batches.make_pairs(virtual.draw(clinic), "radial", config.Windows(hop_s=2.0))
  return ((pairs.x_bt - MEAN) / SD).astype(np.float32), pairs.subject_b


def result(population, device, subjects=48):
  source = windows(clinics.HEALTHY, clinics.TRANSDUCER, 256, 4, "source")
  return transducer_response.fit(*source, *windows(population, device, subjects, 5), FS, "radial")


@pytest.mark.slow
@pytest.mark.parametrize("population", [clinics.HEALTHY, clinics.ELDERLY_HYPERTENSIVE])
def test_one_line_is_found_whoever_lies_behind_it(population):
  fitted = result(population, clinics.FLUID_FILLED)  # 9 Hz, damping 0.2
  assert fitted.has_transducers
  assert abs(fitted.share @ fitted.natural_hz - 9.0) < 0.8
  assert abs(fitted.share @ fitted.damping - 0.2) < 0.1
  assert abs(fitted.noise * SD - 0.5) < 0.05
  assert fitted.gain > 2 * transducer_response.CHANCE
  assert "Hz" in str(fitted)


@pytest.mark.parametrize("population", [clinics.HEALTHY, clinics.ELDERLY_HYPERTENSIVE, clinics.ELDERLY])
def test_other_people_are_no_line(population):
  fitted = result(population, clinics.TRANSDUCER)
  assert not fitted.has_transducers
  assert "no transducer" in str(fitted)
  x_bt, _ = windows(clinics.HEALTHY, clinics.TRANSDUCER, 256, 4, "source")
  assert transducer_response.apply(fitted, x_bt, FS, 0) is x_bt


def test_a_line_a_subject_is_a_spread_of_lines():
  # natural frequencies U(8, 25) Hz, mean 16.5 and SD 4.9; damping U(0.1, 0.4)
  fitted = result(clinics.ELDERLY_HYPERTENSIVE, clinics.CATHETER, 96)
  mean = fitted.share @ fitted.natural_hz
  assert 13 < mean < 19
  assert 3 < np.sqrt(fitted.share @ np.square(fitted.natural_hz - mean)) < 6.5
  assert 0.15 < fitted.share @ fitted.damping < 0.35
  np.testing.assert_allclose(fitted.share.sum(), 1.0, rtol=1e-9)


def test_what_is_sent_is_what_the_line_records():
  # the same people and rhythms, with and without the line: windows of the record behind it
  x_bt, _ = windows(clinics.HEALTHY, clinics.TRANSDUCER, 16, 8, "source", 0.0)
  behind, _ = windows(clinics.HEALTHY, clinics.FLUID_FILLED, 16, 8, "source", 0.0)
  line = transducer_response.TransducerMixture(
    natural_hz=np.array([9.0]), damping=np.array([0.2]), share=np.ones(1), noise=0.0, gain=50.0
  )
  error = SD * (transducer_response.apply(line, x_bt, FS, 0) - behind)
  apart = SD * (x_bt - behind)
  margin = config.Windows().margin
  assert np.sqrt(np.square(apart).mean()) > 3
  assert np.sqrt(np.square(error[:, margin:]).mean()) < 0.06
  assert np.sqrt(np.square(error[:, :8]).mean()) < np.sqrt(np.square(apart[:, :8]).mean())


def test_each_window_goes_through_one_line_drawn_by_share():
  x_bt = np.tile(np.sin(2 * np.pi * np.arange(500) / 100), (4000, 1)).astype(np.float32)
  two = transducer_response.TransducerMixture(
    natural_hz=np.array([np.inf, 2.5]), damping=np.array([1.0, 0.5]), share=np.array([0.75, 0.25]), noise=0.0, gain=50.0
  )
  observed = transducer_response.apply(two, x_bt, FS, 3)
  same = np.abs(observed - x_bt).max(1) < 1e-4
  assert abs(same.mean() - 0.75) < 0.03
  # 1.25 Hz is half the natural frequency: 1/|1 − 1/4 + j/2| = 1.109
  np.testing.assert_allclose(np.abs(observed[~same, 200:]).max(1), 1.109, atol=2e-3)
  np.testing.assert_array_equal(transducer_response.apply(two, x_bt, FS, 3), observed)
  assert (transducer_response.apply(two, x_bt, FS, 4) != observed).any()


@pytest.mark.quick
def test_lines_are_reported_without_those_who_have_none():
  mixed = transducer_response.TransducerMixture(
    natural_hz=np.array([np.inf, 8.0, 12.0]),
    damping=np.array([1.0, 0.2, 0.4]),
    share=np.array([0.5, 0.25, 0.25]),
    noise=0.0,
    gain=20.0,
  )
  assert str(mixed) == "transducers at 10.0 Hz (SD 2.0), damping 0.30, in 50 % of the subjects (χ² gain 20.0)"


@pytest.mark.quick
def test_noise_is_added_behind_the_transducer():
  still = np.zeros((400, 500), np.float32)
  line = transducer_response.TransducerMixture(
    natural_hz=np.array([9.0]), damping=np.array([0.2]), share=np.ones(1), noise=0.1, gain=50.0
  )
  assert abs(transducer_response.apply(line, still, FS, 0).std() - 0.1) < 1e-3


def test_a_small_source_cannot_distinguish_a_transducer_from_people():
  x_bt, subject_b = windows(clinics.HEALTHY, clinics.TRANSDUCER, 256, 4, "source")
  few = np.isin(subject_b, np.unique(subject_b)[:60])
  target = windows(clinics.ELDERLY_HYPERTENSIVE, clinics.FLUID_FILLED, 48, 5)
  fitted = transducer_response.fit(x_bt[few], subject_b[few], *target, FS, "radial")
  assert not fitted.has_transducers
  assert np.isnan(fitted.gain)
  assert "source subjects are too few" in str(fitted)
