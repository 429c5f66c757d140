"""Figures of a study and of a reconstruction, as matplotlib figures."""

import collections
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

from cap_jax.data import batches
from cap_jax.evaluation.study import Cell
from cap_jax.report import tables
from cap_jax.signals.quality import PAUSE

# Okabe and Ito's colours, told apart by colour-blind readers too
COLOURS = {
  "true": "#000000",
  "peripheral": "#999999",
  "mean_wave": "#F0E442",
  "gtf_source": "#999999",
  "gtf_target": "#666666",
  "source": "#444444",
  "scratch": "#E69F00",
  "feature_transfer": "#56B4E9",
  "fine_tuning": "#009E73",
  "parameter_transfer": "#0072B2",
  "domain_adaptation": "#CC79A7",
  "multi_task": "#D55E00",
  "combination": "#004D40",
}
# colours are few: variants of a strategy share its colour, baselines are drawn otherwise than strategies
_LEVELS = ("--", "-.", ":", (0, (3, 1, 1, 1, 1, 1)))
_MARKERS = "o^vDPX<>*hpd"
_DASHED = ("gtf_source", "gtf_target", "mean_wave", "source", "peripheral")
_BINS = 3000
STYLE: dict[Any, Any] = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "path"}


def to_png(figure: Figure, dpi: int = 130) -> bytes:
  """The figure as PNG."""
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png", dpi=dpi)
  return buffer.getvalue()


def colour(method: str) -> str:
  """Of a method; variants of a strategy share it."""
  return COLOURS.get(method.partition("/")[0], "#8B4513")


def waves(test: batches.Pairs, cells: Mapping[str, Cell], judge: str, site: str, fs_hz: float) -> Figure:
  """Rebuilt waves over true ones for the best, the median and the worst test subject of a method.

  Args:
    test: test windows.
    cells: method → cell, drawn in this order.
    judge: the method by whose RMSE the subjects are chosen.
    site: of the peripheral wave.
    fs_hz: sampling rate.
  """
  ranked = sorted(cells[judge].errors, key=lambda found: found.rmse_mmhg)
  chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
  with matplotlib.rc_context(STYLE):
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axes, (word, found) in zip(np.atleast_1d(figure.subplots(1, 3)), chosen.items(), strict=True):
      row = int(np.flatnonzero(test.subject_b == found.subject)[0])
      part = slice(round(0.5 * fs_hz), round(2.5 * fs_hz))
      time_s = np.arange(test.x_bt.shape[1])[part] / fs_hz
      axes.plot(time_s, test.x_bt[row, part], color=COLOURS["peripheral"], lw=1, label=f"{site}, measured")
      axes.plot(time_s, test.y_bt[row, part], color=COLOURS["true"], lw=2.2, label="aortic root, true")
      for method, cell in cells.items():
        axes.plot(time_s, cell.predicted_bt[row, part], color=colour(method), lw=1.3, label=tables.label(method))
      axes.set_title(f"{word} subject: {found.rmse_mmhg:.2f} mmHg")
      axes.set_xlabel("time [s]")
    figure.axes[0].set_ylabel("pressure [mmHg]")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
  return figure


def _plain_numbers(axes: Axes) -> None:
  """Ticks of a logarithmic pressure axis as 0.8, 2, 10 instead of powers."""
  axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
  axes.yaxis.set_minor_formatter(FormatStrFormatter("%g"))
  axes.tick_params(axis="y", which="minor", labelsize=7)


def few_shot(lines: Sequence[tables.Line], place: str) -> Figure:
  """Waveform RMSE against the number of labelled subjects; methods without labels as level lines."""
  with matplotlib.rc_context(STYLE):
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    ends = sorted({line.n_target for line in lines if line.n_target > 0}) or [1]
    drawn = collections.Counter[str]()
    for method in dict.fromkeys(line.method for line in lines):
      points = [line for line in lines if line.method == method]
      shade, label = colour(method), tables.label(method)
      which = drawn[shade]
      drawn[shade] += 1
      if points[0].n_target == 0:
        axes.axhline(points[0].rmse_mmhg, color=shade, lw=1.2, ls=_LEVELS[which % len(_LEVELS)], label=label)
      else:
        marker, style = ("s", ":") if method in _DASHED else (_MARKERS[which % len(_MARKERS)], "-")
        labels, rmse = [p.n_target for p in points], [p.rmse_mmhg for p in points]
        axes.plot(labels, rmse, ls=style, marker=marker, color=shade, label=label)
    axes.set(xscale="log", yscale="log", xlabel="labelled target subjects", ylabel=f"waveform RMSE [mmHg], {place}")
    axes.set_xticks(ends, [str(n) for n in ends])
    _plain_numbers(axes)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
  return figure


