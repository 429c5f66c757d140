"""Reconstructs the aortic wave from a checkpoint and a peripheral record of any length and rate, on the record's own
clock.

A record of a day has 20 million samples. So it is conditioned in blocks, and read in groups of windows at the rate of the
network; what comes out does not depend on their size.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cap_jax.data import batches, calibrate, conditioning, recordings, remarks, signal_names
from cap_jax.inference import pieces, pretrained, uncertainty
from cap_jax.inference.reconstructed_wave import Beat as Beat  # also for its users
from cap_jax.inference.reconstructed_wave import BeatTable, ReconstructedWave, Stretch, WaveSource
from cap_jax.signals import beats, quality, windows
from cap_jax.signals import calibration as scales
from cap_jax.train import checkpoint
from cap_jax.train.uncertainty_calibration import UncertaintyCalibration
from cap_jax.types import InputError

# most that a foot of the aortic wave may be ahead of the peripheral one; a monitor may delay a PPG
_LEAD_S, _LEAD_OF_PPG_S = 0.2, 0.45
_PRESSURES = {"systolic": "sbp", "diastolic": "dbp", "pulse": "pp", "mean": "map"}  # with their names in `Beat`
_WINDOWS = 1024  # read at once


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
    most = (_LEAD_OF_PPG_S if signal_names.split_signal(site)[1] else _LEAD_S) * fs_hz
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
  piece: pieces.Piece, aortic_t: np.ndarray, sigma_t: np.ndarray, trained: checkpoint.Checkpoint, factor: float
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


def _read(
  trained: checkpoint.Checkpoint,
  cut: Sequence[pieces.Piece],
  waves: list[np.ndarray],
  subject: str,
  covariates: Mapping[str, float],
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Reads the windows of the pieces, some at once.

  Args:
    trained: the network.
    cut: the pieces, in order.
    waves: (time,) peripheral wave of each. The aortic wave takes its place as the windows are read, and is removed once the
      next piece is asked for.
    subject: name of the subject.
    covariates: of the subject.

  Yields:
    The aortic wave of each piece and its σ, (time,) [mmHg], and the detector's logits of its windows, (window,).
  """
  spec = trained.windows
  number_b = np.repeat(np.arange(len(cut)), [len(piece.starts) for piece in cut])
  start_b = np.concatenate([piece.starts for piece in cut])

  def windows_of(rows: slice) -> batches.Waves:
    places = zip(number_b[rows].tolist(), start_b[rows].tolist(), strict=True)
    x_bt = np.stack([waves[number][start : start + spec.samples] for number, start in places])
    values = {name: np.full(len(x_bt), value, np.float32) for name, value in covariates.items()}
    return batches.Waves(x_bt, np.full(len(x_bt), subject), values)

  readings = uncertainty.read_in_groups(trained, len(start_b), windows_of, _WINDOWS)
  reading, row = next(readings), 0
  for number, piece in enumerate(cut):
    sigma_t = np.empty(len(waves[number]), np.float32)
    blends = [windows.Blend(piece.starts, spec.samples, spec.margin, place_t) for place_t in (waves[number], sigma_t)]
    logits: list[np.ndarray] = []
    missing = len(piece.starts)
    while missing:
      if row == len(reading.y_bt):
        reading, row = next(readings), 0
      part = slice(row, min(row + missing, len(reading.y_bt)))
      for blend, values_bt in zip(blends, (reading.y_bt, reading.sigma_bt), strict=True):
        blend.add(values_bt[part])
      logits.append(reading.ood_b[part])
      row, missing = part.stop, missing - (part.stop - part.start)
    yield waves[number], sigma_t, np.concatenate(logits)
    waves[number] = np.zeros(0)


def _stretches(
  trained: checkpoint.Checkpoint,
  cut: Sequence[pieces.Piece],
  waves: list[np.ndarray],
  subject: str,
  covariates: Mapping[str, float],
) -> tuple[list[Stretch], BeatTable, np.ndarray]:
  """Reconstructs pieces. Returns them, their beats, and the detector's logits of their windows, (window,).

  Args:
    trained: the network.
    cut: the pieces, in order.
    waves: (time,) peripheral wave of each; removed.
    subject: name of the subject.
    covariates: of the subject.
  """
  intervals = trained.uncertainty_calibration
  factor = intervals.csbp if intervals else float("nan")
  stretches: list[Stretch] = []
  columns: list[dict[str, np.ndarray]] = []
  logits: list[np.ndarray] = []
  for piece, (aortic_t, sigma_t, ood_b) in zip(cut, _read(trained, cut, waves, subject, covariates), strict=True):
    # a day is kept in single precision, which resolves 10⁻⁵ mmHg
    stretches.append(Stretch(piece.span, piece.clock, piece.steps_s, aortic_t.astype(np.float32), sigma_t))
    columns.append(_beats(piece, aortic_t, sigma_t, trained, factor))
    logits.append(ood_b)
  beat_table = BeatTable({name: np.concatenate([one[name] for one in columns]) for name in columns[0]})
  return stretches, beat_table, np.concatenate(logits)


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
  subject, covariates, written_s = recording.subject, recording.covariates, recording.time_s
  notes = (*recording.notes, *remarks.of_waves(recording))
  time_s, p_t = quality.regular_clock(written_s), recording.signals[site]
  del recording  # the wave of a day takes 0.2 GB; a copy with its losses bridged replaces it
  pressure = signal_names.is_pressure(site)
  # samples that are implausible for longer stay as they are, which tells the reason of the gap
  losses = quality.short_losses(time_s, ~(quality.is_plausible(p_t) if pressure else np.isfinite(p_t)))
  p_t = quality.fill(time_s, p_t, losses)
  cut, waves, gaps = pieces.cut(time_s, p_t, pressure, trained.windows)
  if not cut:
    reasons = ", ".join(dict.fromkeys(gap.reason for gap in gaps)) or "too short"
    raise InputError(f"{subject}: no usable segment of one beat or more ({reasons}); use another record")
  if pressure:
    p_t = p_t.astype(np.float32)  # it is only shown from here on
  stretches, found, ood_b = _stretches(trained, cut, waves, subject, covariates)
  intervals = trained.uncertainty_calibration
  ood_fraction = float("nan")
  if intervals is not None:
    ood_fraction = float(uncertainty.out_of_distribution(intervals, ood_b).mean())
  return ReconstructedWave(
    time_s=written_s,
    source=WaveSource(
      time_s=time_s, wave_t=p_t, bridged=losses, stretches=stretches, pressure=pressure,
      factor=intervals.wave if intervals else float("nan"),
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
  if isinstance(estimates, BeatTable):
    values = {name: estimates.columns[name] for name in names if estimates}
  else:
    values = {name: np.array([getattr(beat, name) for beat in estimates]) for name in names if estimates}
  known = {name: v for name, v in values.items() if np.isfinite(v).all()}
  statistics = {name: {"mean": float(v.mean()), "sd": float(v.std())} for name, v in known.items()}
  if "hr_bpm" in statistics:
    statistics["hr_bpm"]["mean"] = float(1 / np.mean(1 / values["hr_bpm"]))
  return statistics
