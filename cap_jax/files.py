"""Files that are written completely or not at all, and folders that one process locks at a time."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

import filelock

from cap_jax.types import DataError

LOCK = ".lock"  # in a locked folder
_WINDOWS = os.name == "nt"
_FULL_OR_FORBIDDEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
_MOVED = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
_KINDS = {
  stat.S_IFIFO: "a named pipe",
  stat.S_IFSOCK: "a socket",
  stat.S_IFCHR: "a device",
  stat.S_IFBLK: "a device",
  stat.S_IFDIR: "a folder",
}


def regular(path: str | os.PathLike[str]) -> str:
  """Returns the path of a regular file, which is safe to open.

  A pipe blocks its reader, and a device may never end. Every file that others may have written passes here before this
  package or a library opens it.

  Args:
    path: of the file; links are followed.

  Raises:
    OSError: there is no such file, or it cannot be reached.
    DataError: it is no regular file.
  """
  kind = stat.S_IFMT(os.stat(path).st_mode)
  if kind != stat.S_IFREG:
    raise DataError(os.fspath(path), f"is {_KINDS.get(kind, 'no regular file')}", "copy the data into a regular file")
  return os.fspath(path)


@contextlib.contextmanager
def write_atomically(*paths: str | os.PathLike[str]) -> Iterator[list[str]]:
  """Yields temporary names to write to.

  If the block succeeds, they are renamed to `paths`, one after another. If it fails, they are removed.
  """
  for path in paths:
    if os.path.isdir(path):  # otherwise detected only after the other files are renamed
      raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
  partial = [f"{os.fspath(path)}.partial-{os.getpid()}" for path in paths]
  try:
    yield partial
    for written in partial:
      sync(written)
    for written, path in zip(partial, paths, strict=True):
      os.replace(written, path)
  except OSError as error:
    if error.filename is None and error.errno is not None:  # a full disk is reported without the file
      error.filename = os.fspath(paths[0])
    raise
  finally:
    for written in partial:
      with contextlib.suppress(FileNotFoundError):
        os.remove(written)


def sync(path: str | os.PathLike[str], deep: bool = True) -> None:
  """Flushes a file or a folder to the disk, so that after a power cut no name refers to half a file.

  Args:
    path: file or folder.
    deep: whether to flush the content of a folder too.
  """
  if deep and os.path.isdir(path):
    for place, _, names in os.walk(path):
      for name in (*names, ""):
        sync(os.path.join(place, name), deep=False)
    return
  if _WINDOWS and os.path.isdir(path):
    return  # folders on Windows have no handle to sync
  handle = os.open(path, os.O_RDWR if _WINDOWS else os.O_RDONLY)
  try:
    os.fsync(handle)
  finally:
    os.close(handle)


def check_room(folder: str | os.PathLike[str], size: int) -> None:
  """Checks that `size` bytes can be written below a folder.

  Call it before a library whose threads report a full disk at length. It checks nothing on systems that cannot reserve
  room (other than Linux).

  Args:
    folder: existing folder.
    size: number of bytes.

  Raises:
    OSError: there is no room, or the folder is not writable.
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
  """Translates errors of a library that writes below `path` to the operating system's errors that caused them.

  Raises:
    OSError: with the name of `path`.
  """
  try:
    yield
  except (OSError, ValueError, RuntimeError) as error:
    text = str(error)
    codes = {os.strerror(code): code for code in (*_FULL_OR_FORBIDDEN, *_MOVED)}
    code = next((code for message, code in codes.items() if message.lower() in text.lower()), None)
    if isinstance(error, OSError):
      code = error.errno
    if code is None:
      raise
    raise OSError(code, os.strerror(code), os.fspath(path)) from error


@contextlib.contextmanager
def lock_folder(folder: str | os.PathLike[str], wait: bool = True) -> Iterator[None]:
  """Locks a folder against other processes; the lock of a process that dies is released.

  Args:
    folder: existing folder.
    wait: whether to wait until another process releases it.

  Raises:
    BlockingIOError: another process has the lock, and `wait` is False.
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
    if not wait:  # waiting processes have the file open, and must all have the same one
      with contextlib.suppress(OSError):
        os.remove(place)
    lock.release()
