"""Data sets: which subjects and records they contain, and how each record is read on demand."""

import contextlib
import csv
import dataclasses
import os
import pathlib
import pickle
import stat
import struct
import tokenize
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import scipy.io.matlab

from cap_jax.data import recordings
from cap_jax.types import LONGEST_NAME, DataError, InputError, is_visible, message_of

# Where records come from, as results say it.
IN_SILICO, IN_VITRO, REAL, OWN = PLACES = ("in silico", "in vitro", "real records", "own records")
PEOPLE = (REAL, OWN)  # places whose records are treated as those of people
NO_AORTIC_WAVE = "no aortic wave: for its reconstruction, these records are unlabelled"
NO_PERIPHERAL_WAVE = (
  "no peripheral wave: a network reads one; name it in --channels, as ABP:radial or PLETH:digital_ppg"
)
_LONGEST = 160  # characters of a reader's message
# Exceptions that format readers raise on files that are truncated, damaged or of another kind.
DAMAGE: tuple[type[Exception], ...] = (
  OSError,
  EOFError,
  ValueError,
  LookupError,
  TypeError,
  AttributeError,
  ArithmeticError,
  RuntimeError,
  MemoryError,
  NotImplementedError,
  NameError,
  csv.Error,
  struct.error,
  zlib.error,
  zipfile.BadZipFile,
  SyntaxError,
  tokenize.TokenError,
  pickle.UnpicklingError,
  scipy.io.matlab.MatReadError,
)


@dataclasses.dataclass(frozen=True)
class Entry:
  """A record that can be read.

  Attributes:
    subject: name of the subject.
    record: name of the record among those of the subject.
    where: file, and position in it, for messages.
    read: returns the recording; picklable.
  """

  subject: str
  record: str
  where: str
  read: Callable[[], recordings.Recording]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSet:
  """Records of one source. None of them is read yet.

  Attributes:
    name: key in `DATASETS`.
    entries: records in a fixed order; those of a subject are adjacent.
    source: reference to cite.
    licence: licence of the data.
    path: path that the data set was listed from.
    channels: requested channel → signal, or None for the defaults of the source.
    place: where the records come from, one of `PLACES`.
    subjects_known: whether the source identifies subjects; if not, each record counts as a subject.
    lost: errors of records that could not be listed.
    notes: remarks on the whole data set for its users, one line each.
    files: of one record: all files that belong to it, whatever their names. Those of a folder are all in it.
  """

  name: str
  entries: tuple[Entry, ...]
  source: str
  licence: str
  path: str
  channels: Mapping[str, str] | None
  place: str = REAL
  subjects_known: bool = True
  lost: tuple[DataError, ...] = ()
  notes: tuple[str, ...] = ()
  files: tuple[str, ...] = ()

  def __post_init__(self) -> None:
    object.__setattr__(self, "notes", tuple(map(message_of, self.notes)))  # they quote files

  @property
  def subjects(self) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entry.subject for entry in self.entries))


# Raised by a reader these are of its file; raised by code of this package they are mistakes of its own.
_MISTAKES = (TypeError, AttributeError, NameError, NotImplementedError, MemoryError)
_PACKAGE = str(pathlib.Path(__file__).parents[1])


def _is_own_mistake(error: Exception) -> bool:
  """Returns whether code of this package, not a reader that it calls, raised an error that no file explains."""
  *_, (innermost, _) = traceback.walk_tb(error.__traceback__)
  return isinstance(error, _MISTAKES) and innermost.f_code.co_filename.startswith(_PACKAGE)


@contextlib.contextmanager
def reading(where: str, remedy: str, subject: str = "") -> Iterator[None]:
  """Translates the exceptions that a reader raises on a bad file into one typed error.

  Args:
    where: file, and position in it.
    remedy: what the user can do about it.
    subject: name of the subject, "" if there is none.

  Raises:
    DataError: names file, subject and remedy. A mistake in the code of this package is raised as it is.
  """
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", ResourceWarning)  # some readers leave their files open
    try:
      yield
    except InputError:
      raise
    except DAMAGE as error:
      if _is_own_mistake(error):
        raise
      of_system = (
        error.strerror if isinstance(error, OSError) else None
      )  # without the name of the file, which `where` has
      message = (of_system or str(error).strip() or type(error).__name__).splitlines()[0][:_LONGEST]
      problem = f"cannot be read ({message})"
      if isinstance(error, FileNotFoundError):
        problem = f"no such file ({error.filename or where})"
      elif isinstance(error, PermissionError):
        remedy = "check the permissions of the file and of its folder"
      traceback.clear_frames(error.__traceback__)  # closes the files that they left open
      raise DataError(where, problem, remedy, subject) from error


