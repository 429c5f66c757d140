"""Gradient reversal, the discriminator's losses, the adversaries."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cap_jax.losses import adversarial
from cap_jax.models.discriminator import Discriminator
from tests import tiers


@functools.cache
def fresh():
  """A discriminator of four features."""
  return jax.jit(Discriminator().init)(jax.random.key(0), jnp.zeros((1, 4)))["params"]


@pytest.mark.quick
def test_the_ramp_goes_from_nothing_to_one():
  t = jnp.array([0.0, 0.1, 0.5, 1.0])
  np.testing.assert_allclose(adversarial.ramp(t), [0, 0.462117, 0.986614, 0.999909], atol=1e-5)


def test_reversal_against_finite_differences():
  key = jax.random.key(0)
  h, w = jax.random.normal(key, (5, 3)), jax.random.normal(jax.random.fold_in(key, 1), (3,))
  h, w = np.asarray(h), np.asarray(w)
  loss = jax.jit(lambda x: jnp.tanh(x @ w).sum())
  reversed_gradient = jax.jit(jax.grad(lambda x: loss(adversarial.reverse(x, jnp.array(0.3)))))(h)
  for row, column in [(0, 0), (2, 1), (4, 2)]:
    e = np.zeros_like(h)
    e[row, column] = 1e-3
    slope = (loss(h + e) - loss(h - e)) / 2e-3
    np.testing.assert_allclose(reversed_gradient[row, column], -0.3 * slope, rtol=1e-2, atol=1e-4)
  np.testing.assert_array_equal(adversarial.reverse(h, jnp.array(0.3)), h)


@pytest.mark.quick
def test_cross_entropy_of_logits():
  z = jnp.array([-2.0, 0.5])
  p = 1 / (1 + np.exp(-np.asarray(z)))
  np.testing.assert_allclose(adversarial.cross_entropy(z, 1.0, jnp.ones(2)), -np.log(p).mean(), rtol=1e-5)
  np.testing.assert_allclose(adversarial.cross_entropy(z, 0.0, jnp.ones(2)), -np.log(1 - p).mean(), rtol=1e-5)
  weighted = -(3 * np.log(p[0]) + np.log(p[1])) / 4
  np.testing.assert_allclose(adversarial.cross_entropy(z, 1.0, jnp.array([3.0, 1.0])), weighted, rtol=1e-5)


@pytest.mark.parametrize("adversary", tiers.sample([adversarial.dann, adversarial.adda], adversarial.adda))
def test_a_source_window_of_no_weight_is_not_there(adversary):
  theta = fresh()
  source, target = domains(jax.random.key(2), 8)
  w = jnp.repeat(jnp.array([1.0, 0.0]), 4)
  value = jax.jit(jax.value_and_grad(lambda p, s, w: adversary(p, s, target, w, jnp.array(0.5))[0]))
  some, few = value(theta, source, w), value(theta, source[:4], jnp.ones(4))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), some, few)
  assert abs(some[0] - value(theta, source, jnp.ones(8))[0]) > 1e-4


@functools.partial(jax.jit, static_argnums=1)
def domains(key, n=64):
  a, b = jax.random.split(key)
  return jax.random.normal(a, (n, 4)), 2.0 + jax.random.normal(b, (n, 4))


def trained(loss, theta, steps=200):
  tx = optax.adam(1e-2)

  def step(carry, key):
    params, state = carry
    (_, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(params, key)
    updates, state = tx.update(gradient, state)
    return (optax.apply_updates(params, updates), state), metrics["discriminator_accuracy"]

  (theta, _), accuracy = jax.lax.scan(step, (theta, tx.init(theta)), jax.random.split(jax.random.key(1), steps))
  return theta, accuracy


@pytest.mark.parametrize("adversary", tiers.sample([adversarial.dann, adversarial.adda], adversarial.dann))
def test_the_discriminator_learns_to_tell_domains_apart(adversary):
  """One softmax output would stay at an accuracy of one half."""
  theta = fresh()
  _, accuracy = trained(lambda p, key: adversary(p, *domains(key), jnp.ones(64), jnp.array(0.5)), theta)
  assert accuracy[0] < 0.8
  assert accuracy[-20:].mean() > 0.95


@pytest.mark.parametrize("adversary", tiers.sample([adversarial.dann, adversarial.adda], adversarial.dann))
def test_an_extractor_learns_to_hide_its_domain(adversary):
  """A shift of the target's features, trained against the discriminator, takes the shift between the domains away."""
  theta = {"d": fresh(), "shift": jnp.zeros(4)}

  def loss(p, key):
    source, target = domains(key)
    return adversary(p["d"], source, target + p["shift"][None], jnp.ones(64), jnp.array(1.0))

  theta, accuracy = trained(loss, theta, 1500)
  np.testing.assert_allclose(theta["shift"], -2.0, atol=0.6)
  assert accuracy[-100:].mean() < 0.75


def test_adda_trains_each_player_by_its_own_loss():
  theta = fresh()
  source, target = domains(jax.random.key(2))
  value = lambda p, s, t: adversarial.adda(p, s, t, jnp.ones(64), jnp.array(1.0))[0]  # noqa: E731
  by_source, by_target = jax.jit(jax.grad(value, argnums=(1, 2)))(theta, source, target)
  np.testing.assert_array_equal(by_source, 0.0)  # θ_s is held
  fooled = jax.jit(
    jax.grad(
      lambda t: (
        adversarial.ramp(jnp.array(1.0))
        * adversarial.cross_entropy(adversarial.discriminate(theta, t), 0.0, jnp.ones(64))
      )
    )
  )(target)
  np.testing.assert_allclose(by_target, fooled, atol=1e-7)
