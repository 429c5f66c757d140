"""Reconstruction of beats as they arrive: one peripheral beat in, the aortic beat out, at once.

The window that the network reads ends a margin behind the new beat. The samples behind the beat are not known yet, so
the beat itself is repeated there. Without a past, the first beat is repeated ahead of it too. A later reconstruction
with the true future differs a little (`reconstruct`); tests quantify by how much.

A network that reads its context knows the spectrum of the patient better with each beat: the mean over the windows so far.

A PPG without a unit is scaled window by window, as everywhere. A wave that a cuff calibrates is scaled by the beats of
the last seconds, where `reconstruct` uses all beats of the record.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from cap_jax import config
from cap_jax.data import batches
from cap_jax.inference import uncertainty
from cap_jax.signals import beats, filters, quality, spectra, windows
from cap_jax.signals import calibration as scales
from cap_jax.train import checkpoint, training_state
from cap_jax.types import InputError

LONGEST_S = 2.5  # a beat at 24 a minute
_UNKNOWN = np.zeros(spectra.BANDS, np.float32)
_UNCHANGED = "pass the state that `begin` or the last call returned, unchanged"


class StreamState(NamedTuple):
  """The past of a stream. `begin` and each call return one; it cannot be made by hand.

  Attributes:
    past_t: its last peripheral samples at its own rate, in its own unit; (0,) at the beginning and after a gap.
    covariates: of the patient.
    log_power_k: (band,) mean spectrum of the windows so far, for a network that reads its context.
    windows: number of these windows.
    network: digest of the network and the rate of the stream.
    digest: digest of all other fields.
  """

  past_t: np.ndarray
  covariates: Mapping[str, float]
  log_power_k: np.ndarray
  windows: int = 0
  network: str = ""
  digest: str = ""

  def after_gap(self) -> "StreamState":
    """Returns the state for the first beat after a gap; what is known of the patient stays.

    Raises:
      InputError: the state was changed.
    """
    return self.checked()._replace(past_t=np.zeros(0)).with_digest()

  def with_digest(self) -> "StreamState":
    """Returns the state with fields as arrays, and with their digest.

    Raises:
      InputError: a field is of another kind.
    """
    try:
      past_t, log_power_k = (np.asarray(part, dtype=float) for part in (self.past_t, self.log_power_k))
      values = {str(name): float(value) for name, value in self.covariates.items()}
    except (TypeError, ValueError, AttributeError) as error:
      raise InputError(f"state: a field is not as `begin` makes it ({error}); {_UNCHANGED}") from error
    digest = hashlib.sha256(repr([self.network, self.windows, sorted(values.items()), past_t.shape]).encode())
    for array in (past_t, log_power_k):
      digest.update(np.ascontiguousarray(array).data)
    return StreamState(past_t, values, log_power_k, self.windows, self.network, digest.hexdigest())

  def checked(self) -> "StreamState":
    """Returns the state with fields as arrays; they may be lists after a state was stored.

    Raises:
      InputError: a field was changed, or the state was made by hand.
    """
    state = self.with_digest()
    if state.digest != self.digest:
      raise InputError(f"state: was changed or made by hand; {_UNCHANGED}")
    return state


class StreamedBeat(NamedTuple):
  """The reconstruction of a beat.

  Attributes:
    aortic_mmhg: (time,) aortic wave [mmHg] on the clock of the peripheral one.
    half_width_mmhg: (time,) half the width of its prediction interval [mmHg]; NaN if the network was never calibrated.
    out_of_distribution: whether the window is out of distribution; None if the network was never calibrated.
    unknown_level: that the pressure level is unknown, "" if the input contains it.
  """

  aortic_mmhg: np.ndarray
  half_width_mmhg: np.ndarray
  out_of_distribution: bool | None
  unknown_level: str


def _samples(beat_t: Any) -> np.ndarray:
  """Returns a beat as an array of numbers, NaN where it is masked.

  Raises:
    InputError: it contains something else.
  """
  try:
    masked = isinstance(beat_t, np.ma.MaskedArray)
    array = np.ma.filled(beat_t.astype(float), np.nan) if masked else np.asarray(beat_t)
    if array.dtype.kind not in "biufO":
      raise TypeError
    return array.astype(float)
  except (TypeError, ValueError, OverflowError) as error:
    raise InputError("the beat must be an array of numbers (time,)") from error


class StreamingNetwork:
  """A network that reads beats.

  It stores nothing of a patient: each call gets the past, so one network serves many patients.
  """

  def __init__(self, trained: checkpoint.Checkpoint, fs_hz: float):
    """Compiles the network for single windows.

    Args:
      trained: a network for the aortic wave.
      fs_hz: sampling rate [Hz] of the beats.

    Raises:
      InputError: the network outputs another wave, or the rate is out of range.
    """
    if not isinstance(trained, checkpoint.Checkpoint):
      raise InputError(
        f"trained: is a {type(trained).__name__}; pass a checkpoint, such as cj.load('radial').checkpoint"
      )
    if trained.task != "waveform" or trained.reference != "aortic_root":
      raise InputError(
        f"the checkpoint predicts {trained.task}, {trained.reference}; use a checkpoint for the aortic wave"
      )
    if not config.is_real(fs_hz) or not 20 <= fs_hz <= 10_000:
      raise InputError(f"fs_hz={fs_hz}: must be 20 to 10000")
    self._trained, self._fs_hz = trained, fs_hz
    self._keep = int(np.ceil((trained.windows.seconds + 1) * fs_hz))
    self._digest = training_state.fingerprint(
      trained.params, repr((trained.model, trained.scaling, trained.signals)), float(fs_hz)
    )
    self._read(np.full(trained.windows.samples, 90.0), dict.fromkeys(trained.model.covariates, 0.0), _UNKNOWN)

  def begin(self, covariates: Mapping[str, float] | None = None) -> StreamState:
    """Returns the state of a stream without a past.

    Args:
      covariates: covariates of the patient that the network or its calibration reads, such as {"age": 70}.

    Raises:
      InputError: one is missing, or the reading is impossible.
    """
    try:
      values = {name: float(value) for name, value in (covariates or {}).items()}
    except (TypeError, ValueError, AttributeError) as error:
      raise InputError(f"covariates={covariates!r}: must map names to numbers, such as {{'age': 70}}") from error
    missing = [name for name in self._trained.model.covariates if not np.isfinite(values.get(name, np.nan))]
    if missing:
      raise InputError(f"covariates: the network reads {', '.join(missing)}; pass begin({{{missing[0]!r}: …}})")
    if self._calibration.kind != "none":
      scales.reading(self._calibration, values, "the stream")
    scales.check_reading(values, "the stream")
    return StreamState(np.zeros(0), values, _UNKNOWN.copy(), 0, self._digest).with_digest()

  def __call__(self, state: StreamState, beat_t: np.ndarray) -> tuple[StreamState, StreamedBeat]:
    """Reconstructs the aortic wave of one beat.

    Args:
      state: state of the same patient, from the last call.
      beat_t: (time,) peripheral pressure [mmHg], or a wave in any unit for a network that reads a PPG or is calibrated by
        a cuff, from foot to foot, right after the last beat. It rises with the pulse.

    Returns:
      The state for the next call, and the reconstruction.

    Raises:
      InputError: it is no beat: too short or too long, with a gap, or outside the range of an artery. Or the state is not
        one of this network and rate, or was changed.
    """
    state = self._checked(state)
    beat_t = _samples(beat_t)
    self._check(beat_t)
    past_t = np.concatenate([state.past_t, beat_t])[-max(self._keep, len(beat_t)) :]
    window_t, own, clock_s = self._window(self._calibrated(past_t, state.covariates), len(beat_t))
    count, log_power_k = state.windows + 1, state.log_power_k
    if self._trained.model.reads_context:
      scaled_bt = self._trained.scaling.scale_input(window_t[None])
      log_power_k = log_power_k + (spectra.log_power(scaled_bt)[0] - log_power_k) / count
    reading = self._read(window_t, state.covariates, log_power_k)
    intervals = self._trained.uncertainty_calibration
    at_s = np.arange(len(beat_t)) / self._fs_hz
    aortic = filters.resample(clock_s, reading.y_bt[0, own], at_s)
    width = (intervals.wave if intervals else np.nan) * np.interp(at_s, clock_s, reading.sigma_bt[0, own])
    is_ood = bool(uncertainty.out_of_distribution(intervals, reading.ood_b)[0]) if intervals else None
    beat = StreamedBeat(aortic, width, is_ood, self._trained.unknown_level)
    return StreamState(past_t, state.covariates, log_power_k, count, self._digest).with_digest(), beat

  @property
  def _calibration(self) -> config.Calibration:
    return scales.without_errors(self._trained.calibration)

  def _calibrated(self, past_t: np.ndarray, covariates: Mapping[str, float]) -> np.ndarray:
    """Returns the past as the network reads it: scaled to the reading if it has a calibration."""
    if self._calibration.kind == "none":
      return past_t
    levels = scales.levels(past_t, self._fs_hz)
    gain, offset = scales.affine(self._calibration, levels, covariates, "the stream")
    return gain * past_t + offset

  def _checked(self, state: Any) -> StreamState:
    if not isinstance(state, StreamState):
      raise InputError(f"state: is a {type(state).__name__}; {_UNCHANGED}")
    checked = state.checked()
    if checked.network != self._digest:
      raise InputError(
        "state: is of another network or of another sampling rate; begin a stream of this one with `begin`"
      )
    return checked

  def _check(self, beat_t: np.ndarray) -> None:
    seconds = beat_t.size / self._fs_hz
    if beat_t.ndim != 1 or not beats.SHORTEST_S <= seconds <= LONGEST_S:
      raise InputError(
        f"the beat has shape {beat_t.shape}, {seconds:.2f} s; it must be one wave of {beats.SHORTEST_S} to {LONGEST_S} s"
      )
    if not np.isfinite(beat_t).all():
      raise InputError(
        f"the beat contains {int((~np.isfinite(beat_t)).sum())} missing samples; omit it and continue with state.after_gap()"
      )
    if self._trained.scaling.unitless or self._trained.calibration.kind != "none":
      plausible = np.ptp(beat_t) > 0
    else:
      low, high = quality.LOW_MMHG, quality.HIGH_MMHG
      plausible = low <= beat_t.min() and beat_t.max() <= high and np.ptp(beat_t) >= quality.FLAT_RANGE_MMHG
    if not plausible:
      raise InputError(
        f"the beat is not an arterial pulse, {beat_t.min():.0f} to {beat_t.max():.0f} mmHg; omit it and continue with state.after_gap()"
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

  def _read(
    self, window_t: np.ndarray, covariates: Mapping[str, float], log_power_k: np.ndarray
  ) -> uncertainty.Reading:
    values = {name: np.array([value], np.float32) for name, value in covariates.items()}
    waves = batches.Waves(window_t[None].astype(np.float32), np.array(["stream"]), values)
    return uncertainty.read(self._trained, waves, block=1, log_power_bk=log_power_k[None])
