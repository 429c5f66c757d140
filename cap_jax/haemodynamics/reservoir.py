"""Reservoir and excess pressure from pressure alone, batched over beats.

    dP_r/dt = k_s (P − P_r) − k_d (P_r − P_∞),     P_r(0) = P(0),     P_x = P − P_r

after Aguado-Sierra et al. 2008 (Proc. Inst. Mech. Eng. H 222, 403). k_d and P_∞ come from the fall of the pressure in
diastole, P = P_∞ + A e^{−k_d t}, by least squares under 0 ≤ P_∞ < DBP. The bound is needed because a diastole with a
reflected wave falls on a straighter line than any exponential that ends above zero. k_s is such that P_r equals P at
the incisura.
"""

from typing import NamedTuple

import numpy as np

from cap_jax.haemodynamics import grid_search

_SLOWEST, _FASTEST = 0.2, 15.0  # k_d [1/s]: time constants of 5 s to 67 ms
_MOST = 200.0  # k_s [1/s]
_BISECTIONS = 45


class Reservoir(NamedTuple):
  """Reservoir and excess pressure; (beat,) unless noted. NaN where diastole is no exponential, or no k_s fits.

  Attributes:
    reservoir_bt: (beat, time) P_r [mmHg].
    peak_mmhg: peak of the reservoir above diastole.
    excess_mmhg: peak of the excess pressure.
    excess_mmhg_s: integral of the excess pressure over the beat.
    systolic_rate, diastolic_rate: k_s, k_d [1/s].
    asymptote_mmhg: P_∞.
  """

  reservoir_bt: np.ndarray
  peak_mmhg: np.ndarray
  excess_mmhg: np.ndarray
  excess_mmhg_s: np.ndarray
  systolic_rate: np.ndarray
  diastolic_rate: np.ndarray
  asymptote_mmhg: np.ndarray


def _line(
  e_bt: np.ndarray, p_bt: np.ndarray, inside: np.ndarray, most_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Fits P = offset + slope·e, 0 ≤ offset ≤ most, to the samples `inside` each beat.

  Returns offset, slope and squared error, each (beat,).
  """
  count = inside.sum(1)
  e_mean, p_mean = (np.where(inside, x, 0).sum(1) / count for x in (e_bt, p_bt))
  e, p = (np.where(inside, x - mean[:, None], 0) for x, mean in ((e_bt, e_mean), (p_bt, p_mean)))
  offset = np.clip(p_mean - (e * p).sum(1) / np.square(e).sum(1) * e_mean, 0, most_b)
  e, p = np.where(inside, e_bt, 0), np.where(inside, p_bt - offset[:, None], 0)
  slope = (e * p).sum(1) / np.square(e).sum(1)
  return offset, slope, np.square(p - slope[:, None] * e).sum(1)


def _charged(
  p_bt: np.ndarray, step_b: np.ndarray, k_s: np.ndarray, k_d: np.ndarray, asymptote: np.ndarray
) -> np.ndarray:
  """Returns P_r, exact for a pressure that is linear between samples."""
  k = k_s + k_d
  decay = np.exp(-k * step_b)
  constant_gain = (1 - decay) / k
  ramp_gain = (1 - constant_gain / step_b) / k
  u_bt = k_s[:, None] * p_bt + (k_d * asymptote)[:, None]
  out = np.empty_like(p_bt)
  out[:, 0] = p_bt[:, 0]
  for t in range(p_bt.shape[1] - 1):
    out[:, t + 1] = decay * out[:, t] + constant_gain * u_bt[:, t] + ramp_gain * (u_bt[:, t + 1] - u_bt[:, t])
  return out


def separate(p_bt: np.ndarray, period_b: np.ndarray, ejection_b: np.ndarray) -> Reservoir:
  """Separates aortic waves into reservoir and excess pressure.

  Args:
    p_bt: (beat, time) [mmHg], each from its foot.
    period_b: (beat,) [s].
    ejection_b: (beat,) [s]; NaN returns NaN.
  """
  samples, step_b = p_bt.shape[1], period_b / p_bt.shape[1]
  timed = np.isfinite(ejection_b) & (ejection_b < 0.9 * period_b)
  incisura = np.where(timed, np.round(np.where(timed, ejection_b, 0) / step_b), samples // 3).astype(int)
  index = np.arange(samples)[None, :]
  inside = index >= incisura[:, None]
  theta_bt = (index - incisura[:, None]) * step_b[:, None]
  row, least = np.arange(len(p_bt)), p_bt.min(1)

  def fall(rate: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return _line(np.exp(-np.maximum(theta_bt, 0) * rate[:, None]), p_bt, inside, 0.99 * least)

  k_d = grid_search.least(lambda rate: fall(np.broadcast_to(rate, len(p_bt)))[2], _SLOWEST, _FASTEST)
  asymptote, drop, _ = fall(k_d)
  solved = timed & (drop > 0) & (least > 0) & (k_d > 1.01 * _SLOWEST) & (k_d < 0.99 * _FASTEST)
  low, high = np.zeros(len(p_bt)), np.full(len(p_bt), _MOST)

  def above(k_s: np.ndarray) -> np.ndarray:
    upto = int(incisura.max()) + 1
    return _charged(p_bt[:, :upto], step_b, k_s, k_d, asymptote)[row, incisura] - p_bt[row, incisura] > 0

  solved &= above(high)
  for _ in range(_BISECTIONS):
    middle = 0.5 * (low + high)
    too_high = above(middle)
    low, high = np.where(too_high, low, middle), np.where(too_high, middle, high)
  k_s = 0.5 * (low + high)
  reservoir_bt = np.where(solved[:, None], _charged(p_bt, step_b, k_s, k_d, asymptote), np.nan)
  excess = p_bt - reservoir_bt
  values = (reservoir_bt.max(1) - least, excess.max(1), excess.sum(1) * step_b, k_s, k_d, asymptote)
  return Reservoir(reservoir_bt, *(np.where(solved, value, np.nan) for value in values))
