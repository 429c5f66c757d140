"""Which study a folder holds: its configuration, its splits and the waves themselves, so that no other is mixed into it.

DIR/study.json           configuration
DIR/split_CLINIC.json    who is in which part, with the SHA-256 of it
DIR/data_CLINIC.json     part → SHA-256 of its waves, names and covariates
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from cap_jax import files
from cap_jax.data import splits
from cap_jax.study import study_config
from cap_jax.types import DataError, InputError

# what may change when a study goes on in its folder: more of the same
_GROWS = ("scenarios", "strategies", "baselines", "seeds")
_NAME, _REPORT = "study.json", "report.html"  # of the study; of its end
_REMEDY = "choose another --workdir"


@contextlib.contextmanager
def alone(folder: str) -> Iterator[None]:
  """Keeps other studies out of the folder while this one runs; a process that dies lets go of it. What a killed one left
  half-written is removed.

  Raises:
    InputError: another one is running in it.
  """
  try:
    with files.lock_folder(folder, wait=False):
      for left in pathlib.Path(folder).rglob("*.partial-*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
      yield
  except BlockingIOError as error:
    raise InputError(f"{folder}: a study is running in it; let it end, or {_REMEDY}") from error


def next_folder(study: study_config.Study, stem: str) -> str:
  """`stem`, or the first of `stem`-2, `stem`-3 … that does not exist yet, or in which the same study was stopped."""
  number, path = 1, stem
  while os.path.exists(path) and not _stopped(study, path):
    number += 1
    path = f"{stem}-{number}"
  return path


def _stopped(study: study_config.Study, folder: str) -> bool:
  """Whether a folder holds this very study, unfinished, and none runs in it."""
  path = os.path.join(folder, _NAME)
  if not os.path.isfile(path) or os.path.exists(os.path.join(folder, _REPORT)):
    return False
  try:
    with files.lock_folder(folder, wait=False):
      return _read(path) == json.loads(json.dumps(dataclasses.asdict(study)))
  except (BlockingIOError, DataError):
    return False


def remember(study: study_config.Study, folder: str) -> None:
  """Writes what the study is, or compares: a folder holds one study, which may have grown.

  Raises:
    InputError: the folder holds another study; names the fields.
    DataError: its file is damaged.
  """
  path = os.path.join(folder, _NAME)
  now = json.loads(json.dumps(dataclasses.asdict(study)))
  if os.path.exists(path):
    before = _read(path)
    other = [name for name in now if name not in _GROWS and now[name] != before.get(name)]
    if list(before.get("seeds", ()))[:1] != now["seeds"][:1]:
      other.append("the first of seeds")
    if other:
      raise InputError(f"{folder}: holds a study with another {', '.join(other)}; {_REMEDY}")
  _write(path, now)


def settle(folder: str, clinic: str, split: splits.Split, data: Mapping[str, str]) -> None:
  """Writes who is in which part of a clinic, and the digests of their waves, or compares.

  Raises:
    InputError: the folder holds cells of other people or waves, as of a store that was prepared anew.
    DataError: a file is damaged.
  """
  path = os.path.join(folder, f"split_{clinic}.json")
  if not os.path.exists(path):
    split.save(path)
  elif splits.load(path).digest != split.digest:
    raise InputError(f"{path}: holds another split of the subjects than the data have now; {_REMEDY}")
  path = os.path.join(folder, f"data_{clinic}.json")
  if not os.path.exists(path):
    _write(path, dict(data))
    return
  before = _read(path)
  other = [name for name in data if before.get(name) != data[name]]
  if other:
    raise InputError(f"{path}: the waves of {', '.join(other)} are not those that the study began with; {_REMEDY}")


def digests(folder: str) -> tuple[dict[str, str], dict[str, str]]:
  """SHA-256 of each split that the study used, and of each part of each clinic's data, by their names."""
  names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
  split = {
    name.removesuffix(".json"): splits.load(os.path.join(folder, name)).digest
    for name in names
    if name.startswith("split_")
  }
  data = {
    f"{name.removesuffix('.json').removeprefix('data_')} {part}": digest
    for name in names
    if name.startswith("data_")
    for part, digest in _read(os.path.join(folder, name)).items()
  }
  return split, data


def _read(path: str) -> dict[str, Any]:
  try:
    with open(path, encoding="utf-8") as file:
      found = json.load(file)
    if not isinstance(found, dict):
      raise TypeError("no object")
  except (ValueError, TypeError, RecursionError) as error:
    raise DataError(path, f"is damaged ({error})", _REMEDY) from error
  return found


def _write(path: str, content: Mapping[str, Any]) -> None:
  with files.write_atomically(path) as (partial,), open(partial, "w", encoding="utf-8") as file:
    json.dump(content, file, indent=1)
