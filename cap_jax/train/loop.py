"""Training from windows to parameters: chunks of steps inside one program, the host only feeding it."""

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import tqdm

from cap_jax import config
from cap_jax.data import batches, splits
from cap_jax.losses import terms
from cap_jax.models.net import Net
from cap_jax.strategies import low_rank
from cap_jax.strategies.strategy import Strategy
from cap_jax.train import clock, metrics_writer, prediction, sharding, step, training_state
from cap_jax.types import InputError, LossFn, Metrics, Params

VALIDATE = 50
_NAMED = 6  # subjects in an error


def whole(steps: float) -> int:
  """The number of steps that can be trained next to a wished one."""
  return max(round(steps / config.CHUNK), 1) * config.CHUNK


class ValidationScore(NamedTuple):
  """A look at validation windows: steps done, seconds of training until then, waveform RMSE [mmHg]."""

  steps: int
  train_s: float
  rmse_mmhg: float


@dataclasses.dataclass(frozen=True)
class FitResult:
  """What training gives.

  Attributes:
    params: all that was trained or frozen, extra blocks included.
    metrics: name → value at every step; "loss" is the whole loss. Stages of other losses than the last have none.
    train_s: seconds without compiling and validating.
    validation: at intervals, empty without a validator.
    best: of the states that are kept the look with the least error and its parameters, where that is not the end.
  """

  params: Params
  metrics: dict[str, np.ndarray]
  train_s: float
  validation: tuple["ValidationScore", ...] = ()
  best: tuple["ValidationScore", Params] | None = None

  @property
  def loss(self) -> np.ndarray:
    return self.metrics["loss"]


Streams = Mapping[str, batches.Stream]
"""Stream → arrays of its windows, scaled: "x", "c", and "y", "m", "w" where it has them; or a feed of such."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
  """A stage of the training, with everything decided: steps, rate, what is frozen, factors of the rates, and what is minimised over
  which streams where it is not the training's loss over all."""

  steps: int
  rate: float
  freeze: tuple[str, ...]
  rates: step.Rates = ()
  loss: LossFn | None = None
  reads: tuple[str, ...] | None = None

  def of(self, streams: Mapping[str, Any]) -> dict[str, Any]:
    """The streams that it reads."""
    return {name: part for name, part in streams.items() if self.reads is None or name in self.reads}


def plan(
  strategy: Strategy, steps: int, rate: float, holds: Sequence[tuple[str, ...]], rates: step.Rates, n_target: int = 0
) -> list[Plan]:
  """The stages of a strategy in whole chunks, of which each gets one at least; `n_target` labelled subjects.

  Raises:
    InputError: there are more stages than chunks.
  """
  chunks = steps // config.CHUNK
  if chunks < len(strategy.stages):
    raise InputError(f"{steps} steps are too few for {len(strategy.stages)} stages of {config.CHUNK} or more")
  ends = np.round(np.cumsum([stage.share for stage in strategy.stages]) * chunks).astype(int)
  for k in range(len(ends)):
    ends[k] = min(max(ends[k], ends[k - 1] + 1 if k else 1), chunks - (len(ends) - 1 - k))
  sizes = np.diff(ends, prepend=0) * config.CHUNK
  return [
    Plan(
      steps=whole(stage.steps(int(size), n_target)), rate=rate * stage.rate, freeze=strategy.frozen(freeze), rates=rates
    )
    for stage, freeze, size in zip(strategy.stages, holds, sizes, strict=True)
  ]


class Recorder(NamedTuple):
  """Where a training leaves its states, to go on from when it is stopped, and its metrics along the way. Neither by default."""

  states: training_state.StateKeeper | None = None
  metrics: metrics_writer.MetricsWriter | None = None


NOWHERE = Recorder()


@dataclasses.dataclass(frozen=True)
class Watch:
  """How a training is followed.

  Attributes:
    name: label of the progress bar, of its metrics and of its errors.
    validate: parameters → score, called every `VALIDATE` steps and at the end.
    subjects: stream → (window,) whose windows they are, for the error of a training that fails.
    recorder: where its states and metrics go.
  """

  name: str = "training"
  validate: prediction.Validator | None = None
  subjects: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  recorder: Recorder = NOWHERE


