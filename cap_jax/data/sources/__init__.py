"""Data sets by name, each a file whose `load(path, channels)` lists records of the one schema and reads none of them yet."""

from collections.abc import Callable

from cap_jax.data.datasets import DataSet
from cap_jax.data.sources import (
  arrays,
  aurora_bp,
  csv_file,
  nonlinear,
  parquet,
  pulsedb,
  pwdb,
  uci,
  virtual,
  vital,
  wfdb_files,
)

DATASETS: dict[str, Callable[..., DataSet]] = {
  "virtual": virtual.load,
  "nonlinear": nonlinear.load,
  "csv": csv_file.load,
  "parquet": parquet.load,
  "npz": arrays.load,
  "wfdb": wfdb_files.load,
  "pwdb": pwdb.load,
  "vitaldb": vital.load,
  "pulsedb": pulsedb.load,
  "uci": uci.load,
  "aurora_bp": aurora_bp.load,
}
