"""Errors and gaps against the severity of each artefact."""

from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from cap_jax.evaluation.severity import ARTEFACTS, NONE, WRONG_MMHG, Point
from cap_jax.report.figures import STYLE

_COLUMNS = 4


def markdown(points: Sequence[Point]) -> str:
  """A row a point."""
  rows = [
    "| artefact | severity | RMSE of what is given [mmHg] | given [%] | given and wrong [%] | called unlike [%] | gaps, most first |"
  ]
  rows.append("|---|---|---|---|---|---|---|")
  for one in points:
    gaps = sorted(one.reasons, key=lambda reason: -one.reasons[reason])[:2]
    size = f"{one.severity:g} {one.unit}" if one.artefact != NONE else ""
    given = "" if one.rmse_mmhg != one.rmse_mmhg else f"{one.rmse_mmhg:.2f}"
    unlike = "" if one.unlike != one.unlike else f"{100 * one.unlike:.0f}"
    rows.append(
      f"| {one.artefact} | {size} | {given} | {100 * one.given:.0f} | {100 * one.wrong:.1f} | {unlike} | {'; '.join(gaps)} |"
    )
  return "\n".join(rows) + "\n"


def figure(points: Sequence[Point]) -> Figure:
  """A panel an artefact: RMSE of what is given, and the share that is left out."""
  none = next(one.rmse_mmhg for one in points if one.artefact == NONE)
  with matplotlib.rc_context(STYLE):
    rows = -(-len(ARTEFACTS) // _COLUMNS)
    drawn = Figure(figsize=(11, 2.3 * rows), layout="constrained")
    for place, name in enumerate(ARTEFACTS):
      found = [one for one in points if one.artefact == name]
      axes = drawn.add_subplot(rows, _COLUMNS, place + 1)
      ticks = range(len(found))
      axes.plot(ticks, [one.rmse_mmhg for one in found], "o-", color="#0072B2", markersize=4)
      axes.axhline(none, color="#777777", linewidth=0.8, linestyle=":")
      axes.axhline(WRONG_MMHG, color="#CC3D3D", linewidth=0.8, linestyle=":")
      axes.set(yscale="log", ylim=(0.3, 60), title=name, xlabel=found[0].unit)
      axes.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
      axes.set_xticks(ticks, [f"{one.severity:g}" for one in found])
      axes.minorticks_off()
      gaps = axes.twinx()
      gaps.bar(ticks, [100 * (1 - one.given) for one in found], width=0.5, color="#E69F00", alpha=0.35)
      gaps.set(ylim=(0, 100))
      gaps.spines["right"].set_visible(True)
      if place % _COLUMNS == 0:
        axes.set_ylabel("RMSE [mmHg]")
      if place % _COLUMNS == _COLUMNS - 1 or place == len(ARTEFACTS) - 1:
        gaps.set_ylabel("left out [%]")
    return drawn
