"""Recordings → windows → scaled batches."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from cap_jax import config
from cap_jax.data import recordings
from cap_jax.signals import beats, windows
from cap_jax.types import InputError


@dataclasses.dataclass(frozen=True)
class Pairs:
  """Windows of the peripheral wave and of the aortic one on the same clock.

  x_bt, y_bt: (window, time) [mmHg]; subject_b: (window,) names.
  """

  x_bt: np.ndarray
  y_bt: np.ndarray
  subject_b: np.ndarray

  @property
  def subjects(self) -> tuple[str, ...]:
    return tuple(dict.fromkeys(self.subject_b.tolist()))

  def of(self, subjects: Sequence[str]) -> "Pairs":
    """The windows of some subjects.

    Raises:
      ValueError: a subject has no window.
    """
    missing = sorted(set(subjects) - set(self.subject_b.tolist()))
    if missing:
      raise ValueError(f"subjects {missing[:5]} have no windows")
    rows = np.isin(self.subject_b, list(subjects))
    return Pairs(self.x_bt[rows], self.y_bt[rows], self.subject_b[rows])


def make_pairs(
  found: Sequence[recordings.Recording], site: str, spec: config.Windows, reference: str = "aortic_root"
) -> Pairs:
  """Cuts recordings into windows; a recording shorter than a window, down to a single beat, is repeated to one.

  Raises:
    InputError: a recording lacks a site, has another rate than the windows, is shorter than a beat, or has no window
      without a gap.
  """
  x, y, subject = [], [], []
  for recording in found:
    for wanted in (site, reference):
      if wanted not in recording.signals:
        raise InputError(f"{recording.subject}: no signal at {wanted}; it has {', '.join(recording.sites)}")
    if abs(recording.fs_hz / spec.fs_hz - 1) > 1e-3:
      raise InputError(f"{recording.subject}: {recording.fs_hz:g} Hz; resample to {spec.fs_hz:g} Hz first")
    waves = {wanted: recording.signals[wanted] for wanted in (site, reference)}
    if recording.time_s.size < spec.samples:
      waves = _repeated(recording, waves, waves[reference], spec)
    x_bt, y_bt = (windows.frame(waves[wanted], spec.samples, spec.hop) for wanted in (site, reference))
    whole = np.isfinite(x_bt).all(1) & np.isfinite(y_bt).all(1)
    if not whole.any():
      raise InputError(f"{recording.subject}: every window of {spec.seconds:g} s has a gap")
    x.append(x_bt[whole])
    y.append(y_bt[whole])
    subject += [recording.subject] * len(x[-1])
  return Pairs(np.concatenate(x).astype(np.float32), np.concatenate(y).astype(np.float32), np.array(subject))


def _repeated(
  recording: recordings.Recording, waves: dict[str, np.ndarray], reference_t: np.ndarray, spec: config.Windows
) -> dict[str, np.ndarray]:
  """Waves of a record shorter than a window, such as a single beat, repeated together to the length of one.

  Between the first and the last foot of the reference lies a whole number of beats; with fewer than two feet the record
  itself is one.
  """
  if recording.time_s.size < beats.SHORTEST_S * spec.fs_hz:
    raise InputError(f"{recording.subject}: shorter than one beat ({beats.SHORTEST_S:g} s)")
  feet = beats.find_feet(reference_t, spec.fs_hz)
  period = slice(feet[0], feet[-1]) if len(feet) >= 2 else slice(None)
  return {name: windows.repeat(wave_t[period], spec.samples) for name, wave_t in waves.items()}


@dataclasses.dataclass(frozen=True)
class Scaling:
  """p ↦ (p − mean)/sd, one for both waves, so that a pressure stays comparable to itself."""

  mean_mmhg: float
  sd_mmhg: float

  def scale(self, p_mmhg: np.ndarray) -> np.ndarray:
    return ((p_mmhg - self.mean_mmhg) / self.sd_mmhg).astype(np.float32)

  def unscale(self, scaled: np.ndarray) -> np.ndarray:
    return scaled * self.sd_mmhg + self.mean_mmhg


def fit_scaling(training: Pairs) -> Scaling:
  """Mean and SD of the peripheral waves of the training subjects."""
  return Scaling(float(training.x_bt.mean(dtype=np.float64)), float(training.x_bt.std(dtype=np.float64)))


def stacks(
  arrays: dict[str, np.ndarray], batch: int, steps: int, chunk: int, seed: int
) -> Iterator[dict[str, np.ndarray]]:
  """Batches of windows, stacked by steps: each yield holds (chunk, batch, …) arrays, and `steps / chunk` follow.

  Windows are drawn by going through random orders of all of them, so that each is seen equally often.

  Raises:
    ValueError: `steps` is not a multiple of `chunk`.
  """
  if steps % chunk:
    raise ValueError(f"{steps} steps are not a multiple of the {chunk} that run in one program")
  rng = np.random.default_rng(seed)
  count = len(next(iter(arrays.values())))
  waiting = np.zeros(0, dtype=int)
  for _ in range(steps // chunk):
    while waiting.size < chunk * batch:
      waiting = np.concatenate([waiting, rng.permutation(count)])
    rows, waiting = waiting[: chunk * batch].reshape(chunk, batch), waiting[chunk * batch :]
    yield {name: array[rows] for name, array in arrays.items()}
