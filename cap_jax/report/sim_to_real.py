"""Tables and pictures of networks of virtual subjects on real records."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from cap_jax.evaluation.sim_to_real import Measured, Rebuilt
from cap_jax.report import figures, tables

EXPLAINED = (
  "No aortic pressure was measured in these records, so no accuracy of it is claimed. A-distance: 0 if a linear classifier "
  "cannot tell features of virtual and real windows apart, 2 if it always can; over all records. MMD²: between virtual windows and "
  "the record that was left out, which the adaptation has not seen. Plausible waves have a pulse pressure not above the radial "
  "one's, a mean within 3 mmHg of it and a notch. PPG → pressure: errors of the waveform and of systole, diastole and mean, "
  "estimated minus measured, in mmHg."
)
_SHOWN_S = 4.0


def aortic_table(found: Sequence[Rebuilt]) -> tables.Table:
  """Part one: a row for each record left out and method."""
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


def waves(found: Sequence[Rebuilt], fs_hz: float) -> Figure:
  """Four seconds of each record left out: the radial wave and what each method rebuilds."""
  records = list(dict.fromkeys(made.record for made in found))
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(10.0, 2.4 * len(records)), layout="constrained")
    for axes, record in zip(figure.subplots(len(records), 1, squeeze=False)[:, 0], records, strict=True):
      own = [made for made in found if made.record == record]
      middle = len(own[0].peripheral_bt) // 2
      time_s = np.arange(own[0].peripheral_bt.shape[1]) / fs_hz
      axes.plot(time_s, own[0].peripheral_bt[middle], color="#999999", lw=1.6, label="radial, measured")
      for made in own:
        if made.method != "mean_wave":
          axes.plot(
            time_s, made.aortic_bt[middle], lw=1.0, color=figures.colour(made.method), label=tables.label(made.method)
          )
      axes.set(ylabel="mmHg", title=record)
      axes.margins(x=0)
    axes.set_xlabel("time [s]")
    figure.axes[0].legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
  return figure


def pressures(found: Sequence[Measured], fs_hz: float) -> Figure:
  """Four seconds of each record left out: the measured pressure and what some methods make of the PPG."""
  records = list(dict.fromkeys(made.record for made in found))
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(10.0, 2.4 * len(records)), layout="constrained")
    for axes, record in zip(figure.subplots(len(records), 1, squeeze=False)[:, 0], records, strict=True):
      own = [made for made in found if made.record == record]
      middle = len(own[0].true_bt) // 2
      time_s = np.arange(own[0].true_bt.shape[1]) / fs_hz
      axes.plot(time_s, own[0].true_bt[middle], color="#000000", lw=1.6, label="radial, measured")
      for made in own:
        if made.method in ("gtf_target", "source", "fine_tuning"):
          axes.plot(
            time_s,
            made.predicted_bt[middle],
            lw=1.0,
            color=figures.colour(made.method),
            label=tables.label(made.method),
          )
      axes.set(ylabel="mmHg", title=record)
      axes.margins(x=0)
    axes.set_xlabel("time [s]")
    figure.axes[0].legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
  return figure
