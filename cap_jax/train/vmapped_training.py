"""Many small trainings in one program: the same strategy for other labelled subjects or other seeds,

    θ_m ← θ_m − η ∇L(θ_m; windows of m),     m = 1 … M

as in leave-one-subject-out, a network for each patient, or several seeds. All windows are on the device once; each
training has the row numbers of its own. Each training reads the same batches as alone (`runs.adapt`) and ends with the
same network up to rounding. `together` of them run side by side, which bounds the memory. The others wait in the same
program, so it compiles once. On a CPU each core runs it for other trainings.
"""

import dataclasses
import functools
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from cap_jax import config
from cap_jax.data import batches
from cap_jax.models.net import Net
from cap_jax.strategies.strategy import Strategy
from cap_jax.train import checkpoint, clock, domains, loop, runs, step
from cap_jax.types import InputError, LossFn, Metrics, Params

_READERS = ("a", "f", "f_s")  # blocks that compute features


class Draw(NamedTuple):
  """One of the trainings.

  Attributes:
    subjects: names of its labelled subjects.
    seed: its seed.
  """

  subjects: tuple[str, ...]
  seed: int


class Member(NamedTuple):
  """The inputs of one of the trainings.

  Attributes:
    params: θ⁰.
    rows: stream → rows of its windows.
    seed: seed of their order.
  """

  params: Params
  rows: Mapping[str, np.ndarray]
  seed: int


def leave_one_out(subjects: Sequence[str], seed: int = 0) -> list[Draw]:
  """Returns a training for each subject, on all other subjects.

  Args:
    subjects: their names.
    seed: seed of all trainings.
  """
  return [Draw(tuple(other for other in subjects if other != one), seed) for one in subjects]


def side_by_side() -> int:
  """Returns how many trainings run together by default.

  These are many on an accelerator, which one small network does not fill. On a CPU it is one, because more would not
  fit its caches.
  """
  return 1 if jax.default_backend() == "cpu" else 64


@functools.cache
def _program(trainer: step.Trainer, together: int) -> Callable[..., tuple[step.TrainState, Metrics]]:
  """Returns the program for a chunk of steps of all trainings."""

  @functools.partial(jax.jit, donate_argnums=0)
  def run(states: step.TrainState, windows: Any, rows: Any, keys: jax.Array) -> tuple[step.TrainState, Metrics]:
    def one(own: tuple[step.TrainState, Any, jax.Array]) -> tuple[step.TrainState, Metrics]:
      state, rows, key = own

      def turn(state: step.TrainState, at: Mapping[str, jax.Array]) -> tuple[step.TrainState, Metrics]:
        batch = {
          # the rows are valid: no bounds check
          stream: {axis: x.at[at[stream]].get(mode="promise_in_bounds") for axis, x in part.items()}
          for stream, part in windows.items()
        }
        return trainer.step(state, batch, key)

      return jax.lax.scan(turn, state, rows)

    return jax.lax.map(one, (states, rows, keys), batch_size=together if together > 1 else None)

  return run


