"""Makes tables and figures of networks that were trained on virtual subjects and run on real records."""

import collections
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from cap_jax import config
from cap_jax.report import figures, study_figures, tables
from cap_jax.study.sim_to_real import Measured, ReconstructedRecord

EXPLAINED = (
  "These records contain no measured aortic pressure, so no accuracy is claimed. A-distance: 0 if a linear classifier "
  "cannot distinguish features of virtual and real windows, 2 if it always can; over all records. MMD²: between virtual windows and "
  "the held-out record, which the adaptation has not seen. Plausible waves have a pulse pressure not above the radial "
  "one, a mean within 3 mmHg of the radial mean, and a dicrotic notch. The mean wave is scaled to mean and diastole of the radial wave, or to the reading. The reading and lag of a PPG come from its first 30 s, or from the first third of a short record. PPG → pressure: errors of the waveform and of systole, diastole and mean, "
  "estimated minus measured, in mmHg."
)
_STYLES = ("-", "--", ":", "-.")
_DRAWN = ("gtf_target", "source", "fine_tuning")


def aortic_table(reconstructions: Sequence[ReconstructedRecord]) -> tables.Table:
  """Returns part one: a row for each left-out record and method, and the means over records."""
  header = (
    "method", "held-out record", "A-distance", "MMD²", "beats", "pulse not above radial", "amplification", "mean offset",
    "mean within 3", "notch",
  )  # fmt: skip
  rows = []
  for reconstruction in reconstructions:
    check = reconstruction.plausibility
    rows.append(
      (
        tables.label(reconstruction.method),
        reconstruction.record,
        f"{reconstruction.distance.a_distance:.2f}" if reconstruction.distance else "",
        f"{reconstruction.distance.mmd:.3f}" if reconstruction.distance else "",
        str(check.beats),
        f"{100 * check.pulse_share:.0f} %",
        f"{check.amplification:.2f}",
        f"{check.map_offset_mmhg:+.1f}",
        f"{100 * check.map_share:.0f} %",
        "yes" if check.notch else "no",
      )
    )
  for method in dict.fromkeys(reconstruction.method for reconstruction in reconstructions):
    own = [reconstruction for reconstruction in reconstructions if reconstruction.method == method]
    apart = [reconstruction.distance for reconstruction in own if reconstruction.distance]
    checks = [reconstruction.plausibility for reconstruction in own]
    rows.append(
      (
        tables.label(method),
        "mean",
        f"{np.mean([d.a_distance for d in apart]):.2f}" if apart else "",
        f"{np.mean([d.mmd for d in apart]):.3f}" if apart else "",
        str(sum(check.beats for check in checks)),
        f"{100 * np.mean([check.pulse_share for check in checks]):.0f} %",
        f"{np.mean([check.amplification for check in checks]):.2f}",
        f"{np.mean([check.map_offset_mmhg for check in checks]):+.1f}",
        f"{100 * np.mean([check.map_share for check in checks]):.0f} %",
        f"{sum(check.notch for check in checks)} of {len(checks)}",
      )
    )
  return tables.Table(header, rows, group=1)


def arterial_table(measurements: Sequence[Measured]) -> tables.Table:
  """Returns part two: a row for each left-out record and method, and the means over records."""
  header = ("method", "held-out record", "RMSE", "lag-free", "SBP error", "DBP error", "PP error", "mean error")
  fields = (
    "rmse_mmhg", "rmse_lag_free_mmhg", "csbp_error_mmhg", "cdbp_error_mmhg", "cpp_error_mmhg", "map_error_mmhg"
  )  # fmt: skip
  rows = []
  for measurement in measurements:
    values = [getattr(measurement.errors, name) for name in fields]
    rows.append((tables.label(measurement.method), measurement.record, *_format_errors(values)))
  for method in dict.fromkeys(measurement.method for measurement in measurements):
    own = [
      [getattr(measurement.errors, name) for name in fields]
      for measurement in measurements
      if measurement.method == method
    ]
    mean = np.concatenate([np.mean(own, axis=0)[:2], np.abs(own).mean(0)[2:]])
    rows.append((tables.label(method), "mean, absolute", *_format_errors(mean.tolist())))
  return tables.Table(header, rows, group=1)


def _format_errors(values: Sequence[float]) -> list[str]:
  return [f"{value:.2f}" for value in values[:2]] + [f"{value:+.1f}" for value in values[2:]]


def _sheet(
  measured: Mapping[str, np.ndarray], label: str, drawn: Mapping[str, Mapping[str, np.ndarray]], spec: config.Windows
) -> Figure:
  """Draws a window of each record, without its margins.

  Args:
    measured: record → (time,) the measured wave [mmHg].
    label: of the measured wave.
    drawn: record → method → (time,) wave [mmHg].
    spec: of the windows.

  Returns:
    The figure, a panel a record.
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
      for method, wave_t in drawn[record].items():
        shade = study_figures.colour(method)
        style = _STYLES[used[shade] % len(_STYLES)]  # variants of a strategy share its colour
        used[shade] += 1
        axes.plot(time_s, wave_t[inner], lw=1.0, ls=style, color=shade, label=tables.label(method))
      axes.set(ylabel="mmHg", title=record)
      axes.margins(x=0)
    axes.set_xlabel("time [s]")
    figure.axes[0].legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
  return figure


def waves(reconstructions: Sequence[ReconstructedRecord], spec: config.Windows) -> Figure:
  """Draws the radial wave of each left-out record and the reconstructed waves, without the mean wave, which is far off.

  Args:
    reconstructions: a record and method each.
    spec: of the windows.

  Returns:
    The figure.
  """
  measured, drawn = {}, dict[str, dict[str, np.ndarray]]()
  for reconstruction in reconstructions:
    middle = len(reconstruction.peripheral_bt) // 2
    measured[reconstruction.record] = reconstruction.peripheral_bt[middle]
    if reconstruction.method != "mean_wave":
      drawn.setdefault(reconstruction.record, {})[reconstruction.method] = reconstruction.aortic_bt[middle]
  return _sheet(measured, "radial, measured", drawn, spec)


def pressures(measurements: Sequence[Measured], spec: config.Windows) -> Figure:
  """Draws the measured pressure of each left-out record and the pressures that some methods predict from the PPG.

  Args:
    measurements: a record and method each.
    spec: of the windows.

  Returns:
    The figure.
  """
  measured, drawn = {}, dict[str, dict[str, np.ndarray]]()
  for measurement in measurements:
    middle = len(measurement.true_bt) // 2
    measured[measurement.record] = measurement.true_bt[middle]
    if measurement.method in _DRAWN or measurement.method.startswith("domain_adaptation"):
      drawn.setdefault(measurement.record, {})[measurement.method] = measurement.predicted_bt[middle]
  return _sheet(measured, "radial, measured", drawn, spec)
