"""PWDB's haemodynamic parameters of virtual subjects."""

import jax
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import network, profiles
from cap_jax.haemodynamics import pwdb_parameters
from tests.arteries import people

# the header of pwdb_haemod_params.csv
HEADER = (
  "age [years], HR [bpm], SV [ml], CO [l/min], LVET [ms], dp/dt [mmHg/s], PFT [ms], RFV [ml], SBP_a [mmHg], "
  "DBP_a [mmHg], MAP_a [mmHg], PP_a [mmHg], SBP_b [mmHg], DBP_b [mmHg], MBP_b [mmHg], PP_b [mmHg], PP_amp [ratio], "
  "AP [mmHg], AIx [%], Tr [ms], PWV_a [m/s], PWV_cf [m/s], PWV_br [m/s], PWV_fa [m/s], dia_asca [mm], dia_dta [mm], "
  "dia_abda [mm], dia_car [mm], Len [mm], drop fin [mmHg], drop ankle [mmHg], SVR [10^6 Pa s / m3]"
)


@pytest.fixture(scope="module")
def drawn():
  """As many subjects as `test_indices` draws, so that one program serves both."""
  subjects = people.draw(8, clinics.HEALTHY, 64)
  return subjects, jax.tree.map(np.asarray, profiles.profiles(subjects))


@pytest.fixture(scope="module")
def both(drawn):
  subjects, waves = drawn
  return subjects, pwdb_parameters.parameters(subjects, waves)


def test_columns_are_those_of_pwdb(both):
  assert ", ".join(both[1]) == HEADER


def test_values_agree_with_each_other_and_with_what_was_drawn(both):
  subjects, result = both
  np.testing.assert_allclose(result["MAP_a [mmHg]"], subjects.map_mmhg, atol=0.15)
  np.testing.assert_allclose(result["PP_a [mmHg]"], result["SBP_a [mmHg]"] - result["DBP_a [mmHg]"], atol=1e-6)
  np.testing.assert_allclose(result["CO [l/min]"], result["SV [ml]"] * result["HR [bpm]"] / 1000, rtol=1e-6)
  # Ohm: pressure above the outflow's over the output, in 10⁶ Pa·s/m³
  ohm = (subjects.map_mmhg - 33.2) * 133.322 / (subjects.sv_ml * subjects.hr_bpm / 60 * 1e-6) / 1e6
  np.testing.assert_allclose(result["SVR [10^6 Pa s / m3]"], ohm, rtol=5e-3)
  # the measured foot-to-foot velocity is the theoretical one that was asked for, within what MAP and reflections do
  ratio = result["PWV_cf [m/s]"] / np.asarray(subjects.pwv_m_s)
  assert abs(np.median(ratio) - 1) < 0.08
  assert (np.abs(ratio - 1) < 0.25).all()
  assert (result["drop fin [mmHg]"] > 0).all()
  assert (result["PWV_br [m/s]"] > 3).all()


def test_onsets_grow_along_the_way(drawn):
  subjects, waves = drawn
  late = pwdb_parameters.onsets(waves.p_mmhg, 60 / subjects.hr_bpm)
  order = [list(network.PWDB_SITES).index(site) for site in ("AorticRoot", "ThorAorta", "AbdAorta", "IliacBif")]
  assert (np.diff(late[:, order], axis=1) > 0).all()
  assert (late < 0.35).all()
