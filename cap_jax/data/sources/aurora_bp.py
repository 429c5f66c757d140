"""Aurora-BP (Mieloszyk et al. 2022, IEEE JBHI 26, 2864): wrist tonometry and PPG at 500 Hz with the readings of a cuff.

`measurements_<protocol>.tsv` lists the measurements with `sbp`, `dbp` and the path of their waves, a table with the
columns `t`, `ekg`, `optical`, `pressure`. `participants.tsv` contains the ages. The tonometer is not calibrated: its
millibars are no arterial pressure until a cuff reading scales them. The optical signal rises with the pulse, as a PPG.
"""

import functools
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from cap_jax.data import datasets, recordings, signal_names
from cap_jax.data.sources import folders, number_parsing, tables
from cap_jax.types import DataError

CHANNELS: Mapping[str, str] = {"pressure": "radial", "optical": "radial_ppg"}
_REMEDY = "download the table again"


def _read(
  path: pathlib.Path, subject: str, record: str, covariates: Mapping[str, float], channels: Mapping[str, str]
) -> recordings.Recording:
  with datasets.reading(str(path), _REMEDY, subject):
    shape, names = tables.measure(path, "\t"), tables.header(path, "\t")
  wanted = ("t", *channels)
  missing = [name for name in wanted if name not in names]
  if missing:
    problem = f"no column {', '.join(missing)} (found: {', '.join(names[:12])})"
    raise DataError(str(path), problem, _REMEDY, subject)
  with datasets.reading(str(path), "omit the record", subject):
    places = sorted({names.index(name) for name in wanted})
    values = tables.numbers(path, places, shape, "\t")
    columns = {name: values[places.index(names.index(name))] for name in wanted}
  waves = {signal: columns[name] for name, signal in channels.items()}
  units = {name: signal_names.UNCALIBRATED for name in waves if signal_names.is_pressure(name)}
  return recordings.make(subject, record, str(path), columns["t"], waves, units, covariates)


def _ages(root: pathlib.Path) -> dict[str, float]:
  file = folders.one(root, "participants.tsv")
  if file is None:
    return {}
  with datasets.reading(str(file), _REMEDY):
    table = tables.frame(file, ("pid", "age"), "\t")
  if not {"pid", "age"} <= set(table.columns):
    raise DataError(str(file), "columns pid and age are missing", _REMEDY)
  ages = number_parsing.parse_cells(table["age"])
  return {str(pid): float(age) for pid, age in zip(table["pid"], ages, strict=True) if np.isfinite(age)}


def _measurements(
  table: pathlib.Path, ages: Mapping[str, float], channels: Mapping[str, str]
) -> list[datasets.Entry | DataError]:
  needed = {"pid", "phase", "measurement", "sbp", "dbp", "waveform_file_path"}
  with datasets.reading(str(table), _REMEDY):
    rows = tables.frame(table, needed, "\t")
  if not needed <= set(rows.columns):
    raise DataError(str(table), f"no columns {', '.join(sorted(needed - set(rows.columns)))}", _REMEDY)
  folders.check_count(str(table), len(rows))
  for name in ("sbp", "dbp"):
    rows[name] = number_parsing.parse_cells(rows[name])
  listed: list[datasets.Entry | DataError] = []
  refusal = functools.cache(functools.partial(folders.refusal, table.parent))
  for row in rows.to_dict("records"):
    if not isinstance(row["waveform_file_path"], str):
      continue  # a measurement without waves
    path, subject = table.parent / os.path.normpath(row["waveform_file_path"]), str(row["pid"])
    record = f"{row['phase']}.{row['measurement']}".replace(" ", "_")
    cuff = {"cuff_sbp_mmhg": float(row["sbp"]), "cuff_dbp_mmhg": float(row["dbp"])}
    covariates = {"age": ages[subject]} if subject in ages else {}
    # a cuff that failed reads zero or nothing
    covariates |= {name: value for name, value in cuff.items() if np.isfinite(value) and value > 0}
    if not os.path.lexists(path):
      remedy = "unpack the waves into the folder of the table"
      listed.append(DataError(str(path)[:200], "no such file", remedy, subject))
    elif (error := refusal(path)) is not None:
      listed.append(error)
    else:
      read = functools.partial(_read, path, subject, record, covariates, dict(channels))
      listed.append(datasets.Entry(subject, record, str(path), read))
  return listed


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists the measurements of a folder.

  Args:
    path: folder with the tables of measurements and their waves.
    channels: column → signal.

  Returns:
    The data set.

  Raises:
    DataError: `path` contains no such data.
  """
  root = pathlib.Path(path)
  listed: list[datasets.Entry | DataError] = []
  tables = list(folders.find(root, "measurements_*.tsv"))
  for file in tables:
    try:
      if isinstance(file, DataError):
        raise file
      listed += _measurements(file, _ages(root), channels or CHANNELS)
    except DataError as error:
      listed.append(error)
  entries, lost = datasets.gather(listed)
  if not entries and not lost:
    raise DataError(str(path), "no measurements_*.tsv found", "check --path")
  return datasets.DataSet(
    name="aurora_bp", entries=entries, source="Aurora-BP (Mieloszyk et al. 2022, IEEE JBHI 26, 2864)", licence="Aurora-BP data use agreement", path=str(path), channels=channels,
    lost=lost,
  )  # fmt: skip
