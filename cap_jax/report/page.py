"""Writes `report.html`, one self-contained page, light and dark, readable on a phone and by a screen reader.

It opens with the answer: a sentence, pictures and a short table. All other parts are closed until a reader, a link or the
printer opens them. Every name from data is escaped. The page contains uPlot (`assets/uPlot.LICENSE`), which draws the waves to
look through, and fetches nothing. Waves are packed as whole numbers of two bytes.
"""

import base64
import dataclasses
import functools
import html
import importlib.resources
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from cap_jax import files, own_files
from cap_jax.report import figures, tables

_ASSETS = importlib.resources.files("cap_jax.report") / "assets"
_LONG = 60  # characters; a table with longer cells is set as text
_WORD = 9  # characters; a column with longer words is text
_NAME = 14  # characters; longer names in a first column share a line on a narrow screen
_MOST_ROWS = 200  # of a table on the page; its file contains all
_OWN = "◆ "  # before the name of the method that was fixed before the results


class Panels(NamedTuple):
  """The panels of a figure, which a page shows side by side and a narrow one below each other.

  Attributes:
    figures: a panel each, without a legend.
    keys: label → colour of their lines.
  """

  figures: Sequence[Figure]
  keys: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Drawn:
  """A figure with its caption.

  Attributes:
    name: of its files.
    figure: the figure.
    caption: below it.
    description: what it shows, for a screen reader.
    panels: the same in parts; None for a figure that is shown as it is.
  """

  name: str
  figure: Figure
  caption: str
  description: str = ""
  panels: Panels | None = None

  @functools.cached_property
  def svg(self) -> bytes:
    return figures.to_svg(self.figure)


@dataclasses.dataclass(frozen=True)
class Browser:
  """Records to look through beat by beat.

  Attributes:
    records: each with `name`, `time_s` (time,), `series` (name, colour, width, dash, and `values`, (time,) with NaN in gaps) and
      `beats` (start_s, end_s, text).
    caption: below the plot.
  """

  records: Sequence[Mapping[str, Any]]
  caption: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
  """A part of the page.

  Attributes:
    heading: of the part.
    shows: what it shows, in plain words, beside the heading while the part is closed.
    text: plain text, a paragraph a line.
    drawn: figures.
    browser: of beats.
    sheets: name → table; the first is open, the others are folded.
    terms: column → what it means, folded.
    warnings: what a reader must not miss.
  """

  heading: str
  shows: str = ""
  text: str = ""
  drawn: Sequence[Drawn] = ()
  browser: Browser | None = None
  sheets: Mapping[str, tables.Table] = dataclasses.field(default_factory=dict)
  terms: Mapping[str, str] = dataclasses.field(default_factory=dict)
  warnings: Sequence[str] = ()

  @property
  def anchor(self) -> str:
    """Returns the id of the part, for links."""
    return re.sub(r"[^a-z0-9]+", "-", self.heading.lower()).strip("-")


def _figure(drawn: Drawn) -> str:
  caption, description = html.escape(drawn.caption), html.escape(drawn.description or drawn.caption, quote=True)
  if drawn.panels is not None:
    parts = (figures.inline(figures.to_svg(one), f"{drawn.name} {k}") for k, one in enumerate(drawn.panels.figures))
    keys = "".join(
      f'<li><i style="background:{shade.replace("#000000", "currentColor")}"></i>{html.escape(name)}</li>'
      for name, shade in drawn.panels.keys.items()
    )
    picture = (
      f'<div class="panels" role="img" aria-label="{description}">{"".join(parts)}</div><ul class="keys">{keys}</ul>'
    )
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"
  svg = figures.inline(drawn.svg, drawn.name).replace("<svg ", f'<svg role="img" aria-label="{description}" ', 1)
  name = html.escape(drawn.caption, quote=True)
  framed = f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">{svg}</div>'
  return f"<figure>{framed}<figcaption>{caption}</figcaption></figure>"


def _row(table: tables.NotedTable, k: int, words: Collection[int]) -> str:
  """Returns a row of a table; its first cell is its heading.

  Args:
    table: the table.
    k: number of the row.
    words: columns of text, which begins at the left.
  """
  row = table.rows[k]
  first = k and table.group is not None and table.rows[k - 1][table.group] != row[table.group]
  harm, own = bool(table.marks and table.marks[k]), table.own == k
  names = " ".join(["apart"] * bool(first) + ["harm"] * harm + ["own"] * own)
  texts = [f"<b>{html.escape(cell)}</b>" if (k, c) in table.bold else html.escape(cell) for c, cell in enumerate(row)]
  kind = f' class="{names}"' if names else ""
  cells = "".join(
    f'<td class="text">{text}</td>' if c in words else f"<td>{text}</td>" for c, text in enumerate(texts) if c
  )
  return f'<tr{kind}><th scope="row">{_OWN * own}{texts[0]}</th>{cells}</tr>'


