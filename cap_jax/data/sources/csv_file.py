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

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from cap_jax.data import datasets, recordings, signal_names
from cap_jax.data.sources import csv_table, folders, number_parsing, text_blocks
from cap_jax.data.sources.csv_table import SUBJECT, SUBJECTS
from cap_jax.types import DataError

_PERSON = {one + end for one in (SUBJECT, "patient", "participant", "case") for end in ("", "_id", "id")}


def _read_numbers(
  path: pathlib.Path, names: Sequence[str], columns: Sequence[str], dialect: csv_table.Dialect
) -> tuple[dict[str, np.ndarray], int]:
  """Reads some columns of a file as numbers.

  Args:
    path: the file.
    names: its header.
    columns: names of the columns to read.
    dialect: how it is written.

  Returns:
    Name → (row,), without rows in which all of these cells are empty; and the number of comments after the header.

  Raises:
    DataError: a column is missing, occurs twice or contains a word, there are no rows, or too many.
  """
  places = csv_table.find_columns(path, names, columns)
  with datasets.reading(str(path), csv_table.REMEDY):
    most = text_blocks.count(path, dialect.encoding)
    folders.check_size(str(path), 8 * most * len(columns))
    numbers, count, any_line = {name: np.empty(most) for name in columns}, 0, False
    lines = csv_table.rows(path, names, dialect)
    for block in lines:
      any_line = True
      parsed = _parse(path, block, names, places, dialect, count)
      size = len(parsed[columns[0]])
      for name in columns:
        numbers[name][count : count + size] = parsed[name]
      count += size
  if not any_line:
    raise csv_table.no_rows(path)
  return {name: column[:count] for name, column in numbers.items()}, lines.comments


def _parse(
  path: pathlib.Path,
  block: bytes,
  names: Sequence[str],
  places: Mapping[int, str],
  dialect: csv_table.Dialect,
  before: int,
) -> dict[str, np.ndarray]:
  """Returns name → (row,) of a block of lines, without rows in which all cells are empty.

  Args:
    path: the file, for messages.
    block: the lines.
    names: the header.
    places: position → name of the columns.
    dialect: how the table is written.
    before: number of the rows before the block.

  Raises:
    DataError: a cell is not a number.
  """
  columns = number_parsing.fixed_point(block, len(names), list(places), dialect.delimiter, dialect.decimal)
  if columns is None:
    from cap_jax.data.sources import csv_cells  # imports pandas

    return csv_cells.parse(path, csv_cells.read(block, names, places, dialect, texts=False), before, dialect.decimal)
  empty = np.logical_and.reduce([np.isnan(column) for column in columns])
  if empty.any():
    columns = [column[~empty] for column in columns]
  return dict(zip(places.values(), columns, strict=True))


