"""Usable spans of a pressure record, and the reasons why its gaps are not usable."""

import dataclasses
import itertools

import numpy as np
import scipy.ndimage

from cap_jax.signals import blocks, clocks

LOW_MMHG, HIGH_MMHG = 15.0, 320.0
FLAT_S, FLAT_RANGE_MMHG = 1.5, 4.0
_FLAT_SHARE = 0.05  # of the usual range of a wave without a unit
PAUSE = 2.5  # a step of the clock longer than this many samples is a gap
_JITTER, _LEAST_USUAL, _RATE_ERROR = 0.25, 0.5, 5e-3  # of the steps of a clock of arrival times
FILL_S = 0.1  # a shorter loss is bridged: a tenth of a beat, less than any upstroke and run-off


@dataclasses.dataclass(frozen=True)
class Span:
  """Samples [start, stop) of a record, and why they cannot be used ("" if they can)."""

  start: int
  stop: int
  reason: str = ""


def flat(p_t: np.ndarray, fs_hz: float, least: float = FLAT_RANGE_MMHG) -> np.ndarray:
  """Marks the samples of stretches of `FLAT_S` seconds whose range stays below `least`: no pulse.

  Args:
    p_t: (time,) the wave; NaN count as 0.
    fs_hz: sampling rate.
    least: smallest range of a pulse, in the unit of the wave.

  Returns:
    (time,) bool.
  """
  size = max(int(FLAT_S * fs_hz), 3)
  if p_t.size < size:
    return np.full(p_t.shape, np.ptp(p_t) < least if p_t.size else True)
  half = size // 2
  centre = np.zeros(p_t.size, dtype=bool)  # a window that reaches over the end does not count
  for start, stop in blocks.cut(p_t.size):
    first, last = max(start - size, 0), min(stop + size, p_t.size)
    filled = np.where(np.isfinite(p_t[first:last]), p_t[first:last], 0.0)
    span_t = scipy.ndimage.maximum_filter1d(filled, size) - scipy.ndimage.minimum_filter1d(filled, size)
    centre[start:stop] = span_t[start - first : stop - first] < least
  centre[:half] = centre[-half:] = False
  flat_t = np.zeros(p_t.size, dtype=bool)
  for start, stop in blocks.runs(centre).tolist():
    flat_t[max(start - half, 0) : stop + half] = True
  return flat_t


def short_losses(time_s: np.ndarray, missing: np.ndarray, fill_s: float = FILL_S) -> np.ndarray:
  """Finds the losses that are short enough to be bridged.

  Args:
    time_s: (time,) strictly increasing [s].
    missing: (time,) which samples are lost.
    fill_s: longest time between the samples beside a loss [s].

  Returns:
    (loss, 2) first sample of each, and the first one after it.
  """
  losses = blocks.runs(missing)
  losses = losses[(losses[:, 0] > 0) & (losses[:, 1] < missing.size)]
  return losses[time_s[losses[:, 1]] - time_s[losses[:, 0] - 1] <= fill_s]


def fill(time_s: np.ndarray, x_t: np.ndarray, losses: np.ndarray) -> np.ndarray:
  """Returns a wave with straight lines in its losses; the wave itself if there are none.

  Args:
    time_s: (time,) strictly increasing [s].
    x_t: (time,) the wave.
    losses: (loss, 2) from `short_losses`.
  """
  filled = x_t.copy() if len(losses) else x_t
  for start, stop in losses.tolist():
    beside = [start - 1, stop]
    filled[start:stop] = np.interp(time_s[start:stop], time_s[beside], x_t[beside])
  return filled


def bridge(time_s: np.ndarray, x_t: np.ndarray, fill_s: float = FILL_S) -> tuple[np.ndarray, int]:
  """Bridges short runs of NaN by straight lines.

  Args:
    time_s: (time,) strictly increasing [s].
    x_t: (time,) the wave.
    fill_s: longest time between the samples beside a run [s].

  Returns:
    The wave, and the number of samples that were filled.
  """
  losses = short_losses(time_s, ~np.isfinite(x_t), fill_s)
  return fill(time_s, x_t, losses), int((losses[:, 1] - losses[:, 0]).sum())


def regular_clock(time_s: np.ndarray) -> np.ndarray:
  """Returns an evenly spaced clock where the times are those at which packets of samples arrived, else the times.

  Arrival times scatter about a straight line at the rate of the samples: a late packet is followed by shorter steps.
  Lost samples differ: after them the clock stays ahead, so the mean step exceeds the usual one.

  Args:
    time_s: (time,) strictly increasing [s].
  """
  if time_s.size < 3:
    return time_s
  step_s, usual, shortest_s = clocks.median_step(time_s), 0, float("inf")
  for start, stop in blocks.cut(time_s.size - 1):
    steps = np.diff(time_s[start : stop + 1])
    usual += int(np.count_nonzero(np.abs(steps / step_s - 1) < _JITTER))
    shortest_s = min(shortest_s, float(steps.min()))
  all_steps = time_s.size - 1
  if usual == all_steps or usual / all_steps < _LEAST_USUAL or shortest_s > (1 - _JITTER) * step_s:
    return time_s
  slope, first_s = clocks.line(time_s)
  regular_s = first_s + slope * np.arange(time_s.size)
  late_s = max(np.abs(time_s[a:b] - regular_s[a:b]).max() for a, b in blocks.cut(time_s.size))
  return regular_s if abs(slope / step_s - 1) < _RATE_ERROR and late_s <= FILL_S else time_s


