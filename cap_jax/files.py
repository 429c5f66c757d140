"""Files that are written whole or not at all, and folders that one process holds at a time."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator


@contextlib.contextmanager
def written_together(*paths: str | os.PathLike[str]) -> Iterator[list[str]]:
  """Names to write to. They take the names of `paths` when the block ends well, and vanish when it does not."""
  for path in paths:
    if os.path.isdir(path):  # found only when the others have their names already
      raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
  partial = [f"{os.fspath(path)}.partial-{os.getpid()}" for path in paths]
  try:
    yield partial
    for written, path in zip(partial, paths, strict=True):
      os.replace(written, path)
  finally:
    for written in partial:
      with contextlib.suppress(FileNotFoundError):
        os.remove(written)


@contextlib.contextmanager
def held(folder: str | os.PathLike[str], wait: bool = True) -> Iterator[None]:
  """Keeps other processes that ask for the folder waiting; one that dies lets go of it.

  Raises:
    BlockingIOError: another process holds it, and this one would not wait.
  """
  handle = os.open(folder, os.O_RDONLY)
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    yield
  finally:
    os.close(handle)
