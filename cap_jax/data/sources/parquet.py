"""The user's own table in Parquet, in long form: `subject`, `time_s`, a column for each signal as in `csv_file`, and columns
of what is known of a subject, the same in each of its rows. A file, or a folder of them."""

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

_REMEDY = "write it again with a Parquet writer"


def _read(path: pathlib.Path, subject: Any, name: str, channels: Mapping[str, str]) -> recordings.Recording:
  where = f"{path}: subject {name}"
  with datasets.reading(where, _REMEDY, name):
    schema = pyarrow.parquet.read_schema(path)
    _check_size(path)
    wanted = [column for column in schema.names if _is_number(schema.field(column).type) and column != SUBJECT]
    table = pyarrow.parquet.read_table(path, columns=wanted, filters=pyarrow.compute.field(SUBJECT) == subject)
    numbers = {column: table[column].cast("float64", safe=False).to_numpy() for column in wanted}
  if recordings.TIME in schema.names and recordings.TIME not in numbers:
    kind = schema.field(recordings.TIME).type
    raise DataError(str(path), f"column {recordings.TIME} holds {kind}", "write it as seconds", name)
  if recordings.TIME not in numbers:
    found = ", ".join(schema.names[:8])
    raise DataError(str(path), f"column {recordings.TIME} is missing (found: {found})", "rename the column", name)
  known = {**recordings.COLUMNS, **channels}
  words = [column for column in schema.names if column in known and column not in numbers]
  if words:
    kind = schema.field(words[0]).type
    raise DataError(str(path), f"column {words[0]} holds {kind}, no numbers", "write it as numbers", name)
  signals: dict[str, np.ndarray] = {}
  for column in numbers:
    if column in known and known[column] in signals:
      raise DataError(where, f"column {column} is {known[column]} as well", "change --channels", name)
    if column in known:
      signals[known[column]] = numbers[column]
  rest = {column: wave for column, wave in numbers.items() if column not in known and column != recordings.TIME}
  # what is the same in all rows is a property of the subject
  covariates = {column: float(value_t[0]) for column, value_t in rest.items() if value_t.size and np.ptp(value_t) == 0}
  return recordings.make(name, path.stem, where, numbers[recordings.TIME], signals, covariates=covariates)


def _check_size(path: pathlib.Path) -> None:
  """Raises:
  DataError: the table swells."""
  told = pyarrow.parquet.read_metadata(path)
  folders.check_size(str(path), 8.0 * told.num_rows * told.num_columns, path)


def _name(subject: Any) -> str:
  """A subject's name; a number that pandas made a float of is a whole one again."""
  return f"{subject:.0f}" if isinstance(subject, float) and subject.is_integer() else str(subject)


def _is_number(kind: pyarrow.DataType) -> bool:
  return pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind)


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """A Parquet file, or a folder of them.

  Args:
    channels: column → signal, for columns of other names.

  Raises:
    DataError: there is nothing of the kind at `path`.
  """
  listed: list[datasets.Entry | DataError] = []
  for file in folders.find(path, "*.parquet"):
    if isinstance(file, DataError):
      listed.append(file)
      continue
    try:
      with datasets.reading(str(file), _REMEDY):
        if SUBJECT not in pyarrow.parquet.read_schema(file).names:
          raise DataError(str(file), f"column {SUBJECT} is missing", "add it: whose row it is")
        _check_size(file)
        column = pyarrow.parquet.read_table(file, columns=[SUBJECT])[SUBJECT]
        subjects = {
          _name(value): value for value in column.unique().to_pylist() if value is not None and value == value
        }
      if not subjects:
        raise DataError(str(file), "has no rows of a subject", "add rows, or take the file away")
    except DataError as error:
      listed.append(error)
      continue
    for name, value in sorted(subjects.items()):
      read = functools.partial(_read, file, value, name, channels or {})
      listed.append(datasets.Entry(name, file.stem, f"{file}: subject {name}", read))
  entries, lost = datasets.gather(listed)
  if not entries and not lost:
    raise DataError(str(path), "no .parquet file there", "look at --path")
  return datasets.DataSet(
    name="parquet",
    entries=entries,
    source="the user's own",
    licence="the user's own",
    path=str(path),
    channels=channels,
    lost=lost,
  )
