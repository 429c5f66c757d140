"""All strategies at once: what is taken, fresh, frozen, trained, and what each may read."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import batches, scalings
from cap_jax.losses import alignment, discrepancy, tasks, terms
from cap_jax.models import net as nets
from cap_jax.strategies import STRATEGIES, find, freezing, low_rank, surgery
from cap_jax.strategies.strategy import FROZEN, Stage, Strategy
from cap_jax.train import checkpoint, domains, loop, runs, step
from cap_jax.types import InputError, leaf_paths
from tests import tiers

SAMPLES, MARGIN = 500, 31
MODEL = config.Model(channels=8, layers=2, head_channels=8)


def networks(strategy):
  source = nets.make_net(MODEL)
  target = nets.make_net(dataclasses.replace(MODEL, adaptor=strategy.adaptor))
  return source, target


@functools.cache
def begin(strategy, seed=1):
  source_net, net = networks(strategy)
  source = source_net.init(jax.random.key(0), SAMPLES)
  start, report = strategy.start(source, net, source_net, SAMPLES, jax.random.key(seed))
  return source, start, report


def part(key, labelled=True):
  x = jax.random.normal(key, (4, SAMPLES))
  numbers = {"c": jnp.zeros((4, 0))}
  return {"x": x, **numbers, "y": 0.8 * x, "m": jnp.zeros((4, 0))} if labelled else {"x": x, **numbers}


def batch(strategy):
  keys = iter(jax.random.split(jax.random.key(3), 3))
  return {name: part(next(keys), name != "unlabelled") for name in strategy.streams}


def total_loss(strategy):
  _, net = networks(strategy)
  wave = tasks.TASKS["waveform"].make_loss(net, MARGIN)
  return terms.make_total(strategy.loss, strategy.combine, terms.Context(net, wave, wave), low_rank.view)


def holds(strategy):
  _, net = networks(strategy)
  return [freezing.resolve(stage.freeze, net.layers(SAMPLES), 5, 1.0)[0] for stage in strategy.stages]


@pytest.mark.parametrize("name", STRATEGIES)
def test_taken_is_the_source_to_the_bit_and_fresh_is_the_init(name):
  strategy = STRATEGIES[name]
  source, start, report = begin(strategy)
  _, again, _ = begin(strategy)
  _, other, _ = begin(strategy, seed=2)
  given, leaves = leaf_paths(source), leaf_paths(start)
  assert {leaf.path for leaf in report if leaf.fate != "left behind"} <= set(leaves)
  for leaf in report:
    if leaf.fate == "transferred":
      rule = next(rule for rule in strategy.init_from_source if surgery.matches(leaf.path, rule.partition("=")[0]))
      target_rule, _, source_rule = rule.partition("=")
      origin = (source_rule or target_rule) + leaf.path[len(target_rule) :]
      np.testing.assert_array_equal(leaves[leaf.path], given[origin])
    elif leaf.fate == "fresh":
      np.testing.assert_array_equal(leaves[leaf.path], leaf_paths(again)[leaf.path])
  drawn = [leaf.path for leaf in report if leaf.fate == "fresh" and leaf.path.endswith("kernel")]
  for path in drawn:  # another seed, another start
    assert (np.asarray(leaves[path]) != np.asarray(leaf_paths(other)[path])).any(), path


# blocks frozen, fresh, followed and left alone, stages, projected gradients
KINDS = (
  "domain_adaptation",
  "fine_tuning/lp_ft",
  "fine_tuning/low_rank",
  "domain_adaptation/mean_teacher",
  "multi_task/pcgrad",
)


@pytest.mark.parametrize("name", [name for name, strategy in STRATEGIES.items() if strategy.stages])
def test_every_loss_has_a_gradient_in_what_it_trains(name):
  """Traced, not run: a scalar loss of the streams that the strategy reads."""
  strategy = STRATEGIES[name]
  _, start, _ = begin(strategy)
  fed = {**batch(strategy), "progress": jnp.array(0.5)}
  gradient, metrics = jax.eval_shape(jax.grad(total_loss(strategy), has_aux=True), start, fed, jax.random.key(0))
  assert jax.tree.map(jnp.shape, gradient) == jax.tree.map(jnp.shape, start)
  assert metrics["loss"].shape == ()


@pytest.mark.parametrize("name", tiers.sample(STRATEGIES, *KINDS))
def test_frozen_stays_to_the_bit_and_the_rest_is_trained(name):
  """Every stage by itself, from θ⁰: frozen leaves unchanged after steps, all others changed."""
  strategy = STRATEGIES[name]
  _, start, _ = begin(strategy)
  stack = jax.tree.map(lambda x: jnp.repeat(x[None], 4, axis=0), batch(strategy))
  for freeze in holds(strategy):
    frozen = strategy.frozen(freeze)
    trainer = step.make_trainer(total_loss(strategy), frozen, weight_decay=0.0, warmup=0.5)
    state, metrics = trainer.run(trainer.init(start, 8, 1e-2), stack, jax.random.key(0))
    assert np.isfinite(metrics["loss"]).all()
    before = leaf_paths(start)
    for path, leaf in leaf_paths(state.params).items():
      changed = (np.asarray(leaf) != np.asarray(before[path])).any()
      is_frozen = any(surgery.matches(path, rule) for rule in frozen)
      if path.startswith("teacher/"):
        assert changed, f"{path}: the teacher follows the student"
      elif is_frozen:
        assert not changed, f"{path} is frozen and has changed"
      else:
        assert changed, f"{path} is trained and has not changed"


@pytest.mark.parametrize("name", STRATEGIES)
def test_frozen_leaves_have_no_optimiser_state(name):
  strategy = STRATEGIES[name]
  _, start, _ = begin(strategy)
  for freeze in holds(strategy):
    frozen = strategy.frozen(freeze)
    state = step.make_trainer(total_loss(strategy), frozen).init(start, 8, 1e-2)
    trained = sum(
      leaf.size for path, leaf in leaf_paths(start).items() if not any(surgery.matches(path, rule) for rule in frozen)
    )
    assert surgery.count(state.opt_state) == 2 * trained + 1  # two moments, and a count


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_label_of_the_target_reaches_what_says_it_needs_none(name):
  """Given labelled subjects or not, a strategy is fed the streams that it reads, and unlabelled windows have no y."""
  strategy = STRATEGIES[name]
  rng = np.random.default_rng(0)
  waves = [(90 + 20 * rng.normal(size=(6, SAMPLES))).astype(np.float32) for _ in range(3)]
  source, labelled, other = (
    batches.Pairs(x, x, np.array([f"{k}-{i % 2}" for i in range(6)])) for k, x in enumerate(waves)
  )
  scaling = scalings.fit(source)
  params = networks(strategy)[0].init(jax.random.key(0), SAMPLES)
  trained = checkpoint.Checkpoint(params=params, model=MODEL, scaling=scaling)
  data = domains.Data(source, other.unlabelled(), labelled)
  fed, clinic = domains.streams(strategy, data, scaling, MODEL, trained, 0)
  assert (clinic is not None) == strategy.transducer
  assert set(fed) == set(strategy.streams)
  assert strategy.needs_labels == ("target" in fed)
  for stream, arrays in fed.items():
    assert ("y" in arrays) == (stream != "unlabelled")
    assert ("w" in arrays) == (stream == "source" and strategy.reweigh)
  if not strategy.needs_labels:  # what it is fed does not depend on the labelled subjects
    without, _ = domains.streams(strategy, domains.Data(source, other.unlabelled()), scaling, MODEL, trained, 0)
    jax.tree.map(np.testing.assert_array_equal, fed, without)


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_finished_is_the_network_alone(name):
  strategy = STRATEGIES[name]
  _, net = networks(strategy)
  _, start, _ = begin(strategy)
  finished = strategy.finish(start, net)
  assert jax.tree.structure(finished) == jax.tree.structure(net.init(jax.random.key(0), SAMPLES))
  x = jax.random.normal(jax.random.key(5), (2, SAMPLES))
  assert net.apply(finished, x, jnp.zeros((2, 0))).shape == x.shape


def test_strategies_that_take_all_begin_as_the_source():
  """The filter is the identity and low-rank changes are nought at the start; the section is nearly the identity."""
  x, c = jax.random.normal(jax.random.key(5), (2, SAMPLES)), jnp.zeros((2, 0))
  for name, strategy in STRATEGIES.items():
    if set(strategy.init_from_source) == {"f", "r"}:
      source_net, net = networks(strategy)
      source, start, _ = begin(strategy)
      expected = source_net.apply(source, x, c)
      near = 0.5 if strategy.adaptor == "section" else 1e-5  # on white noise
      np.testing.assert_allclose(net.apply(strategy.finish(start, net), x, c), expected, atol=near, err_msg=name)


@pytest.mark.parametrize("schedule", tiers.sample(["constant", "rise"], "rise"))
def test_the_gradient_of_multi_task_learning_is_that_of_its_equation(schedule):
  """∇L_total = ∇L_s + λ(t)·∇L_t in every block, f shared, r and s each by its own."""
  strategy = dataclasses.replace(
    STRATEGIES["multi_task"], loss=(terms.Term("source_task"), terms.Term("target", 0.3, schedule))
  )
  source_net, net = networks(strategy)
  _, start, _ = begin(strategy)
  fed, key, t = batch(strategy), jax.random.key(0), 0.25
  wave = tasks.TASKS["waveform"].make_loss(net, MARGIN)
  total = jax.jit(jax.grad(lambda p: total_loss(strategy)(p, {**fed, "progress": jnp.array(t)}, key)[0]))(start)
  by_target = jax.jit(jax.grad(lambda p: wave(p, fed["target"], key)[0]))(start)
  by_source = jax.jit(jax.grad(lambda p: wave({"f": p["f"], "r": p["s"]}, fed["source"], key)[0]))(start)
  total, by_target, by_source = jax.tree.map(np.asarray, (total, by_target, by_source))
  weight = 0.3 * (t if schedule == "rise" else 1)
  expected = jax.tree.map(lambda s, t: s + weight * t, by_source, by_target)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), total, expected)
  assert source_net.r == net.r


def moved(params, amount=0.1):
  """Every leaf of every block moved by itself, so that no two blocks agree."""
  keys = iter(jax.random.split(jax.random.key(9), len(jax.tree.leaves(params))))
  return jax.tree.map(lambda leaf: leaf + amount * jax.random.normal(next(keys), leaf.shape), params)


def numpy_streams(strategy):
  return jax.tree.map(np.asarray, batch(strategy))


CACHED = {
  **{name: (STRATEGIES[name], ("f", "a") if STRATEGIES[name].adaptor != "none" else ("f",)) for name in STRATEGIES},
  "adaptor frozen beside the source's task": (
    Strategy(equation="", init_from_source=("f", "r"), adaptor="fir", loss=(terms.Term("target"), terms.Term("source"))), ("a", "f")
  ),
  "adaptor trained": (
    Strategy(equation="", init_from_source=("f", "r"), adaptor="fir", loss=(terms.Term("target"), terms.Term("source"))), ("f",)
  ),
}  # fmt: skip


@pytest.mark.parametrize(
  "name",
  tiers.sample(
    CACHED,
    "feature_transfer",
    "fine_tuning/low_rank",
    "domain_adaptation/adda",
    "domain_adaptation/mean_teacher",
    "adaptor frozen beside the source's task",
    "adaptor trained",
  ),
)
def test_a_loss_of_cached_features_is_the_loss(name):
  """Whatever is frozen, whichever extractor reads a stream, and with an adaptor ahead of the target's windows alone."""
  strategy, freeze = CACHED[name]
  _, net = networks(strategy)
  _, start, _ = begin(strategy)
  params = moved(start)
  frozen = strategy.frozen(freeze)
  fed = numpy_streams(strategy)
  cached, _ = loop.with_features(net, frozen, params, fed)
  loss, progress, key = total_loss(strategy), {"progress": jnp.array(0.5)}, jax.random.key(0)
  expected, result = (loss(params, {**streams, **progress}, key)[0] for streams in (fed, cached))
  np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
  reads = {stream for stream, part in cached.items() if "h" in part}
  still = not strategy.low_rank and (strategy.adaptor == "none" or "a" in freeze)
  assert reads == (set(strategy.streams) if still else set())