def _read(
  path: pathlib.Path, subject: str, covariates: Mapping[str, float], channels: Mapping[str, str]
) -> recordings.Recording:
  known = {*signal_names.COLUMNS, signal_names.TIME, *channels}
  names, dialect = csv_table.read_header(path, known)
  others = ",".join(signal_names.in_other_units(names))
  if not known.intersection(names):
    problem = f"no column has a known name (the first line has {csv_table.shown(names)})"
    remedy = (
      "map the columns with --channels=NAME:time_s,NAME:radial,NAME:aortic_root (without the last if no aortic wave was measured); "
      "lines before the line with these names are skipped"
    )
    if others:
      remedy = f"state their units: --channels={others}"
    raise DataError(str(path), problem, remedy)
  clock, signal_by_column, missing = _chosen(path, names, channels)
  columns = [name for name in dict.fromkeys(names) if name in signal_by_column]
  with datasets.reading(str(path), csv_table.REMEDY):
    text_blocks.check_end(path, dialect.encoding, dialect.delimiter, len(names))
  if not columns:
    raise DataError(
      str(path),
      f"no column is named after a signal (found: {csv_table.shown(names)})",
      f"state their units: --channels={others}"
      if others
      else "rename one to SITE_pressure_mmhg, such as radial_pressure_mmhg or digital_pressure_mmhg (a finger's), or digital_ppg; or map one "
      "to where it was measured: --channels=NAME:SITE, with SITE radial, brachial, digital, femoral, carotid, digital_ppg or aortic_root",
    )
  read = [signal_by_column[name] for name in columns]
  twice = [name for name in columns if read.count(signal_by_column[name]) > 1]
  if twice:
    raise DataError(
      str(path), f"columns {' and '.join(twice)} both map to {signal_by_column[twice[0]]}", "change --channels"
    )
  persons = {k: name for k, name in enumerate(names) if name.strip().lower() in _PERSON}
  if persons:
    from cap_jax.data.sources import csv_cells  # imports pandas

    with datasets.reading(str(path), csv_table.REMEDY):
      csv_cells.check_one_person(path, names, persons, dialect)
  numbers, comments = _read_numbers(path, names, [clock, *columns], dialect)
  numbers[clock] = signal_names.seconds(numbers[clock], channels.get(clock, signal_names.TIME))
  recordings.check_clock(recordings.with_digits(numbers[clock]), f"{path}: column {clock}")
  signals = {signal_by_column[name]: numbers[name] for name in columns}
  recording = recordings.make(subject, path.stem, str(path), numbers[clock], signals, covariates=covariates)
  unread = tuple(
    name for name in dict.fromkeys(names) if name and name not in (clock, *columns) and name.lower() not in _PERSON
  )
  return dataclasses.replace(recording, notes=(*dialect.notes(comments), *missing, *recording.notes), unread=unread)


def _chosen(
  path: pathlib.Path, names: Sequence[str], channels: Mapping[str, str]
) -> tuple[str, dict[str, str], list[str]]:
  """Returns the column of the clock, column → signal, and remarks on what the user named and this file lacks.

  A signal may have several names, the user's and the usual one, since files differ; each file has one of them.

  Raises:
    DataError: a file has none of them, and the signal is not the aortic wave, without which a record is an unlabelled one.
  """
  remarks = []
  for signal in dict.fromkeys((signal_names.TIME, *channels.values())):
    usual = signal if signal == signal_names.TIME else signal_names.column_of(signal)
    mapped = [name for name, other in channels.items() if other == signal]
    choices = [*mapped, usual]
    found = next((name for name in choices if name in names), "")
    if signal == signal_names.TIME:
      clock = found or choices[0]
    if found == usual and mapped and usual not in mapped:
      remarks.append(f"{usual} was read, as there is no column {' or '.join(mapped)}")
    if signal == "aortic_root" and not found:
      remarks.append(f"no column {' or '.join(mapped)}: without an aortic wave, the record is an unlabelled one")
    else:
      csv_table.find_column(path, names, found or choices[0], signal)
  waves = {name: signal for name, signal in channels.items() if signal != signal_names.TIME}
  return clock, {**signal_names.COLUMNS, **waves}, remarks


def _files(root: pathlib.Path, channels: Mapping[str, str]) -> list[datasets.Entry | DataError]:
  """Lists the tables of a folder without `subjects.csv`; the name of each is its subject."""
  listed = [
    file
    if isinstance(file, DataError)
    else datasets.Entry(file.stem, file.stem, str(file), functools.partial(_read, file, file.stem, {}, channels))
    for file in folders.find(root, "*.csv")
  ]
  if not listed:
    raise DataError(
      str(root), "contains no CSV file", "check --path, save spreadsheets as CSV, or choose another --format"
    )
  return listed


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
    from cap_jax.data.sources import csv_subjects  # imports pandas

    listed, notes = csv_subjects.find(root, functools.partial(_read, channels=channels or {}))
  elif os.path.lexists(root):
    folders.check_regular(root)
    read = functools.partial(_read, root, root.stem, {}, channels or {})
    listed = [datasets.Entry(root.stem, root.stem, str(root), read)]
  else:
    raise DataError(str(path), "no such file or folder", "check the path")
  notes += csv_table.spreadsheets(root) if root.is_dir() else []
  return datasets.of_the_user("csv", listed, path, channels, notes)
