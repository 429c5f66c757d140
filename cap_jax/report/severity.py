"""Reports how errors and gaps grow with the severity of each artefact."""

from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from cap_jax.report import page, tables
from cap_jax.report.figures import STYLE
from cap_jax.study.severity import ARTEFACTS, NONE, WRONG_MMHG, Point

_COLUMNS = 4
_SOUND = 0.01  # largest share of a record that may be reconstructed and wrong


def _size(one: Point) -> str:
  return f"{one.severity:g} {one.unit}" if one.artefact != NONE else ""


def _percent(share: float, digits: int = 0) -> str:
  return "" if share != share else f"{100 * share:.{digits}f}"


def table(points: Sequence[Point]) -> tables.Table:
  """Returns a row a point."""
  header = (
    "artefact",
    "severity",
    "RMSE of what is given [mmHg]",
    "given [%]",
    "given and wrong [%]",
    "out of distribution [%]",
  )
  rows = []
  for one in points:
    gaps = sorted(one.reasons, key=lambda reason: -one.reasons[reason])[:2]
    rmse = "" if one.rmse_mmhg != one.rmse_mmhg else f"{one.rmse_mmhg:.2f}"
    shares = _percent(one.given), _percent(one.wrong, 1), _percent(one.ood_fraction)
    rows.append((one.artefact, _size(one), rmse, *shares, "; ".join(gaps)))
  return tables.Table((*header, "gaps, most first"), rows, 0, caption=f"Wrong: more than {WRONG_MMHG:g} mmHg off.")


def limits(points: Sequence[Point]) -> tables.Table:
  """Returns a row an artefact: the severity up to which it is sound, and the result at the next one."""
  rows = []
  for name in ARTEFACTS:
    tried = [one for one in points if one.artefact == name]
    sound = next((k for k, one in enumerate(tried) if one.wrong > _SOUND), len(tried))
    beyond = tried[sound] if sound < len(tried) else None
    rows.append(
      (
        name,
        _size(tried[sound - 1]) if sound else "",
        _size(beyond) if beyond else "",
        _percent(beyond.given) if beyond else "",
        _percent(beyond.wrong, 1) if beyond else "",
      )
    )
  header = ("artefact", "sound up to", "no more at", "given there [%]", "and wrong [%]")
  return tables.Table(header, rows, caption=f"Sound: at most {100 * _SOUND:g} % of the record are given and wrong.")


def section(points: Sequence[Point]) -> page.Section:
  """Returns the figure and both tables."""
  description = "; ".join(f"{row[0]} is sound up to {row[1] or 'none that was tried'}" for row in limits(points).rows)
  caption = "Blue: RMSE of what is given, dotted grey that without artefact, dotted red what is called wrong. Bars: what is left out."
  text = "Each artefact, by itself, on records of virtual subjects that are measured without any fault otherwise."
  sheets = {"limits": limits(points), "severity": table(points)}
  return page.Section(
    "Artefacts as they get worse", text, [page.Drawn("severity", figure(points), caption, description)], sheets=sheets
  )


def figure(points: Sequence[Point]) -> Figure:
  """Draws a panel an artefact: RMSE of the reconstructed part, and the share that is left out."""
  none = next(one.rmse_mmhg for one in points if one.artefact == NONE)
  with matplotlib.rc_context(STYLE):
    rows = -(-len(ARTEFACTS) // _COLUMNS)
    drawn = Figure(figsize=(11, 2.3 * rows), layout="constrained")
    for place, name in enumerate(ARTEFACTS):
      curve = [one for one in points if one.artefact == name]
      axes = drawn.add_subplot(rows, _COLUMNS, place + 1)
      ticks = range(len(curve))
      axes.plot(ticks, [one.rmse_mmhg for one in curve], "o-", color="#0072B2", markersize=4)
      axes.axhline(none, color="#777777", linewidth=0.8, linestyle=":")
      axes.axhline(WRONG_MMHG, color="#CC3D3D", linewidth=0.8, linestyle=":")
      axes.set(yscale="log", ylim=(0.3, 60), title=name, xlabel=curve[0].unit)
      axes.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
      axes.set_xticks(ticks, [f"{one.severity:g}" for one in curve])
      axes.minorticks_off()
      gaps = axes.twinx()
      gaps.bar(ticks, [100 * (1 - one.given) for one in curve], width=0.5, color="#E69F00", alpha=0.35)
      gaps.set(ylim=(0, 100))
      gaps.spines["right"].set_visible(True)
      if place % _COLUMNS == 0:
        axes.set_ylabel("RMSE [mmHg]")
      if place % _COLUMNS == _COLUMNS - 1 or place == len(ARTEFACTS) - 1:
        gaps.set_ylabel("left out [%]")
    return drawn