def _table(whole: tables.Table, name: str) -> str:
  """Returns a table in a frame, without the columns that tell no rows apart.

  Args:
    whole: the table.
    name: of its files.
  """
  table = tables.condense(whole)
  words = [
    c for c in range(1, len(table.header)) if any(len(row[c]) > _WORD and row[c][0].isalpha() for row in table.rows)
  ]
  head = "".join(
    f'<th scope="col"{" class=text" * (c in words)}>{html.escape(name)}</th>' for c, name in enumerate(table.header)
  )
  body = "".join(_row(table, k, words) for k in range(min(len(table.rows), _MOST_ROWS)))
  note = table.note
  if len(table.rows) > _MOST_ROWS:
    note += f" The first {_MOST_ROWS} of {len(table.rows)} rows; tables/{name}.csv has all."
  notes = f"<br>{html.escape(note.strip())}" if note else ""
  caption = f"<caption><span>{html.escape(table.caption)}{notes}</span></caption>" if table.caption or notes else ""
  kinds = ["wide"] * any(len(cell) > _LONG for row in table.rows for cell in row[1:])
  kinds += ["named"] * any(len(row[0]) > _NAME for row in table.rows)
  kind = f' class="{" ".join(kinds)}"' if kinds else ""
  title = html.escape(table.caption or "table", quote=True)
  return (
    f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table{kind}>{caption}<thead><tr>{head}</tr></thead>'
    f"<tbody>{body}</tbody></table></div>"
  )


def _folded(table: tables.Table, name: str) -> str:
  """Returns a table that opens on demand, which keeps the page short on a phone."""
  title = html.escape(f"{table.caption or 'More'} ({len(table.rows)} row{'s' * (len(table.rows) != 1)})")
  return f"<details><summary>{title}</summary>{_table(table, name)}</details>"


def _terms(terms: Mapping[str, str]) -> str:
  if not terms:
    return ""
  entries = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in terms.items())
  return f"<details><summary>What the columns mean</summary><dl>{entries}</dl></details>"


def _packed(values: np.ndarray, least_step: float) -> dict[str, Any]:
  """Packs numbers as base64 of two-byte integers, which `assets/page.js` unpacks; NaN is the least of them.

  Args:
    values: (time,) numbers.
    least_step: resolution; a coarser one is used if the numbers are too large for it.
  """
  largest = float(np.nanmax(np.abs(values), initial=0.0))
  step = max(least_step, largest / 32767)
  whole = np.where(np.isnan(values), -32768, np.rint(np.nan_to_num(values) / step)).astype("<i2")
  return {"step": step, "int16": base64.b64encode(whole.tobytes()).decode("ascii")}


def _packed_record(record: Mapping[str, Any]) -> dict[str, Any]:
  """Packs the waves of a record, and its clock as differences."""
  series = [{**one, "values": _packed(np.asarray(one["values"], float), 0.01)} for one in record["series"]]
  time_s = np.asarray(record["time_s"], float)
  return {**record, "start_s": time_s[0], "steps_s": _packed(np.diff(time_s), 0.001), "time_s": None, "series": series}


def _browser(browser: Browser) -> str:
  # without "<" the data cannot end the script element that contains them
  data = json.dumps([_packed_record(one) for one in browser.records], separators=(",", ":")).replace("<", "\\u003c")
  name = html.escape("Waves over time; the text below the buttons gives the pressures of the selected beat", quote=True)
  options = "".join(f"<option>{html.escape(str(record['name']))}</option>" for record in browser.records)
  return f"""<figure class="browser"><div class="controls"><label>Record <select>{options}</select></label>
<button type="button" data-go="before">Previous beat</button><button type="button" data-go="after">Next beat</button>
<button type="button" data-go="all">All beats</button><output aria-live="polite"></output></div>
<div class="plot" role="group" aria-label="{name}"></div><figcaption>{html.escape(browser.caption)}</figcaption><script type="application/json">{data}</script></figure>"""


def _inside(section: Section) -> str:
  """Returns what a part contains."""
  elements = [f'<p class="warning">{html.escape(text)}</p>' for text in section.warnings]
  elements += [f"<p>{html.escape(part)}</p>" for part in section.text.split("\n") if part]
  elements += [_figure(drawn) for drawn in section.drawn]
  if section.browser is not None:
    elements.append(_browser(section.browser))
  sheets = [(name, table) for name, table in section.sheets.items() if table.rows]
  elements += [_table(table, name) for name, table in sheets[:1]]
  elements += [_folded(table, name) for name, table in sheets[1:]]
  return "\n".join([*elements, _terms(section.terms)])


def _answer(opening: Section) -> str:
  """Returns the first screen: the first picture fills the width, the others stand beside the first table."""
  wide, beside = opening.drawn[:1], opening.drawn[1:]
  above = _inside(dataclasses.replace(opening, drawn=wide, sheets={}, terms={}))
  rest = _inside(Section(heading="", sheets=opening.sheets, terms=opening.terms))
  if not beside:
    return above + rest
  return f'{above}<div class="beside"><div>{"".join(map(_figure, beside))}</div><div>{rest}</div></div>'


