"""Checks and creates the folders and files that a command writes to, before long work."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator

from cap_jax import files, own_files
from cap_jax.types import InputError


class FinishedError(Exception):
  """The run is finished already; the message says where its results are."""


def new_folder(path: str, flag: str = "--workdir") -> str:
  """Makes a folder.

  Args:
    path: of the folder; it may exist if it is empty.
    flag: names the folder in an error.

  Returns:
    The path.

  Raises:
    InputError: the folder is not empty, or cannot be made.
  """
  try:
    own_files.makedirs(path)
    if set(os.listdir(path)) - {files.LOCK}:
      raise InputError(f"{flag}={path}: is not empty; choose another folder or remove it")
  except OSError as error:
    raise InputError(f"{flag}={path}: cannot be used ({error.strerror}); choose another folder") from error
  return path


def open_folder(path: str) -> None:
  """Makes a work folder, or opens that of a study to resume.

  Raises:
    InputError: the folder has files but no study, or cannot be made.
  """
  try:
    own_files.makedirs(path)
    own = own_files.of(os.path.join(path, "study.json")) if own_files.exists(path) else None
    # a process that was killed at its start leaves its list, and what is in it
    others = [name for name in os.listdir(path) if name not in (files.LOCK, own_files.LIST)]
    others = [name for name in others if own is None or os.path.join(path, name) not in own]
    if others and not os.path.exists(os.path.join(path, "study.json")):
      raise InputError(f"--workdir={path}: contains files but no study to resume; choose another folder")
  except OSError as error:
    raise InputError(f"--workdir={path}: cannot be used ({error.strerror}); choose another folder") from error


def check_absent(path: str, flag: str) -> None:
  """Checks before long work that a folder to write does not exist.

  Args:
    path: of the folder.
    flag: names the folder in an error.

  Raises:
    InputError: it exists.
  """
  if os.path.lexists(os.path.abspath(path)):
    report = os.path.join(path, "report.html")
    see = f", see {report}" if os.path.isfile(report) else ""
    raise InputError(f"{flag}={path}: already exists{see}; choose another folder or remove it")


@contextlib.contextmanager
def whole_folder(path: str, flag: str) -> Iterator[str]:
  """Yields a temporary folder, which is renamed to `path` if the block succeeds and removed otherwise.

  Args:
    path: of the folder to write.
    flag: names the folder in an error.

  Yields:
    The path of the temporary folder.

  Raises:
    InputError: `path` exists already, or cannot be made.
  """
  check_absent(path, flag)
  final = os.path.abspath(path)
  try:
    own_files.makedirs(os.path.dirname(final))
    partial = tempfile.mkdtemp(prefix=f"{os.path.basename(final)}.", dir=os.path.dirname(final))
  except OSError as error:
    raise InputError(f"{flag}={path}: cannot be created ({error.strerror}); choose another folder") from error
  own = own_files.begin(partial)
  try:
    yield partial
    own.end()
    os.chmod(partial, 0o755)  # mkdtemp makes it readable by the owner only
    os.rename(partial, final)
  except BaseException:
    if own_files.exists(partial):
      own.remove(partial)
      own.end()
    with contextlib.suppress(OSError):  # others put files there
      os.rmdir(partial)
    raise


def check_file(path: str | None, flag: str, replaces: Callable[[str], bool] = lambda path: False) -> None:
  """Checks before long work that its result can be written.

  Args:
    path: of the file; None passes.
    flag: names the file in an error.
    replaces: returns whether a regular file that exists is the command's own, and may be replaced.

  Raises:
    InputError: the path is a folder, a file of another origin is there, or its folder is missing or not writable.
  """
  if path is None:
    return
  folder = os.path.dirname(os.path.abspath(path))
  if os.path.isdir(path) or path.endswith(os.sep):
    raise InputError(f"{flag}={path}: is a folder; pass the name of a file")
  if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path) or not replaces(path)):
    raise InputError(f"{flag}={path}: already exists; choose another name or move it elsewhere")
  if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
    raise InputError(f"{flag}={path}: {folder} is not a writable folder; create it or choose another")
