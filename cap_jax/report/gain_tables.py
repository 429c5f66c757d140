"""The tables of what transfer gained."""

from collections.abc import Mapping, Sequence

import numpy as np

from cap_jax.metrics import agreement
from cap_jax.report.study_tables import number
from cap_jax.report.tables import Table, label
from cap_jax.study import label_efficiency
from cap_jax.study.summary import Line


def by_labels(lines: Sequence[Line]) -> Table:
  """The waveform RMSE of every method at every number of labels."""
  found = {(line.scenario, line.method, line.n_target): line.rmse for line in lines if np.isfinite(line.rmse.mean)}
  numbers = sorted({n for _, _, n in found})
  rows = [
    (
      scenario,
      label(method),
      *(
        f"{rmse.mean:.2f} ({rmse.low:.2f} to {rmse.high:.2f})" if (rmse := found.get((scenario, method, n))) else ""
        for n in numbers
      ),
    )
    for scenario, method in dict.fromkeys((scenario, method) for scenario, method, _ in found)
  ]
  caption = "Waveform RMSE [mmHg] by number of labelled target subjects, with 95 % intervals over subjects"
  return Table(("clinic", "method", *map(str, numbers)), rows, 0, caption=caption)


def _count(n: float, least: int, most: int) -> str:
  return f"> {most}" if np.isinf(n) else (f"≤ {least}" if n <= least else f"{n:.0f}")


def _percent(found: agreement.Interval) -> str:
  if np.isnan(found.mean):
    return ""
  return " to ".join(f"{100 * x:.0f}" if np.isfinite(x) else "−∞" for x in (found.low, found.high))


def gained(found: Mapping[str, Sequence[label_efficiency.Gain]], numbers: Sequence[int]) -> Table:
  """Labels saved, and the gap closed.

  Args:
    found: clinic → gains.
    numbers: of labels at which scratch was measured.
  """
  numbers = sorted(n for n in numbers if n)
  rows = []
  for clinic, own in found.items():
    for gain in own:
      n, closed = gain.equivalent_labels, gain.closed
      said = [
        _count(x, numbers[0], numbers[-1]) if numbers and not np.isnan(x) else "" for x in (n.mean, n.low, n.high)
      ]
      share = "" if np.isnan(closed.mean) else f"{100 * closed.mean:.0f}"
      between = f"{said[1]} to {said[2]}" if said[1] else ""
      rows.append((clinic, label(gain.method), str(gain.n_target), said[0], between, share, _percent(closed)))
  header = ("clinic", "method", "labels", "as scratch with", "95 % of it", "gap closed [%]", "95 % of this")
  caption = (
    "What transfer gains: labelled subjects with which the network from scratch is as good; share of the gap between the unchanged source "
    "network and the best strategy with most labels"
  )
  return Table(header, rows, 0, caption=caption)


def chosen(found: Mapping[str, label_efficiency.Choices]) -> Table:
  """How near `auto` comes to the best strategy of each cell.

  Args:
    found: clinic → its choices.
  """
  rows = [
    (clinic, str(one.cells), str(one.near), number(100 * one.excess, 1), number(100 * one.worst, 1))
    for clinic, one in found.items()
  ]
  if len(rows) > 1:
    cells, near = (sum(getattr(one, name) for one in found.values()) for name in ("cells", "near"))
    excess = sum(one.cells * one.excess for one in found.values()) / cells
    worst = max(one.worst for one in found.values())
    rows.append(("all", str(cells), str(near), number(100 * excess, 1), number(100 * worst, 1)))
  header = ("clinic", "cells", "within 10 % of the best", "mean excess [%]", "largest [%]")
  caption = (
    "The strategy that was chosen without a test label, beside the best of the others in each cell of labels and seed"
  )
  return Table(header, rows, caption=caption)
