"""Windkessels of two and three elements from pressure and flow at the aortic root, batched over beats.

    Z_2(ω) = R/(1 + jωτ),     Z_3(ω) = Zc + (R − Zc)/(1 + jωτ),     τ = (R − Zc)·C

R is (MAP − P_out)/Q̄. τ, and Zc for each τ in closed form, minimise Σ_k |P_k − Z(ω_k) Q_k|² over the harmonics. This is
the least-squares fit of the Windkessel's pressure to the measured one (Westerhof N et al. 2009, Med. Biol. Eng. Comput.
47, 131).
"""

from typing import NamedTuple

import numpy as np

from cap_jax.haemodynamics import grid_search

_SHORTEST_S, _LONGEST_S = 0.02, 20.0
_MOST_HARMONICS = 15


class Windkessel(NamedTuple):
  """Fitted elements, each (beat,). NaN where the mean flow is not positive or no τ is best.

  Attributes:
    r: resistance [mmHg·s/ml].
    c: compliance [ml/mmHg].
    zc: characteristic impedance [mmHg·s/ml], 0 for two elements.
    rmse_mmhg: between the Windkessel's pressure and the measured one.
  """

  r: np.ndarray
  c: np.ndarray
  zc: np.ndarray
  rmse_mmhg: np.ndarray


def fit(p_bt: np.ndarray, q_bt: np.ndarray, period_b: np.ndarray, elements: int, p_out_mmhg: float = 0.0) -> Windkessel:
  """Fits a Windkessel.

  Args:
    p_bt, q_bt: (beat, time) pressure [mmHg] and flow [ml/s], one period each.
    period_b: (beat,) [s].
    elements: 2 or 3.
    p_out_mmhg: pressure at which outflow ends.

  Raises:
    ValueError: `elements` is not 2 or 3.
  """
  if elements not in (2, 3):
    raise ValueError(f"elements={elements}: must be 2 or 3")
  samples = p_bt.shape[1]
  harmonics = slice(1, min(_MOST_HARMONICS, samples // 2 - 1) + 1)
  p_bk, q_bk = (np.fft.rfft(x, axis=1)[:, harmonics] / samples for x in (p_bt, q_bt))
  omega_bk = 2 * np.pi * np.arange(samples)[harmonics][None, :] / period_b[:, None]
  flow = q_bt.mean(1)
  positive = flow > 0
  r = (p_bt.mean(1) - p_out_mmhg) / np.where(positive, flow, 1.0)

  def solve(tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns Zc and the squared error at τ; the error is quadratic in Zc."""
    shunt = 1 / (1 + 1j * omega_bk * tau[:, None])
    residual, direction = p_bk - r[:, None] * shunt * q_bk, (1 - shunt) * q_bk
    zc = np.zeros(len(p_bt))
    if elements == 3:
      zc = (residual * direction.conj()).real.sum(1) / np.square(np.abs(direction)).sum(1)
    return zc, np.square(np.abs(residual - zc[:, None] * direction)).sum(1)

  tau = grid_search.least(lambda t: solve(np.broadcast_to(t, len(p_bt)))[1], _SHORTEST_S, _LONGEST_S)
  zc, error = solve(tau)
  solved = positive & (tau > 1.01 * _SHORTEST_S) & (tau < 0.99 * _LONGEST_S) & (zc >= 0) & (zc < r)
  values = (r, tau / np.where(solved, r - zc, 1.0), zc, np.sqrt(2 * error))
  return Windkessel(*(np.where(solved, value, np.nan) for value in values))
