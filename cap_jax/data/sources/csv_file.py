"""The user's own tables in CSV: one file, or a folder of them.

A file has `time_s` and a column for each signal: `radial_pressure_mmhg`, `aortic_root_pressure_mmhg`, `digital_ppg`,
`femoral_velocity_m_s`, `aortic_root_flow_ml_s`. Other columns are ignored. A folder has `subjects.csv`, with `subject`
and the covariates of each (`age`, `cuff_sbp_mmhg`, …), and one `<subject>.csv` for each subject:

    subjects.csv            P01.csv
    subject,age             time_s,radial_pressure_mmhg,aortic_root_pressure_mmhg
    P01,63                  0.000,78.1,80.2
    P02,71                  0.008,78.0,80.1
"""

import functools
import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import folders, number_parsing
from cap_jax.types import DataError

SUBJECTS, SUBJECT = "subjects.csv", "subject"
_TAIL = 1 << 16  # bytes
_MOST_COLUMNS = 10_000
_REMEDY = "save it as a comma-separated UTF-8 table"


def _names(path: pathlib.Path) -> list[str]:
  """Reads the header.

  Raises:
    DataError: the file is no comma-separated table.
  """
  with datasets.reading(str(path), _REMEDY):
    if path.is_dir():
      raise DataError(str(path), "is a folder", "pass a CSV file")
    _check_text(path)
    try:
      header = pandas.read_csv(path, header=None, nrows=1, dtype=str, skipinitialspace=True)
    except pandas.errors.EmptyDataError as error:
      raise DataError(str(path), "the file is empty", f"add a header such as {recordings.TIME},…") from error
  names = [str(name).strip() for name in header.iloc[0]]
  if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
    raise DataError(str(path), "the columns are not separated by commas", "save it as a comma-separated table")
  return names


def _check_text(path: pathlib.Path) -> None:
  """Checks that a file is text.

  Raises:
    DataError: the file contains NUL bytes, at which numbers would be cut off, or has too many columns.
  """
  with open(path, "rb") as file:
    if file.readline(1 << 20).count(b",") >= _MOST_COLUMNS:
      raise DataError(str(path), f"has more than {_MOST_COLUMNS} columns", "keep only the clock and the signals")
    file.seek(0)
    while block := file.read(1 << 20):
      if b"\0" in block:
        raise DataError(str(path), "contains NUL bytes, so it is not a text file", "download the file again")


def _column(path: pathlib.Path, names: Sequence[str], name: str) -> int:
  """Returns the position of a column.

  Raises:
    DataError: the column is missing or occurs twice.
  """
  if names.count(name) > 1:
    raise DataError(str(path), f"duplicate column {name} in the header", "remove one")
  if name not in names:
    raise DataError(str(path), f"column {name} is missing (found: {', '.join(names[:8])})", "rename the column")
  return names.index(name)


def table(path: pathlib.Path, names: Sequence[str], columns: Sequence[str], texts: bool = False) -> pandas.DataFrame:
  """Reads some columns of a file.

  Args:
    path: the file.
    names: its header.
    columns: names of the columns to read.
    texts: whether to read cells as text instead of numbers.

  Returns:
    The columns, by name.

  Raises:
    DataError: a column is missing, occurs twice or contains a word, or there are no rows.
  """
  places = {_column(path, names, name): name for name in columns}
  with datasets.reading(str(path), _REMEDY), warnings.catch_warnings():
    warnings.simplefilter("ignore", pandas.errors.ParserWarning)  # trailing commas
    frame = pandas.read_csv(
      path, header=None, skiprows=1, names=range(len(names)), usecols=sorted(places), index_col=False,
      dtype=str if texts else None, low_memory=False, skipinitialspace=True, **number_parsing.PRECISION,
    )  # fmt: skip
  if frame.empty:
    raise DataError(str(path), "the file contains a header but no rows", "add a row for each sample")
  frame = frame.rename(columns=places)
  return frame if texts else frame.apply(lambda column: _parse_column(path, column))


def _parse_column(path: pathlib.Path, column: pandas.Series) -> pandas.Series:
  if column.dtype.kind in "fiub":
    return column.astype(float)
  numbers = pandas.Series(number_parsing.parse_cells(column), index=column.index, name=column.name)
  lost = column.notna() & numbers.isna()
  if lost.any():
    row = int(np.flatnonzero(lost.to_numpy())[0])
    problem = f"column {column.name}, data row {row + 1}: {column.iloc[row]!r} is not a number"
    raise DataError(str(path), problem, "leave missing values empty")
  return numbers


