"""Networks of virtual subjects on real records, one record left out at a time.

Nobody measured the aortic pressure of these records, so nothing here is an accuracy of it. What can be said: how far the
records' features lie from the source's before and after an adaptation that has not seen the record, whether the reconstructed waves are
such as an aorta may have, and, for finger PPG → arterial pressure, which both were measured, an error.
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
from cap_jax.train import checkpoint, prediction, runs

_MAP_LIMIT_MMHG = 3.0
_HALT = 0.3  # of the steepest fall before and after it: the fall halts, as at an incisura
_PHASES = 200
_READING_S = 30.0
_READING = config.Calibration(kind="sbp_dbp")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plausibility:
  """Of reconstructed waves beside the measured peripheral ones, over their beats.

  Attributes:
    beats: how many.
    pulse_share: with a pulse pressure not above the peripheral one's: it is amplified on its way.
    amplification: peripheral over reconstructed pulse pressure, median.
    map_offset_mmhg: reconstructed minus peripheral mean pressure.
    map_share: whose mean pressures are within 3 mmHg, as it hardly falls on its way.
    notch: whether the fall of the median beat halts, as at an incisura.
  """

  beats: int
  pulse_share: float
  amplification: float
  map_offset_mmhg: float
  map_share: float
  notch: bool


def _has_notch(aortic: Sequence[np.ndarray]) -> bool:
  """Whether the median of some beats, each from its foot, has a halt in its fall."""
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
  """Plausibility of reconstructed windows, without their margins.

  Args:
    peripheral_bt, aortic_bt: (window, time) [mmHg], windows that do not overlap.
    spec: of the windows.
  """
  inner = slice(spec.margin, spec.samples - spec.margin)
  outside: list[np.ndarray] = []
  inside: list[np.ndarray] = []
  waves: list[np.ndarray] = []
  for p_t, a_t in zip(peripheral_bt[:, inner], aortic_bt[:, inner], strict=True):
    # each wave by its own feet: they are a pulse's way apart
    for x_t, found in ((p_t, outside), (a_t, inside)):
      measured = beats.pressures(x_t, beats.find_feet(x_t, spec.fs_hz))
      found.append(np.stack([measured.pulse, measured.mean], axis=-1))
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
  """Between pooled features of source and target windows: proxy A-distance over all records (0 alike, 2 told apart without
  error), and MMD² of the record that was left out."""

  a_distance: float
  mmd: float


def distance(
  trained: checkpoint.Checkpoint, source: batches.Pairs, others: batches.Waves, left_out: batches.Waves
) -> Distance:
  """How far the target's features lie from the source's, as a network sees them."""
  everyone = batches.Waves(
    np.concatenate([others.x_bt, left_out.x_bt]), np.concatenate([others.subject_b, left_out.subject_b])
  )
  (h_s, _), (h_t, _) = prediction.pooled(trained, source, False), prediction.pooled(trained, left_out, True)
  found = discrepancy.mmd(jnp.asarray(h_s), jnp.asarray(h_t), jnp.ones(len(h_s)))
  return Distance(runs.distance(trained, runs.Data(source, everyone)), float(found))


def _earlier(x_t: np.ndarray, samples: int) -> np.ndarray:
  """A wave some samples earlier (later if negative), NaN where it has come to its end."""
  moved = np.full(x_t.shape, np.nan)
  size = x_t.size - abs(samples)
  moved[max(-samples, 0) :][:size] = x_t[max(samples, 0) :][:size]
  return moved


def calibrated_at_first(
  recording: recordings.Recording, site: str, reference: str, reading_s: float = _READING_S
) -> recordings.Recording | None:
  """The record after a reading: the wave of `site` scaled to systole and diastole of the reference in the first seconds, and moved
  by its lag behind the reference there.

  That is what a cuff or a catheter would have told at the beginning. Of a short record the first third serves. None where the
  first seconds or the rest have no beat of both. Nothing after the first seconds is known.
  """
  fs_hz = recording.fs_hz
  both = np.isfinite(recording.signals[site]) & np.isfinite(recording.signals[reference])
  if not both.any():
    return None
  begin = int(np.flatnonzero(both)[0])
  size = min(int(reading_s * fs_hz), (both.size - begin) // 3)
  first, rest = slice(begin, begin + size), slice(begin + size, None)
  own, true = (scales.levels(recording.signals[name][first], fs_hz) for name in (site, reference))
  if own is None or true is None or own.systolic <= own.diastolic or not both[rest].any():
    return None
  known = {**recording.covariates, scales.CUFF[0]: true.systolic, scales.CUFF[1]: true.diastolic}
  known.pop(scales.CUFF[2], None)
  gain, offset = scales.affine(_READING, own, known, recording.subject)
  lag = synchrony.find_lag(recording.signals[reference][first], recording.signals[site][first], fs_hz)
  late = round(lag.lag_s * fs_hz) if lag is not None else 0
  waves = {name: wave[rest] for name, wave in recording.signals.items()}
  waves[site] = _earlier(gain * recording.signals[site] + offset, late)[rest]
  return dataclasses.replace(
    recording, time_s=recording.time_s[rest], signals=waves, units={**recording.units, site: "mmHg"}, covariates=known
  )


def leave_one_out(found: Mapping[str, batches.Pairs]) -> list[tuple[str, batches.Pairs]]:
  """(record left out, windows of all others), a pair for each record."""
  return [(name, join([pairs for other, pairs in found.items() if other != name])) for name in found]


def join(parts: Sequence[batches.Pairs]) -> batches.Pairs:
  """Windows of several records together, without covariates."""
  return batches.Pairs(
    np.concatenate([part.x_bt for part in parts]),
    np.concatenate([part.y_bt for part in parts]),
    np.concatenate([part.subject_b for part in parts]),
  )


def balanced(windows: batches.Pairs, most: int) -> batches.Pairs:
  """At most `most` windows of each subject, evenly over its record, so that a long one does not outweigh the others."""
  rows = [
    own[np.unique(np.linspace(0, own.size - 1, min(most, own.size)).astype(int))]
    for own in (np.flatnonzero(windows.subject_b == subject) for subject in windows.subjects)
  ]
  kept = np.concatenate(rows)
  return batches.Pairs(windows.x_bt[kept], windows.y_bt[kept], windows.subject_b[kept])
