"""Conditions a raw record so that it can be cut into windows: one rate, one clock, no bad beats."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from cap_jax import config
from cap_jax.data import datasets, recordings, remarks, signal_names
from cap_jax.signals import beat_quality, filters, quality, synchrony
from cap_jax.types import DataError, InputError

# Signals preferred as the first pressure, to which all lags refer; a reference itself is never moved.
REFERENCES = ("aortic_root",)
_EARLIEST_S = -0.02  # a peripheral foot that comes earlier than this before the aortic one is no pulse's


@dataclasses.dataclass(frozen=True)
class Sync:
  """Lag of a signal behind the first pressure.

  Attributes:
    lag_s: lag [s].
    spread_s: scatter of the lag over beats [s].
    removed_s: lag that was removed [s].
  """

  lag_s: float
  spread_s: float
  removed_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
  """Findings and changes of the conditioning of one record.

  Attributes:
    seconds: duration of the record.
    good_s: signal → seconds that remain.
    beats: signal → number of beats.
    faults: signal → fault → number of beats with it; or "no data", "outside …", "flat line" → number of stretches.
    sync: signal → lag, for signals that were compared.
    filled: number of samples in short gaps that were bridged.
  """

  seconds: float
  good_s: Mapping[str, float]
  beats: Mapping[str, int]
  faults: Mapping[str, Mapping[str, int]]
  sync: Mapping[str, Sync]
  filled: int


def check(spec: config.Conditioning) -> None:
  """Checks conditioning settings.

  Raises:
    InputError: a value is out of its range.
  """
  if not 60 <= spec.fs_hz <= 2000:
    raise InputError(f"conditioning.fs_hz={spec.fs_hz:g}: must be 60 to 2000 Hz")
  unknown = [name for name in spec.drop if name not in beat_quality.FAULTS]
  if unknown:
    raise InputError(f"conditioning.drop: {unknown[0]!r} is not a fault; choose from {', '.join(beat_quality.FAULTS)}")
  low, high = spec.transit_s
  if not -synchrony.REACH_S < low <= high < synchrony.REACH_S or spec.fill_s < 0 or not 4 <= spec.repeat_s <= 600:
    raise InputError(
      f"conditioning={spec}: transit_s must be increasing and within ±2 s, fill_s 0 s or more, repeat_s 4 to 600 s"
    )


def _repeated(recording: recordings.Recording, least_s: float) -> recordings.Recording:
  """Repeats a periodic record to a duration; returns any other record unchanged."""
  step_s = 1 / recording.fs_hz
  times = int(np.ceil(least_s / (recording.time_s.size * step_s)))
  if not recording.periodic or times < 2:
    return recording
  time_s = recording.time_s[0] + step_s * np.arange(times * recording.time_s.size)
  waves = {name: np.tile(wave, times) for name, wave in recording.signals.items()}
  return dataclasses.replace(recording, time_s=time_s, signals=waves, periodic=False)


def _spans(
  time_s: np.ndarray, x_t: np.ndarray, pressure: bool, fill_s: float
) -> tuple[list[quality.Span], dict[str, int]]:
  """Returns the usable spans of a signal, and reason → number of stretches that are not usable."""
  find = quality.find_spans if pressure else quality.find_finite
  good, lost = find(time_s, x_t, fill_s)
  reasons: dict[str, int] = {}
  for gap in lost:
    reason = "pause of the clock" if gap.start == gap.stop else gap.reason
    reasons[reason] = reasons.get(reason, 0) + 1
  return good, reasons


def _resampled(time_s: np.ndarray, x_t: np.ndarray, spans: list[quality.Span], at_s: np.ndarray) -> np.ndarray:
  """Resamples a signal to another clock, NaN outside its spans."""
  if at_s.size == time_s.size and np.allclose(at_s, time_s, rtol=0, atol=1e-7):
    at_s = time_s  # keeps the samples bit for bit
  resampled_t = np.full(at_s.shape, np.nan)
  for span in spans:
    part = slice(span.start, span.stop)
    first, last = np.searchsorted(at_s, [time_s[span.start] - 1e-9, time_s[span.stop - 1] + 1e-9])
    if last - first < 2 or span.stop - span.start < 4:
      continue
    same = at_s is time_s
    resampled_t[first:last] = x_t[part] if same else filters.resample(time_s[part], x_t[part], at_s[first:last])
  return resampled_t


def _mask_faults(
  x_t: np.ndarray, rails_t: np.ndarray, fs_hz: float, pressure: bool, drop: tuple[str, ...]
) -> tuple[np.ndarray, int, dict[str, int]]:
  """Masks the bad beats of a signal with NaN. Returns it, the number of all beats, and fault → number of beats."""
  masked_t, count = x_t.copy(), 0
  faults: dict[str, int] = {}
  pieces = np.ma.clump_unmasked(np.ma.masked_invalid(x_t))
  assessed = beat_quality.assess_pieces([x_t[p] for p in pieces], fs_hz, pressure, [rails_t[p] for p in pieces])
  for piece, (feet, bad_by_fault, flushed_ends) in zip(pieces, assessed, strict=True):
    count += max(len(feet) - 1, 0)
    for name, bad_k in bad_by_fault.items():
      if bad_k.any():
        faults[name] = faults.get(name, 0) + int(bad_k.sum())
      for k in np.flatnonzero(bad_k) if name in drop else ():
        masked_t[piece.start + feet[k] : piece.start + feet[k + 1]] = np.nan
    parts = (slice(piece.start, piece.start + feet[0]), slice(piece.start + feet[-1], piece.stop)) if len(feet) else ()
    for part, flushed in zip(parts, flushed_ends, strict=False):
      if flushed:
        faults["flush"] = faults.get("flush", 0) + 1
        masked_t[part] = np.nan if "flush" in drop else masked_t[part]
  return masked_t, count, faults


def _first_pressure(recording: recordings.Recording) -> str | None:
  """Returns the pressure to which lags refer, None if there is none."""
  pressures = [name for name in recording.signals if signal_names.is_pressure(name)]
  return next((name for name in pressures if name in REFERENCES), pressures[0] if pressures else None)


def upright(recording: recordings.Recording) -> tuple[recordings.Recording, dict[str, str]]:
  """Returns the recording with each PPG rising with the pulse, and PPG → what was done to it."""
  signals, done = dict(recording.signals), {}
  for name, wave in recording.signals.items():
    if signal_names.split_signal(name)[1] == "ppg" and synchrony.polarity(wave, recording.fs_hz) < 0:
      signals[name], done[name] = 2 * np.nanmedian(wave) - wave, "falls with the pulse, turned over"
  return dataclasses.replace(recording, signals=signals), done


def _synchronised(
  recording: recordings.Recording, spec: config.Conditioning
) -> tuple[recordings.Recording, dict[str, Sync], dict[str, str]]:
  """Compares all signals with the first pressure, beat by beat.

  Returns:
    The recording with NaN where a signal is not simultaneous with the first pressure, the lags of the signals, of which
    constant ones that no pulse takes are to be removed, and signal → why it is not simultaneous.
  """
  first = _first_pressure(recording)
  syncs: dict[str, Sync] = {}
  faults: dict[str, str] = {}
  if first is None or not spec.synchronise:
    return recording, syncs, faults
  signals, (low, high) = dict(recording.signals), spec.transit_s
  for name, wave in recording.signals.items():
    lag = synchrony.find_lag(recording.signals[first], wave, recording.fs_hz) if name != first else None
    if lag is None:
      continue
    if np.array_equal(wave, recording.signals[first], equal_nan=True):
      faults[name], signals[name] = f"{name} is the same wave as {first}", np.full(wave.shape, np.nan)
      continue
    ahead = first in REFERENCES and signal_names.is_pressure(name) and lag.constant and lag.lag_s < _EARLIEST_S
    if ahead and (lag.lag_s >= low or _pulse(wave) < _pulse(recording.signals[first])):
      faults[name] = (
        f"{name} is {-lag.lag_s:.2f} s ahead of {first}; exchange the two if their names are exchanged, or shift one if the recorder "
        "delayed it"
      )
      signals[name] = np.full(wave.shape, np.nan)
    elif lag.fault:
      faults[name] = lag.fault
      signals[name] = np.full(wave.shape, np.nan)
      for start, stop in lag.valid:
        signals[name][start:stop] = wave[start:stop]
    removed = lag.lag_s if lag.constant and not low <= lag.lag_s <= high else 0.0
    syncs[name] = Sync(lag.lag_s, lag.spread_s, removed)
  return dataclasses.replace(recording, signals=signals), syncs, faults


def _pulse(p_t: np.ndarray) -> float:
  """Returns the usual pulse pressure of a wave."""
  return float(np.subtract(*np.nanpercentile(p_t, [97, 3])))


def read(entry: datasets.Entry, spec: config.Conditioning) -> tuple[recordings.Recording, recordings.Recording, Report]:
  """Reads and conditions a record.

  Args:
    entry: record to read.
    spec: conditioning settings.

  Returns:
    The raw recording, the conditioned recording, and the report.

  Raises:
    DataError: it cannot be read, or nothing usable is left.
  """
  raw = datasets.read(entry)
  with datasets.reading(entry.where, "omit the record", entry.subject):
    return raw, *condition(raw, spec)


def _notes(
  subject: str, sync: Mapping[str, Sync], asynchronous: Mapping[str, str], turned: Mapping[str, str], doubts: list[str]
) -> list[str]:
  """Returns what the user should know of a record: who is not simultaneous, which delay was removed, what was turned over, doubts."""
  removed = {name: one.removed_s for name, one in sync.items() if one.removed_s}
  notes = [f"{name}: {fault}" for name, fault in asynchronous.items()]
  notes += [f"{name}: a monitor's delay of {delay_s:.3f} s was removed" for name, delay_s in removed.items()]
  notes += [f"{name} {fault}" for name, fault in turned.items() if fault]
  return [f"{subject}: {note}" for note in (*notes, *doubts)]


def condition(recording: recordings.Recording, spec: config.Conditioning) -> tuple[recordings.Recording, Report]:
  """Bridges short gaps, removes a monitor's delay, resamples to one rate and removes bad beats.

  Removing a delay aligns the feet of the signal with those of the first pressure, because the share of the pulse's
  transit in the delay is unknown.

  Args:
    recording: recording whose clock need not be regular.
    spec: conditioning settings.

  Returns:
    The recording on a regular clock, NaN wherever a signal cannot be used, and the report.

  Raises:
    DataError: nothing usable is left.
  """
  doubts = [*remarks.of_covariates(recording.covariates), *remarks.of_waves(recording)]
  recording = _repeated(recording, spec.repeat_s)
  began_s = recording.time_s[0]  # a clock may count from 1970, and then has few digits left for tolerances
  recording = dataclasses.replace(recording, time_s=quality.regular_clock(recording.time_s - began_s))
  time_s = recording.time_s
  recording, turned = upright(recording)
  recording, sync, asynchronous = _synchronised(recording, spec)
  count = int(np.floor((time_s[-1] - time_s[0]) * spec.fs_hz + 1e-6)) + 1
  at_s = time_s[0] + np.arange(count) / spec.fs_hz
  waves, good_s, beat_counts, faults, filled = {}, {}, {}, {}, 0
  for name, wave in recording.signals.items():
    pressure = recording.units[name] == "mmHg" and signal_names.is_pressure(name)
    plausible = quality.plausible(wave) if pressure else wave
    bridged, bridged_count = quality.bridge(time_s, plausible, spec.fill_s)
    bridged = np.where(np.isfinite(bridged), bridged, wave)  # what is implausible for longer keeps its reason
    filled += bridged_count
    spans, lost = _spans(time_s, bridged, pressure, spec.fill_s)
    own_s = time_s - (sync[name].removed_s if name in sync else 0.0)
    x_t = _resampled(own_s, bridged, spans, at_s)
    if signal_names.split_signal(name)[1] in ("", "ppg"):
      rails_t = np.interp(at_s, own_s, beat_quality.at_rails(plausible, recording.fs_hz).astype(float)) > 0
      x_t, beat_counts[name], fault_counts = _mask_faults(x_t, rails_t, spec.fs_hz, pressure, spec.drop)
      lost |= fault_counts
    lost |= {text: 1 for text in (turned.get(name), asynchronous.get(name)) if text}
    waves[name], faults[name] = x_t, lost
    good_s[name] = float(np.isfinite(x_t).sum() / spec.fs_hz)
  report = Report(
    seconds=float(time_s[-1] - time_s[0]), good_s=good_s, beats=beat_counts, faults=faults, sync=sync, filled=filled
  )
  if asynchronous and sum(seconds > 0 for seconds in good_s.values()) < 2:  # a pair that is none
    name, fault = next(iter(asynchronous.items()))
    raise DataError(
      recording.record or recording.subject, f"{name} and {_first_pressure(recording)} are not simultaneous: {fault}",
      "correct the record, or omit it", recording.subject,
    )  # fmt: skip
  if not any(good_s.values()):
    reasons = ", ".join(dict.fromkeys(reason for counts in faults.values() for reason in counts)) or "too short"
    raise DataError(
      recording.record or recording.subject, f"no usable beat ({reasons})", "omit the record", recording.subject
    )
  doubts += remarks.of_lengths({name: waves[name] for name in waves if name not in asynchronous}, faults, spec.fs_hz)
  notes = (*recording.notes, *_notes(recording.subject, sync, asynchronous, turned, doubts))
  cleaned = dataclasses.replace(recording, time_s=began_s + at_s, signals=waves, notes=notes)
  return cleaned, report
