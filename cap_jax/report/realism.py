"""Tables and figures of measured waves beside those of virtual clinics."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from cap_jax.haemodynamics import indices, wave_shape
from cap_jax.metrics import realism
from cap_jax.report import figures, tables
from cap_jax.signals import beats

_COLUMNS = 4
_BEATS, _SAMPLES = 40, 256  # mean beats of each set in the figure
_SHADES = ("#1D9AE1", "#D55E00", "#009E73", "#8A63D2", "#C28600", "#CC3D3D")
_MEASURED = "#000000"


class ClinicComparison(NamedTuple):
  """Measured windows beside those of one virtual clinic.

  Attributes:
    name: of the clinic.
    values: feature → (window,) of its windows.
    rows: each feature compared.
    joint: joint distance; None if the waves lack a feature of it.
    shape: the same without heart rate, mean and pulse pressure.
  """

  name: str
  values: Mapping[str, np.ndarray]
  rows: Sequence[realism.FeatureComparison]
  joint: realism.JointDistance | None
  shape: realism.JointDistance | None = None


def _number(value: float) -> str:
  return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _label(name: str) -> str:
  unit = wave_shape.UNITS[name]
  return f"{name} [{unit}]" if unit else name


def feature_table(clinics: Sequence[ClinicComparison]) -> tables.Table:
  """Returns a row for each feature: quantiles of both sides, and the measured windows inside."""
  header = ["feature", "measured"]
  for clinic in clinics:
    header += [clinic.name, "inside [%]"]
  rows = []
  for name in wave_shape.UNITS:
    parts = [next((row for row in clinic.rows if row.name == name), None) for clinic in clinics]
    first = next((part for part in parts if part is not None), None)
    if first is None:
      continue
    cells = [_label(name), " / ".join(_number(value) for value in first.measured)]
    for part in parts:
      cells += ["", ""] if part is None else [" / ".join(map(_number, part.virtual)), _inside(part)]
    rows.append(tuple(cells))
  caption = (
    "5, 50 and 95 % quantiles over windows; inside: share of the measured windows between the 1 and 99 % quantiles of the "
    "virtual ones, and where the others lie"
  )
  return tables.Table(tuple(header), rows, caption=caption)


def _inside(row: realism.FeatureComparison) -> str:
  sides = [
    f"{100 * share:.0f} {side}" for share, side in ((row.below, "below"), (row.above, "above")) if share >= 0.005
  ]
  return f"{100 * row.inside:.0f}" + (f" ({', '.join(sides)})" if sides else "")


def distance_table(clinics: Sequence[ClinicComparison], network: realism.NetworkDistance | None) -> tables.Table:
  """Returns the rows of each clinic with its joint distances, and one for what a network calls in distribution.

  Args:
    clinics: the comparisons.
    network: logits of the measured windows; None without a network.
  """
  rows = []
  for clinic in clinics:
    for joint, kind in ((clinic.joint, ""), (clinic.shape, ", shape alone")):
      if joint is not None:
        middle = f"{np.median(joint.measured_b):.2f} ({np.median(joint.virtual_b):.2f})"
        label = f"fifth nearest window of {clinic.name}{kind} (among themselves)"
        rows.append((label, middle, f"{100 * joint.inside:.0f}"))
  if network is not None:
    middle = f"{np.median(network.measured_b):.1f} (threshold {network.threshold:.1f})"
    rows.append(("logit of the network's detector", middle, f"{100 * network.inside:.0f}"))
  return tables.Table(
    ("measure", "median of the measured windows", "inside [%]"), rows, caption="share of measured windows inside"
  )


class ChangeResult(NamedTuple):
  """Distances after an exchange of one property.

  Attributes:
    name: of the property.
    measured, virtual: median logit and share inside, of measured windows that got the property of virtual ones, and the
      reverse.
  """

  name: str
  measured: tuple[float, float]
  virtual: tuple[float, float]


def change_table(results: Sequence[ChangeResult], clinic: str) -> tables.Table:
  """Returns a row for each exchanged property."""
  rows = []
  for name, measured, virtual in results:
    cells = [cell for median, inside in (measured, virtual) for cell in (f"{median:.1f}", f"{100 * inside:.0f}")]
    rows.append((name, *cells))
  header = (
    "exchanged property", f"measured with that of {clinic}: logit", "inside [%]",
    f"{clinic} with the measured one: logit", "inside [%]",
  )  # fmt: skip
  return tables.Table(header, rows, caption="logit of the network's detector, median, and share within its threshold")


def feature_figure(measured: Mapping[str, np.ndarray], clinics: Sequence[ClinicComparison]) -> Figure:
  """Draws the distribution of each feature: measured in black, each clinic in a colour."""
  names = [name for name in wave_shape.UNITS if np.isfinite(measured[name]).any()]
  lines = -(-len(names) // _COLUMNS)
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(12.0, 2.1 * lines), layout="constrained")
    for axes, name in zip(figure.subplots(lines, _COLUMNS, squeeze=False).flat, names, strict=False):
      sets = [("measured", measured[name], _MEASURED)]
      sets += [(one.name, one.values[name], shade) for one, shade in zip(clinics, _SHADES, strict=False)]
      defined = [(label, x[np.isfinite(x)], shade) for label, x, shade in sets]
      low = min(np.quantile(x, 0.005) for _, x, _ in defined if x.size)
      high = max(np.quantile(x, 0.995) for _, x, _ in defined if x.size)
      bins = np.linspace(low, high if high > low else low + 1, 40)
      for label, x, shade in defined:
        axes.hist(
          x, bins, density=True, histtype="step", color=shade, lw=1.6 if shade == _MEASURED else 1.1, label=label
        )
      axes.set(yticks=[])
      axes.set_xlabel(_label(name))
    for axes in figure.axes[len(names) :]:
      axes.set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=7)
  return figure


def mean_beats(cut_windows: realism.WindowSet, most: int = _BEATS) -> np.ndarray:
  """Returns mean beats of evenly spaced windows, each from 0 to 1 over its own period, (window, time)."""
  rows = np.unique(np.linspace(0, len(cut_windows.x_bt) - 1, min(most, len(cut_windows.x_bt))).astype(int))
  shapes = []
  for row in rows:
    x_t = cut_windows.x_bt[row]
    feet = beats.find_feet(x_t, cut_windows.fs_hz)
    if len(feet) > 1:
      beat = indices.cut(x_t, feet, _SAMPLES).mean(0)
      shapes.append((beat - beat.min()) / np.ptp(beat))
  return np.array(shapes).reshape(-1, _SAMPLES)


def beat_figure(sets: Mapping[str, realism.WindowSet]) -> Figure:
  """Draws mean beats, scaled to their pulse: the measured ones and those of each clinic."""
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(3.0 * len(sets), 2.8), layout="constrained")
    for axes, (label, cut_windows), shade in zip(
      figure.subplots(1, len(sets), squeeze=False)[0], sets.items(), (_MEASURED, *_SHADES), strict=False
    ):
      axes.plot(np.arange(_SAMPLES) / _SAMPLES, mean_beats(cut_windows).T, color=shade, lw=0.5, alpha=0.6)
      axes.set(title=label, xlabel="part of the beat", yticks=[0, 1])
  return figure
