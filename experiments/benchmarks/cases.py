"""Defines the trainings that the benchmark measures."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import config
from cap_jax.losses import tasks, terms
from cap_jax.models import net as nets
from cap_jax.strategies import find
from cap_jax.train import prediction, sharding, step
from cap_jax.types import Batch, Params

SAMPLES, BATCH, MARGIN = 500, 32, 31
NETWORKS = {
  "token_cnn": config.Model(),
  "cnn": config.Model(extractor="cnn"),
  "tcn": config.Model(extractor="tcn", head="sample", channels=48, layers=5, kernel=5),
  "lstm": config.Model(extractor="lstm", layers=2),
  "cnn_bilstm": config.Model(extractor="cnn_bilstm", layers=2),
}
# a small network, as in the examples of domain adaptation libraries
SMALL = config.Model(extractor="mlp", head="numbers", channels=100, layers=2, head_channels=32, outputs=1)


class Case(NamedTuple):
  """A training to measure.

  Attributes:
    model: of the network.
    strategy: name.
    freeze: paths of frozen parameters.
    cached: whether the features are computed once, before the steps.
    samples: of a window.
    batch: windows of a batch.
  """

  model: config.Model
  strategy: str = "scratch"
  freeze: tuple[str, ...] = ()
  cached: bool = False
  samples: int = SAMPLES
  batch: int = BATCH


def batch_of(case: Case, count: int) -> dict[str, dict[str, np.ndarray]]:
  """Draws batches of white noise for all streams that the strategy reads.

  Args:
    case: the training.
    count: number of batches.

  Returns:
    Stream → array name → (batch, window, value).
  """
  rng = np.random.default_rng(0)
  coordinates = 2 if case.model.extractor == "mlp" else case.samples
  outputs = case.model.outputs if case.model.head == "numbers" else coordinates

  def part() -> dict[str, np.ndarray]:
    shapes = {"x": coordinates, "c": len(case.model.covariates), "y": outputs}
    return {name: rng.normal(size=(count, case.batch, size)).astype(np.float32) for name, size in shapes.items()}

  return {stream: part() for stream in find(case.strategy).streams}


def _loss_of(net: nets.Net, model: config.Model) -> Any:
  if model.head != "numbers":
    return tasks.TASKS["waveform"].make_loss(net, MARGIN)

  def loss(params: Params, part: Batch, key: jax.Array) -> tuple[jax.Array, dict]:
    del key
    return jnp.square(net.reconstruct(params["r"], part["h"], part["x"]) - part["y"]).mean(), {}

  return loss


class Ours(NamedTuple):
  """A training of this project, ready to run."""

  params: Params
  trainer: step.Trainer
  state: step.TrainState
  stack: Any


def ours(case: Case, steps: int, shared: bool = False) -> Ours:
  """Prepares a training of this project.

  Args:
    case: the training.
    steps: of a chunk.
    shared: whether batches are shared among all devices instead of placed on one.

  Returns:
    The training.
  """
  net, strategy = nets.make_net(case.model), find(case.strategy)
  loss = _loss_of(net, case.model)
  context = terms.Context(net, loss, loss)
  total = terms.make_total(strategy.loss, strategy.combine, context)
  stack = batch_of(case, steps)
  samples = next(iter(stack.values()))["x"].shape[-1]
  source = net.init(jax.random.key(1), samples)
  params, _ = strategy.start(source, net, net, samples, jax.random.key(0))
  trainer = step.make_trainer(total, case.freeze)
  if case.cached:
    for part in stack.values():
      flat = part["x"].reshape(-1, samples), part["c"].reshape(steps * case.batch, -1)
      h = prediction.features(net, params, *flat)
      part["h"] = h.reshape(steps, case.batch, *h.shape[1:])
  state = trainer.init(params, 10**6, 1e-4)
  if shared:
    return Ours(params, trainer, sharding.replicated(state, case.batch), sharding.spread(stack, case.batch))
  return Ours(params, trainer, state, jax.device_put(stack))


def our_call(training: Ours) -> Callable[[], Any]:
  """Returns a function that runs one chunk, each from the state of the last."""
  state, key = training.state, jax.random.key(0)

  def call() -> Any:
    nonlocal state
    state, metrics = training.trainer.run(state, training.stack, key)
    return metrics

  return call
