"""Files of a folder, none from outside it."""

import os
import pathlib
from collections.abc import Iterator

from cap_jax.types import DataError


def check_within(root: pathlib.Path, path: pathlib.Path) -> None:
  """Raises:
  DataError: the path leads out of the folder, by a link or by `..`."""
  if not path.resolve().is_relative_to(root.resolve()):
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
