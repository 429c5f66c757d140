"""Cuts a record into pieces that a network can read: usable spans at its rate, extended by their own beats."""

import dataclasses

import numpy as np
import scipy.ndimage

from cap_jax import config
from cap_jax.inference.reconstructed_wave import Gap, RegularClock
from cap_jax.signals import beat_quality, beats, blocks, clocks, filters, quality, windows

# faults of a beat that make a wave wrong; ectopic beats are valid
_FAULTS = {"flat": "flat", "clipped": "clipped", "damped": "damped", "flush": "flushed", "motion": "moved"}
_FLUSHED = "a part of a beat that is flushed"
_LEAST_BEATS = 4
_BETWEEN = 2  # up to so many beats between two bad ones are bad too


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
  """A usable span on the network's clock, extended by its own beats.

  Attributes:
    span: samples of the record.
    clock: of the network.
    steps_s: median steps of the clock of the network and of that of the record in the span.
    feet: (beat + 1,) feet of the peripheral wave.
    pressures: its pressures between them.
    own: the samples of the span itself.
    starts: first samples of its windows.
  """

  span: quality.Span
  clock: RegularClock
  steps_s: tuple[float, float]
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


def _prepare(time_s: np.ndarray, p_t: np.ndarray, span: quality.Span, spec: config.Windows) -> tuple[Piece, np.ndarray]:
  """Returns a span as a piece, and its peripheral wave on the network's clock, (time,)."""
  wave, step_s = _on_own_clock(time_s, p_t, span, spec.fs_hz)
  count = wave.size
  spare = max(spec.samples - count, 2 * spec.margin)
  before = spare // 2
  wave = windows.extend_periodically(wave, spec.fs_hz, before, spare - before)
  feet = beats.find_feet(wave, spec.fs_hz)
  piece = Piece(
    span=span,
    clock=RegularClock(float(time_s[span.start]), before, spec.fs_hz),
    steps_s=(1 / spec.fs_hz, step_s),
    feet=feet,
    pressures=beats.pressures(wave, feet),
    own=slice(before, before + count),
    starts=windows.starts_covering(len(wave), spec.samples, spec.samples // 2),
  )
  return piece, wave


def cut(
  time_s: np.ndarray, p_t: np.ndarray, pressure: bool, spec: config.Windows
) -> tuple[list[Piece], list[np.ndarray], list[Gap]]:
  """Cuts a record into pieces.

  Args:
    time_s: (time,) increasing clock [s].
    p_t: (time,) wave, short losses bridged.
    pressure: whether it is a pressure.
    spec: windows of the network.

  Returns:
    The pieces, the peripheral wave of each on the network's clock, (time,), and the gaps between them.
  """
  good, lost = quality.find_spans(time_s, p_t) if pressure else quality.find_finite(time_s, p_t)
  good, faulty = _without_faults(time_s, p_t, good, spec.fs_hz, pressure)
  lost += faulty
  short = [span for span in good if time_s[span.stop - 1] - time_s[span.start] < beats.SHORTEST_S]
  lost += [quality.Span(span.start, span.stop, "shorter than one beat") for span in short]
  gaps = [
    Gap(float(time_s[max(g.start - (g.start == g.stop), 0)]), float(time_s[max(g.stop - 1, g.start)]), g.reason)
    for g in sorted(lost, key=lambda span: span.start)
  ]
  short_starts = {span.start for span in short}
  prepared = [_prepare(time_s, p_t, span, spec) for span in good if span.start not in short_starts]
  return [piece for piece, _ in prepared], [wave for _, wave in prepared], gaps
