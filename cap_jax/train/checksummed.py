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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import jax
import numpy as np
import orbax.checkpoint as ocp

from cap_jax import files
from cap_jax.data import folder_contents, schema
from cap_jax.types import DataError, InputError, leaf_paths

HEADER = "config.json"
ARRAYS = "params"
SAFETENSORS = "model.safetensors"  # in place of the folder of arrays, see `archive`
SUMS = "sha256"
_COMMITTED = "commit_success.txt"  # of orbax: that the arrays are complete
_README = "README.md"  # the model card of a network
_MOST_BYTES = 1 << 26  # of a header
_MOST_FOLDER_BYTES = 1 << 36  # of all files, where nothing else is known of their sizes
# Orbax takes more than the arrays, for small ones far more: 4 times 3,600 bytes. Parameters hardly compress: a folder of
# half-precision numbers has 0.7 of their size. What is not stored is read as zeros, which take memory all the same.
_MOST_TIMES, _SPARE_BYTES = 4, 1 << 22
_MOST_COMPRESSED, _UNQUESTIONED_BYTES = 8, 1 << 28
_BLOCK = 1 << 22  # bytes in memory while a file is hashed
# names are relative and lead nowhere else
_NAME = schema.Text(1, 1000, r"(?!(.*/)?\.{0,2}(/|$))[^\\]+", "a relative path")
_SUMS_OF_FILES = schema.MapOf(_NAME, schema.Text(64, 64, "[0-9a-f]*", "64 hexadecimal digits"))
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
    # orbax notes in it the folder that it wrote to; whoever gets the parameters must not learn the names of our folders
    pathlib.Path(scratch, ARRAYS, _COMMITTED).write_text("Checkpoint commit was successful\n", encoding="utf-8")
    write_header(scratch, header, _digests(os.path.join(scratch, ARRAYS)))
    files.install_folder(scratch, path)


def write_header(folder: str | os.PathLike[str], header: Mapping[str, Any], sums: Mapping[str, str]) -> None:
  """Writes a header with the checksums of itself and of the files of the arrays.

  Args:
    folder: where.
    header: plain values, with the key "format".
    sums: name of a file → SHA-256.
  """
  content = dict(header)
  content[SUMS] = {HEADER: _digest_of(content), **sums}
  with open(os.path.join(folder, HEADER), "w", encoding="utf-8") as file:
    json.dump(content, file, indent=1)


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
  content = read_header(path, formats, remedy)
  check_files(path, content, remedy)
  return content


def read_header(path: str | os.PathLike[str], formats: Sequence[int], remedy: str) -> dict[str, Any]:
  """Returns the header of a folder, the files of whose arrays are not read yet: `check_files` checks them.

  Args:
    path: the folder.
    formats: the supported format numbers.
    remedy: what an error advises the user to do.

  Raises:
    DamagedError: there is no such folder, its header is damaged, or something else lies in it.
    InputError: the folder has another format, or the system refuses to read it.
  """
  path = os.path.abspath(path)
  header = os.path.join(path, HEADER)
  with refusing(header):
    if not os.path.isdir(path) or HEADER not in os.listdir(path):
      raise DamagedError(f"{path}: no checkpoint found; {remedy}")
    found = folder_contents.listed(path)
    folder_contents.require(path, found, (HEADER,), (ARRAYS,) if ARRAYS in found else (), remedy)
    content = schema.parse(header, remedy, _MOST_BYTES)
    written = content.get("format") if isinstance(content, dict) else None
    if type(written) is not int:
      raise DamagedError(f"{header}: damaged, or written by another project (no format); {remedy}")
    if written not in formats:
      readable = " and ".join(part for part in (", ".join(map(str, formats[:-1])), str(formats[-1])) if part)
      raise InputError(
        f"{header}: has format {schema.show(written)}, but this version reads format {readable}; {remedy}"
      )
    schema.check(_SUMS_OF_FILES, content.get(SUMS), f"{header}: {SUMS}", remedy)
    if content[SUMS].get(HEADER) != _digest_of(content):
      raise DamagedError(f"{header}: modified after it was written; {remedy}")
    if SAFETENSORS in content[SUMS]:  # an archive, among whose files others may lie
      folder_contents.require(path, found, (SAFETENSORS,), (), remedy)
    else:
      folder_contents.refuse_others(path, found, {HEADER, ARRAYS}, {_README, *folder_contents.OWN})
  return cast(dict[str, Any], content)


