"""What lies in a folder that a store or a checkpoint consists of: exactly its own files, all of them regular.

A link leads elsewhere, a pipe blocks its reader, and a file that nobody listed has no hash. They are refused by name
before anything of the folder is opened.
"""

import os
from collections.abc import Collection, Iterable, Mapping

from cap_jax import files, own_files
from cap_jax.data import schema
from cap_jax.types import DataError

# Files that this program may leave in a folder: its locks, and its list of the files that it made.
OWN = frozenset((files.LOCK, own_files.LIST))


def place(folder: str | os.PathLike[str], name: str) -> str:
  """Returns the path of an entry for a message; names of control characters are quoted."""
  return os.path.join(folder, *(part if schema.is_text(part) else schema.show(part) for part in name.split("/")))


def entries(folder: str | os.PathLike[str], remedy: str) -> dict[str, "os.DirEntry[str]"]:
  """Returns the entries of a folder by name.

  Args:
    folder: the folder.
    remedy: what to do if there is none.

  Raises:
    OSError: the system refuses to list it.
    DataError: there is no such folder, or an entry is neither a regular file nor a folder.
  """
  if os.path.islink(folder) or not os.path.isdir(folder):
    problem = "is missing" if not os.path.lexists(folder) else "must be a folder, and no link to one"
    raise DataError(os.fspath(folder), problem, remedy)
  return listed(folder)


def listed(folder: str | os.PathLike[str]) -> dict[str, "os.DirEntry[str]"]:
  """Returns the entries of a folder that exists, which may be a link, as `entries`."""
  with os.scandir(folder) as listing:
    found = {entry.name: entry for entry in listing}
  for name, entry in found.items():
    if entry.is_symlink():
      raise DataError(place(folder, name), "is a link", "replace it by a copy of what it points to, or remove it")
    if not entry.is_file(follow_symlinks=False) and not entry.is_dir(follow_symlinks=False):
      raise DataError(place(folder, name), "is neither a file nor a folder", "remove it")
  return found


def require(
  folder: str | os.PathLike[str],
  found: Mapping[str, "os.DirEntry[str]"],
  file_names: Iterable[str],
  folder_names: Iterable[str],
  remedy: str,
) -> None:
  """Checks that a folder contains some files and folders.

  Args:
    folder: the folder.
    found: its entries.
    file_names, folder_names: the names.
    remedy: what to do if one is missing.

  Raises:
    DataError: one is missing; names the first.
  """
  for names, kind in ((file_names, "file"), (folder_names, "folder")):
    for name in names:
      if name not in found:
        raise DataError(place(folder, name), "is missing", remedy)
      if found[name].is_dir(follow_symlinks=False) != (kind == "folder"):
        raise DataError(place(folder, name), f"must be a {kind}", remedy)


def refuse_others(
  folder: str | os.PathLike[str],
  found: Mapping[str, "os.DirEntry[str]"],
  known: Collection[str],
  accepted: Collection[str] = (),
) -> None:
  """Checks that a folder contains nothing else.

  Args:
    folder: the folder.
    found: its entries.
    known: names of its files and folders.
    accepted: names of files that it may contain besides.

  Raises:
    DataError: something else is in it; names the first.
  """
  for name in sorted(found.keys() - known):
    if name not in accepted or not found[name].is_file(follow_symlinks=False):
      raise DataError(
        place(folder, name), "is unexpected: it was not written with the rest of the folder", "move it elsewhere"
      )
