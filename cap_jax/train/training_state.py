"""Trainings that go on where they were stopped, to the last bit.

    runs.pretrain(…, recorder=loop.Recorder(training_state.StateKeeper("runs/mine/savepoints")))

Every training that gets the keeper has a folder `NNN`, by the order in which they begin, and in it sealed states `STEPS`: of every `EVERY` steps the
last `KEPT` and, where validation subjects follow it, that with their least error; and that of its end. A program that is started again takes the same way, finds each training's last whole state and goes on
from there; a damaged state is named, and the one before it taken. The state is all that the rest depends on: parameters, optimiser,
schedule, the metrics so far; the order of the windows and the keys follow from the seed and the step.
"""

import contextlib
import dataclasses
import hashlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import jax
import numpy as np

from cap_jax.train import checksummed
from cap_jax.types import InputError, Metrics, Params

EVERY = 500
KEPT = 2
STOPPED = 75  # exit status of what was asked to stop and saved: EX_TEMPFAIL, "try again"
_FORMAT = 2
_FACTS = ("stage", "done", "times", "scores", "seen", "train_s")
_REMEDY = "a damaged state is set aside; a run of another release is finished with that, or its folder removed"


class StopRequested(BaseException):
  """The system asked the program to stop (SIGTERM). No error, so nothing that handles errors may keep it."""


# A signal is sent to the process, so what it asked for is the process's too.
_busy = False  # a training is running that can save its state
_asked = False


def install_sigterm_handler() -> None:
  """From now on SIGTERM raises `StopRequested`: at once, or where a training is saving its states, after its next one."""

  def on_sigterm(number: int, frame: FrameType | None) -> None:
    global _asked
    del number, frame
    _asked = True
    if not _busy:
      raise StopRequested

  signal.signal(signal.SIGTERM, on_sigterm)


class StateKeeper:
  """Where the trainings of a run, one after the other, keep their states. Of several hosts none does."""

  def __init__(self, folder: str):
    self._folder, self._begun = folder, 0

  def new_folder(self) -> str | None:
    """The folder of the next training."""
    if jax.process_count() > 1:
      return None
    self._begun += 1
    return os.path.join(self._folder, f"{self._begun - 1:03d}")


