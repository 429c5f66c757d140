"""Defines the style of figures, and draws a reconstruction."""

import io
import re
import textwrap
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

from cap_jax import files
from cap_jax.signals import blocks
from cap_jax.signals.quality import PAUSE

# after Okabe and Ito, for colour-blind readers too; each has a contrast of 3 on white and on the dark page
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
Read = Callable[[int, int], Sequence[np.ndarray]]
_NOTE_WIDTH = 110  # characters
STYLE: dict[Any, Any] = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "path"}
STYLE["text.parse_math"] = False  # a name may contain two $


_SOFTWARE = "cap_jax"  # names the origin of a PNG in its text


_NAMED = 3  # subjects of the largest errors


class NotebookFigure(Figure):
  """A figure that a notebook shows as a page, to zoom and to go from beat to beat, and anything else as it is.

  Attributes:
    page: the page; "" for the figure alone.
  """

  page = ""

  def _repr_html_(self) -> str | None:
    return self.page or None


def _saved(figure: Figure, **options: Any) -> bytes:
  buffer = io.BytesIO()
  with matplotlib.rc_context({"svg.hashsalt": "cap_jax"}):  # makes the file reproducible
    figure.savefig(buffer, **options)
  figure.set_layout_engine("none")  # the layout is done; the next format reuses it
  return buffer.getvalue()


def to_png(figure: Figure, dpi: int = 130) -> bytes:
  """Returns the figure as PNG.

  Args:
    figure: the figure.
    dpi: dots per inch.

  Returns:
    The file's content.
  """
  return _saved(figure, format="png", dpi=dpi, metadata={"Software": _SOFTWARE})


def is_own_png(path: str) -> bool:
  """Returns whether a regular file is a picture that `to_png` made."""
  with open(files.regular(path), "rb") as file:
    return f"Software\0{_SOFTWARE}".encode() in file.read(1000)


def to_pdf(figure: Figure) -> bytes:
  """Returns the figure as PDF, without a creation time."""
  return _saved(figure, format="pdf", metadata={"CreationDate": None})


def to_svg(figure: Figure) -> bytes:
  """Returns the figure as SVG, without background or creation time."""
  return _saved(figure, format="svg", transparent=True, metadata={"Date": None})