def test_the_sources_own_extractor_reads_the_source_and_the_adaptor_does_not():
  separate = STRATEGIES["domain_adaptation/separate_mmd"]
  _, net = networks(separate)
  params = moved(begin(separate)[1])
  fed, key = {**batch(separate), "progress": jnp.array(0.5)}, jax.random.key(0)
  value = lambda p: total_loss(separate)(p, fed, key)[0]  # noqa: E731
  h_s = net.features(params["f_s"], fed["source"]["x"], fed["source"]["c"]).mean(1)
  h_t = net.features(params["f"], fed["unlabelled"]["x"], fed["unlabelled"]["c"]).mean(1)
  np.testing.assert_allclose(value(params), discrepancy.mmd(h_s, h_t, jnp.ones(4)), rtol=1e-4)
  adapted = dataclasses.replace(STRATEGIES["domain_adaptation"], reweigh=False)
  params = moved(begin(adapted)[1])
  _, net = networks(adapted)
  fed = {**batch(adapted), "progress": jnp.array(0.5)}
  expected = alignment.spectral_distance(fed["source"]["x"], net.adapt(params, fed["unlabelled"]["x"]), jnp.ones(4))
  np.testing.assert_allclose(total_loss(adapted)(params, fed, key)[0], expected, rtol=1e-4)


