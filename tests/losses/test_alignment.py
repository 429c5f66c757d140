"""What is aligned: pooled features, shape without level, spectra; and the mean teacher's disturbance."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax.losses import alignment, regularisation, self_training


@functools.partial(jax.jit, static_argnums=1)
def windows(key, batch, gain=1.0, level=0.0):
  a, b = jax.random.split(key)
  phase = jax.random.uniform(a, (batch, 1))
  size = 1 + 0.2 * jax.random.normal(b, (batch, 1))
  t = (jnp.arange(500) / 125)[None]
  wave = sum(jnp.sin(2 * jnp.pi * k * (1.2 * t + phase)) / k for k in range(1, 12))
  return level + gain * size * wave


def test_features_that_only_follow_the_pressure_are_removed():
  """Two populations at different pressures, features linear in level and swing: nothing is left to align."""
  rng = np.random.default_rng(2)
  level_and_swing = jax.jit(alignment.level_and_swing)
  x_s, x_t = windows(jax.random.key(0), 60), windows(jax.random.key(1), 60, gain=1.5, level=2.0)
  mix = np.asarray(jax.random.normal(jax.random.key(2), (2, 5)))
  h_s, h_t = (np.asarray(level_and_swing(x)) @ mix for x in (x_s, x_t))
  before = np.abs(h_s.mean(0) - h_t.mean(0)).max()
  shift = np.array([[0.0, 0.7, 0.0, 0.0, 0.0]])  # a shift that the pressure does not explain stays
  # levels must vary within a domain for their effect to be known
  x_s, x_t = ((x + rng.normal(size=(60, 1))).astype(np.float32) for x in (x_s, x_t))
  h_s, h_t = (np.asarray(level_and_swing(x)) @ mix for x in (x_s, x_t))
  r_s, r_t = (np.asarray(r) for r in jax.jit(alignment.without_level)(h_s, (h_t + shift).astype(np.float32), x_s, x_t))
  left = r_t.mean(0) - r_s.mean(0)
  assert before > 1.0
  np.testing.assert_allclose(left, shift[0], atol=0.25)


@pytest.mark.quick
def test_spectral_distance_of_a_gain():
  x = np.asarray(jax.random.normal(jax.random.key(0), (16, 500)))
  ones, spectral_distance = np.ones(16), jax.jit(alignment.spectral_distance)
  np.testing.assert_allclose(spectral_distance(x, x, ones), 0, atol=1e-8)
  # a gain of e shifts every logarithm of the power by two, but for the floor
  loud = spectral_distance(1e3 * x, np.float32(1e3 * np.e) * x, ones)
  np.testing.assert_allclose(loud, 4.0, rtol=1e-2)
  half = np.repeat([1.0, 0.0], 8)  # windows of no weight are not there
  some, few = spectral_distance(x, 2 * x, half), spectral_distance(x[:8], 2 * x, np.ones(8))
  np.testing.assert_allclose(some, few, rtol=1e-5)


@pytest.mark.quick
def test_l2_sp_is_half_the_square_of_the_change_of_what_was_taken():
  source = {"f": {"w": jnp.array([1.0, 2.0])}}
  theta = {"f": {"w": jnp.array([1.5, 2.0])}, "r": {"w": jnp.array([9.0])}}
  np.testing.assert_allclose(regularisation.l2_sp(theta, source), 0.125)
  gradient = jax.grad(lambda p, s: regularisation.l2_sp(p, s), argnums=(0, 1))(theta, source)
  np.testing.assert_allclose(gradient[0]["f"]["w"], [0.5, 0.0])
  np.testing.assert_array_equal(gradient[0]["r"]["w"], 0.0)
  np.testing.assert_array_equal(gradient[1]["f"]["w"], 0.0)  # the source is held


def test_a_disturbed_window_keeps_its_level_and_its_shape():
  x = windows(jax.random.key(0), 200, level=3.0)
  disturb = jax.jit(self_training.disturb)
  observed, gain = disturb(jax.random.key(1), x)
  # a network that hands the wave on is asked for nothing but to ignore the noise: the gain is in the answer too
  requested = jax.jit(self_training.amplify)(x, x, gain)
  x, observed, gain, requested = (np.asarray(value) for value in (x, observed, gain, requested))
  np.testing.assert_allclose((observed - x).mean(), 0.0, atol=1e-3)
  assert 0.05 < float((observed - x).std()) < 0.2
  assert (observed != np.asarray(disturb(jax.random.key(2), x)[0])).all()
  assert 0.02 < float(gain.std()) < 0.1
  np.testing.assert_allclose((observed - requested).mean(), 0.0, atol=1e-3)
  slope = ((observed - requested) * (x - x.mean(1, keepdims=True))).mean(1) / x.var(1)
  assert abs(float(np.corrcoef(slope, gain)[0, 1])) < 0.2
