"""Flags that name a data set, and what is printed of records that could not be used."""

from collections.abc import Iterable

from absl import flags

from cap_jax.cli import launcher
from cap_jax.data import datasets, recordings
from cap_jax.data.sources import DATASETS
from cap_jax.types import DataError, InputError

FORMAT = flags.DEFINE_enum("format", None, list(DATASETS), "how the records at --path are stored")
PATH = flags.DEFINE_string(
  "path", None, "file or folder; of virtual: NAME[,subjects=N][,seconds=S][,seed=K]; of nonlinear: dev"
)
CHANNELS = flags.DEFINE_list("channels", [], "what is what, as in ABP:radial,PLETH:digital_ppg")
STRICT = flags.DEFINE_bool("strict", False, "stop at the first bad record instead of leaving it out")
_SHOWN = 20


def _channels() -> dict[str, str]:
  """Those of the flag.

  Raises:
    InputError: one is not `NAME:SIGNAL`, or names no signal.
  """
  found = {}
  for word in CHANNELS.value:
    name, colon, signal = word.rpartition(":")
    if not colon or not name:
      raise InputError(f"--channels={word}: must be NAME:SIGNAL, such as ABP:radial")
    if signal != recordings.TIME:
      recordings.parts(signal)
    if name in found:
      raise InputError(f"--channels: {name} stands twice")
    found[name] = signal
  return found


def open_dataset() -> datasets.DataSet:
  """The data set that the flags name; nothing is read yet.

  Raises:
    InputError: a flag is missing or wrong, or nothing of the kind is there.
  """
  name, path = launcher.required(FORMAT, "wfdb"), launcher.required(PATH, "FOLDER")
  found = DATASETS[name](path, _channels() or None)
  if STRICT.value and found.lost:
    raise found.lost[0]
  return found


def spoken(errors: Iterable[DataError], total: int) -> list[str]:
  """Lines about records that were left out."""
  lost = list(errors)
  if not lost:
    return [f"none of {total} records left out"]
  lines = [f"left out: {len(lost)} of {total}"] + [f"  {error}" for error in lost[:_SHOWN]]
  return lines + (
    [f"  … and {len(lost) - _SHOWN} more; a store has all in its manifest.json"] if len(lost) > _SHOWN else []
  )