@pytest.mark.quick
def test_early_layers_learn_more_slowly_and_the_balance_faster():
  layers = ("f/embed", "f/layer_0", "r/wave")
  factors = dict(STRATEGIES["fine_tuning/rates"].rates(layers))
  assert list(factors) == list(layers)
  np.testing.assert_allclose(list(factors.values()), [0.64, 0.8, 1.0])
  assert STRATEGIES["fine_tuning/all"].rates(layers) == ()
  assert dict(STRATEGIES["multi_task/uncertainty"].rates(layers)) == {"u": 20.0}


@pytest.mark.quick
@pytest.mark.parametrize(
  ("n_target", "distance", "frozen"),
  [(1, 1.0, ("f/c", "r/w")), (9, 1.79, ("f/c", "r/w")), (10, 1.0, ()), (1, 1.8, ()), (20, 2.0, ())],
)
def test_auto_freezes_the_late_layers_where_labels_are_few_and_domains_near(n_target, distance, frozen):
  result, reason = freezing.resolve(("auto",), ("f/a", "f/b", "f/c", "r/w"), n_target, distance)
  assert result == (("f/b", *frozen) if frozen else ())
  assert reason.startswith(f"freeze=auto: {n_target} labelled subjects, domain distance {distance:.2f}: ")
  assert ("similar domains" in reason) == bool(frozen)


