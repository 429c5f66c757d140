"""Writes metrics during a training: as JSON lines, TensorBoard event files, or both.

    with metrics_writer.writing("runs/mine/logs", ("jsonl", "tensorboard")) as metrics:
      source_training.pretrain(…, recorder=loop.Recorder(metrics=metrics))

Both formats can be read while the training runs.
"""

import contextlib
import json
import math
import os
import pathlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from cap_jax import files, own_files
from cap_jax.types import InputError

KINDS = ("jsonl", "tensorboard")
NAME = "metrics.jsonl"
_EVENTS = "events.out.tfevents.*"
_FRAME = 16  # bytes around a record of an event file


def check(kinds: Sequence[str]) -> None:
  """Checks that all kinds of metrics files are known.

  Raises:
    InputError: a kind is unknown.
  """
  for kind in kinds:
    if kind not in KINDS:
      raise InputError(f"--metrics={kind}: unknown; choose from {', '.join(KINDS)}")


class MetricsWriter:
  """Writes metrics to a folder and flushes every row.

  Rows that a stopped training has already written are not written a second time.
  """

  def __init__(self, folder: str, kinds: Sequence[str]):
    """Opens the files.

    Args:
      folder: where the files go.
      kinds: names in `KINDS`.

    Raises:
      InputError: a kind is unknown.
    """
    check(kinds)
    self._folder = folder
    own_files.makedirs(folder)
    self._began = time.time()
    self._lines: IO[str] | None = None
    self._events: Any = None
    self._written: set[tuple[str, int, tuple[str, ...]]] = set()
    self._drawn: set[tuple[str, int]] = set()
    if "jsonl" in kinds:
      path = own_files.claimed(os.path.join(folder, NAME))
      self._written = _whole_lines(path)
      self._lines = open(path, "a", encoding="utf-8")  # noqa: SIM115
    if "tensorboard" in kinds:
      # slow to import and rarely used; its SummaryWriter passes rows to a thread, where a kill loses them
      from tensorboardX.event_file_writer import EventsWriter

      before = list(pathlib.Path(folder).glob(_EVENTS))
      self._drawn = {drawn for path in before for drawn in _scalars(path)}
      # names differ only by the second, and a file of the same name is overwritten
      self._events = EventsWriter(os.path.join(folder, "events"), f".{len(before):06d}")
      own = own_files.of(os.path.join(folder, NAME))
      if own is not None:
        for made in set(pathlib.Path(folder).glob(_EVENTS)) - set(before):
          own.adopt(made)

  def write(self, name: str, step: int, values: Mapping[str, float]) -> None:
    """Writes the values of a run at a step.

    Args:
      name: name of the run.
      step: the step.
      values: metric → value.
    """
    with files.translate_os_errors(self._folder):
      self._write(name, step, values)

  def _write(self, name: str, step: int, values: Mapping[str, float]) -> None:
    row = (name, step, tuple(sorted(values)))
    if self._lines is not None and row not in self._written:
      # JSON has neither NaN nor infinity
      finite = {key: value if math.isfinite(value) else None for key, value in values.items()}
      line = {"run": name, "step": step, "time_s": round(time.time() - self._began, 3), **finite}
      self._lines.write(json.dumps(line) + "\n")
      self._lines.flush()
    if self._events is not None:
      from tensorboardX.proto.event_pb2 import Event
      from tensorboardX.proto.summary_pb2 import Summary

      place = re.sub(r"[^A-Za-z0-9_.~-]+", "_", name)
      fresh = {f"{place}/{key}": value for key, value in values.items() if (f"{place}/{key}", step) not in self._drawn}
      if fresh:
        drawn = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in fresh.items()])
        self._events.write_event(Event(wall_time=time.time(), step=step, summary=drawn))
        self._events.flush()

  def close(self) -> None:
    """Closes the files."""
    if self._lines is not None:
      self._lines.close()
    if self._events is not None:
      self._events.close()


def _whole_lines(path: str) -> set[tuple[str, int, tuple[str, ...]]]:
  """Returns run, step and value names of each line of a file, and cuts off what follows the last complete line."""
  rows, whole = set(), 0
  if not os.path.exists(path):
    return set()
  with open(files.regular(path), "rb+") as file:
    for line in file:
      if not line.endswith(b"\n"):
        break
      try:
        row = json.loads(line)
        names = tuple(sorted(row.keys() - {"run", "step", "time_s"}))
        rows.add((str(row["run"]), int(row["step"]), names))
      except (ValueError, KeyError, TypeError, AttributeError):
        break
      whole += len(line)
    file.truncate(whole)
  return rows


def _scalars(path: pathlib.Path) -> Iterator[tuple[str, int]]:
  """Yields tag and step of the values in an event file, up to its last complete record."""
  from tensorboardX.proto.event_pb2 import Event
  from tensorboardX.record_writer import masked_crc32c

  content, at = pathlib.Path(files.regular(path)).read_bytes(), 0
  while at + _FRAME <= len(content):  # record length, its checksum, record, its checksum
    end = at + _FRAME + int.from_bytes(content[at : at + 8], "little")
    record, checksum = content[at + 12 : end - 4], int.from_bytes(content[end - 4 : end], "little")
    if end > len(content) or masked_crc32c(record) != checksum:
      return
    event = Event.FromString(record)
    yield from ((value.tag, int(event.step)) for value in event.summary.value)
    at = end


@contextlib.contextmanager
def writing(folder: str, kinds: Sequence[str]) -> Iterator[MetricsWriter | None]:
  """Opens a metrics writer and closes it at the end; yields None without any kind.

  Args:
    folder: where the files go.
    kinds: names in `KINDS`.

  Raises:
    InputError: a kind is unknown.
  """
  if not kinds:
    yield None
    return
  writer = MetricsWriter(folder, kinds)
  try:
    yield writer
  finally:
    writer.close()
