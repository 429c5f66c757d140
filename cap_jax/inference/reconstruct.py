"""Reconstructs the aortic wave from a checkpoint and a peripheral record of any length and rate, on the record's own
clock.

A record of a day has 20 million samples. So it is conditioned in blocks, and read in groups of windows at the rate of the
network; what comes out does not depend on their size.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import scipy.ndimage

from cap_jax.data import batches, calibrate, conditioning, recordings
from cap_jax.inference import pretrained, uncertainty
from cap_jax.inference.reconstructed_wave import Beat as Beat  # also for its users
from cap_jax.inference.reconstructed_wave import BeatTable, Gap, ReconstructedWave, RegularClock, Stretch, WaveSource
from cap_jax.signals import beat_quality, beats, blocks, clocks, filters, quality, windows
from cap_jax.signals import calibration as scales
from cap_jax.train import checkpoint
from cap_jax.train.uncertainty_calibration import UncertaintyCalibration
from cap_jax.types import InputError

# faults of a beat that make a wave wrong; ectopic beats are valid
_FAULTS = {"flat": "flat", "clipped": "clipped", "damped": "damped", "flush": "flushed", "motion": "moved"}
_FLUSHED = "a part of a beat that is flushed"
_LEAST_BEATS = 4
# most that a foot of the aortic wave may be ahead of the peripheral one; a monitor may delay a PPG
_LEAD_S, _LEAD_OF_PPG_S = 0.2, 0.45
_BETWEEN = 2  # up to so many beats between two bad ones are bad too
_PRESSURES = {"systolic": "sbp", "diastolic": "dbp", "pulse": "pp", "mean": "map"}  # with their names in `Beat`
_WINDOWS = 1024  # read at once


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Piece:
  """A usable span on the network's clock, extended by its own beats.

  Attributes:
    span: samples of the record.
    clock: of the network.
    steps_s: median steps of the clock of the network and of that of the record in the span.
    wave_t: (time,) peripheral wave. The aortic one takes its place as the windows are read.
    feet: (beat + 1,) feet of the peripheral wave.
    pressures: its pressures between them.
    own: the samples of the span itself.
    starts: first samples of its windows.
  """

  span: quality.Span
  clock: RegularClock
  steps_s: tuple[float, float]
  wave_t: np.ndarray
  feet: np.ndarray
  pressures: beats.BeatPressures
  own: slice
  starts: np.ndarray


def _on_own_clock(time_s: np.ndarray, p_t: np.ndarray, span: quality.Span, fs_hz: float) -> tuple[np.ndarray, float]:
  """Returns the pressure in a span at the network's rate from its first sample on, and the median step of the record in it [s]."""
  own_s, wave_t = time_s[span.start : span.stop], p_t[span.start : span.stop]
  clock, step_s = RegularClock(float(own_s[0]), 0, fs_hz), clocks.median_step(own_s)
  count = int(np.floor((own_s[-1] - own_s[0]) * fs_hz + 1e-6)) + 1
  resampled_t, reach = np.empty(count), filters.reach(step_s, 1 / fs_hz)
  for start, stop in blocks.cut(count):
    at_s = clock.at_s(start, stop)
    first, last = (int(place) for place in np.searchsorted(own_s, at_s[[0, -1]]))
    near = slice(max(first - reach, 0), last + reach)
    resampled_t[start:stop] = filters.resample(own_s[near], wave_t[near], at_s, (step_s, 1 / fs_hz))
  return resampled_t, step_s


def _rails_at(time_s: np.ndarray, rails_t: np.ndarray, first_s: float, count: int, fs_hz: float) -> np.ndarray:
  """Returns where a record was cut off, on the network's clock.

  Args:
    time_s: (time,) clock of the record [s].
    rails_t: (time,) where it was cut off.
    first_s: first time of the network's clock [s].
    count: samples of the result.
    fs_hz: rate of the network.
  """
  at_rails, clock = np.zeros(count, dtype=bool), RegularClock(first_s, 0, fs_hz)
  for start, stop in blocks.cut(count):
    at_s = clock.at_s(start, stop)
    first, last = (int(place) for place in np.searchsorted(time_s, at_s[[0, -1]]))
    near = slice(max(first - 1, 0), last + 1)
    at_rails[start:stop] = np.interp(at_s, time_s[near], rails_t[near].astype(float)) > 0
  return at_rails


