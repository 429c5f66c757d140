"""Draws the waves of a virtual cohort, and a beat with the arterial model fitted to it."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from cap_jax.report.figures import STYLE

_MEAN = "#0072B2"
_EACH = "#999999"


def sheet(age_s: np.ndarray, period_s: np.ndarray, waves: Mapping[str, np.ndarray]) -> Figure:
  """Draws a panel a decade and site: the beat of each subject, and the mean of all over the cycle.

  Args:
    age_s: (subject,) years.
    period_s: (subject,) of the beat [s].
    waves: site → (subject, time) one period from the onset of ejection, pressures [mmHg] or a PPG.

  Returns:
    The figure.
  """
  decade = np.asarray(age_s) // 10 * 10
  decades = np.unique(decade).astype(int)
  with matplotlib.rc_context(STYLE):
    figure = Figure(figsize=(1.9 * len(waves) + 0.6, 1.5 * len(decades) + 0.6), layout="constrained")
    panels = figure.subplots(len(decades), len(waves), squeeze=False, sharex=True, sharey="col")
    for row, d in zip(panels, decades, strict=True):
      chosen = np.flatnonzero(decade == d)
      for axes, (site, wave) in zip(row, waves.items(), strict=True):
        time = np.arange(wave.shape[1]) / wave.shape[1]
        for s in chosen:
          axes.plot(time * period_s[s], wave[s], color=_EACH, lw=0.4, alpha=0.6)
        axes.plot(time * period_s[chosen].mean(), wave[chosen].mean(0), color=_MEAN, lw=1.8)
        if d == decades[0]:
          axes.set_title(site.replace("_", " ").replace("ppg", "PPG"))
      row[0].set_ylabel(f"{d}–{d + 9} years\n[mmHg]")
    for axes in panels[-1]:
      axes.set_xlabel("time [s]")
    figure.suptitle("Virtual cohort (in silico): individual beats, and their mean over the cycle")
  return figure


def fitted(time_s: np.ndarray, measured_t: np.ndarray, model_t: np.ndarray, flow_t: np.ndarray | None) -> Figure:
  """Draws a measured beat at the aortic root, the model fitted to it, and below it the measured inflow.

  Args:
    time_s: (time,) [s].
    measured_t: (time,) [mmHg].
    model_t: (time,) [mmHg].
    flow_t: (time,) [ml/s], None if it was not measured.

  Returns:
    The figure.
  """
  with matplotlib.rc_context(STYLE):
    figure = Figure(figsize=(6, 3.4 if flow_t is None else 5), layout="constrained")
    panels = figure.subplots(1 if flow_t is None else 2, 1, squeeze=False, sharex=True)[:, 0]
    panels[0].plot(time_s, measured_t, color="black", lw=2.0, label="measured")
    rms = np.sqrt(np.mean((measured_t - model_t) ** 2))
    panels[0].plot(time_s, model_t, color=_MEAN, lw=1.5, label=f"model, RMS {rms:.2f} mmHg")
    panels[0].set_ylabel("aortic root [mmHg]")
    panels[0].legend(frameon=False)
    if flow_t is not None:
      panels[1].plot(time_s, flow_t, color="black", lw=1.5)
      panels[1].set_ylabel("inflow [ml/s]")
    panels[-1].set_xlabel("time [s]")
  return figure
