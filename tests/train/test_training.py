"""The optimiser, the step and the loop."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import clinics, config
from cap_jax.data import batches
from cap_jax.models import net
from cap_jax.train import loop, optimizer, step
from cap_jax.transfer import STRATEGIES, surgery


def quadratic(params, batch, key):
  del key
  loss = jnp.square(params["r"]["w"] - batch["y"]).sum() + jnp.square(params["f"]["w"]).sum()
  return loss, {"loss": loss}


def params():
  return {"f": {"w": jnp.full(3, 2.0)}, "r": {"w": jnp.zeros(2)}}


def stack(steps):
  return {"y": jnp.ones((steps, 2))}


def test_descends_to_the_minimum():
  trainer = step.make_trainer(quadratic, (), weight_decay=0.0)
  state, metrics = trainer.run(trainer.init(params(), 300, 0.1), stack(300), jax.random.key(0))
  np.testing.assert_allclose(state.params["r"]["w"], 1, atol=1e-2)
  np.testing.assert_allclose(state.params["f"]["w"], 0, atol=1e-2)
  assert metrics["loss"].shape == (300,)
  assert metrics["loss"][-1] < 1e-3


def test_first_step_by_hand():
  # Adam's first direction is the sign of the gradient; decay adds w·θ; the rate is peak · step/total/warmup = 0 first
  trainer = step.make_trainer(quadratic, (), weight_decay=0.5, warmup=0.5)
  state, _ = trainer.run(trainer.init(params(), 4, 0.1), stack(2), jax.random.key(0))
  np.testing.assert_allclose(state.params["f"]["w"], 2 - 0.05 * (1 + 0.5 * 2), rtol=1e-5)
  np.testing.assert_allclose(state.params["r"]["w"], 0.05, rtol=1e-4)


def test_held_leaves_stay_to_the_bit_and_have_no_state():
  trainer = step.make_trainer(quadratic, ("f",), weight_decay=0.1)
  state = trainer.init(params(), 50, 0.1)
  full = step.make_trainer(quadratic, (), weight_decay=0.1).init(params(), 50, 0.1)
  count = lambda s: surgery.count(s.opt_state)  # noqa: E731
  assert count(full) - count(state) == 2 * 3  # both Adam moments of the held leaf are gone
  state, _ = trainer.run(state, stack(50), jax.random.key(0))
  np.testing.assert_array_equal(state.params["f"]["w"], 2.0)
  assert (state.params["r"]["w"] != 0).all()


def test_the_clip_does_not_see_held_gradients():
  def steep(p, batch, key):
    loss = jnp.sum(p["r"]["w"]) + 1e6 * jnp.sum(p["f"]["w"])
    return loss, {"loss": loss}

  tx = optimizer.make_optimizer(lambda p: surgery.label(p, ("f",)), 0.0, 1.0)
  gradient = jax.grad(lambda p: steep(p, None, None)[0])(params())
  gradient["f"]["w"] = gradient["f"]["w"] * jnp.nan  # one NaN there must poison nothing
  direction, _ = tx.update(gradient, tx.init(params()), params())
  np.testing.assert_allclose(direction["r"]["w"], 1.0, rtol=1e-3)
  np.testing.assert_array_equal(direction["f"]["w"], 0.0)


def test_learning_rate_warms_up_and_falls_to_zero():
  rate = [float(optimizer.learning_rate(jnp.array(p), jnp.array(2.0), 0.1)) for p in (0, 0.05, 0.1, 0.55, 1.0)]
  np.testing.assert_allclose(rate, [0, 1, 2, 1, 0], atol=1e-6)


def test_trainers_are_shared_and_the_start_is_spared():
  trainer = step.make_trainer(quadratic, ("f",))
  assert trainer is step.make_trainer(quadratic, ("f",))
  start = params()
  trainer.run(trainer.init(start, 10, 0.1), stack(10), jax.random.key(0))
  np.testing.assert_array_equal(start["f"]["w"], 2.0)


@pytest.fixture(scope="module")
def pairs():
  rng = np.random.default_rng(0)
  t = np.arange(500) / 125
  x = np.stack([90 + 20 * np.sin(2 * np.pi * (t + rng.uniform())) for _ in range(40)]).astype(np.float32)
  return batches.Pairs(x, 0.8 * x + 18, np.repeat(["a", "b", "c", "d"], 10))


@pytest.mark.parametrize("name", STRATEGIES)
def test_fit_trains_what_the_strategy_says(name, tiny_model, pairs):
  strategy = STRATEGIES[name]
  network = net.make_net(tiny_model)
  start = network.init(jax.random.key(0), 500)
  scaling = batches.fit_scaling(pairs)
  spec = config.Training(steps=200, learning_rate=1e-2, batch=16)
  fitted = loop.fit(network, strategy, start, pairs, scaling, spec, 31, "test")
  before, after = surgery.leaf_paths(start), surgery.leaf_paths(fitted.params)
  for path, leaf in after.items():
    if any(surgery.matches(path, rule) for rule in strategy.hold):
      np.testing.assert_array_equal(leaf, before[path])
    else:
      assert (np.asarray(leaf) != np.asarray(before[path])).any(), path
  assert fitted.loss.shape == (200,)
  assert fitted.loss[-20:].mean() < 0.3 * fitted.loss[0]
  assert fitted.train_s > 0
  again = loop.fit(network, strategy, start, pairs, scaling, spec, 31, "test")
  np.testing.assert_array_equal(fitted.loss, again.loss)


def test_prediction_does_not_depend_on_the_block(tiny_model, pairs):
  network = net.make_net(tiny_model)
  start = network.init(jax.random.key(0), 500)
  scaling = batches.fit_scaling(pairs)
  whole = loop.predict(network, start, scaling, np.concatenate([pairs.x_bt] * 2))
  part = loop.predict(network, start, scaling, pairs.x_bt[:3])
  np.testing.assert_allclose(whole[:3], part, atol=1e-3)
  assert whole.shape == (80, 500)


def test_a_diverged_training_names_its_step(tiny_model, pairs):
  network = net.make_net(tiny_model)
  start = network.init(jax.random.key(0), 500)
  broken = batches.Pairs(pairs.x_bt, pairs.y_bt * np.nan, pairs.subject_b)
  spec = config.Training(steps=100, batch=8)
  with pytest.raises(loop.DivergedError, match="the loss is nan at step 0"):
    loop.fit(network, STRATEGIES["scratch"], start, broken, batches.fit_scaling(pairs), spec, 31, "test")


@pytest.mark.slow
def test_three_thousand_steps_reach_half_a_millimetre_of_mercury():
  """The default net on clean virtual subjects of all ages with the source's spread: RMSE ≤ 0.5 mmHg on unseen ones."""
  from cap_jax.data import virtual
  from cap_jax.evaluation import errors

  people, clean = dataclasses.replace(clinics.HEALTHY, age_max=80.0), clinics.Device(noise=0.0)
  windows = config.Windows()
  training = batches.make_pairs(
    virtual.load(clinics.Clinic("train", 1200, 16.0, people, clean, seed=1)), "radial", windows
  )
  test = batches.make_pairs(virtual.load(clinics.Clinic("test", 128, 16.0, people, clean, seed=2)), "radial", windows)
  scaling = batches.fit_scaling(training)
  network = net.make_net(config.Model())
  start = network.init(jax.random.key(0), windows.samples)
  fitted = loop.fit(
    network, STRATEGIES["scratch"], start, training, scaling, config.Training(), windows.margin, "3,000 steps"
  )
  predicted = loop.predict(network, fitted.params, scaling, test.x_bt)
  rmse = errors.mean_rmse(errors.Evaluator(test, windows).errors(predicted))
  print(f"clean virtual subjects: RMSE {rmse:.3f} mmHg, {1e3 * fitted.train_s / 3000:.1f} ms a step")
  assert rmse <= 0.5
