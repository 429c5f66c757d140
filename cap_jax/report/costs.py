"""Draws how a cost grows with the size of a problem."""

from collections.abc import Collection, Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure

from cap_jax.report.figures import STYLE

_COLUMNS = 3
_MARKS = "os^Dv"


def growth(
  panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], unit: str, shared: Collection[str] = ()
) -> Figure:
  """Draws a panel a quantity and a curve a network, on logarithmic axes.

  A dotted line shows a cost in proportion to the quantity, or in inverse proportion where the quantity shares the cost.

  Args:
    panels: quantity → name → (size, cost) points.
    unit: of the cost, for the axis.
    shared: quantities that share the cost, such as the number of devices.

  Returns:
    The figure.
  """
  with matplotlib.rc_context(STYLE):
    count = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(10, 3 * count), layout="constrained")
    for place, (quantity, curves) in enumerate(panels.items(), 1):
      axes = figure.add_subplot(count, min(_COLUMNS, len(panels)), place)
      for (name, points), mark in zip(curves.items(), _MARKS * len(curves), strict=False):
        size, cost = zip(*points, strict=True)
        (line,) = axes.plot(size, cost, marker=mark, markersize=4, label=name)
        power = -1 if quantity in shared else 1
        straight = [cost[0] * (one / size[0]) ** power for one in size]
        axes.plot(size, straight, ":", color=line.get_color(), linewidth=0.8)
      axes.set(xscale="log", yscale="log", xlabel=quantity, ylabel=unit if place % _COLUMNS == 1 else "")
      ticks = sorted({one for points in curves.values() for one, _ in points})
      axes.set_xticks(ticks, [f"{one:g}" for one in ticks])
      axes.minorticks_off()
      axes.legend(frameon=False, fontsize=7)
    return figure
