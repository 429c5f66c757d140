"""Makes the tables of label efficiency."""

from collections.abc import Mapping, Sequence

import numpy as np

from cap_jax.metrics import agreement, label_efficiency
from cap_jax.report.study_tables import number
from cap_jax.report.tables import Table, label
from cap_jax.study.summary import MethodSummary


def by_labels(summaries: Sequence[MethodSummary]) -> Table:
  """Returns the waveform RMSE of every method at every number of labels."""
  rmse_of = {
    (result.scenario, result.method, result.n_target): result.rmse
    for result in summaries
    if np.isfinite(result.rmse.mean)
  }
  label_counts = sorted({n for _, _, n in rmse_of})
  rows = [
    (
      scenario,
      label(method),
      *(
        f"{rmse.mean:.2f} ({rmse.low:.2f} to {rmse.high:.2f})" if (rmse := rmse_of.get((scenario, method, n))) else ""
        for n in label_counts
      ),
    )
    for scenario, method in dict.fromkeys((scenario, method) for scenario, method, _ in rmse_of)
  ]
  caption = "Waveform RMSE [mmHg] by number of labelled target subjects, with 95 % intervals over subjects"
  return Table(("clinic", "method", *map(str, label_counts)), rows, 0, caption=caption)


def _count(n: float, least: int, most: int) -> str:
  return f"> {most}" if np.isinf(n) else (f"≤ {least}" if n <= least else f"{n:.0f}")


def _percent(interval: agreement.Interval) -> str:
  if np.isnan(interval.mean):
    return ""
  return " to ".join(f"{100 * x:.0f}" if np.isfinite(x) else "−∞" for x in (interval.low, interval.high))


def efficiency(
  efficiencies: Mapping[str, Sequence[label_efficiency.LabelEfficiency]], label_counts: Sequence[int]
) -> Table:
  """Returns the labels that transfer saves and the gap that it closes.

  Args:
    efficiencies: clinic → label efficiency of each method.
    label_counts: numbers of labels at which the network from scratch was trained.

  Returns:
    The table.
  """
  label_counts = sorted(n for n in label_counts if n)
  rows = []
  for clinic, own in efficiencies.items():
    for one in own:
      n, closed = one.equivalent_labels, one.gap_closed
      labels = [
        _count(x, label_counts[0], label_counts[-1]) if label_counts and not np.isnan(x) else ""
        for x in (n.mean, n.low, n.high)
      ]
      share = "" if np.isnan(closed.mean) else f"{100 * closed.mean:.0f}"
      between = f"{labels[1]} to {labels[2]}" if labels[1] else ""
      rows.append((clinic, label(one.method), str(one.n_target), labels[0], between, share, _percent(closed)))
  header = (
    "clinic",
    "method",
    "labels",
    "equivalent labels",
    "95 % CI of equivalent labels",
    "gap closed [%]",
    "95 % CI of gap closed [%]",
  )
  caption = (
    "Gain from transfer: labelled subjects that the network from scratch needs for the same RMSE, and the share of the gap to the best strategy "
    "that is closed"
  )
  return Table(header, rows, 0, caption=caption)


def chosen(choices: Mapping[str, label_efficiency.Choices]) -> Table:
  """Returns how near `auto` comes to the best strategy of each cell.

  Args:
    choices: clinic → its choices.

  Returns:
    The table.
  """
  rows = [
    (clinic, str(one.cell_count), str(one.near), number(100 * one.regret, 1), number(100 * one.worst, 1))
    for clinic, one in choices.items()
  ]
  if len(rows) > 1:
    cells, near = (sum(getattr(one, name) for one in choices.values()) for name in ("cell_count", "near"))
    regret = sum(one.cell_count * one.regret for one in choices.values()) / cells
    worst = max(one.worst for one in choices.values())
    rows.append(("all", str(cells), str(near), number(100 * regret, 1), number(100 * worst, 1)))
  header = ("clinic", "cells", "within 10 % of the best", "mean regret [%]", "largest regret [%]")
  caption = (
    "The strategy chosen without test labels, compared with the best other strategy in each cell of labels and seed"
  )
  return Table(header, rows, caption=caption)