def is_plausible(p_mmhg: np.ndarray) -> np.ndarray:
  """Returns which samples of a pressure lie within 15–320 mmHg; outside are markers of lost samples and open lines."""
  with np.errstate(invalid="ignore"):
    return (p_mmhg >= LOW_MMHG) & (p_mmhg <= HIGH_MMHG)


def plausible(p_mmhg: np.ndarray) -> np.ndarray:
  """Returns a pressure with NaN where it is not plausible."""
  return np.where(is_plausible(p_mmhg), p_mmhg, np.nan)


def _cut(
  time_s: np.ndarray, lost_t: np.ndarray, gaps: list[Span], step_s: float, fill_s: float
) -> tuple[list[Span], list[Span]]:
  """Returns the spans between lost samples and pauses of the clock, and all gaps in order."""
  longest_s = max(PAUSE * step_s, fill_s)
  ends = blocks.cut(max(time_s.size - 1, 0))
  found = [a + 1 + np.flatnonzero(np.diff(time_s[a : b + 1]) > longest_s) for a, b in ends]
  pauses = np.concatenate([np.zeros(0, dtype=int), *found])
  gaps = gaps + [Span(int(k), int(k), f"pause of {time_s[k] - time_s[k - 1]:.2f} s in the clock") for k in pauses]
  good = []
  for start, stop in blocks.runs(~lost_t).tolist():
    first, last = np.searchsorted(pauses, [start + 1, stop])
    cuts = [start, *pauses[first:last].tolist(), stop]
    good += [Span(int(a), int(b)) for a, b in itertools.pairwise(cuts)]
  return good, sorted(gaps, key=lambda gap: (gap.start, gap.stop))


def find_finite(time_s: np.ndarray, x_t: np.ndarray, fill_s: float = FILL_S) -> tuple[list[Span], list[Span]]:
  """Finds the spans and gaps of a wave of any unit.

  A gap is a run of NaN, or 1.5 s without a pulse relative to the wave's own range. A pause of the clock is an empty
  gap.

  Args:
    time_s: (time,) strictly increasing [s].
    x_t: (time,) the wave.
    fill_s: a shorter pause of the clock is no gap [s].
  """
  step_s = clocks.median_step(time_s) if time_s.size > 1 else 1.0
  missing = ~np.isfinite(x_t)
  usual = float(np.subtract(*np.percentile(x_t[~missing], [95, 5], overwrite_input=True))) if not missing.all() else 0.0
  if usual == 0 and not missing.all():  # dead for nineteen twentieths of the record, or all of it
    usual = float(np.ptp(x_t[~missing]))
  still = flat(x_t, 1 / step_s, _FLAT_SHARE * usual if usual else np.inf) & ~missing
  gaps = [Span(a, b, "no data") for a, b in blocks.runs(missing).tolist()] + [
    Span(a, b, "flat line") for a, b in blocks.runs(still).tolist()
  ]
  return _cut(time_s, missing | still, gaps, step_s, fill_s)


def find_spans(time_s: np.ndarray, p_mmhg: np.ndarray, fill_s: float = FILL_S) -> tuple[list[Span], list[Span]]:
  """Finds the usable spans and the gaps of a pressure record, in order.

  A gap is a run of NaN, of pressures outside 15–320 mmHg or without a pulse for 1.5 s. A pause of the clock ends a span
  and is reported as an empty gap.

  Args:
    time_s: (time,) strictly increasing [s].
    p_mmhg: (time,) pressure.
    fill_s: a shorter pause of the clock is no gap [s].
  """
  step_s = clocks.median_step(time_s) if time_s.size > 1 else 1.0
  missing = ~np.isfinite(p_mmhg)
  outside = ~missing & ((p_mmhg < LOW_MMHG) | (p_mmhg > HIGH_MMHG))
  still = flat(p_mmhg, 1 / step_s) & ~missing & ~outside
  gaps = [Span(a, b, "no data") for a, b in blocks.runs(missing).tolist()]
  gaps += [Span(a, b, f"outside {LOW_MMHG:g}–{HIGH_MMHG:g} mmHg") for a, b in blocks.runs(outside).tolist()]
  gaps += [Span(a, b, "flat line") for a, b in blocks.runs(still).tolist()]
  return _cut(time_s, missing | outside | still, gaps, step_s, fill_s)