def flops(strategy, freeze, with_features):
  """Of one step, as XLA counts them in what it is given to compile."""
  _, net = networks(strategy)
  _, start, _ = begin(strategy)
  fed = batch(strategy)
  if with_features:
    fed["target"]["h"] = net.features(start["f"], fed["target"]["x"], fed["target"]["c"])
  trainer = step.make_trainer(total_loss(strategy), freeze)
  lowered = jax.jit(trainer.step).lower(trainer.init(start, 8, 1e-2), fed, jax.random.key(0))
  return lowered.cost_analysis()["flops"]


def test_the_backward_pass_of_a_frozen_extractor_is_gone():
  strategy = STRATEGIES["fine_tuning/all"]
  full = flops(strategy, (), False)
  frozen = flops(strategy, ("f",), False)
  cached = flops(strategy, ("f",), True)
  _, net = networks(strategy)
  _, start, _ = begin(strategy)
  forward = jax.jit(lambda p, b: net.features(p["f"], b["x"], b["c"])).lower(start, part(jax.random.key(0)))
  once = forward.cost_analysis()["flops"]
  assert frozen < 0.55 * full  # forward of f, and all of r
  assert cached < frozen - 0.95 * once  # not even the forward pass
  assert full - frozen > 1.5 * once  # the backward pass costs about twice the forward one


@pytest.mark.quick
def test_a_combination_is_a_value():
  strategy = find(
    "combination",
    {
      "init_from_source": ["f/embed"],
      "stages": [(("f/embed",), 0.5), ((), 0.5, 0.1)],
      "loss": [("target",), ("mmd", 0.2, "ramp")],
    },
  )
  assert strategy.streams == ("target", "source", "unlabelled")
  assert strategy.stages[1] == Stage((), 0.5, 0.1)
  assert hash(strategy) == hash(dataclasses.replace(strategy))


