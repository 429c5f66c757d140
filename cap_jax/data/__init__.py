"""Data sets by name, each a file that returns recordings of the one schema."""

from collections.abc import Callable
from typing import Any

from cap_jax.data import csv_file, virtual, wfdb_record

DATASETS: dict[str, Callable[..., Any]] = {
  "virtual": virtual.load,
  "csv": csv_file.load,
  "wfdb": wfdb_record.load,
}
