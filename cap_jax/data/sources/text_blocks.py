"""Reads a table of text in blocks of whole lines, as UTF-8 with `\\n` between the lines, however large and broken it is."""

import codecs
import csv
import dataclasses
import os
from collections.abc import Iterator

import numpy as np

from cap_jax import files
from cap_jax.types import DataError

MOST_COLUMNS = 10_000
_BLOCK = 1 << 21  # bytes
_LONGEST = 1_000_000  # bytes of a line
_TAIL = 1 << 16  # bytes
_BOM = codecs.BOM_UTF8
_NEWLINE, _QUOTE, _BLANK, _COMMENT = (
  ord("\n"),
  ord('"'),
  np.frombuffer(b" \t", np.uint8),
  np.frombuffer(b"#%", np.uint8),
)


def head(path: str | os.PathLike[str], size: int) -> bytes:
  """Returns the first bytes of a file."""
  with open(files.regular(path), "rb") as file:
    return file.read(size)


def check_text(path: str | os.PathLike[str], remedy: str) -> None:
  """Checks that a file is text.

  Args:
    path: the file.
    remedy: what to do if it is not.

  Raises:
    DataError: the file contains NUL bytes, at which numbers would be cut off.
  """
  with open(files.regular(path), "rb") as file:
    while block := file.read(_BLOCK):
      if b"\0" in block:
        raise DataError(os.fspath(path), "contains NUL bytes, so it is not a text file", remedy)


def check_end(path: str | os.PathLike[str], encoding: str, delimiter: str, columns: int) -> None:
  """Checks that the last row of a table is complete.

  Args:
    path: the file.
    encoding: of the text; only UTF-8 is checked.
    delimiter: between cells.
    columns: number of names in the header.

  Raises:
    DataError: the file ends in the middle of a row, as after an incomplete download.
  """
  with open(files.regular(path), "rb") as file:
    file.seek(max(os.stat(file.fileno()).st_size - _TAIL, 0))
    end = file.read()
  if encoding == "utf-16" or not end or end.endswith((b"\n", b"\r")):
    return
  if end.splitlines()[-1].count(delimiter.encode()) < columns - 1:
    raise DataError(os.fspath(path), "ends in the middle of a row", "download the file again, or remove the row")


def _decoded(path: str | os.PathLike[str], encoding: str) -> Iterator[bytes]:
  """Yields the text of a file as UTF-8; any of the three line ends becomes `\\n`."""
  decoder = codecs.getincrementaldecoder(encoding)()
  pending, plain = b"", encoding != "utf-16"
  with open(files.regular(path), "rb") as file:
    while block := file.read(_BLOCK):
      text = block if plain and block.isascii() and decoder.getstate() == (b"", 0) else decoder.decode(block).encode()
      text = pending + text
      pending = b"\r" * text.endswith(b"\r")  # the other half of a line end may follow
      text = text[: len(text) - len(pending)]
      yield text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text
  yield decoder.decode(b"", final=True).encode() + b"\n" * len(pending)


def lines(path: str | os.PathLike[str], encoding: str) -> Iterator[bytes]:
  """Yields blocks of whole lines. A line end within a quoted cell does not end a block.

  Args:
    path: the file.
    encoding: of the text, "utf-8-sig" or "utf-16".

  Raises:
    DataError: a line is longer than a megabyte.
  """
  rest = b""
  for text in _decoded(path, encoding):
    text = rest + text
    end = text.rfind(b"\n") + 1
    if text.count(b'"', 0, end) % 2:
      # a single quote may stand for inches
      end = int(max(_whole(text[:end]), default=0)) or end * (len(text) > _BLOCK)
    rest = text[end:]
    if len(rest) > max(_LONGEST, _BLOCK * (b'"' in rest)):
      raise _too_long(path)
    if end:
      yield text[:end]
  if rest:
    yield rest + b"\n"


def _too_long(path: str | os.PathLike[str]) -> DataError:
  return DataError(os.fspath(path), f"has a line of more than {_LONGEST} bytes", "end each row with a line break")


def _whole(text: bytes) -> np.ndarray:
  """Returns the ends of the lines that no quoted cell continues, (line,)."""
  characters = np.frombuffer(text, np.uint8)
  ends = np.flatnonzero(characters == _NEWLINE)
  return ends[np.searchsorted(np.flatnonzero(characters == _QUOTE), ends) % 2 == 0] + 1


def header(path: str | os.PathLike[str], encoding: str, preamble: int) -> tuple[bytes, int]:
  """Returns the header of a table, and its number of lines: a name in quotes may stand in several.

  Args:
    path: the file.
    encoding: of the text, "utf-8-sig" or "utf-16".
    preamble: number of lines before it.

  Raises:
    DataError: a line is longer than a megabyte.
  """
  text = b""
  for block in lines(path, encoding):
    text += block
    if text.count(b"\n") > preamble:
      break
  text = text.split(b"\n", preamble)[-1][: _LONGEST + 1]
  end = int(next(iter(_whole(text)), text.find(b"\n") + 1))
  if text and not end:
    raise _too_long(path)
  return text[:end], max(text.count(b"\n", 0, end), 1)


