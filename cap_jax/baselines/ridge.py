"""Ridge regression from beats to beats,

    ŷ = W [x(φ_1) … x(φ_n), T, 1],     min Σ ‖y − ŷ‖² + λ‖W‖²

x and y are the peripheral and the aortic pressure at the phases φ of a beat between two feet of the peripheral wave, T
is its length. λ is chosen on validation subjects.
"""

import dataclasses

import numpy as np

from cap_jax import config
from cap_jax.data import batches
from cap_jax.signals import beats

PHASES = 64
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
SETTINGS = len(RIDGES)
_MOST = 3000
_LEAST_VARIANCE = 1e-2  # mmHg²


def _beats(x_t: np.ndarray, feet: np.ndarray, wave_t: np.ndarray) -> np.ndarray:
  """Returns a wave at the phases of the beats, (beat, phase)."""
  turn = np.arange(PHASES) / PHASES
  at = feet[:-1, None] + turn[None, :] * np.diff(feet)[:, None]
  return np.interp(at, np.arange(len(x_t)), wave_t)


def _design(x_t: np.ndarray, feet: np.ndarray, fs_hz: float) -> np.ndarray:
  period_s = np.diff(feet)[:, None] / fs_hz
  return np.concatenate([_beats(x_t, feet, x_t), 100 * period_s, np.ones_like(period_s)], axis=1)


@dataclasses.dataclass(frozen=True)
class Ridge:
  """A fitted ridge regression.

  Attributes:
    weights: (PHASES + 2, PHASES).
    mean: (PHASES,) aortic pressure [mmHg], for windows without beats.
    fs_hz: sampling rate.
  """

  weights: np.ndarray
  mean: np.ndarray
  fs_hz: float

  def predict(self, x_bt: np.ndarray) -> np.ndarray:
    """Returns the aortic pressure, (window, time) [mmHg].

    The nearest beat is repeated before the first and after the last foot.
    """
    out = np.full_like(x_bt, self.mean.mean())
    for k, x_t in enumerate(x_bt):
      feet = beats.find_feet(x_t, self.fs_hz)
      if len(feet) < 2:
        continue
      beats_kp = _design(x_t, feet, self.fs_hz) @ self.weights
      phase = beats.phase(x_t, feet)
      beat = np.clip(np.floor(phase).astype(int), 0, len(beats_kp) - 1)
      following = np.minimum(beat + (phase >= 0), len(beats_kp) - 1)
      # the end of a beat joins the start of the next
      closed = np.concatenate([beats_kp, beats_kp[:, :1]], axis=1)
      inside = (beat < len(beats_kp) - 1) & (phase >= 0)
      closed[:-1, -1] = beats_kp[1:, 0]
      at = phase % 1 * PHASES
      low = np.floor(at).astype(int)
      share = at - low
      row = np.where(inside, beat, np.where(phase < 0, 0, following))
      out[k] = closed[row, low] * (1 - share) + closed[row, low + 1] * share
    return out


def fit(training: batches.Pairs, validation: batches.Pairs, spec: config.Windows) -> Ridge:
  """Fits over the beats of at most 3,000 evenly spaced windows of the training subjects.

  Args:
    training, validation: windows of disjoint subjects.
    spec: config of the windows.
  """
  rows = np.unique(np.linspace(0, len(training.x_bt) - 1, min(_MOST, len(training.x_bt))).astype(int))
  designs, targets = [], []
  for k in rows:
    feet = beats.find_feet(training.x_bt[k], spec.fs_hz)
    if len(feet) >= 2:
      designs.append(_design(training.x_bt[k], feet, spec.fs_hz))
      targets.append(_beats(training.x_bt[k], feet, training.y_bt[k]))
  flat = np.full(PHASES, training.y_bt.mean())
  if not designs:
    return Ridge(np.zeros((PHASES + 2, PHASES)), flat, spec.fs_hz)
  design, target = np.concatenate(designs), np.concatenate(targets)
  centre = np.append(design[:, :-1].mean(0), 0.0)
  x, mean = design - centre, target.mean(0)
  gram, cross = x.T @ x / len(x), x.T @ (target - mean) / len(x)
  inner = slice(spec.margin, spec.samples - spec.margin)
  best, least = None, np.inf
  for ridge in RIDGES:
    # identical beats have no variance; the solution is then their mean
    penalty = ridge * max(np.trace(gram[:-1, :-1]) / PHASES, _LEAST_VARIANCE) * np.eye(len(gram))
    penalty[-1, -1] = 0.0  # the constant is not penalised
    weights = np.linalg.solve(gram + penalty, cross)
    weights[-1] += mean - centre @ weights
    candidate = Ridge(weights, target.mean(0), spec.fs_hz)
    error = np.square(candidate.predict(validation.x_bt) - validation.y_bt)[:, inner].mean()
    if error < least:
      best, least = candidate, error
  assert best is not None
  return best
