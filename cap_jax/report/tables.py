"""Tables as text; that of a study has a line per method and number of labelled subjects."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cap_jax.evaluation.study import Cell
from cap_jax.transfer import surgery

LABELS = {
  "peripheral": "peripheral wave as it is",
  "mean_wave": "mean wave (predict the mean)",
  "gtf_source": "transfer function, source",
  "gtf_target": "transfer function, target",
  "source": "source network unchanged",
  "scratch": "network from scratch",
}
HEADER = (
  "method", "labels", "seeds", "RMSE", "lag-free", "cSBP error", "cDBP error", "cPP error", "MAP error", "steps", "train s",
  "as scratch after", "s"
)  # fmt: skip


EXPLAINED = (
  "Errors in mmHg, estimated minus true: RMSE of the waveform per subject, then the mean over subjects and seeds; pressures per "
  "beat, mean ± SD over subjects. A lag-free RMSE is taken after the best common shift. Labels: labelled target subjects. As "
  "scratch after: steps of training, and seconds, until the RMSE on validation subjects was as good as the best that the network "
  "from scratch had there with the same labels; empty where it never was."
)


@dataclasses.dataclass(frozen=True)
class Table:
  """Cells as text. Rows that differ in the column `group` are set apart in a terminal."""

  header: tuple[str, ...]
  rows: Sequence[tuple[str, ...]]
  group: int | None = None


def label(method: str) -> str:
  """A method's name for readers."""
  return LABELS.get(method, method.replace("_", " ").replace("/", ": "))


@dataclasses.dataclass(frozen=True)
class Line:
  """Means over subjects and seeds; pressure errors as mean ± SD over the subjects of all seeds.

  steps_to_scratch, s_to_scratch: steps and seconds of training until the validation RMSE was as good as the best of
  scratch with the same labels; NaN where it was not with every seed.
  """

  method: str
  n_target: int
  seeds: int
  rmse_mmhg: float
  lag_free_mmhg: float
  pressures: tuple[tuple[float, float], ...]
  train_s: float
  steps: int
  steps_to_scratch: float
  s_to_scratch: float


def _gather(cells: Sequence[Cell], field: str) -> np.ndarray:
  return np.array([getattr(found, field) for cell in cells for found in cell.errors])


def summarise(cells: Sequence[Cell]) -> list[Line]:
  """Lines in the order in which methods appear, by n_target."""
  groups: dict[tuple[str, int], list[Cell]] = {}
  for cell in cells:
    groups.setdefault((cell.method, cell.n_target), []).append(cell)
  order = list(dict.fromkeys(method for method, _ in groups))
  lines = []
  for method, n_target in sorted(groups, key=lambda group: (group[1], order.index(group[0]))):
    group = groups[method, n_target]
    pressures = []
    for name in ("csbp", "cdbp", "cpp", "map"):
      values = _gather(group, f"{name}_error_mmhg")
      pressures.append((float(np.nanmean(values)), float(np.nanstd(values, ddof=1)) if values.size > 1 else 0.0))
    lines.append(
      Line(
        method,
        n_target,
        len(group),
        float(_gather(group, "rmse_mmhg").mean()),
        float(_gather(group, "rmse_lag_free_mmhg").mean()),
        tuple(pressures),
        float(np.mean([cell.train_s for cell in group])),
        group[0].steps,
        float(np.mean([cell.steps_to_scratch for cell in group])),
        float(np.mean([cell.s_to_scratch for cell in group])),
      )
    )
  return lines


def merge_report(report: Sequence[surgery.Leaf]) -> str:
  """What became of each leaf in a merge, for a terminal."""
  width = max(len(leaf.path) for leaf in report)
  return "\n".join(
    f"{leaf.path.ljust(width)}  {leaf.fate.ljust(11)}  {leaf.shape} {leaf.note}".rstrip() for leaf in report
  )


def of_study(lines: Sequence[Line]) -> Table:
  """The table of a study."""
  rows = [
    (
      label(line.method),
      str(line.n_target),
      str(line.seeds),
      f"{line.rmse_mmhg:.2f}",
      f"{line.lag_free_mmhg:.2f}",
      *(f"{round(mean, 1) + 0.0:+.1f} ± {sd:.1f}" for mean, sd in line.pressures),
      str(line.steps) if line.steps else "",
      f"{line.train_s:.1f}",
      "" if np.isnan(line.steps_to_scratch) else f"{line.steps_to_scratch:.0f}",
      "" if np.isnan(line.s_to_scratch) else f"{line.s_to_scratch:.1f}",
    )
    for line in lines
  ]
  return Table(HEADER, rows, group=1)


def text(table: Table) -> str:
  """The table for a terminal."""
  widths = [max(len(row[k]) for row in (table.header, *table.rows)) for k in range(len(table.header))]

  def line(row: Sequence[str]) -> str:
    return "  ".join(
      cell.ljust(width) if k == 0 else cell.rjust(width)
      for k, (cell, width) in enumerate(zip(row, widths, strict=True))
    )

  parts = [line(table.header), "  ".join("-" * width for width in widths)]
  for k, row in enumerate(table.rows):
    if table.group is not None and k and table.rows[k - 1][table.group] != row[table.group]:
      parts.append("")
    parts.append(line(row))
  return "\n".join(parts)
