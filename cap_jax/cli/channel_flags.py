"""Defines the flag `--channels`, which maps the channels, columns or arrays of a file to signals."""

from absl import flags

from cap_jax.data import signal_names
from cap_jax.types import InputError

_CHANNELS = flags.DEFINE_list(
  "channels",
  [],
  "CHANNEL:SIGNAL[:UNIT], such as ABP:radial,PLETH:digital_ppg or ART:radial:kPa; Time:time_s is the clock; of several for one SIGNAL, a file has exactly one",
)


def read() -> dict[str, str]:
  """Returns name → signal from the flag.

  Raises:
    InputError: one is not `NAME:SIGNAL[:UNIT]` or names no signal, or a channel occurs twice.
  """
  signals: dict[str, signal_names.Signal] = {}
  for word in _CHANNELS.value:
    name, signal = signal_names.parse_channel(word)
    if name in signals:
      raise InputError(f"--channels: duplicate channel {name}; name each channel once")
    signals[name] = signal
  return dict(signals)
