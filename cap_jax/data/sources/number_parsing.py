"""Parses the cells of a table as numbers. Where pandas reads a table, pass it `PRECISION`.

The default number parsers of pandas 2.3 abort the whole process at an exponent of ten digits. Those of 3.1 do not, and
there the option no longer exists.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas

# options of `pandas.read_csv` that select Python's number parser
PRECISION: dict[str, Any] = (
  {} if tuple(int(part) for part in pandas.__version__.split(".")[:2]) >= (3, 1) else {"float_precision": "round_trip"}
)


def number(cell: object) -> float:
  """Returns a cell as a number, NaN if it is none."""
  try:
    return float("nan") if isinstance(cell, str) and "_" in cell else float(cell)  # type: ignore[arg-type]
  except (TypeError, ValueError, OverflowError):
    return float("nan")


def parse_cells(values: Iterable[object]) -> np.ndarray:
  """Returns (value,) numbers, NaN where a cell is none."""
  return np.fromiter(map(number, values), dtype=float)
