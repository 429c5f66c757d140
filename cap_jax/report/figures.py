"""How figures look, and the picture of a reconstruction."""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

from cap_jax.signals.quality import PAUSE
from cap_jax.study.methods import BASELINES

# after Okabe and Ito, told apart by colour-blind readers too; each has a contrast of 3 on white and on the dark page
COLOURS = {
  "true": "#000000",
  "peripheral": "#929292",
  "source": "#777777",
  "mean_wave": "#9A8768",
  "gtf": "#8C564B",
  "gtf_arx": "#DF7631",
  "individual_tf": "#B5478F",
  "tube_load": "#5597D4",
  "adaptive_tf": "#2F8F9D",
  "ridge": "#7D9D3E",
  "tcn": "#CC3D3D",
  "cnn_bilstm": "#5F7199",
  "source_affine": "#569E97",
  "scratch": "#C28600",
  "feature_transfer": "#1D9AE1",
  "fine_tuning": "#009E73",
  "parameter_transfer": "#0072B2",
  "domain_adaptation": "#CB77A6",
  "multi_task": "#D55E00",
  "combination": "#8A63D2",
  "auto": "#E0218A",
}
_BINS = 3000
STYLE: dict[Any, Any] = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "path"}
STYLE["text.parse_math"] = False  # a name with two $ is no formula


def _saved(figure: Figure, **options: Any) -> bytes:
  buffer = io.BytesIO()
  with matplotlib.rc_context({"svg.hashsalt": "cap_jax"}):  # the same figure is the same file
    figure.savefig(buffer, **options)
  figure.set_layout_engine("none")  # it is laid out: the next format need not be
  return buffer.getvalue()


def to_png(figure: Figure, dpi: int = 130) -> bytes:
  """The figure as PNG."""
  return _saved(figure, format="png", dpi=dpi)


def to_pdf(figure: Figure) -> bytes:
  """The figure as PDF, without the time of its making."""
  return _saved(figure, format="pdf", metadata={"CreationDate": None})


def to_svg(figure: Figure) -> bytes:
  """The figure as an SVG file without background, and without the time of its making."""
  return _saved(figure, format="svg", transparent=True, metadata={"Date": None})


def inline(svg: bytes, name: str) -> str:
  """An SVG file as an element of a page, whose black is the colour of the text about it: so it is read on a dark page too. Ids that
  something in it refers to begin with its `name`, which no other figure of the page has; all others are taken out."""
  text, name = svg.decode(), re.sub(r"[^A-Za-z0-9]+", "-", name)
  text = text[text.index("<svg") :].replace("#000000", "currentColor")
  used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
  text = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", text)
  return re.sub(r'(url\(#|href="#)', rf"\1{name}-", text)


def colour(method: str) -> str:
  """Of a method; variants of a strategy share it, and so do a baseline fitted on the source and on the target."""
  kind = method.partition("/")[0]
  if kind not in COLOURS:
    kind = kind.removesuffix("_source").removesuffix("_target")
  return COLOURS.get(kind, "#8C8C8C" if method in BASELINES else "#A0522D")


def plain_numbers(axes: Axes) -> None:
  """Ticks of a logarithmic pressure axis as 0.8, 2, 10 instead of powers; without 7 and 9, which crowd what stands beside them."""
  axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
  axes.yaxis.set_minor_formatter(lambda value, _: "" if f"{value:.0e}"[0] in "79" else f"{value:g}")
  axes.tick_params(axis="y", which="minor", labelsize=7)


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
  half_width_mmhg: np.ndarray | None = None,
) -> Figure:
  """A record and its reconstructed aortic wave: the whole of it, and eight seconds from its middle.

  Args:
    time_s, peripheral_mmhg, aortic_mmhg: (time,), NaN in gaps.
    site: of the peripheral wave.
    gaps: start and end of each gap [s].
    half_width_mmhg: (time,) half the width of the prediction interval, drawn in the eight seconds.
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
        (aortic_mmhg, COLOURS["fine_tuning"], "aortic root, reconstructed"),
      ):
        axes.plot(*_thin(*_broken(time_s[part], wave[part])), color=shade, lw=1.2, label=label)
      axes.set_ylabel("pressure [mmHg]")
    if half_width_mmhg is not None and np.isfinite(half_width_mmhg).any():
      low, high = (aortic_mmhg[near] + sign * half_width_mmhg[near] for sign in (-1, 1))
      detail.fill_between(time_s[near], low, high, color=COLOURS["fine_tuning"], alpha=0.2, lw=0, label="its interval")
    whole.margins(x=0.01)
    shown = detail.get_xlim()
    for start, end in gaps:
      for axes in (whole, detail):
        axes.axvspan(start, end, color="#D55E00", alpha=0.2, lw=1)
    detail.set_xlim(shown)
    detail.set_xlabel("time [s]")
    figure.legend(*detail.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    whole.set_title("the whole record" + (", gaps shaded" if gaps else ""))
    detail.set_title("eight seconds of it" if time_s[-1] - time_s[0] > 8 else "the same")
  return figure