def fit(
  net: Net,
  loss: LossFn,
  plans: Sequence[Plan],
  params: Params,
  streams: Streams,
  spec: config.Training,
  watch: Watch,
) -> FitResult:
  """Trains θ⁰ in stages.

  Args:
    net: the target's network.
    loss: of the strategy, over batches of the streams.
    plans: stages; without one θ⁰ stays as it is.
    params: θ⁰, from `Strategy.start`; not changed.
    streams: windows that the loss reads.
    spec: batch, decay, clip, warm-up and seed; steps and rates are the plans'.
    watch: how it is followed.

  Raises:
    clock.DivergedError: the loss is NaN or infinite; names the step, the subjects of its batch and the last good state.
    splits.LeakError: the unlabelled stream holds references.
  """
  unlabelled = streams.get("unlabelled", {})
  if isinstance(unlabelled, Mapping) and "y" in unlabelled:
    raise splits.LeakError(f"{watch.name}: the stream of unlabelled windows holds their references; take them out")
  total = sum(stage.steps for stage in plans)
  begins = [(one.steps, one.rate, one.freeze, one.rates, one.reads) for one in plans]
  in_memory = {axis: part if isinstance(part, Mapping) else None for axis, part in streams.items()}
  print_of = training_state.fingerprint(params, begins, dataclasses.asdict(spec), in_memory)
  keep = training_state.TrainingStates(watch.name, print_of, watch.recorder.states)
  with keep.running(), tqdm.tqdm(total=total, desc=watch.name, unit="step", leave=False) as progress:
    course = _Course(
      net=net,
      loss=loss,
      streams=streams,
      spec=spec,
      watch=watch,
      keep=keep,
      progress=progress,
      total=total,
      params=params,
    )
    course.run(plans)
  if watch.validate is not None and (not course.seen or course.seen[-1].steps != total):
    course.seen.append(ValidationScore(total, course.train_s, watch.validate(course.params)))
  return course.fitted()


@dataclasses.dataclass(kw_only=True)
class _Course:
  """A training on its way: what it needs, and what it has given so far: θ, the metrics of all chunks, looks at validation windows, the
  seconds and the steps."""

  net: Net
  loss: LossFn
  streams: Streams
  spec: config.Training
  watch: Watch
  keep: training_state.TrainingStates
  progress: tqdm.tqdm
  total: int
  params: Params
  curves: list[Metrics] = dataclasses.field(default_factory=list)
  seen: list[ValidationScore] = dataclasses.field(default_factory=list)
  train_s: float = 0.0
  done: int = 0

  def run(self, plans: Sequence[Plan]) -> None:
    """All stages from where the training was stopped, or from the first."""
    stopped = self.keep.latest()
    for number, stage in enumerate(plans):
      if stopped is not None and number < stopped["stage"]:
        self.done += stage.steps
      else:
        self._stage(number, stage, stopped)

  def fitted(self) -> FitResult:
    """What the training gave."""
    if not self.curves:
      return FitResult(self.params, {"loss": np.zeros(0)}, 0.0, tuple(self.seen))
    names = set.intersection(*(set(metrics) for metrics in self.curves))
    found = {name: np.concatenate([np.asarray(metrics[name]) for metrics in self.curves]) for name in sorted(names)}
    looks = {one.steps: one for one in self.seen}
    least = self.keep.best(self.params, {steps: one.rmse_mmhg for steps, one in looks.items()})
    best = (looks[least[0]], least[1]) if least is not None and least[0] != self.total else None
    return FitResult(self.params, found, self.train_s, tuple(self.seen), best)

  def _stage(self, number: int, stage: Plan, stopped: Mapping[str, Any] | None) -> None:
    spec = self.spec
    trainer = step.make_trainer(
      stage.loss or self.loss, stage.freeze, spec.weight_decay, spec.clip, spec.warmup, stage.rates, spec.optimizer
    )
    first, scores, timer = (
      self.done,
      list[tuple[int, float]](),
      clock.Clock(self.done, self.watch.name, self.watch.recorder.metrics),
    )
    state = trainer.init(self.params, stage.steps, stage.rate, self.done, self.total)
    if stopped is not None and number == stopped["stage"]:
      was = self.keep.restore(stopped, state)
      state = state._replace(params=was.state.params, opt_state=was.state.opt_state, step=was.state.step)
      self.params, self.done, scores, self.train_s = was.state.params, was.done, was.scores, was.train_s
      self.seen, self.curves = (
        [ValidationScore(*one) for one in was.seen],
        was.metrics[: len(was.metrics) - len(was.times)],
      )
      timer.go_on(self.done, was.metrics[len(self.curves) :], was.times)
    self.progress.update(self.done - self.progress.n)
    arrays, seconds = with_features(self.net, stage.freeze, self.params, stage.of(self.streams))
    state = sharding.replicated(state, spec.batch)
    key = sharding.replicated(jax.random.fold_in(jax.random.key(spec.seed), number), spec.batch)
    timer.resume()
    seed = spec.seed + 1000003 * number
    stacks = itertools.islice(
      batches.stacks(arrays, spec.batch, stage.steps, config.CHUNK, seed), (self.done - first) // config.CHUNK, None
    )
    try:
      state = self._chunks(number, lambda state, stack: trainer.run(state, stack, key), state, stacks, timer, scores)
    except clock.DivergedError as error:
      of = {stream: names for stream, names in self.watch.subjects.items() if stream in arrays}
      raise clock.DivergedError(
        error.what, error.step, _batch_of(of, spec.batch, seed, error.step - first, self.keep)
      ) from error
    self.seen += [
      ValidationScore(at, self.train_s + seconds + timer.seconds * (at - first) / stage.steps, rmse)
      for at, rmse in scores
    ]
    self.train_s += seconds + timer.seconds
    self.params = jax.block_until_ready(sharding.own(state.params))
    self.curves += timer.metrics

  def _chunks(
    self, number: int, run: Callable[..., tuple[step.TrainState, Metrics]], state: step.TrainState,
    stacks: Iterable[Any], timer: clock.Clock, scores: list[tuple[int, float]],
  ) -> step.TrainState:  # fmt: skip
    """The chunks of a stage, with validation and states at their times."""
    for stack in stacks:
      state, metrics = run(state, sharding.spread(stack, self.spec.batch))
      timer.launched(metrics)
      self.done += config.CHUNK
      self.progress.update(config.CHUNK)
      if self.watch.validate is None or self.done % VALIDATE:
        timer.wait(behind=1)  # for the chunk before only: the device stays busy with this one
      else:
        timer.wait()
        scores.append((self.done, self.watch.validate(sharding.own(state.params))))
        if self.watch.recorder.metrics is not None:
          self.watch.recorder.metrics.write(self.watch.name, self.done, {"validation_rmse_mmhg": scores[-1][1]})
        timer.resume()
      if self.keep.due(self.done) or self.done == self.total:
        timer.wait()
        self.keep.save(
          training_state.Progress(
            stage=number, done=self.done, state=sharding.own(state), metrics=self.curves + timer.metrics, times=timer.times, scores=scores, seen=self.seen,
            train_s=self.train_s,
          )
        )  # fmt: skip
        timer.resume()
    timer.wait()
    return state


