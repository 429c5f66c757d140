"""Beats as they come: one peripheral beat in, the aortic beat out, at once.

The window that the network reads ends a margin behind the beat that has just come. What lies behind the beat is not known yet, so the beat
itself is repeated there, as is the first one ahead of it while there is no past. A wave reconstructed later, with the true future at hand, differs
a little (`reconstruct`); tests say by how much.
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
  """The past of a stream: its last peripheral samples [mmHg], at its own rate; (0,) at the beginning and behind a gap."""

  past_t: np.ndarray


class StreamedBeat(NamedTuple):
  """The aortic wave of a beat [mmHg] on the clock of the peripheral one, half the width of its prediction interval (NaN of a network
  that was never calibrated), and whether the window is out of distribution (None likewise)."""

  aortic_mmhg: np.ndarray
  half_width_mmhg: np.ndarray
  out_of_distribution: bool | None


class StreamingNetwork:
  """A network that reads beats. It holds nothing of a patient: the past is handed from call to call, so that one serves many."""

  def __init__(self, trained: checkpoint.Checkpoint, fs_hz: float):
    """Compiles the network for single windows.

    Args:
      trained: a network for the aortic wave whose input needs no calibration and no covariate.
      fs_hz: of the beats.

    Raises:
      InputError: the network gives another wave, or needs more than the wave; or the rate cannot be.
    """
    if trained.task != "waveform" or trained.reference != "aortic_root":
      raise InputError(
        f"the checkpoint gives {trained.task}, {trained.reference}; a stream needs one for the aortic wave"
      )
    if trained.calibration.kind != "none" or trained.model.covariates:
      raise InputError(
        "the checkpoint takes readings or covariates besides the wave; a stream has none, use reconstruct"
      )
    if not 20 <= fs_hz <= 10_000:
      raise InputError(f"fs_hz={fs_hz}: must lie between 20 and 10000")
    self._trained, self._fs_hz = trained, fs_hz
    self._keep = int(np.ceil((trained.windows.seconds + 1) * fs_hz))
    self._read(np.full(trained.windows.samples, 90.0))

  def begin(self) -> StreamState:
    """A stream without a past; also for what comes behind a gap."""
    return StreamState(np.zeros(0))

  def __call__(self, state: StreamState, beat_mmhg: np.ndarray) -> tuple[StreamState, StreamedBeat]:
    """The aortic wave of one beat.

    Args:
      state: of the same patient, from the last call.
      beat_mmhg: (time,) peripheral pressure from foot to foot, behind the last beat without a gap.

    Raises:
      InputError: it is no beat: too short or too long, with a gap, or outside what an artery may have.
    """
    beat_t = np.asarray(beat_mmhg, dtype=float)
    self._check(beat_t)
    past_t = np.concatenate([state.past_t, beat_t])[-max(self._keep, len(beat_t)) :]
    window_t, own, clock_s = self._window(past_t, len(beat_t))
    made = self._read(window_t)
    intervals = self._trained.uncertainty_calibration
    at_s = np.arange(len(beat_t)) / self._fs_hz
    aortic = filters.resample(clock_s, made.y_bt[0, own], at_s)
    width = (intervals.wave if intervals else np.nan) * np.interp(at_s, clock_s, made.sigma_bt[0, own])
    strange = bool(uncertainty.out_of_distribution(intervals, made.h_bd)[0]) if intervals else None
    return StreamState(past_t), StreamedBeat(aortic, width, strange)

  def _check(self, beat_t: np.ndarray) -> None:
    seconds = beat_t.size / self._fs_hz
    if beat_t.ndim != 1 or not beats.SHORTEST_S <= seconds <= LONGEST_S:
      raise InputError(
        f"a beat of shape {beat_t.shape}, {seconds:.2f} s: must be one wave of {beats.SHORTEST_S} to {LONGEST_S} s"
      )
    if not np.isfinite(beat_t).all():
      raise InputError(f"a beat with {int((~np.isfinite(beat_t)).sum())} missing samples; leave it out and begin again")
    if beat_t.min() < quality.LOW_MMHG or beat_t.max() > quality.HIGH_MMHG or np.ptp(beat_t) < quality.FLAT_RANGE_MMHG:
      raise InputError(
        f"a beat from {beat_t.min():.0f} to {beat_t.max():.0f} mmHg: no arterial pulse; leave it out and begin again"
      )

  def _window(self, past_t: np.ndarray, own: int) -> tuple[np.ndarray, slice, np.ndarray]:
    """The window on the network's clock, where in it the last `own` samples of the past lie, and their times [s] in the beat."""
    spec, fs_hz = self._trained.windows, self._fs_hz
    last_s = (len(past_t) - 1) / fs_hz  # the last sample of both clocks is the same
    at_s = last_s - np.arange(int(last_s * spec.fs_hz) + 1)[::-1] / spec.fs_hz
    wave_t = filters.resample(np.arange(len(past_t)) / fs_hz, past_t, at_s)
    size = min(round(own / fs_hz * spec.fs_hz), len(wave_t))
    stop = spec.samples - spec.margin
    behind_t = windows.repeat(wave_t[-size:], spec.margin)
    if len(wave_t) < stop:  # the past, which is whole beats, comes round again
      turns = -(-(stop - len(wave_t)) // len(wave_t))
      wave_t = np.concatenate([windows.repeat(wave_t, turns * len(wave_t)), wave_t])
    own_t = slice(stop - size, stop)
    clock_s = (own - 1) / fs_hz - np.arange(size)[::-1] / spec.fs_hz
    return np.concatenate([wave_t, behind_t])[-spec.samples :], own_t, clock_s

  def _read(self, window_t: np.ndarray) -> uncertainty.Reading:
    intervals = self._trained.uncertainty_calibration
    waves = batches.Waves(window_t[None].astype(np.float32), np.array(["stream"]))
    return uncertainty.read(self._trained, intervals.head if intervals else None, waves, block=1)
