"""Cells of a table of text that are not plain numbers: words, quoted cells, numbers with an exponent. Read with pandas."""

import io
import math
import pathlib
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas

from cap_jax.data import datasets, signal_names
from cap_jax.data.sources import csv_table, folders, number_parsing, tables, text_blocks
from cap_jax.types import DataError

# that a row of a table of texts counts for, and each of its cells; seconds of work
_ROW_BYTES, _CELL_BYTES = 10_000, 100
_CLOCK_TIME = re.compile(r"\d:\d\d|\d[./-]\d{1,2}[./-]\d|\d\s*[AP]M$", re.IGNORECASE)  # a time of day or a date
_EXCHANGED = str.maketrans(",.", ".,")
_COMMA_NUMBER = re.compile(r"[+-]?\d[\d.]*,\d+")
_NUMBER_UNIT = re.compile(r"[+-]?[\d.,]*\d\s*(\D+)")
_UNITS = {"s", "sec", "ms", "min", "mmhg", "kpa", "torr", "v", "mv", "au", "a.u.", "hz", "ml/s", "m/s", "1", "-"}


def _stated(unit: str) -> str:
  """Returns how to state the unit of a column, "" for the usual ones and for units of what is not converted."""
  if unit.lower() in ("ms", "min"):
    return f", and name the unit in --channels, as NAME:{signal_names.TIME}:{unit.lower()}"
  return f", and name the unit in --channels, as NAME:SIGNAL:{unit}" if unit.lower() in ("kpa", "torr") else ""


def read(
  block: bytes, names: Sequence[str], places: Mapping[int, str], dialect: csv_table.Dialect, texts: bool
) -> pandas.DataFrame:
  """Returns columns of a block of lines, by name.

  Args:
    block: the lines.
    names: the header.
    places: position → name of the columns.
    dialect: how the table is written.
    texts: whether cells are text, or what pandas takes them for.
  """
  options: dict[str, Any] = {
    "sep": dialect.delimiter, "decimal": dialect.decimal, "skip_blank_lines": False, "header": None,
    "skipinitialspace": True, "dtype": str if texts else None, "low_memory": False, **tables.PRECISION,
  }  # fmt: skip
  widest = dialect.delimiter * (len(names) - 1) + "\n"  # all rows of a block may lack the last cells
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", pandas.errors.ParserWarning)  # trailing commas
    frame: pandas.DataFrame = pandas.read_csv(
      io.BytesIO(widest.encode() + block), names=range(len(names)), usecols=sorted(places), index_col=False, **options
    )
  return frame.iloc[1:].rename(columns=places)


def read_texts(path: pathlib.Path, names: Sequence[str], dialect: csv_table.Dialect) -> pandas.DataFrame:
  """Reads all columns of a file that have names as text, without empty rows.

  Raises:
    DataError: a column occurs twice, there are no rows, or too many.
  """
  places = csv_table.find_columns(path, names, [name for name in dict.fromkeys(names) if name])
  with datasets.reading(str(path), csv_table.REMEDY):
    _check_cells(path, text_blocks.count(path, dialect.encoding), len(places))
    blocks = [read(block, names, places, dialect, texts=True) for block in csv_table.rows(path, names, dialect)]
  if not blocks:
    raise csv_table.no_rows(path)
  return pandas.concat([block.dropna(how="all") for block in blocks], ignore_index=True)


def _check_cells(path: pathlib.Path, rows: int, columns: int) -> None:
  """Checks that a table of texts is not too large.

  Raises:
    DataError: it is.
  """
  size, most = rows * (_ROW_BYTES + columns * _CELL_BYTES), folders.most_bytes()
  if size > most:
    remedy = f"split it, or set the environment variable {folders.MOST_GB}={math.ceil(size / 1e9)} if it is sound"
    raise DataError(str(path), f"has {rows} rows of {columns} columns, above the limit of {most / 1e9:g} GB", remedy)


def parse(path: pathlib.Path, cells: pandas.DataFrame, before: int, decimal: str) -> dict[str, np.ndarray]:
  """Returns columns of a block as numbers, name → (row,), without empty rows.

  Args:
    path: the file, for messages.
    cells: the block.
    before: number of the rows before it.
    decimal: decimal mark.

  Raises:
    DataError: a cell is not a number.
  """
  cells = cells.dropna(how="all")
  return {str(name): _parse_column(path, cells[name], before, decimal) for name in cells}


def _parse_column(path: pathlib.Path, column: pandas.Series, before: int, decimal: str) -> np.ndarray:
  """Returns a column of a block as numbers.

  Args:
    path: the file, for messages.
    column: its cells.
    before: number of the rows before the block.
    decimal: decimal mark.

  Raises:
    DataError: a cell is not a number.
  """
  if column.dtype.kind in "fiub":
    return column.to_numpy(dtype=float)
  commas = decimal == "," and any(isinstance(cell, str) and "," in cell for cell in column)
  # beside decimal commas, a point may part thousands
  texts = column.map(lambda cell: cell.translate(_EXCHANGED) if isinstance(cell, str) else cell) if commas else column
  numbers = number_parsing.parse_cells(texts)
  lost = column.notna().to_numpy() & np.isnan(numbers)
  if lost.any():
    row = int(np.flatnonzero(lost)[0])
    cell = str(column.iloc[row]).strip()[: csv_table.SHOWN]
    problem, remedy = (
      f"column {str(column.name)[: csv_table.SHOWN]}, data row {before + row + 1}: {cell!r} is not a number",
      "leave missing values empty, and begin a line of text with #",
    )
    if not before + row and cell.strip("[]()").lower() in _UNITS:
      stated = f"NAME:SIGNAL:kPa or NAME:{signal_names.TIME}:ms"
      remedy = f"it is a unit: remove the row of units, and name units other than s and mmHg in --channels, as {stated}"
    elif cell == column.name:
      remedy = "it is a second header: remove the row"
    elif commas and number_parsing.number(cell) == number_parsing.number(cell):
      remedy = "it has a decimal point, and other cells have decimal commas: write all alike"
    elif not commas and _COMMA_NUMBER.fullmatch(cell):
      remedy = "it has a decimal comma: save the table with semicolons between the columns, or with decimal points"
    elif (unit := _NUMBER_UNIT.fullmatch(cell)) and unit[1].lower() in _UNITS:
      remedy = f"write the numbers without {unit[1]!r}{_stated(unit[1])}"
    elif _CLOCK_TIME.search(cell):
      remedy = "it is a time of day or a date: convert the column to seconds"
    raise DataError(str(path), problem, remedy)
  return numbers


def check_one_person(
  path: pathlib.Path, names: Sequence[str], places: Mapping[int, str], dialect: csv_table.Dialect
) -> None:
  """Checks that columns of a record that name a person name one.

  Args:
    path: the file.
    names: its header.
    places: position → name of these columns.
    dialect: how the table is written.

  Raises:
    DataError: one names several, whose waves would be taken for those of one.
  """
  first: dict[str, str] = {}
  for block in csv_table.rows(path, names, dialect):
    for name, column in read(block, names, places, dialect, texts=True).items():
      for value in column.dropna().unique():
        if value != first.setdefault(str(name), value):
          problem = f"column {str(name)[: csv_table.SHOWN]} has several persons, such as {first[str(name)][: csv_table.SHOWN]!r} and {value[: csv_table.SHOWN]!r}"
          raise DataError(str(path), problem, "write one file for each")