def _without_faults(
  time_s: np.ndarray, p_t: np.ndarray, good: list[quality.Span], fs_hz: float, pressure: bool
) -> tuple[list[quality.Span], list[quality.Span]]:
  """Splits usable spans into what remains without faulty beats, and the faulty beats, joined.

  Faulty beats are clipped, damped, flushed, flat or moved; the training saw none of them either (`data.conditioning`).
  A few beats between two faulty ones count as faulty, and so does less than a beat. A record of fewer than
  `_LEAST_BEATS` has no neighbours to compare a beat with, so nothing is removed.
  """
  valid_t = quality.is_plausible(p_t) if pressure else None
  rails_t = beat_quality.at_rails(p_t, 1 / clocks.median_step(time_s), valid_t)
  waves = [_on_own_clock(time_s, p_t, span, fs_hz)[0] for span in good]
  firsts_s = [float(time_s[span.start]) for span in good]
  rails = [
    _rails_at(time_s, rails_t, first_s, len(wave_t), fs_hz) for first_s, wave_t in zip(firsts_s, waves, strict=True)
  ]
  assessed = beat_quality.assess_pieces(waves, fs_hz, pressure, rails)
  if sum(max(len(own.feet) - 1, 0) for own in assessed) < _LEAST_BEATS:
    # a record of one beat is taken as periodic, but pieces between losses would have the rhythm of the losses
    whole = [len(good) == 1 or len(own.feet) >= 2 for own in assessed]
    kept = [span for span, is_whole in zip(good, whole, strict=True) if is_whole]
    short = [span for span, is_whole in zip(good, whole, strict=True) if not is_whole]
    return kept, [quality.Span(span.start, span.stop, "no whole beat between losses") for span in short]
  intact, lost = [], []
  for span, first_s, (feet, faults, flushed_ends) in zip(good, firsts_s, assessed, strict=True):
    if len(feet) < 2:
      lost.append(quality.Span(span.start, span.stop, "no whole beat"))
      continue
    bad_k = np.logical_or.reduce([faults[name] for name in _FAULTS])
    bad_k = scipy.ndimage.binary_closing(np.pad(bad_k, _BETWEEN), np.ones(_BETWEEN + 1, dtype=bool))[_BETWEEN:-_BETWEEN]
    edges = span.start + np.searchsorted(time_s[span.start : span.stop], first_s + feet / fs_hz)
    # the incomplete beat next to a bad one is bad too
    edges[0], edges[-1] = span.start if bad_k[0] else edges[0], span.stop if bad_k[-1] else edges[-1]
    first, stop = span.start, span.stop
    if flushed_ends[0] and edges[0] > first:
      first = int(edges[0])
      lost.append(quality.Span(span.start, first, _FLUSHED))
    if flushed_ends[1] and edges[-1] < stop:
      stop = int(edges[-1])
      lost.append(quality.Span(stop, span.stop, _FLUSHED))
    for run in np.ma.clump_masked(np.ma.masked_where(bad_k, bad_k)):
      a, b = int(edges[run.start]), int(edges[run.stop])
      names = [name for name in _FAULTS if faults[name][run].any()]
      lost.append(quality.Span(a, b, f"beats that are {' or '.join(_FAULTS[name] for name in names)}"))
      if a > first:
        intact.append(quality.Span(first, a))
      first = b
    if first < stop:
      intact.append(quality.Span(first, stop))
  return intact, lost


