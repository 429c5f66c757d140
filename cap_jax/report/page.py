"""`report.html`: one self-contained page, light and dark, with every name from data escaped."""

import base64
import dataclasses
import html
import os
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from cap_jax import files
from cap_jax.report import figures, tables

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --paper: #fff; --ink: #1b1f24; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e6e8ea; } }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto; padding: 0 1rem;
  background: var(--paper); color: var(--ink); }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
figcaption { font-size: .9em; opacity: .85; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88em; white-space: nowrap; }
th, td { padding: .3em .5em; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.note { border-left: 4px solid #009E73; padding: .2em 1em; }
"""


def _figure(figure: Figure, caption: str) -> str:
  data = base64.b64encode(figures.to_png(figure)).decode()
  text = html.escape(caption)
  return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _table(table: tables.Table) -> str:
  head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in table.header)
  body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
  return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


@dataclasses.dataclass(frozen=True)
class Section:
  """A part of the page: plain text, figures with their captions, a table."""

  heading: str
  text: str
  drawn: Sequence[tuple[Figure, str]]
  table: tables.Table | None = None


def _section(section: Section) -> str:
  figures_html = "".join(_figure(figure, caption) for figure, caption in section.drawn)
  return (
    f"<h2>{html.escape(section.heading)}</h2>\n<p>{html.escape(section.text)}</p>\n{figures_html}\n"
    f"{_table(section.table) if section.table else ''}"
  )


def write(
  path: str | os.PathLike[str],
  title: str,
  summary: str,
  explained: str,
  sections: Sequence[Section],
  provenance: Mapping[str, str],
) -> None:
  """Writes the page.

  Args:
    path: of the file; replaced whole.
    title, summary, explained: plain text; how to read the tables comes after the summary.
    sections: in order.
    provenance: plain facts: command, versions, hashes, times.
  """
  facts = "".join(f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in provenance.items())
  page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{html.escape(title)}</h1>
<p class="note">{html.escape(summary)}</p>
<p>{html.escape(explained)}</p>
{"".join(_section(section) for section in sections)}
<h2>Provenance</h2>
<table class="facts"><tbody>{facts}</tbody></table>
</body></html>
"""
  with files.written_together(path) as (partial,), open(partial, "w", encoding="utf-8") as file:
    file.write(page)