def _same(params: Sequence[Params], blocks: Sequence[str]) -> bool:
  """Returns whether all have the same parameters in some blocks."""
  first, *others = (jax.tree.leaves([theta.get(block) for block in blocks]) for theta in params)
  return all(
    len(first) == len(other) and all(a is b or np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    for other in others
  )


def _rows(stage: loop.Plan, members: Sequence[Member], batch: int, number: int) -> Iterator[dict[str, np.ndarray]]:
  """Yields the rows (member, chunk, batch) of each stream for each chunk of a stage, in each member's own order."""
  orders = [
    batches.stacks(
      {stream: {"x": own} for stream, own in stage.of(member.rows).items()},
      batch, stage.steps, config.CHUNK, member.seed + 1000003 * number,
    )
    for member in members
  ]  # fmt: skip
  for stacks in zip(*orders, strict=True):
    yield {stream: np.stack([stack[stream]["x"] for stack in stacks]) for stream in stacks[0]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stage:
  """A stage of all trainings.

  Attributes:
    program: see `_program`.
    trainer: makes its states.
    plan: the stage.
    number: of the stage.
    windows: stream → arrays of all windows, on the device.
    batch: windows of a step.
    done, total: steps before this stage, and of all stages.
    name: name of the trainings.
    progress: counts the steps of all of them.
    calling: held while the program is called, so that only the first call compiles it.
  """

  program: Callable[..., tuple[step.TrainState, Metrics]]
  trainer: step.Trainer
  plan: loop.Plan
  number: int
  windows: Mapping[str, Mapping[str, jax.Array]]
  batch: int
  done: int
  total: int
  name: str
  progress: "tqdm.tqdm[Any]"
  calling: threading.Lock = dataclasses.field(default_factory=threading.Lock)

  def train(self, members: Sequence[Member], params: Sequence[Params], first: int) -> tuple[list[Params], clock.Clock]:
    """Trains some members.

    Args:
      members: their rows and seeds.
      params: where they begin.
      first: number of the first of them.

    Returns:
      Their parameters, and the clock with their metrics and seconds.

    Raises:
      clock.DivergedError: see `fit`.
    """
    begin = functools.partial(
      self.trainer.init, steps=self.plan.steps, peak=self.plan.rate, before=self.done, total=self.total
    )
    states = jax.vmap(begin)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *params))
    keys = jnp.stack([jax.random.fold_in(jax.random.key(member.seed), self.number) for member in members])
    timer = clock.Clock(self.done, self.name, first_training=first)
    for rows in _rows(self.plan, members, self.batch, self.number):
      with self.calling:
        states, metrics = self.program(states, self.windows, rows, keys)
      timer.launched(metrics)
      timer.wait(behind=1)
      self.progress.update(config.CHUNK * len(members))
    timer.wait()
    return [jax.tree.map(lambda x, m=m: x[m], states.params) for m in range(len(members))], timer


def _groups(count: int, together: int) -> list[slice]:
  """Returns the members of each call of the program: all of them, but on a CPU `together`, so that each core can call it."""
  size = together if jax.default_backend() == "cpu" else count
  return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _train(
  stage: _Stage, members: Sequence[Member], params: Sequence[Params], groups: Sequence[slice], cores: int
) -> tuple[list[Params], list[clock.Clock]]:
  """Returns the parameters of all members after a stage, and the clock of each group.

  Args:
    stage: the stage.
    members: their rows and seeds.
    params: where they begin.
    groups: see `_groups`.
    cores: how many groups train at the same time.

  Raises:
    clock.DivergedError: see `fit`.
  """
  with futures.ThreadPoolExecutor(cores) as pool:
    calls = [pool.submit(stage.train, members[own], params[own], own.start) for own in groups]
    try:
      trained = [call.result() for call in calls]
    except BaseException:
      pool.shutdown(wait=False, cancel_futures=True)
      raise
  return [theta for group, _ in trained for theta in group], [timer for _, timer in trained]


def fit(
  net: Net,
  loss: LossFn,
  plans: Sequence[loop.Plan],
  members: Sequence[Member],
  windows: Mapping[str, Mapping[str, np.ndarray]],
  spec: config.Training,
  name: str,
  together: int | None = None,
) -> list[loop.FitResult]:
  """Returns the results of `loop.fit` for many members, in their order.

  Args:
    net, loss, plans, spec, name: see `loop.fit`; the seeds are those of the members.
    members: θ⁰ and rows of each.
    windows: stream → arrays of all windows, scaled.
    together: how many run side by side, `side_by_side` by default.

  Raises:
    clock.DivergedError: a loss is NaN or infinite; names the member and the step.
  """
  together = min(together or side_by_side(), len(members))
  groups = _groups(len(members), together)
  cores = min(len(groups), os.cpu_count() or 1)
  params, done, train_s = [member.params for member in members], 0, 0.0
  total = sum(plan.steps for plan in plans)
  curves: list[dict[str, np.ndarray]] = []  # of each stage, (member, step)
  with tqdm.tqdm(total=total * len(members), desc=name, unit="step", leave=False) as progress:
    for number, plan in enumerate(plans):
      fed: Mapping[str, Any] = plan.of(windows)
      seconds = 0.0
      if _same(params, [block for block in _READERS if block in plan.freeze]):
        fed, seconds = loop.with_features(net, plan.freeze, params[0], fed)
      trainer = step.make_trainer(
        plan.loss or loss, plan.freeze, spec.weight_decay, spec.clip, spec.warmup, plan.rates, spec.optimizer
      )
      stage = _Stage(
        program=_program(trainer, together), trainer=trainer, plan=plan, number=number, batch=spec.batch,
        windows=jax.device_put({stream: dict(part) for stream, part in fed.items()}),
        done=done, total=total, name=name, progress=progress,
      )  # fmt: skip
      params, timers = _train(stage, members, params, groups, cores)
      train_s += seconds + sum(timer.seconds for timer in timers) / cores
      done += plan.steps
      curves.append(
        {
          key: np.concatenate([np.concatenate([chunk[key] for chunk in timer.metrics], axis=1) for timer in timers])
          for key in timers[0].metrics[0]
        }
      )
  if not curves:
    return [loop.FitResult(theta, {"loss": np.zeros(0)}, 0.0) for theta in params]
  names = set.intersection(*(set(metrics) for metrics in curves))
  histories = {key: np.concatenate([metrics[key] for metrics in curves], axis=1) for key in sorted(names)}
  return [
    loop.FitResult(theta, {key: values[m] for key, values in histories.items()}, train_s / len(members))
    for m, theta in enumerate(params)
  ]