def _prepare(time_s: np.ndarray, p_t: np.ndarray, span: quality.Span, trained: checkpoint.Checkpoint) -> _Piece:
  spec = trained.windows
  wave, step_s = _on_own_clock(time_s, p_t, span, spec.fs_hz)
  count = wave.size
  spare = max(spec.samples - count, 2 * spec.margin)
  before = spare // 2
  wave = windows.extend_periodically(wave, spec.fs_hz, before, spare - before)
  feet = beats.find_feet(wave, spec.fs_hz)
  return _Piece(
    span=span,
    clock=RegularClock(float(time_s[span.start]), before, spec.fs_hz),
    steps_s=(1 / spec.fs_hz, step_s),
    wave_t=wave,
    feet=feet,
    pressures=beats.pressures(wave, feet),
    own=slice(before, before + count),
    starts=windows.starts_covering(len(wave), spec.samples, spec.samples // 2),
  )


def paired_feet(
  peripheral_t: np.ndarray, aortic_t: np.ndarray, fs_hz: float, site: str
) -> tuple[np.ndarray, np.ndarray]:
  """Finds the beats of the measured wave, whose upstrokes the network may flatten, in both waves.

  A foot that the aortic wave does not show is assumed at the usual lead.

  Args:
    peripheral_t: (time,) measured wave.
    aortic_t: (time,) reconstructed wave.
    fs_hz: sampling rate.
    site: of the measured wave.

  Returns:
    The feet of the peripheral wave and those of the aortic wave, (beat,) increasing indices each.
  """
  return _pair(beats.find_feet(peripheral_t, fs_hz), beats.find_feet(aortic_t, fs_hz), len(aortic_t), fs_hz, site)


def _pair(feet: np.ndarray, found: np.ndarray, size: int, fs_hz: float, site: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns the feet of a peripheral wave and those of the aortic wave that belong to them, see `paired_feet`.

  Args:
    feet: (beat,) feet of the peripheral wave.
    found: (other,) feet of the aortic wave.
    size: its samples.
    fs_hz: sampling rate.
    site: of the peripheral wave.
  """
  if not feet.size:
    return feet, feet
  lead = np.full(feet.shape, np.nan)
  if found.size:
    most = (_LEAD_OF_PPG_S if recordings.split_signal(site)[1] else _LEAD_S) * fs_hz
    nearest = beats.nearest(found, feet - most / 2)  # from half the longest lead
    lead = np.where(np.abs(feet - nearest) <= most, feet - nearest, np.nan).astype(float)
    matched = np.flatnonzero(np.isfinite(lead))
    usual = np.median(lead[matched]) if matched.size else 0.0
    # one foot of the aortic wave belongs to one beat
    for rivals in np.split(matched, np.flatnonzero(np.diff(nearest[matched])) + 1):
      if rivals.size > 1:
        lead[rivals[rivals != rivals[np.argmin(np.abs(lead[rivals] - usual))]]] = np.nan
  usual = np.nanmedian(lead) if np.isfinite(lead).any() else 0.0
  aortic = feet - np.where(np.isfinite(lead), lead, usual).round().astype(int)
  aortic = np.clip(aortic, 0, size - 1)
  rising = np.diff(np.maximum.accumulate(aortic), prepend=-1) > 0
  return feet[rising], aortic[rising]


def _beats(
  piece: _Piece, aortic_t: np.ndarray, sigma_t: np.ndarray, trained: checkpoint.Checkpoint, factor: float
) -> dict[str, np.ndarray]:
  """Returns attribute of `Beat` → (beat,) of the beats of a piece."""
  fs_hz = trained.windows.fs_hz
  found = beats.find_feet(aortic_t, fs_hz)
  all_feet, aortic_feet = _pair(piece.feet, found, len(aortic_t), fs_hz, trained.site)
  inside = (aortic_feet >= piece.own.start) & (aortic_feet < piece.own.stop)
  if inside.sum() < 2:  # less than a whole beat from foot to foot: the extension completes it
    inside = np.cumsum(aortic_feet >= piece.own.start) <= 2
    inside &= aortic_feet >= piece.own.start
  feet, own_feet = aortic_feet[inside], all_feet[inside]
  central, peripheral = beats.pressures(aortic_t, feet), beats.merged(piece.pressures, piece.feet, own_feet)
  columns = {"time_s": piece.clock.first_s + (feet[:-1] - piece.clock.origin) / fs_hz}
  columns["hr_bpm"] = 60 / (np.diff(own_feet) / fs_hz)
  for name, short in _PRESSURES.items():
    columns[f"c{short}_est_mmhg"] = getattr(central, name)
    values = getattr(peripheral, name)
    columns[f"peripheral_{short}_mmhg"] = np.full(values.shape, np.nan) if trained.scaling.unitless else values
  columns["csbp_half_width_mmhg"] = factor * sigma_t[uncertainty.peaks_of(aortic_t, feet)]
  return columns


def _check(trained: checkpoint.Checkpoint, recording: recordings.Recording) -> None:
  """Checks that a network can reconstruct a recording.

  Raises:
    InputError: the network outputs no aortic wave, or reads another site.
  """
  if trained.task != "waveform":
    raise InputError(f"the checkpoint was trained for {trained.task}, not for the aortic wave; transfer it first")
  if trained.reference != "aortic_root":
    raise InputError(
      f"the checkpoint predicts the {trained.reference} wave, not the aortic wave; train one for aortic_root"
    )
  if trained.site not in recording.signals:
    raise InputError(
      f"{recording.subject}: contains {', '.join(recording.sites)}, but the checkpoint reads {trained.site}; "
      f"{pretrained.remedy(*recording.sites)}"
    )
  lacking = [name for name in trained.model.covariates if not np.isfinite(recording.covariates.get(name, np.nan))]
  if lacking:
    raise InputError(
      f"{recording.subject}: the network reads {', '.join(lacking)}; pass covariates={{{lacking[0]!r}: …}}"
    )
  if set(scales.CUFF) & set(trained.model.covariates):
    scales.check_reading(recording.covariates, recording.subject)


def _pieces(trained: checkpoint.Checkpoint, time_s: np.ndarray, p_t: np.ndarray) -> tuple[list[_Piece], list[Gap]]:
  """Returns the usable spans of a wave, and the gaps between them."""
  pressure = recordings.is_pressure(trained.site)
  good, lost = quality.find_spans(time_s, p_t) if pressure else quality.find_finite(time_s, p_t)
  good, faulty = _without_faults(time_s, p_t, good, trained.windows.fs_hz, pressure)
  lost += faulty
  short = [span for span in good if time_s[span.stop - 1] - time_s[span.start] < beats.SHORTEST_S]
  lost += [quality.Span(span.start, span.stop, "shorter than one beat") for span in short]
  gaps = [
    Gap(float(time_s[max(g.start - (g.start == g.stop), 0)]), float(time_s[max(g.stop - 1, g.start)]), g.reason)
    for g in sorted(lost, key=lambda span: span.start)
  ]
  short_starts = {span.start for span in short}
  return [_prepare(time_s, p_t, span, trained) for span in good if span.start not in short_starts], gaps


def _read(
  trained: checkpoint.Checkpoint, pieces: Sequence[_Piece], subject: str, covariates: Mapping[str, float]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Reads the windows of the pieces, some at once.

  Args:
    trained: the network.
    pieces: the pieces, in order.
    subject: name of the subject.
    covariates: of the subject.

  Yields:
    The aortic wave of each piece and its σ, (time,) [mmHg], and the detector's logits of its windows, (window,).
  """
  spec = trained.windows
  number_b = np.repeat(np.arange(len(pieces)), [len(piece.starts) for piece in pieces])
  start_b = np.concatenate([piece.starts for piece in pieces])

  def windows_of(rows: slice) -> batches.Waves:
    places = zip(number_b[rows].tolist(), start_b[rows].tolist(), strict=True)
    x_bt = np.stack([pieces[number].wave_t[start : start + spec.samples] for number, start in places])
    values = {name: np.full(len(x_bt), value, np.float32) for name, value in covariates.items()}
    return batches.Waves(x_bt, np.full(len(x_bt), subject), values)

  readings = uncertainty.read_in_groups(trained, len(start_b), windows_of, _WINDOWS)
  reading, row = next(readings), 0
  for piece in pieces:
    sigma_t = np.empty(len(piece.wave_t), np.float32)
    aortic, sigma = (windows.Blend(piece.starts, spec.samples, spec.margin, x_t) for x_t in (piece.wave_t, sigma_t))
    logits: list[np.ndarray] = []
    missing = len(piece.starts)
    while missing:
      if row == len(reading.y_bt):
        reading, row = next(readings), 0
      part = slice(row, min(row + missing, len(reading.y_bt)))
      aortic.add(reading.y_bt[part])
      sigma.add(reading.sigma_bt[part])
      logits.append(reading.ood_b[part])
      row, missing = part.stop, missing - (part.stop - part.start)
    yield aortic.wave_t, sigma.wave_t, np.concatenate(logits)


def reconstruct(trained: checkpoint.Checkpoint, recording: recordings.Recording) -> ReconstructedWave:
  """Reconstructs the aortic pressure wave.

  Each usable span is extended by its own beats at both ends, cut into half-overlapping windows and blended, so that no
  window edge shows. A span of one beat is treated as periodic.

  Args:
    trained: the network; it reads a site of the recording.
    recording: one peripheral pressure or PPG on a strictly increasing clock, regular or not.

  Raises:
    InputError: the recording has no wave of the checkpoint's site, none of the readings that its calibration needs, or
      no usable span.
  """
  _check(trained, recording)
  site = trained.site
  recording, _ = conditioning.upright(recording)
  recording = calibrate.calibrate(recording, site, scales.without_errors(trained.calibration), trained.scaling.unitless)
  subject, covariates, written_s, notes = recording.subject, recording.covariates, recording.time_s, recording.notes
  time_s, p_t = quality.regular_clock(written_s), recording.signals[site]
  del recording  # the wave of a day takes 0.2 GB; a copy with its losses bridged replaces it
  pressure = recordings.is_pressure(site)
  # samples that are implausible for longer stay as they are, which tells the reason of the gap
  losses = quality.short_losses(time_s, ~(quality.is_plausible(p_t) if pressure else np.isfinite(p_t)))
  p_t = quality.fill(time_s, p_t, losses)
  pieces, gaps = _pieces(trained, time_s, p_t)
  if not pieces:
    reasons = ", ".join(dict.fromkeys(gap.reason for gap in gaps)) or "too short"
    raise InputError(f"{subject}: no usable segment of one beat or more ({reasons}); use another record")
  intervals = trained.uncertainty_calibration
  wave_factor, csbp_factor = (intervals.wave, intervals.csbp) if intervals else (float("nan"),) * 2
  stretches: list[Stretch] = []
  columns: list[dict[str, np.ndarray]] = []
  logits: list[np.ndarray] = []
  for piece, (aortic_t, sigma_t, ood_b) in zip(pieces, _read(trained, pieces, subject, covariates), strict=True):
    stretches.append(Stretch(piece.span, piece.clock, piece.steps_s, aortic_t, sigma_t))
    columns.append(_beats(piece, aortic_t, sigma_t, trained, csbp_factor))
    logits.append(ood_b)
  found = BeatTable({name: np.concatenate([one[name] for one in columns]) for name in columns[0]})
  ood_fraction = float("nan")
  if intervals is not None:
    ood_fraction = float(uncertainty.out_of_distribution(intervals, np.concatenate(logits)).mean())
  return ReconstructedWave(
    time_s=written_s,
    source=WaveSource(
      time_s=time_s, wave_t=p_t, bridged=losses, stretches=stretches, pressure=pressure, factor=wave_factor
    ),
    ood_fraction=ood_fraction,
    beats=found,
    gaps=gaps,
    outside=intervals.outside if intervals else "",
    lacking=intervals.lacking if intervals else "",
    unusual_hr=unusual_hr(intervals, float(np.median(found.columns["hr_bpm"])) if len(found) else np.nan),
    unitless=trained.scaling.unitless,
    unknown_level=trained.unknown_level,
    notes=notes,
  )  # fmt: skip


def unusual_hr(intervals: UncertaintyCalibration | None, hr_bpm: float) -> str:
  """Returns how a heart rate differs from those of the training, "" if it does not or one of them is unknown.

  Args:
    intervals: calibration of the network.
    hr_bpm: median heart rate of a record.
  """
  if intervals is None or intervals.hr_bpm is None or not np.isfinite(hr_bpm):
    return ""
  low, high = intervals.hr_bpm
  if low <= hr_bpm <= high:
    return ""
  return f"the heart rate of {hr_bpm:.0f}/min is outside that of the training, {low:.0f} to {high:.0f}/min"


def summary(estimates: Sequence[Beat]) -> dict[str, dict[str, float]]:
  """Returns mean and SD over beats of every quantity of `Beat` except its time and unknown ones; {} without beats.

  The mean heart rate is beats over time, 60 / mean interval: the mean of the rates would be too high in an irregular
  rhythm.
  """
  names = [field.name for field in dataclasses.fields(Beat) if field.name != "time_s"]
  columns = estimates.columns if isinstance(estimates, BeatTable) else {}
  values = {
    name: columns.get(name, np.array([getattr(beat, name) for beat in estimates])) for name in names if estimates
  }
  known = {name: v for name, v in values.items() if np.isfinite(v).all()}
  statistics = {name: {"mean": float(v.mean()), "sd": float(v.std())} for name, v in known.items()}
  if "hr_bpm" in statistics:
    statistics["hr_bpm"]["mean"] = float(1 / np.mean(1 / values["hr_bpm"]))
  return statistics
