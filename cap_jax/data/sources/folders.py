"""Files of a folder, none from outside it, none that swells."""

import contextlib
import os
import pathlib
import resource
from collections.abc import Iterator

from cap_jax.types import DataError

_LARGE = 1 << 28  # bytes in memory that nobody minds
_SPARE = 1 << 29
_SWELL = 256  # times its size on disk that a file may take in memory: waves are packed 10 to 20 times, bombs a thousand


def check_size(where: str, declared: float, *paths: pathlib.Path) -> None:
  """
  Args:
    where: what is read, for the reader.
    declared: bytes that it would take in memory.
    paths: the files in which it lies.

  Raises:
    DataError: they are far too small to hold it.
  """
  if declared <= _LARGE:
    return
  held = sum(path.stat().st_size for path in paths if path.is_file())
  if declared > largest(held):
    problem = f"declares {declared / 1e9:.1f} GB of samples, and its files have {held / 1e6:.3g} MB"
    raise DataError(where, problem, "fetch the file again, or leave the record out")


def largest(held: int) -> int:
  """Bytes that files of so many may take in memory."""
  return max(_SWELL * held, _LARGE)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
  """What is asked of the system's memory in this block ends in an error beyond `_SPARE` more than there is in use: for readers of other
  languages, which believe what a damaged file says of its size. Where the system cannot tell (no Linux), nothing is bounded."""
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
  """Whether there is a file of this name, which may be one that no file can have."""
  try:
    return path.is_file()
  except (OSError, ValueError):
    return False


def check_within(root: pathlib.Path, path: pathlib.Path) -> None:
  """Raises:
  DataError: the path leads out of the folder, by a link or by `..`."""
  try:
    inside = path.resolve().is_relative_to(root.resolve())
  except (OSError, ValueError, RuntimeError) as error:  # too long, with a NUL, or a circle of links
    raise DataError(str(path)[:200], f"is no file's name ({type(error).__name__})", "rename the file") from error
  if not inside:
    raise DataError(str(path), "leads out of the folder", f"copy the file into {root}")


def find(root: str | os.PathLike[str], *patterns: str) -> Iterator[pathlib.Path | DataError]:
  """Files below a folder by patterns, in order of their names; the file itself if `root` is one.

  Yields:
    A path, or the error of one that leads out of the folder.

  Raises:
    DataError: there is nothing at `root`.
  """
  base = pathlib.Path(root)
  if base.is_file():
    yield base
    return
  if not base.is_dir():
    raise DataError(str(root), "no such file or folder", "look at --path")
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
  """The first file of these names in a folder or beside a file, None without one.

  Raises:
    DataError: it leads out of the folder.
  """
  base = pathlib.Path(root)
  base = base if base.is_dir() else base.parent
  for pattern in patterns:
    for path in sorted(base.rglob(pattern)):
      check_within(base, path)
      return path
  return None
