"""The user's own tables in CSV: one file, or a folder of them.

A file has `time_s` and a column for each signal: `radial_pressure_mmhg`, `aortic_root_pressure_mmhg`, `digital_ppg`,
`femoral_velocity_m_s`, `aortic_root_flow_ml_s`. Other columns are ignored, and so are lines before the header and
lines that begin with # or %. A folder has one `<subject>.csv` for each subject, and may have `subjects.csv`, with
`subject` and the covariates of each (`age`, `cuff_sbp_mmhg`, …):

    subjects.csv            P01.csv
    subject,age             time_s,radial_pressure_mmhg,aortic_root_pressure_mmhg
    P01,63                  0.000,78.1,80.2
    P02,71                  0.008,78.0,80.1
"""

import codecs
import collections
import dataclasses
import functools
import io
import math
import os
import pathlib
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import folders, number_parsing, text_blocks
from cap_jax.signals import calibration
from cap_jax.types import DataError

SUBJECTS, SUBJECT = "subjects.csv", "subject"
_PERSON = {one + end for one in (SUBJECT, "patient", "participant", "case") for end in ("", "_id", "id")}
_HEAD = 1 << 16  # bytes
_SUBJECT_BYTES, _CELL_BYTES = (
  10_000,
  100,
)  # that a row of `subjects.csv` counts for, and each of its cells; seconds of work
_REMEDY = "save it as a table of UTF-8 text"
_AGAIN = "download the file again"
_BINARY = {".dat": "pass the name of a WFDB record without .dat", ".mat": "read MATLAB files with --format=npz"}
_DELIMITERS = ",;\t"
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_CLOCK_TIME = re.compile(r"\d:\d\d|\d[./-]\d{1,2}[./-]\d|\d\s*[AP]M$", re.IGNORECASE)  # a time of day or a date
_COMMA_NUMBER = re.compile(r"[+-]?\d[\d.]*,\d+")
_COMMENT = ("#", "%")
_SHOWN = 60  # characters of a cell or a name in a message
_NUMERIC = ("age", "hr_bpm", *calibration.CUFF, *calibration.CATHETER)  # columns that networks read
_UNITS = {"s", "sec", "ms", "min", "mmhg", "kpa", "torr", "v", "mv", "au", "a.u.", "hz", "ml/s", "m/s", "1", "-"}


@dataclasses.dataclass(frozen=True)
class Dialect:
  """How a table is written.

  Attributes:
    encoding: of the text.
    delimiter: between cells.
    decimal: decimal mark.
    preamble: number of lines before the header.
    header: number of lines of the header; a name may stand in several.
  """

  encoding: str = "utf-8-sig"
  delimiter: str = ","
  decimal: str = "."
  preamble: int = 0
  header: int = 1

  @property
  def options(self) -> dict[str, Any]:
    """Options of `pandas.read_csv` for blocks of the table."""
    options: dict[str, Any] = {"sep": self.delimiter, "decimal": self.decimal, "skip_blank_lines": False}
    return {"header": None, "skipinitialspace": True, **options}

  def notes(self, comments: int) -> tuple[str, ...]:
    """Returns what of the file is skipped.

    Args:
      comments: number of lines after the header that are comments.
    """
    before = self.preamble
    return ((f"skipped {_line_count(before)} before the header",) if before else ()) + (
      (f"skipped {_line_count(comments)} of comments",) if comments else ()
    )


def _line_count(count: int) -> str:
  return f"{count} line{'' if count == 1 else 's'}"


def _header_names(line: str) -> list[str]:
  """Returns the cells of a header, which may begin with a comment sign, as `numpy.savetxt` writes it."""
  return [cell.strip().strip('"').lower() for cell in re.split(r"[,;\t]", line.lstrip("".join(_COMMENT)))]


def _shown(names: Sequence[str]) -> str:
  """Returns the first names of a header for a message."""
  return ", ".join(name[:_SHOWN] for name in names[:8])