def inline(svg: bytes, name: str) -> str:
  """Turns an SVG file into a short element of a page.

  Black becomes the colour of the surrounding text, which is readable on a dark page too. Ids that something in the file
  refers to become short ones with a prefix; all others are removed. Coordinates keep a hundredth of a point, and points of one style
  share it: a figure of some thousand points is a quarter as long.

  Args:
    svg: the file.
    name: of the figure, unique on the page.

  Returns:
    The element.
  """
  text, prefix = svg.decode(), f"f{zlib.crc32(name.encode()):x}-"
  text = text[text.index("<svg") :].replace("#000000", "currentColor").replace("xlink:href", "href")
  text = re.sub(r">\s+<", "><", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))
  used = dict.fromkeys(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
  short = {one: f"{prefix}{number:x}" for number, one in enumerate(used)}
  text = re.sub(r' id="([^"]+)"', lambda match: f' id="{short[match[1]]}"' if match[1] in used else "", text)
  text = re.sub(r'(url\(#|href="#)([^")]+)', lambda match: match[1] + short[match[2]], text)
  # not in scale(…), whose digits count
  text = re.sub(r' (?:d|x|y)="[^"]*"|translate\([^)]*\)', lambda match: _DECIMALS.sub(r"\1", match[0]), text)
  return _USES.sub(_with_one_style, text)


_DECIMALS = re.compile(r"(\d\.\d\d)\d+")
_USES = re.compile(r'(?:<use [^>]*style="[^"]*"/>){3,}')
_STYLE = re.compile(r' style="([^"]*)"')


def _with_one_style(uses: re.Match[str]) -> str:
  """Returns successive points, with their style in a group around them if it is the same."""
  styles = set(_STYLE.findall(uses[0]))
  return uses[0] if len(styles) > 1 else f'<g style="{styles.pop()}">{_STYLE.sub("", uses[0])}</g>'


def plain_numbers(axes: Axes) -> None:
  """Writes ticks of a logarithmic pressure axis as 0.8, 2, 10 instead of powers, without 7 and 9, which would crowd."""
  axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
  axes.yaxis.set_minor_formatter(lambda value, _: "" if f"{value:.0e}"[0] in "79" else f"{value:g}")
  axes.tick_params(axis="y", which="minor", labelsize=7)


def _broken(time_s: np.ndarray, p_t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Inserts a NaN at each pause of the clock, which breaks the line there."""
  step_s = np.diff(time_s)
  pauses = np.flatnonzero(step_s > PAUSE * np.median(step_s)) + 1 if step_s.size else np.zeros(0, dtype=int)
  return np.insert(time_s, pauses, time_s[pauses]), np.insert(p_t, pauses, np.nan)


def _bin_size(samples: int) -> int:
  """Returns the samples of a bin of a record; fewer than four are not worth it."""
  size = -(-samples // _BINS)
  return size if size >= 4 else 1


def _thin(time_s: np.ndarray, p_t: np.ndarray, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
  """Reduces a long record to the extremes of some thousand bins, which look the same at the width of a page.

  Args:
    time_s: (time,) [s].
    p_t: (time,) the wave, or a part of it that begins with a bin.
    size: samples of a bin of the whole wave; those of this one if None.

  Returns:
    The times and the extremes.
  """
  size = _bin_size(p_t.size) if size is None else size
  if size == 1:
    return time_s, p_t
  spare = -p_t.size % size
  bins = np.pad(p_t, (0, spare), constant_values=np.nan).reshape(-1, size)
  lost = np.isnan(bins).all(1)
  bins = np.where(lost[:, None], 0.0, bins)
  extremes = np.stack([np.nanmin(bins, axis=1), np.nanmax(bins, axis=1)], axis=1)
  extremes[lost] = np.nan
  return np.repeat(time_s[::size], 2), extremes.ravel()


class Curves(NamedTuple):
  """What is drawn of a record.

  Attributes:
    time_s: (time,) [s].
    peripheral: (time,) [mmHg], or a PPG in any unit; NaN in gaps.
    aortic_mmhg: (time,), NaN in gaps.
    half_width_mmhg: (time,) half the width of the prediction interval; NaN for none.
  """

  time_s: np.ndarray
  peripheral: np.ndarray
  aortic_mmhg: np.ndarray
  half_width_mmhg: np.ndarray


def _overview(time_s: np.ndarray, read: Read) -> tuple[Curves, float]:
  """Returns a record reduced to some thousand bins, and the time in the middle of what was reconstructed [s].

  Args:
    time_s: (time,) [s].
    read: see `of_parts`.
  """
  size, pieces, finite = _bin_size(time_s.size), [], []
  for start, stop in blocks.cut(time_s.size, multiple=size):
    own_s, (peripheral, aortic, _) = time_s[start:stop], read(start, stop)
    pieces.append([*_thin(own_s, peripheral, size), _thin(own_s, aortic, size)[1]])
    finite.append((start, stop, int(np.isfinite(aortic).sum())))
  middle, middle_s = sum(count for *_, count in finite) // 2, float(time_s[0])
  for start, stop, count in finite:
    if middle < count:
      middle_s = float(time_s[start + np.flatnonzero(np.isfinite(read(start, stop)[1]))[middle]])
      break
    middle -= count
  times, peripheral, aortic = (np.concatenate(column) for column in zip(*pieces, strict=True))
  return Curves(times, peripheral, aortic, np.full(times.shape, np.nan)), middle_s


def _joined(gaps: Sequence[tuple[float, float]], least_s: float) -> list[tuple[float, float]]:
  """Returns gaps, those that are closer than `least_s` as one."""
  joined: list[tuple[float, float]] = []
  for start, end in gaps:
    if joined and start - joined[-1][1] < least_s:
      joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
    else:
      joined.append((start, end))
  return joined


def _stretch(x_t: np.ndarray, p_t: np.ndarray) -> tuple[float, float]:
  """Returns gain and offset that bring a wave without a unit to the range of a pressure; both NaN in gaps."""
  (low, high), (bottom, top) = (np.nanpercentile(wave, [1, 99]) for wave in (x_t, p_t))
  gain = float((top - bottom) / max(high - low, 1e-12))
  return gain, float(bottom - gain * low)


def beside(x_t: np.ndarray, p_t: np.ndarray) -> np.ndarray:
  """Returns a wave without a unit stretched to the range of a pressure, to draw both on one axis.

  Args:
    x_t: (…,) the wave, NaN in gaps.
    p_t: (…,) the pressure, NaN in gaps; not empty of numbers.
  """
  gain, offset = _stretch(x_t, p_t)
  return gain * x_t + offset


def peripheral_label(site: str, unitless: bool) -> str:
  """Returns the label of a measured peripheral wave; one without a unit is drawn to fit."""
  return f"{site}, no unit" if unitless else f"{site}, measured"


def reconstruction(
  time_s: np.ndarray,
  peripheral: np.ndarray,
  aortic_mmhg: np.ndarray,
  site: str,
  gaps: Sequence[tuple[float, float]],
  half_width_mmhg: np.ndarray | None = None,
  unitless: bool = False,
  note: str = "",
) -> NotebookFigure:
  """Draws a record and its reconstructed aortic wave: all of it, and eight seconds from its middle.

  Args:
    time_s: (time,) [s].
    peripheral: (time,) [mmHg], or a PPG in any unit; NaN in gaps.
    aortic_mmhg: (time,), NaN in gaps.
    site: of the peripheral wave.
    gaps: start and end of each gap [s].
    half_width_mmhg: (time,) half the width of the prediction interval, drawn in the eight seconds.
    unitless: whether the peripheral wave has no unit.
    note: text above the figure.

  Returns:
    The figure.
  """
  half_t = np.full(time_s.shape, np.nan) if half_width_mmhg is None else half_width_mmhg
  waves = (peripheral, aortic_mmhg, half_t)
  return of_parts(time_s, lambda start, stop: [wave[start:stop] for wave in waves], site, gaps, unitless, note)


def of_parts(
  time_s: np.ndarray, read: Read, site: str, gaps: Sequence[tuple[float, float]], unitless: bool = False, note: str = ""
) -> NotebookFigure:
  """Draws the same of a record that is read in parts.

  Args:
    time_s: (time,) [s].
    read: first and last sample → the peripheral and the aortic wave between them, and half the width of its interval, see
      `reconstruction`.
    site: of the peripheral wave.
    gaps: start and end of each gap [s].
    unitless: whether the peripheral wave has no unit.
    note: text above the figure.

  Returns:
    The figure.
  """
  whole, middle_s = _overview(time_s, read)
  first, last = np.searchsorted(time_s, middle_s - 4), np.searchsorted(time_s, middle_s + 4, side="right")
  peripheral, aortic, half_width = read(int(first), int(last))
  detail = Curves(time_s[first:last], peripheral, aortic, half_width)
  if unitless:
    gain, offset = _stretch(whole.peripheral, whole.aortic_mmhg)
    whole, detail = (one._replace(peripheral=gain * one.peripheral + offset) for one in (whole, detail))
  with matplotlib.rc_context(STYLE):
    figure = NotebookFigure(figsize=(10, 6), layout="constrained")
    if note:
      figure.suptitle("\n".join(textwrap.wrap(note, _NOTE_WIDTH)), fontsize=9, color="#B00000")
    upper, lower = figure.subplots(2, 1)
    thinned = whole if _bin_size(time_s.size) > 1 else None
    for axes, curves in ((upper, whole), (lower, detail)):
      for wave, shade, label in (
        (curves.peripheral, COLOURS["peripheral"], peripheral_label(site, unitless)),
        (curves.aortic_mmhg, COLOURS["fine_tuning"], "aortic root, reconstructed"),
      ):
        drawn = (curves.time_s, wave) if curves is thinned else _thin(*_broken(curves.time_s, wave))
        axes.plot(*drawn, color=shade, lw=1.2, label=label)
      axes.set_ylabel("pressure [mmHg]")
    if np.isfinite(detail.half_width_mmhg).any():
      low, high = (detail.aortic_mmhg + sign * detail.half_width_mmhg for sign in (-1, 1))
      lower.fill_between(
        detail.time_s, low, high, color=COLOURS["fine_tuning"], alpha=0.2, lw=0, label="prediction interval"
      )
    upper.margins(x=0.01)
    limits = lower.get_xlim()
    for start, end in _joined(gaps, (time_s[-1] - time_s[0]) / _BINS):
      for axes in (upper, lower) if start <= limits[1] and end >= limits[0] else (upper,):
        axes.axvspan(start, end, color="#D55E00", alpha=0.2, lw=1)
    lower.set_xlim(limits)
    lower.set_xlabel("time [s]")
    figure.legend(*lower.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    upper.set_title("whole record" + (", gaps shaded" if gaps else ""))
    lower.set_title("detail of eight seconds" if time_s[-1] - time_s[0] > 8 else "same record")
  return figure


def errors_of_subjects(rmse_mmhg: Mapping[str, float]) -> NotebookFigure:
  """Draws the error of each subject, the smallest first, with their mean and the names of the three largest.

  Args:
    rmse_mmhg: subject → root mean square error of the wave.

  Returns:
    The figure.
  """
  ordered = sorted(rmse_mmhg.items(), key=lambda one: one[1])
  values = [value for _, value in ordered]
  with matplotlib.rc_context(STYLE):
    figure = NotebookFigure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(values) + 1), values, "o", ms=4, color=COLOURS["fine_tuning"])
    mean = float(np.mean(values))
    axes.axhline(mean, color=COLOURS["peripheral"], lw=1, label=f"mean {mean:.2f} mmHg")
    for number, (name, value) in list(enumerate(ordered, start=1))[-_NAMED:]:
      axes.annotate(
        name.replace("$", r"\$"), (number, value), xytext=(-4, 2), textcoords="offset points", ha="right", fontsize=7
      )
    axes.set(xlabel="subjects, by their error", ylabel="RMSE of the wave [mmHg]", ylim=(0, None))
    axes.legend(loc="upper left")
  return figure
