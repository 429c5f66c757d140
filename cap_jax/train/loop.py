"""The training loop, from windows to parameters. Each chunk of steps is one program; the host only feeds it."""

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
  """Returns the number of steps in whole chunks that is nearest to the requested one."""
  return max(round(steps / config.CHUNK), 1) * config.CHUNK


class ValidationScore(NamedTuple):
  """A validation during a training.

  Attributes:
    steps: steps done.
    train_s: seconds of training until then.
    rmse_mmhg: waveform RMSE [mmHg] on the validation windows.
  """

  steps: int
  train_s: float
  rmse_mmhg: float


@dataclasses.dataclass(frozen=True)
class FitResult:
  """The result of a training.

  Attributes:
    params: all trained and frozen parameters, extra blocks included.
    metrics: name → value at every step; "loss" is the total loss. Metrics that only some stages have are left out.
    train_s: seconds without compilation and validation.
    validation: scores at intervals, empty without a validator.
    best: score and parameters of the saved state with the least error; None if that is the end of the training or no
      state was saved.
  """

  params: Params
  metrics: dict[str, np.ndarray]
  train_s: float
  validation: tuple["ValidationScore", ...] = ()
  best: tuple["ValidationScore", Params] | None = None

  @property
  def loss(self) -> np.ndarray:
    """The total loss at every step."""
    return self.metrics["loss"]


Streams = Mapping[str, batches.Stream]
"""Stream → arrays of its windows, scaled: "x", "c", and optionally "y", "m", "w"; or an iterable stream of them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
  """A stage of the training with everything decided.

  Attributes:
    steps: number of steps.
    rate: peak of the learning rate.
    freeze: path prefixes of the frozen parameters.
    rates: path prefixes with the factors of their learning rates.
    loss: loss of this stage; None for the loss of the training.
    reads: streams that the loss reads; None for all.
  """

  steps: int
  rate: float
  freeze: tuple[str, ...]
  rates: step.Rates = ()
  loss: LossFn | None = None
  reads: tuple[str, ...] | None = None

  def of(self, streams: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the streams that this stage reads."""
    return {name: part for name, part in streams.items() if self.reads is None or name in self.reads}


def plan_stages(
  strategy: Strategy, steps: int, rate: float, frozen: Sequence[tuple[str, ...]], rates: step.Rates, n_target: int = 0
) -> list[Plan]:
  """Plans the stages of a strategy in whole chunks, at least one chunk each.

  Args:
    strategy: how to transfer.
    steps: steps of all stages together.
    rate: learning rate of the strategy.
    frozen: path prefixes that each stage freezes.
    rates: path prefixes with the factors of their learning rates.
    n_target: number of labelled target subjects.

  Raises:
    InputError: there are more stages than chunks.
  """
  chunks = steps // config.CHUNK
  if chunks < len(strategy.stages):
    raise InputError(
      f"{steps} steps are too few for {len(strategy.stages)} stages of at least {config.CHUNK} steps; train longer"
    )
  ends = np.round(np.cumsum([stage.share for stage in strategy.stages]) * chunks).astype(int)
  for k in range(len(ends)):
    ends[k] = min(max(ends[k], ends[k - 1] + 1 if k else 1), chunks - (len(ends) - 1 - k))
  sizes = np.diff(ends, prepend=0) * config.CHUNK
  return [
    Plan(
      steps=whole(stage.steps(int(size), n_target)), rate=rate * stage.rate, freeze=strategy.frozen(freeze), rates=rates
    )
    for stage, freeze, size in zip(strategy.stages, frozen, sizes, strict=True)
  ]


class Recorder(NamedTuple):
  """Where a training writes its states, from which it can resume, and its metrics. Neither by default."""

  states: training_state.StateKeeper | None = None
  metrics: metrics_writer.MetricsWriter | None = None


NOWHERE = Recorder()


@dataclasses.dataclass(frozen=True)
class Watch:
  """How a training is monitored.

  Attributes:
    name: label of the progress bar, of its metrics and of its errors.
    validate: parameters → score, called every `VALIDATE` steps and at the end.
    subjects: stream → (window,) subject names, for the error of a training that fails.
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
    net: the target network.
    loss: loss of the strategy, over batches of the streams.
    plans: stages; without any, θ⁰ is returned unchanged.
    params: θ⁰, from `Strategy.start`; not modified.
    streams: windows that the loss reads.
    spec: batch, decay, clip, warm-up and seed; steps and rates are those of the plans.
    watch: how the training is monitored.

  Raises:
    clock.DivergedError: the loss is NaN or infinite; names the step, the subjects of its batch and the last good state.
    splits.LeakError: the unlabelled stream contains references.
  """
  unlabelled = streams.get("unlabelled", {})
  if isinstance(unlabelled, Mapping) and "y" in unlabelled:
    raise splits.LeakError(f"{watch.name}: the stream of unlabelled windows contains their references; remove them")
  total = sum(stage.steps for stage in plans)
  plan_facts = [(one.steps, one.rate, one.freeze, one.rates, one.reads) for one in plans]
  fingerprint = ""
  if watch.recorder.states is not None:  # takes a second for a large source
    data = {axis: part if isinstance(part, Mapping) else part.digest for axis, part in streams.items()}
    fingerprint = training_state.fingerprint(params, plan_facts, dataclasses.asdict(spec), data)
  states = training_state.TrainingStates(watch.name, fingerprint, watch.recorder.states)
  with states.running(), tqdm.tqdm(total=total, desc=watch.name, unit="step", leave=False) as progress:
    training = _TrainingRun(
      net=net,
      loss=loss,
      streams=streams,
      spec=spec,
      watch=watch,
      states=states,
      progress=progress,
      total=total,
      params=params,
    )
    training.run(plans)
  if watch.validate is not None and (not training.validation or training.validation[-1].steps != total):
    training.validation.append(ValidationScore(total, training.train_s, watch.validate(training.params)))
  return training.fitted()


