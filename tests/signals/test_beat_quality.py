"""Faults of beats: each put into a record on purpose, found there and nowhere else; feet beside an established tool."""

import itertools

import neurokit2
import numpy as np
import pytest

from cap_jax.arteries import sensors
from cap_jax.signals import beat_quality, beats
from tests.signals.test_beats import train
from tests.signals.test_synchrony import pulses

pytestmark = pytest.mark.quick

FS_HZ = 125.0


def spoilt(fault):
  """(wave, first and last sample of the fault)."""
  p_t = pulses(FS_HZ, 60, seed=3)
  p_t += 0.2 * np.random.default_rng(1).standard_normal(p_t.size)
  feet = beats.find_feet(p_t, FS_HZ)
  a, b = feet[20], feet[21]
  part = slice(a, b)
  if fault == "flat":
    part = slice(a, feet[45])
    p_t[part] = p_t[a] + 0.15 * (p_t[part] - p_t[a])
  elif fault == "clipped":
    p_t = np.minimum(p_t, 112.0)
    part = slice(feet[0], feet[-1])
  elif fault == "wrapped":
    p_t[a + 10 : a + 14] -= 60.0
    fault = "clipped"
  elif fault == "damped":
    part = slice(feet[20], feet[26])
    slow = np.convolve(p_t, np.hanning(45) / np.hanning(45).sum(), mode="same")
    p_t[part] = slow[part]
  elif fault == "flush":
    p_t[a + 20 : a + 50] = 300.0
  elif fault == "motion":
    p_t[part] += 25 * np.sin(np.arange(b - a) / 5)
  elif fault == "ectopic":
    removed = np.r_[0 : feet[20] + 60, feet[21] : p_t.size]  # a beat that comes early
    p_t, part = p_t[removed], slice(feet[20], feet[20] + 60)
  return p_t, fault, part


@pytest.mark.parametrize("fault", ["flat", "clipped", "wrapped", "damped", "flush", "motion", "ectopic"])
def test_each_fault_is_found_where_it_is(fault):
  p_t, name, part = spoilt(fault)
  feet = beats.find_feet(p_t, FS_HZ)
  result = beat_quality.assess(p_t, FS_HZ, feet, True, beat_quality.at_rails(p_t, FS_HZ))
  middles = (feet[:-1] + feet[1:]) / 2
  # the beats next to a fault may lose a foot to it
  within = (middles >= part.start - 130) & (middles < part.stop + 130)
  assert result[name].any()
  assert not result[name][~within].any()
  for other in beat_quality.FAULTS:
    assert not result[other][~within].any(), other


def test_clean_waves_have_no_faults():
  p_t = pulses(FS_HZ, 120, seed=4) + 0.3 * np.random.default_rng(2).standard_normal(120 * 125)
  result = beat_quality.assess(p_t, FS_HZ, beats.find_feet(p_t, FS_HZ), pressure=True)
  assert {name: int(bad.sum()) for name, bad in result.items()} == dict.fromkeys(beat_quality.FAULTS, 0)
  assert all(bad.size == 0 for bad in beat_quality.assess(p_t, FS_HZ, np.zeros(1, dtype=int), True).values())


@pytest.mark.parametrize("spans", [[(20, 30)], [(5, 15), (30, 40), (53, 60)]])
def test_a_line_damped_for_a_while_is_found_by_its_blunt_tops(spans):
  """At 2 Hz, which hardly changes the height of a pulse, and at the end of the record too."""
  p_t = pulses(FS_HZ, 60, seed=4) + 0.3 * np.random.default_rng(2).standard_normal(7500)
  there = np.zeros(p_t.size, dtype=bool)
  for first, last in spans:
    there[round(first * FS_HZ) : round(last * FS_HZ)] = True
  x_t = np.where(there, np.asarray(sensors.one_pole(p_t, FS_HZ, 2.0)), p_t)
  feet = beats.find_feet(x_t, FS_HZ)
  share = np.array([there[a:b].mean() for a, b in itertools.pairwise(feet)])
  damped = beat_quality.assess(x_t, FS_HZ, feet, True)["damped"]
  assert damped[share == 1].mean() > 0.95
  assert not damped[share == 0].any()


