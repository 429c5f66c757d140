"""Defines flags that name a data set, and describes records that could not be used."""

import re
from collections.abc import Iterable

from absl import flags

from cap_jax.cli import channel_flags, launcher
from cap_jax.data import datasets
from cap_jax.data.sources import DATASETS
from cap_jax.types import DataError, counted

FORMAT = flags.DEFINE_enum("format", None, list(DATASETS), "format of the records at --path")
PATH = flags.DEFINE_string(
  "path", None, "file or folder; for virtual: NAME[,subjects=N][,seconds=S][,seed=K]; for nonlinear: dev"
)
STRICT = flags.DEFINE_bool("strict", False, "stop at the first bad record instead of excluding it")
_MOST_LISTED, _MOST_NAMED = 20, 12
_NUMBER = re.compile(r"-?\d[\d.e+-]*")


def open_dataset() -> datasets.DataSet:
  """Opens the data set that the flags name, without reading its records.

  Raises:
    InputError: a flag is missing or wrong, or the path has no such data.
  """
  name, path = launcher.required(FORMAT, f"csv, or one of {', '.join(DATASETS)}"), launcher.required(PATH, "FOLDER")
  dataset = DATASETS[name](path, channel_flags.read() or None)
  if STRICT.value and dataset.lost:
    raise dataset.lost[0]
  return dataset


def describe_notes(dataset: datasets.DataSet, notes: Iterable[str]) -> list[str]:
  """Returns lines about what the readers did, the same remark of several records once.

  Args:
    dataset: the data set, with remarks of its own.
    notes: of the records.
  """
  alike: dict[str, list[str]] = {}
  for note in notes:  # notes that name a record stay apart
    alike.setdefault(note if ": the lag" in note else _NUMBER.sub("#", note), []).append(note)
  own = [f"note: {note}" for note in dataset.notes]
  return own + [f"note: {each[0]}" + (f" ({len(each)} records)" if each[1:] else "") for each in alike.values()]


def describe_lost(errors: Iterable[DataError], total: int) -> list[str]:
  """Returns lines about records that were left out; records with the same problem share a line.

  Args:
    errors: of the records.
    total: number of all records.

  Returns:
    The lines.
  """
  lost = list(errors)
  if not lost:
    return [f"all {total} records were read" if total > 1 else "the record was read"]
  alike: dict[tuple[str, str], list[DataError]] = {}
  for error in lost:
    alike.setdefault((_NUMBER.sub("#", error.problem), error.remedy), []).append(error)
  lines = [f"excluded: {len(lost)} of {counted(total, 'record')}"]
  for errors in list(alike.values())[:_MOST_LISTED]:
    names = [error.subject or error.where for error in errors]
    more = f", … {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    lines.append(
      f"  {errors[0]}" + (f" ({len(errors)} records: {', '.join(names[:_MOST_NAMED])}{more})" if names[1:] else "")
    )
  if len(alike) > _MOST_LISTED:
    rest = sum(len(errors) for errors in list(alike.values())[_MOST_LISTED:])
    lines.append(f"  … and {rest} more; the report, or the manifest.json of a store, lists all")
  return lines