def training(curves: Mapping[str, np.ndarray]) -> Figure:
  """Root of the training loss [mmHg] by step, averaged over 25 steps."""
  with matplotlib.rc_context(STYLE):
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    for label, curve in curves.items():
      blocks = curve[: len(curve) // 25 * 25].reshape(-1, 25).mean(1)
      axes.semilogy(25 * (1 + np.arange(len(blocks))), np.sqrt(blocks), label=label)
    axes.set(xlabel="step", ylabel="training RMSE [mmHg]")
    _plain_numbers(axes)
    axes.legend(frameon=False)
  return figure


def _broken(time_s: np.ndarray, p_t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The wave with a NaN in each pause of the clock, so that no line is drawn across it."""
  step_s = np.diff(time_s)
  pauses = np.flatnonzero(step_s > PAUSE * np.median(step_s)) + 1 if step_s.size else np.zeros(0, dtype=int)
  return np.insert(time_s, pauses, time_s[pauses]), np.insert(p_t, pauses, np.nan)


def _thin(time_s: np.ndarray, p_t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """A long record as the extremes of some thousand bins, which look the same at the width of a page."""
  size = -(-p_t.size // _BINS)
  if size < 4:
    return time_s, p_t
  spare = -p_t.size % size
  bins = np.pad(p_t, (0, spare), constant_values=np.nan).reshape(-1, size)
  lost = np.isnan(bins).all(1)
  bins = np.where(lost[:, None], 0.0, bins)
  extremes = np.stack([np.nanmin(bins, axis=1), np.nanmax(bins, axis=1)], axis=1)
  extremes[lost] = np.nan
  return np.repeat(time_s[::size], 2), extremes.ravel()


def reconstruction(
  time_s: np.ndarray,
  peripheral_mmhg: np.ndarray,
  aortic_mmhg: np.ndarray,
  site: str,
  gaps: Sequence[tuple[float, float]],
) -> Figure:
  """A record and its rebuilt aortic wave: the whole of it, and eight seconds from its middle.

  Args:
    time_s, peripheral_mmhg, aortic_mmhg: (time,), NaN in gaps.
    site: of the peripheral wave.
    gaps: start and end of each gap [s].
  """
  with matplotlib.rc_context(STYLE):
    figure = Figure(figsize=(10, 6), layout="constrained")
    whole, detail = figure.subplots(2, 1)
    known = np.flatnonzero(np.isfinite(aortic_mmhg))
    middle = time_s[known[len(known) // 2]] if known.size else time_s[0]
    near = (time_s >= middle - 4) & (time_s <= middle + 4)
    for axes, part in ((whole, slice(None)), (detail, near)):
      for wave, shade, label in (
        (peripheral_mmhg, COLOURS["peripheral"], f"{site}, measured"),
        (aortic_mmhg, COLOURS["fine_tuning"], "aortic root, rebuilt"),
      ):
        axes.plot(*_thin(*_broken(time_s[part], wave[part])), color=shade, lw=1.2, label=label)
      axes.set_ylabel("pressure [mmHg]")
    whole.margins(x=0.01)
    shown = detail.get_xlim()
    for start, end in gaps:
      for axes in (whole, detail):
        axes.axvspan(start, end, color="#D55E00", alpha=0.2, lw=1)
    detail.set_xlim(shown)
    detail.set_xlabel("time [s]")
    detail.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    whole.set_title("the whole record" + (", gaps shaded" if gaps else ""))
    detail.set_title("eight seconds of it" if time_s[-1] - time_s[0] > 8 else "the same")
  return figure
