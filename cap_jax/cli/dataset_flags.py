"""Defines flags that name a data set, and describes records that could not be used."""

from collections.abc import Iterable

from absl import flags

from cap_jax.cli import launcher
from cap_jax.data import datasets, recordings
from cap_jax.data.sources import DATASETS
from cap_jax.types import DataError, InputError

FORMAT = flags.DEFINE_enum("format", None, list(DATASETS), "format of the records at --path")
PATH = flags.DEFINE_string(
  "path", None, "file or folder; for virtual: NAME[,subjects=N][,seconds=S][,seed=K]; for nonlinear: dev"
)
CHANNELS = flags.DEFINE_list("channels", [], "CHANNEL:SIGNAL pairs, such as ABP:radial,PLETH:digital_ppg")
STRICT = flags.DEFINE_bool("strict", False, "stop at the first bad record instead of excluding it")
_MOST_LISTED = 20


def _channels() -> dict[str, str]:
  """Returns name → signal from the flag.

  Raises:
    InputError: one is not `NAME:SIGNAL`, or names no signal.
  """
  channels = {}
  for word in CHANNELS.value:
    name, colon, signal = word.rpartition(":")
    if not colon or not name:
      raise InputError(f"--channels={word}: must be NAME:SIGNAL, such as ABP:radial")
    if signal != recordings.TIME:
      recordings.split_signal(signal)
    if name in channels:
      raise InputError(f"--channels: duplicate channel {name}; name each channel once")
    channels[name] = signal
  return channels


def open_dataset() -> datasets.DataSet:
  """Opens the data set that the flags name, without reading its records.

  Raises:
    InputError: a flag is missing or wrong, or the path has no such data.
  """
  name, path = launcher.required(FORMAT, "wfdb"), launcher.required(PATH, "FOLDER")
  dataset = DATASETS[name](path, _channels() or None)
  if STRICT.value and dataset.lost:
    raise dataset.lost[0]
  return dataset


def describe_lost(errors: Iterable[DataError], total: int) -> list[str]:
  """Returns lines about records that were left out.

  Args:
    errors: of the records.
    total: number of all records.

  Returns:
    The lines.
  """
  lost = list(errors)
  if not lost:
    return [f"all {total} records are usable"]
  lines = [f"excluded: {len(lost)} of {total} records"] + [f"  {error}" for error in lost[:_MOST_LISTED]]
  return lines + (
    [f"  … and {len(lost) - _MOST_LISTED} more; the manifest.json of a store lists all"]
    if len(lost) > _MOST_LISTED
    else []
  )
