"""Training from windows to parameters: chunks of steps inside one program, the host only feeding it."""

import dataclasses
import functools
import itertools
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
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
from cap_jax.types import LossFn, Metrics, Params

CHUNK = 50

VALIDATE = 50
_NAMED = 6  # subjects in an error


def whole(steps: float) -> int:
  """The number of steps that can be trained next to a wished one."""
  return max(round(steps / CHUNK), 1) * CHUNK


class Seen(NamedTuple):
  """A look at validation windows: steps done, seconds of training until then, waveform RMSE [mmHg]."""

  steps: int
  train_s: float
  rmse_mmhg: float


@dataclasses.dataclass(frozen=True)
class Fitted:
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
  validation: tuple["Seen", ...] = ()
  best: tuple["Seen", Params] | None = None

  @property
  def loss(self) -> np.ndarray:
    return self.metrics["loss"]


Streams = Mapping[str, batches.Stream]
"""Stream → arrays of its windows, scaled: "x", "c", and "y", "m", "w" where it has them; or a feed of such."""


@dataclasses.dataclass(frozen=True)
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
    ValueError: there are more stages than chunks.
  """
  chunks = steps // CHUNK
  if chunks < len(strategy.stages):
    raise ValueError(f"{steps} steps are too few for {len(strategy.stages)} stages of {CHUNK} or more")
  ends = np.round(np.cumsum([stage.share for stage in strategy.stages]) * chunks).astype(int)
  for k in range(len(ends)):
    ends[k] = min(max(ends[k], ends[k - 1] + 1 if k else 1), chunks - (len(ends) - 1 - k))
  sizes = np.diff(ends, prepend=0) * CHUNK
  return [
    Plan(whole(stage.steps(int(size), n_target)), rate * stage.rate, strategy.frozen(freeze), rates)
    for stage, freeze, size in zip(strategy.stages, holds, sizes, strict=True)
  ]


def fit(
  net: Net,
  loss: LossFn,
  plans: Sequence[Plan],
  params: Params,
  streams: Streams,
  spec: config.Training,
  name: str,
  validate: prediction.Validator | None = None,
  who: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Fitted:
  """Trains θ⁰ in stages.

  Args:
    net: the target's network.
    loss: of the strategy, over batches of the streams.
    plans: stages; without one θ⁰ stays as it is.
    params: θ⁰, from `Strategy.start`; not changed.
    streams: windows that the loss reads.
    spec: batch, decay, clip, warm-up and seed; steps and rates are the plans'.
    name: label of the progress bar.
    validate: parameters → score, called every `VALIDATE` steps and at the end.
    who: stream → (window,) whose windows they are, for the error of a training that fails.

  Raises:
    clock.DivergedError: the loss is NaN or infinite; names the step, the subjects of its batch and the last good state.
    splits.LeakError: the unlabelled stream holds references.
  """
  unlabelled = streams.get("unlabelled", {})
  if isinstance(unlabelled, Mapping) and "y" in unlabelled:
    raise splits.LeakError(f"{name}: the stream of unlabelled windows holds their references; take them out")
  total = sum(stage.steps for stage in plans)
  begins = [(one.steps, one.rate, one.freeze, one.rates, one.reads) for one in plans]
  told = {axis: part if isinstance(part, Mapping) else None for axis, part in streams.items()}
  keep = training_state.Training(name, training_state.fingerprint(params, begins, dataclasses.asdict(spec), told))
  with keep.running(), tqdm.tqdm(total=total, desc=name, unit="step", leave=False) as progress:
    curves, seen, train_s, params = _through(
      net, loss, plans, params, streams, spec, name, validate, keep, progress, who
    )
  if validate is not None and (not seen or seen[-1].steps != total):
    seen.append(Seen(total, train_s, validate(params)))
  if not curves:
    return Fitted(params, {"loss": np.zeros(0)}, 0.0, tuple(seen))
  names = set.intersection(*(set(metrics) for metrics in curves))
  found = {name: np.concatenate([np.asarray(metrics[name]) for metrics in curves]) for name in sorted(names)}
  looks = {one.steps: one for one in seen}
  least = keep.best(params, {steps: one.rmse_mmhg for steps, one in looks.items()})
  best = (looks[least[0]], least[1]) if least is not None and least[0] != total else None
  return Fitted(params, found, train_s, tuple(seen), best)


def _through(
  net: Net, loss: LossFn, plans: Sequence[Plan], params: Params, streams: Streams, spec: config.Training, name: str,
  validate: prediction.Validator | None, keep: training_state.Training, progress: tqdm.tqdm, who: Mapping[str, np.ndarray],
) -> tuple[list[Metrics], list[Seen], float, Params]:  # fmt: skip
  """All stages from where the training was stopped, or from the first: the metrics of all chunks, what validation saw, the seconds, θ."""
  curves: list[Metrics] = []
  seen: list[Seen] = []
  train_s, done, total = 0.0, 0, sum(stage.steps for stage in plans)
  stopped = keep.latest()
  for number, stage in enumerate(plans):
    if stopped is not None and number < stopped["stage"]:
      done += stage.steps
      continue
    trainer = step.make_trainer(
      stage.loss or loss, stage.freeze, spec.weight_decay, spec.clip, spec.warmup, stage.rates, spec.optimizer
    )
    first, scores, watch = done, list[tuple[int, float]](), clock.Clock(done, name)
    state = trainer.init(params, stage.steps, stage.rate, done, total)
    if stopped is not None and number == stopped["stage"]:
      was = keep.restore(stopped, state)
      state = state._replace(params=was.state.params, opt_state=was.state.opt_state, step=was.state.step)
      params, done, scores, train_s = was.state.params, was.done, was.scores, was.train_s
      seen, curves = [Seen(*one) for one in was.seen], was.metrics[: len(was.metrics) - len(was.times)]
      watch.go_on(done, was.metrics[len(curves) :], was.times)
    progress.update(done - progress.n)
    arrays, seconds = with_features(net, stage.freeze, params, stage.of(streams))
    state = sharding.replicated(state, spec.batch)
    key = sharding.replicated(jax.random.fold_in(jax.random.key(spec.seed), number), spec.batch)
    watch.resume()
    seed = spec.seed + 1000003 * number
    stacks = batches.stacks(arrays, spec.batch, stage.steps, CHUNK, seed)
    try:
      for stack in itertools.islice(stacks, (done - first) // CHUNK, None):
        state, metrics = trainer.run(state, sharding.spread(stack, spec.batch), key)
        watch.launched(metrics)
        done += CHUNK
        progress.update(CHUNK)
        if validate is None or done % VALIDATE:
          watch.wait(behind=1)  # for the chunk before only: the device stays busy with this one
        else:
          watch.wait()
          scores.append((done, validate(sharding.own(state.params))))
          metrics_writer.write(name, done, {"validation_rmse_mmhg": scores[-1][1]})
          watch.resume()
        if keep.due(done) or done == total:
          watch.wait()
          keep.save(
            training_state.Progress(
              number, done, sharding.own(state), curves + watch.metrics, watch.times, scores, seen, train_s
            )
          )
          watch.resume()
      watch.wait()
    except clock.DivergedError as error:
      of = {stream: names for stream, names in who.items() if stream in arrays}
      raise clock.DivergedError(
        error.what, error.step, _batch_of(of, spec.batch, seed, error.step - first, keep)
      ) from error
    seen += [Seen(at, train_s + seconds + watch.seconds * (at - first) / stage.steps, rmse) for at, rmse in scores]
    train_s += seconds + watch.seconds
    params = jax.block_until_ready(sharding.own(state.params))
    curves += watch.metrics
  return curves, seen, train_s, params


def _batch_of(who: Mapping[str, np.ndarray], batch: int, seed: int, step: int, keep: training_state.Training) -> str:
  """Whose windows a step of a stage read, and where the last good state is, for an error."""
  parts = []
  for stream, name_b in who.items():
    names = sorted(set(name_b[batches.rows_of_step(len(name_b), batch, CHUNK, seed, stream, step)].tolist()))
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
