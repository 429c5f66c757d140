"""Networks of virtual subjects on real records, one record left out at a time.

The aortic pressure of these records was not measured, so nothing here is its accuracy. Three things can be computed:

- the distance of the records' features from the source's, before and after an adaptation that has not seen the record;
- whether the reconstructed waves are plausible for an aorta;
- an error of finger PPG → arterial pressure, since both were measured.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from cap_jax import config
from cap_jax.data import batches, recordings
from cap_jax.losses import discrepancy
from cap_jax.signals import beats, synchrony
from cap_jax.signals import calibration as scales
from cap_jax.train import checkpoint, domains, prediction

_MAP_LIMIT_MMHG = 3.0
_HALT = 0.3  # largest slope of a halt, as at an incisura, over the steepest falls before and after it
_PHASES = 200
_READING_S = 30.0
_READING = config.Calibration(kind="sbp_dbp")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plausibility:
  """Plausibility of reconstructed waves beside the measured peripheral ones, over their beats.

  Attributes:
    beats: number of beats.
    pulse_share: share of beats whose pulse pressure is not above the peripheral one, since arteries amplify the pulse.
    amplification: median of peripheral over reconstructed pulse pressure.
    map_offset_mmhg: mean of reconstructed minus peripheral mean pressure.
    map_share: share of beats whose two mean pressures are within 3 mmHg, since the mean hardly falls along arteries.
    notch: whether the fall of the median beat halts, as at an incisura.
  """

  beats: int
  pulse_share: float
  amplification: float
  map_offset_mmhg: float
  map_share: float
  notch: bool


def _has_notch(aortic: Sequence[np.ndarray]) -> bool:
  """Returns whether the median of beats, each from its foot, has a halt in its fall."""
  phase = np.linspace(0, 1, _PHASES)
  median = np.median([np.interp(phase, np.linspace(0, 1, beat.size), beat) for beat in aortic], axis=0)
  slope, peak = np.diff(median), int(median.argmax())
  fall = slope[peak : peak + int(0.45 * _PHASES)]
  if fall.size < 2:
    return False
  steepest = peak + int(fall.argmin())
  after = slope[steepest : steepest + int(0.3 * _PHASES)]
  halt = steepest + int(after.argmax())
  later = slope[halt:].min() if halt < slope.size else 0.0
  return bool(slope[halt] > _HALT * later > _HALT * slope[steepest])


def plausibility(peripheral_bt: np.ndarray, aortic_bt: np.ndarray, spec: config.Windows) -> Plausibility:
  """Returns the plausibility of reconstructed windows, without their margins.

  Args:
    peripheral_bt: (window, time) measured waves [mmHg], windows that do not overlap.
    aortic_bt: (window, time) reconstructed waves [mmHg].
    spec: of the windows.
  """
  inner = slice(spec.margin, spec.samples - spec.margin)
  outside: list[np.ndarray] = []
  inside: list[np.ndarray] = []
  waves: list[np.ndarray] = []
  for p_t, a_t in zip(peripheral_bt[:, inner], aortic_bt[:, inner], strict=True):
    # each wave by its own feet, which are a pulse transit time apart
    for x_t, levels in ((p_t, outside), (a_t, inside)):
      measured = beats.pressures(x_t, beats.find_feet(x_t, spec.fs_hz))
      levels.append(np.stack([measured.pulse, measured.mean], axis=-1))
    feet = beats.find_feet(a_t, spec.fs_hz)
    waves += [a_t[a:b] for a, b in itertools.pairwise(feet)]
    both = min(len(outside[-1]), len(inside[-1]))
    outside[-1], inside[-1] = outside[-1][:both], inside[-1][:both]
  out_k2, in_k2 = np.concatenate(outside), np.concatenate(inside)
  if not len(out_k2):
    nan = float("nan")
    return Plausibility(beats=0, pulse_share=nan, amplification=nan, map_offset_mmhg=nan, map_share=nan, notch=False)
  offset = in_k2[:, 1] - out_k2[:, 1]
  return Plausibility(
    beats=len(out_k2),
    pulse_share=float((in_k2[:, 0] <= out_k2[:, 0]).mean()),
    amplification=float(np.median(out_k2[:, 0] / np.maximum(in_k2[:, 0], 1e-3))),
    map_offset_mmhg=float(offset.mean()),
    map_share=float((np.abs(offset) <= _MAP_LIMIT_MMHG).mean()),
    notch=_has_notch(waves),
  )


@dataclasses.dataclass(frozen=True)
class Distance:
  """Distances between pooled features of source and target windows.

  Attributes:
    a_distance: proxy A-distance over all records, 0 (alike) to 2 (separable without error).
    mmd: MMD² of the record that was left out.
  """

  a_distance: float
  mmd: float


def distance(
  trained: checkpoint.Checkpoint, source: batches.Pairs, others: batches.Waves, left_out: batches.Waves
) -> Distance:
  """Returns the distances between the source's and the target's features in a network.

  Args:
    trained: the network.
    source: windows of its source.
    others: windows of the records that it was adapted to.
    left_out: windows of the record that was left out.
  """
  everyone = batches.Waves(
    np.concatenate([others.x_bt, left_out.x_bt]), np.concatenate([others.subject_b, left_out.subject_b])
  )
  (h_s, _), (h_t, _) = prediction.pooled(trained, source, False), prediction.pooled(trained, left_out, True)
  mmd = discrepancy.mmd(jnp.asarray(h_s), jnp.asarray(h_t), jnp.ones(len(h_s)))
  return Distance(domains.distance(trained, domains.Data(source, everyone)), float(mmd))


def _earlier(x_t: np.ndarray, samples: int) -> np.ndarray:
  """Shifts a wave to an earlier time by some samples (later if negative), with NaN beyond its end."""
  moved = np.full(x_t.shape, np.nan)
  size = x_t.size - abs(samples)
  moved[max(-samples, 0) :][:size] = x_t[max(samples, 0) :][:size]
  return moved


def calibrated_at_first(
  recording: recordings.Recording, site: str, reference: str, reading_s: float = _READING_S
) -> recordings.Recording | None:
  """Calibrates a record by its first seconds, as by a cuff or a catheter, and returns the rest of it.

  The wave of `site` is scaled to systole and diastole of the reference in the first seconds, and shifted by its lag there. Later samples
  of the reference are not used.

  Args:
    recording: with both waves.
    site: of the wave that is calibrated.
    reference: the measured pressure.
    reading_s: first seconds that are used, at most a third of the record.

  Returns:
    The rest of the record, or None if the first seconds or the rest have no beat of both waves.
  """
  fs_hz = recording.fs_hz
  both = np.isfinite(recording.signals[site]) & np.isfinite(recording.signals[reference])
  if not both.any():
    return None
  start = int(np.flatnonzero(both)[0])
  size = min(int(reading_s * fs_hz), (both.size - start) // 3)
  first, rest = slice(start, start + size), slice(start + size, None)
  own, true = (scales.levels(recording.signals[name][first], fs_hz) for name in (site, reference))
  if own is None or true is None or own.systolic <= own.diastolic or not both[rest].any():
    return None
  covariates = {**recording.covariates, scales.CUFF[0]: true.systolic, scales.CUFF[1]: true.diastolic}
  covariates.pop(scales.CUFF[2], None)
  gain, offset = scales.affine(_READING, own, covariates, recording.subject)
  lag = synchrony.find_lag(recording.signals[reference][first], recording.signals[site][first], fs_hz)
  delay = round(lag.lag_s * fs_hz) if lag is not None else 0
  waves = {name: wave[rest] for name, wave in recording.signals.items()}
  waves[site] = _earlier(gain * recording.signals[site] + offset, delay)[rest]
  return dataclasses.replace(
    recording,
    time_s=recording.time_s[rest],
    signals=waves,
    units={**recording.units, site: "mmHg"},
    covariates=covariates,
  )


def leave_one_out(pairs_of: Mapping[str, batches.Pairs]) -> list[tuple[str, batches.Pairs]]:
  """Returns (record left out, windows of all others) for each record."""
  return [(name, join([pairs for other, pairs in pairs_of.items() if other != name])) for name in pairs_of]


def join(records: Sequence[batches.Pairs]) -> batches.Pairs:
  """Concatenates the windows of several records, without their covariates."""
  return batches.Pairs(
    np.concatenate([record.x_bt for record in records]),
    np.concatenate([record.y_bt for record in records]),
    np.concatenate([record.subject_b for record in records]),
  )


def balanced(windows: batches.Pairs, most: int) -> batches.Pairs:
  """Returns at most `most` windows of each subject, so that a long record does not outweigh the others.

  Args:
    windows: of several subjects.
    most: windows of a subject, evenly over its record.
  """
  rows = [
    own[np.unique(np.linspace(0, own.size - 1, min(most, own.size)).astype(int))]
    for own in (np.flatnonzero(windows.subject_b == subject) for subject in windows.subjects)
  ]
  selected = np.concatenate(rows)
  return batches.Pairs(windows.x_bt[selected], windows.y_bt[selected], windows.subject_b[selected])