def count(path: str | os.PathLike[str], encoding: str) -> int:
  """Returns about how many lines a file has besides comments; never less.

  Args:
    path: the file.
    encoding: of the text, "utf-8-sig" or "utf-16".
  """
  comments = (b"\n#", b"\n%")
  return 1 + sum(text.count(b"\n") - sum(map(text.count, comments)) for text in _decoded(path, encoding))


@dataclasses.dataclass(kw_only=True)
class Rows:
  """The lines of a table after its header.

  Attributes:
    path: the file.
    encoding: of the text, "utf-8-sig" or "utf-16".
    delimiter: between cells.
    skip: number of lines up to the header and with it.
    columns: number of names in the header.
    comments: number of comments that were left out so far.
  """

  path: str | os.PathLike[str]
  encoding: str
  delimiter: str
  skip: int
  columns: int
  comments: int = 0

  def __iter__(self) -> Iterator[bytes]:
    """Yields blocks of lines without comments.

    Raises:
      DataError: a row has more cells than the header has names, or a line is longer than a megabyte.
    """
    skip, before = self.skip, 0
    for block in lines(self.path, self.encoding):
      characters = np.frombuffer(block, np.uint8)
      ends = np.flatnonzero(characters == _NEWLINE)
      if skip >= ends.size:
        skip -= ends.size
        continue
      first = int(ends[skip - 1]) + 1 if skip else 0
      characters, ends = characters[first:], ends[skip:] - first
      starts = np.append(0, ends[:-1] + 1)
      if (ends - starts).max() > _LONGEST:
        raise _too_long(self.path)
      comment = _is_comment(characters, starts)
      self._check_width(characters, starts, ends, comment, before)
      skip, before = 0, before + ends.size
      self.comments += int(comment.sum())
      if comment.any():
        characters = characters[np.repeat(~comment, np.diff(starts, append=characters.size))]
      if characters.size:
        yield characters.tobytes()

  def _check_width(
    self, characters: np.ndarray, starts: np.ndarray, ends: np.ndarray, comment: np.ndarray, before: int
  ) -> None:
    """Checks that no row has more cells than the header has names; empty cells at the end do not count.

    Args:
      characters: of some lines.
      starts, ends: (line,) first character of each, and its line end.
      comment: (line,) which are comments.
      before: number of the lines before them.

    Raises:
      DataError: a row has more.
    """
    marks = np.flatnonzero(characters == ord(self.delimiter))
    most = self.columns - 1
    if marks.size == most * ends.size:  # as in most tables: each line has as many
      rows = marks.reshape(ends.size, most)
      if not most or ((rows[:, 0] >= starts) & (rows[:, -1] < ends)).all():
        return
    counts = np.searchsorted(marks, ends) - np.searchsorted(marks, starts)
    wide = np.flatnonzero((counts > most) & ~comment)
    if not wide.size:
      return
    if counts[wide].max() >= MOST_COLUMNS:
      raise DataError(
        os.fspath(self.path), f"has more than {MOST_COLUMNS} columns", "keep only the clock and the signals"
      )
    quotes, starts, ends = np.flatnonzero(characters == _QUOTE), starts[wide], ends[wide]
    empty = np.isin(characters, np.frombuffer(f"{self.delimiter} \t\n".encode(), np.uint8))
    filled = np.flatnonzero(~empty)
    last = np.append(-1, filled)[np.searchsorted(filled, ends)]
    within = (
      np.searchsorted(quotes, marks) - np.searchsorted(quotes, starts[np.searchsorted(starts, marks, "right") - 1])
    ) % 2
    outside = marks[within == 0]
    cells = np.searchsorted(outside, last) - np.searchsorted(outside, starts) + 1
    odd = (np.searchsorted(quotes, ends) - np.searchsorted(quotes, starts)) % 2 == 1
    for k in np.flatnonzero((last >= starts) & ((cells > self.columns) | odd)).tolist():
      line = characters[starts[k] : last[k] + 1].tobytes().decode()
      width = len(next(csv.reader([line], delimiter=self.delimiter), []))
      if width > self.columns:
        remedy = "name every column in the header"
        if self.delimiter == ",":
          remedy += "; if the numbers have decimal commas, save the table with semicolons or with decimal points"
        problem = f"data row {before + int(wide[k]) + 1} has {width} cells, the header {self.columns} names"
        raise DataError(os.fspath(self.path), problem, remedy)


def _is_comment(characters: np.ndarray, starts: np.ndarray) -> np.ndarray:
  """Returns which lines are comments, (line,); blanks may stand before the sign.

  Args:
    characters: of the lines.
    starts: (line,) first character of each.
  """
  if np.isin(characters[starts], _BLANK).any():
    text = np.flatnonzero(~np.isin(characters, _BLANK))  # a line end at least
    starts = text[np.searchsorted(text, starts)]
  return np.isin(characters[starts], _COMMENT)
