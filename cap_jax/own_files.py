"""The list of the files that this package has made in a folder. Only these are ever replaced or removed.

The folder of a run, a study, a preparation or the states of a training has the list `.cap_jax_files`. The name of each
file and folder is written to it, and the list flushed to the disk, before the file is made, and it is made only where
nothing of its name exists. Whatever others put into the folder, under whatever name, is therefore not in the list.

    ["+", "metrics.jsonl"]              made, or about to be made
    ["~", "split.json.partial-3f2a…"]   the same, under a temporary name
    ["+", "split.json", 1234]           about to be renamed to this name: what has the inode 1234
    ["-", "split.json.partial-3f2a…"]   removed again

If a process is killed just before it renames a file, somebody else may use the name that it listed. The inode tells
whose the file is. The line without an inode, which follows the renaming, tells the same in a copy of the folder.
"""

import json
import os
import secrets
import threading
from collections.abc import Iterable

from cap_jax.types import InputError

try:
  import fcntl
except ModuleNotFoundError:  # of Windows
  fcntl = None  # type: ignore[assignment]

LIST = ".cap_jax_files"
_FIRST = '{"cap_jax": "files that cap_jax has made in this folder, and may remove"}'
_LOCK_FILE = ".__lock"  # TensorStore writes a chunk under its name with this ending
_LISTS: dict[str, "OwnFiles"] = {}  # folder → what was read of its list; only a cache


