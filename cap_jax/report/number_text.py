"""Texts of many numbers at once, as `repr` writes each: the shortest that is read as the same number."""

from collections.abc import Sequence

import numpy as np

_THOUSANDTHS = np.array([f".{k:03d}" for k in range(1000)], dtype="S4")
_SHORT = np.array([f".{k:03d}".rstrip("0") if k else ".0" for k in range(1000)], dtype="S4")
_MILLIONTHS = np.array([f"{k:03d}".rstrip("0") for k in range(1000)], dtype="S3")
_EXACT = 1e15  # of numbers with 15 digits, each is the shortest text of another float
_MOST = 1 << 17  # texts of a table
_SMALLEST = 1e-4  # smaller numbers are written with an exponent


def _fixed(scaled: np.ndarray, per_unit: int) -> list[np.ndarray]:
  """Returns the texts of scaled numbers in parts, one for the digits before the point and one or two for those after it.

  Args:
    scaled: (number,) finite whole numbers.
    per_unit: what they are scaled by, 1,000 or 1,000,000.
  """
  digits = np.abs(scaled).astype(np.int64)
  whole = digits // per_unit
  rest = (digits - per_unit * whole).astype(np.int32)
  first, last = int(whole.min()), int(whole.max())
  if last - first > _MOST:
    names, place = np.unique(whole, return_inverse=True)
  else:
    names, place = np.arange(first, last + 1), whole - first
  texts = [str(name) for name in names.tolist()]
  if np.signbit(scaled).any():
    texts, place = texts + [f"-{text}" for text in texts], place + len(texts) * np.signbit(scaled)
  before = np.array(texts, dtype="S")[place]
  if per_unit == 1000:
    return [before, _SHORT[rest]]
  thousandths = rest // 1000
  millionths = rest - 1000 * thousandths
  if not millionths.any():
    return [before, _SHORT[thousandths]]
  return [before, np.where(millionths > 0, _THOUSANDTHS[thousandths], _SHORT[thousandths]), _MILLIONTHS[millionths]]


def rounded(value: np.ndarray) -> list[np.ndarray]:
  """Returns the texts of numbers rounded to three decimals, in parts; empty for NaN.

  Args:
    value: (number,) below 10¹² in magnitude.
  """
  known = ~np.isnan(value)
  if known.all() and value.size:
    return _fixed(np.rint(value * 1000), 1000)
  if not known.any():
    return [np.zeros(value.size, dtype="S1")]
  return [np.where(known, part, b"") for part in _fixed(np.rint(np.where(known, value, 0) * 1000), 1000)]


def exact(value: np.ndarray) -> list[np.ndarray]:
  """Returns the texts of finite numbers, in parts.

  Args:
    value: (number,) at least one.
  """
  size = np.abs(value)
  per_unit = 1_000_000 if size.max() * 1e6 < _EXACT else 1000
  scaled = np.rint(value * per_unit)
  short = size.max() * per_unit < _EXACT and not ((size > 0) & (size < _SMALLEST)).any()
  if short and np.array_equal(scaled / per_unit, value):
    return _fixed(scaled, per_unit)
  return [np.array([repr(number) for number in value.tolist()], dtype="S")]


def rows(columns: Sequence[Sequence[np.ndarray]]) -> bytes:
  """Returns lines of cells with commas between them.

  Args:
    columns: the texts of each column, in parts, each (line,).
  """
  parts: list[np.ndarray | bytes] = []
  for column in columns:
    parts += [*column, b","]
  parts[-1] = b"\n"
  fields = [(f"f{k}", "S1" if isinstance(part, bytes) else part.dtype) for k, part in enumerate(parts)]
  lines = np.empty(len(columns[0][0]), dtype=fields)
  for (name, _), part in zip(fields, parts, strict=True):
    lines[name] = part
  characters = lines.view(np.uint8)
  return characters[characters != 0].tobytes()  # a text shorter than its field ends in NUL
