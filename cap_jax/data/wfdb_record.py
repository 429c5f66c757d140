"""A PhysioNet WFDB record → one recording, read by the library `wfdb`."""

import os

import numpy as np
import wfdb

from cap_jax.data import recordings
from cap_jax.types import InputError

_TO_MMHG = {"mmhg": 1.0, "kpa": recordings.MMHG_PER_KPA}


def record_name(path: str | os.PathLike[str]) -> str:
  """The record's path without the ending of its header."""
  name = os.fspath(path)
  return name[: -len(".hea")] if name.endswith(".hea") else name


def exists(path: str | os.PathLike[str]) -> bool:
  """Whether there is a header of that name."""
  return os.path.isfile(record_name(path) + ".hea")


def load(path: str | os.PathLike[str], site: str, signal: str) -> recordings.Recording:
  """Reads one signal at its own rate, segments joined, as the wave of a site.

  Args:
    path: of the record, with or without `.hea`.
    site: one of `recordings.SITES`, said by the user: names of channels do not tell it.
    signal: name of the channel, such as "ABP".

  Raises:
    InputError: no such record or signal, a file that is missing or damaged, or values that are no pressure in mmHg.
  """
  recordings.check_site(site)
  name = record_name(path)
  if not exists(name):
    raise InputError(f"{name}.hea: no such file; --input takes a CSV file or a WFDB record")
  try:
    record = wfdb.rdrecord(name, smooth_frames=False, m2s=True)
  except (ValueError, OSError, IndexError, KeyError, TypeError) as error:
    raise InputError(f"{name}: the WFDB record cannot be read ({error}); fetch all of its files again") from None
  names = [str(found).strip().rstrip(",") for found in record.sig_name]
  if signal not in names:
    raise InputError(f"{name}: no signal {signal!r}; choose --signal from {', '.join(names)}")
  channel = names.index(signal)
  if record.e_p_signal is not None:
    p_t = np.asarray(record.e_p_signal[channel], dtype=float)
    per_frame = record.samps_per_frame[channel]
  else:
    p_t, per_frame = np.asarray(record.p_signal[:, channel], dtype=float), 1
  time_s = np.arange(p_t.size) / (record.fs * per_frame)
  unit = str(record.units[channel])
  where = f"{name}: signal {signal}"
  recordings.check_clock(time_s, where)
  if site != recordings.PPG:
    if unit.lower() not in _TO_MMHG:
      raise InputError(f"{where}: is in {unit}, a pressure is in mmHg or kPa; choose another --signal")
    p_t = p_t * _TO_MMHG[unit.lower()]
    recordings.check_pressure(p_t, where)
  unit = "1" if site == recordings.PPG else "mmHg"
  return recordings.Recording(os.path.basename(name), time_s, {site: p_t}, {site: unit})
