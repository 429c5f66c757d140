"""Training from windows to parameters: chunks of steps inside one program, the host only feeding it."""

import dataclasses
import functools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from cap_jax import config
from cap_jax.data import batches
from cap_jax.models.net import Net
from cap_jax.train import step
from cap_jax.transfer.strategy import Strategy
from cap_jax.types import Metrics, Params

CHUNK = 50
_PREDICT = 64
_LONG = 50  # blocks; fewer are done before a bar could be read


class DivergedError(RuntimeError):
  """The loss is no longer a number."""


@dataclasses.dataclass(frozen=True)
class Fitted:
  """What training gives: parameters, the loss of every step, and the seconds it took without compiling."""

  params: Params
  loss: np.ndarray
  train_s: float


def fit(
  net: Net,
  strategy: Strategy,
  params: Params,
  pairs: batches.Pairs,
  scaling: batches.Scaling,
  spec: config.Training,
  margin: int,
  name: str,
) -> Fitted:
  """Trains θ⁰ on labelled windows as a strategy says.

  Args:
    net: the network.
    strategy: what is held, and the loss.
    params: θ⁰, from `Strategy.start`; not changed.
    pairs: labelled windows of the training subjects.
    scaling: of the network's input.
    spec: steps (a multiple of `CHUNK`), batch, rates, seed.
    margin: samples at each end of a window that count in no loss.
    name: label of the progress bar.

  Raises:
    DivergedError: the loss is NaN or infinite; names the step.
  """
  began = time.perf_counter()
  arrays = {"x": scaling.scale(pairs.x_bt), "y": scaling.scale(pairs.y_bt)}
  if strategy.holds_features:
    features(net, params["f"], arrays["x"][:1])  # compiles, which is no part of the training time
    began = time.perf_counter()
    arrays["h"] = features(net, params["f"], arrays["x"])
  prepare_s = time.perf_counter() - began
  loss = strategy.make_loss(net, margin)
  trainer = step.make_trainer(loss, strategy.hold, spec.weight_decay, spec.clip, spec.warmup)
  state = trainer.init(params, spec.steps, spec.learning_rate)
  key = jax.random.key(spec.seed)
  stream = batches.stacks(arrays, spec.batch, spec.steps, CHUNK, spec.seed)
  losses: list[Metrics] = []
  seconds: list[float] = []
  with tqdm.tqdm(total=spec.steps, desc=name, unit="step", leave=False) as progress:
    began = time.perf_counter()
    for stack in stream:
      state, metrics = trainer.run(state, jax.device_put(stack), key)
      losses.append(metrics)
      if len(losses) > 1:  # wait for the chunk before only: the device stays busy with this one
        _check(losses[-2], len(losses) - 2)
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        progress.update(CHUNK)
    _check(losses[-1], len(losses) - 1)
    seconds.append(time.perf_counter() - began)
    progress.update(CHUNK)
  curve = np.concatenate([np.asarray(metrics["loss"]) for metrics in losses])
  # the first chunk may hold the compiling; the median chunk does not
  return Fitted(jax.block_until_ready(state.params), curve, prepare_s + float(np.median(seconds)) * len(seconds))


def _check(metrics: Metrics, chunk: int) -> None:
  loss = np.asarray(metrics["loss"])
  if not np.isfinite(loss).all():
    at = chunk * CHUNK + int(np.flatnonzero(~np.isfinite(loss))[0])
    raise DivergedError(f"the loss is {loss[at % CHUNK]} at step {at}; lower the learning rate or look at the data")


def _by_rows(function: Callable[[jax.Array], jax.Array], x_bt: np.ndarray) -> np.ndarray:
  """A jitted function over rows in blocks of one shape, so that it compiles once whatever their number."""
  count = len(x_bt)
  out = []
  starts = range(0, count, _PREDICT)
  for start in tqdm.tqdm(starts, desc="windows", unit="block", leave=False, disable=len(starts) < _LONG):
    rows = np.arange(start, start + _PREDICT) % count
    out.append(np.asarray(function(jnp.asarray(x_bt[rows])))[: count - start])
  return np.concatenate(out)


def features(net: Net, theta_f: Params, x_bt: np.ndarray) -> np.ndarray:
  """f(x; θ_f) of scaled windows: (window, token, feature)."""
  return _by_rows(lambda x: _features(net, theta_f, x), x_bt)


def predict(net: Net, params: Params, scaling: batches.Scaling, x_bt: np.ndarray) -> np.ndarray:
  """Aortic windows [mmHg] of peripheral windows [mmHg], both (window, time)."""
  return scaling.unscale(_by_rows(lambda x: _apply(net, params, x), scaling.scale(x_bt)))


@functools.partial(jax.jit, static_argnums=0)
def _features(net: Net, theta_f: Params, x_bt: jax.Array) -> jax.Array:
  return net.features(theta_f, x_bt)


@functools.partial(jax.jit, static_argnums=0)
def _apply(net: Net, params: Params, x_bt: jax.Array) -> jax.Array:
  return net.apply(params, x_bt)
