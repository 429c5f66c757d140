"""Many small trainings in one program end where each ends alone."""

import dataclasses

import jax
import numpy as np
import pytest

from cap_jax.data import batches
from cap_jax.strategies import find
from cap_jax.train import clock, prediction, runs, step, vmapped_training
from cap_jax.types import InputError
from tests import tiers
from tests.train import people
from tests.train.people import PEOPLE


@pytest.fixture(scope="module")
def ground(tiny_model):
  return people.ground(tiny_model, steps=50)


def single_run(ground, name, draw):
  budget, trained, data = ground
  own = dataclasses.replace(data, labelled=data.labelled.of(draw.subjects))
  return runs.adapt(find(name), trained, own, dataclasses.replace(budget, seed=draw.seed))


def rmse(output, windows):
  return float(np.sqrt(np.square(prediction.predict(output.checkpoint, windows) - windows.y_bt).mean()))


@pytest.mark.parametrize(
  ("name", "together"),
  tiers.sample(
    [(name, n) for name in ("fine_tuning", "feature_transfer", "multi_task", "domain_adaptation/mmd") for n in (1, 3)],
    ("feature_transfer", 3),
  ),
)
def test_left_out_subjects_have_the_networks_of_single_runs(ground, name, together):
  budget, trained, data = ground
  draws = vmapped_training.leave_one_out(PEOPLE)
  assert [set(PEOPLE) - set(draw.subjects) for draw in draws] == [{one} for one in PEOPLE]
  result = vmapped_training.adapt(find(name), trained, data, draws, budget, together=together)
  for output, draw in list(zip(result, draws, strict=True))[:2]:
    single = single_run(ground, name, draw)
    assert abs(output.fitted.loss[0] - single.fitted.loss[0]) < 1e-5 * max(abs(single.fitted.loss[0]), 1)
    assert abs(rmse(output, data.labelled) - rmse(single, data.labelled)) < 1e-3  # mmHg
    assert output.checkpoint.about == single.checkpoint.about
    assert output.checkpoint.seen_subject_hashes == single.checkpoint.seen_subject_hashes
    assert output.fitted.loss.shape == single.fitted.loss.shape


def test_a_step_is_that_of_a_single_run(ground):
  """To 1e-5 after one step: parameters of all members against each alone."""
  budget, trained, data = ground
  draws = [vmapped_training.Draw((name,), seed) for seed, name in enumerate(PEOPLE)]
  own = [dataclasses.replace(data, labelled=data.labelled.of(draw.subjects)) for draw in draws]
  started = [
    runs.prepare(find("fine_tuning"), trained, part, dataclasses.replace(budget, seed=draw.seed))
    for part, draw in zip(own, draws, strict=True)
  ]
  for one in started:
    assert one.scaling == trained.scaling
  plan = started[0].plans[0]
  trainer = step.make_trainer(started[0].loss, plan.freeze, started[0].spec.weight_decay)
  stacks = [next(batches.stacks(one.fed, 8, 50, 50, 0)) for one in started]
  single_run = jax.jit(trainer.step)
  singles = [
    single_run(trainer.init(one.params, 100, 1e-2), jax.tree.map(lambda x: x[0], stack), jax.random.key(0))[0]
    for one, stack in zip(started, stacks, strict=True)
  ]
  states = jax.vmap(lambda theta: trainer.init(theta, 100, 1e-2))(
    jax.tree.map(lambda *leaves: np.stack(leaves), *(one.params for one in started))
  )
  first = jax.tree.map(lambda *leaves: np.stack([leaf[0] for leaf in leaves]), *stacks)
  together = jax.jit(jax.vmap(trainer.step, in_axes=(0, 0, None)))(states, first, jax.random.key(0))[0]
  for m, single in enumerate(singles):
    for a, b in zip(jax.tree.leaves(together.params), jax.tree.leaves(single.params), strict=True):
      np.testing.assert_allclose(a[m], b, atol=1e-5)


def test_seeds_begin_differently_and_are_compiled_once(ground, monkeypatch):
  budget, trained, data = ground
  programs, real = [], vmapped_training._program

  def program(*arguments):
    result = real(*arguments)
    programs.append((result, result._cache_size()))  # other tests have run it for other numbers of members
    return result

  monkeypatch.setattr(vmapped_training, "_program", program)
  draws = [vmapped_training.Draw(PEOPLE[:2], seed) for seed in range(3)]
  output = vmapped_training.adapt(find("feature_transfer"), trained, data, draws, budget)
  kernels = [np.asarray(one.checkpoint.params["r"]["wave"]["kernel"]) for one in output]
  assert not np.allclose(kernels[0], kernels[1], atol=1e-3)
  assert [result._cache_size() - before for result, before in programs] == [1]  # two chunks, three trainings


def test_features_of_a_frozen_extractor_are_computed_once_for_all(ground, monkeypatch):
  budget, trained, data = ground
  counted, real = [], prediction.features

  def features(net, params, x_bt, *rest, **more):
    counted.append(len(x_bt))
    return real(net, params, x_bt, *rest, **more)

  monkeypatch.setattr(prediction, "features", features)
  vmapped_training.adapt(
    find("feature_transfer"), trained, data, vmapped_training.leave_one_out(PEOPLE), budget, together=3
  )
  assert sorted(counted) == [1, len(data.labelled.x_bt)]  # one window to compile


@pytest.mark.parametrize(
  ("name", "draws", "said"),
  [
    (
      "scratch",
      vmapped_training.leave_one_out(PEOPLE),
      "scratch: its scaling, frozen layers or weight of the source depend on the labelled subjects",
    ),
    (
      "multi_task/transducer",
      [vmapped_training.Draw(PEOPLE, 0), vmapped_training.Draw(PEOPLE, 1)],
      "use the same seed for all draws",
    ),
    ("fine_tuning", [], "needs labelled subjects and at least one draw"),
  ],
)
def test_what_would_not_be_the_same_is_refused(ground, name, draws, said):
  budget, trained, data = ground
  with pytest.raises(InputError, match=said):
    vmapped_training.adapt(find(name), trained, data, draws, budget)


@pytest.mark.parametrize("together", [1, 3])
def test_a_training_that_diverges_is_named(ground, together):
  budget, trained, data = ground
  bad = dataclasses.replace(data.labelled, y_bt=data.labelled.y_bt.copy())
  bad.y_bt[bad.subject_b == "p3"] = np.inf
  with pytest.raises(clock.DivergedError, match="of training 3 is"):
    vmapped_training.adapt(
      find("feature_transfer"),
      trained,
      dataclasses.replace(data, labelled=bad),
      [vmapped_training.Draw((p,), 0) for p in PEOPLE],
      budget,
      together=together,
    )
