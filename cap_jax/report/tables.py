"""Formats tables as text: for a terminal, as Markdown, as CSV and as LaTeX."""

import csv
import dataclasses
import io
import math
import re
from collections.abc import Collection, Sequence

from cap_jax.strategies import surgery

_KINDS = {
  "mean_wave": "mean wave (predict the mean)",
  "gtf": "transfer function, FIR",
  "gtf_arx": "transfer function, ARX",
  "individual_tf": "individualised transfer function",
  "tube_load": "tube-load transfer function",
  "ridge": "ridge regression, beat to beat",
  "tcn": "published network: TCN",
  "cnn_bilstm": "published network: CNN-BiLSTM",
}
LABELS = {
  "peripheral": "peripheral wave unchanged",
  "rescaled": "peripheral wave at the true MAP and DBP †",
  "mean_wave_scaled": "mean wave at the true MAP and DBP †",
  "npma": "N-point moving average (cSBP only)",
  "map_dbp": "MAP²/DBP (cSBP only)",
  "adaptive_tf_source": "adaptive tube-load transfer function",
  **{f"{kind}_{part}": f"{name}, {part}" for kind, name in _KINDS.items() for part in ("source", "target")},
  "mean_wave": _KINDS["mean_wave"],
  "source": "source network unchanged",
  "packaged": "packaged network unchanged",
  "source_affine": "source network, output scaled",
  "scratch": "network from scratch",
  "fine_tuning": "fine-tuning",
  "multi_task": "multi-task learning",
  "auto": "auto: chosen without test labels",
}
_VARIANTS = {
  "lp_ft": "LP-FT",
  "l2_sp": "L2-SP",
  "low_rank": "low-rank",
  "mmd": "MMD",
  "coral": "CORAL",
  "dare_gram": "DARE-GRAM",
  "dann": "DANN",
  "adda": "ADDA",
  "separate_mmd": "separate MMD",
  "pcgrad": "PCGrad",
}


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of text.

  Attributes:
    header: names of the columns.
    rows: of cells.
    group: column; a terminal shows a gap between rows that differ in it.
    marks: for each row "", "likely" or "certain", whether it is a negative transfer or an outlier, shown in red; empty without
      marks.
    caption: what the table shows.
  """

  header: tuple[str, ...]
  rows: Sequence[tuple[str, ...]]
  group: int | None = None
  marks: Sequence[str] = ()
  caption: str = ""


@dataclasses.dataclass(frozen=True)
class NotedTable(Table):
  """A table with its best cells in bold and a note.

  Attributes:
    bold: row and column of the cells in bold, the best of their column.
    own: row of the method that was fixed before the results; None for none.
    note: text below the caption.
  """

  bold: Collection[tuple[int, int]] = ()
  own: int | None = None
  note: str = ""


def noted(table: Table) -> NotedTable:
  """Returns a table as one that may have a note."""
  return table if isinstance(table, NotedTable) else NotedTable(**vars(table))


def condense(whole: Table) -> NotedTable:
  """Returns a table without the columns that tell no rows apart.

  These are empty columns, and of several rows those with the same text in each, which the note then says once.

  Args:
    whole: the table; it keeps one column at least.

  Returns:
    The table for a reader; the files of a report contain the whole one.
  """
  table = noted(whole)
  columns = list(zip(*table.rows, strict=True))
  same = {k: texts[0] for k, texts in enumerate(columns) if len(set(texts)) == 1 and (len(texts) > 1 or not texts[0])}
  kept = [k for k in range(len(table.header)) if k not in same] or [0]
  said = "; ".join(f"{table.header[k]} {text}" for k, text in same.items() if text and k not in kept)
  return dataclasses.replace(
    table,
    header=tuple(table.header[k] for k in kept),
    rows=[tuple(row[k] for k in kept) for row in table.rows],
    group=kept.index(table.group) if table.group in kept else None,
    bold=[(row, kept.index(k)) for row, k in table.bold if k in kept],
    note=" ".join(text for text in (table.note, f"The same in all rows: {said}." if said else "") if text),
  )


def label(method: str) -> str:
  """Returns the name of a method for readers."""
  kind, _, variant = method.partition("/")
  name = LABELS.get(kind, kind.replace("_", " "))
  return f"{name}: {_VARIANTS.get(variant, variant.replace('_', ' '))}" if variant else name


def merge_summary(report: Sequence[surgery.Leaf]) -> str:
  """Returns the fates of the parameters of a merge for a terminal, by the first two keys of their paths."""
  alike: dict[tuple[str, str], list[surgery.Leaf]] = {}
  for leaf in report:
    alike.setdefault(("/".join(leaf.path.split("/")[:2]), leaf.fate), []).append(leaf)
  rows = [
    (block, fate, str(len(leaves)), f"{sum(math.prod(leaf.shape) for leaf in leaves):,}")
    for (block, fate), leaves in alike.items()
  ]
  return text(Table(("parameters", "fate", "arrays", "numbers"), rows))


def text(table: Table) -> str:
  """Formats a table for a terminal."""
  widths = [max(len(row[k]) for row in (table.header, *table.rows)) for k in range(len(table.header))]

  def line(row: Sequence[str]) -> str:
    return "  ".join(
      cell.ljust(width) if k == 0 else cell.rjust(width)
      for k, (cell, width) in enumerate(zip(row, widths, strict=True))
    )

  lines = [line(table.header), "  ".join("-" * width for width in widths)]
  for k, row in enumerate(table.rows):
    if table.group is not None and k and table.rows[k - 1][table.group] != row[table.group]:
      lines.append("")
    lines.append(line(row))
  return "\n".join(lines)


def to_markdown(table: Table) -> str:
  """Formats a table as GitHub's Markdown."""
  lines = [table.header, ("---",) * len(table.header), *table.rows]
  return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def to_csv(table: Table) -> str:
  """Formats a table as CSV."""
  buffer = io.StringIO()
  csv.writer(buffer, lineterminator="\n").writerows((table.header, *table.rows))
  return buffer.getvalue()


