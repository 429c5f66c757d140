"""The supervised loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import config
from cap_jax.losses import waveform
from cap_jax.models import net
from cap_jax.train import source_training
from cap_jax.types import InputError


def test_mean_square_without_the_margins(tiny_model):
  network = net.make_net(tiny_model)
  params = network.init(jax.random.key(0), 500)
  x = jax.random.normal(jax.random.key(1), (4, 500))
  loss = waveform.make_waveform(network, 31)
  c = jnp.zeros((4, 0))
  y = np.array(network.apply(params, x, c))
  y[:, 31:469] += 0.5
  y[:, :31] += 100.0
  value, metrics = loss(params, {"x": x, "y": y, "c": c}, jax.random.key(0))
  np.testing.assert_allclose(value, 0.25, rtol=1e-5)
  np.testing.assert_allclose(metrics["rmse"], 0.5, rtol=1e-5)
  weights = jnp.array([4.0, 0.0, 0.0, 0.0])
  y[1:] += 7.0  # windows of no weight
  np.testing.assert_allclose(
    loss(params, {"x": x, "y": y, "c": c, "w": weights}, jax.random.key(0))[0], 0.25, rtol=1e-5
  )


def test_root_mean_square_of_each_window(tiny_model):
  """Windows of errors 1 and 3 have the mean 2, and pull at the parameters alike."""
  network = net.make_net(tiny_model)
  params = network.init(jax.random.key(0), 500)
  x = jax.random.normal(jax.random.key(1), (2, 500))
  c = jnp.zeros((2, 0))
  y = np.array(network.apply(params, x, c))
  y[:, 31:469] += np.array([[1.0], [3.0]])
  y[:, :31] += 100.0
  loss = waveform.make_rmse(network, 31)
  value, metrics = loss(params, {"x": x, "y": y, "c": c}, jax.random.key(0))
  np.testing.assert_allclose(value, 2.0, rtol=1e-3)
  np.testing.assert_allclose(metrics["rmse"], np.sqrt(5.0), rtol=1e-5)
  pull = jax.grad(lambda y: loss(params, {"x": x, "y": y, "c": c}, jax.random.key(0))[0])(jnp.asarray(y))
  np.testing.assert_allclose(jnp.abs(pull).sum(1), 0.5, rtol=1e-3)


def test_given_features_replace_the_extractor(tiny_model):
  network = net.make_net(tiny_model)
  params = network.init(jax.random.key(0), 500)
  x = jax.random.normal(jax.random.key(1), (4, 500))
  batch = {"x": x, "y": jnp.zeros_like(x), "c": jnp.zeros((4, 0))}
  loss = waveform.make_waveform(network, 31)
  h = network.features(params["f"], x, batch["c"])
  value = jax.jit(jax.value_and_grad(loss, has_aux=True))
  (full, _), gradient = value(params, batch, jax.random.key(0))
  (cached, _), cached_gradient = value(params, {**batch, "h": h}, jax.random.key(0))
  np.testing.assert_allclose(full, cached, rtol=1e-6)
  for a, b in zip(jax.tree.leaves(gradient["r"]), jax.tree.leaves(cached_gradient["r"]), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)
  assert all((leaf == 0).all() for leaf in jax.tree.leaves(cached_gradient["f"]))


def test_only_a_wave_has_an_rmse(tiny_model):
  network = net.make_net(tiny_model)
  assert source_training._trained_loss(network, 31, "waveform", "rmse") is waveform.make_rmse(network, 31)
  assert source_training._trained_loss(network, 31, "waveform", "mse") is waveform.make_waveform(network, 31)
  with pytest.raises(InputError, match=r"Training\.loss=rmse: is the error of a wave, but the task is bp; use mse"):
    source_training._trained_loss(network, 31, "bp", "rmse")
  with pytest.raises(InputError, match=r"Training\.loss=huber"):
    config.Training(loss="huber")