@pytest.mark.quick
@pytest.mark.parametrize(
  ("name", "changes", "message"),
  [
    ("magic", {}, "strategy 'magic' is unknown; choose one of scratch, feature_transfer"),
    ("scratch", {"colour": 1}, "no field 'colour'; choose one of equation, init_from_source"),
    ("scratch", {"loss": [("nothing",)]}, "loss 'nothing' is unknown; choose one of target"),
    ("scratch", {"loss": [("target", 1.0, "later")]}, "schedule 'later' is unknown"),
    ("scratch", {"combine": "hope"}, "combine 'hope' is unknown"),
    ("scratch", {"stages": [((), 0.5)]}, "their shares add up to"),
    ("scratch", {"stages": [((), 1.0, 1.0, 1.0)]}, "without=1.0: must be a tuple"),
    ("scratch", {"stages": [((), -1.0), ((), 2.0)]}, "shares and rates must be positive"),
    ("scratch", {"adaptor": "iir"}, "adaptor 'iir' is unknown; choose one of none, fir, section"),
    ("scratch", {"learning_rate": -1e-3}, "learning_rate must be positive"),
    ("scratch", {"low_rank": -1}, "low_rank 0 or more"),
    ("scratch", {"rate_decay": 0.0}, "rate_decay in"),
    ("scratch", {"loss": [("l2_sp",)]}, "reads no windows"),
    ("scratch", {"loss": [("target", -1.0)]}, "weight -1.0 must be positive"),
    ("scratch", {"loss": [("target", float("nan"))]}, "weight=nan: must be a finite number"),
    ("multi_task/pcgrad", {"stages": [(("f/embed",),)]}, "use no freeze and low_rank=0"),
    ("multi_task/pcgrad", {"stages": [((), 1.0, 1.0, ("target",))]}, "remove without from the stages"),
    (
      "multi_task",
      {"stages": [((), 1.0, 1.0, ("mmd",))]},
      r"without must name some but not all losses of the strategy \(source_task, target\)",
    ),
    ("scratch", {"stages": [((), 1.0, 1.0, ("target",))]}, "some but not all losses"),
    ("scratch", {"stages": [((), 1.0, 1.0, (), -3)]}, "per_label must be 0 or more"),
    ("multi_task/uncertainty", {"loss": [("target",), ("mmd",)]}, "balances only task losses"),
    ("fine_tuning/low_rank", {"loss": [("target",), ("mean_teacher",)]}, "remove low_rank or the loss mean_teacher"),
  ],
)
def test_impossible_strategies_are_refused(name, changes, message):
  with pytest.raises(InputError, match=message):
    find(name, changes)


@pytest.mark.quick
def test_every_loss_is_used_by_a_strategy():
  used = {term.name for strategy in STRATEGIES.values() for term in strategy.loss}
  assert used | {"source", "shape_coral"} >= set(terms.TERMS)
  assert set(FROZEN) <= {block for strategy in STRATEGIES.values() for block in strategy.blocks}


@pytest.mark.quick
def test_stages_share_the_steps_in_whole_chunks():
  strategy = Strategy(equation="", stages=(Stage(("f",), 0.01), Stage((), 0.98), Stage((), 0.01, 0.5)))
  plans = loop.plan_stages(strategy, 500, 1e-2, [("f",), (), ()], ())
  assert [plan.steps for plan in plans] == [50, 400, 50]
  assert [plan.rate for plan in plans] == [1e-2, 1e-2, 5e-3]
  with pytest.raises(ValueError, match="too few for 3 stages"):
    loop.plan_stages(strategy, 100, 1e-2, [("f",), (), ()], ())


@pytest.mark.quick
@pytest.mark.parametrize(
  ("n_target", "steps"), [(1, [600, 150]), (25, [600, 150]), (40, [600, 250]), (100, [600, 600]), (400, [600, 600])]
)
def test_few_labels_are_learnt_briefly(n_target, steps):
  strategy = Strategy(equation="", stages=(Stage(share=0.5), Stage(share=0.5, per_label=6)))
  plans = loop.plan_stages(strategy, 1200, 1e-2, [(), ()], (), n_target)
  assert [plan.steps for plan in plans] == steps  # 6 for each label, in whole chunks, 150 at least


