"""MATLAB 7.3 files, which are HDF5: structs are groups, cells are references, axes are reversed, text is UTF-16.

To resolve a link, or to ask for the shape of a virtual data set, opens the file that it names. So each link is looked at
before it is followed, and each data set before it is asked anything.
"""

import contextlib
import math
import os
from collections.abc import Iterator

import h5py
import numpy as np

from cap_jax import files
from cap_jax.data import datasets
from cap_jax.data.sources import folders
from cap_jax.types import DataError

REMEDY = "download the file again; it must be a MATLAB 7.3 file"
_MOST_LINKS = 8  # that lead to each other
_MOST_NAMES = 10_000  # of a struct
_LEAST_RECORD = 4096  # bytes of a record in the file
_LEAST_CHUNK = 4096  # bytes that a chunk counts at least, for the work that it takes
_MOST_LETTERS = 1000  # of a text
_MOST_SINGLE = 1 << 16  # samples of the chunk of a single number or a text


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
  """Opens a file for reading, within a limit of memory.

  Raises:
    DataError: it is no HDF5 file, or it is damaged.
  """
  with (
    datasets.reading(str(path), REMEDY),
    folders.bounded(str(path)),
    h5py.File(files.regular(path), "r") as file,
  ):
    yield file


def _elsewhere(place: h5py.Group | h5py.Dataset, name: str) -> DataError:
  return DataError(place.file.filename, f"{name} is stored in another file", "store it in this file")


def _member(place: h5py.Group, path: str, links: int = _MOST_LINKS) -> h5py.Group | h5py.Dataset | None:
  """Returns what a path within the file leads to, or None.

  Args:
    place: group that the path starts from.
    path: names of members, joined by slashes; the path of a soft link is one.
    links: how many soft links may follow.

  Raises:
    DataError: a link leads to another file or in a circle, or a data set is stored in another file.
  """
  here = place.file["/"] if path.startswith("/") else place
  for name in path.split("/"):
    if name in ("", "."):
      continue
    link = here.get(name, getlink=True) if isinstance(here, h5py.Group) else None
    if link is None:
      return None
    if isinstance(link, h5py.ExternalLink):
      raise _elsewhere(place, path)
    if not isinstance(link, h5py.SoftLink):
      here = here[name]
    elif links:
      here = _member(here, link.path, links - 1)
    else:
      raise DataError(place.file.filename, f"{path} is a link that leads in a circle", REMEDY)
  return _own(here) if here is not None else None


def _own(item: h5py.Group | h5py.Dataset) -> h5py.Group | h5py.Dataset:
  """Checks that an object stores its content in its file, and returns it.

  Raises:
    DataError: it is a data set that refers to other files, or that has no shape.
  """
  if isinstance(item, h5py.Dataset):
    if item.is_virtual or item.external:
      raise _elsewhere(item, str(item.name))
    if item.shape is None:
      raise DataError(item.file.filename, f"{item.name} has no content", REMEDY)
  return item


def names(struct: h5py.Group, where: str) -> list[str]:
  """Returns the names of the members of a struct or a file, without those that are MATLAB's own.

  Args:
    struct: the group.
    where: file, for messages.

  Raises:
    DataError: there are too many.
  """
  if len(struct) > _MOST_NAMES:
    raise DataError(where, f"{struct.name} has {len(struct)} members, more than {_MOST_NAMES}", REMEDY)
  # a name that is no text comes as bytes
  return [name for name in struct if isinstance(name, str) and not name.startswith("#")]


def has(struct: h5py.Group, name: str) -> bool:
  """Returns whether a struct has a field of this name.

  Raises:
    DataError: the field is in another file.
  """
  return _member(struct, name) is not None


def group(file: h5py.File, name: str, where: str) -> h5py.Group:
  """Returns a struct.

  Args:
    file: open file.
    name: name of the struct.
    where: file, for messages.

  Returns:
    The group.

  Raises:
    DataError: there is none of this name.
  """
  member = _member(file, name)
  if not isinstance(member, h5py.Group):
    found = ", ".join(names(file, where)[:12]) or "nothing"
    raise DataError(where, f"no struct {name} (found: {found})", "choose another data set")
  return member


def field(struct: h5py.Group, name: str, where: str) -> h5py.Dataset:
  """Returns a field of a struct, or a cell of a file.

  Args:
    struct: the struct.
    name: name of the field.
    where: file, and position in it, for messages.

  Returns:
    The data set of the field.

  Raises:
    DataError: the field is missing.
  """
  member = _member(struct, name)
  if not isinstance(member, h5py.Dataset):
    raise DataError(where, f"no field {name} (found: {', '.join(names(struct, where)[:12])})", REMEDY)
  return member


def has_references(data: h5py.Dataset) -> bool:
  """Returns whether a data set is a cell, or a field of a struct array, whose elements lie elsewhere in the file."""
  return h5py.check_ref_dtype(data.dtype) is h5py.Reference