@contextlib.contextmanager
def refusing(place: str) -> Iterator[None]:
  """Translates the errors of a block that reads a folder.

  Raises:
    DamagedError: something in the folder is not as it was written.
    InputError: the system refuses to read it.
  """
  try:
    yield
  except DataError as error:
    raise DamagedError(str(error)) from error
  except RecursionError as error:
    raise DamagedError(f"{place}: damaged, or written by another project (nested too deeply)") from error
  except OSError as error:
    where, why = error.filename or place, error.strerror or error
    raise InputError(f"{where}: cannot be read ({why}); check the file and its permissions") from error


def check_files(
  path: str | os.PathLike[str], content: Mapping[str, Any], remedy: str, array_bytes: int | None = None
) -> None:
  """Compares the files of the arrays with the checksums in the header: first their names, then their sizes, then their content.

  Args:
    path: the folder.
    content: its header, from `read_header`.
    remedy: what an error advises the user to do.
    array_bytes: size of the arrays in memory that the header implies, None if it implies none.

  Raises:
    DamagedError: a file is damaged, missing or unexpected, or all together are too large or too small for the arrays.
    InputError: the system refuses to read one.
  """
  place = os.path.join(os.path.abspath(path), ARRAYS)
  expected = {name: digest for name, digest in content[SUMS].items() if name != HEADER}
  with refusing(place):
    sizes = _sizes(place, expected) if os.path.lexists(place) else {}
    for name in sorted(expected.keys() ^ sizes.keys()):
      where = folder_contents.place(place, name)
      if name in sizes:
        raise DamagedError(f"{where}: the file is unexpected; move it elsewhere")
      raise DamagedError(f"{where}: the file is missing; copy the checkpoint again, or {remedy}")
    size = sum(sizes.values())
    most = _MOST_FOLDER_BYTES if array_bytes is None else _MOST_TIMES * array_bytes + _SPARE_BYTES
    if size > most:
      largest = max(sizes, key=lambda name: sizes[name])
      problem = f"has {sizes[largest]} bytes, but all files together have at most {most} by {HEADER}"
      raise DamagedError(f"{place}/{largest}: the file is damaged: {problem}; copy the checkpoint again, or {remedy}")
    if array_bytes is not None and array_bytes > _MOST_COMPRESSED * size + _UNQUESTIONED_BYTES:
      problem = f"has {size} bytes, too few for the {array_bytes} bytes of parameters that {HEADER} implies"
      raise DamagedError(f"{place}: {problem}; copy the checkpoint again, or {remedy}")
    digests = _digests(place) if sizes else {}
    for name in sorted(expected):
      if digests.get(name) != expected[name]:
        raise DamagedError(f"{place}/{name}: the file is damaged; copy the checkpoint again, or {remedy}")


def _sizes(folder: str, expected: Iterable[str]) -> dict[str, int]:
  """Returns the size of every file below a folder, by relative path. Folders of no expected file are not searched.

  Raises:
    DataError: an entry is a link or no regular file, or such a folder is not empty.
  """
  parents = {"/".join(name.split("/")[:k]) for name in expected for k in range(1, name.count("/") + 1)}
  sizes, waiting = dict[str, int](), [""]
  while waiting:
    inner = waiting.pop()
    for name, entry in folder_contents.listed(os.path.join(folder, inner)).items():
      relative = f"{inner}/{name}".lstrip("/")
      if entry.is_file(follow_symlinks=False):
        sizes[relative] = entry.stat(follow_symlinks=False).st_size
      elif relative in parents:
        waiting.append(relative)
      elif os.listdir(entry.path):
        raise DataError(folder_contents.place(folder, relative), "is unexpected", "move it elsewhere")
  return sizes


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
  expected_leaves = leaf_paths(expected)
  try:
    with _quiet(), _checkpointer() as checkpointer:
      stored = leaf_paths(checkpointer.metadata(place).item_metadata.tree)
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
    storage = stored[leaf].storage
    chunk = () if storage is None else storage.chunk_shape or ()
    # a chunk is decoded as a whole, however little of it is needed
    if len(chunk) > len(shape.shape) or any(
      size > max(most, 1) for size, most in zip(chunk, shape.shape, strict=False)
    ):
      raise InputError(
        f"{place}: parameter {leaf} of shape {shape.shape} is stored in chunks of {tuple(chunk)}; copy the checkpoint again"
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
  return files.hash_file(os.path.join(path, HEADER)).hexdigest()


def _digests(folder: str) -> dict[str, str]:
  """Returns the SHA-256 of every file below a folder, by relative path."""
  paths = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
  return {path.relative_to(folder).as_posix(): files.hash_file(path).hexdigest() for path in paths}


def _digest_of(content: Mapping[str, Any]) -> str:
  """Returns the SHA-256 of a header without its checksums."""
  plain = json.dumps({key: value for key, value in content.items() if key != SUMS}, sort_keys=True)
  return hashlib.sha256(plain.encode()).hexdigest()
