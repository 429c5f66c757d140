"""The generalised transfer function, as a finite impulse response fitted by least squares,

    y(t) = b + Σ_{k=−K}^{K} a_k x(t − k),     min Σ (y − ŷ)² + λ Σ_k a_k²

One filter serves all subjects (Karamanoglu et al. 1993, Eur. Heart J. 14, 160; Chen et al. 1997, Circulation 95, 1827).
The response is two-sided, as the aortic wave is earlier than the peripheral one. K and λ are chosen on validation
subjects.
"""

import dataclasses

import numpy as np

from cap_jax import config
from cap_jax.data import batches

HALF_WIDTHS_S = (0.12, 0.25)
RIDGES = (1e-6, 1e-4, 1e-2)
_ROOT_LENGTH = 16  # fine enough for a continuous phase
SETTINGS = len(HALF_WIDTHS_S) * len(RIDGES)


@dataclasses.dataclass(frozen=True)
class TransferFunction:
  """A fitted filter.

  Attributes:
    taps: (2K + 1,) a_{−K} … a_K.
    bias: b [mmHg].
  """

  taps: np.ndarray
  bias: float

  def predict(self, x_bt: np.ndarray) -> np.ndarray:
    """Returns the aortic pressure, (window, time) [mmHg].

    The K samples at each end, where the filter overhangs, repeat the nearest value inside.
    """
    half = len(self.taps) // 2
    lagged = np.lib.stride_tricks.sliding_window_view(x_bt, len(self.taps), axis=1)
    inner = lagged @ self.taps[::-1].astype(np.float32) + self.bias
    return np.pad(inner, ((0, 0), (half, half)), mode="edge")


def half_way(whole: TransferFunction) -> TransferFunction:
  """Returns a filter H with H(f)² = G(f): half the gain in dB and half the delay of G; twice applied, it has its bias too.

  Args:
    whole: G.
  """
  half = len(whole.taps) // 2
  circular = np.zeros(_ROOT_LENGTH * len(whole.taps))
  lags = np.arange(-half, half + 1)
  circular[lags] = whole.taps
  response = np.fft.rfft(circular)
  # a continuous phase, so that the root has no jumps
  root = np.sqrt(np.abs(response)) * np.exp(0.5j * np.unwrap(np.angle(response)))
  taps = np.fft.irfft(root, len(circular))[lags]
  return TransferFunction(taps, whole.bias / (1 + float(taps.sum())))


def _moments(pairs: batches.Pairs, half: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
  """Returns the mean of the lagged inputs, their covariance, their covariance with y, and the mean of y."""
  width = 2 * half + 1
  lagged = np.lib.stride_tricks.sliding_window_view(pairs.x_bt, width, axis=1)
  y = pairs.y_bt[:, half : pairs.y_bt.shape[1] - half]
  total_xx, total_xy = np.zeros((width, width)), np.zeros(width)
  centre = float(pairs.x_bt.mean())
  count, sum_x, sum_y = 0, np.zeros(width), 0.0
  for rows in np.array_split(np.arange(len(y)), max(len(y) // 256, 1)):
    block = (lagged[rows] - centre).reshape(-1, width).astype(np.float32)
    target = (y[rows] - centre).ravel().astype(np.float32)
    total_xx += block.T @ block
    total_xy += block.T @ target
    sum_x += block.sum(0, dtype=np.float64)
    sum_y += float(target.sum(dtype=np.float64))
    count += len(target)
  mean_x, mean_y = sum_x / count, sum_y / count
  covariance = total_xx / count - np.outer(mean_x, mean_x)
  return mean_x + centre, covariance, total_xy / count - mean_x * mean_y, mean_y + centre


def fit(training: batches.Pairs, validation: batches.Pairs, spec: config.Windows) -> TransferFunction:
  """Fits by least squares over all windows of the training subjects; K and λ minimise the RMSE on validation subjects.

  Args:
    training, validation: windows of disjoint subjects.
    spec: config of the windows; their margins do not count.
  """
  best, best_error = None, np.inf
  inner = slice(spec.margin, training.x_bt.shape[1] - spec.margin)
  widths = (round(half_s * spec.fs_hz) for half_s in HALF_WIDTHS_S)
  for half in sorted({min(half, spec.margin) for half in widths}):  # no wider than the margin, which hides the ends
    mean_x, covariance, cross, mean_y = _moments(training, half)
    for ridge in RIDGES:
      # covariance[i, j] is of x(t + i − K) and x(t + j − K): lag k = K − i, so the solution is a_K … a_{−K}
      ahead = np.linalg.solve(covariance + ridge * np.trace(covariance) / len(cross) * np.eye(len(cross)), cross)
      candidate = TransferFunction(ahead[::-1], mean_y - float(ahead @ mean_x))
      error = np.sqrt(np.square(candidate.predict(validation.x_bt) - validation.y_bt)[:, inner].mean())
      if error < best_error:
        best, best_error = candidate, error
  assert best is not None
  return best