_LATEX = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}"}
_LATEX |= {
  "^": r"\textasciicircum{}",
  "\\": r"\textbackslash{}",
  "±": r"$\pm$",
  "−": "$-$",
  "≤": r"$\le$",
  "†": r"\dag{}",
}
_LATEX |= {
  "<": "$<$",
  ">": "$>$",
  "≥": r"$\ge$",
  "α": r"$\alpha$",
  "λ": r"$\lambda$",
  "θ": r"$\theta$",
  "σ": r"$\sigma$",
}
_LATEX |= {"²": "$^2$", "▲": r"$\blacktriangle$", "△": r"$\triangle$", "–": "--", "·": r"$\cdot$", "×": r"$\times$"}


def latex(text: str) -> str:
  """Escapes the characters that LaTeX reads as commands."""
  text = re.sub(r"(?<![^\s(])-(?=\d)", "−", text)  # a minus sign, not a hyphen
  return re.sub("|".join(map(re.escape, _LATEX)), lambda match: _LATEX[match.group()], text)


def to_latex(table: Table) -> str:
  """Formats a table as a `tabular` with the rules of booktabs; red rows need the package xcolor."""
  bold = noted(table).bold
  lines = [" & ".join(map(latex, table.header)) + r" \\", r"\midrule"]
  for k, row in enumerate(table.rows):
    if table.group is not None and k and table.rows[k - 1][table.group] != row[table.group]:
      lines.append(r"\addlinespace")
    red = r"\color{red} " if table.marks and table.marks[k] else ""
    cells = [rf"\textbf{{{latex(cell)}}}" if (k, c) in bold else latex(cell) for c, cell in enumerate(row)]
    lines.append(" & ".join(red + cell for cell in cells) + r" \\")
  columns = "l" + "r" * (len(table.header) - 1)
  body = "\n".join(lines)
  comment = " ".join(text for text in (table.caption, noted(table).note) if text)
  note = f"% {comment}\n" if comment else ""
  return f"{note}\\begin{{tabular}}{{{columns}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
