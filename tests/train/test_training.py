"""The optimiser, the step and the loop."""

import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cap_jax import clinics, config
from cap_jax.data import batches, scalings, splits
from cap_jax.losses import terms, waveform
from cap_jax.models import net
from cap_jax.strategies import surgery
from cap_jax.strategies.strategy import Stage, Strategy
from cap_jax.study import study_config
from cap_jax.train import (
  checkpoint,
  clock,
  collapse,
  domains,
  loop,
  optimizer,
  prediction,
  source_training,
  step,
  training_state,
)
from cap_jax.types import InputError


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


def test_frozen_leaves_stay_to_the_bit_and_have_no_state():
  trainer = step.make_trainer(quadratic, ("f",), weight_decay=0.1)
  state = trainer.init(params(), 50, 0.1)
  full = step.make_trainer(quadratic, (), weight_decay=0.1).init(params(), 50, 0.1)
  count = lambda s: surgery.count(s.opt_state)  # noqa: E731
  assert count(full) - count(state) == 2 * 3  # both Adam moments of the held leaf are gone
  state, _ = trainer.run(state, stack(50), jax.random.key(0))
  np.testing.assert_array_equal(state.params["f"]["w"], 2.0)
  assert (state.params["r"]["w"] != 0).all()


def test_the_clip_does_not_see_frozen_gradients():
  def steep(p, batch, key):
    loss = jnp.sum(p["r"]["w"]) + 1e6 * jnp.sum(p["f"]["w"])
    return loss, {"loss": loss}

  tx = optimizer.make_optimizer(lambda p: surgery.label(p, ("f",)), 0.0, 1.0)
  gradient = jax.grad(lambda p: steep(p, None, None)[0])(params())
  gradient["f"]["w"] = gradient["f"]["w"] * jnp.nan  # one NaN there must poison nothing
  direction = jax.jit(lambda g, theta: tx.update(g, tx.init(theta), theta)[0])(gradient, params())
  np.testing.assert_allclose(direction["r"]["w"], 1.0, rtol=1e-3)
  np.testing.assert_array_equal(direction["f"]["w"], 0.0)


@pytest.mark.quick
def test_learning_rate_warms_up_and_falls_to_zero():
  rate = [float(optimizer.learning_rate(jnp.array(p), jnp.array(2.0), 0.1)) for p in (0, 0.05, 0.1, 0.55, 1.0)]
  np.testing.assert_allclose(rate, [0, 1, 2, 1, 0], atol=1e-6)


def test_trainers_are_shared_and_the_start_is_spared():
  trainer = step.make_trainer(quadratic, ("f",))
  assert trainer is step.make_trainer(quadratic, ("f",))
  start = params()
  trainer.run(trainer.init(start, 10, 0.1), stack(10), jax.random.key(0))
  np.testing.assert_array_equal(start["f"]["w"], 2.0)


def test_rates_of_layers_scale_their_steps():
  trainer = step.make_trainer(quadratic, (), weight_decay=0.0, warmup=0.5, rates=(("f", 0.25),))
  state, _ = trainer.run(trainer.init(params(), 4, 0.1), stack(2), jax.random.key(0))
  np.testing.assert_allclose(state.params["f"]["w"], 2 - 0.25 * 0.05, rtol=1e-5)
  np.testing.assert_allclose(state.params["r"]["w"], 0.05, rtol=1e-4)
  with pytest.raises(surgery.MergeError, match="rule 'x' matches no rated parameter"):
    step.make_trainer(quadratic, (), rates=(("x", 0.5),)).run(
      trainer.init(params(), 4, 0.1), stack(2), jax.random.key(0)
    )


def test_a_loss_receives_the_share_of_the_training_done():
  def report(p, batch, key):
    return jnp.sum(p["f"]["w"]), {"loss": jnp.sum(p["f"]["w"]), "progress": batch["progress"]}

  trainer = step.make_trainer(report)
  _, metrics = trainer.run(trainer.init(params(), 8, 0.1), stack(4), jax.random.key(0))
  np.testing.assert_allclose(metrics["progress"], [0, 0.125, 0.25, 0.375])


