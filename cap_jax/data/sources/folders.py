"""Finds files in a folder, and refuses those outside it, those that are no files, and those whose content is too large."""

import contextlib
import fnmatch
import math
import os
import pathlib
import re
import resource
import threading
from collections.abc import Iterator, Sequence

from cap_jax import files
from cap_jax.types import DataError, InputError

MOST_GB = "CAP_JAX_MAX_RECORD_GB"  # environment variable that raises the bound
_MOST_GB = 0.4  # the clock and one wave of 24 h at 250 Hz are 0.35
_SPARE = 1 << 28  # of a reader beyond the record [bytes]
_ENTRY_BYTES = 4000  # of a listed record, in memory
_ABSURD = 1e13  # bytes; a record of a thousand years at 100 Hz
_OUT_OF_MEMORY = ("bad_alloc", "out of memory", "memory allocation", "to allocate", "not enough memory")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LIMIT = threading.RLock()  # the limit on memory is that of the whole process


def most_bytes() -> float:
  """Returns the largest size of a decoded record [bytes], from the environment variable `MOST_GB` if it is set.

  Raises:
    InputError: the variable is no positive number.
  """
  text = os.environ.get(MOST_GB, "") or str(_MOST_GB)
  try:
    most = float(text)
  except ValueError:
    most = math.nan
  if not 0 < most < math.inf:
    raise InputError(f"{MOST_GB}={text}: must be a positive number of gigabytes, such as 4")
  return 1e9 * most


def extension() -> float:
  """Returns how many times larger than by default a record may be; at least 1."""
  return max(1.0, most_bytes() / (1e9 * _MOST_GB))


def check_size(where: str, declared: float, what: str = "samples") -> None:
  """Checks the size of a record before it is decoded. The bound does not depend on the size of the file.

  Args:
    where: what is read, for messages.
    declared: bytes that it takes in memory.
    what: what takes them, for messages.

  Raises:
    DataError: it is larger than `most_bytes`.
  """
  most = most_bytes()
  if not declared <= most:  # a size that is no number is none
    problem = f"contains {declared / 1e9:.3g} GB of {what}, above the limit of {most / 1e9:g} GB"
    raise DataError(where, problem, _remedy(declared))


def check_count(where: str, count: int) -> None:
  """Checks the number of records before they are listed.

  Args:
    where: what lists them, for messages.
    count: their number.

  Raises:
    DataError: the list is larger than `most_bytes`.
  """
  check_size(where, float(_ENTRY_BYTES) * count, f"descriptions of {count} records")


def _remedy(needed: float) -> str:
  """Returns how to read a record that takes `needed` bytes."""
  if not needed < _ABSURD:
    return "no record is as large: its header is damaged or false"
  gigabytes = math.ceil(needed / 1e9)
  return f"split the record, or set the environment variable {MOST_GB}={gigabytes} if it is sound"


def too_large(where: str) -> DataError:
  """Returns the error of a record that took more memory than it may."""
  most = most_bytes()
  return DataError(where, f"takes more than {most / 1e9:g} GB of memory", _remedy(2 * most))


def check_file(path: str | os.PathLike[str], most: float | None = None) -> str:
  """Returns the path of a regular file that may be read whole.

  Args:
    path: of the file.
    most: its largest size [bytes]; `most_bytes` if None.

  Raises:
    OSError: there is no such file, or it cannot be reached.
    DataError: it is no regular file, or it is larger.
  """
  place = files.regular(path)
  size = os.path.getsize(place)
  if most is None:
    check_size(place, size, "data")
  elif size > most:
    problem = f"has {size / 1e6:.3g} MB, more than the {most / 1e6:g} MB of the largest file of this kind"
    raise DataError(place, problem, "check that it is the right file")
  return place


