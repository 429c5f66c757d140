"""Made pressure waves of several subjects, and pairs of them."""

import numpy as np

from cap_jax import config
from cap_jax.data import batches

SPEC = config.Windows()


def pulse(seconds: float, period_s: float = 0.8, phase: float = 0.0, dbp: float = 75.0, pp: float = 40.0) -> np.ndarray:
  """A smooth beat with a second hump, repeated, [mmHg] at 125 Hz."""
  turn = (np.arange(round(seconds * SPEC.fs_hz)) / SPEC.fs_hz / period_s + phase) % 1
  wave = np.exp(-0.5 * ((turn - 0.25) / 0.09) ** 2) + 0.45 * np.exp(-0.5 * ((turn - 0.55) / 0.12) ** 2)
  return dbp + pp * wave


def pairs(x: list[np.ndarray], y: list[np.ndarray], per_subject: int = 2) -> batches.Pairs:
  """Windows of so many per subject."""
  names = np.array([f"s{k // per_subject}" for k in range(len(x))])
  return batches.Pairs(np.stack(x).astype(np.float32), np.stack(y).astype(np.float32), names)


def rms(a: np.ndarray, b: np.ndarray) -> float:
  """Without the margins."""
  inner = slice(SPEC.margin, SPEC.samples - SPEC.margin)
  return float(np.sqrt(np.square(a - b)[:, inner].mean()))
