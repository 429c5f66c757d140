"""The schema of a recording, the same for every source.

The name of a signal is the site where it was measured, with a suffix unless it is a pressure: `radial`, `digital_ppg`,
`femoral_velocity`.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from cap_jax.arteries import network
from cap_jax.signals import filters
from cap_jax.types import DataError, InputError

# Sites of the virtual cohort, further ones of the Pulse Wave Database, and an artery that is not recorded.
SITES: tuple[str, ...] = (
  *network.SITES,
  "thoracic_aorta",
  "abdominal_aorta",
  "iliac_bifurcation",
  "superficial_temporal",
  "middle_cerebral",
  "common_iliac",
  "anterior_tibial",
  "arterial",
)
# Kind of a signal → unit. A pressure has no suffix.
KINDS: Mapping[str, str] = {"": "mmHg", "ppg": "1", "velocity": "m/s", "area": "m2", "flow": "ml/s"}
PPG = "digital_ppg"
UNCALIBRATED = "uncalibrated"  # unit of a pressure whose scale and zero are unknown, as of a tonometer
TIME = "time_s"
MMHG_PER_KPA = 7.50062
# Unit in lower case → mmHg.
TO_MMHG: Mapping[str, float] = {"mmhg": 1.0, "kpa": MMHG_PER_KPA, "cmh2o": 0.735559, "mbar": 0.750062}
_PLAUSIBLE_MMHG = (25.0, 250.0)
_RATES_HZ = (20.0, 20_000.0)
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
  """

  subject: str
  time_s: np.ndarray
  signals: Mapping[str, np.ndarray]
  units: Mapping[str, str]
  covariates: Mapping[str, float] = dataclasses.field(default_factory=dict)
  record: str = ""
  periodic: bool = False

  @property
  def sites(self) -> tuple[str, ...]:
    return tuple(self.signals)

  @property
  def fs_hz(self) -> float:
    """Returns the sampling rate, from the median step of the clock."""
    return float(1 / np.median(np.diff(self.time_s)))


def split_signal(signal: str) -> tuple[str, str]:
  """Splits the name of a signal into (site, kind); the kind of a pressure is "".

  Raises:
    InputError: it is no signal's name.
  """
  site, _, kind = signal.rpartition("_")
  if signal in SITES:
    return signal, ""
  if site in SITES and kind in KINDS:
    return site, kind
  kinds = ", ".join(f"SITE_{kind}" for kind in KINDS if kind)
  raise InputError(
    f"{signal!r} is not a signal; use a site for a pressure ({', '.join(SITES)}), or {kinds} for other signals"
  )


def signal_of(site: str, kind: str) -> str:
  """Returns the name of a signal; inverse of `parts`.

  Args:
    site: site of the signal.
    kind: key of `KINDS`, "" for a pressure.

  Returns:
    `site`, with the kind as a suffix unless it is a pressure.
  """
  return f"{site}_{kind}" if kind else site


def is_pressure(signal: str) -> bool:
  """Returns whether a signal is a pressure, by its name."""
  return split_signal(signal)[1] == ""


def column_of(signal: str) -> str:
  """Returns the column of a signal in a user's table: `radial_pressure_mmhg`, `digital_ppg`, `femoral_flow_ml_s`."""
  site, kind = split_signal(signal)
  unit = KINDS[kind].lower().replace("/", "_")
  return f"{site}_pressure_mmhg" if not kind else signal if kind == "ppg" else f"{signal}_{unit}"


COLUMNS: Mapping[str, str] = {
  column_of(signal): signal for site in SITES for signal in (signal_of(site, kind) for kind in KINDS)
}


def check_site(site: str, flag: str = "--site") -> None:
  """Checks that a site is known.

  Args:
    site: name of the site.
    flag: flag that the error names.

  Raises:
    InputError: the site is not one of `SITES`, nor a finger's PPG.
  """
  if site not in (*SITES, PPG):
    raise InputError(f"{flag}={site}: unknown site; choose one of {', '.join((*SITES, PPG))}")