def _unbroken(text: str) -> str:
  """Returns text in which no line ends between a number and its unit."""
  return re.sub(r"(?<=\d) (?=%|mmHg)", "&nbsp;", text)


def _part(heading: str, shows: str, anchor: str, content: str) -> str:
  """Returns a closed part with the line that says what it shows."""
  return (
    f'<details class="part"><summary><h2>{html.escape(heading)}</h2> <span>{html.escape(shows)}</span></summary>'
    f'<div class="inside" id="{anchor}">{content}</div></details>'
  )


@functools.cache
def _asset(name: str) -> str:
  return (_ASSETS / name).read_text(encoding="utf-8")


def _library() -> str:
  """Returns the style and the script that draw waves."""
  return f"<style>{_asset('uPlot.min.css')}</style><script>{_asset('uPlot.iife.min.js')}</script>"


def frame(browser: Browser) -> str:
  """Returns a browser of beats as an element for a notebook: a page of its own, which cannot reach the one around it."""
  return _framed(_browser(browser), browser.caption)


def frame_of_points(values: Mapping[str, float], x_label: str, y_label: str) -> str:
  """Returns one point a subject as an element for a notebook, which names the one under the pointer.

  Args:
    values: subject → value, in the order of the points.
    x_label, y_label: of the axes.
  """
  data = {"names": list(values), "values": list(values.values()), "x_label": x_label, "y_label": y_label}
  text, name = json.dumps(data).replace("<", "\\u003c"), html.escape(f"{y_label} of {x_label}", quote=True)
  return _framed(
    f"""<figure class="scatter"><div class="plot" tabindex="0" role="group" aria-label="{name}; arrow keys go from subject to subject"></div>
<output aria-live="polite"></output><script type="application/json">{text}</script></figure>""",
    y_label,
  )


def _framed(content: str, title: str) -> str:
  page = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><style>{_asset("page.css")}</style></head><body>
{content}{_library()}<script>{_asset("page.js")}</script></body></html>"""
  name, text = html.escape(title, quote=True), html.escape(page, quote=True)
  return (
    f'<iframe title="{name}" sandbox="allow-scripts" style="width:100%;height:40rem;border:0" srcdoc="{text}"></iframe>'
  )


def write(
  path: str | os.PathLike[str], opening: Section, sections: Sequence[Section], provenance: Mapping[str, str]
) -> None:
  """Writes the page.

  Args:
    path: of the file, which is replaced atomically.
    opening: the answer, which stays open; its heading is the title of the page.
    sections: closed parts, in order.
    provenance: plain facts: command, versions, hashes, times.
  """
  facts = "".join(
    f'<tr><th scope="row">{html.escape(k)}</th><td>{html.escape(v)}</td></tr>' for k, v in provenance.items()
  )
  facts = f'<div class="scroll" tabindex="0" role="region" aria-label="Provenance"><table class="facts"><tbody>{facts}</tbody></table></div>'
  library = _library() if any(section.browser is not None for section in (opening, *sections)) else ""
  links = "".join(f'<li><a href="#{s.anchor}">{html.escape(s.heading)}</a></li>' for s in sections)
  title = html.escape(opening.heading)
  page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{_asset("page.css")}</style></head><body>
<a class="skip" href="#main">Skip to the content</a>
<header><h1>{_unbroken(title)}</h1></header>
<main id="main">
{_answer(opening)}
<nav aria-label="Contents"><ul>{links}<li><a href="#provenance">Provenance</a></li></ul>
<button type="button" id="theme">Colours: auto</button></nav>
{"".join(_part(section.heading, section.shows, section.anchor, _inside(section)) for section in sections)}
{_part("Provenance", "The command, versions and hashes with which this page can be made again.", "provenance", facts)}
</main>
<footer><p>Research software, not a medical device.</p></footer>
{library}<script>{_asset("page.js")}</script>
</body></html>
"""
  with files.write_atomically(path) as (partial,), open(partial, "w", encoding="utf-8") as file:
    file.write(page)


def write_figures_and_tables(folder: str, sections: Sequence[Section]) -> None:
  """Writes the figures as PDF, SVG and PNG, and the tables as CSV and LaTeX.

  Args:
    folder: gets the folders `figures` and `tables`.
    sections: whose figures and tables are written.
  """
  for name in ("figures", "tables"):
    own_files.makedirs(os.path.join(folder, name))
  for section in sections:
    for drawn in section.drawn:
      formats = {"svg": drawn.svg, "pdf": figures.to_pdf(drawn.figure), "png": figures.to_png(drawn.figure)}
      for ending, content in formats.items():
        _write(os.path.join(folder, "figures", f"{drawn.name}.{ending}"), content)
    for name, table in section.sheets.items():
      for ending, write_table in (("csv", tables.to_csv), ("tex", tables.to_latex)):
        _write(os.path.join(folder, "tables", f"{name}.{ending}"), write_table(table).encode())


def _write(path: str, content: bytes) -> None:
  with files.write_atomically(path) as (partial,), open(partial, "wb") as file:
    file.write(content)
