"""Scaling of waves to pressures: to a subject's true MAP and DBP, or by the best affine map of the labelled subjects.

The first is what an invasive calibration would do.
"""

import dataclasses

import numpy as np

from cap_jax.data import batches


def to_true_levels(wave_bt: np.ndarray, test: batches.Pairs) -> np.ndarray:
  """Scales waves of any unit to the mean and the diastole of each subject's own aortic wave.

  This is a bound, since those pressures are unknown at inference.

  Args:
    wave_bt: (window, time) the shape.
    test: windows whose reference has the levels.
  """
  out = np.empty_like(wave_bt)
  for subject in test.subjects:
    rows = np.flatnonzero(test.subject_b == subject)
    shape, true = wave_bt[rows], test.y_bt[rows]
    # the diastole is a mean over windows, so that one low sample does not decide
    (mean, low), (mean_true, low_true) = ((x.mean(), x.min(1).mean()) for x in (shape, true))
    gain = (mean_true - low_true) / (mean - low) if mean > low else 0.0  # a flat shape stays flat, at the mean
    out[rows] = mean_true + gain * (shape - mean)
  return out


@dataclasses.dataclass(frozen=True)
class Affine:
  """The map y = gain·ŷ + offset [mmHg]."""

  gain: float
  offset: float

  def predict(self, wave_bt: np.ndarray) -> np.ndarray:
    return (self.gain * wave_bt + self.offset).astype(wave_bt.dtype)


def fit_affine(predicted_bt: np.ndarray, true_bt: np.ndarray, margin: int) -> Affine:
  """Fits predictions to the reference of labelled windows by least squares.

  Args:
    predicted_bt, true_bt: (window, time).
    margin: samples at each end that do not count.
  """
  inner = slice(margin, true_bt.shape[1] - margin)
  p, y = predicted_bt[:, inner].astype(np.float64), true_bt[:, inner].astype(np.float64)
  gain = ((p - p.mean()) * (y - y.mean())).sum() / max(np.square(p - p.mean()).sum(), 1e-9)
  return Affine(float(gain), float(y.mean() - gain * p.mean()))
