"""Losses and physics in single precision beside the same code in double: how much of a value, and of its gradient, is rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import clinics, config
from cap_jax.arteries import cohort, population
from cap_jax.losses import alignment, discrepancy, regularisation, waveform
from cap_jax.models import net as nets
from tests import tiers

MODEL = config.Model(channels=8, layers=1, head_channels=8)


def features(seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(24, 6)), 0.5 + 1.5 * rng.normal(size=(32, 6)), rng.uniform(0.5, 1.5, 24)


def waves():
  rng, time = np.random.default_rng(1), np.arange(500) / 125
  return np.stack([np.sin(2 * np.pi * (1.1 * time + phase)) for phase in rng.uniform(0, 1, 6)]) + 0.01 * rng.normal(
    size=(6, 500)
  )


def of_discrepancy(name):
  a, b, w = features()
  return lambda a, b: discrepancy.DISCREPANCIES[name](a, b, jnp.asarray(w, a.dtype)), (a, b)


def of_spectrum():
  x = waves()
  return lambda s, t: alignment.spectral_distance(s, t, jnp.ones(6, s.dtype)), (x, 1.2 * x[::-1] + 0.1)


def of_l2_sp():
  rng = np.random.default_rng(3)
  theta, other = ({"f": {"w": rng.normal(size=(5, 7))}, "r": {"w": rng.normal(size=7)}} for _ in range(2))
  return regularisation.l2_sp, (theta, other)


def of_waveform():
  net = nets.make_net(MODEL)
  theta = jax.tree.map(np.asarray, net.init(jax.random.key(0), 500))
  theta = jax.tree.map(lambda x: x + 0.05 * np.random.default_rng(x.size).normal(size=x.shape), theta)
  x = waves()
  loss = waveform.make_waveform(net, 31)

  def value(theta):
    kind = jax.tree.leaves(theta)[0].dtype
    part = {
      "x": jnp.asarray(x, kind),
      "y": jnp.asarray(0.9 * x, kind),
      "c": jnp.zeros((6, 0), kind),
      "m": jnp.zeros((6, 0), kind),
    }
    return loss(theta, part, jax.random.key(0))[0]

  return value, (theta,)


CASES = {name: (lambda name=name: of_discrepancy(name)) for name in discrepancy.DISCREPANCIES}
CASES |= {"spectrum": of_spectrum, "l2_sp": of_l2_sp, "waveform": of_waveform}


def evaluated(value, arguments, kind):
  given = jax.tree.map(lambda x: jnp.asarray(x, kind), arguments)
  result, gradient = jax.jit(jax.value_and_grad(value, argnums=tuple(range(len(given)))))(*given)
  return np.asarray(result, np.float64), np.concatenate(
    [np.asarray(g, np.float64).ravel() for g in jax.tree.leaves(gradient)]
  )


@pytest.mark.parametrize("name", tiers.sample(CASES, "coral"))
def test_a_loss_in_single_precision_is_that_in_double(name):
  value, arguments = CASES[name]()
  single = evaluated(value, arguments, jnp.float32)
  with jax.enable_x64(True):
    double = evaluated(value, arguments, jnp.float64)
  np.testing.assert_allclose(single[0], double[0], rtol=2e-4)
  assert np.linalg.norm(single[1] - double[1]) < 2e-3 * np.linalg.norm(double[1])


@pytest.mark.slow
def test_the_cohort_in_single_precision_is_that_in_double():
  """Pressures of 8 subjects at the root and the wrist within 0.02 mmHg: a tenth of what the networks are requested."""
  drawn = population.draw(jax.random.key(0), clinics.SOURCES["healthy"].population, 8)
  drawn = jax.tree.map(np.asarray, drawn)
  single = jax.tree.map(np.asarray, cohort.beats(jax.tree.map(jnp.asarray, drawn)))
  with jax.enable_x64(True):
    double = jax.tree.map(np.asarray, cohort.beats(jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), drawn)))
  for site in ("aortic_root", "radial", "femoral"):
    assert double[site].dtype == np.float64
    assert np.abs(single[site] - double[site]).max() < 0.02
