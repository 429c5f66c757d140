"""Two small problems of points from the documentation of ADAPT (de Mathelin et al. 2021, arXiv 2107.03049)."""

import numpy as np

Points = dict[str, np.ndarray]
"""A part of a batch: "x" (point, coordinate), "y" (point, 1), "c" (point, 0)."""


def _as_batch(x: np.ndarray, y: np.ndarray) -> Points:
  return {"x": x.astype(np.float32), "y": y.astype(np.float32)[:, None], "c": np.zeros((len(x), 0), np.float32)}


def draw_fidelity(seed: int) -> tuple[Points, Points, Points]:
  """Draws a regression problem of two fidelities.

  Returns:
    200 noisy points of low fidelity on [0, 1], 100 exact points of high fidelity on [0, ½], and 200 test points of high
    fidelity on [0, 1].
  """
  x = np.linspace(0, 1, 200)
  low = (1 - x**2) * np.sin(4 * np.pi * x) - x
  noise = 0.1 * np.random.default_rng(seed).normal(size=x.shape)
  return _as_batch(x[:, None], low + noise), _as_batch(x[:100, None], low[:100] - 1.5), _as_batch(x[:, None], low - 1.5)


def draw_moons(seed: int) -> tuple[Points, Points, Points]:
  """Draws two moons of 50 points each with a noise of 0.05. The target is the same problem turned by 30°.

  Returns:
    The source points, the target points, and the target points again for the test. Target labels serve the test only.
  """
  angle = np.linspace(0, np.pi, 50)
  outer, inner = np.stack([np.cos(angle), np.sin(angle)], 1), np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
  x = np.concatenate([outer, inner]) + 0.05 * np.random.default_rng(seed).normal(size=(100, 2)) - [[0.5, 0.0]]
  y, turn = np.repeat([0.0, 1.0], 50), np.radians(-30)
  turned = x @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
  return _as_batch(x, y), _as_batch(turned, y), _as_batch(turned, y)
