"""Steps of a clock, and the straight line through its times. Both need no more than one copy of a long clock."""

import numpy as np

from cap_jax.signals import blocks


def median_step(time_s: np.ndarray) -> float:
  """Returns the median step of a clock [s]; NaN for fewer than two times.

  Args:
    time_s: (time,) [s].
  """
  return float(np.median(np.diff(time_s), overwrite_input=True)) if time_s.size > 1 else float("nan")


def line(time_s: np.ndarray) -> tuple[float, float]:
  """Fits a straight line to the times by least squares.

  Args:
    time_s: (time,) at least two finite times [s].

  Returns:
    Its step from sample to sample [s], and its value at the first sample [s].
  """
  middle = (time_s.size - 1) / 2
  mean_s = (
    float(time_s[0]) + sum(float((time_s[a:b] - time_s[0]).sum()) for a, b in blocks.cut(time_s.size)) / time_s.size
  )
  product = sum(float(np.dot(np.arange(a, b) - middle, time_s[a:b] - mean_s)) for a, b in blocks.cut(time_s.size))
  step_s = 12 * product / (time_s.size * (float(time_s.size) ** 2 - 1))
  return step_s, mean_s - step_s * middle
