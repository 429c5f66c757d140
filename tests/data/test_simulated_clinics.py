"""Simulated clinics: whose waves they contain, and through which lines."""

import dataclasses

import numpy as np
import pytest

from cap_jax import clinics, config
from cap_jax.data import simulated_clinics

SPEC = config.Windows()
EXACT = clinics.Lines(plain_share=1.0, shared_share=0.0, noise=(1e-6, 1e-6))
SETUP = clinics.Setup()


def tones(first, count, size=20.0):
  """People whose waves are a tone of 2 Hz on a level of their own, which orders them."""
  t = np.arange(2000) / 125
  level = 80 + np.arange(count, dtype=np.float32)[:, None]
  y = level + size * np.sin(2 * np.pi * 2.0 * t)[None]
  names = np.array([f"p{first + k}" for k in range(count)])
  return simulated_clinics.People((y + 5).astype(np.float32), y.astype(np.float32), names, level, {"age": level[:, 0]})


def mixture(lines, blends=((1.0, (1.0,)),)):
  return clinics.ClinicMixture(tuple((SETUP, 1.0) for _ in blends[0][1]), blends, lines)


@pytest.mark.quick
def test_exact_lines_change_nothing_and_a_subject_is_in_several_clinics():
  people = tones(0, 40)
  pairs = simulated_clinics.simulate([people], mixture(EXACT), SPEC, 30, 2, 0)
  np.testing.assert_allclose(pairs.x_bt - pairs.y_bt, 5, atol=1e-3)
  clinic_b = pairs.membership.clinic_b
  np.testing.assert_array_equal(np.unique(clinic_b), np.arange(30))
  of = {name: set(clinic_b[pairs.subject_b == name]) for name in pairs.subjects}
  assert max(map(len, of.values())) > 1
  level = dict(zip(people.subject_s, people.covariates["age"], strict=True))
  np.testing.assert_array_equal(pairs.covariates["age"], [level[name] for name in pairs.subject_b])
  again = simulated_clinics.simulate([people], mixture(EXACT), SPEC, 30, 2, 0)
  assert again.digest == pairs.digest
  assert simulated_clinics.simulate([people], mixture(EXACT), SPEC, 30, 2, 1).digest != pairs.digest


@pytest.mark.quick
def test_some_clinics_have_alike_people():
  """A slice of people ordered by their level has less spread than all people."""
  pairs = simulated_clinics.simulate([tones(0, 400)], mixture(EXACT), SPEC, 60, 1, 0)
  clinic_b = pairs.membership.clinic_b
  spreads = [np.ptp(pairs.covariates["age"][clinic_b == k]) for k in np.unique(clinic_b) if (clinic_b == k).sum() >= 8]
  assert min(spreads) < 60
  assert max(spreads) > 200


@pytest.mark.quick
def test_one_line_serves_a_clinic_and_has_the_gain_of_its_equation():
  lines = dataclasses.replace(
    EXACT,
    plain_share=0.0,
    shared_share=1.0,
    natural_hz=(8.0, 8.0),
    damping=(0.2, 0.2),
    pole_share=1.0,
    pole_hz=(10.0, 10.0),
  )
  x = simulated_clinics.through(tones(0, 5).x_st, 125.0, lines, np.random.default_rng(0))
  r = 2 / 8
  gain = 1 / abs(1 - r**2 + 2j * 0.2 * r) / abs(1 + 2j / 10)
  np.testing.assert_allclose(np.ptp(x[:, 250:-250], axis=1), 40 * gain, rtol=2e-3)
  each = dataclasses.replace(EXACT, plain_share=0.0, natural_hz=(3.0, 40.0), zero=(-2.0, 2.0), gain=(0.9, 1.1))
  own = simulated_clinics.through(tones(0, 50).x_st, 125.0, each, np.random.default_rng(0))
  assert np.ptp(own[:, 250:-250], axis=1).std() > 1
  zeros = own.mean(1) - tones(0, 50).x_st.mean(1)
  assert 1 < np.abs(zeros).max() < 2 + 0.1 * 130


@pytest.mark.quick
def test_half_of_the_clinics_are_labelled():
  pairs = simulated_clinics.simulate([tones(0, 300)], mixture(EXACT), SPEC, 80, 2, 0)
  clinic_b, labelled_b = pairs.membership
  shares = []
  for number in np.unique(clinic_b):
    rows = clinic_b == number
    shares.append(labelled_b[rows].mean())
    assert labelled_b[rows].sum() <= 2 * 25
    for name in set(pairs.subject_b[rows]):
      assert np.ptp(labelled_b[rows & (pairs.subject_b == name)]) == 0
  assert np.mean(np.array(shares) > 0) == pytest.approx(0.5, abs=0.2)
  assert 0 < np.min([share for share in shares if share]) < 0.5


@pytest.mark.quick
def test_noise_is_one_for_the_clinic_or_one_for_each_subject():
  lines = dataclasses.replace(EXACT, noise=(0.01, 1.0))
  people, ratios = tones(0, 30), []
  for seed in range(40):
    noise_st = simulated_clinics.through(people.x_st, 125.0, lines, np.random.default_rng(seed)) - people.x_st
    sd = noise_st.std(1)
    ratios.append(sd.max() / max(sd.min(), 1e-9))
    assert sd.max() < 1.1
  assert 0.25 < np.mean(np.array(ratios) < 1.3) < 0.75


@pytest.mark.quick
def test_a_blend_takes_its_shares_from_the_pools():
  pools = [tones(0, 500), tones(1000, 500)]
  pairs = simulated_clinics.simulate(pools, mixture(EXACT, ((0.5, (1.0, 0.0)), (0.5, (0.5, 0.5)))), SPEC, 80, 1, 0)
  clinic_b = pairs.membership.clinic_b
  second_b = np.array([int(name[1:]) >= 1000 for name in pairs.subject_b])
  shares = np.array([second_b[clinic_b == k].mean() for k in np.unique(clinic_b) if (clinic_b == k).sum() >= 10])
  assert (shares == 0).mean() == pytest.approx(0.5, abs=0.2)
  assert shares[shares > 0].mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.quick
@pytest.mark.parametrize("name", clinics.MIXTURES)
def test_every_mixture_has_a_share_for_each_of_its_people(name):
  of = clinics.MIXTURES[name]
  assert sum(share for _, share in of.people) == pytest.approx(1)
  assert sum(share for share, _ in of.blends) == pytest.approx(1)
  assert all(len(blend) == len(of.people) and sum(blend) == pytest.approx(1) for _, blend in of.blends)
  assert all(setup.device == clinics.EXACT for setup, _ in of.people)
