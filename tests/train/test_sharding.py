"""Many devices and many processes learn what one does."""

import multiprocessing
import os
import pathlib

import jax
import numpy as np
import pytest

from cap_jax import config
from cap_jax.losses import tasks, terms
from cap_jax.models import net as nets
from cap_jax.train import host_liveness, loop, sharding
from tests.ports import free_port

_PROCESSES = multiprocessing.get_context("forkserver")  # with what tests.experiments.commands imports ahead


def part(rng, count):
  x = rng.normal(size=(count, 500)).astype(np.float32)
  return {"x": x, "y": np.cumsum(x, 1) / 20, "c": np.zeros((count, 0), np.float32)}


def train(devices, process, processes, port, path, flags, stages):
  """A training whose batch meets everything that crosses windows: a loss of two domains, MMD between them, features of a held extractor."""
  with open(f"{path}.err", "wb") as file:
    os.dup2(file.fileno(), 2)
  os.environ |= {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
  jax.config.update("jax_platforms", "cpu")
  if processes > 1:
    who = {"coordinator_address": f"localhost:{port}", "num_processes": processes, "process_id": process}
    watch = host_liveness.join(host_liveness.Limits(), **who)
  assert jax.device_count() == devices, jax.devices()
  net = nets.make_net(config.Model(channels=8, layers=1, head_channels=8))
  loss = tasks.TASKS["waveform"].make_loss(net, 31)
  total = terms.make_total(
    (terms.Term("target"), terms.Term("source"), terms.Term("mmd", 0.3)), "sum", terms.Context(net, loss, loss)
  )
  rng = np.random.default_rng(0)
  streams = {"target": part(rng, 20), "source": part(rng, 100), "unlabelled": part(rng, 50)}
  del streams["unlabelled"]["y"]
  seen = []

  def validate(theta):
    seen.append(float(sum(jax.numpy.abs(x).sum() for x in jax.tree.leaves(theta))))
    return seen[-1]

  plans = (
    [loop.Plan(steps=50, rate=1e-2, freeze=("f",)), loop.Plan(steps=100, rate=1e-2, freeze=())]
    if stages == 2
    else [loop.Plan(steps=150, rate=1e-2, freeze=())]
  )
  params = net.init(jax.random.key(0), 500)
  fitted = loop.fit(net, total, plans, params, streams, config.Training(batch=16), loop.Watch("test", validate))
  leaves = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(fitted.params)]
  assert all(len(leaf.sharding.device_set) == 1 for leaf in jax.tree.leaves(fitted.params))
  spread = len(sharding.mesh(16).devices.ravel())
  np.savez(path, loss=fitted.loss, params=np.concatenate(leaves), seen=seen, spread=spread)
  if processes > 1:
    watch.finish()


def trained(folder, devices, processes=1, stages=2):
  """The results of each process; of two stages the first holds the extractor."""
  port, running = free_port(), []
  flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices // processes}"
  for process in range(processes):
    path = str(folder / f"{devices}-{processes}-{process}.npz")
    running.append(
      (path, _PROCESSES.Process(target=train, args=(devices, process, processes, port, path, flags, stages)))
    )
    running[-1][1].start()
  result = []
  for path, process in running:
    process.join(900)
    assert process.exitcode == 0, pathlib.Path(f"{path}.err").read_text(encoding="utf-8")[-2000:]
    result.append(dict(np.load(path)))
  return result


@pytest.fixture(scope="module")
def single(tmp_path_factory):
  return trained(tmp_path_factory.mktemp("single"), 1)[0]


def check_alike(result, single):
  np.testing.assert_allclose(result["loss"][0], single["loss"][0], rtol=1e-5)
  np.testing.assert_allclose(result["loss"], single["loss"], rtol=2e-3, atol=1e-4)
  np.testing.assert_allclose(result["params"], single["params"], atol=5e-3)
  np.testing.assert_allclose(result["seen"], single["seen"], rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("stages", [1, 2])
def test_eight_devices_have_the_loss_curve_of_one(tmp_path, stages):
  single, result = (trained(tmp_path, devices, stages=stages)[0] for devices in (1, 8))
  assert result["spread"] == 8
  assert single["loss"][-1] < 0.5 * single["loss"][0]  # it has learnt something
  check_alike(result, single)


@pytest.mark.slow
def test_three_devices_share_what_can_be_shared(tmp_path, single):
  result = trained(tmp_path, 3)[0]
  assert result["spread"] == 2  # 16 windows cannot be shared among three
  check_alike(result, single)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_learn_together_what_one_learns(tmp_path, single, processes):
  result = trained(tmp_path, processes, processes)
  for one in result:
    assert one["spread"] == processes
    check_alike(one, single)
    np.testing.assert_array_equal(one["params"], result[0]["params"])  # they hold the same network, to the bit
