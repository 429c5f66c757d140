"""The names of signals, their units, and the columns and channels that hold them.

The name of a signal is the site where it was measured, with a suffix unless it is a pressure: `radial`, `digital_ppg`,
`femoral_velocity`.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from cap_jax.arteries import network
from cap_jax.types import InputError, suggest

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
# Unit of a clock → s.
TO_SECONDS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}
# Unit in lower case → mmHg.
TO_MMHG: Mapping[str, float] = {"mmhg": 1.0, "torr": 1.0, "kpa": MMHG_PER_KPA, "cmh2o": 0.735559, "mbar": 0.750062}


class Signal(str):
  """The name of the signal that a channel holds, with its unit if the user stated one; it then replaces the file's.

  It is equal to the bare name, so readers need not know about units: `make` converts.
  """

  unit: str

  def __new__(cls, name: str, unit: str = "") -> "Signal":
    signal = super().__new__(cls, name)
    signal.unit = unit
    return signal

  def __reduce__(self) -> tuple[type["Signal"], tuple[str, str]]:
    return Signal, (str(self), self.unit)


def channel_texts(channels: Mapping[str, str] | None) -> dict[str, str]:
  """Returns channel → `SIGNAL` or `SIGNAL:UNIT`, as manifests record them.

  Args:
    channels: channel → name of its signal.
  """
  units = {name: getattr(signal, "unit", "") for name, signal in (channels or {}).items()}
  return {name: f"{signal}:{units[name]}" if units[name] else str(signal) for name, signal in (channels or {}).items()}


def parse_channel(word: str) -> tuple[str, Signal]:
  """Parses `NAME:SIGNAL` or `NAME:SIGNAL:UNIT`. The name may contain colons.

  Args:
    word: the text of a flag.

  Returns:
    The channel and its signal.

  Raises:
    InputError: it has another form, names no signal, or a unit that is not that of a pressure.
  """
  name, _, last = word.rpartition(":")
  before, _, signal = name.rpartition(":")
  if before and signal == TIME and last in TO_SECONDS:
    return before, Signal(signal, last)
  if last.lower() in TO_MMHG and before:
    if not is_pressure(signal):
      raise InputError(f"--channels={word}: only a pressure can have another unit; write {before}:{signal}")
    return before, Signal(signal, last)
  if not name:
    raise InputError(f"--channels={word}: must be NAME:SIGNAL or NAME:SIGNAL:UNIT, such as ABP:radial:mmHg")
  if last != TIME:
    try:
      split_signal(last)
    except InputError as error:
      if before and _is_signal(signal):
        units = ", ".join(TO_SECONDS if signal == TIME else TO_MMHG)
        raise InputError(f"--channels={word}: unit {last!r} is unknown; choose one of {units}") from error
      raise InputError(f"--channels={word}: {error}; the clock is {TIME}") from error
  return name, Signal(last)


def in_other_units(names: Iterable[str]) -> list[str]:
  """Returns the channels of columns whose names state another unit, such as `radial_pressure_kpa:radial:kPa`.

  Args:
    names: of the columns.
  """
  known = {column.removesuffix("_mmhg"): signal for column, signal in COLUMNS.items() if column.endswith("_mmhg")}
  channels = []
  for name in names:
    base, _, unit = name.rpartition("_")
    if base.lower() in known and unit.lower() in TO_MMHG and name not in COLUMNS:
      channels.append(f"{name}:{known[base.lower()]}:{unit}")
    elif base.lower() == "time" and unit.lower() in TO_SECONDS and name != TIME:
      channels.append(f"{name}:{TIME}:{unit.lower()}")
  return channels


def seconds(clock: np.ndarray, channel: str) -> np.ndarray:
  """Returns a clock in seconds.

  Args:
    clock: (time,) as it is written.
    channel: `Signal` of the clock; without a unit, the clock is in seconds.
  """
  unit = getattr(channel, "unit", "") or "s"
  return clock if unit == "s" else clock * TO_SECONDS[unit]


def _is_signal(name: str) -> bool:
  return name in (*SITES, TIME) or name in COLUMNS.values()


def split_signal(signal: str) -> tuple[str, str]:
  """Splits the name of a signal into (site, kind); the kind of a pressure is "".

  Args:
    signal: name of a signal, such as "digital_ppg".

  Returns:
    Site and kind.

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
  """Returns the name of a signal; inverse of `split_signal`.

  Args:
    site: site of the signal.
    kind: key of `KINDS`, "" for a pressure.

  Returns:
    `site`, with the kind as a suffix unless it is a pressure.
  """
  return f"{site}_{kind}" if kind else site


def is_pressure(signal: str) -> bool:
  """Returns whether a signal is a pressure, by its name.

  Args:
    signal: name of a signal, such as "radial".
  """
  return split_signal(signal)[1] == ""


def column_of(signal: str) -> str:
  """Returns the column of a signal in a user's table: `radial_pressure_mmhg`, `digital_ppg`, `femoral_flow_ml_s`.

  Args:
    signal: name of a signal.
  """
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
    raise InputError(f"{flag}={site}: unknown site; {suggest(site, (*SITES, PPG))}")


def check_input_site(site: str) -> None:
  """Checks that the wave of a site is peripheral.

  Args:
    site: name of the site.

  Raises:
    InputError: the site is unknown, or it is the aortic root itself.
  """
  check_site(site)
  if site == "aortic_root":
    choices = ", ".join(name for name in (*SITES, PPG) if name != "aortic_root")
    raise InputError(f"--site={site}: the input must be a peripheral wave; choose one of {choices}")
