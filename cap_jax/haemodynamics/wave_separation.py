"""Forward and backward pressure waves at the aortic root, batched over beats.

P± = (P ± Zc·Q)/2, RM = |P−|/|P+|, RI = |P−|/(|P+| + |P−|). Without a measured flow a triangle replaces it (Westerhof BE
et al. 2006, Hypertension 48, 595). It rises from the foot to the inflection of the pressure, or to the peak where the
inflection follows the peak (type C), and falls to zero at the incisura. Its size does not matter, as only Zc·Q counts
and Zc follows from the same Q.
"""

from typing import NamedTuple

import numpy as np

_HARMONICS = slice(4, 8)  # over which |P/Q| is averaged, where it is nearly Zc (Westerhof 2006)


class Separation(NamedTuple):
  """Separated waves.

  Attributes:
    forward_bt, backward_bt: (beat, time) changes of pressure [mmHg] about a mean of zero.
    zc: (beat,) characteristic impedance [mmHg per unit of flow].
    forward_mmhg, backward_mmhg: (beat,) amplitudes.
    rm, ri: (beat,) reflection magnitude and index.
  """

  forward_bt: np.ndarray
  backward_bt: np.ndarray
  zc: np.ndarray
  forward_mmhg: np.ndarray
  backward_mmhg: np.ndarray
  rm: np.ndarray
  ri: np.ndarray


def triangle(rise_b: np.ndarray, ejection_b: np.ndarray, period_b: np.ndarray, samples: int) -> np.ndarray:
  """Returns a triangular flow of height one, (beat, samples).

  Args:
    rise_b: (beat,) time from the foot to the peak [s].
    ejection_b: (beat,) time from the foot to the end of the flow [s].
    period_b: (beat,) [s].
    samples: per period.
  """
  time_bt = np.arange(samples)[None, :] * (period_b / samples)[:, None]
  up = time_bt / rise_b[:, None]
  down = (ejection_b[:, None] - time_bt) / (ejection_b - rise_b)[:, None]
  return np.maximum(np.minimum(up, down), 0.0)


def characteristic_impedance(p_bt: np.ndarray, q_bt: np.ndarray) -> np.ndarray:
  """Returns Zc, (beat,): |P/Q| over the harmonics 4 to 7, weighted by |Q|²: a harmonic without flow does not count.

  Args:
    p_bt, q_bt: (beat, time) pressure and flow, one period each.
  """
  p_bk, q_bk = (np.abs(np.fft.rfft(x, axis=1)[:, _HARMONICS]) for x in (p_bt, q_bt))
  return (p_bk * q_bk).sum(1) / np.square(q_bk).sum(1)


def separate(p_bt: np.ndarray, q_bt: np.ndarray) -> Separation:
  """Separates waves of pressure [mmHg] by flow of any unit, both (beat, time), one period each."""
  zc = characteristic_impedance(p_bt, q_bt)
  p, zq = p_bt - p_bt.mean(1, keepdims=True), zc[:, None] * (q_bt - q_bt.mean(1, keepdims=True))
  forward, backward = 0.5 * (p + zq), 0.5 * (p - zq)
  ahead, back = np.ptp(forward, axis=1), np.ptp(backward, axis=1)
  return Separation(forward, backward, zc, ahead, back, back / ahead, back / (ahead + back))
