"""The user's own table in Parquet, in long form: one file, or a folder of them.

The columns are `subject`, `time_s`, one for each signal as in `csv_file`, and covariates, which are constant over the
rows of a subject.
"""

import functools
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.compute
import pyarrow.parquet

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import folders
from cap_jax.data.sources.csv_file import SUBJECT
from cap_jax.types import DataError

_REMEDY = "save it again as a Parquet file"


def _read(path: pathlib.Path, subject: Any, name: str, channels: Mapping[str, str]) -> recordings.Recording:
  where = f"{path}: subject {name}"
  with datasets.reading(where, _REMEDY, name):
    schema = pyarrow.parquet.read_schema(path)
    _check_size(path)
    columns = [column for column in schema.names if _is_number(schema.field(column).type) and column != SUBJECT]
    table = pyarrow.parquet.read_table(path, columns=columns, filters=pyarrow.compute.field(SUBJECT) == subject)
    numbers = {column: table[column].cast("float64", safe=False).to_numpy() for column in columns}
  if recordings.TIME in schema.names and recordings.TIME not in numbers:
    kind = schema.field(recordings.TIME).type
    raise DataError(str(path), f"column {recordings.TIME} contains {kind}", "save it as seconds", name)
  if recordings.TIME not in numbers:
    present = ", ".join(schema.names[:8])
    raise DataError(str(path), f"column {recordings.TIME} is missing (found: {present})", "rename the column", name)
  signal_by_column = {**recordings.COLUMNS, **channels}
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
    column: wave for column, wave in numbers.items() if column not in signal_by_column and column != recordings.TIME
  }
  # a column that is constant over all rows is a covariate of the subject
  covariates = {column: float(value_t[0]) for column, value_t in rest.items() if value_t.size and np.ptp(value_t) == 0}
  return recordings.make(name, path.stem, where, numbers[recordings.TIME], signals, covariates=covariates)


def _check_size(path: pathlib.Path) -> None:
  """Checks the size of a table's content.

  Raises:
    DataError: the content is far too large for the file.
  """
  metadata = pyarrow.parquet.read_metadata(path)
  folders.check_size(str(path), 8.0 * metadata.num_rows * metadata.num_columns)


def _name(subject: Any) -> str:
  """Returns the name of a subject; whole numbers that pandas converted to floats become whole again."""
  return f"{subject:.0f}" if isinstance(subject, float) and subject.is_integer() else str(subject)


def _is_number(kind: pyarrow.DataType) -> bool:
  return pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind)


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
      with datasets.reading(str(file), _REMEDY):
        if SUBJECT not in pyarrow.parquet.read_schema(file).names:
          raise DataError(str(file), f"column {SUBJECT} is missing", "add the subject of each row")
        _check_size(file)
        column = pyarrow.parquet.read_table(file, columns=[SUBJECT])[SUBJECT]
        subjects = {
          _name(value): value for value in column.unique().to_pylist() if value is not None and value == value
        }
      if not subjects:
        raise DataError(str(file), "contains no rows with a subject", "add rows, or remove the file")
    except DataError as error:
      listed.append(error)
      continue
    for name, value in sorted(subjects.items()):
      read = functools.partial(_read, file, value, name, channels or {})
      listed.append(datasets.Entry(name, file.stem, f"{file}: subject {name}", read))
  if not listed:
    raise DataError(str(path), "no .parquet file found", "check --path")
  return datasets.of_the_user("parquet", listed, path, channels)
