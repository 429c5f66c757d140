"""Usable spans of a pressure record, and the reasons why its gaps are not usable."""

import dataclasses
import itertools

import numpy as np
import scipy.ndimage

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


def _runs(mask_t: np.ndarray) -> list[tuple[int, int]]:
  edges = np.flatnonzero(np.diff(np.concatenate([[0], mask_t.astype(np.int8), [0]])))
  return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


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
  filled = np.where(np.isfinite(p_t), p_t, 0.0)
  span_t = scipy.ndimage.maximum_filter1d(filled, size) - scipy.ndimage.minimum_filter1d(filled, size)
  centre = span_t < least
  half = size // 2
  centre[:half] = centre[-half:] = False  # a window that reaches over the end does not count
  return scipy.ndimage.binary_dilation(centre, iterations=half) if centre.any() else centre


def bridge(time_s: np.ndarray, x_t: np.ndarray, fill_s: float = FILL_S) -> tuple[np.ndarray, int]:
  """Bridges short runs of NaN by straight lines.

  Args:
    time_s: (time,) strictly increasing [s].
    x_t: (time,) the wave.
    fill_s: longest time between the samples beside a run [s].

  Returns:
    The wave, and the number of samples that were filled.
  """
  missing = ~np.isfinite(x_t)
  if not missing.any() or missing.all():
    return x_t, 0
  filled, count = x_t.copy(), 0
  for gap in np.ma.clump_masked(np.ma.masked_where(missing, x_t)):
    inside = gap.start > 0 and gap.stop < x_t.size
    if inside and time_s[gap.stop] - time_s[gap.start - 1] <= fill_s:
      filled[gap] = np.interp(time_s[gap], time_s[[gap.start - 1, gap.stop]], x_t[[gap.start - 1, gap.stop]])
      count += int(gap.stop - gap.start)
  return filled, count


def regular_clock(time_s: np.ndarray) -> np.ndarray:
  """Returns an evenly spaced clock where the times are those at which packets of samples arrived, else the times.

  Arrival times scatter about a straight line at the rate of the samples: a late packet is followed by shorter steps.
  Lost samples differ: after them the clock stays ahead, so the mean step exceeds the usual one.

  Args:
    time_s: (time,) strictly increasing [s].
  """
  if time_s.size < 3:
    return time_s
  steps = np.diff(time_s)
  step_s = float(np.median(steps))
  usual = np.abs(steps / step_s - 1) < _JITTER
  if usual.all() or usual.mean() < _LEAST_USUAL or steps.min() > (1 - _JITTER) * step_s:
    return time_s
  number = np.arange(time_s.size)
  slope, first = np.polyfit(number, time_s - time_s[0], 1)
  regular_s = time_s[0] + first + slope * number
  late_s = np.abs(time_s - regular_s).max()
  return regular_s if abs(slope / step_s - 1) < _RATE_ERROR and late_s <= FILL_S else time_s


def plausible(p_mmhg: np.ndarray) -> np.ndarray:
  """Returns a pressure with NaN outside 15–320 mmHg, where markers of lost samples and open lines lie."""
  with np.errstate(invalid="ignore"):
    return np.where((p_mmhg >= LOW_MMHG) & (p_mmhg <= HIGH_MMHG), p_mmhg, np.nan)


def _cut(
  time_s: np.ndarray, lost_t: np.ndarray, gaps: list[Span], step_s: float, fill_s: float
) -> tuple[list[Span], list[Span]]:
  """Returns the spans between lost samples and pauses of the clock, and all gaps in order."""
  pauses = np.flatnonzero(np.diff(time_s) > max(PAUSE * step_s, fill_s)) + 1
  gaps = gaps + [Span(int(k), int(k), f"pause of {time_s[k] - time_s[k - 1]:.2f} s in the clock") for k in pauses]
  good = []
  for start, stop in _runs(~lost_t):
    cuts = [start, *pauses[(pauses > start) & (pauses < stop)].tolist(), stop]
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
  step_s = float(np.median(np.diff(time_s))) if time_s.size > 1 else 1.0
  missing = ~np.isfinite(x_t)
  usual = float(np.subtract(*np.percentile(x_t[~missing], [95, 5]))) if not missing.all() else 0.0
  if usual == 0 and not missing.all():  # dead for nineteen twentieths of the record, or all of it
    usual = float(np.ptp(x_t[~missing]))
  still = flat(x_t, 1 / step_s, _FLAT_SHARE * usual if usual else np.inf) & ~missing
  gaps = [Span(a, b, "no data") for a, b in _runs(missing)] + [Span(a, b, "flat line") for a, b in _runs(still)]
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
  step_s = float(np.median(np.diff(time_s))) if time_s.size > 1 else 1.0
  missing = ~np.isfinite(p_mmhg)
  outside = ~missing & ((p_mmhg < LOW_MMHG) | (p_mmhg > HIGH_MMHG))
  still = flat(p_mmhg, 1 / step_s) & ~missing & ~outside
  gaps = [Span(a, b, "no data") for a, b in _runs(missing)]
  gaps += [Span(a, b, f"outside {LOW_MMHG:g}–{HIGH_MMHG:g} mmHg") for a, b in _runs(outside)]
  gaps += [Span(a, b, "flat line") for a, b in _runs(still)]
  return _cut(time_s, missing | outside | still, gaps, step_s, fill_s)