def read(entry: Entry) -> recordings.Recording:
  """Reads the recording of an entry.

  Raises:
    DataError: it cannot be read or used; names the file, the subject and the remedy.
  """
  try:
    with reading(entry.where, "download the file again, or omit the record", entry.subject):
      recording = entry.read()
      notes, unread = tuple(map(message_of, recording.notes)), tuple(map(message_of, recording.unread))
      return dataclasses.replace(recording, notes=notes, unread=unread)
  except DataError as error:
    if error.subject:
      raise
    raise DataError(error.where, error.problem, error.remedy, entry.subject) from error


def _problem_of_names(entry: Entry) -> str:
  """Returns what is wrong with the names of an entry, "" for nothing; file names may contain any bytes."""
  try:
    (entry.subject + entry.record + entry.where).encode("utf-8")
  except UnicodeEncodeError:
    return "the name is not UTF-8 text"
  for name in (entry.subject, entry.record):
    if len(name) > LONGEST_NAME:
      return f"the name has {len(name)} characters, more than {LONGEST_NAME}"
    if not is_visible(name):
      return "the name contains control characters"
  return ""


class _Files:
  """The files that entries are read from, and the first name of each."""

  def __init__(self) -> None:
    self._identities: dict[str, tuple[int, ...] | None] = {}
    self._first_names: dict[tuple[int, ...], str] = {}

  def _identity(self, name: str) -> tuple[int, ...] | None:
    """Returns what is equal for all names of one regular file, None if there is none or the system cannot tell."""
    if name not in self._identities:
      self._identities[name] = None
      with contextlib.suppress(OSError, ValueError):
        status = os.stat(name)
        if stat.S_ISREG(status.st_mode) and status.st_ino:  # size and time, as some file systems share the numbers
          self._identities[name] = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return self._identities[name]

  def other_name(self, where: str) -> str:
    """Returns another name under which the file of an entry occurred before, "" if there is none.

    Args:
      where: of the entry: a file, the record of a header without its suffix, or `FILE: position`.
    """
    for name in (where.rpartition(": ")[0], where, f"{where}.hea"):
      identity = self._identity(name) if name else None
      if identity is not None:
        first = self._first_names.setdefault(identity, name)
        return first if first != name else ""
    return ""


def gather(
  listed: Sequence[Entry | DataError],
) -> tuple[tuple[Entry, ...], tuple[DataError, ...]]:
  """Separates a listing into entries and errors.

  Args:
    listed: entries and errors in any order.

  Returns:
    The entries, sorted by subject and record, and the errors. The second of two records of one name is an error, and so
    are the records of a file that was listed before under another name.
  """
  entries: dict[tuple[str, str], Entry] = {}
  lost: list[DataError] = []
  files = _Files()
  for item in listed:
    if isinstance(item, DataError):
      lost.append(item)
      continue
    problem, remedy = _problem_of_names(item), "rename the file or the subject"
    if not problem and (item.subject, item.record) in entries:
      problem = f"duplicate record {item.record!r}, first at {entries[item.subject, item.record].where}"
      remedy = "use a unique name for each record of a subject"
    elif not problem and (other := files.other_name(item.where)):
      problem, remedy = f"is the same file as {other}", "keep one name of the file"
    if problem:
      lost.append(DataError(item.where, problem, remedy, item.subject))
    else:
      entries[item.subject, item.record] = item
  ordered = sorted(entries.values(), key=lambda entry: (entry.subject, entry.record))
  return tuple(ordered), tuple(lost)


def of_the_user(
  name: str,
  listed: Sequence[Entry | DataError],
  path: str | os.PathLike[str],
  channels: Mapping[str, str] | None,
  notes: Sequence[str] = (),
) -> DataSet:
  """Returns a data set of the user's own files.

  Args:
    name: key in `DATASETS`.
    listed: records, and errors of those that could not be listed.
    path: path that the data set was listed from.
    channels: requested channel → signal, or None.
    notes: remarks for the user.

  Raises:
    DataError: the path is one file, and it cannot be used.
  """
  entries, lost = gather(listed)
  if lost and not entries and os.path.isfile(path):
    raise lost[0]
  return DataSet(
    name=name,
    entries=entries,
    source="user-provided data",
    licence="user-provided",
    path=str(path),
    channels=channels,
    lost=lost,
    place=OWN,
    notes=tuple(notes),
  )


def missing_waves(signals: Collection[str]) -> list[str]:
  """Returns a line for each wave that no record has: the aortic one, a peripheral one.

  Args:
    signals: of all records.
  """
  lines = [] if "aortic_root" in signals else [NO_AORTIC_WAVE]
  return lines + ([] if set(signals) - {"aortic_root"} else [NO_PERIPHERAL_WAVE])
