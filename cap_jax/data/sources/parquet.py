"""The user's own table in Parquet, in long form: one file, or a folder of them.

The columns are `subject`, `time_s`, one for each signal as in `csv_file`, and covariates, which are constant over the
rows of a subject.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute
import pyarrow.parquet

from cap_jax import files
from cap_jax.data import datasets, recordings, signal_names
from cap_jax.data.sources import folders
from cap_jax.data.sources.csv_table import SUBJECT
from cap_jax.types import DataError

_REMEDY = "save it again as a Parquet file"
_BATCH = 1 << 20  # cells that are decoded at a time
_MOST_CELLS = 4e8  # of a table; a few seconds of work
_MOST_LETTERS = 1000  # of a subject's name


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[pyarrow.parquet.ParquetFile]:
  """Opens a table within a limit of memory. Subjects stay numbers of a dictionary: each could be a book.

  Raises:
    DataError: it has more cells than are read of any table, or reading took too much memory.
  """
  with folders.bounded(str(path)), pyarrow.OSFile(files.regular(path)) as source:
    try:
      file = pyarrow.parquet.ParquetFile(source, read_dictionary=[SUBJECT], pre_buffer=False)
    except KeyError as error:
      raise DataError(str(path), f"column {SUBJECT} is missing", "add the subject of each row") from error
    groups = [file.metadata.row_group(k).num_rows for k in range(file.metadata.num_row_groups)]
    cells = max(sum(groups), file.metadata.num_rows) * (len(_number_columns(file)) + 1)
    if cells > _MOST_CELLS * folders.extension():
      remedy = f"write a file for each subject; {folders.MOST_GB} extends the limit too"
      raise DataError(str(path), f"has {cells:.3g} numbers, more than {_MOST_CELLS * folders.extension():.3g}", remedy)
    yield file
  pyarrow.default_memory_pool().release_unused()


def _number_columns(file: pyarrow.parquet.ParquetFile) -> list[str]:
  """Returns the columns that are read of a table beside the subject."""
  return [field.name for field in file.schema_arrow if _is_number(field.type) and field.name != SUBJECT]


def _batches(
  file: pyarrow.parquet.ParquetFile, columns: Sequence[str], groups: Sequence[int] | None = None
) -> Iterator[pyarrow.RecordBatch]:
  """Yields columns of a table piece by piece; `groups` are the numbers of its groups of rows, all if None."""
  size = max(_BATCH // len(columns), 1)
  return file.iter_batches(size, row_groups=groups, columns=list(columns), use_threads=False)


def _groups_of(file: pyarrow.parquet.ParquetFile, subject: Any) -> list[int]:
  """Returns the groups of rows that may contain a subject, by their statistics."""
  paths = [file.metadata.schema.column(k).path for k in range(file.metadata.num_columns)]
  place, found = paths.index(SUBJECT), []
  for number in range(file.metadata.num_row_groups):
    known = file.metadata.row_group(number).column(place).statistics
    try:
      if known is None or not known.has_min_max or known.min <= subject <= known.max:
        found.append(number)
    except TypeError:  # kept as another type than it is read as
      found.append(number)
  return found


def _rows_of(column: pyarrow.Array, subject: Any) -> np.ndarray:
  """Returns (row,) whether a row is of a subject."""
  if isinstance(column, pyarrow.DictionaryArray):
    numbers = np.flatnonzero(_rows_of(column.dictionary, subject))
    return np.isin(column.indices.fill_null(-1).to_numpy(zero_copy_only=False), numbers)
  same = pyarrow.compute.equal(column, pyarrow.scalar(subject, column.type))
  return same.fill_null(False).to_numpy(zero_copy_only=False)


def _numbers(file: pyarrow.parquet.ParquetFile, subject: Any, where: str) -> dict[str, np.ndarray]:
  """Returns column → (row,) numbers of a subject.

  Raises:
    DataError: there are too many.
  """
  columns, groups = _number_columns(file), _groups_of(file, subject)
  masks = [_rows_of(batch.column(SUBJECT), subject) for batch in _batches(file, [SUBJECT], groups)]
  mask = np.concatenate([np.empty(0, bool), *masks])
  rows, begin, row = int(np.count_nonzero(mask)), 0, 0
  folders.check_size(where, 8.0 * rows * len(columns))
  numbers = {column: np.empty(rows) for column in columns}
  for batch in _batches(file, columns, groups) if columns else ():
    own, begin = mask[begin : begin + len(batch)], begin + len(batch)
    for column in columns if own.any() else ():
      part = batch.column(column).filter(pyarrow.array(own)).cast("float64", safe=False)
      numbers[column][row : row + len(part)] = part.to_numpy(zero_copy_only=False)
    row += int(np.count_nonzero(own))
  return numbers


def _read(path: pathlib.Path, subject: Any, name: str, channels: Mapping[str, str]) -> recordings.Recording:
  where = f"{path}: subject {name}"
  with datasets.reading(where, _REMEDY, name), _opened(path) as file:
    schema = file.schema_arrow
    numbers = _numbers(file, subject, where)
  if signal_names.TIME in schema.names and signal_names.TIME not in numbers:
    kind = schema.field(signal_names.TIME).type
    raise DataError(str(path), f"column {signal_names.TIME} contains {kind}", "save it as seconds", name)
  if signal_names.TIME not in numbers:
    present = ", ".join(schema.names[:8])
    raise DataError(str(path), f"column {signal_names.TIME} is missing (found: {present})", "rename the column", name)
  signal_by_column = {**signal_names.COLUMNS, **channels}
  text_columns = [column for column in schema.names if column in signal_by_column and column not in numbers]
  if text_columns:
    kind = schema.field(text_columns[0]).type
    raise DataError(str(path), f"column {text_columns[0]} contains {kind}, not numbers", "save it as numbers", name)
  signals: dict[str, np.ndarray] = {}
  for column in numbers:
    if column in signal_by_column and signal_by_column[column] in signals:
      raise DataError(where, f"column {column} also maps to {signal_by_column[column]}", "change --channels", name)
    if column in signal_by_column:
      signals[signal_by_column[column]] = numbers[column]
  rest = {
    column: wave for column, wave in numbers.items() if column not in signal_by_column and column != signal_names.TIME
  }
  # a column that is constant over all rows is a covariate of the subject
  covariates = {column: float(value_t[0]) for column, value_t in rest.items() if value_t.size and np.ptp(value_t) == 0}
  recording = recordings.make(name, path.stem, where, numbers[signal_names.TIME], signals, covariates=covariates)
  known = {SUBJECT, signal_names.TIME, *covariates, *signal_by_column}
  return dataclasses.replace(recording, unread=tuple(column for column in schema.names if column not in known))


def _name(subject: Any) -> str:
  """Returns the name of a subject; whole numbers that pandas converted to floats become whole again."""
  return f"{subject:.0f}" if isinstance(subject, float) and subject.is_integer() else str(subject)


def _is_number(kind: pyarrow.DataType) -> bool:
  return pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind)


def _subjects(path: pathlib.Path) -> dict[str, Any]:
  """Returns name → subject of a table.

  Raises:
    DataError: it cannot be read, or names no subjects.
  """
  values: set[Any] = set()
  with datasets.reading(str(path), _REMEDY), _opened(path) as file:
    kind = file.schema_arrow.field(SUBJECT).type
    if pyarrow.types.is_nested(kind):
      raise DataError(str(path), f"column {SUBJECT} contains {kind}", "save names or numbers")
    for batch in _batches(file, [SUBJECT]):
      values |= set(batch.column(SUBJECT).unique().to_pylist())
      folders.check_count(str(path), len(values))
      if any(isinstance(value, str | bytes) and len(value) > _MOST_LETTERS for value in values):
        raise DataError(str(path), f"has a subject of more than {_MOST_LETTERS} letters", "use shorter names")
  subjects = {_name(value): value for value in values if value is not None and value == value}
  if not subjects:
    raise DataError(str(path), "contains no rows with a subject", "add rows, or remove the file")
  return subjects


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists the subjects of a Parquet file, or of a folder of them.

  Args:
    path: the file or folder.
    channels: column → signal, for columns of other names.

  Returns:
    The data set.

  Raises:
    DataError: `path` contains no such data.
  """
  listed: list[datasets.Entry | DataError] = []
  for file in folders.find(path, "*.parquet"):
    if isinstance(file, DataError):
      listed.append(file)
      continue
    try:
      subjects = _subjects(file)
    except DataError as error:
      listed.append(error)
      continue
    for name, value in sorted(subjects.items()):
      read = functools.partial(_read, file, value, name, channels or {})
      listed.append(datasets.Entry(name, file.stem, f"{file}: subject {name}", read))
  if not listed:
    raise DataError(str(path), "no .parquet file found", "check --path")
  return datasets.of_the_user("parquet", listed, path, channels)
