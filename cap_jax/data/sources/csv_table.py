"""A table of text in CSV: its dialect, its header, and its columns of numbers.

Plain numbers are parsed here. Other cells need pandas (`csv_cells`), whose import takes as long as to read an hour of plain
numbers.
"""

import codecs
import collections
import csv
import dataclasses
import io
import pathlib
import re
from collections.abc import Collection, Sequence

from cap_jax.data import datasets, signal_names
from cap_jax.data.sources import text_blocks
from cap_jax.types import DataError

SUBJECTS, SUBJECT = "subjects.csv", "subject"  # of a folder of tables
REMEDY = "save it as a table of UTF-8 text"
SHOWN = 60  # characters of a cell or a name in a message
_HEAD = 1 << 16  # bytes
_AGAIN = "download the file again"
_SPREADSHEETS = (".xlsx", ".xls", ".ods")
_SAVE_AS_CSV = "save the table as CSV in the spreadsheet program"
_PACKED = (b"PK\3\4", b"\xd0\xcf\x11\xe0")  # first bytes of spreadsheets
_BINARY = {
  ".dat": "pass the name of a WFDB record without .dat", ".mat": "read MATLAB files with --format=npz",
  **dict.fromkeys(_SPREADSHEETS, _SAVE_AS_CSV),
}  # fmt: skip
_DELIMITERS = ",;\t"
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_COMMENT = ("#", "%")
_BOM = "\ufeff"  # not only at the first byte, where tables were joined


@dataclasses.dataclass(frozen=True)
class Dialect:
  """How a table is written.

  Attributes:
    encoding: of the text.
    delimiter: between cells.
    decimal: decimal mark.
    preamble: number of lines before the header.
    header: number of lines of the header; a name may stand in several.
  """

  encoding: str = "utf-8-sig"
  delimiter: str = ","
  decimal: str = "."
  preamble: int = 0
  header: int = 1

  def notes(self, comments: int) -> tuple[str, ...]:
    """Returns what of the file is skipped.

    Args:
      comments: number of lines after the header that are comments.
    """
    before = self.preamble
    return ((f"skipped {_line_count(before)} before the header",) if before else ()) + (
      (f"skipped {_line_count(comments)} of comments",) if comments else ()
    )


def _line_count(count: int) -> str:
  return f"{count} line{'' if count == 1 else 's'}"


def _header_names(line: str) -> list[str]:
  """Returns the cells of a header, which may begin with a comment sign, as `numpy.savetxt` writes it."""
  return [cell.strip().strip('"').lower() for cell in re.split(r"[,;\t]", line.lstrip("".join(_COMMENT)))]


def spreadsheets(folder: pathlib.Path) -> list[str]:
  """Returns a remark on spreadsheets in a folder of tables, which are not read."""
  names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in _SPREADSHEETS)
  more = f" and {len(names) - 3} more" if len(names) > 3 else ""
  return [f"not read: {', '.join(names[:3])}{more}; {_SAVE_AS_CSV}"] if names else []


def shown(names: Sequence[str]) -> str:
  """Returns the first names of a header for a message."""
  return ", ".join(name[:SHOWN] for name in names[:8])


def _dialect(path: pathlib.Path, known: Collection[str]) -> Dialect:
  """Returns the dialect of a table, from its first lines; the header is the first line with a known name."""
  head = text_blocks.head(path, _HEAD)
  encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
  lines = io.StringIO(head.decode(encoding, errors="replace"), newline=None).read().split("\n")
  names = {name.lower() for name in known}
  known_names = [len(names.intersection(_header_names(line))) for line in lines]
  header = known_names.index(max(known_names))  # the first of the lines with most known names
  line = lines[header]
  delimiter = max(_DELIMITERS, key=line.count) if line else ","
  rows = [row for row in lines[header + 1 : header + 40] if not row.lstrip().startswith(_COMMENT)]
  cells = [cell.strip() for row in rows for cell in row.split(delimiter)]
  decimal = "," if delimiter != "," and any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells) else "."
  return Dialect(encoding, delimiter, decimal, header)


def read_header(path: pathlib.Path, known: Collection[str]) -> tuple[list[str], Dialect]:
  """Reads the header. Returns it, and the dialect of the table.

  Raises:
    DataError: the file is not a table of text.
  """
  with datasets.reading(str(path), REMEDY):
    dialect = _dialect(path, known)
    if dialect.encoding != "utf-16":
      packed = text_blocks.head(path, 4) in _PACKED
      text_blocks.check_text(path, _SAVE_AS_CSV if packed else _BINARY.get(path.suffix.lower(), _AGAIN))
    header, lines = text_blocks.header(path, dialect.encoding, dialect.preamble)
    dialect = dataclasses.replace(dialect, header=lines)
    if header.count(dialect.delimiter.encode()) >= text_blocks.MOST_COLUMNS:
      problem = f"has more than {text_blocks.MOST_COLUMNS} columns"
      raise DataError(str(path), problem, "keep only the clock and the signals")
    if header.count(b'"') % 2:
      raise DataError(str(path), "the header has a quote that is not closed", "remove it, or close it")
    cells = next(csv.reader(io.StringIO(header.decode()), delimiter=dialect.delimiter, skipinitialspace=True), [])
  if not cells:
    raise DataError(str(path), "the file is empty", f"add a header such as {signal_names.TIME},…")
  names = [name.strip() for name in cells]
  return [names[0].lstrip("".join([*_COMMENT, _BOM])).strip(), *names[1:]], dialect


def find_column(path: pathlib.Path, names: Sequence[str], name: str, signal: str = "SIGNAL") -> int:
  """Returns the position of a column.

  Args:
    path: the file.
    names: its header.
    name: of the column.
    signal: what it holds, for the remedy.

  Raises:
    DataError: the column is missing or occurs twice.
  """
  if names.count(name) > 1:
    raise DataError(str(path), f"duplicate column {name} in the header", "remove one")
  if name not in names:
    remedy = "rename the column"
    if name != SUBJECT:
      column = name if name == signal_names.TIME else signal_names.COLUMNS.get(name, signal)
      others = [word for word in signal_names.in_other_units(names) if word.split(":")[1] == column]
      remedy += f", or add its name in this file: --channels=…,{others[0] if others else f'NAME:{column}'}"
      if column == signal_names.TIME and not others:
        remedy += (
          "; if the file has no clock, add one: the number of the row, from 0, divided by the sampling rate in Hz"
        )
    raise DataError(str(path), f"column {name} is missing (found: {shown(names)})", remedy)
  return names.index(name)


def find_columns(path: pathlib.Path, names: Sequence[str], columns: Sequence[str]) -> dict[int, str]:
  """Returns position → name of columns.

  Args:
    path: the file.
    names: its header.
    columns: names of the columns.

  Raises:
    DataError: a column is missing or occurs twice.
  """
  counts = collections.Counter(names)
  return {names.index(name) if counts[name] == 1 else find_column(path, names, name): name for name in columns}


def rows(path: pathlib.Path, names: Sequence[str], dialect: Dialect) -> text_blocks.Rows:
  """Returns the lines of a table after its header."""
  return text_blocks.Rows(
    path=path, encoding=dialect.encoding, delimiter=dialect.delimiter, skip=dialect.preamble + dialect.header,
    columns=len(names),
  )  # fmt: skip


def no_rows(path: pathlib.Path) -> DataError:
  """Returns the error of a table without rows."""
  return DataError(str(path), "the file contains a header but no rows", "add a row for each sample")