def _batch_of(
  who: Mapping[str, np.ndarray], batch: int, seed: int, step: int, keep: training_state.TrainingStates
) -> str:
  """Whose windows a step of a stage read, and where the last good state is, for an error."""
  parts = []
  for stream, name_b in who.items():
    names = sorted(set(name_b[batches.rows_of_step(len(name_b), batch, config.CHUNK, seed, stream, step)].tolist()))
    parts.append(f"{', '.join(map(str, names[:_NAMED]))}{', …' if len(names) > _NAMED else ''} ({stream})")
  said = f", in windows of {'; '.join(parts)}" if parts else ""
  return said + (f"; the last good state is {keep.place}" if keep.place else "")


def with_features(
  net: Net, freeze: tuple[str, ...], params: Params, streams: Streams
) -> tuple[dict[str, batches.Stream], float]:
  """The streams with "h", the features of their windows, where all that makes them is frozen and they lie in memory; and the
  seconds it took."""
  arrays: dict[str, batches.Stream] = {
    name: dict(part) if isinstance(part, Mapping) else part for name, part in streams.items()
  }
  if low_rank.BLOCK in params:
    return arrays, 0.0
  readers = {name: terms.reader(params, name) for name in arrays}
  moving = {block for block, adapted in readers.values() if adapted and net.a is not None and "a" not in freeze}
  seconds = 0.0
  for name, part in arrays.items():
    block, adapted = readers[name]
    if block not in freeze or block in moving or not isinstance(part, dict):
      continue
    read = functools.partial(prediction.features, net, params, block=block, adapted=adapted)
    read(part["x"][:1], part["c"][:1])  # compiles, which is no part of the training time
    began = time.perf_counter()
    part["h"] = read(part["x"], part["c"])
    seconds += time.perf_counter() - began
  return arrays, seconds
