"""MATLAB 7.3 files, which are HDF5: structs are groups, cells are references, axes are reversed, text is UTF-16."""

import contextlib
import os
from collections.abc import Iterator

import h5py
import numpy as np

from cap_jax.data import datasets
from cap_jax.data.sources import folders
from cap_jax.types import DataError

REMEDY = "download the file again; it must be a MATLAB 7.3 file"


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
  """Opens a file for reading, within a limit of memory.

  Raises:
    DataError: it is no HDF5 file, or it is damaged.
  """
  with datasets.reading(str(path), REMEDY), folders.bounded(), h5py.File(path, "r") as file:
    yield file


def _own(data: h5py.Group | h5py.Dataset, file: h5py.File) -> h5py.Group | h5py.Dataset:
  """Checks that an object lies in the file itself and fits the file's size, and returns it.

  Raises:
    DataError: the object is in another file, by a link, as external storage or as a virtual data set, or is too large.
  """
  path = file.filename
  outside = data.file.filename != path
  if isinstance(data, h5py.Dataset):
    outside = outside or bool(data.external) or data.is_virtual
  if outside:
    raise DataError(path, f"{data.name} is stored in another file", "store it in this file")
  if isinstance(data, h5py.Dataset):
    folders.check_size(f"{path}: {data.name}", 8.0 * data.size)
  return data


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
  if name not in file or not isinstance(file[name], h5py.Group):
    struct_names = [key for key in file if not key.startswith("#")]
    raise DataError(
      where, f"no struct {name} (found: {', '.join(struct_names) or 'nothing'})", "choose another data set"
    )
  return _own(file[name], file)


def field(struct: h5py.Group, name: str, where: str) -> h5py.Dataset:
  """Returns a field of a struct.

  Args:
    struct: the struct.
    name: name of the field.
    where: file, and position in it, for messages.

  Returns:
    The data set of the field.

  Raises:
    DataError: the field is missing.
  """
  if name not in struct:
    raise DataError(where, f"no field {name} (found: {', '.join(list(struct)[:12])})", REMEDY)
  return _own(struct[name], struct.file)


def cell(data: h5py.Dataset, number: int) -> np.ndarray:
  """Reads an element of a cell or of a field of a struct array.

  Args:
    data: the cell or field.
    number: index of the element.

  Returns:
    The element, with its axes in the order of the file.
  """
  _own(data, data.file)
  if data.dtype.kind != "O":  # a struct of one element has no references
    return np.asarray(data[()])
  place = np.unravel_index(number, data.shape)
  return np.asarray(_own(data.file[data[tuple(int(k) for k in place)]], data.file)[()])


def elements(data: h5py.Dataset) -> Iterator[np.ndarray]:
  """Yields all elements of a cell; reads its references once."""
  count(data)
  if data.dtype.kind != "O":
    yield np.asarray(data[()])
  else:
    for reference in data[()].reshape(-1):
      yield np.asarray(_own(data.file[reference], data.file)[()])


def count(data: h5py.Dataset) -> int:
  """Counts the elements of a cell or of a field of a struct array.

  Raises:
    DataError: there are more elements than the file has bytes.
  """
  _own(data, data.file)
  path = data.file.filename
  if data.size > os.path.getsize(path):
    raise DataError(
      path, f"{data.name} declares {data.size} records, but the file has {os.path.getsize(path)} bytes", REMEDY
    )
  return int(data.size) if data.dtype.kind == "O" else 1


def text(codes: np.ndarray) -> str:
  """Decodes a string, which MATLAB stores as UTF-16 codes."""
  return "".join(chr(int(code)) for code in np.asarray(codes).reshape(-1) if int(code))


def number(value: np.ndarray) -> float:
  """Returns a single number, NaN if there is not exactly one."""
  flat = np.asarray(value, dtype=float).reshape(-1)
  return float(flat[0]) if flat.size == 1 else float("nan")
