"""MATLAB 7.3 files, which are HDF5: structs are groups, cells are references, axes are reversed, text is UTF-16."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import h5py
import numpy as np

from cap_jax.data import datasets
from cap_jax.data.sources import folders
from cap_jax.types import DataError

REMEDY = "fetch the file again; it must be a MATLAB 7.3 file"


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
  """The file, open for reading.

  Raises:
    DataError: it is no HDF5 file, or damaged.
  """
  with datasets.reading(str(path), REMEDY), folders.bounded(), h5py.File(path, "r") as file:
    yield file


def _own(data: h5py.Group | h5py.Dataset, file: h5py.File) -> h5py.Group | h5py.Dataset:
  """An object that lies in the file itself, and is not larger than the file can hold.

  Raises:
    DataError: it lies in another file, by a link, as external storage or as a virtual data set; or it swells.
  """
  path = file.filename
  outside = data.file.filename != path
  if isinstance(data, h5py.Dataset):
    outside = outside or bool(data.external) or data.is_virtual
  if outside:
    raise DataError(path, f"{data.name} lies in another file", "store it in the file itself")
  if isinstance(data, h5py.Dataset):
    folders.check_size(f"{path}: {data.name}", 8.0 * data.size, pathlib.Path(path))
  return data


def group(file: h5py.File, name: str, where: str) -> h5py.Group:
  """A struct.

  Raises:
    DataError: there is none of this name.
  """
  if name not in file or not isinstance(file[name], h5py.Group):
    found = [key for key in file if not key.startswith("#")]
    raise DataError(where, f"no struct {name} (found: {', '.join(found) or 'nothing'})", "choose another data set")
  return _own(file[name], file)


def field(struct: h5py.Group, name: str, where: str) -> h5py.Dataset:
  """A field of a struct.

  Raises:
    DataError: it is missing.
  """
  if name not in struct:
    raise DataError(where, f"no field {name} (found: {', '.join(list(struct)[:12])})", REMEDY)
  return _own(struct[name], struct.file)


def cell(data: h5py.Dataset, number: int) -> np.ndarray:
  """An element of a cell or of a field of a struct array, its axes as they lie in the file."""
  _own(data, data.file)
  if data.dtype.kind != "O":  # a struct of one element has no references
    return np.asarray(data[()])
  place = np.unravel_index(number, data.shape)
  return np.asarray(_own(data.file[data[tuple(int(k) for k in place)]], data.file)[()])


def cells(data: h5py.Dataset) -> Iterator[np.ndarray]:
  """All elements of a cell, its references read once."""
  count(data)
  if data.dtype.kind != "O":
    yield np.asarray(data[()])
  else:
    for reference in data[()].reshape(-1):
      yield np.asarray(_own(data.file[reference], data.file)[()])


def count(data: h5py.Dataset) -> int:
  """Elements of a cell or of a field of a struct array.

  Raises:
    DataError: there are more than the file has bytes.
  """
  _own(data, data.file)
  path = data.file.filename
  if data.size > os.path.getsize(path):
    raise DataError(
      path, f"{data.name} declares {data.size} records, and the file has {os.path.getsize(path)} bytes", REMEDY
    )
  return int(data.size) if data.dtype.kind == "O" else 1


def text(codes: np.ndarray) -> str:
  """A string: MATLAB stores its UTF-16 codes."""
  return "".join(chr(int(code)) for code in np.asarray(codes).reshape(-1) if int(code))


def number(value: np.ndarray) -> float:
  """A single number; NaN of none."""
  flat = np.asarray(value, dtype=float).reshape(-1)
  return float(flat[0]) if flat.size == 1 else float("nan")