def _dialect(path: pathlib.Path, known: Collection[str]) -> Dialect:
  """Returns the dialect of a table, from its first lines; the header is the first line with a known name."""
  head = text_blocks.head(path, _HEAD)
  encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
  lines = io.StringIO(head.decode(encoding, errors="replace"), newline=None).read().split("\n")
  names = {name.lower() for name in known}
  known_names = [len(names.intersection(_header_names(line))) for line in lines]
  header = known_names.index(max(known_names))  # the first of the lines with most known names
  line = lines[header]
  delimiter = max(_DELIMITERS, key=line.count) if line else ","
  rows = [row for row in lines[header + 1 : header + 40] if not row.lstrip().startswith(_COMMENT)]
  cells = [cell.strip() for row in rows for cell in row.split(delimiter)]
  decimal = "," if delimiter != "," and any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells) else "."
  return Dialect(encoding, delimiter, decimal, header)


def _names(path: pathlib.Path, known: Collection[str]) -> tuple[list[str], Dialect]:
  """Reads the header. Returns it, and the dialect of the table.

  Raises:
    DataError: the file is not a table of text.
  """
  with datasets.reading(str(path), _REMEDY):
    dialect = _dialect(path, known)
    if dialect.encoding != "utf-16":
      text_blocks.check_text(path, _BINARY.get(path.suffix, _AGAIN))
    header, lines = text_blocks.header(path, dialect.encoding, dialect.preamble)
    dialect = dataclasses.replace(dialect, header=lines)
    if header.count(dialect.delimiter.encode()) >= text_blocks.MOST_COLUMNS:
      problem = f"has more than {text_blocks.MOST_COLUMNS} columns"
      raise DataError(str(path), problem, "keep only the clock and the signals")
    try:
      cells = pandas.read_csv(io.BytesIO(header), nrows=1, dtype=str, **dialect.options)
    except pandas.errors.EmptyDataError as error:
      raise DataError(str(path), "the file is empty", f"add a header such as {recordings.TIME},…") from error
  names = [str(name).strip() for name in cells.iloc[0]]
  return [names[0].lstrip("".join(_COMMENT)).strip(), *names[1:]], dialect


def _column(path: pathlib.Path, names: Sequence[str], name: str) -> int:
  """Returns the position of a column.

  Raises:
    DataError: the column is missing or occurs twice.
  """
  if names.count(name) > 1:
    raise DataError(str(path), f"duplicate column {name} in the header", "remove one")
  if name not in names:
    as_signal = name if name == recordings.TIME else recordings.COLUMNS.get(name, "SIGNAL")
    remedy = f"rename the column, or map another one: --channels=NAME:{as_signal}"
    raise DataError(str(path), f"column {name} is missing (found: {_shown(names)})", remedy)
  return names.index(name)


def table(
  path: pathlib.Path, names: Sequence[str], columns: Sequence[str], dialect: Dialect, texts: bool = False
) -> pandas.DataFrame:
  """Reads some columns of a file.

  Args:
    path: the file.
    names: its header.
    columns: names of the columns to read.
    dialect: how it is written.
    texts: whether to read cells as text instead of numbers.

  Returns:
    The columns, by name. `attrs["comments"]` is the number of comments after the header.

  Raises:
    DataError: a column is missing, occurs twice or contains a word, there are no rows, or too many.
  """
  counts = collections.Counter(names)
  places = {names.index(name) if counts[name] == 1 else _column(path, names, name): name for name in columns}
  with datasets.reading(str(path), _REMEDY):
    most = text_blocks.count(path, dialect.encoding)
    if texts:
      _check_cells(path, most, len(columns))
    else:
      folders.check_size(str(path), 8 * most * len(columns))
    rows = text_blocks.Rows(
      path=path, encoding=dialect.encoding, delimiter=dialect.delimiter, skip=dialect.preamble + dialect.header,
      columns=len(names),
    )  # fmt: skip
    blocks: list[pandas.DataFrame] = []
    numbers, count, lines = [np.empty(0 if texts else most) for _ in columns], 0, 0
    for block in rows:
      frame = _numbers(block, names, places, dialect) if not texts else None
      frame = _cells(block, names, places, dialect, texts) if frame is None else frame
      lines += len(frame)
      frame = frame.dropna(how="all")
      if texts:
        blocks.append(frame)
      else:
        for name, column in zip(columns, numbers, strict=True):
          column[count : count + len(frame)] = _parse_column(path, frame[name], count)
      count += len(frame)
  if not lines:
    raise DataError(str(path), "the file contains a header but no rows", "add a row for each sample")
  if texts:
    result = pandas.concat(blocks, ignore_index=True)
  else:
    filled = {name: column[:count] for name, column in zip(columns, numbers, strict=True)}
    result = pandas.DataFrame(filled, copy=False)
  result.attrs["comments"] = rows.comments
  return result


