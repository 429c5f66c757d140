"""Files that are written whole or not at all, and folders that one process holds at a time."""

import contextlib
import errno
import os
from collections.abc import Iterator

import filelock

LOCK = ".lock"  # in a folder that a process holds
_WINDOWS = os.name == "nt"


@contextlib.contextmanager
def write_atomically(*paths: str | os.PathLike[str]) -> Iterator[list[str]]:
  """Names to write to. They take the names of `paths` when the block ends well, one after another, and vanish when it does not."""
  for path in paths:
    if os.path.isdir(path):  # found only when the others have their names already
      raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
  partial = [f"{os.fspath(path)}.partial-{os.getpid()}" for path in paths]
  try:
    yield partial
    for written in partial:
      sync(written)
    for written, path in zip(partial, paths, strict=True):
      os.replace(written, path)
  except OSError as error:
    if error.filename is None and error.errno is not None:  # of a full disk, which is told without the file
      error.filename = os.fspath(paths[0])
    raise
  finally:
    for written in partial:
      with contextlib.suppress(FileNotFoundError):
        os.remove(written)


def sync(path: str | os.PathLike[str], deep: bool = True) -> None:
  """Brings a file, or a folder with all that is in it, to the disk: after a power cut a name so never stands for half of a file.
  `deep`: with what is in it."""
  if deep and os.path.isdir(path):
    for place, _, names in os.walk(path):
      for name in (*names, ""):
        sync(os.path.join(place, name), deep=False)
    return
  if _WINDOWS and os.path.isdir(path):
    return  # its folders have no handle to sync
  handle = os.open(path, os.O_RDWR if _WINDOWS else os.O_RDONLY)
  try:
    os.fsync(handle)
  finally:
    os.close(handle)


def check_room(folder: str | os.PathLike[str], size: int) -> None:
  """That so many bytes can be written below a folder, before a library tries whose threads tell of a full disk at length. Where the
  system cannot reserve room (no Linux), nothing is checked.

  Raises:
    OSError: they cannot.
  """
  if not hasattr(os, "posix_fallocate"):
    return
  place = os.path.join(folder, "room")
  with open(place, "wb") as file:
    try:
      os.posix_fallocate(file.fileno(), 0, max(size, 1))
    finally:
      os.remove(place)


@contextlib.contextmanager
def translate_os_errors(path: str | os.PathLike[str]) -> Iterator[None]:
  """Errors of a library that writes below `path` as those of the operating system that they come from.

  Raises:
    OSError: with the name of `path`.
  """
  try:
    yield
  except (OSError, ValueError, RuntimeError) as error:
    text = str(error)
    known = {
      os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
    }
    found = next((number for words, number in known.items() if words.lower() in text.lower()), None)
    if isinstance(error, OSError):
      found = error.errno
    if found is None:
      raise
    raise OSError(found, os.strerror(found), os.fspath(path)) from error


@contextlib.contextmanager
def lock_folder(folder: str | os.PathLike[str], wait: bool = True) -> Iterator[None]:
  """Keeps other processes that ask for the folder waiting; one that dies lets go of it.

  Raises:
    BlockingIOError: another process holds it, and this one would not wait.
  """
  place = os.path.join(folder, LOCK)
  lock = filelock.FileLock(place, timeout=-1 if wait else 0)
  try:
    lock.acquire()
  except filelock.Timeout as error:
    raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK), os.fspath(folder)) from error
  try:
    yield
  finally:
    if not wait:  # those that wait have the file open, and must all have the same
      with contextlib.suppress(OSError):
        os.remove(place)
    lock.release()
