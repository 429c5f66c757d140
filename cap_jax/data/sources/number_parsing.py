"""Words of a table → numbers. By hand, and with `PRECISION` where pandas reads a table: its own readers of numbers (2.3) end the whole process
at an exponent of ten digits. Those of 3.1 do not, and there the choice is gone."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas

# of `pandas.read_csv`: Python's reader
PRECISION: dict[str, Any] = (
  {} if tuple(int(part) for part in pandas.__version__.split(".")[:2]) >= (3, 1) else {"float_precision": "round_trip"}
)


def number(word: object) -> float:
  """A word as a number; NaN of what is none."""
  try:
    return float("nan") if isinstance(word, str) and "_" in word else float(word)  # type: ignore[arg-type]
  except (TypeError, ValueError, OverflowError):
    return float("nan")


def numbers(words: Iterable[object]) -> np.ndarray:
  """(word,) numbers."""
  return np.array([number(word) for word in words], dtype=float)
