"""Saved states of trainings, which resume bit for bit where they were stopped.

    source_training.pretrain(…, recorder=loop.Recorder(training_state.StateKeeper("runs/mine/training_states")))

Every training that gets the keeper has a folder `NNN`, numbered in the order in which the trainings start. It contains
checksummed states `STEPS`: of those saved every `EVERY` steps the last `MOST_STATES` and, with validation, the one with the
least error; and the final state. A program that is started again repeats the same sequence of trainings, finds each
training's last intact state and resumes from there. A damaged state is reported, and the one before it is used. The
state contains everything that the rest depends on: parameters, optimiser, schedule and the metrics so far. The order of
the windows and the random keys follow from the seed and the step.

Orbax writes the arrays. Its `CheckpointManager` (0.12) would choose which steps stay, some 20 lines here, but not the rest: it has no
checksums, so a flipped bit is restored unnoticed; a damaged step raises an error instead of giving way to the one before; and with
several hosts all of them wait for each save, so that a lost host holds up the others. Here only the first host saves.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from cap_jax import own_files
from cap_jax.train import checksummed, sharding, sigterm
from cap_jax.types import InputError, Metrics, Params

EVERY = 500
MOST_STATES = 2
_FORMAT = 5
_FACTS = ("stage", "done", "times", "scores", "history", "train_s")
_REMEDY = "damaged states are skipped; finish a run of another release with that release, or remove its folder"


class StateKeeper:
  """Where the trainings of a run, one after the other, save their states.

  Of several hosts the first alone saves them, as all have the same. When the training resumes, on any number of hosts, it
  sends its last state to the others, so that they need no common folder.
  """

  def __init__(self, folder: str):
    self._folder, self._count = folder, 0

  def own_files(self) -> own_files.OwnFiles:
    """Returns the list of own files of the run, or begins one in the folder of the states."""
    return own_files.inside(self._folder)

  def new_folder(self) -> str | None:
    """Returns the folder of the next training, None on a host that saves nothing."""
    if jax.process_index():
      return None
    self._count += 1
    return os.path.join(self._folder, f"{self._count - 1:03d}")


def fingerprint(*trees: Any) -> str:
  """Returns the SHA-256 of trees of arrays and plain values.

  A state of a training is valid only for the inputs with the same fingerprint.
  """
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_flatten_with_path(trees)[0]:
    array = np.asarray(leaf) if hasattr(leaf, "dtype") else None
    digest.update(f"{path}{leaf!r}".encode() if array is None else f"{path}{array.shape}{array.dtype}".encode())
    if array is not None:
      digest.update(np.ascontiguousarray(array).tobytes())
  return digest.hexdigest()


@dataclasses.dataclass(kw_only=True)
class Progress:
  """How far a training is.

  Attributes:
    stage: number of the current stage.
    done: steps of all stages.
    state: state of the trainer.
    metrics: metrics of each chunk of all stages.
    times: seconds of each chunk of this stage.
    scores: (steps, score) of this stage.
    history: (steps, seconds, score) of earlier stages.
    train_s: seconds that earlier stages took.
  """

  stage: int
  done: int
  state: Any
  metrics: list[Metrics]
  times: list[float]
  scores: list[tuple[int, float]]
  history: Sequence[tuple[int, float, float]]
  train_s: float


class TrainingStates:
  """The saved states of one training. Without a keeper it saves none and finds none."""

  def __init__(self, name: str, of: str, keeper: StateKeeper | None = None):
    """Opens the states of a training.

    Args:
      name: name of the training, for messages.
      of: fingerprint of its inputs.
      keeper: keeper of the run.
    """
    self._name, self._of, self._keeper = name, of, keeper
    self._unusable: set[int] = set()  # steps of damaged states that contain files of others, and stay
    self._folder = keeper.new_folder() if keeper is not None else None

  @contextlib.contextmanager
  def running(self) -> Iterator[None]:
    """Delays a SIGTERM in this block until the next state is saved.

    Raises:
      sigterm.StopRequested: a SIGTERM arrived.
    """
    with sigterm.delayed() if self._folder is not None else contextlib.nullcontext():
      yield

  def due(self, steps: int) -> bool:
    """Returns whether a state should be saved after so many steps."""
    return self._folder is not None and (sigterm.requested() or steps % EVERY == 0)

  def save(self, progress: Progress) -> None:
    """Saves a state, and removes old ones. A state that contains NaN or infinity is not saved.

    Raises:
      sigterm.StopRequested: the system requested a stop, and the state is saved.
    """
    if self._folder is None or self._keeper is None:
      return
    if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(progress.state)):
      return  # the next loss, or the checkpoint, reports it
    own = self._keeper.own_files()
    own_files.makedirs(self._folder)
    place = self._place(progress.done)
    if not os.path.lexists(place):
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
    best = self._best({**{at: score for at, _, score in progress.history}, **dict(progress.scores)})
    for old in self._steps()[MOST_STATES:]:
      if old != best:
        own.remove(self._place(old))
        self._unusable.add(old)
    sigterm.check()

  def latest(self) -> dict[str, Any] | None:
    """Returns the header of the last intact state, None without one; a damaged state is reported and set aside.

    All hosts must call it, and get the same.

    Raises:
      InputError: the states are of another training or format, or the system refuses to read them.
    """
    return self._same_everywhere(self._latest())

  def _same_everywhere(self, header: dict[str, Any] | None) -> dict[str, Any] | None:
    """Returns the header that the first host has found."""
    if self._keeper is None:
      return header
    found: dict[str, Any] | None = json.loads(sharding.from_first_host(json.dumps(header).encode()))
    return found

  def _latest(self) -> dict[str, Any] | None:
    for steps in (saved := self._steps()):
      place = self._place(steps)
      header = self._whole(steps)
      if header is None:
        continue
      if steps != saved[0]:
        print(f"{place}: resuming from this state", file=sys.stderr)
      if header["of"] != self._of:
        raise InputError(
          f"{place}: contains the state of another training ({header['name']}), because the data or settings changed; choose "
          "another --workdir"
        )
      return header
    return None

  @property
  def place(self) -> str:
    """The folder of the last state, "" without one."""
    steps = self._steps()
    return self._place(steps[0]) if steps else ""

  def _place(self, steps: int) -> str:
    return os.path.join(str(self._folder), f"{steps:09d}")

  def restore(self, header: Mapping[str, Any], state: Any) -> Progress:
    """Restores the state that `latest` returned.

    Args:
      header: header of the state.
      state: state of a trainer with the same structure.

    Raises:
      InputError: the saved state has another structure.
    """
    leaves, values = self._arrays(header, jax.tree.leaves(state))
    metrics = [{name: next(values) for name, _, _ in chunk} for chunk in header["metrics"]]
    facts = {name: header[name] for name in _FACTS}
    facts |= {name: [tuple(one) for one in header[name]] for name in ("scores", "history")}
    return Progress(state=jax.tree.unflatten(jax.tree.structure(state), leaves), metrics=metrics, **facts)

  def best(self, params: Params, scores: Mapping[int, float]) -> tuple[int, Params] | None:
    """Returns steps and parameters of the state with the least score; None without states. All hosts must call it.

    Args:
      params: parameters of the same structure.
      scores: steps → score.

    Raises:
      InputError: the state has another structure or format, or the system refuses to read it.
    """
    header = None
    while header is None and (steps := self._best(scores)) is not None:
      header = self._whole(steps)
    header = self._same_everywhere(header)
    if header is None:
      return None
    first = jax.tree.leaves(params)  # they come first in a trainer's state
    rest = [jax.ShapeDtypeStruct(tuple(shape), kind) for kind, shape in header["leaves"][len(first) :]]
    leaves, _ = self._arrays(header, [*first, *rest])
    return header["done"], jax.tree.unflatten(jax.tree.structure(params), leaves[: len(first)])

  def _whole(self, steps: int) -> dict[str, Any] | None:
    """Returns the header of a state, None for a damaged one, which is reported and set aside."""
    place = self._place(steps)
    try:
      return checksummed.read(place, (_FORMAT,), _REMEDY)
    except checksummed.DamagedError as error:
      print(f"{error}", file=sys.stderr)
      own = own_files.of(place)
      if own is None or own.others(place):
        self._unusable.add(steps)
      else:
        own.replace(place, f"{place}.damaged-{own_files.token()}")
      return None

  def _best(self, scores: Mapping[int, float]) -> int | None:
    """Returns the steps of the state with the least score."""
    return min((steps for steps in self._steps() if steps in scores), key=lambda steps: scores[steps], default=None)

  def _arrays(self, header: Mapping[str, Any], expected: Sequence[Any]) -> tuple[list[Any], Iterator[Any]]:
    """Returns the leaves of a trainer's state, with the expected shapes and types, and those of its metrics.

    The first host reads them, and sends them to the others.

    Raises:
      InputError: the state has other leaves.
    """
    shapes = [[jax.ShapeDtypeStruct(tuple(shape), kind) for _, kind, shape in chunk] for chunk in header["metrics"]]
    leaves = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in expected]
    all_shapes = {"state": _numbered(leaves), "metrics": _numbered(shapes)}
    tree = all_shapes
    if self._folder is not None:
      tree = checksummed.restore(self._place(header["done"]), all_shapes, _REMEDY)
    tree = _from_first_host(tree, all_shapes)
    return [tree["state"][f"{number:06d}"] for number in range(len(leaves))], iter(tree["metrics"].values())

  def _steps(self) -> list[int]:
    """Returns the steps of the saved states, last first."""
    if self._folder is None or not os.path.isdir(self._folder):
      return []
    steps = {int(name) for name in os.listdir(self._folder) if re.fullmatch(r"\d{9}", name)}
    return sorted((one for one in steps - self._unusable if os.path.isdir(self._place(one))), reverse=True)


def _from_first_host(tree: Any, shapes: Any) -> Any:
  """Returns the arrays of a tree as the first host has them, bit for bit."""
  if jax.process_count() == 1:
    return tree
  mine = b"" if jax.process_index() else b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))
  content, start, leaves = sharding.from_first_host(mine), 0, []
  for one in jax.tree.leaves(shapes):
    size = math.prod(one.shape) * np.dtype(one.dtype).itemsize
    leaves.append(np.frombuffer(content[start : start + size], one.dtype).reshape(one.shape))
    start += size
  return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def _numbered(tree: Any) -> dict[str, Any]:
  """Returns the leaves of a tree by their numbers, zero-padded so that they sort."""
  return {f"{number:06d}": leaf for number, leaf in enumerate(jax.tree.leaves(tree))}
