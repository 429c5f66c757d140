"""Who the virtual subjects are: the sources' rules, and the filter of plausible ones."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import cohort, network, plausibility, population, wall, waves
from cap_jax.types import InputError
from tests.arteries import people

AT_50 = clinics.Population(age_min=49.9, age_max=50.1, spread=0.8)


def test_population_means_follow_the_sources():
  drawn = population.draw(jax.random.key(0), AT_50, 4000)
  # Poppe 2015 at 50: (102.35 − 19.28 + 42.94 − 5.965)/2; Yashin 77.54; McVeigh 0.063/0.088; RFV of Charlton
  assert abs(float(drawn.sv_ml.mean()) - 60.0) < 0.7
  assert abs(float(drawn.hr_bpm.mean()) - 77.5) < 0.5
  assert abs(float(drawn.compliance_scale.mean()) - 0.063 / 0.088) < 0.01
  assert float(drawn.rfv_ml.mean()) == pytest.approx(0.73, abs=0.08)
  assert float(drawn.rfv_ml.min()) > 0
  # McEniery between 45.5 and 55.5: DBP 79, PP 46; the form factor on the line from 0.44 at 35 to 0.49 at 75
  assert float(drawn.map_mmhg.mean()) == pytest.approx(79 + (0.44 + 0.05 * 15 / 40) * 46, abs=0.4)
  assert float(drawn.map_mmhg.std()) == pytest.approx(0.8 * 7.5 * 0.88, abs=0.2)  # SD of z truncated at ±2: 0.880
  # velocity rises with pressure, since Mattace-Raso's classes do; ejection shortens with heart rate (Weissler)
  assert np.corrcoef(drawn.map_mmhg, drawn.pwv_m_s)[0, 1] > 0.15
  assert np.corrcoef(drawn.hr_bpm, drawn.lvet_s)[0, 1] < -0.2


def test_pwv_follows_mattace_raso_between_its_classes():
  age = jnp.array([60.0, 60.0, 60.0])
  got = population.mean_pwv(age, jnp.array([92.5, 103.0, 131.0]))
  class_2 = 0.99e-3 * 3600 + 5.69
  class_3 = 1.05e-3 * 3600 + 5.91
  expected = [0.83e-3 * 3600 + 5.55, (class_2 + class_3) / 2, 0.044 * 60 + 0.85e-3 * 3600 + 5.73]
  np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.fixture(scope="module")
def subject():
  return jax.tree.map(lambda x: x[0], people.draw(5, clinics.HEALTHY, 1))


def test_geometry_scales_the_arteries_that_the_sources_name(subject):
  scaled = subject._replace(radius_scale=jnp.array(1.2), length_scale=jnp.array(1.5))
  radius_in, radius_out, length, _ = population.geometry(scaled)
  table = network.read_table()
  aorta, subclavian_branch, radial = table.rows([1, 20, 22])
  assert radius_out[aorta] == pytest.approx(1.2 * table.radius_out_m[aorta])
  assert radius_in[subclavian_branch] == pytest.approx(1.2 * table.radius_in_m[subclavian_branch])
  assert radius_out[subclavian_branch] == pytest.approx(table.radius_out_m[subclavian_branch])
  assert radius_out[radial] == pytest.approx(table.radius_out_m[radial])
  assert length[aorta] == pytest.approx(1.5 * table.length_m[aorta])


def test_taper_changes_the_ends_and_keeps_the_mean(subject):
  plain, flat = (population.geometry(subject._replace(taper_scale=jnp.array(x))) for x in (1.0, 0.0))
  np.testing.assert_allclose(flat.radius_in_m, flat.radius_out_m, rtol=1e-6)
  np.testing.assert_allclose(flat.radius_in_m, (plain.radius_in_m + plain.radius_out_m) / 2, rtol=1e-6)


def speed_to_the_wrist(subject):
  """Theoretical carotid–radial wave speed of one subject [m/s]: mean over the way, weighted by time."""
  rest, now = population.resting_geometry(subject), population.geometry(subject)
  k3 = wall.solve_k3(*rest[:3], subject.pwv_m_s, waves.RHO)
  rows = network.read_table().rows([21, 22])
  radius = (rest.radius_in_m + rest.radius_out_m)[rows] / 2
  speed = np.sqrt(2 / 3 * wall.stiffness(radius, k3) * now.stiffness_scale[rows] / waves.RHO)
  return float(now.length_m[rows].sum() / (now.length_m[rows] / speed).sum())


@pytest.mark.slow
def test_vasodilation_slows_the_arm_and_lowers_the_pressure(subject):
  resting, given = (
    population.draw(jax.random.key(1), dataclasses.replace(AT_50, vasodilated_share=share), people.COUNT)
    for share in (0, 1)
  )
  rest, dilated = (jax.tree.map(lambda x: x[0], drawn) for drawn in (resting, given))
  # nitroglycerine takes carotid–radial PWV from 9.5 to 8.65 m/s, a ratio of 0.91 (PMC8715004)
  assert speed_to_the_wrist(dilated) / speed_to_the_wrist(rest) == pytest.approx(np.sqrt(0.8), abs=0.02)
  out = population.P_OUT_MMHG
  np.testing.assert_allclose(given.map_mmhg - out, 0.88 * (resting.map_mmhg - out), rtol=1e-5)
  np.testing.assert_allclose(given.compliance_scale, 1.3 * resting.compliance_scale, rtol=1e-5)


def test_every_population_draws_subjects_that_can_be():
  for name, spec in clinics.POPULATIONS.items():
    drawn = jax.tree.map(np.asarray, population.draw(jax.random.key(3), spec, 4000))
    for field, value in drawn._asdict().items():
      low, high = population.LIMITS[field]
      assert low <= float(value.min()) <= float(value.max()) <= high, (name, field)
    assert float(drawn.age.min()) >= spec.age_min
    assert (drawn.t_peak_s < drawn.lvet_s).all(), name
    assert float((drawn.lvet_s * drawn.hr_bpm / 60).max()) <= 0.6 + 1e-6, name


def test_a_faster_heart_ejects_for_a_shorter_time():
  shifted = dataclasses.replace(AT_50, hr_shift_bpm=18.0, sv_scale=0.9)
  rest, fast = (population.draw(jax.random.key(0), spec, 4000) for spec in (AT_50, shifted))
  # Weissler: −0.9 ms a beat a minute, 1.1 ms a ml
  expected = -0.0009 * 18 - 0.0011 * 0.1 * float(rest.sv_ml.mean())
  assert float((fast.lvet_s - rest.lvet_s).mean()) == pytest.approx(expected, abs=1e-3)


@pytest.fixture(scope="module")
def saved():
  return plausibility.draw(jax.random.key(2), clinics.Population(), 150)


def test_kept_subjects_are_plausible_and_some_are_not(saved):
  assert plausibility.plausible(saved.age, people.beats(saved)).all()
  drawn = population.draw(jax.random.fold_in(jax.random.key(2), 0), clinics.Population(), 256)
  share = plausibility.plausible(np.asarray(drawn.age), jax.tree.map(np.asarray, cohort.beats(drawn))).mean()
  assert 0.6 < share < 0.9


@pytest.mark.quick
def test_filter_uses_the_decade_of_the_age():
  # a beat of 124/79 mmHg at the arm and 113/79 at the root: at home at 45, not at 75, whose amplification it exceeds
  turn = np.linspace(0, 1, 50)
  beat = {"brachial": 79 + 45 * turn[None], "aortic_root": 79 + 28 * turn[None]}
  assert plausibility.plausible(np.array([45.0]), beat).tolist() == [True]
  assert plausibility.plausible(np.array([75.0]), beat).tolist() == [False]


def test_a_larger_draw_begins_with_the_smaller_one(saved):
  more = plausibility.draw(jax.random.key(2), clinics.Population(), 250)
  np.testing.assert_array_equal(more.sv_ml[:150], saved.sv_ml)


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"age_max": 200.0}, "Population.age_max=200.0: must be 18 to 100"),
    ({"age_min": 90.0}, "Population.age_min=90.0: must be less than age_max=80.0"),
    ({"vasodilated_share": 1.5}, "Population.vasodilated_share=1.5: must be 0 to 1"),
    ({"map_shift_mmhg": float("nan")}, "Population.map_shift_mmhg=nan: must be -100 to 100"),
    ({"taper_sd": -0.1}, "Population.taper_sd=-0.1: must be 0 to 0.25"),
    ({"map_shift_mmhg": 90.0}, "fewer than 2 % of its subjects are plausible"),
    ({"hr_shift_bpm": -70.0}, "draws impossible subjects"),
  ],
)
def test_populations_that_cannot_be_are_refused(change, said):
  with pytest.raises(InputError, match=said):
    plausibility.draw(jax.random.key(0), dataclasses.replace(clinics.Population(), **change), 4)


def test_patients_have_the_circulation_of_their_population():
  spec = clinics.Population(plausible=False, patient_share=1.0)
  drawn = jax.tree.map(np.asarray, population.draw(jax.random.key(5), spec, 4000))
  ranges = spec.circulation
  output = drawn.sv_ml * drawn.hr_bpm / 1000
  for value, (low, high) in (
    (drawn.hr_bpm, ranges.hr_bpm),
    (drawn.map_mmhg, ranges.map_mmhg),
    (drawn.p_out_mmhg / drawn.map_mmhg, ranges.outflow_share),
    (drawn.rfv_ml / drawn.sv_ml, ranges.regurgitant_share),
    (drawn.closure_s, ranges.closure_s),
    (drawn.fall_exponent, ranges.fall_exponent),
    (drawn.t_peak_s / drawn.lvet_s, ranges.upstroke_share),
  ):
    assert low - 1e-4 <= value.min() < low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) < value.max() <= high + 1e-4
  free = (drawn.sv_ml > 20.01) & (drawn.sv_ml < 129.99)  # not cut at the ends of heart rate and output together
  assert free.mean() > 0.85
  assert ranges.output_l_min[0] <= output[free].min() < output[free].max() <= ranges.output_l_min[1] + 1e-4
  scale = drawn.lvet_s / (0.413 - 0.0017 * drawn.hr_bpm)
  assert ranges.ejection_scale[0] - 1e-4 <= scale.min() < scale.max() <= ranges.ejection_scale[1] + 1e-4


@pytest.mark.slow
def test_a_share_of_the_subjects_are_patients_and_the_others_are_as_without():
  half = jax.tree.map(np.asarray, population.draw(jax.random.key(5), clinics.Population(patient_share=0.4), 2000))
  well = jax.tree.map(np.asarray, population.draw(jax.random.key(5), clinics.Population(), 2000))
  same = half.p_out_mmhg == population.P_OUT_MMHG
  assert same.mean() == pytest.approx(0.6, abs=0.04)
  for name, value in half._asdict().items():
    np.testing.assert_array_equal(value[same], getattr(well, name)[same], err_msg=name)


def test_the_pressure_at_the_outflow_bounds_diastole_and_leaves_the_mean():
  """A long diastole decays towards it; a higher one at the same mean and flow needs less resistance."""
  base = people.single(jax.tree.map(lambda x: x[0], people.draw(4, clinics.POPULATIONS["reference"], 1)))
  slow = base._replace(hr_bpm=np.float32([32.0]), sv_ml=np.float32([90.0]))
  low, high = (slow._replace(p_out_mmhg=np.float32([value])) for value in (10.0, 60.0))
  waves = [np.asarray(people.beats(subject)["aortic_root"])[0] for subject in (low, high)]
  assert waves[0].mean() == pytest.approx(float(slow.map_mmhg[0]), abs=0.1)
  assert waves[1].mean() == pytest.approx(waves[0].mean(), abs=0.05)
  assert waves[1].min() > waves[0].min() + 1
  resistance = [float(cohort.derived(subject)["resistance_mmhg_s_ml"][0]) for subject in (low, high)]
  flow = 90 * 32 / 60
  np.testing.assert_allclose(resistance, (float(slow.map_mmhg[0]) - np.array([10, 60])) / flow, rtol=1e-5)