def _check_cells(path: pathlib.Path, rows: int, columns: int) -> None:
  """Checks that a table of texts is not too large.

  Raises:
    DataError: it is.
  """
  size, most = rows * (_SUBJECT_BYTES + columns * _CELL_BYTES), folders.most_bytes()
  if size > most:
    remedy = f"split it, or set the environment variable {folders.MOST_GB}={math.ceil(size / 1e9)} if it is sound"
    raise DataError(str(path), f"has {rows} rows of {columns} columns, above the limit of {most / 1e9:g} GB", remedy)


def _numbers(
  block: bytes, names: Sequence[str], places: Mapping[int, str], dialect: Dialect
) -> pandas.DataFrame | None:
  """Returns columns of plain numbers of a block of lines, None if it has other cells."""
  columns = number_parsing.fixed_point(block, len(names), list(places), dialect.delimiter, dialect.decimal)
  return None if columns is None else pandas.DataFrame(dict(zip(places.values(), columns, strict=True)), copy=False)


def _cells(
  block: bytes, names: Sequence[str], places: Mapping[int, str], dialect: Dialect, texts: bool
) -> pandas.DataFrame:
  """Returns columns of a block of lines, as text or as pandas understands them."""
  options = {**dialect.options, **number_parsing.PRECISION, "dtype": str if texts else None, "low_memory": False}
  widest = dialect.delimiter * (len(names) - 1) + "\n"  # all rows of a block may lack the last cells
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", pandas.errors.ParserWarning)  # trailing commas
    frame: pandas.DataFrame = pandas.read_csv(
      io.BytesIO(widest.encode() + block), names=range(len(names)), usecols=sorted(places), index_col=False, **options
    )
  return frame.iloc[1:].rename(columns=places)


def _parse_column(path: pathlib.Path, column: pandas.Series, before: int) -> np.ndarray:
  """Returns a column of a block as numbers.

  Args:
    path: the file, for messages.
    column: its cells.
    before: number of the rows before the block.

  Raises:
    DataError: a cell is not a number.
  """
  if column.dtype.kind in "fiub":
    return column.to_numpy(dtype=float)
  numbers = number_parsing.parse_cells(column)
  lost = column.notna().to_numpy() & np.isnan(numbers)
  if lost.any():
    row = int(np.flatnonzero(lost)[0])
    cell = str(column.iloc[row]).strip()[:_SHOWN]
    problem, remedy = (
      f"column {str(column.name)[:_SHOWN]}, data row {before + row + 1}: {cell!r} is not a number",
      "leave missing values empty",
    )
    if not before + row and cell.strip("[]()").lower() in _UNITS:
      remedy = "it is a unit: remove the row of units, and name the unit in --channels or in the column"
    elif cell == column.name:
      remedy = "it is a second header: remove the row"
    elif _COMMA_NUMBER.fullmatch(cell):
      remedy = "it has a decimal comma: save the table with semicolons between the columns, or with decimal points"
    elif _CLOCK_TIME.search(cell):
      remedy = "it is a time of day or a date: convert the column to seconds"
    raise DataError(str(path), problem, remedy)
  return numbers