def _place(data: h5py.Dataset) -> str:
  """Returns file and name of a data set for a message. For the name of one that a reference led to, the library searches
  the whole file."""
  return f"{data.file.filename}: {data.name}"


def _read(data: h5py.Dataset, selection: tuple[int | slice, ...], signals: int = 1) -> np.ndarray:
  """Reads a part of a data set of numbers or references.

  Args:
    data: the data set.
    selection: index or slice of each axis.
    signals: number of such parts of a record.

  Raises:
    DataError: it contains something else, or is too large.
  """
  if data.dtype.kind not in "fiub" and not has_references(data):
    raise DataError(_place(data), f"contains {data.dtype}, not numbers", REMEDY)
  sizes = [1 if isinstance(part, int) else size for part, size in zip(selection, data.shape, strict=True)]
  chunks = data.chunks or sizes
  count = math.prod(math.ceil(size / chunk) for size, chunk in zip(sizes, chunks, strict=True))
  unpacked = count * max(math.prod(chunks) * data.dtype.itemsize, _LEAST_CHUNK)
  # numbers become floats, and HDF5 reads whole chunks
  needed = float(signals * max(max(8, data.dtype.itemsize) * math.prod(sizes), unpacked))
  if needed > folders.most_bytes():
    folders.check_size(_place(data), needed)
  return np.asarray(data[selection])


def whole(data: h5py.Dataset, signals: int = 1) -> np.ndarray:
  """Reads a data set of numbers, with its axes in the order of the file.

  Args:
    data: the data set.
    signals: number of such data sets of a record.

  Raises:
    DataError: it contains something else, or is too large.
  """
  return _read(data, (slice(None),) * len(data.shape), signals)


def part(data: h5py.Dataset, number: int, axis: int, signals: int = 1) -> np.ndarray:
  """Reads an element along an axis of a data set of numbers.

  Args:
    data: the data set.
    number: index of the element.
    axis: 0 or −1.
    signals: number of such parts of a record.

  Raises:
    DataError: it contains something else, or is too large.
  """
  rest = (slice(None),) * (len(data.shape) - 1)
  return _read(data, (*rest, number) if axis else (number, *rest), signals)


def _elements(data: h5py.Dataset) -> Iterator[h5py.Dataset]:
  """Yields all elements of a cell or of a field of a struct array; reads its references once."""
  count(data)
  if has_references(data):
    file = data.file
    for reference in whole(data).reshape(-1):
      yield _target(file, reference)
  else:
    yield data


def texts(data: h5py.Dataset) -> Iterator[str]:
  """Yields the strings of a cell."""
  return map(text, _elements(data))


def numbers(data: h5py.Dataset) -> list[float]:
  """Returns the single numbers of a cell, NaN where an element is none."""
  return [number(item) for item in _elements(data)]


def _target(file: h5py.File, reference: h5py.Reference) -> h5py.Dataset:
  """Returns the data set that a reference of a cell leads to.

  Raises:
    DataError: it leads to something else, or out of the file.
  """
  item = _own(file[reference])
  if not isinstance(item, h5py.Dataset):
    raise DataError(file.filename, f"an element of a cell, {item.name}, is no data set", REMEDY)
  return item


def element(data: h5py.Dataset, number: int) -> h5py.Dataset:
  """Returns an element of a cell or of a field of a struct array.

  Args:
    data: the cell or field.
    number: index of the element.

  Raises:
    DataError: it is no data set of the file.
  """
  if not has_references(data):  # a struct of one element has no references
    return data
  place = tuple(int(k) for k in np.unravel_index(number, data.shape))
  return _target(data.file, _read(data, place)[()])


def count(data: h5py.Dataset) -> int:
  """Counts the elements of a cell or of a field of a struct array.

  Raises:
    DataError: there are more elements than the file has room for.
  """
  path = data.file.filename
  size = os.path.getsize(path)
  if data.size > max(size / _LEAST_RECORD, 100):
    raise DataError(path, f"{data.name} declares {data.size} records, but the file has {size} bytes", REMEDY)
  return int(data.size) if has_references(data) else 1


def _is_single(data: h5py.Dataset, most: int) -> bool:
  """Returns whether a data set is small, and so are the chunks that are read for it."""
  return data.size <= most and math.prod(data.chunks or (1,)) <= _MOST_SINGLE


def text(data: h5py.Dataset) -> str:
  """Decodes a string, which MATLAB stores as UTF-16 codes.

  Raises:
    DataError: it is no string, or too long.
  """
  if not _is_single(data, _MOST_LETTERS) or data.dtype.kind not in "iu":
    raise DataError(data.file.filename, f"{data.name} is no text of up to {_MOST_LETTERS} letters", REMEDY)
  return "".join(chr(int(code)) for code in whole(data).reshape(-1) if int(code))


def number(data: h5py.Dataset) -> float:
  """Returns a single number, NaN if there is not exactly one."""
  if not _is_single(data, 1) or data.size != 1 or data.dtype.kind not in "fiub":
    return float("nan")
  return float(whole(data).reshape(-1)[0])
