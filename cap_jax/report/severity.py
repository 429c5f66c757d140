"""Reports how errors and gaps grow with the severity of each artefact."""

from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from cap_jax.report import page, tables
from cap_jax.report.figures import STYLE
from cap_jax.study.severity import ARTEFACTS, NONE, WRONG_MMHG, Point

_COLUMNS = 4
_SOUND = 0.01  # largest share of a record that may be reconstructed and wrong
_WRONG = f"reconstructed with error > {WRONG_MMHG:g} mmHg [%]"


def _size(one: Point) -> str:
  return f"{one.severity:g} {one.unit}" if one.artefact != NONE else ""


def _percent(share: float, digits: int = 0) -> str:
  return "" if share != share else f"{100 * share:.{digits}f}"


def table(curve: Sequence[Point]) -> tables.Table:
  """Returns a row a point."""
  header = (
    "artefact",
    "severity",
    "RMSE of the reconstructed part [mmHg]",
    "reconstructed [%]",
    _WRONG,
    "out of distribution [%]",
  )
  rows = []
  for one in curve:
    gaps = sorted(one.reasons, key=lambda reason: -one.reasons[reason])[:2]
    rmse = "" if one.rmse_mmhg != one.rmse_mmhg else f"{one.rmse_mmhg:.2f}"
    shares = _percent(one.reconstructed), _percent(one.wrong, 1), _percent(one.ood_fraction)
    rows.append((one.artefact, _size(one), rmse, *shares, "; ".join(gaps)))
  return tables.Table(
    (*header, "gap reasons, most frequent first"),
    rows,
    0,
    caption="Percentages: share of the record; out of distribution: share of its windows.",
  )


def limits(curve: Sequence[Point]) -> tables.Table:
  """Returns a row an artefact: the severity up to which it is sound, and the result at the next one."""
  rows = []
  for name in ARTEFACTS:
    tried = [one for one in curve if one.artefact == name]
    sound = next((k for k, one in enumerate(tried) if one.wrong > _SOUND), len(tried))
    beyond = tried[sound] if sound < len(tried) else None
    rows.append(
      (
        name,
        _size(tried[sound - 1]) if sound else "",
        _size(beyond) if beyond else "",
        _percent(beyond.reconstructed) if beyond else "",
        _percent(beyond.wrong, 1) if beyond else "",
      )
    )
  header = ("artefact", "acceptable up to", "exceeded at", "reconstructed at that severity [%]", _WRONG)
  return tables.Table(
    header,
    rows,
    caption=f"Acceptable: at most {100 * _SOUND:g} % of the record is reconstructed with error > {WRONG_MMHG:g} mmHg.",
  )


def section(curve: Sequence[Point]) -> page.Section:
  """Returns the figure and both tables."""
  description = "; ".join(
    f"{row[0]} is acceptable {f'up to {row[1]}' if row[1] else 'at no severity tried'}" for row in limits(curve).rows
  )
  caption = "Blue: RMSE of the reconstructed part. Dotted grey: RMSE without artefact. Dotted red: limit of acceptable errors. Bars: share not reconstructed."
  text = "Each artefact is applied separately to records of virtual subjects that are otherwise measured without error."
  sheets = {"limits": limits(curve), "severity": table(curve)}
  return page.Section(
    heading="Effect of artefact severity",
    text=text,
    drawn=[page.Drawn("severity", figure(curve), caption, description)],
    sheets=sheets,
  )


def figure(curve: Sequence[Point]) -> Figure:
  """Draws a panel an artefact: RMSE of the reconstructed part, and the share that is left out."""
  none = next(one.rmse_mmhg for one in curve if one.artefact == NONE)
  with matplotlib.rc_context(STYLE):
    rows = -(-len(ARTEFACTS) // _COLUMNS)
    drawn = Figure(figsize=(11, 2.3 * rows), layout="constrained")
    for place, name in enumerate(ARTEFACTS):
      panel = [one for one in curve if one.artefact == name]
      axes = drawn.add_subplot(rows, _COLUMNS, place + 1)
      ticks = range(len(panel))
      axes.plot(ticks, [one.rmse_mmhg for one in panel], "o-", color="#0072B2", markersize=4)
      axes.axhline(none, color="#777777", linewidth=0.8, linestyle=":")
      axes.axhline(WRONG_MMHG, color="#CC3D3D", linewidth=0.8, linestyle=":")
      axes.set(yscale="log", ylim=(0.3, 60), title=name, xlabel=panel[0].unit)
      axes.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
      axes.set_xticks(ticks, [f"{one.severity:g}" for one in panel])
      axes.minorticks_off()
      gaps = axes.twinx()
      gaps.bar(ticks, [100 * (1 - one.reconstructed) for one in panel], width=0.5, color="#E69F00", alpha=0.35)
      gaps.set(ylim=(0, 100))
      gaps.spines["right"].set_visible(True)
      if place % _COLUMNS == 0:
        axes.set_ylabel("RMSE [mmHg]")
      if place % _COLUMNS == _COLUMNS - 1 or place == len(ARTEFACTS) - 1:
        gaps.set_ylabel("not reconstructed [%]")
    return drawn
