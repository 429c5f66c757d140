"""Reads tables of text with pandas, whose size and shape are counted first.

Pandas gets an open file, never a path: it takes some paths for addresses, and decompresses others as far as they go.
"""

import contextlib
import dataclasses
import gzip
import os
import pathlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import pandas

from cap_jax import files
from cap_jax.data.sources import archives, folders, number_parsing
from cap_jax.types import DataError

MOST_COLUMNS = 10_000
MOST_LINE = 1 << 20  # bytes
_BLOCK = 1 << 20  # bytes
_CELLS = 1 << 21  # that are parsed at a time
_CELL_BYTES = 200  # of a cell that is a text, in memory
_TEXT_PART = 0.25  # of the largest record; texts take up to four bytes a letter
# Options of `pandas.read_csv` that select Python's number parser. The default parsers of pandas 2.3 abort the whole process
# at an exponent of ten digits. Those of 3.1 do not, and there the option no longer exists.
PRECISION: dict[str, Any] = (
  {} if tuple(int(part) for part in pandas.__version__.split(".")[:2]) >= (3, 1) else {"float_precision": "round_trip"}
)
_OPTIONS: Mapping[str, Any] = {
  "index_col": False, "low_memory": False, "encoding": "utf-8-sig", **PRECISION,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Shape:
  """Number of lines of a table, and of cells of its widest line."""

  rows: int
  columns: int


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[BinaryIO]:
  """Opens a table, which may be compressed."""
  with open(files.regular(path), "rb") as file:
    if path.suffix != ".gz":
      yield file
      return
    with gzip.GzipFile(fileobj=file) as content:
      yield content  # type: ignore[misc]


@contextlib.contextmanager
def _parsed(path: pathlib.Path) -> Iterator[BinaryIO]:
  """Opens a table for pandas, within a limit of memory: quotes may join any number of lines to one."""
  with folders.bounded(str(path)), warnings.catch_warnings(), _opened(path) as file:
    warnings.simplefilter("ignore", pandas.errors.ParserWarning)  # commas at the ends of lines
    yield file


def _blocks(path: pathlib.Path, part: float) -> Iterator[bytes]:
  """Yields a table in blocks.

  Raises:
    DataError: its text is larger than that part of the largest record.
  """
  size = 0
  if path.suffix != ".gz":
    folders.check_size(str(path), os.path.getsize(files.regular(path)) / part, "text")
  for block in archives.unpack_gzip(path) if path.suffix == ".gz" else _plain_blocks(path):
    size += len(block)
    folders.check_size(str(path), size / part, "text")
    yield block


def _plain_blocks(path: pathlib.Path) -> Iterator[bytes]:
  with open(files.regular(path), "rb") as file:
    while block := file.read(_BLOCK):
      yield block


def measure(path: pathlib.Path, separator: str = ",", part: float = 1.0) -> Shape:
  """Counts the lines and the columns of a table without parsing it.

  Args:
    path: the table; compressed if its name ends in `.gz`.
    separator: of its cells.
    part: of the largest record, which its text may have at most.

  Raises:
    DataError: it has too much text, too many columns, or a line that is too long.
  """
  rows, columns, begun_letters, begun_cells = 1, 0, 0, 0
  for block in _blocks(path, part):
    letters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero((letters == ord("\n")) | (letters == ord("\r")))
    marks = np.cumsum(letters == ord(separator), dtype=np.int32)
    lengths = np.diff(ends, prepend=-begun_letters, append=len(block))
    cells = np.diff(marks[ends], prepend=-begun_cells, append=marks[-1])
    columns = max(columns, int(cells.max()) + 1)
    if columns > MOST_COLUMNS or lengths.max() > MOST_LINE:
      problem = f"has more than {MOST_COLUMNS} columns, or a line of more than {MOST_LINE / 1e6:.0f} MB"
      raise DataError(str(path), problem, "keep only the columns that are needed, and one row a line")
    begun_letters, begun_cells = int(lengths[-1]), int(cells[-1])
    rows += int(ends.size) - block.count(b"\r\n")
  return Shape(rows, max(columns, 1))


def header(path: pathlib.Path, separator: str = ",") -> list[str]:
  """Returns the names in the first line of a table that was measured."""
  with _parsed(path) as file:
    return [str(name) for name in pandas.read_csv(file, sep=separator, nrows=0, **_OPTIONS).columns]


def numbers(
  path: pathlib.Path, columns: Sequence[int], shape: Shape, separator: str = ",", **options: Any
) -> np.ndarray:
  """Reads columns of numbers.

  Args:
    path: the table.
    columns: their positions, in increasing order.
    shape: of the table, as measured.
    separator: of its cells.
    options: for `pandas.read_csv`.

  Returns:
    (column, row) numbers; NaN where a cell is empty.

  Raises:
    ValueError: a cell is no number.
    DataError: there are too many.
  """
  folders.check_size(str(path), 8.0 * shape.rows * len(columns))
  values, row = np.empty((len(columns), shape.rows)), 0
  rows = max(_CELLS // shape.columns, 1)
  with _parsed(path) as file:
    width = shape.columns if options.get("header", "infer") is None else _skip_header(file, separator)
    for block in _plain_columns(file, width, columns, separator) if width else ():
      values[:, row : row + len(block[0])] = block
      row += len(block[0])
    if width:
      options |= {"header": None, "names": range(width)}
    with pandas.read_csv(file, sep=separator, usecols=list(columns), chunksize=rows, **_OPTIONS, **options) as chunks:
      for chunk in chunks:
        for number in range(len(columns)):
          values[number, row : row + len(chunk)] = chunk.iloc[:, number].to_numpy(dtype=float)
        row += len(chunk)
  return values[:, :row]


def _skip_header(file: BinaryIO, separator: str) -> int:
  """Reads the first line. Returns its number of cells; zero, and reads nothing, if pandas would look for another header."""
  line = file.readline(MOST_LINE + 1)
  if line.endswith(b"\n") and line.strip() and b'"' not in line and b"\r" not in line.rstrip():
    return line.count(separator.encode()) + 1
  file.seek(0)
  return 0


def _plain_columns(file: BinaryIO, width: int, columns: Sequence[int], separator: str) -> Iterator[list[np.ndarray]]:
  """Yields columns of blocks of lines of plain numbers, and leaves the file at the first block of others."""
  begin = file.tell()
  while block := file.read(_BLOCK):
    block = (block + file.readline(MOST_LINE + 1)).replace(b"\r\n", b"\n")
    block += b"\n" * (not block.endswith(b"\n"))
    parsed = number_parsing.fixed_point(block, width, columns, separator, ".")
    if parsed is None:
      file.seek(begin)
      return
    yield parsed
    begin = file.tell()


def frame(path: pathlib.Path, columns: Iterable[str], separator: str = ",", **options: Any) -> pandas.DataFrame:
  """Reads some columns of a table whose cells may be texts.

  Args:
    path: the table.
    columns: names of the columns to read; those that are missing are left out.
    separator: of its cells.
    options: for `pandas.read_csv`.

  Raises:
    DataError: it is too large.
  """
  requested = set(columns)
  shape = measure(path, separator, _TEXT_PART)
  folders.check_size(str(path), float(_CELL_BYTES) * shape.rows * min(len(requested), shape.columns), "text")
  with _parsed(path) as file:
    return pandas.read_csv(file, sep=separator, usecols=lambda name: name in requested, **_OPTIONS, **options)
