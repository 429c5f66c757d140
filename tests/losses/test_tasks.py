"""Source tasks: their labels, their heads, and that each can be learned."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import config
from cap_jax.losses import masked, numeric_losses, tasks
from cap_jax.models import net as nets
from cap_jax.train import step
from tests import tiers

MODEL = config.Model(channels=16, layers=1, head_channels=16)


@functools.partial(jax.jit, static_argnums=(1, 2), static_argnames="numerics")
def part(key, batch=8, numerics=0):
  """Waves whose level, swing and rate are their labels."""
  level_key, swing_key, rate_key = jax.random.split(key, 3)
  level, swing = jax.random.normal(level_key, (batch, 1)), 0.5 + jax.random.uniform(swing_key, (batch, 1))
  rate = 1.0 + 0.5 * jax.random.uniform(rate_key, (batch, 1))
  x = level + swing * jnp.sin(2 * jnp.pi * rate * (jnp.arange(500) / 125)[None])
  m = jnp.concatenate([rate, level, swing], axis=1)[:, :numerics]
  return {"x": x, "y": 0.8 * x + 0.1, "c": jnp.zeros((batch, 0)), "m": m}


@pytest.mark.quick
def test_pressures_of_a_window():
  y = jnp.array([[1.0, 3.0, 2.0], [0.0, -2.0, 5.0]])
  np.testing.assert_allclose(numeric_losses.pressures(y), [[3, 1, 2], [5, -2, 1]])


def test_a_number_loss_is_the_mean_square_over_quantities():
  model = tasks.TASKS["monitoring"].model(MODEL)
  assert model.outputs == 6
  network = nets.make_net(model)
  params = network.init(jax.random.key(0), 500)
  fed = part(jax.random.key(1), 4, 3)
  target = jnp.concatenate([numeric_losses.pressures(fed["y"]), fed["m"]], axis=1)
  expected = np.square(np.asarray(network.apply(params, fed["x"], fed["c"])) - np.asarray(target)).mean()
  loss, _ = jax.jit(tasks.TASKS["monitoring"].make_loss(network, 31))(params, fed, jax.random.key(0))
  np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_a_mask_hides_its_share_in_stretches_and_only_the_hidden_counts():
  draw_mask = jax.jit(masked.draw_mask, static_argnums=(1, 2))
  mask = np.asarray(draw_mask(jax.random.key(0), 400, 500))
  assert abs(mask.mean() - masked.SHARE) < 0.02
  assert set(np.unique(mask)) == {0.0, 1.0}
  assert (np.abs(np.diff(mask, axis=1)).sum(1) <= 24).all()  # stretches of 20 samples
  network = nets.make_net(MODEL)
  params, fed = network.init(jax.random.key(0), 500), part(jax.random.key(1))
  loss, _ = jax.jit(masked.make_masked(network, 31))(params, fed, jax.random.key(2))
  mask, x = np.asarray(draw_mask(jax.random.key(2), 8, 500)), np.asarray(fed["x"])
  observed = np.where(mask > 0, x.mean(1, keepdims=True), x)
  error = (network.apply(params, observed, fed["c"]) - x)[:, 31:469]
  hidden = mask[:, 31:469] > 0
  np.testing.assert_allclose(loss, np.square(np.asarray(error)[hidden]).mean(), rtol=1e-4)


@pytest.mark.parametrize("name", tiers.sample(tasks.TASKS, "monitoring"))
def test_every_task_is_learned(name):
  task = tasks.TASKS[name]
  network = nets.make_net(task.model(MODEL))
  loss = task.make_loss(network, 31)
  trainer = step.make_trainer(lambda p, batch, key: (value := loss(p, batch["source"], key)[0], {"loss": value}))
  keys = jax.random.split(jax.random.key(1), 300)
  stack = {"source": jax.jit(jax.vmap(lambda key: part(key, numerics=len(task.numerics or ()))))(keys)}
  _, metrics = trainer.run(trainer.init(network.init(jax.random.key(0), 500), 300, 1e-2), stack, jax.random.key(0))
  assert metrics["loss"][-30:].mean() < 0.25 * metrics["loss"][:5].mean()
