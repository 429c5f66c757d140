"""Tables and pictures of networks of virtual subjects on real records."""

import collections
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from cap_jax import config
from cap_jax.report import figures, tables
from cap_jax.study.sim_to_real import Measured, ReconstructedRecord

EXPLAINED = (
  "No aortic pressure was measured in these records, so no accuracy of it is claimed. A-distance: 0 if a linear classifier "
  "cannot tell features of virtual and real windows apart, 2 if it always can; over all records. MMD²: between virtual windows and "
  "the record that was left out, which the adaptation has not seen. Plausible waves have a pulse pressure not above the radial "
  "one's, a mean within 3 mmHg of it and a notch. The mean wave is scaled: to mean and diastole of the radial wave, or to the reading. Reading and lag of a PPG are those of its first 30 s, or of the first third of a short record. PPG → pressure: errors of the waveform and of systole, diastole and mean, "
  "estimated minus measured, in mmHg."
)
_STYLES = ("-", "--", ":", "-.")
_DRAWN = ("gtf_target", "source", "fine_tuning")


def aortic_table(found: Sequence[ReconstructedRecord]) -> tables.Table:
  """Part one: a row for each record left out and method, and one of the mean over records."""
  header = (
    "method", "record left out", "A-distance", "MMD²", "beats", "pulse not above", "amplification", "mean offset",
    "mean within 3", "notch",
  )  # fmt: skip
  rows = []
  for made in found:
    seen = made.plausibility
    rows.append(
      (
        tables.label(made.method),
        made.record,
        f"{made.distance.a_distance:.2f}" if made.distance else "",
        f"{made.distance.mmd:.3f}" if made.distance else "",
        str(seen.beats),
        f"{100 * seen.pulse_share:.0f} %",
        f"{seen.amplification:.2f}",
        f"{seen.map_offset_mmhg:+.1f}",
        f"{100 * seen.map_share:.0f} %",
        "yes" if seen.notch else "no",
      )
    )
  for method in dict.fromkeys(made.method for made in found):
    own = [made for made in found if made.method == method]
    apart = [made.distance for made in own if made.distance]
    seen_all = [made.plausibility for made in own]
    rows.append(
      (
        tables.label(method),
        "mean",
        f"{np.mean([d.a_distance for d in apart]):.2f}" if apart else "",
        f"{np.mean([d.mmd for d in apart]):.3f}" if apart else "",
        str(sum(seen.beats for seen in seen_all)),
        f"{100 * np.mean([seen.pulse_share for seen in seen_all]):.0f} %",
        f"{np.mean([seen.amplification for seen in seen_all]):.2f}",
        f"{np.mean([seen.map_offset_mmhg for seen in seen_all]):+.1f}",
        f"{100 * np.mean([seen.map_share for seen in seen_all]):.0f} %",
        f"{sum(seen.notch for seen in seen_all)} of {len(seen_all)}",
      )
    )
  return tables.Table(header, rows, group=1)


def arterial_table(found: Sequence[Measured]) -> tables.Table:
  """Part two: a row for each record left out and method, and one of the mean over records."""
  header = ("method", "record left out", "RMSE", "lag-free", "SBP error", "DBP error", "PP error", "mean error")
  fields = (
    "rmse_mmhg", "rmse_lag_free_mmhg", "csbp_error_mmhg", "cdbp_error_mmhg", "cpp_error_mmhg", "map_error_mmhg"
  )  # fmt: skip
  rows = []
  for made in found:
    values = [getattr(made.errors, name) for name in fields]
    rows.append((tables.label(made.method), made.record, *_numbers(values)))
  for method in dict.fromkeys(made.method for made in found):
    own = [[getattr(made.errors, name) for name in fields] for made in found if made.method == method]
    mean = np.concatenate([np.mean(own, axis=0)[:2], np.abs(own).mean(0)[2:]])
    rows.append((tables.label(method), "mean, absolute", *_numbers(mean.tolist())))
  return tables.Table(header, rows, group=1)


def _numbers(values: Sequence[float]) -> list[str]:
  return [f"{value:.2f}" for value in values[:2]] + [f"{value:+.1f}" for value in values[2:]]


def _sheet(
  measured: Mapping[str, np.ndarray], label: str, drawn: Mapping[str, Mapping[str, np.ndarray]], spec: config.Windows
) -> Figure:
  """A window of each record, without its margins.

  Args:
    measured: record → (time,) the measured wave, called `label`.
    drawn: record → method → (time,) wave.
  """
  inner = slice(spec.margin, spec.samples - spec.margin)
  time_s = np.arange(spec.samples)[inner] / spec.fs_hz
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(10.0, 2.4 * len(measured)), layout="constrained")
    for axes, (record, wave) in zip(
      figure.subplots(len(measured), 1, squeeze=False)[:, 0], measured.items(), strict=True
    ):
      axes.plot(time_s, wave[inner], color="#000000", lw=1.6, label=label)
      used = collections.Counter[str]()
      for method, made in drawn[record].items():
        shade = figures.colour(method)
        style = _STYLES[used[shade] % len(_STYLES)]  # variants of a strategy share its colour
        used[shade] += 1
        axes.plot(time_s, made[inner], lw=1.0, ls=style, color=shade, label=tables.label(method))
      axes.set(ylabel="mmHg", title=record)
      axes.margins(x=0)
    axes.set_xlabel("time [s]")
    figure.axes[0].legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
  return figure


def waves(found: Sequence[ReconstructedRecord], spec: config.Windows) -> Figure:
  """The radial wave of each record left out, and what the methods reconstruct; the mean wave, far off, is not drawn."""
  measured, drawn = {}, dict[str, dict[str, np.ndarray]]()
  for made in found:
    middle = len(made.peripheral_bt) // 2
    measured[made.record] = made.peripheral_bt[middle]
    if made.method != "mean_wave":
      drawn.setdefault(made.record, {})[made.method] = made.aortic_bt[middle]
  return _sheet(measured, "radial, measured", drawn, spec)


def pressures(found: Sequence[Measured], spec: config.Windows) -> Figure:
  """The measured pressure of each record left out, and what some methods make of the PPG."""
  measured, drawn = {}, dict[str, dict[str, np.ndarray]]()
  for made in found:
    middle = len(made.true_bt) // 2
    measured[made.record] = made.true_bt[middle]
    if made.method in _DRAWN or made.method.startswith("domain_adaptation"):
      drawn.setdefault(made.record, {})[made.method] = made.predicted_bt[middle]
  return _sheet(measured, "radial, measured", drawn, spec)
