"""Folders with a header and a tree of arrays, written and read as a whole. No other module uses orbax.

`config.json` is the header, with a format number and the SHA-256 of itself and of every file; `params` holds the tree
(orbax). A folder is copied under a temporary name, synced to disk and renamed when complete, so a reader never sees
half of one. `read` first compares all files with their checksums; `restore` then checks the tree against the structure
that the reader expects. A damaged, missing or additional file and a missing, foreign or misshapen leaf are errors,
never warnings.
"""

import contextlib
import hashlib
import json
import logging
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import jax
import numpy as np
import orbax.checkpoint as ocp

from cap_jax import files
from cap_jax.strategies import surgery
from cap_jax.types import InputError

HEADER = "config.json"
ARRAYS = "params"
_SUMS = "sha256"
_MOST_BYTES = 1 << 26  # of a header
_SPARE = 1 << 18


class DamagedError(InputError):
  """A folder that differs from what was written: truncated, changed, or with missing or additional files."""


def write(path: str | os.PathLike[str], header: Mapping[str, Any], tree: Any) -> None:
  """Writes a folder that does not exist yet.

  Args:
    path: the new folder.
    header: plain values, with the key "format".
    tree: tree of arrays.

  Raises:
    InputError: the folder exists.
    OSError: the disk is full or write-protected; nothing is left behind.
  """
  path = os.path.abspath(path)
  if os.path.lexists(path):
    raise InputError(f"{path}: already exists; choose another folder or remove it")
  arrays = jax.tree.map(np.asarray, tree)
  # orbax chooses the names of its files. In a folder of the system they harm nobody's, and a kill leaves them there.
  with tempfile.TemporaryDirectory(prefix="cap_jax-") as scratch, files.translate_os_errors(path):
    with _quiet(), _checkpointer() as checkpointer:
      # it writes more than the arrays, for small ones far more
      files.check_room(scratch, 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(arrays)) + _SPARE)
      checkpointer.save(os.path.join(scratch, ARRAYS), args=ocp.args.StandardSave(arrays))
    content = dict(header)
    content[_SUMS] = {HEADER: _digest_of(content), **_digests(os.path.join(scratch, ARRAYS))}
    with open(os.path.join(scratch, HEADER), "w", encoding="utf-8") as file:
      json.dump(content, file, indent=1)
    files.install_folder(scratch, path)


def read(path: str | os.PathLike[str], formats: Sequence[int], remedy: str) -> dict[str, Any]:
  """Returns the header of a folder after checking all its files.

  Args:
    path: the folder.
    formats: the supported format numbers.
    remedy: what an error advises the user to do.

  Raises:
    DamagedError: there is no such folder, or a file is damaged, missing or unexpected.
    InputError: the folder has another format, or the system refuses to read it.
  """
  path = os.path.abspath(path)
  header = os.path.join(path, HEADER)
  if not os.path.isfile(header):
    raise DamagedError(f"{path}: no checkpoint found; {remedy}")
  try:
    if os.path.getsize(header) > _MOST_BYTES:
      raise DamagedError(f"{header}: {os.path.getsize(header)} bytes, too large for a header; {remedy}")
    with open(header, encoding="utf-8") as file:
      content = json.load(file)
    if content["format"] not in formats:
      readable = " and ".join(part for part in (", ".join(map(str, formats[:-1])), str(formats[-1])) if part)
      raise InputError(f"{header}: has format {content['format']}, but this version reads format {readable}; {remedy}")
    _check_files(os.path.join(path, ARRAYS), content, remedy)
  except InputError:
    raise
  except OSError as error:
    raise InputError(
      f"{error.filename or header}: cannot be read ({error.strerror or error}); check the file and its permissions"
    ) from error
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
    raise DamagedError(f"{header}: damaged, or written by another project ({error!r}); {remedy}") from error
  return cast(dict[str, Any], content)


def restore(path: str | os.PathLike[str], expected: Any, remedy: str) -> Any:
  """Restores the tree of a folder that `read` has checked.

  Args:
    path: the folder.
    expected: tree of the expected shapes and types.
    remedy: what an error advises the user to do.

  Raises:
    InputError: the folder contains other leaves, or they are unreadable.
  """
  place = os.path.join(os.path.abspath(path), ARRAYS)
  expected_leaves = surgery.leaf_paths(expected)
  try:
    with _quiet(), _checkpointer() as checkpointer:
      stored = surgery.leaf_paths(checkpointer.metadata(place).item_metadata.tree)
      _check_leaves(place, stored, expected_leaves)
      return checkpointer.restore(place, args=ocp.args.StandardRestore(expected))
  except InputError:
    raise
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    raise InputError(f"{place}: the parameters cannot be read ({line}); {remedy}") from error


def _check_leaves(place: str, stored: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
  for leaf in sorted(set(stored) ^ set(expected)):
    side = "is not stored" if leaf in expected else "is stored but not part of the network"
    raise InputError(
      f"{place}: parameter {leaf} {side}; config.json and params do not match: copy the checkpoint again"
    )
  for leaf, shape in expected.items():
    if tuple(stored[leaf].shape) != shape.shape:
      raise InputError(
        f"{place}: parameter {leaf} has shape {tuple(stored[leaf].shape)}, but config.json implies {shape.shape}; "
        "config.json and params do not match: copy the checkpoint again"
      )


def _checkpointer() -> ocp.Checkpointer:
  """Returns an orbax checkpointer for this process alone: each host reads and writes by itself and waits for no other.

  It is the synchronous one. The asynchronous one tells all hosts by the same keys that its folder is there, so a host
  could wait for the signal of another that had deleted it.
  """
  process = jax.process_index()
  single = ocp.options.MultiprocessingOptions(process, {process}, f"process_{process}")
  options = single if jax.process_count() > 1 else ocp.options.MultiprocessingOptions()
  handler = ocp.StandardCheckpointHandler(multiprocessing_options=options)
  return ocp.Checkpointer(handler, multiprocessing_options=options)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Silences the log of orbax, which repeats the errors that it raises at length."""
  log = logging.getLogger("absl")
  before, log.disabled = log.disabled, True
  try:
    yield
  finally:
    log.disabled = before


def digest(path: str | os.PathLike[str]) -> str:
  """Returns the SHA-256 of a folder's header, which includes those of all its files."""
  return hashlib.sha256((pathlib.Path(path) / HEADER).read_bytes()).hexdigest()


def _digests(folder: str) -> dict[str, str]:
  """Returns the SHA-256 of every file below a folder, by relative path."""
  paths = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
  return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _digest_of(content: Mapping[str, Any]) -> str:
  """Returns the SHA-256 of a header without its checksums."""
  plain = json.dumps({key: value for key, value in content.items() if key != _SUMS}, sort_keys=True)
  return hashlib.sha256(plain.encode()).hexdigest()


def _check_files(folder: str, content: Mapping[str, Any], remedy: str) -> None:
  expected = dict(content[_SUMS])
  if expected.pop(HEADER, None) != _digest_of(content):
    raise DamagedError(f"{os.path.dirname(folder)}/{HEADER}: modified after it was written; {remedy}")
  digests = _digests(folder)
  for name in sorted(expected.keys() | digests.keys()):
    if digests.get(name) != expected.get(name):
      fate = "is missing" if name not in digests else "is damaged" if name in expected else "is unexpected"
      raise DamagedError(f"{folder}/{name}: the file {fate}; copy the checkpoint again, or {remedy}")
