"""A CSV file with `time_s` and `<site>_pressure_mmhg` columns → one recording."""

import os
import warnings
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas

from cap_jax.data import recordings
from cap_jax.types import InputError

TIME = "time_s"


def column_of(site: str) -> str:
  """Name of the column that holds a site's wave."""
  return recordings.PPG if site == recordings.PPG else f"{site}_pressure_mmhg"


def _header(path: str | os.PathLike[str], wanted: str) -> list[str]:
  header = pandas.read_csv(path, header=None, nrows=1, dtype=str, skipinitialspace=True)
  names = [str(name).strip() for name in header.iloc[0]]
  if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
    raise InputError(f"{path}: the columns are not separated by commas; save it as a comma-separated table")
  for name in (TIME, wanted):
    if names.count(name) > 1:
      raise InputError(f"{path}: column {name} stands twice in the header; keep one")
    if name not in names:
      remedy = "rename the column" + ("" if name == TIME else " or change --site")
      raise InputError(f"{path}: column {name} is missing (found: {', '.join(names[:8])}); {remedy}")
  return names


def _read(path: str | os.PathLike[str], wanted: str) -> pandas.DataFrame:
  try:
    names = _header(path, wanted)
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", pandas.errors.ParserWarning)  # commas behind the last column
      table = pandas.read_csv(path, header=None, skiprows=1, names=range(len(names)), index_col=False, low_memory=False)
  except FileNotFoundError:
    raise InputError(f"{path}: no such file; --input takes a CSV file or a WFDB record") from None
  except IsADirectoryError:
    raise InputError(f"{path}: is a folder; give the CSV file itself") from None
  except pandas.errors.EmptyDataError:
    raise InputError(f"{path}: the file is empty; it needs a header {TIME},{wanted} and rows below it") from None
  except (pandas.errors.ParserError, UnicodeDecodeError) as error:
    reason = str(error).strip().splitlines()[0]
    raise InputError(f"{path}: cannot be read ({reason}); save it as a comma-separated UTF-8 table") from None
  except OSError as error:
    raise InputError(f"{path}: cannot be read ({error.strerror})") from None
  table.columns = pandas.Index(names)
  return table


def _numbers(path: str | os.PathLike[str], table: pandas.DataFrame, name: str) -> np.ndarray:
  numbers = pandas.to_numeric(table[name], errors="coerce").to_numpy(dtype=float)
  words = table[name].notna().to_numpy() & np.isnan(numbers)
  if words.any():
    row = int(np.flatnonzero(words)[0])
    raise InputError(
      f"{path}: column {name}, data row {row + 1}: {table[name].iloc[row]!r} is not a number; leave a missing value empty"
    )
  return np.where(np.isfinite(numbers), numbers, np.nan)


def load(
  path: str | os.PathLike[str], site: str, others: Mapping[str, str] = MappingProxyType({})
) -> recordings.Recording:
  """Reads the wave of a site.

  Args:
    path: a CSV file with a header.
    site: one of `recordings.SITES`; its column is `<site>_pressure_mmhg`, or `ppg`.
    others: column → unit, to be read as well where the file has them; they become signals of their own name.

  Raises:
    InputError: no such file, not a table, a column missing or not numeric, a clock that does not increase, or values
      that are no pressure in mmHg.
  """
  recordings.check_site(site)
  wanted = column_of(site)
  table = _read(path, wanted)
  if table.empty:
    raise InputError(f"{path}: the file holds a header but no rows; add a row for each sample")
  columns = {name: _numbers(path, table, name) for name in (TIME, wanted)}
  recordings.check_clock(columns[TIME], f"{path}: column {TIME}")
  if site != recordings.PPG:
    recordings.check_pressure(columns[wanted], f"{path}: column {wanted}")
  signals = {site: columns[wanted], **{name: _numbers(path, table, name) for name in others if name in table}}
  units = {site: "1" if site == recordings.PPG else "mmHg", **others}
  return recordings.Recording(
    os.path.basename(str(path)), columns[TIME], signals, {name: units[name] for name in signals}
  )