def _check_one_person(path: pathlib.Path, names: Sequence[str], dialect: Dialect) -> None:
  """Checks that the columns of a record that name a person name one.

  Raises:
    DataError: one names several, whose waves would be taken for those of one.
  """
  places = {k: name for k, name in enumerate(names) if name.strip().lower() in _PERSON}
  rows = text_blocks.Rows(
    path=path, encoding=dialect.encoding, delimiter=dialect.delimiter, skip=dialect.preamble + dialect.header,
    columns=len(names),
  )  # fmt: skip
  first: dict[str, str] = {}
  for block in rows if places else ():
    for name, column in _cells(block, names, places, dialect, texts=True).items():
      for value in column.dropna().unique():
        if value != first.setdefault(str(name), value):
          problem = f"column {str(name)[:_SHOWN]} has several persons, such as {first[str(name)][:_SHOWN]!r} and {value[:_SHOWN]!r}"
          raise DataError(str(path), problem, "write one file for each")


def _read(
  path: pathlib.Path, subject: str, covariates: Mapping[str, float], channels: Mapping[str, str]
) -> recordings.Recording:
  known = {*recordings.COLUMNS, recordings.TIME, *channels}
  names, dialect = _names(path, known)
  if not known.intersection(names):
    problem = f"no column has a known name (the first line has {_shown(names)})"
    remedy = (
      "map the columns with --channels=NAME:time_s,NAME:radial; lines before the line with these names are skipped"
    )
    raise DataError(str(path), problem, remedy)
  clock = next((name for name, signal in channels.items() if signal == recordings.TIME), recordings.TIME)
  signal_by_column = {**recordings.COLUMNS, **{name: signal for name, signal in channels.items() if name != clock}}
  columns = [name for name in dict.fromkeys(names) if name in signal_by_column]
  for name in (clock, *channels):
    _column(path, names, name)
  with datasets.reading(str(path), _REMEDY):
    text_blocks.check_end(path, dialect.encoding, dialect.delimiter, len(names))
  if not columns:
    raise DataError(
      str(path),
      f"no column is named after a signal (found: {_shown(names)})",
      "rename one to SITE_pressure_mmhg, such as radial_pressure_mmhg or digital_pressure_mmhg (a finger's), or digital_ppg; or map one "
      "to where it was measured: --channels=NAME:SITE, with SITE radial, brachial, digital, femoral, carotid or digital_ppg",
    )
  signal_names = [signal_by_column[name] for name in columns]
  twice = [name for name in columns if signal_names.count(signal_by_column[name]) > 1]
  if twice:
    raise DataError(
      str(path), f"columns {' and '.join(twice)} both map to {signal_by_column[twice[0]]}", "change --channels"
    )
  with datasets.reading(str(path), _REMEDY):
    _check_one_person(path, names, dialect)
  frame = table(path, names, [clock, *columns], dialect)
  time_s = recordings.with_digits(frame[clock].to_numpy())
  recordings.check_clock(time_s, f"{path}: column {clock}")
  signals = {signal_by_column[name]: frame[name].to_numpy() for name in columns}
  recording = recordings.make(subject, path.stem, str(path), frame[clock].to_numpy(), signals, covariates=covariates)
  return dataclasses.replace(recording, notes=(*dialect.notes(frame.attrs["comments"]), *recording.notes))


def _files(root: pathlib.Path, channels: Mapping[str, str]) -> list[datasets.Entry | DataError]:
  """Lists the tables of a folder without `subjects.csv`; the name of each is its subject."""
  listed = [
    file
    if isinstance(file, DataError)
    else datasets.Entry(file.stem, file.stem, str(file), functools.partial(_read, file, file.stem, {}, channels))
    for file in folders.find(root, "*.csv")
  ]
  if not listed:
    raise DataError(str(root), "contains no CSV file", "check --path, or choose another --format")
  return listed


def _normalised(root: pathlib.Path, subject: str) -> str:
  """Returns the shortest of the names that a subject's file has in a folder: P01 for ./P01."""
  try:
    return os.path.relpath(root / subject, root)
  except ValueError:  # not a file name
    return subject


