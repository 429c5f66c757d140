"""Parses the cells of a table as numbers, each as the nearest float."""

import contextlib
from collections.abc import Iterable, Sequence

import numpy as np

_LARGEST = 2.0**53  # below it, floats hold all integers
_POWERS = 10.0 ** np.arange(23)  # exact, as their factors of five fit into a float
_WORDS = {b"nan": np.nan, b"inf": np.inf, b"-inf": -np.inf}  # as NumPy writes them
_LETTERS = b"nafi"


def fixed_point(block: bytes, width: int, places: Sequence[int], delimiter: str, point: str) -> list[np.ndarray] | None:
  """Parses columns of plain numbers, such as −78.125, several times as fast as a parser of any number.

  The digits of a number without its point, and the power of ten below them, are exact floats, so their ratio is the float
  nearest to the number.

  Args:
    block: lines of cells without quotes.
    width: number of columns.
    places: which of them to parse.
    delimiter: between cells.
    point: decimal mark.

  Returns:
    Each column, (line,), NaN for an empty cell; None if the lines are of another kind or length.
  """
  mark, dot = delimiter.encode(), point.encode()
  plain = b"0123456789-\n" + mark + dot
  words: dict[float, np.ndarray] = {}
  if block.translate(None, plain):
    if block.translate(None, plain + _LETTERS):
      return None
    block, words = _without_words(block, mark)
    if block.translate(None, plain):
      return None
  characters = np.frombuffer(block, np.uint8)
  at = np.flatnonzero((characters == ord(mark)) | (characters == ord(dot)) | (characters == ord("\n")))
  is_dot, is_line = characters[at] == ord(dot), characters[at] == ord("\n")
  ends = np.flatnonzero(~is_dot)  # of cells
  lines = np.count_nonzero(is_line)
  if ends.size != lines * width or not is_line[ends[width - 1 :: width]].all() or (is_dot[1:] & is_dot[:-1]).any():
    return None
  has_dot = is_dot[ends - 1]
  decimals = np.where(has_dot, at[ends] - at[ends - 1] - 1, 0)
  length = np.diff(at[ends], prepend=-1) - 1 - has_dot  # without the point
  empty = length == 0
  digits = np.frombuffer(block.translate(bytes.maketrans(mark + b"\n", b",,"), dot), np.uint8)
  minus = np.flatnonzero(digits == ord("-"))
  begins = (minus == 0) | (digits[minus - 1] == ord(","))
  if not (begins & (digits[minus + 1] >= ord("0"))).all() or has_dot[empty].any() or decimals.max() >= _POWERS.size:
    return None
  if empty.any():
    digits = np.insert(digits, (np.cumsum(length + 1) - 1)[empty], ord("0"))
  integers = np.fromstring(digits.tobytes(), np.int64, sep=",")  # the largest for what is beyond
  if integers.max() >= _LARGEST or integers.min() <= -_LARGEST:
    return None
  numbers = np.where(empty, np.nan, integers / _POWERS[decimals])
  for value, cells in words.items():
    numbers[cells] = value
  return [numbers.reshape(lines, width)[:, place] for place in places]


def _without_words(block: bytes, mark: bytes) -> tuple[bytes, dict[float, np.ndarray]]:
  """Empties the cells that are one of `_WORDS`. Returns the lines, and value → (cell,)."""
  characters = np.frombuffer(block, np.uint8)
  ends = np.flatnonzero((characters == ord(mark)) | (characters == ord("\n")))
  starts = np.append(0, ends[:-1] + 1)
  kept, cells_of_value = np.ones(characters.size, bool), {}
  for word, value in _WORDS.items():
    cells = np.flatnonzero(ends - starts == len(word))
    places = starts[cells, None] + np.arange(len(word))
    is_word = (characters[places] == np.frombuffer(word, np.uint8)).all(axis=1)
    kept[places[is_word]] = False
    cells_of_value[value] = cells[is_word]
  return characters[kept].tobytes(), cells_of_value


def number(cell: object) -> float:
  """Returns a cell as a number, NaN if it is none."""
  try:
    return float("nan") if isinstance(cell, str) and "_" in cell else float(cell)  # type: ignore[arg-type]
  except (TypeError, ValueError, OverflowError):
    return float("nan")


def parse_cells(values: Iterable[object]) -> np.ndarray:
  """Returns (value,) numbers, NaN where a cell is none."""
  cells = list(values)
  if not any(isinstance(cell, str) and "_" in cell for cell in cells):
    with contextlib.suppress(TypeError, ValueError, OverflowError):
      return np.array(cells, dtype=object).astype(float)
  return np.fromiter(map(number, cells), dtype=float)