def fingerprint(*parts: Any) -> str:
  """SHA-256 of trees of arrays and plain values, of which a state is one step of the way. Of long arrays some 64 rows count."""
  found = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_flatten_with_path(parts)[0]:
    array = np.asarray(leaf) if hasattr(leaf, "dtype") else None
    found.update(f"{path}{leaf!r}".encode() if array is None else f"{path}{array.shape}{array.dtype}".encode())
    if array is not None:
      found.update(np.ascontiguousarray(array[:: max(len(array) // 64, 1)] if array.ndim else array).tobytes())
  return found.hexdigest()


@dataclasses.dataclass(kw_only=True)
class Progress:
  """How far a training is.

  Attributes:
    stage: number; done: steps of all stages; state: of the trainer.
    metrics: of each chunk of all stages; times: seconds of each chunk of this one.
    scores: (steps, score) of this stage; seen: (steps, seconds, score) of those before, which took `train_s`.
  """

  stage: int
  done: int
  state: Any
  metrics: list[Metrics]
  times: list[float]
  scores: list[tuple[int, float]]
  seen: Sequence[tuple[int, float, float]]
  train_s: float


class TrainingStates:
  """States of one training; without a keeper none are kept, and none found."""

  def __init__(self, name: str, of: str, keeper: StateKeeper | None = None):
    """
    Args:
      name: for the reader.
      of: the fingerprint of what it begins with.
      keeper: of the run.
    """
    self._name, self._of = name, of
    self._folder = keeper.new_folder() if keeper is not None else None

  @contextlib.contextmanager
  def running(self) -> Iterator[None]:
    """A SIGTERM in this block waits for the next state.

    Raises:
      StopRequested: one came.
    """
    global _busy
    if self._folder is None:
      yield
      return
    _busy = True
    try:
      yield
    finally:
      _busy = False
    if _asked:  # after the last state
      raise StopRequested

  def due(self, steps: int) -> bool:
    """Whether to save now, after so many steps."""
    return self._folder is not None and (_asked or steps % EVERY == 0)

  def save(self, progress: Progress) -> None:
    """
    Raises:
      StopRequested: the program was asked to stop, and has saved.
    """
    if self._folder is None:
      return
    if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(progress.state)):
      return  # no good state; the next loss, or the checkpoint, says so
    os.makedirs(self._folder, exist_ok=True)
    place = os.path.join(self._folder, f"{progress.done:09d}")
    if not os.path.exists(place):
      facts = {name: getattr(progress, name) for name in _FACTS}
      # a list for each chunk's metrics, as stages may differ in their names
      chunks = [{name: np.asarray(value) for name, value in chunk.items()} for chunk in progress.metrics]
      kinds = [[(name, str(value.dtype), value.shape) for name, value in sorted(chunk.items())] for chunk in chunks]
      tree = {
        "state": _numbered(progress.state),
        "metrics": _numbered([list(map(chunk.get, sorted(chunk))) for chunk in chunks]),
      }
      leaves = [(str(leaf.dtype), leaf.shape) for leaf in jax.tree.leaves(progress.state)]
      header = {"format": _FORMAT, "name": self._name, "of": self._of, "metrics": kinds, "leaves": leaves, **facts}
      checksummed.write(place, header, tree)
    best = self._best({**{at: score for at, _, score in progress.seen}, **dict(progress.scores)})
    for old in self._steps()[KEPT:]:
      if old != best:
        shutil.rmtree(os.path.join(self._folder, f"{old:09d}"))
    if _asked:
      raise StopRequested

  def latest(self) -> dict[str, Any] | None:
    """The header of the last state that is whole, None without one; a damaged one is named, and set aside.

    Raises:
      InputError: the states are of another training or format, or the system does not let them be read.
    """
    for steps in (there := self._steps()):
      place = os.path.join(str(self._folder), f"{steps:09d}")
      header = self._whole(steps)
      if header is None:
        continue
      if steps != there[0]:
        print(f"{place}: goes on from here", file=sys.stderr)
      if header["of"] != self._of:
        raise InputError(
          f"{place}: the state of another training ({header['name']}); the data or the settings have changed since: choose "
          "another --workdir"
        )
      return header
    return None

  @property
  def place(self) -> str:
    """Of the last state, "" without one."""
    steps = self._steps()
    return os.path.join(str(self._folder), f"{steps[0]:09d}") if steps else ""

  def restore(self, header: Mapping[str, Any], state: Any) -> Progress:
    """What `latest` found, its trainer's state in the structure of `state`.

    Raises:
      InputError: it has another structure.
    """
    leaves, values = self._arrays(header, jax.tree.leaves(state))
    metrics = [{name: next(values) for name, _, _ in chunk} for chunk in header["metrics"]]
    facts = {name: header[name] for name in _FACTS}
    facts |= {name: [tuple(one) for one in header[name]] for name in ("scores", "seen")}
    return Progress(state=jax.tree.unflatten(jax.tree.structure(state), leaves), metrics=metrics, **facts)

  def best(self, params: Params, scores: Mapping[int, float]) -> tuple[int, Params] | None:
    """Steps and parameters, of the structure of `params`, of the state with the least of some scores, steps → score; None without states.

    Raises:
      InputError: it has another structure or format, or the system does not let it be read.
    """
    while True:
      steps = self._best(scores)
      if steps is None:
        return None
      header = self._whole(steps)
      if header is not None:
        break
    first = jax.tree.leaves(params)  # of a trainer's state they come first
    rest = [jax.ShapeDtypeStruct(tuple(shape), kind) for kind, shape in header["leaves"][len(first) :]]
    leaves, _ = self._arrays(header, [*first, *rest])
    return steps, jax.tree.unflatten(jax.tree.structure(params), leaves[: len(first)])

  def _whole(self, steps: int) -> dict[str, Any] | None:
    """The header of a state; of a damaged one None, which is named and set aside."""
    place = os.path.join(str(self._folder), f"{steps:09d}")
    try:
      return checksummed.read(place, _FORMAT, _REMEDY)
    except checksummed.DamagedError as error:
      print(f"{error}", file=sys.stderr)
      os.rename(place, f"{place}.damaged-{os.getpid()}")
      return None

  def _best(self, scores: Mapping[int, float]) -> int | None:
    """Steps of the state with the least score."""
    return min((steps for steps in self._steps() if steps in scores), key=lambda steps: scores[steps], default=None)

  def _arrays(self, header: Mapping[str, Any], expected: Sequence[Any]) -> tuple[list[Any], Iterator[Any]]:
    """Leaves of a trainer's state, of the shapes and types that are expected, and of its metrics.

    Raises:
      InputError: the state has others.
    """
    shapes = [[jax.ShapeDtypeStruct(tuple(shape), kind) for _, kind, shape in chunk] for chunk in header["metrics"]]
    wanted = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in expected]
    place = os.path.join(str(self._folder), f"{header['done']:09d}")
    found = checksummed.restore(place, {"state": _numbered(wanted), "metrics": _numbered(shapes)}, _REMEDY)
    return [found["state"][f"{number:06d}"] for number in range(len(wanted))], iter(found["metrics"].values())

  def _steps(self) -> list[int]:
    """Steps of the states that there are, last first."""
    if self._folder is None or not os.path.isdir(self._folder):
      return []
    return sorted((int(name) for name in os.listdir(self._folder) if re.fullmatch(r"\d{9}", name)), reverse=True)


def _numbered(tree: Any) -> dict[str, Any]:
  """The leaves of a tree by their numbers, which sort as they stand."""
  return {f"{number:06d}": leaf for number, leaf in enumerate(jax.tree.leaves(tree))}