def test_the_teacher_is_the_running_mean_of_the_student():
  start = {**params(), "teacher": {"f": {"w": jnp.zeros(3)}}}
  trainer = step.make_trainer(quadratic, ("teacher",), weight_decay=0.0, warmup=0.5)
  state, _ = trainer.run(trainer.init(start, 4, 0.1), stack(2), jax.random.key(0))
  expected = 0.99 * (0.01 * 2.0) + 0.01 * state.params["f"]["w"]  # no step at first: the rate begins at nought
  np.testing.assert_allclose(state.params["teacher"]["f"]["w"], expected, rtol=1e-5)


@pytest.fixture(scope="module")
def pairs():
  rng = np.random.default_rng(0)
  t = np.arange(500) / 125
  x = np.stack([90 + 20 * np.sin(2 * np.pi * (t + rng.uniform())) for _ in range(40)]).astype(np.float32)
  return batches.Pairs(x, 0.8 * x + 18, np.repeat(["a", "b", "c", "d"], 10))


def begin(tiny_model, pairs, freeze=()):
  """Network, loss, stages, start and streams of a supervised training."""
  network = net.make_net(tiny_model)
  wave = waveform.make_waveform(network, 31)
  loss = terms.make_total((terms.Term("target"),), "sum", terms.Context(network, wave, wave))
  strategy = Strategy(equation="", stages=(Stage(freeze),))
  plans = loop.plan_stages(strategy, 200, 1e-2, [freeze], ())
  scaling = scalings.fit(pairs)
  streams = {"target": domains.arrays(scaling, pairs, tiny_model)}
  return network, loss, plans, network.init(jax.random.key(0), 500), streams, scaling


@pytest.mark.parametrize("freeze", [(), ("f",)])
def test_fit_learns_repeats_itself_and_is_followed(tiny_model, pairs, freeze):
  network, loss, plans, start, streams, scaling = begin(tiny_model, pairs, freeze)
  spec = config.Training(batch=16)
  validate = prediction.make_validator(network, lambda p: p, scaling, tiny_model, pairs, config.Windows())
  fitted = loop.fit(network, loss, plans, start, streams, spec, loop.Watch("test", validate))
  assert fitted.loss.shape == (200,)
  assert fitted.loss[-20:].mean() < 0.3 * fitted.loss[0]
  assert fitted.train_s > 0
  np.testing.assert_array_equal([observed.steps for observed in fitted.validation], [50, 100, 150, 200])
  trained = checkpoint.Checkpoint(params=fitted.params, model=tiny_model, scaling=scaling)
  error = prediction.predict(trained, pairs)[:, 31:469] - pairs.y_bt[:, 31:469]
  per_subject = np.sqrt(np.square(error).reshape(4, -1).mean(1))
  np.testing.assert_allclose(fitted.validation[-1].rmse_mmhg, per_subject.mean(), rtol=1e-4)
  for a, b in zip(jax.tree.leaves(fitted.params["f"]), jax.tree.leaves(start["f"]), strict=True):
    assert (np.asarray(a) == np.asarray(b)).all() == bool(freeze)
  again = loop.fit(network, loss, plans, start, streams, spec, loop.Watch("test"))
  np.testing.assert_array_equal(fitted.loss, again.loss)  # following the training does not change it
  assert again.validation == ()


def test_features_of_a_frozen_extractor_are_computed_once_and_change_nothing(tiny_model, pairs, monkeypatch):
  network, loss, plans, start, streams, _ = begin(tiny_model, pairs, ("f",))
  spec = config.Training(batch=16)
  cached = loop.fit(network, loss, plans, start, streams, spec, loop.Watch("test"))
  monkeypatch.setattr(loop, "with_features", lambda net, freeze, params, streams: (streams, 0.0))
  anew = loop.fit(network, loss, plans, start, streams, spec, loop.Watch("test"))
  np.testing.assert_allclose(cached.loss, anew.loss, rtol=1e-3, atol=1e-5)