def _check_end(path: pathlib.Path, names: Sequence[str]) -> None:
  """Checks that the last row is complete.

  Raises:
    DataError: the file ends in the middle of a row, as after an incomplete download.
  """
  with datasets.reading(str(path), _REMEDY), open(path, "rb") as file:
    file.seek(max(path.stat().st_size - _TAIL, 0))
    end = file.read()
  if end and not end.endswith((b"\n", b"\r")) and end.splitlines()[-1].count(b",") < len(names) - 1:
    raise DataError(str(path), "ends in the middle of a row", "download the file again, or remove the row")


def _read(
  path: pathlib.Path, subject: str, covariates: Mapping[str, float], channels: Mapping[str, str]
) -> recordings.Recording:
  names = _names(path)
  clock = next((name for name, signal in channels.items() if signal == recordings.TIME), recordings.TIME)
  signal_by_column = {**recordings.COLUMNS, **{name: signal for name, signal in channels.items() if name != clock}}
  columns = [name for name in dict.fromkeys(names) if name in signal_by_column]
  for name in (clock, *channels):
    _column(path, names, name)
  _check_end(path, names)
  if not columns:
    raise DataError(
      str(path),
      f"no column is named after a signal (found: {', '.join(names[:8])})",
      "rename one to SITE_pressure_mmhg or SITE_ppg, such as radial_pressure_mmhg",
    )
  signal_names = [signal_by_column[name] for name in columns]
  twice = [name for name in columns if signal_names.count(signal_by_column[name]) > 1]
  if twice:
    raise DataError(
      str(path), f"columns {' and '.join(twice)} both map to {signal_by_column[twice[0]]}", "change --channels"
    )
  frame = table(path, names, [clock, *columns])
  recordings.check_clock(frame[clock].to_numpy(), f"{path}: column {clock}")
  signals = {signal_by_column[name]: frame[name].to_numpy() for name in columns}
  return recordings.make(subject, path.stem, str(path), frame[clock].to_numpy(), signals, covariates=covariates)


def _folder(root: pathlib.Path, channels: Mapping[str, str]) -> list[datasets.Entry | DataError]:
  path = root / SUBJECTS
  if not path.is_file():
    raise DataError(str(path), "no such file", "add this file with a column subject and one row per subject")
  folders.check_within(root, path)
  names = _names(path)
  subjects = table(path, names, list(dict.fromkeys(names)), texts=True)
  _column(path, names, SUBJECT)
  listed: list[datasets.Entry | DataError] = []
  row_of_subject: dict[str, int] = {}
  for row, (_, values) in enumerate(subjects.iterrows(), start=1):
    subject, where = str(values[SUBJECT]).strip(), f"{path}: data row {row}"
    file = root / f"{subject}.csv"
    try:
      if subject in ("", "nan"):
        raise DataError(where, "the subject has no name", "add a name")
      if subject in row_of_subject:
        problem = f"duplicate subject, first in data row {row_of_subject[subject]}"
        raise DataError(where, problem, "keep one row per subject", subject)
      row_of_subject[subject] = row
      folders.check_within(root, file)
      if not folders.is_file(file):
        raise DataError(str(file), "no such file", f"add the file, or remove the subject from {SUBJECTS}", subject)
      parsed = {str(name): number_parsing.number(value) for name, value in values.drop(SUBJECT).items()}
      covariates = {name: value for name, value in parsed.items() if value == value}
      read = functools.partial(_read, file, subject, covariates, channels)
      listed.append(datasets.Entry(subject, subject, str(file), read))
    except DataError as error:
      listed.append(error)
  return listed


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists a CSV file, whose name is the subject, or a folder with `subjects.csv`.

  Args:
    path: the file or folder.
    channels: column → signal, for columns of other names.

  Returns:
    The data set.

  Raises:
    DataError: `path` contains no such data.
  """
  root = pathlib.Path(path)
  if root.is_dir():
    listed = _folder(root, channels or {})
  elif root.is_file():
    read = functools.partial(_read, root, root.stem, {}, channels or {})
    listed = [datasets.Entry(root.stem, root.stem, str(root), read)]
  else:
    raise DataError(str(path), "no such file or folder", "pass a CSV file, or a folder with subjects.csv")
  return datasets.of_the_user("csv", listed, path, channels)
