"""The schema of a recording, the same for every source, and what is checked of its clock and its pressures."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from cap_jax.data import signal_names
from cap_jax.signals import blocks, clocks, filters, quality
from cap_jax.types import DataError

_PLAUSIBLE_MMHG = (25.0, 250.0)
_MOST_NEGATIVE = 0.005  # share of the samples, as a flush or noise around zero leaves some
_RATES_HZ = (20.0, 20_000.0)
# → seconds
_TIME_UNITS = {
  "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9, "minutes": 60.0, "hours": 3600.0, "days": 86400.0
}  # fmt: skip
_FASTEST_HZ = 10.0  # no heart beats so often
_MOST_SAMPLES = 1 << 16  # that tell how often a wave rises
_OVERLAP = 3  # so many rows between those of another block are none that are out of order
_USUAL_HZ, _SHORTEST_S = 2000.0, 0.27  # rates of monitors; the shortest beat
_FEW_DIGITS = 0.05  # a clock with so many repeated times was written with too few digits
_ROUNDED = 0.02  # stamps with few digits make the median step wrong by less
_RESOLUTION, _RATE_KNOWN = 0.75, 0.002
_ANEW = 0.5  # a restart goes back to the first half of the block before it; a packet that was written twice does not
_RESTART = 20.0  # a step back by so many samples is a restart
_LEAST_PULSES_S = 1.5  # a stretch of plausible pressures lasts at least so long
_LARGEST_SHARE = 20  # largest ratio of a record's duration to that of its samples; above it, the record is mostly gaps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
  """Simultaneous signals of one subject.

  Attributes:
    subject: name, unique in a data set.
    time_s: (time,) strictly increasing clock of all signals [s].
    signals: name → (time,) wave, NaN where there is no sample.
    units: name → unit of `KINDS`, "mmHg" also for a PPG scaled to a cuff, or `UNCALIBRATED`.
    covariates: properties of the subject or the record (age, hr_bpm, …).
    record: name of the record among those of the subject.
    periodic: whether it is one beat, or whole beats, of a wave that repeats.
    notes: what its reader did that the user should know, such as lines that it skipped.
    unread: columns or arrays of its file that are no signal.
  """

  subject: str
  time_s: np.ndarray
  signals: Mapping[str, np.ndarray]
  units: Mapping[str, str]
  covariates: Mapping[str, float] = dataclasses.field(default_factory=dict)
  record: str = ""
  periodic: bool = False
  notes: tuple[str, ...] = ()
  unread: tuple[str, ...] = ()

  @property
  def sites(self) -> tuple[str, ...]:
    """The names of the signals."""
    return tuple(self.signals)

  @functools.cached_property
  def fs_hz(self) -> float:
    """The sampling rate [Hz] over the whole record, or from the median step of a clock with pauses."""
    step_s = clocks.median_step(self.time_s)
    mean_s = float(self.time_s[-1] - self.time_s[0]) / (self.time_s.size - 1)
    return 1 / (mean_s if abs(mean_s / step_s - 1) < _ROUNDED else step_s)


def check_clock(time_s: np.ndarray, where: str) -> None:
  """Checks the clock of a record.

  Args:
    time_s: (time,) clock [s].
    where: file, and position in it, for messages.

  Raises:
    DataError: fewer than two samples, a clock that is not finite and strictly increasing, or an impossible rate.
  """
  if time_s.size < 2:
    raise DataError(where, f"{time_s.size} sample(s)", "use a record of at least one heartbeat")
  if not np.isfinite(time_s).all():
    row = int(np.flatnonzero(~np.isfinite(time_s))[0])
    raise DataError(where, f"time in data row {row + 1} is not a number", "fill it in or remove the row")
  _check_increase(time_s, where)
  rate_hz, seconds = 1 / clocks.median_step(time_s), float(time_s[-1] - time_s[0])
  low, high = _RATES_HZ
  if seconds * rate_hz > _LARGEST_SHARE * time_s.size:
    problem = f"{time_s.size} samples at {rate_hz:g} Hz span {seconds:g} s"
    raise DataError(where, problem, "correct the clock, or split the record at its pauses")
  # no pulse lasts so short, but one does in another unit of time
  if rate_hz < low and (np.diff(time_s) == 1).all():
    remedy = "if the column counts samples, divide it by the sampling rate in Hz; if it is in milliseconds, multiply it by 0.001"
    raise DataError(where, "the times rise by exactly 1 from row to row", remedy)
  units = [
    name for name, factor in _TIME_UNITS.items() if low <= rate_hz / factor <= _USUAL_HZ and seconds * factor > 1
  ]
  if units and (seconds < _SHORTEST_S or not low <= rate_hz <= high):
    unit = units[0]
    problem = f"{rate_hz:g} samples a second, {seconds:.2g} s in all"
    known = [name for name, factor in signal_names.TO_SECONDS.items() if factor == _TIME_UNITS[unit]]
    stated = f", or state the unit (channel NAME:{signal_names.TIME}:{known[0]})" if known else ""
    raise DataError(where, problem, f"if the time is in {unit}, multiply it by {_TIME_UNITS[unit]:g}{stated}")
  if not low <= rate_hz <= high:
    raise DataError(
      where, f"{rate_hz:g} samples a second", f"a pulse wave needs {low:g} to {high:g} Hz; correct the clock"
    )


def with_digits(time_s: np.ndarray) -> np.ndarray:
  """Returns an even clock where times repeat because they were written with too few digits, else the times.

  The times must lie within three quarters of their resolution of a straight line, and their resolution must leave the
  rate known to 0.2 %.

  Args:
    time_s: (time,) clock [s].
  """
  falls, rises = _changes(time_s)
  if not np.isfinite(time_s).all() or falls or not 0 < rises < time_s.size - 1 or _rows_of_each(time_s, rises):
    return time_s
  beside_s, least_s = np.inf, np.inf  # smallest steps beside a repeated time, and of all
  for start, stop in blocks.cut(time_s.size - 1):
    first = max(start - 1, 0)
    steps = np.diff(time_s[first : stop + 2])
    rising = np.where(steps > 0, steps, np.inf)
    still = np.pad(steps == 0, 1)
    beside_s = min(beside_s, rising[still[:-2] | still[2:]].min(initial=np.inf))
    least_s = min(least_s, rising.min())
  resolution_s = float(beside_s if np.isfinite(beside_s) else least_s)
  slope, first_s = clocks.line(time_s)
  even_s = first_s + slope * np.arange(time_s.size)
  off_s = max(np.abs(even_s[a:b] - time_s[a:b]).max() for a, b in blocks.cut(time_s.size))
  fits = off_s <= _RESOLUTION * resolution_s
  return even_s if fits and resolution_s <= _RATE_KNOWN * (time_s[-1] - time_s[0]) else time_s


def _changes(time_s: np.ndarray) -> tuple[int, int]:
  """Returns how often a clock falls and how often it rises."""
  falls = rises = 0
  for start, stop in blocks.cut(time_s.size - 1):
    now, after = time_s[start:stop], time_s[start + 1 : stop + 1]
    falls, rises = falls + int(np.count_nonzero(after < now)), rises + int(np.count_nonzero(after > now))
  return falls, rises


def _rows_of_each(time_s: np.ndarray, rises: int) -> int:
  """Returns in how many rows each time of a clock that never falls stands, 0 if not all stand in as many.

  Args:
    time_s: (time,) clock [s].
    rises: how often it rises.
  """
  rows, rest = divmod(time_s.size, rises + 1)
  ends = np.arange(rows, time_s.size, rows) if not rest else np.zeros(0, dtype=int)
  return rows if not rest and bool((time_s[ends] > time_s[ends - 1]).all()) else 0


def _check_increase(time_s: np.ndarray, where: str) -> None:
  """Checks that a clock increases.

  Raises:
    DataError: it does not; the remedy is that for a restart, for too few digits, or for rows out of order.
  """
  falls, rises = _changes(time_s)
  if rises == time_s.size - 1:
    return
  steps = np.diff(time_s)
  row = int(np.argmax(steps <= 0)) + 1
  problem = f"time does not increase at data row {row + 1} ({time_s[row - 1]:.10g} s, then {time_s[row]:.10g} s)"
  if not falls and (rows := _rows_of_each(time_s, rises)):
    remedy = "give each signal a column of its own, remove rows that stand twice, or write the times with more digits"
    raise DataError(where, f"each time stands in {rows} rows", remedy)
  if not falls and rises + 1 < (1 - _FEW_DIGITS) * time_s.size:
    raise DataError(
      where,
      problem,
      "the times have too few digits, or stand for packets of rows: write a time for each row, with more digits",
    )
  usual_s = 0.0
  if rises:
    middle = [steps.size - rises + (rises - 1) // 2, steps.size - rises + rises // 2]
    steps.partition(middle)  # the rises are the largest steps
    usual_s = float(steps[middle].mean())
  restarts = np.diff(time_s) < -_RESTART * usual_s
  block = int(np.argmax(restarts)) + 2
  begins_anew = time_s[block - 1] - time_s[0] < _ANEW * (time_s[block - 2] - time_s[0])
  if falls and np.count_nonzero(restarts) == falls and usual_s > 0 and begins_anew:
    last_s = float(time_s[block - 2])
    remedy = f"cut the record there, or add {last_s + usual_s - time_s[block - 1]:.10g} s to the times from there on"
    raise DataError(
      where, f"the clock restarts at data row {block} ({last_s:.10g} s, then {time_s[block - 1]:.10g} s)", remedy
    )
  if falls and np.count_nonzero(np.diff(np.sort(time_s)) < usual_s / 2) >= _OVERLAP:
    back = int(np.argmax(np.diff(time_s) < 0)) + 1
    remedy = (
      f"if the clock was set back, add {time_s[back - 1] + usual_s - time_s[back]:.10g} s to the times from data row {back + 1} on; "
      "if rows were written twice, remove the second"
    )
    raise DataError(where, f"the clock goes back at data row {back + 1} to times that were there before", remedy)
  raise DataError(where, problem, "sort the rows by time and remove duplicates")


def _has_pulses(p_mmhg: np.ndarray, samples: int) -> bool:
  """Returns whether a wave has a stretch of that many samples that can be an arterial pressure, as before or after an open line."""
  low, high = _PLAUSIBLE_MMHG
  for start, stop in blocks.runs(quality.is_plausible(p_mmhg)).tolist():
    for first, last in blocks.cut((stop - start) // samples * samples, multiple=samples):
      stretches = p_mmhg[start + first : start + last].reshape(-1, samples)
      middle = np.median(stretches, axis=1)
      if ((middle >= low) & (middle <= high) & (np.ptp(stretches, axis=1) > quality.FLAT_RANGE_MMHG)).any():
        return True
  return False


def check_pressure(p_mmhg: np.ndarray, where: str, fs_hz: float = 125.0) -> None:
  """Checks that a wave can be an arterial pressure in mmHg.

  Args:
    p_mmhg: (time,) wave, NaN where there is no sample.
    where: file, and position in it, for messages.
    fs_hz: sampling rate [Hz].

  Raises:
    DataError: all samples are NaN, or the median is outside the range of arterial pressures.
  """
  finite = p_mmhg[np.isfinite(p_mmhg)]
  if not finite.size:
    raise DataError(where, "contains only NaN", "choose another column or signal")
  negative = np.count_nonzero(finite < 0) > _MOST_NEGATIVE * finite.size
  median, samples = float(np.median(finite, overwrite_input=True)), int(_LEAST_PULSES_S * fs_hz)
  del finite
  low, high = _PLAUSIBLE_MMHG
  if low <= median <= high or _has_pulses(p_mmhg, samples):
    return
  remedy = f"convert it to mmHg, with a median of {low:g} to {high:g}"
  if np.nanmax(p_mmhg) == np.nanmin(p_mmhg):
    remedy = "if it was not measured, leave its column empty"
  elif negative:
    remedy = "it is negative in part, so its zero is wrong: add what is missing, or leave the record out"
  elif low <= median * signal_names.MMHG_PER_KPA <= high:
    remedy = (
      f"if it is in kPa, state it (channel NAME:SIGNAL:kPa) or multiply it by {signal_names.MMHG_PER_KPA}; in mmHg it is too low for an artery "
      f"({low:g} or more)"
    )
  raise DataError(where, f"median {median:g} is not an arterial pressure in mmHg", remedy)


def _check_rhythm(wave: np.ndarray, rate_hz: float, where: str) -> None:
  """Checks that a wave does not repeat faster than any heart beats, as one does whose times are in minutes.

  Raises:
    DataError: it does.
  """
  if rate_hz <= _USUAL_HZ:  # in minutes, such a clock would have at most 33 samples a second
    return
  part = wave[np.isfinite(wave)][:_MOST_SAMPLES]
  low, high = np.percentile(part, [25, 75])
  sides = (part >= high).astype(int) - (part <= low)
  sides = sides[sides != 0]
  repeats_hz = rate_hz * np.count_nonzero(sides[1:] > sides[:-1]) / part.size
  if repeats_hz > _FASTEST_HZ:
    problem = f"the wave rises {repeats_hz:.0f} times a second, at {rate_hz:g} samples a second"
    raise DataError(where, problem, "if the time is in minutes, multiply it by 60")


def _in_mmhg(name: str, wave: np.ndarray, unit: str, where: str, fs_hz: float) -> tuple[np.ndarray, str]:
  """Returns a wave with NaN for infinite samples, and its unit; a pressure in mmHg, checked.

  Raises:
    DataError: a pressure has another unit than `TO_MMHG`, or values that no artery has.
  """
  wave_t = np.asarray(wave, dtype=np.float64)
  if np.isinf(wave_t).any():
    wave_t = np.where(np.isinf(wave_t), np.nan, wave_t)
  if not signal_names.is_pressure(name) or unit == signal_names.UNCALIBRATED:
    return wave_t, unit
  if unit.lower() not in signal_names.TO_MMHG:
    raise DataError(
      where,
      f"{name} is in {unit}",
      f"if the unit is wrong, state the right one: --channels=NAME:{name}:mmHg (or {', '.join(list(signal_names.TO_MMHG)[1:])}); "
      "otherwise choose another channel",
    )
  if signal_names.TO_MMHG[unit.lower()] != 1:
    wave_t = wave_t * signal_names.TO_MMHG[unit.lower()]
  try:
    check_pressure(wave_t, f"{where}: {name}", fs_hz)
  except DataError as error:
    if signal_names.TO_MMHG[unit.lower()] == 1:
      raise
    remedy = "if only some files have this unit, give their column a name of its own and state the unit for that name"
    raise DataError(error.where, f"{error.problem}, read as {unit}", remedy) from error
  return wave_t, "mmHg"


def _filled(signals: Mapping[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
  """Returns the signals that have samples; a column that nobody filled in is none.

  Raises:
    DataError: none has.
  """
  filled = {name: wave for name, wave in signals.items() if np.isfinite(wave).any()}
  if not filled:
    raise DataError(f"{where}: {next(iter(signals))}", "contains only NaN", "choose another column or signal")
  return filled


def make(
  subject: str,
  record: str,
  where: str,
  time_s: np.ndarray,
  signals: Mapping[str, np.ndarray],
  units: Mapping[str, str] | None = None,
  covariates: Mapping[str, float] | None = None,
  periodic: bool = False,
) -> Recording:
  """Makes a recording after checking its clock, its pressures and the length of its signals.

  Args:
    subject: name of the subject.
    record: name of the record.
    where: file, and position in it, for messages.
    time_s: (time,) clock [s].
    signals: name → (time,) wave; infinite samples become NaN, and signals without a finite sample are left out. What
      needs no change is not copied.
    units: units that differ from those of `KINDS`; pressures in kPa, mbar or cmH2O are converted to mmHg. The unit of
      a `Signal` comes first.
    covariates: properties of the subject or the record; those that are not finite are left out.
    periodic: whether the record is one beat, or whole beats, of a wave that repeats.

  Returns:
    The recording.

  Raises:
    DataError: there is no signal, or the clock, a unit, a length or a pressure is invalid.
  """
  if not signals:
    raise DataError(where, "contains none of the requested signals", "choose other signals", subject)
  written_s, time_s = time_s, with_digits(time_s)
  try:
    check_clock(time_s, where)
    waves, wave_units, rate_hz = {}, {}, 1 / clocks.median_step(time_s)
    for name, wave in _filled(signals, where).items():
      if np.shape(wave) != time_s.shape:
        raise DataError(
          where, f"{name} has {np.size(wave)} samples, but the clock has {time_s.size}", "cut them to the same length"
        )
      unit = (
        getattr(name, "unit", "") or (units or {}).get(name) or signal_names.KINDS[signal_names.split_signal(name)[1]]
      )
      waves[str(name)], wave_units[str(name)] = _in_mmhg(name, wave, unit, where, rate_hz)
      _check_rhythm(waves[str(name)], rate_hz, f"{where}: {name}")
  except DataError as error:
    raise DataError(error.where, error.problem, error.remedy, subject) from error
  finite_covariates = {name: float(value) for name, value in (covariates or {}).items() if np.isfinite(value)}
  return Recording(
    subject=subject,
    time_s=time_s,
    signals=waves,
    units=wave_units,
    covariates=finite_covariates,
    record=record,
    periodic=periodic,
    notes=(f"times with too few digits: read as even steps of {time_s[1] - time_s[0]:.6g} s",)
    * (time_s is not written_s),
  )


def on_one_clock(
  waves: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
  """Resamples signals of several rates to the clock of the fastest, from the first to the last sample of any.

  Args:
    waves: name → (time_s, wave), each (time,) of its own length.

  Returns:
    The clock, and name → (time,) wave; NaN outside a signal and where a neighbouring sample is NaN.
  """
  fastest = min(waves.values(), key=lambda wave: float(np.median(np.diff(wave[0]))) if wave[0].size > 1 else np.inf)[0]
  step_s = float(np.median(np.diff(fastest))) if fastest.size > 1 else 1.0
  first, last = min(t[0] for t, _ in waves.values()), max(t[-1] for t, _ in waves.values())
  clock = fastest
  if first < fastest[0] or last > fastest[-1] + step_s:
    before, after = int((fastest[0] - first) / step_s + 0.5), int((last - fastest[-1]) / step_s + 0.5)
    head = fastest[0] - step_s * np.arange(before, 0, -1)
    clock = np.concatenate([head, fastest, fastest[-1] + step_s * np.arange(1, after + 1)])
  return clock, {name: filters.at_times(time_s, wave, clock) for name, (time_s, wave) in waves.items()}
