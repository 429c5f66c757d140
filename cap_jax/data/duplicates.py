"""Finds waves that occur under two names: in a store, in two stores, among records and among windows.

Two waves are equal if their finite samples are, to two thousandths of their range. A copy that was resampled, shifted,
scaled or cut is not found.
"""

import functools
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cap_jax.data import batches, datasets, recordings, signal_names, splits, store
from cap_jax.types import shorten, visible

_LEAST_SAMPLES, _LEAST_VALUES = 100, 20  # shorter waves, and those of fewer different values, are equal by chance
_CLOSE = 2e-3  # of the range: copies may be written with fewer digits, of pressures with one decimal
_STEP = 1e-4  # of the moments; a copy with fewer digits changes them by less
_LISTED, _LONGEST_NAME = 3, 40  # pairs in a message; characters of each name
_Windows = batches.Pairs | batches.Waves | None


class Wave(NamedTuple):
  """A wave of a record.

  Attributes:
    subject: whose it is.
    record: name of the record.
    signal: name of the wave.
    moments: number, sum and sum of squares of its finite samples.
    read: returns its samples, NaN where there is none.
  """

  subject: str
  record: str
  signal: str
  moments: tuple[float, float, float]
  read: Callable[[], np.ndarray]

  @property
  def name(self) -> str:
    """Subject, and record if its name differs, for messages."""
    record = "" if self.record in ("", self.subject) else f" ({shorten(visible(self.record), _LONGEST_NAME)})"
    return shorten(visible(self.subject), _LONGEST_NAME) + record


class Match(NamedTuple):
  """Waves of two records that are equal."""

  first: Wave
  second: Wave

  def __str__(self) -> str:
    return f"{self.first.name} and {self.second.name}"


class _Index:
  """Waves by their moments."""

  def __init__(self) -> None:
    self._waves: dict[tuple[float, int, int], list[Wave]] = {}

  def _key(self, wave: Wave) -> tuple[float, int, int]:
    count, total, squares = wave.moments
    rms = math.sqrt(squares / count)
    return count, math.floor(total / count / rms / _STEP), math.floor(math.log(rms) / _STEP)

  def add(self, wave: Wave) -> None:
    self._waves.setdefault(self._key(wave), []).append(wave)

  def find(self, wave: Wave) -> Wave | None:
    """Returns a wave of another record that is equal, None if there is none."""
    count, mean, rms = self._key(wave)
    for i, j in itertools.product((0, -1, 1), repeat=2):  # a copy may lie beyond the edge of a step
      for other in self._waves.get((count, mean + i, rms + j), ()):
        if (other.subject, other.record) != (wave.subject, wave.record) and _is_equal(other.read(), wave.read()):
          return other
    return None


def _is_equal(first_t: np.ndarray, second_t: np.ndarray) -> bool:
  """Returns whether the finite samples of two waves are equal, and of enough values to tell."""
  first, second = (np.asarray(wave_t, float)[np.isfinite(wave_t)] for wave_t in (first_t, second_t))
  if first.size != second.size or np.unique(first).size < _LEAST_VALUES:
    return False
  return bool(np.abs(first - second).max() <= _CLOSE * np.ptp(first))


def _counts(wave: Wave) -> bool:
  """Returns whether a wave is long enough, and a pressure or a PPG: flows and velocities may be prescribed."""
  count, total, squares = wave.moments
  if not (math.isfinite(total) and 0 < squares < math.inf):
    return False
  return count >= _LEAST_SAMPLES and signal_names.split_signal(wave.signal)[1] in ("", "ppg")


def find(waves: Iterable[Wave], among: Iterable[Wave] | None = None) -> list[Match]:
  """Finds equal waves of different records. Samples are read only where the moments are equal.

  Args:
    waves: of any number of records.
    among: waves to compare them with; if None they are compared with each other.

  Returns:
    For each record with a wave that is known already, that of `among` or the earlier one, and its own.
  """
  index = _Index()
  for wave in among or ():
    if _counts(wave):
      index.add(wave)
  matches: dict[tuple[str, str], Match] = {}
  for wave in filter(_counts, waves):
    other = index.find(wave)
    if other is not None:
      matches.setdefault((wave.subject, wave.record), Match(other, wave))
    elif among is None:
      index.add(wave)
  return list(matches.values())


def waves_of_records(records: Iterable[recordings.Recording]) -> Iterator[Wave]:
  """Yields the waves of recordings in memory."""
  for one in records:
    for signal, wave_t in one.signals.items():
      good_t = wave_t[np.isfinite(wave_t)]
      moments = (float(good_t.size), float(good_t.sum()), float(np.square(good_t).sum()))
      yield Wave(one.subject, one.record, signal, moments, functools.partial(np.asarray, wave_t))


