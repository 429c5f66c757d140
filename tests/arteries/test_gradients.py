"""Every output has a gradient in every parameter: against central differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import cohort, population, profiles
from tests import tiers

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
  "steepening": 0.3,
}


@pytest.fixture(scope="module")
def subject():
  drawn = jax.tree.map(lambda x: x[0], population.draw(jax.random.key(9), clinics.POPULATIONS["reference"], 1))
  return drawn._replace(womersley=jnp.array(0.7), operating_mmhg=jnp.array(2.0), steepening=jnp.array(0.5))


def outputs(subject):
  """Linear functionals of the waves at each site and of the PPG, different for each time."""
  waves = cohort.beats(jax.tree.map(lambda x: x[None], subject))
  weight = jnp.asarray(np.random.default_rng(0).normal(size=8).astype(np.float32))
  turn = jnp.arange(256) / 256
  smooth = sum(weight[k] * jnp.sin(2 * jnp.pi * (k + 1) * turn + k) for k in range(8))
  return jnp.stack([(wave[0] * (1 + smooth)).mean() for wave in waves.values()])


def test_all_parameters_are_covered(subject):
  assert set(STEPS) == set(population.Subject._fields) - {"age"}  # the age only draws the others


@pytest.fixture(scope="module")
def jacobian(subject):
  return jax.jit(jax.jacfwd(outputs))(subject)


@pytest.mark.parametrize("name", STEPS)
def test_gradient_equals_central_difference(subject, jacobian, name):
  step = STEPS[name]
  high, low = (outputs(subject._replace(**{name: getattr(subject, name) + sign * step})) for sign in (1.0, -1.0))
  expected = np.asarray(high - low) / (2 * step)
  got = np.asarray(getattr(jacobian, name))
  assert np.isfinite(got).all()
  # what single precision leaves of the difference, and the third order of the step
  np.testing.assert_allclose(got, expected, rtol=0.03, atol=2e-4 / step + 0.01 * np.abs(expected).max())


@pytest.mark.slow
def test_reverse_mode_equals_forward_mode(subject, jacobian):
  backward = jax.jit(jax.grad(lambda s: outputs(s).sum()))(subject)
  for name in STEPS:
    np.testing.assert_allclose(getattr(backward, name), getattr(jacobian, name).sum(), rtol=2e-3, atol=2e-3)


def test_velocity_target_moves_the_waves_through_k3(subject, jacobian):
  # stiffer arteries: more pulse at the root, none of its mean
  assert np.abs(np.asarray(jacobian.pwv_m_s)).max() > 0.05


@pytest.mark.parametrize("name", tiers.sample(["sv_ml", "pwv_m_s", "radius_scale"], "pwv_m_s"))
def test_flow_and_area_have_gradients_too(subject, name):
  def means(s):
    found = profiles.profiles(jax.tree.map(lambda x: x[None], s), samples=128)
    weight = jnp.cos(2 * jnp.pi * jnp.arange(128) / 128)
    return jnp.stack([(x[0] * (1 + weight[None, :])).mean(1) for x in (found.u_m_s, 1e4 * found.a_m2, found.ppg)])

  step = STEPS[name]
  _, got = jax.jvp(lambda x: means(subject._replace(**{name: x})), (getattr(subject, name),), (jnp.array(1.0),))
  high, low = (means(subject._replace(**{name: getattr(subject, name) + sign * step})) for sign in (1.0, -1.0))
  expected = np.asarray(high - low) / (2 * step)
  np.testing.assert_allclose(got, expected, rtol=0.05, atol=0.02 * np.abs(expected).max())
