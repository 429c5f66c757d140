"""The user's own table in Parquet, in long form: `subject`, `time_s`, a column for each signal as in `csv_file`, and columns
of what is known of a subject, the same in each of its rows. A file, or a folder of them."""

import functools
import os
import pathlib
from collections.abc import Mapping

import numpy as np
import pyarrow.compute
import pyarrow.parquet

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import folders
from cap_jax.data.sources.csv_file import SUBJECT
from cap_jax.types import DataError

_REMEDY = "write it again with a Parquet writer"


def _read(path: pathlib.Path, subject: str, channels: Mapping[str, str]) -> recordings.Recording:
  where = f"{path}: subject {subject}"
  with datasets.reading(where, _REMEDY, subject):
    rows = pyarrow.compute.field(SUBJECT).cast("string") == subject
    table = pyarrow.parquet.read_table(path, filters=rows)
    numbers = {
      name: table[name].cast("float64").to_numpy() for name in table.column_names if _is_number(table[name].type)
    }
  if recordings.TIME not in numbers:
    found = ", ".join(table.column_names[:8])
    raise DataError(str(path), f"column {recordings.TIME} is missing (found: {found})", "rename the column", subject)
  known = {**recordings.COLUMNS, **channels}
  signals = {known[name]: wave for name, wave in numbers.items() if name in known}
  rest = {name: wave for name, wave in numbers.items() if name not in known and name != recordings.TIME}
  # what is the same in all rows is a property of the subject
  covariates = {name: float(value_t[0]) for name, value_t in rest.items() if value_t.size and np.ptp(value_t) == 0}
  return recordings.make(subject, path.stem, where, numbers[recordings.TIME], signals, covariates=covariates)


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
        column = pyarrow.parquet.read_table(file, columns=[SUBJECT])[SUBJECT]
        subjects = sorted(str(name) for name in column.unique().to_pylist() if name is not None)
    except DataError as error:
      listed.append(error)
      continue
    for subject in subjects:
      read = functools.partial(_read, file, subject, channels or {})
      listed.append(datasets.Entry(subject, file.stem, f"{file}: subject {subject}", read))
  entries, lost = datasets.gather(listed)
  if not entries and not lost:
    raise DataError(str(path), "no .parquet file there", "look at --path")
  return datasets.DataSet("parquet", entries, "the user's own", "the user's own", lost=lost)
