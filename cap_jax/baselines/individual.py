"""An individualised transfer function: the generalised one with its resonance moved,

    H_i(f) = H_G(f/κ_i),     ln κ_i = α + β·(SBP_i − mean SBP)

in which κ depends on the peripheral systolic pressure only. It simplifies Stok et al. 2011 (Med. Biol. Eng. Comput. 49,
909), who predict the resonance from several variables, among them cardiac output, and Yao et al. 2017 (IEEE JBHI 21,
1). The best κ of each training subject comes from a grid, α and β from least squares over subjects.
"""

import dataclasses

import numpy as np

from cap_jax import config
from cap_jax.baselines import transfer_function
from cap_jax.data import batches
from cap_jax.signals import beats

SCALES = tuple(np.exp(np.linspace(np.log(0.7), np.log(1.4), 15)))
SETTINGS = transfer_function.SETTINGS
_MOST_SUBJECTS, _MOST_WINDOWS = 200, 5


def scaled(function: transfer_function.TransferFunction, scale: float) -> transfer_function.TransferFunction:
  """Returns the filter with its frequencies multiplied by κ: a(t) → κ·a(κt), with the same sum.

  Args:
    function: the filter.
    scale: κ.
  """
  half = len(function.taps) // 2
  lag = np.arange(-half, half + 1)
  taps = np.interp(scale * lag, lag, function.taps, left=0.0, right=0.0)
  return transfer_function.TransferFunction(taps * function.taps.sum() / taps.sum(), function.bias)


def systolic(x_bt: np.ndarray, fs_hz: float) -> float:
  """Returns the mean systolic pressure of windows (window, time) [mmHg]."""
  systolic_by_window = [beats.pressures(x_t, beats.find_feet(x_t, fs_hz)).systolic for x_t in x_bt]
  beats_mmhg = np.concatenate(systolic_by_window)
  return float(beats_mmhg.mean() if beats_mmhg.size else x_bt.max(1).mean())


@dataclasses.dataclass(frozen=True)
class Individual:
  """A fitted individualised transfer function.

  Attributes:
    general: H_G.
    level_mmhg: mean SBP of the training subjects.
    alpha, beta: intercept and slope of ln κ.
    fs_hz: sampling rate.
  """

  general: transfer_function.TransferFunction
  level_mmhg: float
  alpha: float
  beta: float
  fs_hz: float

  def predict(self, windows: batches.Waves | batches.Pairs) -> np.ndarray:
    """Returns the aortic pressure, (window, time) [mmHg], with κ from each subject's own peripheral wave."""
    out = np.empty_like(windows.x_bt)
    for subject in windows.subjects:
      rows = np.flatnonzero(windows.subject_b == subject)
      log_scale = self.alpha + self.beta * (systolic(windows.x_bt[rows], self.fs_hz) - self.level_mmhg)
      scale = float(np.exp(np.clip(log_scale, np.log(SCALES[0]), np.log(SCALES[-1]))))
      out[rows] = scaled(self.general, scale).predict(windows.x_bt[rows])
    return out


def fit(training: batches.Pairs, validation: batches.Pairs, spec: config.Windows) -> Individual:
  """Fits H_G by `transfer_function.fit`, and α and β over at most 200 subjects; β = 0 with fewer than three.

  Args:
    training, validation: windows of disjoint subjects.
    spec: config of the windows.
  """
  general = transfer_function.fit(training, validation, spec)
  inner = slice(spec.margin, spec.samples - spec.margin)
  pressures, log_scales = [], []
  for subject in training.subjects[:_MOST_SUBJECTS]:
    rows = np.flatnonzero(training.subject_b == subject)[:_MOST_WINDOWS]
    x_bt, y_bt = training.x_bt[rows], training.y_bt[rows]
    errors = [np.square(scaled(general, scale).predict(x_bt) - y_bt)[:, inner].mean() for scale in SCALES]
    pressures.append(systolic(x_bt, spec.fs_hz))
    log_scales.append(np.log(SCALES[int(np.argmin(errors))]))
  pressure, level = np.array(pressures), float(np.mean(pressures))
  enough = len(log_scales) >= 3 and np.ptp(pressure) > 0
  beta = float(np.polyfit(pressure - level, log_scales, 1)[0]) if enough else 0.0
  return Individual(general, level, float(np.mean(log_scales)), beta, spec.fs_hz)