def waves_of_shards(shards: Iterable[store.Shard], subjects: Collection[str] | None = None) -> Iterator[Wave]:
  """Yields the waves of shards, which are read only if they are compared.

  Args:
    shards: of a store.
    subjects: whose waves; None for all.
  """
  for shard in shards:
    for record in shard.records:
      if subjects is None or record.subject in subjects:
        bounds = record.start, record.start + record.samples
        for signal, moments in record.moments.items():
          read = functools.partial(shard.read, signal, *bounds)
          yield Wave(record.subject, record.record, signal, moments, read)


def _listed(matches: Sequence[Match]) -> str:
  """Returns the names of the first pairs, and how many there are."""
  rest = len(matches) - _LISTED
  more = f" (and {rest} more pair{'s' * (rest > 1)})" if rest > 0 else ""
  return ", ".join(map(str, matches[:_LISTED])) + more


def _apart(where: str, matches: Sequence[Match], virtual: bool = False) -> tuple[str, ...]:
  """Returns remarks on equal waves.

  Args:
    where: what contains them, for the message.
    matches: the waves.
    virtual: whether the subjects are virtual, and may be alike.

  Raises:
    splits.LeakError: two subjects who are not virtual have the same wave.
  """
  others = [match for match in matches if match.first.subject != match.second.subject]
  same = [match for match in matches if match.first.subject == match.second.subject]
  if others and not virtual:
    remedy = "give the records of one person one subject, or leave one of them out"
    raise splits.LeakError(f"{where}: different subjects have the same wave: {_listed(others)}; {remedy}")
  notes = [f"equal waves of one subject count twice: {_listed(same)}; leave one of them out"] if same else []
  if others:
    notes.append(f"virtual subjects have the same wave: {_listed(others)}; they count as different people")
  return tuple(notes)


def check_waves(where: str, waves: Iterable[Wave], place: str) -> tuple[str, ...]:
  """Checks that no two subjects have the same wave. The parts of a split would not be apart.

  Args:
    where: what contains them, for the message.
    waves: of records.
    place: where the records come from, one of `datasets.PLACES`. Virtual subjects may be alike.

  Returns:
    Remarks for the user on equal waves of one subject, and of virtual subjects.

  Raises:
    splits.LeakError: two subjects who are not virtual have the same wave.
  """
  return _apart(where, find(waves), place == datasets.IN_SILICO)


def check_records(where: str, records: Iterable[recordings.Recording]) -> tuple[str, ...]:
  """Checks that no two subjects have the same wave.

  Args:
    where: name of the argument or the path that the recordings come from, for the message.
    records: recordings in memory.

  Returns:
    Remarks for the user on equal waves of one subject.

  Raises:
    splits.LeakError: two subjects have the same wave.
  """
  return _apart(where, find(waves_of_records(records)))


def check_shards(where: str, shards: Iterable[store.Shard], place: str) -> tuple[str, ...]:
  """Checks that no two subjects of a store have the same wave; arguments and result as of `check_waves`."""
  return check_waves(where, waves_of_shards(shards), place)


def check_stores(source: store.Store, source_parts: Sequence[str], target: store.Store) -> None:
  """Checks that no wave of a source is also one of the target under another name.

  Args:
    source: the store of the source.
    source_parts: parts of its split that are used.
    target: the store of the target, whose parts are all used.

  Raises:
    splits.LeakError: there is such a wave.
  """
  of_source = {name for part in source_parts for name in source.split.subjects.get(part, ())}
  of_target = {name for names in target.split.subjects.values() for name in names}
  matches = find(  # subjects of one name are refused by their name
    waves_of_shards(target.shards, of_target - of_source), waves_of_shards(source.shards, of_source - of_target)
  )
  if matches:
    raise splits.LeakError(
      f"{source.path}, {target.path}: subjects of the source and of the target have the same wave: {_listed(matches)}; leave them "
      "out of one of the two, otherwise the error in the target is underestimated"
    )


def check_windows(parts: Mapping[str, _Windows], others: Mapping[str, _Windows]) -> None:
  """Checks that no window of a peripheral wave is in two parts under different names.

  Args:
    parts: name of an argument → its windows, None if it was not passed.
    others: those that must have no window of `parts`.

  Raises:
    splits.LeakError: they have one.
  """
  known = {row: (name, subject) for name, windows in parts.items() for row, subject in _rows(windows)}
  for name, windows in others.items():
    for row, subject in _rows(windows):
      first, other = known.get(row, ("", subject))
      if other != subject:
        raise splits.LeakError(
          f"{first}, {name}: subjects {other} and {subject} have the same waves; keep each person in one of the two"
        )


def _rows(windows: _Windows) -> Iterator[tuple[bytes, str]]:
  """Yields the samples and the subject of each window."""
  if windows is not None:
    for x_t, subject in zip(np.asarray(windows.x_bt, np.float32), windows.subject_b.tolist(), strict=True):
      yield x_t.tobytes(), subject