def test_stages_follow_each_other(tiny_model, pairs):
  network, loss, _, start, streams, _ = begin(tiny_model, pairs)
  plans = [loop.Plan(steps=100, rate=1e-2, freeze=("f",)), loop.Plan(steps=50, rate=1e-3, freeze=())]
  fitted = loop.fit(network, loss, plans, start, streams, config.Training(batch=16), loop.Watch("test"))
  first = loop.fit(network, loss, plans[:1], start, streams, config.Training(batch=16), loop.Watch("test"))
  np.testing.assert_array_equal(fitted.loss[:100], first.loss)
  assert fitted.loss.shape == (150,)
  assert (
    np.asarray(fitted.params["f"]["embed"]["matrix"]["kernel"]) != np.asarray(start["f"]["embed"]["matrix"]["kernel"])
  ).any()


def test_prediction_does_not_depend_on_the_block(tiny_model, pairs):
  _, _, _, start, _, scaling = begin(tiny_model, pairs)
  trained = checkpoint.Checkpoint(params=start, model=tiny_model, scaling=scaling)
  double = batches.Waves(np.concatenate([pairs.x_bt] * 2), np.concatenate([pairs.subject_b] * 2))
  whole = prediction.predict(trained, double)
  part = prediction.predict(trained, batches.Waves(pairs.x_bt[:3], pairs.subject_b[:3]))
  np.testing.assert_allclose(whole[:3], part, atol=1e-3)
  assert whole.shape == (80, 500)


def test_a_diverged_training_names_its_step(tiny_model, pairs):
  network, loss, plans, start, streams, _ = begin(tiny_model, pairs)
  streams["target"]["y"] = streams["target"]["y"] * np.nan
  with pytest.raises(clock.DivergedError, match="the loss is nan at step 0"):
    loop.fit(network, loss, plans, start, streams, config.Training(batch=16), loop.Watch("test"))


@pytest.mark.slow
def test_three_thousand_steps_reach_half_a_millimetre_of_mercury():
  """The default net on clean virtual subjects of all ages with the source's spread: RMSE ≤ 0.5 mmHg on unseen ones."""
  from cap_jax.data.sources import virtual
  from cap_jax.metrics import waveform_metrics

  people, clean = dataclasses.replace(clinics.HEALTHY, age_max=80.0), clinics.Device(noise=0.0)
  spec = config.Windows()
  training = batches.make_pairs(
    virtual.draw(clinics.Clinic(name="train", subjects=1200, seconds=16.0, population=people, device=clean, seed=1)),
    "radial",
    spec,
  )
  test = batches.make_pairs(
    virtual.draw(clinics.Clinic(name="test", subjects=128, seconds=16.0, population=people, device=clean, seed=2)),
    "radial",
    spec,
  )
  trained, fitted = source_training.pretrain(training, test, spec=config.Training())
  rmse = waveform_metrics.mean_rmse(waveform_metrics.Evaluator(test, spec).errors(prediction.predict(trained, test)))
  print(f"clean virtual subjects: RMSE {rmse:.3f} mmHg, {1e3 * fitted.train_s / 3000:.1f} ms a step")
  assert rmse <= 0.5


def test_progress_and_seconds_run_on_from_stage_to_stage(tiny_model, pairs):
  network, _, _, start, streams, scaling = begin(tiny_model, pairs)
  wave = waveform.make_waveform(network, 31)

  def loss(params, batch, key):
    value, _ = wave(params, batch["target"], key)
    return value, {"loss": value, "progress": batch["progress"]}

  strategy = Strategy(equation="", stages=(Stage(("f",), 0.5), Stage((), 0.5)))
  plans = loop.plan_stages(strategy, 200, 1e-3, [("f",), ()], ())
  validate = prediction.make_validator(network, lambda p: p, scaling, tiny_model, pairs, config.Windows())
  fitted = loop.fit(network, loss, plans, start, streams, config.Training(batch=16), loop.Watch("test", validate))
  np.testing.assert_allclose(fitted.metrics["progress"], np.arange(200) / 200, atol=1e-6)
  assert [observed.steps for observed in fitted.validation] == [50, 100, 150, 200]
  seconds = [0.0, *(observed.train_s for observed in fitted.validation)]
  assert (np.diff(seconds) > 0).all()
  assert fitted.validation[-1].train_s == pytest.approx(fitted.train_s)