def test_pieces_are_evaluated_by_all_beats_of_the_record():
  """Two beats between two gaps, moved, with nobody sound beside them; and what reaches over a gap is no beat."""
  p_t = pulses(FS_HZ, 30, seed=4)
  feet = beats.find_feet(p_t, FS_HZ)
  a, b = feet[10], feet[12] + 5
  lone = p_t[a - 5 : b].copy()
  lone += 25 * np.sin(np.arange(lone.size) / 5)
  pieces = [p_t[: feet[9]], lone, p_t[feet[13] :], p_t[:20]]
  assessed = beat_quality.assess_pieces(pieces, FS_HZ, True, [np.zeros(x_t.size, dtype=bool) for x_t in pieces])
  assert assessed[1].faults["motion"].all()
  assert len(assessed[1].faults["motion"]) == len(assessed[1].feet) - 1 > 0
  for sound in (assessed[0], assessed[2]):
    assert len(sound.faults["motion"]) == len(sound.feet) - 1 > 5
    assert not any(bad_k.any() for bad_k in sound.faults.values())
  assert all(bad_k.size == 0 for bad_k in assessed[3].faults.values())


def test_feet_beside_an_established_tool():
  """neurokit2 gives systolic peaks of a PPG: one lies between every two feet, on a wave that it made itself."""
  ppg_t = neurokit2.ppg_simulate(duration=60, sampling_rate=125, heart_rate=72, random_state=3)
  peaks = neurokit2.ppg_findpeaks(neurokit2.ppg_clean(ppg_t, sampling_rate=125), sampling_rate=125)["PPG_Peaks"]
  feet = beats.find_feet(ppg_t, 125.0)
  between = [int(((peaks > a) & (peaks < b)).sum()) for a, b in itertools.pairwise(feet)]
  assert abs(len(feet) - len(peaks)) <= 2
  assert np.mean(np.array(between) == 1) > 0.97


def test_feet_of_real_ppg_beside_an_established_tool(reference_data):
  import scipy.io

  ppg_t = scipy.io.loadmat(reference_data / "icu_ecg_abp_ppg.mat")["signal"][:, 4]
  peaks = neurokit2.ppg_findpeaks(neurokit2.ppg_clean(ppg_t, sampling_rate=125), sampling_rate=125)["PPG_Peaks"]
  feet = beats.find_feet(ppg_t, 125.0)
  between = np.array([((peaks > a) & (peaks < b)).sum() for a, b in itertools.pairwise(feet)])
  assert abs(len(feet) - len(peaks)) <= 5
  assert np.mean(between == 1) > 0.95


def test_a_wave_in_whole_mmhg_is_not_clipped_at_its_peaks():
  t = np.arange(7500) / 125
  p = 90 + 60 * np.sin(2 * np.pi * 1.1 * t) + 5 * np.sin(2 * np.pi * 0.05 * t)
  assert not beat_quality.at_rails(np.round(p), 125.0).any()
  cut = np.minimum(np.round(p), 125)
  rails = beat_quality.at_rails(cut, 125.0)
  assert rails.any()
  assert (cut[rails] == 125).all()


@pytest.mark.parametrize(
  ("intervals_s", "heights_mmhg"), [([0.65] * 30, [44, 17] * 15), ([0.49, 1.13] * 14, [50, 11] * 14)]
)
def test_weak_beats_among_strong_ones_are_no_fault(intervals_s, heights_mmhg):
  """Pulsus alternans and bigeminy: the weak beats are slower and unlike the strong ones, but alike."""
  p, _ = train(intervals_s, heights_mmhg)
  p += np.random.default_rng(0).normal(0, 0.2, p.size)
  feet = beats.find_feet(p, 125.0)
  faults = beat_quality.assess(p, 125.0, feet, True)
  assert len(feet) >= len(heights_mmhg) - 1
  assert {name: int(bad.sum()) for name, bad in faults.items() if name != "ectopic" and bad.any()} == {}


def test_a_single_slow_beat_is_weak_and_two_are_damped():
  p, starts = train([0.8] * 24, [45] * 24)
  result = {}
  for count in (1, 3):
    damped = p.copy()
    part = slice(int((starts[8] - 0.05) * 125), int((starts[8 + count] - 0.05) * 125))
    damped[part] = np.asarray(sensors.one_pole(p, 125.0, 2.0))[part]
    faults = beat_quality.assess(damped, 125.0, beats.find_feet(p, 125.0), True)
    result[count] = int(faults["damped"].sum())
  assert result[1] == 0
  assert result[3] >= 2


@pytest.mark.parametrize("beyond_mmhg", [300.0, 250.0])
def test_a_marker_beyond_the_rail_does_not_hide_it(beyond_mmhg):
  """Tops that are cut off at 100 mmHg, and three samples of a marker within the range of arterial pressures."""
  p = np.minimum(pulses(FS_HZ, 30, seed=3), 100.0)
  p[[1000, 2000, 3000]] = beyond_mmhg
  rails = beat_quality.at_rails(p, FS_HZ)
  assert rails[p == 100.0].mean() > 0.9
  assert not rails[p < 99.0].any()
