"""Metrics along a training, for those who watch it: JSON lines, TensorBoard's event files, or both.

A journal is kept around a training, which writes to whichever is open:

    with journal.kept("runs/mine/logs", ("jsonl", "tensorboard")):
      runs.pretrain(…)
"""

import contextlib
import contextvars
import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from cap_jax.types import InputError

KINDS = ("jsonl", "tensorboard")
NAME = "metrics.jsonl"


def check(kinds: Sequence[str]) -> None:
  """Raises:
  InputError: a kind is unknown."""
  for kind in kinds:
    if kind not in KINDS:
      raise InputError(f"--metrics={kind}: unknown; choose of {', '.join(KINDS)}")


class Journal:
  """Where metrics go. Lines are whole and flushed as they are written. Those that stand there already, from before a training was
  stopped, are not written a second time."""

  def __init__(self, folder: str, kinds: Sequence[str]):
    check(kinds)
    os.makedirs(folder, exist_ok=True)
    self._began = time.time()
    self._lines: IO[str] | None = None
    self._events: Any = None
    self._there: set[tuple[str, int, tuple[str, ...]]] = set()
    if "jsonl" in kinds:
      path = os.path.join(folder, NAME)
      self._there = _whole_lines(path)
      self._lines = open(path, "a", encoding="utf-8")  # noqa: SIM115
    if "tensorboard" in kinds:
      import tensorboardX  # slow to import, and asked for by few

      self._events = tensorboardX.SummaryWriter(folder)

  def write(self, name: str, step: int, values: Mapping[str, float]) -> None:
    """The values of a run called `name` at a step."""
    row = (name, step, tuple(sorted(values)))
    if self._lines is not None and row not in self._there:
      # what is no number has no place in JSON
      known = {key: value if math.isfinite(value) else None for key, value in values.items()}
      line = {"run": name, "step": step, "time_s": round(time.time() - self._began, 3), **known}
      self._lines.write(json.dumps(line) + "\n")
      self._lines.flush()
    if self._events is not None:
      place = re.sub(r"[^A-Za-z0-9_.~-]+", "_", name)
      for key, value in values.items():
        self._events.add_scalar(f"{place}/{key}", value, step)

  def close(self) -> None:
    if self._lines is not None:
      self._lines.close()
    if self._events is not None:
      self._events.close()


def _whole_lines(path: str) -> set[tuple[str, int, tuple[str, ...]]]:
  """Run, step and names of the values of each line of a file; what follows the last whole one is cut off."""
  found, whole = set(), 0
  if not os.path.exists(path):
    return set()
  with open(path, "rb+") as file:
    for line in file:
      if not line.endswith(b"\n"):
        break
      try:
        row = json.loads(line)
        names = tuple(sorted(row.keys() - {"run", "step", "time_s"}))
        found.add((str(row["run"]), int(row["step"]), names))
      except (ValueError, KeyError, TypeError, AttributeError):
        break
      whole += len(line)
    file.truncate(whole)
  return found


_open: contextvars.ContextVar[Journal | None] = contextvars.ContextVar("journal", default=None)


@contextlib.contextmanager
def kept(folder: str, kinds: Sequence[str]) -> Iterator[None]:
  """Trainings in this block write to a journal in `folder`; of no kind they write nothing.

  Raises:
    InputError: a kind is unknown.
  """
  if not kinds:
    yield
    return
  journal = Journal(folder, kinds)
  token = _open.set(journal)
  try:
    yield
  finally:
    _open.reset(token)
    journal.close()


def write(name: str, step: int, values: Mapping[str, float]) -> None:
  """To the journal that is kept, if one is."""
  journal = _open.get()
  if journal is not None:
    journal.write(name, step, values)