def test_muon_steps_by_the_orthogonal_factor_of_a_matrix_and_like_nesterovs_adam_elsewhere():
  tx = optimizer.make_optimizer(lambda p: surgery.label(p, ("f",)), 0.5, 1e9, "muon")
  start = {"f": {"w": jnp.ones((2, 2))}, "r": {"w": jnp.full((4, 3), 2.0), "bias": jnp.ones(3)}}
  rotate, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 3)))
  gradient = {
    "f": {"w": jnp.ones((2, 2))},
    "r": {"w": jnp.asarray(rotate @ np.diag([6.0, 1.0, 2.0])), "bias": jnp.array([3.0, -2.0, 0.1])},
  }
  direction = jax.jit(lambda g, theta: tx.update(g, tx.init(theta), theta)[0])(gradient, start)
  np.testing.assert_array_equal(direction["f"]["w"], 0)
  along = rotate.T @ np.asarray(direction["r"]["w"] - 0.5 * start["r"]["w"])
  np.testing.assert_allclose(along, np.eye(3), atol=0.35)  # five rounds of the iteration: singular values near one
  assert np.abs(along - np.diag(np.diag(along))).max() < 0.02
  # Nesterov's look ahead (Dozat 2016): β m̂₂ + g with m̂₂ = (1 − β) g/(1 − β²), so 1 + 0.9 · 0.1/0.19 of the gradient's sign
  ahead = (1 + 0.09 / 0.19) * np.array([1, -1, 1])
  np.testing.assert_allclose(direction["r"]["bias"] - 0.5 * start["r"]["bias"], ahead, rtol=1e-3)


@pytest.mark.parametrize(
  ("kind", "direction"),
  [
    ("adam", optax.scale_by_adam()),
    ("adam_short", optax.scale_by_adam(b1=0.5)),
    ("muon", optax.chain(optax.contrib.muon(1.0), optax.scale(-1.0))),
  ],
)
def test_directions_are_those_of_optax_leaf_by_leaf(kind, direction):
  """Three steps of matrices of equal and of other shapes, of vectors and a scalar, in trees of another order than that of their shapes."""
  shapes = {
    "z": {"w": (3, 2), "bias": (2,)},
    "a": {"w": (3, 2), "v": (2, 3), "bias": (2,), "level": ()},
    "b": {"w": (3, 2), "t": (4, 2, 3)},
  }
  rng = np.random.default_rng(0)
  theta, *gradients = (
    {
      block: {name: jnp.asarray(rng.normal(size=shape)) for name, shape in leaves.items()}
      for block, leaves in shapes.items()
    }
    for _ in range(4)
  )
  tx = optimizer.make_optimizer(lambda p: jax.tree.map(lambda _: "train", p), 0.5, 1.0, kind)
  plain = optax.chain(optax.clip_by_global_norm(1.0), direction, optax.add_decayed_weights(0.5))
  states = [one.init(theta) for one in (tx, plain)]
  for gradient in gradients:
    ours, theirs = (jax.jit(one.update)(gradient, state, theta) for one, state in zip((tx, plain), states, strict=True))
    states = [ours[1], theirs[1]]
    # the iteration magnifies the rounding of float32: 7e-6
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=3e-5), ours[0], theirs[0])


def test_two_players_settle_with_a_short_memory_and_swing_with_a_long_one():
  """L = x y + (x² − y²)/4 falls by x and rises by y; its equilibrium is the origin."""

  def end(kind):
    tx = optimizer.make_optimizer(lambda p: jax.tree.map(lambda _: "train", p), 0.0, 1e9, kind)

    def step(carry, _):
      p, state = carry
      gradient = {"x": p["y"] + 0.5 * p["x"], "y": 0.5 * p["y"] - p["x"]}
      direction, state = tx.update(gradient, state, p)
      return (jax.tree.map(lambda a, d: a - 0.03 * d, p, direction), state), jnp.hypot(p["x"], p["y"])

    start = {"x": jnp.ones(1), "y": jnp.ones(1)}
    return jax.lax.scan(step, (start, tx.init(start)), None, 2000)[1][-500:].max()

  assert end("adam_short") < 1e-3
  assert end("adam") > 0.5