@contextlib.contextmanager
def bounded(where: str) -> Iterator[None]:
  """Limits memory within the block to `most_bytes` and a little more than is in use; allocations beyond it fail.

  Readers in other languages believe what a damaged file says of its size. Nothing is limited where the system does not
  report its use (no Linux). One thread at a time is in such a block, because the limit is that of the process.

  Args:
    where: what is read, for messages.

  Raises:
    DataError: the reader needed more.
  """
  with _LIMIT:
    try:
      pages = int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
      yield
      return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + int(most_bytes()) + _SPARE
    bounds = [bound for bound in (most, soft, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
      yield
    except InputError:
      raise
    except Exception as error:
      text = str(error).lower()
      if isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY):
        raise too_large(where) from error
      raise
    finally:
      resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def is_plain(name: str) -> bool:
  """Returns whether a name contains no control characters, which would break lines and tables."""
  return _CONTROL.search(name) is None


def check_within(root: pathlib.Path, path: pathlib.Path) -> None:
  """Checks that a path stays in a folder.

  Args:
    root: the folder.
    path: the path.

  Raises:
    DataError: the path points outside the folder, by a link or by `..`.
  """
  try:
    inside = path.resolve().is_relative_to(root.resolve())
  except (OSError, ValueError, RuntimeError) as error:  # too long, contains NUL, or a circle of links
    raise DataError(str(path)[:200], f"is not a file name ({type(error).__name__})", "rename the file") from error
  if not inside:
    raise DataError(str(path), "points outside the folder", f"copy the file into {root}")


def check_regular(path: pathlib.Path) -> None:
  """Checks that there is a regular file, with a name that can be written on a line.

  Raises:
    DataError: there is none, or its name has control characters.
  """
  if not is_plain(str(path)):
    raise DataError(str(path)[:200], "its name contains control characters", "rename the file")
  try:
    files.regular(path)
  except InputError:
    raise
  except FileNotFoundError as error:
    problem = "is a link to a file that is missing" if os.path.islink(path) else "no such file"
    raise DataError(str(path), problem, "restore the file, or remove what names it") from error
  except (OSError, ValueError) as error:
    raise DataError(
      str(path)[:200], f"cannot be reached ({_reason(error)})", "check its name and its permissions"
    ) from error


def check_found(root: pathlib.Path, path: pathlib.Path) -> None:
  """Checks that what a folder lists, or a table in it names, is a regular file of the folder.

  Args:
    root: the folder.
    path: the path.

  Raises:
    DataError: it is none, its name has control characters, or it points outside the folder.
  """
  check_regular(path)
  check_within(root, path)


def refusal(root: pathlib.Path, path: pathlib.Path) -> DataError | None:
  """Returns what `check_found` raises, or None."""
  try:
    check_found(root, path)
  except DataError as error:
    return error
  return None


def _reason(error: Exception) -> str:
  return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _below(base: pathlib.Path, patterns: Sequence[str]) -> tuple[list[tuple[pathlib.Path, int]], list[DataError]]:
  """Returns what matches a pattern below a folder, except folders, and the errors of folders that cannot be read.

  Returns:
    Paths, in order of their names, each with the number of the first pattern that it matches; and the errors.
  """
  unreadable: list[OSError] = []
  found = []
  for place, inner, names in os.walk(base, onerror=unreadable.append):
    links = [name for name in inner if os.path.islink(os.path.join(place, name))]
    for name in (*names, *links):
      matched = [number for number, pattern in enumerate(patterns) if fnmatch.fnmatchcase(name, pattern)]
      if matched:
        found.append((pathlib.Path(place, name), matched[0]))
  remedy = "check the permissions of the folder"
  return sorted(found), [DataError(str(one.filename), f"cannot be read ({_reason(one)})", remedy) for one in unreadable]


def find(root: str | os.PathLike[str], *patterns: str) -> Iterator[pathlib.Path | DataError]:
  """Finds the files below a folder that match patterns, in order of their names. If `root` is a file, yields that file.

  Args:
    root: folder or file.
    patterns: glob patterns of the names.

  Yields:
    A path, or the error of a path that points outside the folder, or to a pipe, a device or nothing, or of a folder that
    cannot be read.

  Raises:
    DataError: there is nothing at `root`, or it is neither a regular file nor a folder.
  """
  base = pathlib.Path(root)
  if not os.path.isdir(base):
    if not os.path.lexists(base):
      raise DataError(str(root)[:200], "no such file or folder", "check --path")
    check_regular(base)
    yield base
    return
  found, unreadable = _below(base, patterns)
  yield from unreadable
  for path, _ in found:
    yield refusal(base, path) or path


def one(root: str | os.PathLike[str], *patterns: str) -> pathlib.Path | None:
  """Finds the first file that matches patterns in a folder or beside a file.

  Args:
    root: folder or file.
    patterns: glob patterns, the preferred one first.

  Returns:
    The path, or None if nothing matches.

  Raises:
    DataError: the path points outside the folder, or to a pipe, a device or nothing.
  """
  base = pathlib.Path(root)
  base = base if os.path.isdir(base) else base.parent
  found, _ = _below(base, patterns)
  if not found:
    return None
  path, _ = min(found, key=lambda one: one[1])
  check_found(base, path)
  return path
