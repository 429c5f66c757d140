"""The user's own tables in CSV: one file, or a folder of them.

A file has `time_s` and a column for each signal: `radial_pressure_mmhg`, `aortic_root_pressure_mmhg`, `digital_ppg`,
`femoral_velocity_m_s`, `aortic_root_flow_ml_s`. Other columns are left alone. A folder has `subjects.csv`, with `subject`
and what is known of each (`age`, `cuff_sbp_mmhg`, …), and `<subject>.csv` a subject:

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
  """The header.

  Raises:
    DataError: no table, or a name that stands twice.
  """
  with datasets.reading(str(path), _REMEDY):
    if path.is_dir():
      raise DataError(str(path), "is a folder", "give the CSV file itself")
    _check_text(path)
    try:
      header = pandas.read_csv(path, header=None, nrows=1, dtype=str, skipinitialspace=True)
    except pandas.errors.EmptyDataError as error:
      raise DataError(str(path), "the file is empty", f"it needs a header such as {recordings.TIME},…") from error
  names = [str(name).strip() for name in header.iloc[0]]
  if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
    raise DataError(str(path), "the columns are not separated by commas", "save it as a comma-separated table")
  return names


def _check_text(path: pathlib.Path) -> None:
  """Raises:
  DataError: the file has a byte that no text has, at which numbers would be cut off, or a header without end."""
  with open(path, "rb") as file:
    if file.readline(1 << 20).count(b",") >= _MOST_COLUMNS:
      raise DataError(str(path), f"has more than {_MOST_COLUMNS} columns", "keep the clock and the signals")
    file.seek(0)
    while block := file.read(1 << 20):
      if b"\0" in block:
        raise DataError(str(path), "holds NUL bytes, which no text does", "fetch the file again")


def _column(path: pathlib.Path, names: Sequence[str], name: str) -> int:
  """Position of a column.

  Raises:
    DataError: it is missing, or there twice.
  """
  if names.count(name) > 1:
    raise DataError(str(path), f"column {name} stands twice in the header", "keep one")
  if name not in names:
    raise DataError(str(path), f"column {name} is missing (found: {', '.join(names[:8])})", "rename the column")
  return names.index(name)


def table(path: pathlib.Path, names: Sequence[str], wanted: Sequence[str], texts: bool = False) -> pandas.DataFrame:
  """Some columns of a file, those alone.

  Args:
    names: its header.
    wanted: the columns.
    texts: whether they may hold other than numbers.

  Raises:
    DataError: a column is missing, doubled or holds a word, or there are no rows.
  """
  places = {_column(path, names, name): name for name in wanted}
  with datasets.reading(str(path), _REMEDY), warnings.catch_warnings():
    warnings.simplefilter("ignore", pandas.errors.ParserWarning)  # commas behind the last column
    found = pandas.read_csv(
      path, header=None, skiprows=1, names=range(len(names)), usecols=sorted(places), index_col=False,
      dtype=str if texts else None, low_memory=False, skipinitialspace=True, **number_parsing.PRECISION,
    )  # fmt: skip
  if found.empty:
    raise DataError(str(path), "the file holds a header but no rows", "add a row for each sample")
  found = found.rename(columns=places)
  return found if texts else found.apply(lambda column: _numbers(path, column))


def _numbers(path: pathlib.Path, column: pandas.Series) -> pandas.Series:
  if column.dtype.kind in "fiub":
    return column.astype(float)
  numbers = pandas.Series(number_parsing.numbers(column), index=column.index, name=column.name)
  lost = column.notna() & numbers.isna()
  if lost.any():
    row = int(np.flatnonzero(lost.to_numpy())[0])
    problem = f"column {column.name}, data row {row + 1}: {column.iloc[row]!r} is not a number"
    raise DataError(str(path), problem, "leave a missing value empty")
  return numbers


def _check_end(path: pathlib.Path, names: Sequence[str]) -> None:
  """Raises:
  DataError: the file ends in the middle of a row, as one that was not fetched whole."""
  with datasets.reading(str(path), _REMEDY), open(path, "rb") as file:
    file.seek(max(path.stat().st_size - _TAIL, 0))
    end = file.read()
  if end and not end.endswith((b"\n", b"\r")) and end.splitlines()[-1].count(b",") < len(names) - 1:
    raise DataError(str(path), "ends in the middle of a row", "fetch the file again, or take the row out")


def _read(
  path: pathlib.Path, subject: str, covariates: Mapping[str, float], channels: Mapping[str, str]
) -> recordings.Recording:
  names = _names(path)
  clock = next((name for name, signal in channels.items() if signal == recordings.TIME), recordings.TIME)
  known = {**recordings.COLUMNS, **{name: signal for name, signal in channels.items() if name != clock}}
  wanted = [name for name in dict.fromkeys(names) if name in known]
  for name in (clock, *channels):
    _column(path, names, name)
  _check_end(path, names)
  if not wanted:
    raise DataError(
      str(path),
      f"no column is a signal (found: {', '.join(names[:8])})",
      "rename one to SITE_pressure_mmhg or SITE_ppg, such as radial_pressure_mmhg",
    )
  given = [known[name] for name in wanted]
  twice = [name for name in wanted if given.count(known[name]) > 1]
  if twice:
    raise DataError(str(path), f"columns {' and '.join(twice)} are both {known[twice[0]]}", "change --channels")
  found = table(path, names, [clock, *wanted])
  recordings.check_clock(found[clock].to_numpy(), f"{path}: column {clock}")
  signals = {known[name]: found[name].to_numpy() for name in wanted}
  return recordings.make(subject, path.stem, str(path), found[clock].to_numpy(), signals, covariates=covariates)


def _folder(root: pathlib.Path, channels: Mapping[str, str]) -> list[datasets.Entry | DataError]:
  path = root / SUBJECTS
  if not path.is_file():
    raise DataError(str(path), "no such file", "a folder of CSV files needs it: a column subject, and a row a subject")
  folders.check_within(root, path)
  names = _names(path)
  known = table(path, names, list(dict.fromkeys(names)), texts=True)
  _column(path, names, SUBJECT)
  listed: list[datasets.Entry | DataError] = []
  seen: dict[str, int] = {}
  for row, (_, values) in enumerate(known.iterrows(), start=1):
    subject, where = str(values[SUBJECT]).strip(), f"{path}: data row {row}"
    file = root / f"{subject}.csv"
    try:
      if subject in ("", "nan"):
        raise DataError(where, "the subject has no name", "name it")
      if subject in seen:
        problem = f"the subject stands in data row {seen[subject]} already"
        raise DataError(where, problem, "give each subject one row", subject)
      seen[subject] = row
      folders.check_within(root, file)
      if not folders.is_file(file):
        raise DataError(str(file), "no such file", f"add it, or take the subject out of {SUBJECTS}", subject)
      known_of = {str(name): number_parsing.number(value) for name, value in values.drop(SUBJECT).items()}
      covariates = {name: value for name, value in known_of.items() if value == value}
      read = functools.partial(_read, file, subject, covariates, channels)
      listed.append(datasets.Entry(subject, subject, str(file), read))
    except DataError as error:
      listed.append(error)
  return listed


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """A CSV file, whose name is the subject, or a folder with `subjects.csv`.

  Args:
    channels: column → signal, for columns of other names.

  Raises:
    DataError: there is nothing of the kind at `path`.
  """
  root = pathlib.Path(path)
  if root.is_dir():
    listed = _folder(root, channels or {})
  elif root.is_file():
    read = functools.partial(_read, root, root.stem, {}, channels or {})
    listed = [datasets.Entry(root.stem, root.stem, str(root), read)]
  else:
    raise DataError(str(path), "no such file or folder", "give a CSV file, or a folder with subjects.csv")
  entries, lost = datasets.gather(listed)
  return datasets.DataSet(
    name="csv",
    entries=entries,
    source="the user's own",
    licence="the user's own",
    path=str(path),
    channels=channels,
    lost=lost,
  )
