"""A table as HTML, for notebooks."""

import html
from collections.abc import Iterable, Sequence


def of(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
  """Returns a table whose cells are text; names of files and subjects may contain anything.

  Args:
    head: names of the columns, () for none.
    rows: the cells of each row.
  """

  def line(cells: Iterable[object], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

  return "<table>" + (line(head, "th") if head else "") + "".join(line(row, "td") for row in rows) + "</table>"