@pytest.mark.quick
@pytest.mark.parametrize(
  ("freeze", "expected"),
  [
    (("first:2",), ("f/a", "f/b")),
    (("first:50%",), ("f/a", "f/b")),
    (("last:1",), ("r/w",)),
    (("last:0",), ()),
    (("f/b", "last:1"), ("f/b", "r/w")),
  ],
)
def test_words_of_freezing(freeze, expected):
  assert freezing.resolve(freeze, ("f/a", "f/b", "f/c", "r/w"), 5, 1.0) == (expected, "")


@pytest.mark.quick
@pytest.mark.parametrize("word", ["first:x", "first:5", "last:200%", "first:-1"])
def test_impossible_depths_are_refused(word):
  with pytest.raises(surgery.MergeError, match="does not specify a valid number of layers"):
    freezing.resolve((word,), ("f/a", "f/b", "f/c", "r/w"), 5, 1.0)


def test_an_adaptor_goes_over_with_the_extractor_that_it_was_given():
  adapted = nets.make_net(dataclasses.replace(MODEL, adaptor="fir"))
  source = moved(adapted.init(jax.random.key(0), SAMPLES))
  start, report = STRATEGIES["fine_tuning/all"].start(source, adapted, adapted, SAMPLES, jax.random.key(1))
  np.testing.assert_array_equal(start["a"]["taps"], source["a"]["taps"])
  assert {leaf.fate for leaf in report} == {"transferred"}
  start, _ = STRATEGIES["parameter_transfer"].start(source, adapted, adapted, SAMPLES, jax.random.key(1))
  np.testing.assert_array_equal(start["a"]["taps"], 0.0)


@pytest.mark.quick
def test_between_sites_the_source_keeps_a_head_of_its_own():
  lines, heads = STRATEGIES["multi_task/transducer"], STRATEGIES["multi_task/transducer_heads"]
  assert lines.at("radial", "radial") is lines
  apart = lines.at("radial", "brachial")
  assert (apart.loss, set(apart.init_from_source)) == (heads.loss, set(heads.init_from_source))
  assert apart.blocks == ("s",)
  for strategy in (heads, STRATEGIES["fine_tuning"], STRATEGIES["scratch"]):
    assert strategy.at("radial", "brachial") is strategy


@pytest.mark.parametrize(("site", "heads"), tiers.sample([("radial", 1), ("brachial", 2)], ("brachial", 2)))
def test_a_target_of_another_site_is_learnt_with_two_heads(site, heads):
  rng = np.random.default_rng(0)
  waves = [(90 + 20 * rng.normal(size=(6, SAMPLES))).astype(np.float32) for _ in range(3)]
  source, labelled, other = (
    batches.Pairs(x, x, np.array([f"{k}-{i % 2}" for i in range(6)])) for k, x in enumerate(waves)
  )
  net = nets.make_net(MODEL)
  trained = checkpoint.Checkpoint(
    params=net.init(jax.random.key(0), SAMPLES),
    model=MODEL,
    scaling=scalings.fit(source),
    signals=config.Signals(windows=config.Windows(seconds=SAMPLES / 125)),
  )
  data = domains.Data(source, other.unlabelled(), labelled, site=site)
  output = runs.adapt(find("multi_task/transducer"), trained, data, runs.Budget(50, 4))
  assert sum(leaf.path.startswith("s/") for leaf in output.report) == (heads - 1) * sum(
    leaf.path.startswith("r/") for leaf in output.report
  )
  assert set(output.checkpoint.params) == {"f", "r"}
  assert output.checkpoint.site == site


def test_no_line_is_looked_for_before_a_ppg():
  rng = np.random.default_rng(0)
  waves = [(90 + 20 * rng.normal(size=(6, SAMPLES))).astype(np.float32) for _ in range(2)]
  source, other = (batches.Pairs(x, x, np.array([f"{k}-{i % 2}" for i in range(6)])) for k, x in enumerate(waves))
  trained = checkpoint.Checkpoint(
    params=nets.make_net(MODEL).init(jax.random.key(0), SAMPLES), model=MODEL, scaling=scalings.fit(source)
  )
  data = domains.Data(source, other.unlabelled(), site="digital_ppg")
  output = runs.adapt(find("domain_adaptation/transducer"), trained, data, runs.Budget(50, 4))
  assert output.reason == "no test for transducers: a PPG has no fluid-filled transducer"
  jax.tree.map(np.testing.assert_array_equal, output.checkpoint.params, trained.params)
