"""Reconstructs the aortic wave from a checkpoint and a peripheral record of any length and rate, on the record's own
clock.
"""

import dataclasses
import itertools

import numpy as np
import scipy.ndimage

from cap_jax.data import batches, calibrate, conditioning, recordings
from cap_jax.inference import pretrained, uncertainty
from cap_jax.signals import beat_quality, beats, filters, quality, windows
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beat:
  """One beat, counted on the peripheral wave, and the aortic wave from foot to foot.

  Attributes:
    time_s: time of its first foot [s].
    hr_bpm: heart rate [1/min].
    csbp_est_mmhg, cdbp_est_mmhg, cpp_est_mmhg, cmap_est_mmhg: pressures [mmHg] at the aortic root.
    peripheral_sbp_mmhg, peripheral_dbp_mmhg, peripheral_pp_mmhg, peripheral_map_mmhg: pressures [mmHg] at the
      peripheral site; NaN for a PPG without a unit.
    csbp_half_width_mmhg: half the width of cSBP's prediction interval [mmHg]; NaN if the network was never calibrated.
  """

  time_s: float
  hr_bpm: float
  csbp_est_mmhg: float
  cdbp_est_mmhg: float
  cpp_est_mmhg: float
  cmap_est_mmhg: float
  peripheral_sbp_mmhg: float
  peripheral_dbp_mmhg: float
  peripheral_pp_mmhg: float
  peripheral_map_mmhg: float
  csbp_half_width_mmhg: float = float("nan")


@dataclasses.dataclass(frozen=True)
class Gap:
  """A stretch without a reconstruction, from `start_s` to `end_s`, and the reason."""

  start_s: float
  end_s: float
  reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReconstructedWave:
  """The aortic wave of a record.

  Attributes:
    time_s, aortic_mmhg: (time,) on the clock of the input; NaN in the gaps.
    peripheral: (time,) the wave that was read [mmHg], a PPG in its own unit; NaN in the gaps.
    half_width_mmhg: (time,) half the width of the wave's prediction interval; NaN if the network was never calibrated.
    ood_fraction: share of the windows that are out of distribution; NaN if the network was never calibrated.
    beats: the beats in order.
    gaps: stretches without a reconstruction, in order.
    outside: what holds for windows out of distribution, "" if the network was never calibrated.
    lacking: why a calibrated network has no intervals, "" if it has.
    unusual_hr: how the heart rate differs from those of the training, "" if it does not or they are unknown.
    unitless: whether the peripheral wave has no unit.
    unknown_level: that the pressure level is unknown, "" if the input contains it.
  """

  time_s: np.ndarray
  peripheral: np.ndarray
  aortic_mmhg: np.ndarray
  half_width_mmhg: np.ndarray
  ood_fraction: float
  beats: list[Beat]
  gaps: list[Gap]
  outside: str = ""
  lacking: str = ""
  unusual_hr: str = ""
  unitless: bool = False
  unknown_level: str = ""


@dataclasses.dataclass(frozen=True)
class _Piece:
  """A usable span on the network's clock, extended by its own beats.

  Attributes:
    span: samples of the record.
    at_s, wave_t: (time,) clock [s] and peripheral pressure.
    own: the samples of the span itself.
    starts: first samples of its windows.
  """

  span: quality.Span
  at_s: np.ndarray
  wave_t: np.ndarray
  own: slice
  starts: np.ndarray


def _on_own_clock(
  time_s: np.ndarray, p_t: np.ndarray, span: quality.Span, fs_hz: float
) -> tuple[np.ndarray, np.ndarray]:
  """Returns a clock [s] of the network's rate for a span, and the pressure on it."""
  part = slice(span.start, span.stop)
  count = int(np.floor((time_s[span.stop - 1] - time_s[span.start]) * fs_hz + 1e-6)) + 1
  at_s = time_s[span.start] + np.arange(count) / fs_hz
  return at_s, filters.resample(time_s[part], p_t[part], at_s)


