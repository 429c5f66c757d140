"""The one schema of a record, whatever its source."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from cap_jax.arteries import network
from cap_jax.types import InputError

PPG = "ppg"
SITES: tuple[str, ...] = (*network.SITES, PPG)
_PLAUSIBLE_MMHG = (25.0, 250.0)
MMHG_PER_KPA = 7.50062
_RATES_HZ = (20.0, 20_000.0)


@dataclasses.dataclass(frozen=True)
class Recording:
  """Simultaneous signals of one subject.

  Attributes:
    subject: name, unique in a data set.
    time_s: (time,) strictly increasing clock of all signals [s].
    signals: site → (time,) wave; NaN where there is none.
    units: site → "mmHg" for pressures, "1" for a normalised PPG.
    covariates: what is known of the subject (age, hr_bpm, …).
  """

  subject: str
  time_s: np.ndarray
  signals: Mapping[str, np.ndarray]
  units: Mapping[str, str]
  covariates: Mapping[str, float] = dataclasses.field(default_factory=dict)

  @property
  def sites(self) -> tuple[str, ...]:
    return tuple(self.signals)

  @property
  def fs_hz(self) -> float:
    """Sampling rate by the median step of the clock."""
    return float(1 / np.median(np.diff(self.time_s)))


def check_site(site: str, flag: str = "--site") -> None:
  """Raises:
  InputError: the site is not one of `SITES`."""
  if site not in SITES:
    raise InputError(f"{flag}={site}: unknown site; choose one of {', '.join(SITES)}")


def check_pressure_site(site: str) -> None:
  """Raises:
  InputError: the site is unknown, or its wave is no pressure, or it is the aortic root itself."""
  check_site(site)
  if site in (PPG, "aortic_root"):
    choices = ", ".join(known for known in SITES if known not in (PPG, "aortic_root"))
    raise InputError(f"--site={site}: the input must be a peripheral pressure; choose one of {choices}")


def check_clock(time_s: np.ndarray, where: str) -> None:
  """Raises:
  InputError: fewer than two samples, a clock that is not finite and strictly increasing, or an impossible rate."""
  if time_s.size < 2:
    raise InputError(f"{where}: {time_s.size} sample(s); a wave needs at least one heart beat")
  if not np.isfinite(time_s).all():
    row = int(np.flatnonzero(~np.isfinite(time_s))[0])
    raise InputError(f"{where}: time is not a number in data row {row + 1}; fill it in or drop the row")
  back = np.flatnonzero(np.diff(time_s) <= 0)
  if back.size:
    row = int(back[0]) + 1
    raise InputError(
      f"{where}: time does not increase at data row {row + 1} ({time_s[row - 1]:g} s, then {time_s[row]:g} s); "
      "sort the rows and drop repeats"
    )
  rate_hz = float(1 / np.median(np.diff(time_s)))
  low, high = _RATES_HZ
  if not low <= rate_hz <= high:
    remedy = f"a pulse wave needs {low:g} to {high:g} Hz"
    if low <= 1000 * rate_hz <= high:
      remedy += "; if time is in milliseconds divide it by 1000"
    raise InputError(f"{where}: {rate_hz:g} samples a second; {remedy}")


def check_pressure(p_mmhg: np.ndarray, where: str) -> None:
  """Raises:
  InputError: no number at all, or a median that no arterial pressure in mmHg has."""
  finite = p_mmhg[np.isfinite(p_mmhg)]
  if not finite.size:
    raise InputError(f"{where}: holds no number; choose another column or signal")
  median = float(np.median(finite))
  low, high = _PLAUSIBLE_MMHG
  if low <= median <= high:
    return
  remedy = f"arterial pressure in mmHg has a median of {low:g} to {high:g}"
  if low <= median * MMHG_PER_KPA <= high:
    remedy = f"it looks like kPa: multiply by {MMHG_PER_KPA}"
  raise InputError(f"{where}: median {median:g} is no arterial pressure in mmHg; {remedy}")
