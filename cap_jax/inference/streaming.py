"""Reconstruction of beats as they arrive: one peripheral beat in, the aortic beat out, at once.

The window that the network reads ends a margin behind the new beat. The samples behind the beat are not known yet, so
the beat itself is repeated there. Without a past, the first beat is repeated ahead of it too. A later reconstruction
with the true future differs a little (`reconstruct`); tests quantify by how much.
"""

from typing import NamedTuple

import numpy as np

from cap_jax.data import batches
from cap_jax.inference import uncertainty
from cap_jax.signals import beats, filters, quality, windows
from cap_jax.train import checkpoint
from cap_jax.types import InputError

LONGEST_S = 2.5  # a beat at 24 a minute


class StreamState(NamedTuple):
  """The past of a stream: its last peripheral samples [mmHg], at its own rate; (0,) at the beginning and after a gap."""

  past_t: np.ndarray


class StreamedBeat(NamedTuple):
  """The reconstruction of a beat.

  Attributes:
    aortic_mmhg: (time,) aortic wave [mmHg] on the clock of the peripheral one.
    half_width_mmhg: (time,) half the width of its prediction interval [mmHg]; NaN if the network was never calibrated.
    out_of_distribution: whether the window is out of distribution; None if the network was never calibrated.
  """

  aortic_mmhg: np.ndarray
  half_width_mmhg: np.ndarray
  out_of_distribution: bool | None


class StreamingNetwork:
  """A network that reads beats.

  It stores nothing of a patient: each call gets the past, so one network serves many patients.
  """

  def __init__(self, trained: checkpoint.Checkpoint, fs_hz: float):
    """Compiles the network for single windows.

    Args:
      trained: a network for the aortic wave whose input needs no calibration and no covariate.
      fs_hz: sampling rate of the beats.

    Raises:
      InputError: the network outputs another wave, needs more than the wave, or the rate is out of range.
    """
    if trained.task != "waveform" or trained.reference != "aortic_root":
      raise InputError(
        f"the checkpoint predicts {trained.task}, {trained.reference}; use a checkpoint for the aortic wave"
      )
    if trained.calibration.kind != "none" or trained.model.covariates:
      raise InputError(
        "the checkpoint reads covariates or cuff readings, which a stream does not have; use reconstruct"
      )
    if not 20 <= fs_hz <= 10_000:
      raise InputError(f"fs_hz={fs_hz}: must be 20 to 10000")
    self._trained, self._fs_hz = trained, fs_hz
    self._keep = int(np.ceil((trained.windows.seconds + 1) * fs_hz))
    self._read(np.full(trained.windows.samples, 90.0))

  def begin(self) -> StreamState:
    """Returns the state of a stream without a past; also for the first beat after a gap."""
    return StreamState(np.zeros(0))

  def __call__(self, state: StreamState, beat_mmhg: np.ndarray) -> tuple[StreamState, StreamedBeat]:
    """Reconstructs the aortic wave of one beat.

    Args:
      state: state of the same patient, from the last call.
      beat_mmhg: (time,) peripheral pressure from foot to foot, right after the last beat.

    Returns:
      The state for the next call, and the reconstruction.

    Raises:
      InputError: it is no beat: too short or too long, with a gap, or outside the range of an artery.
    """
    beat_t = np.asarray(beat_mmhg, dtype=float)
    self._check(beat_t)
    past_t = np.concatenate([state.past_t, beat_t])[-max(self._keep, len(beat_t)) :]
    window_t, own, clock_s = self._window(past_t, len(beat_t))
    reading = self._read(window_t)
    intervals = self._trained.uncertainty_calibration
    at_s = np.arange(len(beat_t)) / self._fs_hz
    aortic = filters.resample(clock_s, reading.y_bt[0, own], at_s)
    width = (intervals.wave if intervals else np.nan) * np.interp(at_s, clock_s, reading.sigma_bt[0, own])
    is_ood = bool(uncertainty.out_of_distribution(intervals, reading.ood_b)[0]) if intervals else None
    return StreamState(past_t), StreamedBeat(aortic, width, is_ood)

  def _check(self, beat_t: np.ndarray) -> None:
    seconds = beat_t.size / self._fs_hz
    if beat_t.ndim != 1 or not beats.SHORTEST_S <= seconds <= LONGEST_S:
      raise InputError(
        f"the beat has shape {beat_t.shape}, {seconds:.2f} s; it must be one wave of {beats.SHORTEST_S} to {LONGEST_S} s"
      )
    if not np.isfinite(beat_t).all():
      raise InputError(
        f"the beat contains {int((~np.isfinite(beat_t)).sum())} missing samples; omit it and continue with the state of begin()"
      )
    if beat_t.min() < quality.LOW_MMHG or beat_t.max() > quality.HIGH_MMHG or np.ptp(beat_t) < quality.FLAT_RANGE_MMHG:
      raise InputError(
        f"the beat is not an arterial pulse, {beat_t.min():.0f} to {beat_t.max():.0f} mmHg; omit it and continue with the state of begin()"
      )

  def _window(self, past_t: np.ndarray, own: int) -> tuple[np.ndarray, slice, np.ndarray]:
    """Returns the window on the network's clock, the slice of the last `own` samples in it, and their times [s]."""
    spec, fs_hz = self._trained.windows, self._fs_hz
    last_s = (len(past_t) - 1) / fs_hz  # the last sample of both clocks is the same
    at_s = last_s - np.arange(int(last_s * spec.fs_hz) + 1)[::-1] / spec.fs_hz
    wave_t = filters.resample(np.arange(len(past_t)) / fs_hz, past_t, at_s)
    size = min(round(own / fs_hz * spec.fs_hz), len(wave_t))
    stop = spec.samples - spec.margin
    behind_t = windows.repeat(wave_t[-size:], spec.margin)
    if len(wave_t) < stop:  # the past, which is whole beats, is repeated
      turns = -(-(stop - len(wave_t)) // len(wave_t))
      wave_t = np.concatenate([windows.repeat(wave_t, turns * len(wave_t)), wave_t])
    own_t = slice(stop - size, stop)
    clock_s = (own - 1) / fs_hz - np.arange(size)[::-1] / spec.fs_hz
    return np.concatenate([wave_t, behind_t])[-spec.samples :], own_t, clock_s

  def _read(self, window_t: np.ndarray) -> uncertainty.Reading:
    waves = batches.Waves(window_t[None].astype(np.float32), np.array(["stream"]))
    return uncertainty.read(self._trained, waves, block=1)
