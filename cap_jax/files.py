"""Files that are written completely or not at all, and folders that one process locks at a time."""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator

import filelock

from cap_jax import own_files
from cap_jax.types import DataError, InputError

_WINDOWS = os.name == "nt"
try:
  import fcntl
except ModuleNotFoundError:  # of Windows
  fcntl = None  # type: ignore[assignment]

LOCK = ".cap_jax.lock"  # an empty file in a locked folder
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


def hash_file(path: str | os.PathLike[str], total: "hashlib._Hash | None" = None) -> "hashlib._Hash":
  """Returns the SHA-256 of a regular file, read in blocks.

  Args:
    path: of the file.
    total: hash to update; a new one if None.
  """
  total = hashlib.sha256() if total is None else total
  with open(regular(path), "rb") as file:
    while block := file.read(1 << 22):
      total.update(block)
  return total


@contextlib.contextmanager
def write_atomically(*paths: str | os.PathLike[str]) -> Iterator[list[str]]:
  """Yields temporary names to write to.

  If the block succeeds, they are renamed to `paths`, several under a lock, so that two processes never mix their files.
  If it fails, they are removed.

  Args:
    *paths: of files in one folder. In a folder with a list of own files, only these are replaced.

  Raises:
    InputError: a file of another origin has one of the names.
    OSError: the disk is full or write-protected.
  """
  own = own_files.of(paths[0])
  if own is not None:
    own.check(*paths)
  for path in paths:
    if os.path.isdir(path):  # otherwise detected only after the other files are renamed
      raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
  partial = [f"{os.fspath(path)}.partial-{own_files.token()}" for path in paths]
  try:
    if own is not None:
      own.claim(partial=partial)
    yield partial
    for written in partial:
      sync(written)
    with _renaming(os.path.dirname(os.path.abspath(paths[0])), len(paths) > 1):
      for written, path in zip(partial, paths, strict=True):
        own.replace(written, path) if own is not None else os.replace(written, path)
  except OSError as error:
    # a full disk is reported without the file, a folder that may not be written to with its temporary name
    if error.errno is not None and error.filename in (None, *partial):
      error.filename = os.fspath(paths[0])
    raise
  finally:
    for written in partial:
      if os.path.lexists(written):  # some systems refuse to remove what is not there, and would hide the error
        with contextlib.suppress(FileNotFoundError):
          os.remove(written)


@contextlib.contextmanager
def _renaming(folder: str, several: bool) -> Iterator[None]:
  """Lets one process at a time rename several files in a folder, where the system can lock a folder (no Windows)."""
  if not several or fcntl is None:
    yield
    return
  handle = os.open(folder, os.O_RDONLY)
  try:
    with contextlib.suppress(OSError):  # not every network file system has such locks
      fcntl.flock(handle, fcntl.LOCK_EX)
    yield
  finally:
    os.close(handle)


def install_folder(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
  """Copies a folder of regular files to a new path, where it appears when it is complete.

  Args:
    source: the folder.
    path: the new folder.

  Raises:
    InputError: something is at the path.
    OSError: the disk is full or write-protected; nothing is left behind.
  """
  path = os.path.abspath(path)
  names = [
    os.path.relpath(os.path.join(place, name), source)
    for place, inner, outer in os.walk(source)
    for name in sorted((*inner, *outer))
  ]
  partial = f"{path}.partial-{own_files.token()}"
  own_files.makedirs(os.path.dirname(path))
  own = own_files.of(path)
  made: list[str] = []
  copies = [partial, *(os.path.join(partial, name) for name in names)]
  try:
    if own is not None:
      own.claim(partial=copies)
    own_files.check_free(path)
    for name in ("", *names):
      origin, copy = os.path.join(source, name), os.path.join(partial, name)
      is_folder = os.path.isdir(origin)
      if is_folder:
        os.mkdir(copy)
      made.append(copy)
      if not is_folder:
        shutil.copyfile(origin, copy)
    sync(partial)
    own.replace(partial, path) if own is not None else os.rename(partial, path)
    made = []
    sync(os.path.dirname(path), deep=False)
  except OSError as error:
    error.filename = path  # rather than a file that is gone
    raise
  finally:
    for copy in reversed(made):
      with contextlib.suppress(OSError):  # gone, or not empty
        os.rmdir(copy) if os.path.isdir(copy) else os.remove(copy)


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
  place = os.path.join(folder, f"room-{own_files.token()}")
  with open(place, "xb") as file:
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


def _may_be_lock(path: str) -> bool:
  """Returns whether a file may be a lock: an empty one, or where the system has no `flock`, one that names its process."""
  return fcntl is None or not os.path.getsize(path)


@contextlib.contextmanager
def lock_folder(folder: str | os.PathLike[str], wait: bool = True) -> Iterator[None]:
  """Locks a folder against other processes; the lock of a process that dies is released.

  Args:
    folder: existing folder.
    wait: whether to wait until another process releases it.

  Raises:
    BlockingIOError: another process has the lock, and `wait` is False.
    InputError: a file of another origin has the name of the lock.
  """
  place = os.path.join(folder, LOCK)
  if os.path.lexists(place) and (os.path.islink(place) or not os.path.isfile(place) or not _may_be_lock(place)):
    raise InputError(f"{place}: is not a lock of cap_jax; move it elsewhere")
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
