"""Data sets by name. Each is a module whose `load(path, channels)` lists records without reading them."""

import functools
from collections.abc import Callable
from typing import Any

from cap_jax import extras
from cap_jax.data.datasets import DataSet
from cap_jax.data.sources import folders
from cap_jax.types import DataError


def _load(module: str, *args: Any, **options: Any) -> DataSet:
  """Imports a reader when its data set is read; some readers need packages of their own.

  Raises:
    InputError: such a package is not installed; the path has control characters or cannot be reached; or see the
      reader.
  """
  path = str(args[0] if args else options.get("path", ""))
  if not folders.is_plain(path):
    raise DataError(path[:200], "contains control characters", "rename the file or folder")
  try:
    return extras.load(f"{__name__}.{module}").load(*args, **options)
  except OSError as error:
    problem = f"cannot be reached ({error.strerror or error})"
    raise DataError(path[:200], problem, "check its name and its permissions") from error


_READERS = {
  "virtual": "virtual",
  "nonlinear": "nonlinear",
  "csv": "csv_file",
  "parquet": "parquet",
  "npz": "arrays",
  "wfdb": "wfdb_files",
  "pwdb": "pwdb",
  "vitaldb": "vital",
  "pulsedb": "pulsedb",
  "uci": "uci",
  "aurora_bp": "aurora_bp",
  "mcl": "mcl",
}
DATASETS: dict[str, Callable[..., DataSet]] = {
  name: functools.partial(_load, module) for name, module in _READERS.items()
}
