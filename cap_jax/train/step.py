"""One step of training, and many of them in one program."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cap_jax.train import optimizer
from cap_jax.transfer import surgery
from cap_jax.types import Batch, LossFn, Metrics, Params


class State(NamedTuple):
  """What training carries. `steps` is the planned total and `peak` the learning rate: data, not code."""

  params: Params
  opt_state: optax.OptState
  step: jax.Array
  steps: jax.Array
  peak: jax.Array


class Trainer(NamedTuple):
  """init(params, steps, peak) -> state; run(state, batches, key) -> (state, metrics), batches stacked by step."""

  init: Callable[[Params, int, float], State]
  run: Callable[[State, Batch, jax.Array], tuple[State, Metrics]]


@functools.cache
def make_trainer(
  loss: LossFn, hold: tuple[str, ...] = (), weight_decay: float = 1e-4, clip: float = 1.0, warmup: float = 0.05
) -> Trainer:
  """Training of a loss with some parameters held. One trainer, and so one program, per set of arguments.

  Args:
    loss: pure loss.
    hold: path prefixes of the parameters that stay as they are.
    weight_decay, clip, warmup: see `optimizer`.
  """
  tx = optimizer.make_optimizer(functools.partial(surgery.label, hold=hold), weight_decay, clip)

  def init(params: Params, steps: int, peak: float) -> State:
    params = jax.tree.map(jnp.array, params)  # a copy: the state is donated
    return State(params, tx.init(params), jnp.zeros((), jnp.int32), jnp.array(steps), jnp.array(peak, jnp.float32))

  def step(state: State, batch: Batch, key: jax.Array) -> tuple[State, Metrics]:
    key = jax.random.fold_in(key, state.step)
    gradient, metrics = jax.grad(loss, has_aux=True)(state.params, batch, key)
    direction, opt_state = tx.update(gradient, state.opt_state, state.params)
    rate = optimizer.learning_rate(state.step / state.steps, state.peak, warmup)
    params = optax.apply_updates(state.params, jax.tree.map(lambda d: -rate * d, direction))
    return state._replace(params=params, opt_state=opt_state, step=state.step + 1), metrics

  @functools.partial(jax.jit, donate_argnums=0)
  def run(state: State, batches: Batch, key: jax.Array) -> tuple[State, Metrics]:
    return jax.lax.scan(lambda s, batch: step(s, batch, key), state, batches)

  return Trainer(init, run)
