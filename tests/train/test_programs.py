"""One program a network, strategy and shape, whatever the labels and the seed; and nothing goes to the device no_test_because while it runs."""

import dataclasses

import jax
import numpy as np
import pytest

from cap_jax.strategies import find
from cap_jax.train import runs, step
from tests import tiers
from tests.train import people
from tests.train.people import PEOPLE


@pytest.fixture(scope="module")
def ground(tiny_model):
  return people.ground(tiny_model, steps=50)


@pytest.fixture
def trainers(monkeypatch):
  """The trainers that are requested."""
  result, real = set(), step.make_trainer

  def make_trainer(*arguments):
    trainer = real(*arguments)
    result.add(trainer.run)
    return trainer

  monkeypatch.setattr(step, "make_trainer", make_trainer)
  return result


@pytest.mark.parametrize(
  "name",
  tiers.sample(
    ["scratch", "fine_tuning", "multi_task", "domain_adaptation/mmd", "domain_adaptation"],
    "scratch",
    "multi_task",
  ),
)
def test_labels_and_seeds_share_a_program(ground, trainers, name):
  budget, trained, data = ground
  programs = []
  for count, seed in ((2, 0), (2, 1), (4, 0), (3, 2)):
    labelled = data.labelled.of(PEOPLE[:count])
    own = dataclasses.replace(data, labelled=labelled)
    runs.adapt(find(name), trained, own, dataclasses.replace(budget, seed=seed))
    programs.append({run: run._cache_size() for run in trainers})
  assert programs == [programs[0]] * 4  # the first may have been compiled by another test
  assert 1 <= len(trainers) <= 2  # stages of a strategy


@pytest.mark.parametrize(
  "name",
  tiers.sample(
    ["scratch", "fine_tuning", "domain_adaptation", "domain_adaptation/dann"],
    "scratch",
    "domain_adaptation",
  ),
)
def test_a_chunk_takes_nothing_but_what_the_loop_put_on_the_device(ground, monkeypatch, name):
  budget, trained, data = ground
  real, chunks = step.make_trainer, []

  def make_trainer(*arguments):
    trainer = real(*arguments)

    def run(*given):
      chunks.append(given)
      with jax.transfer_guard("disallow"):
        return trainer.run(*given)

    return trainer._replace(run=run)

  monkeypatch.setattr(step, "make_trainer", make_trainer)
  runs.adapt(find(name), trained, data, budget)
  assert len(chunks) == 1


def test_a_chunk_that_takes_more_is_stopped():
  trainer = step.make_trainer(lambda theta, part, key: (theta["r"] * part["x"].sum(), {}))
  state, key = trainer.init({"r": jax.numpy.zeros(())}, 1, 1e-3), jax.random.key(0)
  with jax.transfer_guard("disallow"), pytest.raises(Exception, match="Disallowed host-to-device transfer"):
    trainer.run(state, {"x": np.ones((1, 2))}, key)
