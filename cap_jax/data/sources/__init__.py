"""Data sets by name. Each is a module whose `load(path, channels)` lists records without reading them."""

import functools
from collections.abc import Callable
from typing import Any

from cap_jax import extras
from cap_jax.data.datasets import DataSet


def _load(module: str, *args: Any, **options: Any) -> DataSet:
  """Imports a reader when its data set is read; some readers need packages of their own.

  Raises:
    InputError: such a package is not installed; or see the reader.
  """
  return extras.load(f"{__name__}.{module}").load(*args, **options)


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
