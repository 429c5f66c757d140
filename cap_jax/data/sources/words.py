"""Words of a table → numbers. By hand, and with `PRECISION` where pandas reads a table: its own readers of numbers (2.3) end the whole process
at an exponent of ten digits."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

PRECISION: Literal["round_trip"] = "round_trip"  # Python's reader, of `pandas.read_csv`


def number(word: object) -> float:
  """A word as a number; NaN of what is none."""
  try:
    return float("nan") if isinstance(word, str) and "_" in word else float(word)  # type: ignore[arg-type]
  except (TypeError, ValueError, OverflowError):
    return float("nan")


def numbers(words: Iterable[object]) -> np.ndarray:
  """(word,) numbers."""
  return np.array([number(word) for word in words], dtype=float)
