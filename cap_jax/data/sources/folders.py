"""Finds files in a folder, and refuses those outside it and those whose content is too large."""

import contextlib
import math
import os
import pathlib
import resource
from collections.abc import Iterator

from cap_jax.types import DataError, InputError

MOST_GB = "CAP_JAX_MAX_RECORD_GB"  # environment variable that raises the bound
_MOST_GB = 0.4  # the clock and one wave of 24 h at 250 Hz are 0.35
_SPARE = 1 << 29


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
  if not most > 0:
    raise InputError(f"{MOST_GB}={text}: must be a positive number of gigabytes, such as 4")
  return 1e9 * most


def check_size(where: str, declared: float) -> None:
  """Checks the size of a record before it is decoded. The bound does not depend on the size of the file.

  Args:
    where: what is read, for messages.
    declared: bytes that it takes in memory.

  Raises:
    DataError: it is larger than `most_bytes`.
  """
  most = most_bytes()
  if declared > most:
    problem = f"contains {declared / 1e9:.3g} GB of samples, above the limit of {most / 1e9:g} GB"
    remedy = f"split the record, or set the environment variable {MOST_GB}={math.ceil(declared / 1e9)} if it is sound"
    raise DataError(where, problem, remedy)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
  """Limits memory within the block to `_SPARE` bytes more than is in use; allocations beyond it fail.

  Readers in other languages believe what a damaged file says of its size. Nothing is limited where the system does not
  report its use (no Linux).
  """
  soft, hard = resource.getrlimit(resource.RLIMIT_AS)
  try:
    pages = int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
  except (OSError, ValueError):
    yield
    return
  most = pages * resource.getpagesize() + _SPARE
  if soft != resource.RLIM_INFINITY:
    most = min(most, soft)
  resource.setrlimit(resource.RLIMIT_AS, (most, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def is_file(path: pathlib.Path) -> bool:
  """Returns whether there is a file of this name; invalid names are allowed."""
  try:
    return path.is_file()
  except (OSError, ValueError):
    return False


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


def find(root: str | os.PathLike[str], *patterns: str) -> Iterator[pathlib.Path | DataError]:
  """Finds the files below a folder that match patterns, in order of their names. If `root` is a file, yields that file.

  Args:
    root: folder or file.
    patterns: glob patterns of the names.

  Yields:
    A path, or the error of a path that points outside the folder.

  Raises:
    DataError: there is nothing at `root`.
  """
  base = pathlib.Path(root)
  if base.is_file():
    yield base
    return
  if not base.is_dir():
    raise DataError(str(root), "no such file or folder", "check --path")
  for path in sorted({path for pattern in patterns for path in base.rglob(pattern)}):
    if not path.is_file() and not path.is_symlink():
      continue
    try:
      check_within(base, path)
    except DataError as error:
      yield error
    else:
      yield path


def one(root: str | os.PathLike[str], *patterns: str) -> pathlib.Path | None:
  """Finds the first file that matches patterns in a folder or beside a file.

  Args:
    root: folder or file.
    patterns: glob patterns, the preferred one first.

  Returns:
    The path, or None if nothing matches.

  Raises:
    DataError: the path points outside the folder.
  """
  base = pathlib.Path(root)
  base = base if base.is_dir() else base.parent
  for pattern in patterns:
    for path in sorted(base.rglob(pattern)):
      check_within(base, path)
      return path
  return None
