"""Importance weights for a shift of the pressures: p_t(ℓ)/p_s(ℓ) of each source window (Shimodaira 2000),

    w(ℓ) ∝ N(ℓ; μ_t, Σ_t) / N(ℓ; μ_s, Σ_s),     ℓ = (mean, SD) of the window

from the peripheral waves alone. The weights are clipped, so that no window dominates, and have a mean of one.
"""

import numpy as np

_LARGEST = 10.0
_LEAST = 0.05


def _log_normal(l_bq: np.ndarray, fitted_bq: np.ndarray) -> np.ndarray:
  """Returns the log density at `l_bq` of a normal fitted to another sample, without its constant."""
  mean, covariance = fitted_bq.mean(0), np.cov(fitted_bq.T) + 1e-6 * np.eye(l_bq.shape[1])
  z = np.linalg.solve(np.linalg.cholesky(covariance), (l_bq - mean).T)
  return -0.5 * np.square(z).sum(0) - 0.5 * np.linalg.slogdet(covariance)[1]


def weights(source_bt: np.ndarray, target_bt: np.ndarray) -> np.ndarray:
  """Returns the weights of the source windows, (window,).

  Args:
    source_bt, target_bt: (window, time) peripheral windows in the same unit.
  """
  l_s, l_t = (np.stack([x.mean(1), x.std(1)], axis=1).astype(np.float64) for x in (source_bt, target_bt))
  w_b = np.exp(np.clip(_log_normal(l_s, l_t) - _log_normal(l_s, l_s), np.log(_LEAST), np.log(_LARGEST)))
  return (w_b / w_b.mean()).astype(np.float32)
