"""Manifest of a study's folder: configuration, splits and digests of the data, so that no other study is mixed into it.

DIR/study.json           configuration
DIR/split_CLINIC.json    part → subjects, with the SHA-256 of the split
DIR/data_CLINIC.json     part → SHA-256 of its waves, names and covariates
DIR/subjects_CLINIC.json part → numbers, means and SDs of its subjects (`characteristics`)
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from cap_jax import files, own_files
from cap_jax.data import splits, store
from cap_jax.study import study_config
from cap_jax.types import DataError, InputError

# fields that may grow when a study resumes
_GROWS = ("scenarios", "strategies", "baselines", "seeds")
_NAME, _REPORT = "study.json", "report.html"  # of the study; of a finished study
_REMEDY = "choose another --workdir"


@contextlib.contextmanager
def lock_folder(folder: str) -> Iterator[None]:
  """Locks the folder while a study runs, and removes what a killed process left under temporary names.

  The lock ends with its process.

  Raises:
    InputError: another study is running in the folder.
  """
  try:
    with files.lock_folder(folder, wait=False):
      own_files.begin(folder)
      yield
  except BlockingIOError as error:
    raise InputError(f"{folder}: another process is running there; wait for it to finish, or {_REMEDY}") from error


def next_folder(study: study_config.Study, stem: str) -> str:
  """Returns the first of `stem`, `stem`-2, `stem`-3 … that does not exist, or in which the same study was stopped.

  Args:
    study: that will run.
    stem: path of the folder.
  """
  number, path = 1, stem
  while os.path.exists(path) and not _stopped(study, path):
    number += 1
    path = f"{stem}-{number}"
  return path


def _stopped(study: study_config.Study, folder: str) -> bool:
  """Returns whether a folder has this very study, unfinished, and none runs in it."""
  path = os.path.join(folder, _NAME)
  if not os.path.isfile(path) or os.path.exists(os.path.join(folder, _REPORT)):
    return False
  try:
    with files.lock_folder(folder, wait=False):
      return _read(path) == json.loads(json.dumps(dataclasses.asdict(study)))
  except (BlockingIOError, DataError):
    return False


def is_reported(study: study_config.Study, folder: str) -> bool:
  """Returns whether a folder has a report of this very study, made after its configuration and its stores."""
  path, report = os.path.join(folder, _NAME), os.path.join(folder, _REPORT)
  if not os.path.isfile(path) or not os.path.isfile(report):
    return False
  stores = [store_path for store_path in (study.source_data, study.target_data) if store_path]
  before = [path, *(os.path.join(one, store.MANIFEST) for one in stores)]
  if any(os.path.getmtime(one) > os.path.getmtime(report) for one in before):
    return False  # the study grew, or a store was prepared anew: the study compares its data
  return _read(path) == json.loads(json.dumps(dataclasses.asdict(study)))


def forget_if_empty(folder: str) -> None:
  """Removes the configuration of a study that failed before it had a result, so that a corrected command can use the folder."""
  if set(os.listdir(folder)) <= {_NAME, files.LOCK, own_files.LIST}:
    own = own_files.begin(folder)
    own.remove(os.path.join(folder, _NAME))
    own.end()


def remember(study: study_config.Study, folder: str) -> None:
  """Writes the study's configuration, or compares it with the stored one, from which it may have grown.

  Args:
    study: that will run.
    folder: of the study.

  Raises:
    InputError: the folder has another study; the message names the fields.
    DataError: its file is damaged.
  """
  path = os.path.join(folder, _NAME)
  current = json.loads(json.dumps(dataclasses.asdict(study)))
  if os.path.exists(path):
    stored = _read(path)
    changed = [name for name in current if name not in _GROWS and current[name] != stored.get(name)]
    if list(stored.get("seeds", ()))[:1] != current["seeds"][:1]:
      changed.append("first seed")
    if changed:
      raise InputError(f"{folder}: contains a study that differs in {', '.join(changed)}; {_REMEDY}")
  _write(path, current)


def settle(folder: str, clinic: str, split: splits.Split, data: Mapping[str, str]) -> None:
  """Writes the split of a clinic and the digests of its waves, or compares them with the stored ones.

  Args:
    folder: of the study.
    clinic: name of the clinic, with its fold.
    split: of its subjects.
    data: part → SHA-256 of its waves.

  Raises:
    InputError: the folder has cells of other subjects or waves, for example of a store that was prepared again.
    DataError: a file is damaged.
  """
  path = os.path.join(folder, f"split_{clinic}.json")
  if not os.path.exists(path):
    split.save(path)
  elif splits.load(path).digest != split.digest:
    raise InputError(f"{path}: does not match the current split of the data; {_REMEDY}")
  path = os.path.join(folder, f"data_{clinic}.json")
  if not os.path.exists(path):
    _write(path, dict(data))
    return
  stored = _read(path)
  changed = [name for name in data if stored.get(name) != data[name]]
  if changed:
    raise InputError(f"{path}: the waves of {', '.join(changed)} changed after the study was started; {_REMEDY}")


def digests(folder: str) -> tuple[dict[str, str], dict[str, str]]:
  """Returns name → SHA-256 of each split of a study, and of each part of each clinic's data."""
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
  """Reads a JSON object.

  Raises:
    DataError: the file is damaged.
  """
  try:
    with open(files.regular(path), encoding="utf-8") as file:
      content = json.load(file)
    if not isinstance(content, dict):
      raise TypeError("not a JSON object")
  except (ValueError, TypeError, RecursionError) as error:
    raise DataError(path, f"damaged file ({error})", _REMEDY) from error
  return content


def _write(path: str, content: Mapping[str, Any]) -> None:
  with files.write_atomically(path) as (partial,), open(partial, "w", encoding="utf-8") as file:
    json.dump(content, file, indent=1)