def _folder(root: pathlib.Path, channels: Mapping[str, str]) -> tuple[list[datasets.Entry | DataError], list[str]]:
  """Lists the subjects of `subjects.csv`. Returns them, and remarks on the cells that are no numbers."""
  path = root / SUBJECTS
  folders.check_found(root, path)
  names, dialect = _names(path, {SUBJECT})
  subjects = table(path, names, list(dict.fromkeys(names)), dialect, texts=True)
  _column(path, names, SUBJECT)
  listed: list[datasets.Entry | DataError] = []
  row_of_subject: dict[str, int] = {}
  cells = subjects.drop(columns=SUBJECT)
  if dialect.decimal == "," or dialect.delimiter != ",":
    cells = cells.map(lambda cell: cell.replace(",", ".") if isinstance(cell, str) else cell)
  parsed = cells.map(number_parsing.number)
  for row, (_, values) in enumerate(subjects.iterrows(), start=1):
    written, where = str(values[SUBJECT]).strip(), f"{path}: data row {row}"
    subject = _normalised(root, written)
    file = root / f"{subject}.csv"
    try:
      if written in ("", "nan"):
        raise DataError(where, "the subject has no name", "add a name")
      if subject in row_of_subject:
        other = "" if written == subject else f"{written!r} is a "
        problem = f"{other}duplicate subject, first in data row {row_of_subject[subject]}"
        raise DataError(where, problem, "keep one row per subject", subject)
      row_of_subject[subject] = row
      if not os.path.lexists(file) and folders.is_plain(str(file)):
        folders.check_within(root, file)
        raise DataError(str(file), "no such file", f"add the file, or remove the subject from {SUBJECTS}", subject)
      folders.check_found(root, file)
      covariates = {str(name): value for name, value in parsed.iloc[row - 1].items() if value == value}
      read = functools.partial(_read, file, subject, covariates, channels)
      listed.append(datasets.Entry(subject, subject, str(file), read))
    except DataError as error:
      listed.append(error)
  return listed, [*_unparsed_cells(path, subjects, parsed), *_unnamed_files(root, row_of_subject)]


def _unnamed_files(root: pathlib.Path, named: Collection[str]) -> list[str]:
  """Returns a remark on tables in a folder that `subjects.csv` does not name."""
  tables = [file.name for file in sorted(root.iterdir()) if file.suffix.lower() == ".csv" and file.name != SUBJECTS]
  unnamed = [name for name in tables if not (name.endswith(".csv") and name.removesuffix(".csv") in named)]
  if not unnamed:
    return []
  some = ", ".join(unnamed[:3]) + (", …" if len(unnamed) > 3 else "")
  return [f"{len(unnamed)} tables are not named in {SUBJECTS} and were not read ({some}); names end in .csv"]


def _unparsed_cells(path: pathlib.Path, subjects: pandas.DataFrame, parsed: pandas.DataFrame) -> list[str]:
  """Returns remarks on columns of `subjects.csv` that have words where numbers are expected."""
  notes = []
  for name in parsed:
    lost = subjects[name].notna() & parsed[name].isna()
    if lost.any() and (parsed[name].notna().any() or name in _NUMERIC):
      cells = ", ".join(
        f"{subject}: {cell!r}" for subject, cell in subjects.loc[lost, [SUBJECT, name]].head(3).itertuples(index=False)
      )
      notes.append(
        f"{path}: {lost.sum()} of {len(lost)} cells of {name} are not numbers and were left out ({cells}); "
        "write them as plain numbers, such as 71.5"
      )
  return notes


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists a CSV file, whose name is the subject, or a folder of them, with or without `subjects.csv`.

  Args:
    path: the file or folder.
    channels: column → signal, for columns of other names.

  Returns:
    The data set.

  Raises:
    DataError: `path` contains no such data.
  """
  root = pathlib.Path(path)
  notes: list[str] = []
  if root.is_dir() and not os.path.lexists(root / SUBJECTS):
    listed, notes = _files(root, channels or {}), [f"no {SUBJECTS}: each file is a subject, without covariates"]
  elif root.is_dir():
    listed, notes = _folder(root, channels or {})
  elif os.path.lexists(root):
    folders.check_regular(root)
    read = functools.partial(_read, root, root.stem, {}, channels or {})
    listed = [datasets.Entry(root.stem, root.stem, str(root), read)]
  else:
    raise DataError(str(path), "no such file or folder", "pass a CSV file, or a folder of CSV files")
  return datasets.of_the_user("csv", listed, path, channels, notes)