def adapt(
  strategy: Strategy,
  source: checkpoint.Checkpoint,
  data: domains.Data,
  draws: Sequence[Draw],
  budget: runs.Budget,
  model: config.Model | None = None,
  facts: Mapping[str, Any] = MappingProxyType({}),
  together: int | None = None,
) -> list[runs.Adapted]:
  """Runs `runs.adapt` for many draws of the labelled subjects.

  Args:
    strategy, source, budget, model, facts: see `runs.adapt`; the seeds are those of the draws.
    data: windows of both domains; its labelled subjects are those of all draws. Nothing is validated.
    draws: subjects and seed of each training.
    together: see `fit`.

  Returns:
    The result of each draw, in their order.

  Raises:
    InputError: the strategy differs between draws: it fits its scaling on the labelled subjects, draws transducers by
      the seed, or freezes more with more subjects.
    surgery.MergeError, splits.LeakError: see `runs.adapt`.
  """
  data = dataclasses.replace(data, validation=None)
  domains.check_apart(data)
  if data.labelled is None or not draws:
    raise InputError("vmapped training needs labelled subjects and at least one draw; pass labelled= and draws=")
  own = [dataclasses.replace(data, labelled=data.labelled.of(draw.subjects)) for draw in draws]
  budgets = [dataclasses.replace(budget, seed=draw.seed) for draw in draws]
  first = runs.prepare(strategy, source, own[0], budgets[0], model)
  prepared = [first]
  for part, each in zip(own[1:], budgets[1:], strict=True):
    prepared.append(runs.prepare(strategy, source, part, each, model, (first.fed, first.transducers)))
  for one in prepared:
    if (one.scaling, one.plans, one.source_weight) != (first.scaling, first.plans, first.source_weight):
      raise InputError(
        f"strategy {strategy.name}: its scaling, frozen layers or weight of the source depend on the labelled subjects; train the draws "
        "one after another"
      )
  if first.strategy.transducer and len({draw.seed for draw in draws}) > 1:
    raise InputError(
      f"strategy {strategy.name}: its simulated transducers depend on the seed; use the same seed for all draws"
    )
  windows = dict(first.fed)
  rows = [{stream: np.arange(len(part["x"])) for stream, part in windows.items()} for _ in draws]
  if "target" in windows:
    windows["target"] = domains.arrays(first.scaling, data.labelled, first.model)
    for at, draw in zip(rows, draws, strict=True):
      at["target"] = np.flatnonzero(np.isin(data.labelled.subject_b, draw.subjects))
  members = [Member(one.params, at, draw.seed) for one, at, draw in zip(prepared, rows, draws, strict=True)]
  label = f"{strategy.name}, {len(draws)} trainings"
  fitted = fit(first.net, first.loss, first.plans, members, windows, first.spec, label, together)
  return [
    runs.finished(source, part, one, result, facts) for part, one, result in zip(own, prepared, fitted, strict=True)
  ]