@dataclasses.dataclass(kw_only=True)
class _TrainingRun:
  """A training in progress: its inputs, and so far θ, the metrics of all chunks, validation scores, seconds and steps."""

  net: Net
  loss: LossFn
  streams: Streams
  spec: config.Training
  watch: Watch
  states: training_state.TrainingStates
  progress: "tqdm.tqdm[Any]"
  total: int
  params: Params
  curves: list[Metrics] = dataclasses.field(default_factory=list)
  validation: list[ValidationScore] = dataclasses.field(default_factory=list)
  train_s: float = 0.0
  done: int = 0

  def run(self, plans: Sequence[Plan]) -> None:
    """Runs all stages from where the training was stopped, or from the first."""
    stopped = self.states.latest()
    if stopped is not None:  # the digest of a stream is that of its manifest
      for part in self.streams.values():
        if not isinstance(part, Mapping):
          part.verify()
    for number, stage in enumerate(plans):
      if stopped is not None and number < stopped["stage"]:
        self.done += stage.steps
      else:
        self._stage(number, stage, stopped)

  def fitted(self) -> FitResult:
    """Returns the result of the training."""
    if not self.curves:
      return FitResult(self.params, {"loss": np.zeros(0)}, 0.0, tuple(self.validation))
    names = set.intersection(*(set(metrics) for metrics in self.curves))
    curves = {name: np.concatenate([np.asarray(metrics[name]) for metrics in self.curves]) for name in sorted(names)}
    scores = {one.steps: one for one in self.validation}
    best_state = self.states.best(self.params, {steps: one.rmse_mmhg for steps, one in scores.items()})
    best = (scores[best_state[0]], best_state[1]) if best_state is not None and best_state[0] != self.total else None
    return FitResult(self.params, curves, self.train_s, tuple(self.validation), best)

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
      restored = self.states.restore(stopped, state)
      state = state._replace(params=restored.state.params, opt_state=restored.state.opt_state, step=restored.state.step)
      self.params, self.done, scores, self.train_s = (
        restored.state.params,
        restored.done,
        restored.scores,
        restored.train_s,
      )
      self.validation, self.curves = (
        [ValidationScore(*one) for one in restored.history],
        restored.metrics[: len(restored.metrics) - len(restored.times)],
      )
      timer.go_on(self.done, restored.metrics[len(self.curves) :], restored.times)
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
        error.what, error.step, _batch_of(of, spec.batch, seed, error.step - first, self.states)
      ) from error
    self.validation += [
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
    """Runs the chunks of a stage, with validation and saved states when due."""
    for stack in stacks:
      state, metrics = run(state, sharding.spread(stack, self.spec.batch))
      timer.launched(metrics)
      self.done += config.CHUNK
      self.progress.update(config.CHUNK)
      if self.watch.validate is None or self.done % VALIDATE:
        timer.wait(behind=1)  # only for the previous chunk: the device stays busy with this one
      else:
        timer.wait()
        scores.append((self.done, self.watch.validate(sharding.own(state.params))))
        if self.watch.recorder.metrics is not None:
          self.watch.recorder.metrics.write(self.watch.name, self.done, {"validation_rmse_mmhg": scores[-1][1]})
        timer.resume()
      if self.states.due(self.done) or self.done == self.total:
        timer.wait()
        self.states.save(
          training_state.Progress(
            stage=number, done=self.done, state=sharding.own(state), metrics=self.curves + timer.metrics, times=timer.times, scores=scores, history=self.validation,
            train_s=self.train_s,
          )
        )  # fmt: skip
        timer.resume()
    timer.wait()
    return state


def _batch_of(
  subjects: Mapping[str, np.ndarray], batch: int, seed: int, step: int, states: training_state.TrainingStates
) -> str:
  """Returns whose windows a step of a stage read, and where the last good state is, for an error."""
  groups = []
  for stream, name_b in subjects.items():
    names = sorted(set(name_b[batches.rows_of_step(len(name_b), batch, config.CHUNK, seed, stream, step)].tolist()))
    groups.append(f"{', '.join(map(str, names[:_NAMED]))}{', …' if len(names) > _NAMED else ''} ({stream})")
  message = f", in windows of {'; '.join(groups)}" if groups else ""
  return message + (f"; the last good state is {states.place}" if states.place else "")


def with_features(
  net: Net, freeze: tuple[str, ...], params: Params, streams: Streams
) -> tuple[dict[str, batches.Stream], float]:
  """Adds the features "h" of their windows to the streams, where frozen parameters compute them.

  Only streams in memory get features.

  Args:
    net: the target network.
    freeze: path prefixes of the frozen parameters.
    params: parameters of the network.
    streams: windows that the loss reads.

  Returns:
    The streams, and the seconds that the features took.
  """
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
    read(part["x"][:1], part["c"][:1])  # compilation does not count as training time
    began = time.perf_counter()
    part["h"] = read(part["x"], part["c"])
    seconds += time.perf_counter() - began
  return arrays, seconds
