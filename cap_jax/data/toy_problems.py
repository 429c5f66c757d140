"""Two small problems of points, as ADAPT's documentation has them (de Mathelin et al. 2021, arXiv 2107.03049)."""

import numpy as np

Points = dict[str, np.ndarray]
"""A part of a batch: "x" (point, coordinate), "y" (point, 1), "c" (point, 0)."""


def _points(x: np.ndarray, y: np.ndarray) -> Points:
  return {"x": x.astype(np.float32), "y": y.astype(np.float32)[:, None], "c": np.zeros((len(x), 0), np.float32)}


def draw_fidelity(seed: int) -> tuple[Points, Points, Points]:
  """200 noisy points of low fidelity on [0, 1]; 100 exact ones of high fidelity on [0, ½]; all of [0, 1] is asked."""
  x = np.linspace(0, 1, 200)
  low = (1 - x**2) * np.sin(4 * np.pi * x) - x
  noise = 0.1 * np.random.default_rng(seed).normal(size=x.shape)
  return _points(x[:, None], low + noise), _points(x[:100, None], low[:100] - 1.5), _points(x[:, None], low - 1.5)


def draw_moons(seed: int) -> tuple[Points, Points, Points]:
  """Two moons of 50 points each with a noise of 0.05; the target is the same turned by 30°, its labels only asked."""
  angle = np.linspace(0, np.pi, 50)
  outer, inner = np.stack([np.cos(angle), np.sin(angle)], 1), np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
  x = np.concatenate([outer, inner]) + 0.05 * np.random.default_rng(seed).normal(size=(100, 2)) - [[0.5, 0.0]]
  y, turn = np.repeat([0.0, 1.0], 50), np.radians(-30)
  turned = x @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
  return _points(x, y), _points(turned, y), _points(turned, y)