def _without_faults(
  time_s: np.ndarray, p_t: np.ndarray, good: list[quality.Span], fs_hz: float, pressure: bool
) -> tuple[list[quality.Span], list[quality.Span]]:
  """Splits usable spans into what remains without faulty beats, and the faulty beats, joined.

  Faulty beats are clipped, damped, flushed, flat or moved; the training saw none of them either (`data.conditioning`).
  A few beats between two faulty ones count as faulty, and so does less than a beat. A record of fewer than
  `_LEAST_BEATS` has no neighbours to compare a beat with, so nothing is removed.
  """
  recorded_t = quality.plausible(p_t) if pressure else p_t
  rails_t = beat_quality.at_rails(recorded_t, 1 / float(np.median(np.diff(time_s)))).astype(float)
  clocks, waves = zip(*(_on_own_clock(time_s, p_t, span, fs_hz) for span in good), strict=True) if good else ((), ())
  rails = [np.interp(at_s, time_s, rails_t) > 0 for at_s in clocks]
  assessed = beat_quality.assess_pieces(waves, fs_hz, pressure, rails)
  if sum(max(len(own.feet) - 1, 0) for own in assessed) < _LEAST_BEATS:
    # a record of one beat is taken as periodic, but pieces between losses would have the rhythm of the losses
    whole = [len(good) == 1 or len(own.feet) >= 2 for own in assessed]
    kept = [span for span, is_whole in zip(good, whole, strict=True) if is_whole]
    short = [span for span, is_whole in zip(good, whole, strict=True) if not is_whole]
    return kept, [quality.Span(span.start, span.stop, "no whole beat between losses") for span in short]
  intact, lost = [], []
  for span, at_s, (feet, faults, flushed_ends) in zip(good, clocks, assessed, strict=True):
    if len(feet) < 2:
      lost.append(quality.Span(span.start, span.stop, "no whole beat"))
      continue
    bad_k = np.logical_or.reduce([faults[name] for name in _FAULTS])
    bad_k = scipy.ndimage.binary_closing(np.pad(bad_k, _BETWEEN), np.ones(_BETWEEN + 1, dtype=bool))[_BETWEEN:-_BETWEEN]
    edges = span.start + np.searchsorted(time_s[span.start : span.stop], at_s[feet])
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
  at_s, wave = _on_own_clock(time_s, p_t, span, spec.fs_hz)
  count = at_s.size
  spare = max(spec.samples - count, 2 * spec.margin)
  before = spare // 2
  wave = windows.extend_periodically(wave, spec.fs_hz, before, spare - before)
  at_s = time_s[span.start] + (np.arange(len(wave)) - before) / spec.fs_hz
  return _Piece(
    span, at_s, wave, slice(before, before + count), windows.starts_covering(len(wave), spec.samples, spec.samples // 2)
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
  feet, found = beats.find_feet(peripheral_t, fs_hz), beats.find_feet(aortic_t, fs_hz)
  if not feet.size:
    return feet, feet
  lead = np.full(feet.shape, np.nan)
  if found.size:
    most = (_LEAD_OF_PPG_S if recordings.split_signal(site)[1] else _LEAD_S) * fs_hz
    nearest = found[np.abs(found[None, :] - feet[:, None] + most / 2).argmin(1)]  # from half the longest lead
    lead = np.where(np.abs(feet - nearest) <= most, feet - nearest, np.nan).astype(float)
    usual = np.nanmedian(lead) if np.isfinite(lead).any() else 0.0
    for foot in np.unique(nearest[np.isfinite(lead)]):  # one foot of the aortic wave belongs to one beat
      rivals = np.flatnonzero((nearest == foot) & np.isfinite(lead))
      lead[rivals[rivals != rivals[np.argmin(np.abs(lead[rivals] - usual))]]] = np.nan
  usual = np.nanmedian(lead) if np.isfinite(lead).any() else 0.0
  aortic = feet - np.where(np.isfinite(lead), lead, usual).round().astype(int)
  aortic = np.clip(aortic, 0, len(aortic_t) - 1)
  rising = np.diff(np.maximum.accumulate(aortic), prepend=-1) > 0
  return feet[rising], aortic[rising]


def _beats(
  piece: _Piece, aortic_t: np.ndarray, sigma_t: np.ndarray, trained: checkpoint.Checkpoint, factor: float
) -> list[Beat]:
  at_s, peripheral_t, fs_hz = piece.at_s, piece.wave_t, trained.windows.fs_hz
  all_feet, aortic_feet = paired_feet(peripheral_t, aortic_t, fs_hz, trained.site)
  inside = (aortic_feet >= piece.own.start) & (aortic_feet < piece.own.stop)
  if inside.sum() < 2:  # less than a whole beat from foot to foot: the extension completes it
    inside = np.cumsum(aortic_feet >= piece.own.start) <= 2
    inside &= aortic_feet >= piece.own.start
  feet, own_feet = aortic_feet[inside], all_feet[inside]
  central, peripheral = beats.pressures(aortic_t, feet), beats.pressures(peripheral_t, own_feet)
  estimates = []
  for k, (a, b) in enumerate(itertools.pairwise(feet.tolist())):
    period_s = float(own_feet[k + 1] - own_feet[k]) / fs_hz
    pressures = {f"c{short}_est_mmhg": float(getattr(central, name)[k]) for name, short in _PRESSURES.items()}
    pressures |= {
      f"peripheral_{short}_mmhg": float("nan") if trained.scaling.unitless else float(getattr(peripheral, name)[k])
      for name, short in _PRESSURES.items()
    }
    half_width = float(factor * sigma_t[a + int(aortic_t[a:b].argmax())])
    estimates.append(Beat(time_s=float(at_s[a]), hr_bpm=60 / period_s, csbp_half_width_mmhg=half_width, **pressures))
  return estimates


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
  return [_prepare(time_s, p_t, span, trained) for span in good if span not in short], gaps


def _read(trained: checkpoint.Checkpoint, recording: recordings.Recording, pieces: list[_Piece]) -> uncertainty.Reading:
  """Returns the network's reading of all windows of the pieces, in their order."""
  samples = trained.windows.samples
  x_bt = np.concatenate([piece.wave_t[start : start + samples][None] for piece in pieces for start in piece.starts])
  covariates = {name: np.full(len(x_bt), value, np.float32) for name, value in recording.covariates.items()}
  waves = batches.Waves(x_bt, np.full(len(x_bt), recording.subject), covariates)
  return uncertainty.read(trained, waves)


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
  site, spec = trained.site, trained.windows
  recording, _ = conditioning.upright(recording)
  recording = calibrate.calibrate(recording, site, scales.without_errors(trained.calibration), trained.scaling.unitless)
  time_s, measured = quality.regular_clock(recording.time_s), recording.signals[site]
  plausible = quality.plausible(measured) if recordings.is_pressure(site) else measured
  bridged, _ = quality.bridge(time_s, plausible)
  p_t = np.where(np.isfinite(bridged), bridged, measured)  # what is implausible for longer keeps its reason
  pieces, gaps = _pieces(trained, time_s, p_t)
  if not pieces:
    reasons = ", ".join(dict.fromkeys(gap.reason for gap in gaps)) or "too short"
    raise InputError(f"{recording.subject}: no usable segment of one beat or more ({reasons}); use another record")
  reading, intervals = _read(trained, recording, pieces), trained.uncertainty_calibration
  aortic, half_width = np.full(p_t.shape, np.nan), np.full(p_t.shape, np.nan)
  wave_factor, csbp_factor = (intervals.wave, intervals.csbp) if intervals else (float("nan"),) * 2
  estimates: list[Beat] = []
  first = 0
  for piece in pieces:
    rows = slice(first, first + len(piece.starts))
    first = rows.stop
    wave, sigma = (
      windows.blend(x[rows], piece.starts, len(piece.wave_t), spec.margin) for x in (reading.y_bt, reading.sigma_bt)
    )
    part = slice(piece.span.start, piece.span.stop)
    aortic[part] = filters.resample(piece.at_s, wave, time_s[part])
    half_width[part] = wave_factor * np.interp(time_s[part], piece.at_s, sigma)
    estimates += _beats(piece, wave, sigma, trained, csbp_factor)
  ood_fraction = float("nan")
  if intervals is not None:
    ood_fraction = float(uncertainty.out_of_distribution(intervals, reading.ood_b).mean())
  lacking = intervals.lacking if intervals else ""
  return ReconstructedWave(
    time_s=recording.time_s,
    peripheral=np.where(np.isfinite(aortic), plausible, np.nan),
    aortic_mmhg=aortic,
    half_width_mmhg=half_width,
    ood_fraction=ood_fraction,
    beats=estimates,
    gaps=gaps,
    outside=intervals.outside if intervals else "",
    lacking=lacking,
    unusual_hr=unusual_hr(intervals, float(np.median([beat.hr_bpm for beat in estimates])) if estimates else np.nan),
    unitless=trained.scaling.unitless,
    unknown_level=trained.unknown_level,
  )


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


def summary(estimates: list[Beat]) -> dict[str, dict[str, float]]:
  """Returns mean and SD over beats of every quantity of `Beat` except its time and unknown ones; {} without beats.

  The mean heart rate is beats over time, 60 / mean interval: the mean of the rates would be too high in an irregular
  rhythm.
  """
  names = [field.name for field in dataclasses.fields(Beat) if field.name != "time_s"]
  values = {name: np.array([getattr(beat, name) for beat in estimates]) for name in names if estimates}
  known = {name: v for name, v in values.items() if np.isfinite(v).all()}
  statistics = {name: {"mean": float(v.mean()), "sd": float(v.std())} for name, v in known.items()}
  if "hr_bpm" in statistics:
    statistics["hr_bpm"]["mean"] = float(1 / np.mean(1 / values["hr_bpm"]))
  return statistics