@pytest.mark.quick
def test_an_unknown_optimizer_is_refused():
  with pytest.raises(InputError, match="pretrain: optimizer 'sgd' is unknown; choose from adam, adam_short, muon"):
    study_config.Study(pretrain=config.Training(optimizer="sgd"))
  with pytest.raises(InputError, match="strategy scratch: optimizer 'sgd' is unknown"):
    study_config.Study(custom={"scratch": {"optimizer": "sgd"}})


class Failing:
  """Windows of which those of the third chunk are no numbers."""

  digest = "of nothing"

  def __init__(self, part):
    self.part = part

  def verify(self):
    """There is nothing to compare."""

  def stacks(self, chunk, batch, seed):
    for number, rows in enumerate(batches._order(len(self.part["x"]), chunk, batch, seed)):
      yield {axis: array[rows] * (np.nan if number == 2 else 1.0) for axis, array in self.part.items()}


def test_a_diverged_training_names_whose_windows_and_the_last_good_state(tiny_model, pairs, tmp_path, monkeypatch):
  network, loss, plans, start, streams, _ = begin(tiny_model, pairs)
  spec, who = config.Training(batch=4), {"target": np.array([f"p{k}" for k in range(len(streams["target"]["x"]))])}
  bad = 7
  rows = [set(batches.rows_of_step(len(who["target"]), 4, config.CHUNK, 0, "target", k).tolist()) for k in range(60)]
  at = next(k for k, row in enumerate(rows) if bad in row)
  streams["target"]["y"] = np.array(streams["target"]["y"])
  streams["target"]["y"][bad] = np.inf
  with pytest.raises(clock.DivergedError, match=rf"at step {at}, in windows of .*\bp{bad}\b.* \(target\)") as caught:
    loop.fit(network, loss, plans, start, streams, spec, loop.Watch("test", subjects=who))
  named = str(caught.value).split("in windows of ")[1].split(" (target)")[0].split(", ")
  assert set(named) == {f"p{k}" for k in rows[at]}
  assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
  assert "last good state" not in str(caught.value)  # none was kept
  monkeypatch.setattr(training_state, "EVERY", config.CHUNK)
  late = [loop.Plan(steps=4 * config.CHUNK, rate=1e-3, freeze=())]
  streams["target"]["y"][bad] = 0.0
  watch = loop.Watch("test", recorder=loop.Recorder(training_state.StateKeeper(str(tmp_path))))
  with pytest.raises(clock.DivergedError) as caught:
    loop.fit(network, loss, late, start, {"target": Failing(streams["target"])}, spec, watch)
  assert str(caught.value).startswith("the loss is nan at step 100")
  assert f"the last good state is {tmp_path}/000/000000100" in str(caught.value)


def test_references_among_the_unlabelled_raise(tiny_model, pairs):
  network, loss, plans, start, streams, _ = begin(tiny_model, pairs)
  with pytest.raises(splits.LeakError, match="the stream of unlabelled windows contains their references"):
    loop.fit(
      network,
      loss,
      plans,
      start,
      {**streams, "unlabelled": streams["target"]},
      config.Training(batch=16),
      loop.Watch("test"),
    )


def test_a_collapse_to_the_mean_is_said(tiny_model, pairs):
  network, _, _, start, streams, _ = begin(tiny_model, pairs)
  part = {axis: np.array(streams["target"][axis]) for axis in ("x", "c", "y")}
  assert collapse.warning(network, start, part) == ""
  flat = jax.tree.map(jnp.zeros_like, start)
  part["x"] = np.repeat(part["x"][:1], len(part["x"]), axis=0)
  assert collapse.warning(network, flat, part).startswith("collapsed network: its waves vary only 0.0 % as much")
