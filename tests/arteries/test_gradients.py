"""Every output has a gradient in every parameter: against central differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import cohort, population, profiles
from tests.arteries import people

# Steps that move the waves by about a mmHg, so that single precision resolves the difference.
STEPS = {
  "hr_bpm": 1.0,
  "sv_ml": 1.0,
  "map_mmhg": 1.0,
  "p_ext_mmhg": 4.0,
  "lvet_s": 0.004,
  "t_peak_s": 0.002,
  "rfv_ml": 0.1,
  "fall_exponent": 0.05,
  "pwv_m_s": 0.1,
  "radius_scale": 0.01,
  "length_scale": 0.03,
  "body_scale": 0.01,
  "compliance_scale": 0.05,
  "reflection": 0.03,
  "muscular_stiffness": 0.05,
  "muscular_radius": 0.01,
  "viscosity_scale": 0.2,
  "womersley": 0.1,
  "operating_mmhg": 4.0,
  "taper_scale": 0.05,
  "closure_s": 0.002,
  "p_out_mmhg": 2.0,
  "steepening": 0.3,
}


@pytest.fixture(scope="module")
def subject():
  drawn = jax.tree.map(lambda x: x[0], people.draw(9, clinics.POPULATIONS["reference"], 1))
  values = {"womersley": 0.7, "operating_mmhg": 2.0, "steepening": 0.5}
  return drawn._replace(**{name: np.float32(value) for name, value in values.items()})


def functionals(waves):
  """Linear functionals of the waves (subject, time) at each site and of the PPG, different for each time."""
  weight, turn = np.random.default_rng(0).normal(size=8), np.arange(256) / 256
  smooth = sum(weight[k] * np.sin(2 * np.pi * (k + 1) * turn + k) for k in range(8)).astype(np.float32)
  return [(wave * (1 + smooth)[None]).mean(1) for wave in waves.values()]


def outputs(subject):
  """Those of one subject."""
  return jnp.stack(functionals(cohort.beats(jax.tree.map(lambda x: x[None], subject))))[:, 0]


def moved(subject, names):
  """(2 · parameter,) copies of a subject, each with one of its parameters a step up, then each with one a step down."""
  copies = [
    subject._replace(**{name: np.float32(getattr(subject, name) + sign * STEPS[name])})
    for sign in (1.0, -1.0)
    for name in names
  ]
  return jax.tree.map(lambda *values: np.stack(values), *copies)


def test_all_parameters_are_covered(subject):
  assert set(STEPS) == set(population.Subject._fields) - {"age"}  # the age only draws the others


@pytest.fixture(scope="module")
def jacobian(subject):
  return jax.jit(jax.jacfwd(outputs))(subject)


@pytest.mark.slow
def test_gradients_along_random_directions(subject):
  """All parameters at once, each by its step up or down: d/dε f(s + ε v) = J v."""
  signs = np.random.default_rng(0).choice([-1.0, 1.0], (3, len(STEPS))).astype(np.float32)
  ways = [dict(zip(STEPS, sign * list(STEPS.values()), strict=True)) for sign in signs]

  def along(way, by):
    return subject._replace(**{name: np.float32(getattr(subject, name) + by * step) for name, step in way.items()})

  @jax.jit
  def slope(subject, tangents):
    return jax.vmap(lambda v: jax.jvp(outputs, (subject,), (v,))[1])(tangents)

  tangents = [
    jax.tree.map(np.zeros_like, subject)._replace(**{k: np.float32(x) for k, x in way.items()}) for way in ways
  ]
  got = np.asarray(slope(subject, jax.tree.map(lambda *values: np.stack(values), *tangents)))
  copies = [along(way, by) for by in (0.5, -0.5) for way in ways]
  waves = np.stack(functionals(people.beats(jax.tree.map(lambda *values: np.stack(values), *copies))))
  expected = (waves[:, :3] - waves[:, 3:]).T
  assert np.isfinite(got).all()
  np.testing.assert_allclose(got, expected, rtol=0.03, atol=0.02 * np.abs(expected).max())


@pytest.fixture(scope="module")
def differences(subject):
  """Parameter → central differences of the outputs, all from one cohort."""
  result = np.stack(functionals(people.beats(moved(subject, STEPS)))).reshape(-1, 2, len(STEPS))
  return {name: (result[:, 0, k] - result[:, 1, k]) / (2 * step) for k, (name, step) in enumerate(STEPS.items())}


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_gradient_equals_central_difference(jacobian, differences, name):
  step, expected = STEPS[name], differences[name]
  got = np.asarray(getattr(jacobian, name))
  assert np.isfinite(got).all()
  # what single precision leaves of the difference, and the third order of the step
  np.testing.assert_allclose(got, expected, rtol=0.03, atol=2e-4 / step + 0.01 * np.abs(expected).max())


@pytest.mark.slow
def test_reverse_mode_equals_forward_mode(subject, jacobian):
  backward = jax.jit(jax.grad(lambda s: outputs(s).sum()))(subject)
  for name in STEPS:
    np.testing.assert_allclose(getattr(backward, name), getattr(jacobian, name).sum(), rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_velocity_target_moves_the_waves_through_k3(subject, jacobian):
  # stiffer arteries: more pulse at the root, none of its mean
  assert np.abs(np.asarray(jacobian.pwv_m_s)).max() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sv_ml", "pwv_m_s", "radius_scale"])
def test_flow_and_area_have_gradients_too(subject, name):
  def means(subjects):
    result = profiles.profiles(subjects, samples=512)
    weight = np.cos(2 * np.pi * np.arange(512) / 512).astype(np.float32)
    return [(x * (1 + weight)[None, None]).mean(2) for x in (result.u_m_s, 1e4 * result.a_m2, result.ppg)]

  # six subjects, as in the tests of the profiles: up, down, and the subject itself
  pair = moved(subject, [name])
  six = jax.tree.map(lambda two, one: np.array([*two, *([one] * 4)]), pair, subject)
  along = jax.tree.map(np.zeros_like, six)._replace(**{name: np.ones(6, np.float32)})
  result, slope = jax.jit(lambda s, t: jax.jvp(means, (s,), (t,)))(six, along)
  result, got = np.asarray(result), np.asarray(slope)[:, 2]
  expected = (result[:, 0] - result[:, 1]) / (2 * STEPS[name])
  np.testing.assert_allclose(got, expected, rtol=0.05, atol=0.02 * np.abs(expected).max())
