"""MATLAB 7.3 files, which are HDF5: structs are groups, cells are references, axes are reversed, text is UTF-16."""

import contextlib
import os
from collections.abc import Iterator

import h5py
import numpy as np

from cap_jax.data import datasets
from cap_jax.types import DataError

REMEDY = "fetch the file again; it must be a MATLAB 7.3 file"


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
  """The file, open for reading.

  Raises:
    DataError: it is no HDF5 file, or damaged.
  """
  with datasets.reading(str(path), REMEDY), h5py.File(path, "r") as file:
    yield file


def group(file: h5py.File, name: str, where: str) -> h5py.Group:
  """A struct.

  Raises:
    DataError: there is none of this name.
  """
  if name not in file or not isinstance(file[name], h5py.Group):
    found = [key for key in file if not key.startswith("#")]
    raise DataError(where, f"no struct {name} (found: {', '.join(found) or 'nothing'})", "choose another data set")
  return file[name]


def field(struct: h5py.Group, name: str, where: str) -> h5py.Dataset:
  """A field of a struct.

  Raises:
    DataError: it is missing.
  """
  if name not in struct:
    raise DataError(where, f"no field {name} (found: {', '.join(list(struct)[:12])})", REMEDY)
  return struct[name]


def cell(data: h5py.Dataset, number: int) -> np.ndarray:
  """An element of a cell or of a field of a struct array, its axes as they lie in the file."""
  if data.dtype.kind != "O":  # a struct of one element has no references
    return np.asarray(data[()])
  place = np.unravel_index(number, data.shape)
  return np.asarray(data.file[data[tuple(int(k) for k in place)]][()])


def cells(data: h5py.Dataset) -> Iterator[np.ndarray]:
  """All elements of a cell, its references read once."""
  if data.dtype.kind != "O":
    yield np.asarray(data[()])
  else:
    for reference in data[()].reshape(-1):
      yield np.asarray(data.file[reference][()])


def count(data: h5py.Dataset) -> int:
  """Elements of a cell or of a field of a struct array."""
  return int(data.size) if data.dtype.kind == "O" else 1


def text(codes: np.ndarray) -> str:
  """A string: MATLAB stores its UTF-16 codes."""
  return "".join(chr(int(code)) for code in np.asarray(codes).reshape(-1) if int(code))


def number(value: np.ndarray) -> float:
  """A single number; NaN of none."""
  flat = np.asarray(value, dtype=float).reshape(-1)
  return float(flat[0]) if flat.size == 1 else float("nan")
