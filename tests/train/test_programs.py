"""One program a network, strategy and shape, whatever the labels and the seed; and nothing goes to the device unasked while it runs."""

import dataclasses

import jax
import numpy as np
import pytest

from cap_jax.train import runs, step
from tests.train import people
from tests.train.people import PEOPLE


@pytest.fixture(scope="module")
def ground(tiny_model):
  return people.ground(tiny_model, steps=50)


@pytest.fixture
def trainers(monkeypatch):
  """Every trainer that is asked for, with the programs that it had."""
  found, real = {}, step.make_trainer

  def make_trainer(*arguments):
    trainer = real(*arguments)
    found.setdefault(trainer.run, trainer.run._cache_size())
    return trainer

  monkeypatch.setattr(step, "make_trainer", make_trainer)
  return found


@pytest.mark.parametrize("name", ["scratch", "fine_tuning", "multi_task", "domain_adaptation/mmd", "domain_adaptation"])
def test_labels_and_seeds_share_a_program(ground, trainers, name):
  study, trained, data = ground
  for count, seed in ((2, 0), (2, 1), (4, 0), (3, 2)):
    labelled = data.labelled.of(PEOPLE[:count])
    runs.adapt(study, name, trained, dataclasses.replace(data, labelled=labelled), seed, "radial")
  assert sum(run._cache_size() - before for run, before in trainers.items()) == len(trainers)
  assert len(trainers) <= 2  # stages of a strategy


def test_a_chunk_takes_nothing_but_what_the_loop_put_on_the_device(ground, monkeypatch):
  study, trained, data = ground
  real, chunks = step.make_trainer, []

  def make_trainer(*arguments):
    trainer = real(*arguments)

    def run(*given):
      chunks.append(given)
      with jax.transfer_guard("disallow"):
        return trainer.run(*given)

    return trainer._replace(run=run)

  monkeypatch.setattr(step, "make_trainer", make_trainer)
  for name in ("scratch", "fine_tuning", "domain_adaptation/dann"):
    runs.adapt(study, name, trained, data, 0, "radial")
  assert len(chunks) == 3
  trainer = real(lambda theta, part, key: (theta["r"] * part["x"].sum(), {}))
  state, key = trainer.init({"r": jax.numpy.zeros(())}, 1, 1e-3), jax.random.key(0)
  with jax.transfer_guard("disallow"), pytest.raises(Exception, match="Disallowed host-to-device transfer"):
    trainer.run(state, {"x": np.ones((1, 2))}, key)
