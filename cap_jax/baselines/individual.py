"""An individualised transfer function: the generalised one with its resonance moved,

    H_i(f) = H_G(f/κ_i),     ln κ_i = α + β·(SBP_i − mean SBP)

in which the peripheral systolic pressure alone tells κ: a simplification of one variable after Stok et al. 2011 (Med. Biol. Eng. Comput. 49,
909), who predict the resonance from several, cardiac output among them, and Yao et al. 2017 (IEEE JBHI 21, 1). The best κ of each training
subject is found on a grid, α and β by least squares over subjects.
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


def scaled(found: transfer_function.TransferFunction, scale: float) -> transfer_function.TransferFunction:
  """The filter with its frequencies times κ: a(t) → κ·a(κt), at the same sum."""
  half = len(found.taps) // 2
  lag = np.arange(-half, half + 1)
  taps = np.interp(scale * lag, lag, found.taps, left=0.0, right=0.0)
  return transfer_function.TransferFunction(taps * found.taps.sum() / taps.sum(), found.bias)


def systolic(x_bt: np.ndarray, fs_hz: float) -> float:
  """Mean systolic pressure of some windows [mmHg]."""
  found = [beats.pressures(x_t, beats.find_feet(x_t, fs_hz)).systolic for x_t in x_bt]
  whole = np.concatenate(found)
  return float(whole.mean() if whole.size else x_bt.max(1).mean())


@dataclasses.dataclass(frozen=True)
class Individual:
  """general: H_G. level_mmhg: mean SBP of the training subjects. alpha, beta: of the line."""

  general: transfer_function.TransferFunction
  level_mmhg: float
  alpha: float
  beta: float
  fs_hz: float

  def predict(self, windows: batches.Waves | batches.Pairs) -> np.ndarray:
    """(window, time) aortic pressure [mmHg], κ from each subject's own peripheral wave."""
    out = np.empty_like(windows.x_bt)
    for subject in windows.subjects:
      rows = np.flatnonzero(windows.subject_b == subject)
      log_scale = self.alpha + self.beta * (systolic(windows.x_bt[rows], self.fs_hz) - self.level_mmhg)
      scale = float(np.exp(np.clip(log_scale, np.log(SCALES[0]), np.log(SCALES[-1]))))
      out[rows] = scaled(self.general, scale).predict(windows.x_bt[rows])
    return out


def fit(training: batches.Pairs, validation: batches.Pairs, spec: config.Windows) -> Individual:
  """H_G as `transfer_function.fit` chooses it; the line over at most 200 subjects, β = 0 of fewer than three."""
  general = transfer_function.fit(training, validation, spec)
  inner = slice(spec.margin, spec.samples - spec.margin)
  pressures, best = [], []
  for subject in training.subjects[:_MOST_SUBJECTS]:
    rows = np.flatnonzero(training.subject_b == subject)[:_MOST_WINDOWS]
    x_bt, y_bt = training.x_bt[rows], training.y_bt[rows]
    errors = [np.square(scaled(general, scale).predict(x_bt) - y_bt)[:, inner].mean() for scale in SCALES]
    pressures.append(systolic(x_bt, spec.fs_hz))
    best.append(np.log(SCALES[int(np.argmin(errors))]))
  pressure, level = np.array(pressures), float(np.mean(pressures))
  enough = len(best) >= 3 and np.ptp(pressure) > 0
  beta = float(np.polyfit(pressure - level, best, 1)[0]) if enough else 0.0
  return Individual(general, level, float(np.mean(best)), beta, spec.fs_hz)