class OwnFiles:
  """The list of a folder, which several processes may extend at a time."""

  def __init__(self, folder: str):
    """Opens the list of a folder, see `begin` and `of`.

    Args:
      folder: absolute path.
    """
    self.folder = folder
    self._path = os.path.join(folder, LIST)
    self._names: dict[str, bool] = {}  # name → whether it is temporary
    self._inodes: dict[str, set[int]] = {}  # name → inodes of which one was about to get it
    self._inode, self._read = -1, 0
    self._mutex = threading.RLock()

  def __contains__(self, path: str | os.PathLike[str]) -> bool:
    """Returns whether this package made what is at a path."""
    with self._mutex:
      self._update()
      name = self._name(path)
      return name in self._names or name.removesuffix(_LOCK_FILE) in self._names

  def claim(self, *paths: str | os.PathLike[str], partial: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Lists paths that this package is about to make. What is listed already may be made again.

    Args:
      *paths: of files and folders.
      partial: temporary paths, which are removed if their process is killed.

    Raises:
      InputError: something of another origin is at a path.
    """
    with self._mutex:
      listed = self._names_now()
      places = [("+", path) for path in paths] + [("~", path) for path in partial]
      fresh: list[tuple[str | int, ...]] = [
        (sign, name) for sign, path in places if (name := self._name(path)) not in listed
      ]
      self.check(*(os.path.join(self.folder, str(entry[1])) for entry in fresh))
      self._append(fresh)

  def check(self, *paths: str | os.PathLike[str]) -> None:
    """Checks that this package may write at paths.

    Raises:
      InputError: something of another origin is at one.
    """
    for path in paths:
      # the file first, then the list: another process lists a name before its file appears
      if os.path.lexists(path) and path not in self:
        check_free(os.path.abspath(path))

  def replace(self, path: str | os.PathLike[str], new: str | os.PathLike[str]) -> None:
    """Renames a listed temporary file, or a folder of such, and replaces a listed file of the new name.

    Args:
      path: the present path.
      new: the new path.

    Raises:
      InputError: something of another origin has the new name.
    """
    with self._mutex:
      names = [name for name in self._below(path) if os.path.lexists(os.path.join(self.folder, name))]
      moved = [self._name(new) + name[len(self._name(path)) :] for name in names]
      self.check(*(os.path.join(self.folder, name) for name in moved))
      inodes = [os.lstat(os.path.join(self.folder, name)).st_ino for name in names]
      self._append([("+", *one) for one in zip(moved, inodes, strict=True)])
      os.replace(path, new)
      self._append([("+", name) for name in moved] + [("-", name) for name in names], sync=False)

  def adopt(self, path: str | os.PathLike[str]) -> None:
    """Lists a file that a library has just made under a name of its own choice."""
    self._append([("+", self._name(path))])

  def remove(self, path: str | os.PathLike[str]) -> None:
    """Removes what this package made at a path and below it. Files of others stay, with the folders that contain them."""
    with self._mutex:
      names = self._below(path)
      for name in sorted(names, key=lambda name: -name.count("/")):  # the content of a folder before the folder
        for place in (os.path.join(self.folder, name) + _LOCK_FILE, os.path.join(self.folder, name)):
          if os.path.isdir(place) and not os.path.islink(place):
            if not os.listdir(place):
              os.rmdir(place)
          elif os.path.lexists(place):
            os.remove(place)
      self._append([("-", name) for name in names if not os.path.lexists(os.path.join(self.folder, name))])

  def remove_partial(self) -> None:
    """Removes the temporary files and folders of processes that were killed."""
    with self._mutex:
      for name in [name for name, partial in self._names_now().items() if partial]:
        self.remove(os.path.join(self.folder, name))

  def others(self, path: str | os.PathLike[str]) -> list[str]:
    """Returns the paths at and below a path that this package did not make."""
    found = [os.fspath(path)] if os.path.lexists(path) else []
    if os.path.isdir(path) and not os.path.islink(path):
      found += [os.path.join(place, name) for place, *names in os.walk(path) for name in (*names[0], *names[1])]
    return [one for one in found if one not in self]

  def make_free(self, path: str | os.PathLike[str]) -> None:
    """Removes what this package made at a path, so that it can be made again.

    Raises:
      InputError: something of another origin is there.
    """
    others = self.others(path)
    if others:
      check_free(others[0])
    self.remove(path)

  def end(self) -> None:
    """Removes the list itself: from now on nothing in the folder is replaced or removed."""
    with self._mutex:
      os.remove(self._path)
      self._names, self._inodes, self._inode, self._read = {}, {}, -1, 0

  def compact(self) -> None:
    """Drops from the list what no longer exists, so that others may use the names."""
    with self._mutex:
      listed = self._names_now()
      kept = {name: partial for name, partial in listed.items() if self._is_own(name)}
      if kept == listed and not self._inodes:
        return
      partial = f"{self._path}.partial-{token()}"
      self.claim(partial=[partial])
      with open(partial, "x", encoding="utf-8") as file:
        file.write(
          "\n".join([_FIRST, *(json.dumps(["~" if partial else "+", name]) for name, partial in kept.items()), ""])
        )
        file.flush()
        os.fsync(file.fileno())
      os.replace(partial, self._path)

  def _is_own(self, name: str) -> bool:
    """Returns whether what is at a listed name is there, and was made by this package."""
    pieces = name.split("/")
    above = ("/".join(pieces[:count]) for count in range(1, len(pieces)))
    if any(one in self._inodes and not self._has_inode(one) for one in above):
      return False
    return self._has_inode(name) if name in self._inodes else os.path.lexists(os.path.join(self.folder, name))

  def _has_inode(self, name: str) -> bool:
    place = os.path.join(self.folder, name)
    return os.path.lexists(place) and os.lstat(place).st_ino in self._inodes[name]

  def _name(self, path: str | os.PathLike[str]) -> str:
    return os.path.relpath(os.path.abspath(path), self.folder).replace(os.sep, "/")

  def _below(self, path: str | os.PathLike[str]) -> list[str]:
    """Returns the names in the list at and below a path."""
    top = self._name(path)
    return [name for name in self._names_now() if top in (name, ".") or name.startswith(f"{top}/")]

  def _names_now(self) -> dict[str, bool]:
    self._update()
    return self._names

  def _update(self) -> None:
    """Reads the lines that were added since the last time."""
    if not os.path.exists(self._path):
      self._names, self._inodes, self._inode, self._read = {}, {}, -1, 0
      return
    with open(self._path, "rb") as file:
      status = os.fstat(file.fileno())
      if status.st_ino != self._inode or status.st_size < self._read:
        self._names, self._inodes, self._inode, self._read = {}, {}, status.st_ino, 0
      file.seek(self._read)
      added = file.read()
    whole = added[: added.rfind(b"\n") + 1]
    self._read += len(whole)
    for line in whole.splitlines():
      self._learn(line)

  def _learn(self, line: bytes) -> None:
    try:
      entry = json.loads(line)
    except ValueError:  # empty, or cut off when its process was killed
      return
    if not (isinstance(entry, list) and len(entry) in (2, 3) and _is_inside(entry[1])):
      return
    sign, name, *inode = entry
    if sign == "-":
      self._names.pop(name, None)
      self._inodes.pop(name, None)
      return
    if not inode:
      self._inodes.pop(name, None)
    elif name not in self._names or name in self._inodes:
      self._inodes.setdefault(name, set()).update(inode)
    self._names[name] = sign == "~"

  def _append(self, entries: Iterable[tuple[str | int, ...]], sync: bool = True) -> None:
    lines = [json.dumps(entry) for entry in entries]
    if not lines:
      return
    handle = os.open(self._path, os.O_WRONLY | os.O_APPEND)
    try:
      if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX)  # of several machines; NFS has no atomic appending
      os.write(handle, "\n".join(["", *lines, ""]).encode())  # a line that a kill has cut off stays alone
      if sync:
        os.fsync(handle)
    finally:
      os.close(handle)


def _is_inside(name: object) -> bool:
  """Returns whether a name of a list leads to something in its folder; whoever wrote another is not this package."""
  return isinstance(name, str) and not os.path.isabs(name) and ".." not in name.replace(os.sep, "/").split("/")


def token() -> str:
  """Returns a part of a temporary name that nobody else has."""
  return secrets.token_hex(8)


def check_free(path: str) -> None:
  """Checks that nothing is at a path.

  Raises:
    InputError: something is.
  """
  if os.path.lexists(path):
    raise InputError(
      f"{path}: was not written by this run, which needs the name; move it elsewhere, and run the same command again"
    )


def _is_list(path: str) -> bool:
  """Returns whether a file is a list of this package."""
  if os.path.islink(path) or not os.path.isfile(path):
    return False
  with open(path, "rb") as file:
    return file.readline(1000).rstrip(b"\n") == _FIRST.encode()


def exists(folder: str | os.PathLike[str]) -> bool:
  """Returns whether a folder has a list."""
  return _is_list(os.path.join(folder, LIST))


def begin(folder: str | os.PathLike[str]) -> OwnFiles:
  """Opens the list of a folder, or makes an empty one; removes what killed processes left. Call it under a lock.

  Args:
    folder: existing folder.

  Raises:
    InputError: something of another origin has the name of the list.
  """
  path = os.path.join(folder, LIST)
  if not _is_list(path):
    if os.path.isfile(path) and not os.path.islink(path) and _FIRST.encode().startswith(_head(path)):
      os.remove(path)  # its process was killed before the first line was whole
    check_free(path)
    with open(path, "x", encoding="utf-8") as file:
      file.write(f"{_FIRST}\n")
      file.flush()
      os.fsync(file.fileno())
  own = _of_folder(os.path.abspath(folder))
  own.remove_partial()
  own.compact()
  return own


def _head(path: str) -> bytes:
  with open(path, "rb") as file:
    return file.read(1000)


def of(path: str | os.PathLike[str]) -> OwnFiles | None:
  """Returns the list of the nearest folder above a path that has one, or None."""
  folder = os.path.dirname(os.path.abspath(path))
  while not exists(folder):
    parent = os.path.dirname(folder)
    if parent == folder:
      return None
    folder = parent
  return _of_folder(folder)


def _of_folder(folder: str) -> OwnFiles:
  return _LISTS.setdefault(folder, OwnFiles(folder))


def inside(folder: str | os.PathLike[str]) -> OwnFiles:
  """Returns the list for what is made in a folder: that of the nearest folder at or above it, or a new one in the folder."""
  own = of(os.path.join(folder, LIST))
  if own is None:
    makedirs(folder)
    own = begin(folder)
  return own


def check(path: str | os.PathLike[str]) -> None:
  """Checks that what is at a path, if anything, was made by this package, where there is a list.

  Raises:
    InputError: it is of another origin.
  """
  own = of(path)
  if own is not None:
    own.check(path)


def claimed(path: str | os.PathLike[str]) -> str:
  """Returns a path at which a file will be made, after listing it where there is a list.

  Raises:
    InputError: something of another origin is there.
  """
  own = of(path)
  if own is not None:
    own.claim(path)
  return os.fspath(path)


def makedirs(path: str | os.PathLike[str]) -> None:
  """Makes a folder and those above it, as far as they do not exist, and lists those that it makes.

  Raises:
    InputError: something of another origin has the name of one, where there is a list.
  """
  place = os.path.abspath(path)
  if os.path.isdir(place):
    return
  makedirs(os.path.dirname(place))
  own = of(place)
  if own is not None:
    own.claim(place)
    if not os.path.isdir(place):
      check_free(place)  # a folder that is listed may have given way to a file
  os.makedirs(place, exist_ok=True)
