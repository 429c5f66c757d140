"""Minimum of a function of one positive number, for many beats at once."""

from collections.abc import Callable

import numpy as np

_GOLDEN = 0.5 * (np.sqrt(5) - 1)
_ROUNDS = 45


def least(cost: Callable[[np.ndarray], np.ndarray], low: float, high: float, grid_points: int = 60) -> np.ndarray:
  """Minimises the cost of each beat on a logarithmic grid, then by golden sections around its best point.

  Args:
    cost: (beat,) numbers → (beat,) costs.
    low, high: ends of the grid.
    grid_points: number of points of the grid.

  Returns:
    (beat,) arguments of the minimum, at an end of the grid where the minimum lies there.
  """
  grid = np.geomspace(low, high, grid_points)
  costs = np.stack([cost(np.array([value])) for value in grid])
  at = costs.argmin(0)
  a, b = np.log(grid[np.maximum(at - 1, 0)]), np.log(grid[np.minimum(at + 1, grid_points - 1)])
  for _ in range(_ROUNDS):
    c, d = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
    left = cost(np.exp(c)) < cost(np.exp(d))
    a, b = np.where(left, a, c), np.where(left, d, b)
  return np.exp(0.5 * (a + b))
