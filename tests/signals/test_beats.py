"""Feet of beats."""

import jax
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import cohort
from cap_jax.signals import beats
from tests.arteries import people


@pytest.fixture(scope="module")
def waves():
  subjects = people.draw(2, clinics.HEALTHY, 4)
  records = cohort.records(jax.random.key(3), subjects, 30.0, 125.0, clinics.Rhythm())
  return subjects, {site: np.asarray(records[site]) for site in ("aortic_root", "radial")}


@pytest.mark.parametrize("site", ["aortic_root", "radial"])
def test_every_beat_is_found_once(waves, site):
  subjects, records = waves
  for k, p_t in enumerate(records[site]):
    expected = round(30 * float(subjects.hr_bpm[k]) / 60)
    feet = beats.find_feet(p_t, 125.0)
    assert abs(len(feet) - expected) <= 1  # a beat may be cut at the ends
    rr = np.diff(feet) / 125
    assert rr.min() > 0.75 * np.median(rr)
    assert rr.max() < 1.3 * np.median(rr)


def test_feet_are_low_and_before_the_peak(waves):
  p_t = waves[1]["radial"][0]
  feet = beats.find_feet(p_t, 125.0)
  result = beats.pressures(p_t, feet)
  # a beat is lowest at its own foot or just before the next one, whichever breathing made the lower
  assert np.allclose(np.minimum(p_t[feet[:-1]], p_t[feet[1:]]), result.diastolic, atol=1)
  assert (result.systolic > result.mean).all()
  assert (result.mean > result.diastolic).all()


def test_rate_does_not_matter(waves):
  p_t = waves[1]["aortic_root"][1]
  slow = beats.find_feet(p_t[::2], 62.5)
  fast = beats.find_feet(p_t, 125.0)
  assert np.abs(slow * 2 - fast).max() <= 4


@pytest.mark.quick
def test_no_pulse_no_feet():
  assert beats.find_feet(np.full(500, 90.0), 125.0).size == 0
  assert beats.find_feet(np.zeros(0), 125.0).size == 0
  assert beats.pressures(np.zeros(10), np.array([3])).systolic.size == 0


@pytest.mark.quick
def test_pressures_by_hand():
  result = beats.pressures(np.array([70.0, 120, 80, 60, 100, 90]), np.array([0, 3, 6]))
  np.testing.assert_allclose(result.systolic, [120, 100])
  np.testing.assert_allclose(result.diastolic, [70, 60])
  np.testing.assert_allclose(result.pulse, [50, 40])
  np.testing.assert_allclose(result.mean, [90, 250 / 3])


@pytest.mark.parametrize(("beats_in_it", "turned"), [(1, 0.0), (1, 0.4), (2, 0.0), (2, 0.3), (5, 0.1)])
def test_whole_beats_of_short_records(waves, beats_in_it, turned):
  p_t = waves[1]["aortic_root"][1]
  feet = beats.find_feet(p_t, 125.0)
  one = p_t[feet[3] : feet[4]]
  short = np.roll(np.tile(one, beats_in_it), round(turned * one.size))
  result = beats.whole_beats(short, 125.0)
  np.testing.assert_allclose(np.diff(result), one.size, atol=1)
  mean = beats.ensemble(short, result, 100)
  assert mean.argmin() in (0, 99, 98, 1)
  assert mean.max() == pytest.approx(one.max(), abs=1.0)


@pytest.mark.quick
def test_no_whole_beat_in_a_level():
  assert beats.whole_beats(np.full(200, 90.0), 125.0).size == 0
