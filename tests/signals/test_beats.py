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


def train(intervals_s, heights_mmhg, fs_hz=125.0):
  """Beats of given intervals and heights on a diastole that runs off, each with a dicrotic wave."""
  starts = 0.5 + np.concatenate([[0], np.cumsum(intervals_s)])
  t = np.arange(int((starts[-1] + 1.5) * fs_hz)) / fs_hz
  p = np.full(t.shape, 70.0)
  for start, height in zip(starts, heights_mmhg, strict=False):
    u = np.maximum(t - start, 0)
    p += height * (u / 0.08) * np.exp(1 - u / 0.08) * (t > start)
    v = np.maximum(u - 0.3, 0)
    p += 0.12 * height * (v / 0.06) * np.exp(1 - v / 0.06) * (v > 0)
  return p, starts


@pytest.mark.parametrize(
  ("intervals_s", "heights_mmhg"),
  [
    ([0.65] * 30, [44, 17] * 15),  # pulsus alternans
    ([0.35] * 60, [40, 20] * 30),
    ([0.49, 1.13] * 12, [50, 11] * 12),  # bigeminy
    ([0.29] * 60, [30] * 60),  # 207 a minute
    ([1.1] * 20, [45] * 20),
    ([2.0] * 10, [60] * 10),
  ],
  ids=["alternans", "alternans at 171 a minute", "bigeminy", "207 a minute", "54 a minute", "30 a minute"],
)
def test_weak_and_fast_beats_are_counted_and_dicrotic_waves_are_not(intervals_s, heights_mmhg):
  p, starts = train(intervals_s, heights_mmhg)
  feet = beats.find_feet(p, 125.0) / 125.0
  expected = starts[: len(heights_mmhg)]
  nearest = np.abs(feet[:, None] - expected[None, :]).min(1)
  assert (nearest < 0.06).all(), feet
  assert abs(len(feet) - len(expected)) <= 1


def test_a_low_dicrotic_notch_does_not_move_the_foot():
  """As in vasodilation: the notch lies lower than the end of diastole, at which the next upstroke begins."""
  rng = np.random.default_rng(0)
  t = np.arange(16 * 125) / 125
  u = t % 0.58
  p = 60 + 40 * np.exp(-(((u - 0.13) / 0.05) ** 2)) - 5 * np.exp(-(((u - 0.3) / 0.05) ** 2)) * (u > 0.2)
  p += 4 * np.exp(-(((u - 0.42) / 0.06) ** 2))
  feet = beats.find_feet(p + rng.normal(0, 0.5, p.size), 125.0) / 125
  np.testing.assert_allclose(np.diff(feet), 0.58, atol=0.08)
  assert ((feet % 0.58 > 0.45) | (feet % 0.58 < 0.1)).all(), feet % 0.58  # the notch lies at 0.3 s


def test_a_single_weak_wave_in_a_regular_rhythm_is_dicrotic():
  """One dicrotic wave in twenty beats that is as tall as a weak beat; in every interval it would be alternans."""
  p, starts = train([0.9] * 20, [40] * 20)
  at = int((starts[10] + 0.5) * 125)
  bump = 10 * np.sin(np.pi * np.arange(25) / 25)
  p[at : at + 25] += bump
  feet = beats.find_feet(p, 125.0)
  assert abs(len(feet) - 20) <= 1
  for start in starts[:20]:
    at = int((start + 0.5) * 125)
    p[at : at + 25] += bump
  assert len(beats.find_feet(p, 125.0)) > 30
