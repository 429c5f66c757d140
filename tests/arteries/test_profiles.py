"""Pressure, velocity, area and PPG at the sites of the Pulse Wave Database."""

import jax
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import cohort, heart, network, profiles
from tests.arteries import people

SITES = list(network.PWDB_SITES)


@pytest.fixture(scope="module")
def subjects():
  return people.draw(5, clinics.HEALTHY, 6)


@pytest.fixture(scope="module")
def result(subjects):
  return jax.tree.map(np.asarray, profiles.profiles(subjects, samples=512))


def flow(result, site):
  k = SITES.index(site)
  return result.u_m_s[:, k] * result.a_m2[:, k] * 1e6  # ml/s


@pytest.mark.slow
def test_pressures_are_those_of_the_fast_network(subjects, result):
  fast = cohort.beats(subjects, samples=512)
  pairs = {"AorticRoot": "aortic_root", "Carotid": "carotid", "Brachial": "brachial", "Radial": "radial"}
  for name, site in {**pairs, "Digital": "digital", "Femoral": "femoral"}.items():
    np.testing.assert_allclose(result.p_mmhg[:, SITES.index(name)], fast[site], atol=0.01)
  np.testing.assert_allclose(result.ppg[:, SITES.index("Digital")], fast["digital_ppg"], atol=1e-4)


def test_flow_at_the_root_is_the_inflow(subjects, result):
  got = flow(result, "AorticRoot")
  for s in range(6):
    period = 60 / float(subjects.hr_bpm[s])
    shape = [np.asarray(x)[s] for x in cohort.inflow_shape(subjects, subjects.sv_ml)]
    q_k = np.asarray(heart.periodic_spectrum(period, shape, 40), dtype=complex)
    np.testing.assert_allclose(got[s], np.fft.irfft(q_k * 512, 512), atol=0.05)
    assert got[s].mean() * period == pytest.approx(float(subjects.sv_ml[s]), rel=1e-4)


def test_volume_is_conserved_along_an_artery(subjects, result):
  """What flows in at a site and not out at the next one is stored between them: zero over a beat."""
  # arteries 39 (from its inlet) and 41 (to its outlet) with the inferior mesenteric artery (40) between them
  above, below = flow(result, "AbdAorta").mean(1), flow(result, "IliacBif").mean(1)
  assert (above > below).all()
  assert ((above - below) / above < 0.2).all()
  # the common iliac site sees no more than half of the bifurcation's flow, the femoral less than the iliac
  assert (flow(result, "CommonIliac").mean(1) < 0.5 * below).all()
  assert (flow(result, "Femoral").mean(1) < flow(result, "CommonIliac").mean(1)).all()


def test_area_follows_pressure_with_the_walls_compliance(subjects, result):
  k = SITES.index("Brachial")
  slope = [np.polyfit(p, a, 1)[0] for p, a in zip(result.p_mmhg[:, k], result.a_m2[:, k], strict=True)]
  correlation = [np.corrcoef(p, a)[0, 1] for p, a in zip(result.p_mmhg[:, k], result.a_m2[:, k], strict=True)]
  assert min(correlation) > 0.98  # a little hysteresis: the wall is viscous
  # Bramwell–Hill: A/(ρ dA/dp) = c²
  speed = np.sqrt(result.a_m2[:, k].mean(1) / (1060 * np.array(slope) / 133.322))
  assert ((speed > 4) & (speed < 15)).all()


def test_ppg_is_normalised_and_late(result):
  assert result.ppg.min() == 0
  assert result.ppg.max() == 1
  peak = result.ppg[:, SITES.index("Digital")].argmax(1)
  assert (peak > result.p_mmhg[:, SITES.index("AorticRoot")].argmax(1)).all()
