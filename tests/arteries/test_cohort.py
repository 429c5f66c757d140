"""Subjects to waves: single beats and records."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import cohort, network, population, wall
from cap_jax.haemodynamics import timing
from cap_jax.types import InputError
from tests.arteries import people

QUIET = clinics.Rhythm(rr_low_sd=0, rr_high_sd=0, sv_breathing=0, sv_noise=0, pressure_swing_mmhg=0)


@pytest.fixture(scope="module")
def subjects():
  return people.draw(5, clinics.HEALTHY, 16)


@pytest.fixture(scope="module")
def beats(subjects):
  return people.beats(subjects)


@jax.jit
@jax.vmap
def solved_velocity(subject):
  geometry = population.resting_geometry(subject)[:3]
  return wall.carotid_femoral_pwv(*geometry, wall.solve_k3(*geometry, subject.pwv_m_s, 1060.0), 1060.0)


def test_k3_meets_the_pulse_wave_velocity(subjects):
  np.testing.assert_allclose(solved_velocity(subjects), subjects.pwv_m_s, rtol=1e-4)


@jax.jit
@jax.vmap
def transit_time(subject):
  """Seconds from the aortic root to the left wrist at the theoretical wave speed of each artery."""
  radius_in, radius_out, length, _ = population.geometry(subject)
  k3 = wall.solve_k3(radius_in, radius_out, length, subject.pwv_m_s, 1060.0)
  rows = network.read_table().rows([1, 2, 14, 19, 21, 22])
  speed = jnp.sqrt(2 / 3 * wall.stiffness((radius_in + radius_out)[rows] / 2, k3) / 1060)
  return (length[rows] / speed).sum()


def test_beats_have_the_mean_pressure_requested_and_a_plausible_tree(subjects, beats):
  root = beats["aortic_root"]
  assert np.abs(root.mean(1) - np.asarray(subjects.map_mmhg)).max() < 0.15
  fall = root.mean(1) - beats["radial"].mean(1)
  assert 0.5 < fall.min() < fall.max() < 2.5
  pulse = {site: np.ptp(beats[site], axis=1) for site in network.SITES}
  assert (pulse["radial"] > pulse["aortic_root"]).all()  # amplification
  form = (root.mean(1) - root.min(1)) / pulse["aortic_root"]
  assert 0.48 < form.mean() < 0.60
  # the foot takes the time of the way to the wrist
  period_s = 60 / np.asarray(subjects.hr_bpm)
  foot_s = {site: timing.foot_times(beats[site], period_s) for site in ("aortic_root", "radial")}
  late_s = (foot_s["radial"] - foot_s["aortic_root"]) % period_s
  way_s = np.asarray(transit_time(subjects))
  assert (np.abs(late_s / way_s - 1) < 0.2).all(), late_s / way_s
  assert beats["digital_ppg"].min() == 0
  assert beats["digital_ppg"].max() == 1
  assert all(np.isfinite(wave).all() for wave in beats.values())


def test_records_without_rhythm_are_repeated_beats(subjects):
  seconds = 8.0
  rate = np.round(subjects.hr_bpm * seconds / 60) * 60 / seconds  # a whole number of beats
  whole = jax.tree.map(lambda x: x[:4], subjects._replace(hr_bpm=rate))
  records = cohort.records(jax.random.key(0), whole, seconds, 125.0, QUIET)
  records, periods = jax.tree.map(np.asarray, records), people.beats(whole)
  time = np.arange(1000) / 125
  for site in ("aortic_root", "radial"):
    for k in range(4):
      period = 60 / float(whole.hr_bpm[k])
      beat = np.append(periods[site][k], periods[site][k][0])
      expected = np.interp(time % period / period, np.arange(257) / 256, beat)
      assert np.sqrt(np.mean((records[site][k] - expected) ** 2)) < 0.2


@pytest.mark.slow
def test_chunks_do_not_change_the_waves(subjects):
  one = cohort.beats(subjects, samples=128, chunk=4)
  other = cohort.beats(subjects, samples=128, chunk=7)
  np.testing.assert_allclose(one["radial"], other["radial"], atol=2e-3)


def test_derived_quantities_follow_from_the_parameters(subjects, beats):
  result = jax.tree.map(np.asarray, cohort.derived(subjects))
  np.testing.assert_allclose(result["co_l_min"], np.asarray(subjects.sv_ml * subjects.hr_bpm) / 1000, rtol=1e-6)
  # Bramwell–Hill of the whole tree: what the pulse stores is about C·PP, a good half of the stroke volume
  pulse = np.ptp(beats["aortic_root"], axis=1)
  share = result["compliance_ml_mmhg"] * pulse / np.asarray(subjects.sv_ml)
  assert ((share > 0.4) & (share < 1.0)).all(), share
  stiff = cohort.derived(subjects._replace(pwv_m_s=1.3 * subjects.pwv_m_s))
  assert (np.asarray(stiff["compliance_ml_mmhg"]) < 0.9 * result["compliance_ml_mmhg"]).all()
  assert (np.asarray(stiff["k3_pa"]) > result["k3_pa"]).all()
  assert ((result["diameter_ascending_aorta_mm"] > 28) & (result["diameter_ascending_aorta_mm"] < 60)).all()
  assert (result["diameter_radial_mm"] < result["diameter_brachial_mm"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("fs_hz", [25.0, 60.0, 500.0])
def test_records_at_any_rate_are_one_wave(subjects, fs_hz):
  few = jax.tree.map(lambda x: x[:4], subjects)
  key = jax.random.key(3)
  fine = np.asarray(cohort.records(key, few, 8.0, 1000.0, clinics.Rhythm())["aortic_root"])
  result = np.asarray(cohort.records(key, few, 8.0, fs_hz, clinics.Rhythm())["aortic_root"])
  assert result.shape == (4, round(8 * fs_hz))
  same = np.stack([np.interp(np.arange(result.shape[1]) / fs_hz, np.arange(8000) / 1000, wave) for wave in fine])
  # a low rate has room for fewer frequencies: the corners of the wave are rounded
  assert np.sqrt(np.mean((result - same) ** 2)) < {500.0: 0.01, 60.0: 0.15, 25.0: 0.6}[fs_hz]


@pytest.mark.parametrize(
  ("field", "value", "said"),
  [
    ("radius_scale", -1.0, r"radius_scale=-1 of subject 1: must be 0.4 to 2.5"),
    ("hr_bpm", 0.0, r"hr_bpm=0 of subject 1: must be 25 to 220"),
    ("age", 200.0, r"age=200 of subject 1: must be 18 to 100"),
    ("sv_ml", np.nan, r"sv_ml=nan of subject 1: must be 5 to 250"),
    ("t_peak_s", 0.29, r"t_peak_s of subject 1: must be less than its lvet_s"),
    ("lvet_s", 0.5, r"lvet_s of subject 1: must be at most 0.6 of its beat"),
  ],
)
def test_bad_parameters_name_themselves_and_their_range(subjects, field, value, said):
  bad = jax.tree.map(np.array, subjects._replace(lvet_s=jnp.full(16, 0.28), hr_bpm=jnp.full(16, 75.0)))
  getattr(bad, field)[1] = value
  with pytest.raises(InputError, match=said):
    cohort.beats(bad)
  with pytest.raises(InputError, match=said):
    cohort.records(jax.random.key(0), bad, 8.0, 125.0, QUIET)


def test_bad_settings_are_refused(subjects):
  with pytest.raises(InputError, match="samples=64: must be more than twice the number of harmonics, 40"):
    cohort.beats(subjects, samples=64)
  with pytest.raises(InputError, match="chunk=0: must be 1 or more"):
    cohort.beats(subjects, chunk=0)
  with pytest.raises(InputError, match="must be at least 4 s at 10 Hz or more, and a whole number"):
    cohort.records(jax.random.key(0), subjects, 8.001, 125.0, QUIET)
  with pytest.raises(InputError, match="fs_hz=inf: must be at least 4 s at 10 Hz"):
    cohort.records(jax.random.key(0), subjects, 8.0, np.inf, QUIET)
  with pytest.raises(InputError, match=r"must have shape \(subject,\), with at least one subject"):
    cohort.beats(jax.tree.map(lambda x: x[0], subjects))


SHARDED = """
import jax, numpy as np
from cap_jax import clinics
from cap_jax.arteries import cohort, population
assert jax.device_count() == {devices}
subjects = population.draw(jax.random.key(5), clinics.HEALTHY, 24)
waves = cohort.beats(subjects, samples=128, chunk=2)
subjects = jax.tree.map(lambda x: x[:21], subjects)  # does not divide by the devices
records = cohort.records(jax.random.key(1), subjects, 8.0, 125.0, clinics.Rhythm(), chunk=4)
np.savez({path!r}, beats=waves["radial"], records=records["digital"], spread=len(waves["radial"].sharding.device_set))
"""


@pytest.mark.slow
def test_eight_devices_give_what_one_gives(tmp_path):
  result = {}
  for devices in (1, 8):
    path = str(tmp_path / f"{devices}.npz")
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    script = SHARDED.format(devices=devices, path=path)
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, **flags}, timeout=1200)
    result[devices] = np.load(path)
    assert result[devices]["spread"] == devices
  np.testing.assert_allclose(result[1]["beats"], result[8]["beats"], atol=2e-3)
  np.testing.assert_allclose(result[1]["records"], result[8]["records"], atol=5e-3)
