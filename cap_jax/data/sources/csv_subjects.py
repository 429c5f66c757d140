"""The table of subjects in a folder of CSV files."""

import functools
import os
import pathlib
from collections.abc import Callable, Collection, Mapping

import pandas

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import csv_cells, csv_table, folders, number_parsing
from cap_jax.data.sources.csv_table import SUBJECT, SUBJECTS
from cap_jax.signals import calibration
from cap_jax.types import DataError

_KNOWN = ("age", "hr_bpm", *calibration.CUFF[:2])
_NUMERIC = ("age", "hr_bpm", *calibration.CUFF, *calibration.CATHETER)  # columns that networks read
Read = Callable[[pathlib.Path, str, Mapping[str, float]], recordings.Recording]


def _normalised(root: pathlib.Path, subject: str) -> str:
  """Returns the shortest of the names that a subject's file has in a folder: P01 for ./P01."""
  try:
    return os.path.relpath(root / subject, root)
  except ValueError:  # not a file name
    return subject


def find(root: pathlib.Path, read: Read) -> tuple[list[datasets.Entry | DataError], list[str]]:
  """Lists the subjects of `subjects.csv`. Returns them, and remarks on the cells that are no numbers.

  Args:
    root: the folder.
    read: path, subject and covariates → the record.
  """
  path = root / SUBJECTS
  folders.check_found(root, path)
  names, dialect = csv_table.read_header(path, {SUBJECT})
  subjects = csv_cells.read_texts(path, names, dialect)
  csv_table.find_column(path, names, SUBJECT)
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
        alike = [one.stem for one in root.glob("*.csv") if one.stem.lower() == subject.lower()]
        remedy = (
          f"write the subject as {alike[0]} in {SUBJECTS}"
          if alike
          else f"add the file, or remove the subject from {SUBJECTS}"
        )
        raise DataError(str(file), "no such file", remedy, subject)
      folders.check_found(root, file)
      covariates = {str(name): value for name, value in parsed.iloc[row - 1].items() if value == value}
      listed.append(datasets.Entry(subject, subject, str(file), functools.partial(read, file, subject, covariates)))
    except DataError as error:
      listed.append(error)
  return listed, [
    *_unparsed_cells(path, subjects, parsed), *_unknown_covariates(parsed), *_unnamed_files(root, row_of_subject)
  ]  # fmt: skip


def _unknown_covariates(parsed: pandas.DataFrame) -> list[str]:
  """Returns a remark on covariates whose names say nothing to networks and reports."""
  unknown = [str(name) for name in parsed if name not in _NUMERIC and parsed[name].notna().any()]
  if not unknown:
    return []
  return [
    f"{SUBJECTS}: no packaged network and no report reads {csv_table.shown(unknown)}; they read {', '.join(_KNOWN)}"
  ]


def _unnamed_files(root: pathlib.Path, named: Collection[str]) -> list[str]:
  """Returns a remark on tables in a folder that `subjects.csv` does not name."""
  tables = [file.name for file in sorted(root.iterdir()) if file.suffix.lower() == ".csv" and file.name != SUBJECTS]
  unnamed = [name for name in tables if not (name.endswith(".csv") and name.removesuffix(".csv") in named)]
  if not unnamed:
    return []
  some = ", ".join(unnamed[:3]) + (", …" if len(unnamed) > 3 else "")
  ending = "" if all(name.endswith(".csv") for name in unnamed) else ", and end their names in .csv"
  count = f"{len(unnamed)} tables are" if len(unnamed) > 1 else "1 table is"
  return [
    f"{count} not named in {SUBJECTS} and {'were' if len(unnamed) > 1 else 'was'} not read ({some}); add a row for each{ending}"
  ]


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
