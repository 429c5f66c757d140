"""The mean prediction: the mean aortic beat of the training subjects, placed on the beats of the input.

It uses the times of the beats only. A method that does not beat it has learnt nothing about the subject.
"""

import dataclasses

import numpy as np

from cap_jax.data import batches
from cap_jax.signals import beats

PHASES = 100


@dataclasses.dataclass(frozen=True)
class MeanWave:
  """A mean beat.

  Attributes:
    wave: (PHASES,) mean aortic pressure [mmHg] by the phase between feet of the peripheral wave.
    fs_hz: sampling rate.
  """

  wave: np.ndarray
  fs_hz: float

  def predict(self, x_bt: np.ndarray) -> np.ndarray:
    """Returns the aortic pressure, (window, time) [mmHg]; the mean pressure where a window has no beats."""
    closed = np.append(self.wave, self.wave[0])
    out = np.empty_like(x_bt)
    for k, x_t in enumerate(x_bt):
      phase = beats.phase(x_t, beats.find_feet(x_t, self.fs_hz)) % 1
      out[k] = np.interp(phase * PHASES, np.arange(PHASES + 1), closed)
    return np.where(np.isnan(out), np.float32(self.wave.mean()), out)

  def scaled(self, high_mmhg: float, low_mmhg: float, by_mean: bool = False) -> "MeanWave":
    """Returns the wave scaled to another diastole and systole.

    Args:
      high_mmhg: systole, or the mean if `by_mean`.
      low_mmhg: diastole.
      by_mean: whether `high_mmhg` is the mean pressure.
    """
    level = float(self.wave.mean() if by_mean else self.wave.max())
    gain = (high_mmhg - low_mmhg) / (level - float(self.wave.min()))
    return MeanWave(low_mmhg + gain * (self.wave - self.wave.min()), self.fs_hz)


def fit(training: batches.Pairs, fs_hz: float, most: int = 1000) -> MeanWave:
  """Averages the aortic wave by phase.

  Args:
    training: windows of the training subjects.
    fs_hz: sampling rate.
    most: largest number of windows; they are evenly spaced over all subjects.
  """
  total, count = np.zeros(PHASES), np.zeros(PHASES)
  rows = np.unique(np.linspace(0, len(training.x_bt) - 1, min(most, len(training.x_bt))).astype(int))
  for k in rows:
    phase = beats.phase(training.x_bt[k], beats.find_feet(training.x_bt[k], fs_hz))
    has_phase = np.isfinite(phase)
    slot = (
      np.round(phase[has_phase] % 1 * PHASES).astype(int) % PHASES
    )  # the samples around a phase, not those after it
    total += np.bincount(slot, training.y_bt[k][has_phase], PHASES)
    count += np.bincount(slot, minlength=PHASES)
  if not count.any():
    return MeanWave(np.full(PHASES, training.y_bt.mean()), fs_hz)
  filled = np.where(count > 0, total / np.maximum(count, 1), np.nan)
  covered = np.flatnonzero(np.isfinite(filled))
  return MeanWave(np.interp(np.arange(PHASES), covered, filled[covered], period=PHASES), fs_hz)
