"""The table of a study: a line per method and number of labelled subjects."""

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


def rows(lines: Sequence[Line]) -> list[tuple[str, ...]]:
  """Cells of the table as text, in the order of `HEADER`."""
  return [
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


def text(lines: Sequence[Line]) -> str:
  """The table for a terminal."""
  body = rows(lines)
  widths = [max(len(row[k]) for row in (HEADER, *body)) for k in range(len(HEADER))]

  def line(row: Sequence[str]) -> str:
    return "  ".join(
      cell.ljust(width) if k == 0 else cell.rjust(width)
      for k, (cell, width) in enumerate(zip(row, widths, strict=True))
    )

  rule = "  ".join("-" * width for width in widths)
  parts = [line(HEADER), rule]
  for k, row in enumerate(body):
    if k and body[k - 1][1] != row[1]:
      parts.append("")
    parts.append(line(row))
  return "\n".join(parts)
