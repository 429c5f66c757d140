"""A training step, and a program of many steps."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cap_jax.losses import self_training
from cap_jax.strategies import surgery
from cap_jax.train import optimizer
from cap_jax.types import Batch, LossFn, Metrics, Params, leaf_paths

Rates = tuple[tuple[str, float], ...]


class TrainState(NamedTuple):
  """The state that training carries from step to step. All of it is data, not code.

  Attributes:
    params: θ.
    opt_state: state of the optimiser.
    step: steps done of this stage.
    steps: steps of this stage.
    peak: largest learning rate.
    before: steps of earlier stages.
    total: steps of all stages.
  """

  params: Params
  opt_state: optax.OptState
  step: jax.Array
  steps: jax.Array
  peak: jax.Array
  before: jax.Array
  total: jax.Array


class Trainer(NamedTuple):
  """The functions of a training.

  Attributes:
    init: (params, steps, peak[, before, total]) → state.
    run: (state, batches stacked by step, key) → (state, metrics).
    step: (state, batch, key) → (state, metrics), a single step.
  """

  init: Callable[..., TrainState]
  run: Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]
  step: Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]


def _factors(params: Params, rates: Rates) -> Params:
  """Returns the factor of each leaf's learning rate: that of the longest matching rule, 1 without one."""
  surgery.covered(params, [rule for rule, _ in rates], "rated")
  factors = {}
  for path in leaf_paths(params):
    rules = [(len(rule), factor) for rule, factor in rates if surgery.matches(path, rule)]
    factors[path] = max(rules)[1] if rules else 1.0
  return jax.tree.unflatten(jax.tree.structure(params), list(factors.values()))


@functools.cache
def make_trainer(
  loss: LossFn,
  freeze: tuple[str, ...] = (),
  weight_decay: float = 1e-4,
  clip: float = 1.0,
  warmup: float = 0.05,
  rates: Rates = (),
  optimizer_kind: str = "adam",
) -> Trainer:
  """Makes the training of a loss with some parameters frozen.

  The result is cached: one trainer, and so one program, per set of arguments.

  Args:
    loss: pure loss; its batches contain "progress", the share of the whole training done, over all stages.
    freeze: path prefixes of the frozen parameters.
    weight_decay, clip: see `optimizer.make_optimizer`.
    warmup: see `optimizer.learning_rate`.
    rates: path prefixes with the factors of their learning rates.
    optimizer_kind: name in `optimizer.OPTIMIZERS`.
  """
  tx = optimizer.make_optimizer(functools.partial(surgery.label, freeze=freeze), weight_decay, clip, optimizer_kind)
  init_optimizer = jax.jit(tx.init)  # one small program instead of one for each leaf

  def init(params: Params, steps: int, peak: float, before: int = 0, total: int | None = None) -> TrainState:
    params = jax.tree.map(jnp.array, params)  # a copy: the state is donated
    counts = (jnp.array(before), jnp.array(steps if total is None else total))
    return TrainState(
      params, init_optimizer(params), jnp.zeros((), jnp.int32), jnp.array(steps), jnp.array(peak, jnp.float32), *counts
    )

  def step(state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
    key = jax.random.fold_in(key, state.step)
    progress = (state.before + state.step) / state.total
    gradient, metrics = jax.grad(loss, has_aux=True)(state.params, {**batch, "progress": progress}, key)
    direction, opt_state = tx.update(gradient, state.opt_state, state.params)
    rate = optimizer.learning_rate(state.step / state.steps, state.peak, warmup)
    change = jax.tree.map(lambda d, factor: -rate * factor * d, direction, _factors(state.params, rates))
    params = optax.apply_updates(state.params, change)
    if "teacher" in params:
      params = self_training.teach(params)
    return state._replace(params=params, opt_state=opt_state, step=state.step + 1), metrics

  @functools.partial(jax.jit, donate_argnums=0)
  def run(state: TrainState, batches: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
    return jax.lax.scan(lambda s, batch: step(s, batch, key), state, batches)

  return Trainer(init, run, step)