def check_pressure_site(site: str) -> None:
  """Checks that the wave of a site is a peripheral pressure.

  Raises:
    InputError: the site is unknown, its wave is no pressure, or it is the aortic root itself.
  """
  check_site(site)
  if site in (PPG, "aortic_root"):
    choices = ", ".join(name for name in SITES if name != "aortic_root")
    raise InputError(f"--site={site}: the input must be a peripheral pressure; choose one of {choices}")


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
  back = np.flatnonzero(np.diff(time_s) <= 0)
  if back.size:
    row = int(back[0]) + 1
    times = f"({time_s[row - 1]:g} s, then {time_s[row]:g} s)"
    raise DataError(
      where, f"time does not increase at data row {row + 1} {times}", "sort the rows and remove duplicates"
    )
  rate_hz = float(1 / np.median(np.diff(time_s)))
  low, high = _RATES_HZ
  if (time_s[-1] - time_s[0]) * rate_hz > _LARGEST_SHARE * time_s.size:
    problem = f"{time_s.size} samples at {rate_hz:g} Hz span {time_s[-1] - time_s[0]:g} s"
    raise DataError(where, problem, "correct the clock, or split the record at its pauses")
  if not low <= rate_hz <= high:
    remedy = f"use a record of {low:g} to {high:g} Hz"
    if low <= 1000 * rate_hz <= high:
      remedy += "; if time is in milliseconds, divide it by 1000"
    raise DataError(where, f"sampling rate is {rate_hz:g} Hz", remedy)


def check_pressure(p_mmhg: np.ndarray, where: str) -> None:
  """Checks that a wave can be an arterial pressure in mmHg.

  Args:
    p_mmhg: (time,) wave, NaN where there is no sample.
    where: file, and position in it, for messages.

  Raises:
    DataError: all samples are NaN, or the median is outside the range of arterial pressures.
  """
  finite = p_mmhg[np.isfinite(p_mmhg)]
  if not finite.size:
    raise DataError(where, "contains only NaN", "choose another column or signal")
  median = float(np.median(finite))
  low, high = _PLAUSIBLE_MMHG
  if low <= median <= high:
    return
  remedy = f"convert it to mmHg, with a median of {low:g} to {high:g}"
  if low <= median * MMHG_PER_KPA <= high:
    remedy = f"it seems to be in kPa: multiply it by {MMHG_PER_KPA}"
  raise DataError(where, f"median {median:g} is not an arterial pressure in mmHg", remedy)


def _in_mmhg(name: str, wave: np.ndarray, unit: str, where: str) -> tuple[np.ndarray, str]:
  """Returns a wave with NaN for infinite samples, and its unit; a pressure in mmHg, checked.

  Raises:
    DataError: a pressure has another unit than `TO_MMHG`, or values that no artery has.
  """
  wave_t = np.where(np.isfinite(wave), wave, np.nan).astype(np.float64)
  if not is_pressure(name) or unit == UNCALIBRATED:
    return wave_t, unit
  if unit.lower() not in TO_MMHG:
    raise DataError(
      where, f"{name} is in {unit}", f"the unit of a pressure must be {', '.join(TO_MMHG)}; choose another channel"
    )
  wave_t = wave_t * TO_MMHG[unit.lower()]
  check_pressure(wave_t, f"{where}: {name}")
  return wave_t, "mmHg"


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
    signals: name → (time,) wave; infinite samples become NaN, and signals without a finite sample are left out.
    units: units that differ from those of `KINDS`; pressures in kPa, mbar or cmH2O are converted to mmHg.
    covariates: properties of the subject or the record; those that are not finite are left out.
    periodic: whether the record is one beat, or whole beats, of a wave that repeats.

  Returns:
    The recording.

  Raises:
    DataError: there is no signal, or the clock, a unit, a length or a pressure is invalid.
  """
  if not signals:
    raise DataError(where, "contains none of the requested signals", "choose other signals", subject)
  try:
    check_clock(time_s, where)
    waves, wave_units = {}, {}
    empty = [name for name, wave in signals.items() if not np.isfinite(wave).any()]
    if len(empty) == len(signals):
      raise DataError(f"{where}: {empty[0]}", "contains only NaN", "choose another column or signal")
    for name, wave in signals.items():
      if name in empty:  # a column that nobody filled in is no signal
        continue
      if np.shape(wave) != time_s.shape:
        raise DataError(
          where, f"{name} has {np.size(wave)} samples, but the clock has {time_s.size}", "cut them to the same length"
        )
      unit = (units or {}).get(name) or KINDS[split_signal(name)[1]]
      waves[name], wave_units[name] = _in_mmhg(name, wave, unit, where)
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
