"""Errors of reconstructed windows, per subject.

All are taken on the window less its margin at each end, for every method alike. The beats are those of the true aortic
wave; its feet serve the evaluation only, no method sees them.
"""

import dataclasses

import numpy as np

from cap_jax import config
from cap_jax.data import batches
from cap_jax.signals import beats

LARGEST_LAG_S = 0.2


@dataclasses.dataclass(frozen=True)
class SubjectErrors:
  """Errors of one subject [mmHg]; pressure errors are estimated minus true, mean over beats.

  rmse_lag_free_mmhg: RMSE after the one shift, of at most 0.2 s and a margin, that suits the subject best.
  """

  subject: str
  rmse_mmhg: float
  rmse_lag_free_mmhg: float
  csbp_error_mmhg: float
  cdbp_error_mmhg: float
  cpp_error_mmhg: float
  map_error_mmhg: float


class Evaluator:
  """Test windows with their beats found once."""

  def __init__(self, test: batches.Pairs, spec: config.Windows):
    """Args:
    test: windows of the test subjects.
    spec: rate and margin.
    """
    self.test = test
    self._inner = slice(spec.margin, spec.samples - spec.margin)
    largest = min(round(LARGEST_LAG_S * spec.fs_hz), spec.margin)
    self._lags = range(-largest, largest + 1)
    self._feet = [beats.find_feet(y_t, spec.fs_hz) for y_t in test.y_bt[:, self._inner]]
    self._true = [self._pressures(k, y_t) for k, y_t in enumerate(test.y_bt[:, self._inner])]

  def _pressures(self, window: int, p_t: np.ndarray) -> np.ndarray:
    """(beat, 4) systolic, diastolic, pulse, mean."""
    found = beats.pressures(p_t, self._feet[window])
    return np.stack([found.systolic, found.diastolic, found.pulse, found.mean], axis=-1)

  def _lag_free(self, rows: np.ndarray, predicted_bt: np.ndarray) -> float:
    """The best RMSE over shifts; a shift reads the prediction's margins, the samples judged stay the same."""
    true = self.test.y_bt[rows, self._inner]
    start, stop = self._inner.start, self._inner.stop
    shifted = (predicted_bt[rows, start + lag : stop + lag] for lag in self._lags)
    return float(np.sqrt(min(np.square(p - true).mean() for p in shifted)))

  def errors(self, predicted_bt: np.ndarray) -> list[SubjectErrors]:
    """Errors of each test subject.

    Raises:
      ValueError: the prediction's shape is not the test windows', or it holds NaN.
    """
    if predicted_bt.shape != self.test.y_bt.shape:
      raise ValueError(f"predicted {predicted_bt.shape}, the test windows are {self.test.y_bt.shape}")
    if not np.isfinite(predicted_bt).all():
      raise ValueError("the prediction holds NaN or infinite values")
    predicted, true = predicted_bt[:, self._inner], self.test.y_bt[:, self._inner]
    found = []
    for subject in self.test.subjects:
      rows = np.flatnonzero(self.test.subject_b == subject)
      rmse = float(np.sqrt(np.square(predicted[rows] - true[rows]).mean()))
      beat_errors = np.concatenate([self._pressures(int(k), predicted[k]) - self._true[k] for k in rows])
      pressure = beat_errors.mean(0) if len(beat_errors) else np.full(4, np.nan)
      found.append(SubjectErrors(subject, rmse, self._lag_free(rows, predicted_bt), *map(float, pressure)))
    return found


def mean_rmse(found: list[SubjectErrors]) -> float:
  """RMSE per subject, then the mean over subjects."""
  return float(np.mean([errors.rmse_mmhg for errors in found]))
