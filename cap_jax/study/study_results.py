"""Files of a study's cells, one small file each, so that a stopped study resumes and worker processes share the work.

DIR/cells/SCENARIO/fold_K/METHOD/n5_seed0.json     errors per subject, training, choice
DIR/cells/SCENARIO/fold_K/METHOD/n5_seed0.npz      waves and features, of the few cells with figures
"""

import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from cap_jax import files, own_files
from cap_jax.metrics import waveform_metrics
from cap_jax.train import loop
from cap_jax.types import DataError

_UNIT = 0.01  # mmHg per step of a stored wave
_WAVE, _WAVES, _CHECKSUM = "_bt", "waves_sha256", "sha256"  # end of names of waves; hash of the waves; hash of a cell


@dataclasses.dataclass(frozen=True)
class Key:
  """One method in one clinic, at one fold, n_target and seed."""

  scenario: str
  fold: int
  method: str
  n_target: int
  seed: int

  def stem(self, folder: str, kind: str = "cells") -> str:
    """Returns the path of its files, without their extension.

    Args:
      folder: of the study.
      kind: of the files, a subfolder.
    """
    # a strategy's variant has a slash in its name
    method = self.method.replace("/", "~")
    return os.path.join(folder, kind, self.scenario, f"fold_{self.fold}", method, f"n{self.n_target}_seed{self.seed}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
  """Results of a cell.

  Attributes:
    errors: per test subject.
    train_s, steps: seconds and steps of training, 0 steps for a method that is not trained in steps.
    wall_s: seconds of everything, with compilation.
    settings: number of settings that were tried on validation subjects.
    rate_factor, step_factor: factors on the learning rate and on the steps.
    validation: scores on validation subjects during the training.
    loss: root of the training loss [mmHg], means over 25 steps.
    reason: why the method froze or chose what it did, or how it diverged.
    merge: (path, fate, shape, note) of each leaf of a network.
    diverged: whether its training diverged or could not be fitted. Its errors are NaN then.
  """

  key: Key
  errors: tuple[waveform_metrics.SubjectErrors, ...]
  train_s: float = 0.0
  steps: int = 0
  wall_s: float = 0.0
  settings: int = 1
  rate_factor: float = 1.0
  step_factor: float = 1.0
  validation: tuple[loop.ValidationScore, ...] = ()
  loss: tuple[float, ...] = ()
  reason: str = ""
  merge: tuple[tuple[str, str, str, str], ...] = ()
  diverged: bool = False

  def reached(self, rmse_mmhg: float) -> tuple[float, float]:
    """Returns the steps and seconds of training until the validation RMSE was at most `rmse_mmhg`, NaN if it never was."""
    first = next((score for score in self.validation if score.rmse_mmhg <= rmse_mmhg), None)
    return (float("nan"),) * 2 if first is None else (float(first.steps), first.train_s)


def save(folder: str, cell: Cell, waves: Mapping[str, np.ndarray] | None = None) -> None:
  """Saves a cell atomically.

  The waves are written first, since a cell with a JSON file counts as done.

  Args:
    folder: of the study.
    cell: to save.
    waves: name → array for the figures, None for a cell without.
  """
  stem = cell.key.stem(folder)
  own_files.makedirs(os.path.dirname(stem))
  content = dataclasses.asdict(cell) | {_WAVES: ""}
  if waves is not None:
    with files.write_atomically(f"{stem}.npz") as (partial,):
      with open(partial, "wb") as file:
        np.savez_compressed(file, **{name: _pack(name, value) for name, value in waves.items()})  # type: ignore[arg-type]
      content[_WAVES] = files.hash_file(partial).hexdigest()
  with files.write_atomically(f"{stem}.json") as (partial,), open(partial, "w", encoding="utf-8") as text:
    json.dump({**content, _CHECKSUM: _digest(content)}, text)


def _digest(content: Mapping[str, Any]) -> str:
  """Returns the SHA-256 of a cell."""
  return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _pack(name: str, value: np.ndarray) -> np.ndarray:
  """Converts waves to integer steps of 0.01 mmHg, and returns other arrays unchanged."""
  return np.round(value / _UNIT).astype(np.int32) if name.endswith(_WAVE) else value


def load(folder: str, key: Key) -> Cell | None:
  """Loads a cell.

  Args:
    folder: of the study.
    key: of the cell.

  Returns:
    The cell, None if it is not done.

  Raises:
    DataError: its file is damaged.
  """
  path = f"{key.stem(folder)}.json"
  try:
    content = _read(path)
    del content[_WAVES]
    content["key"] = Key(**content["key"])
    content["errors"] = tuple(waveform_metrics.SubjectErrors(**row) for row in content["errors"])
    content["validation"] = tuple(loop.ValidationScore(*score) for score in content["validation"])
    content["merge"] = tuple(tuple(leaf) for leaf in content["merge"])
    return Cell(**{**content, "loss": tuple(content["loss"])})
  except (FileNotFoundError, NotADirectoryError):
    return None
  except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
    raise DataError(
      path, f"does not contain a study cell ({error})", "remove the file and run the same command again"
    ) from error


def _read(path: str) -> dict[str, Any]:
  """Reads the file of a cell, and compares its checksum."""
  with open(files.regular(path), encoding="utf-8") as file:
    content: dict[str, Any] = json.load(file)
  if content.pop(_CHECKSUM) != _digest(content):
    raise ValueError("it was modified after it was written")
  return content


def load_figure_data(folder: str, key: Key) -> dict[str, np.ndarray]:
  """Loads the waves [mmHg] and features of a cell.

  Args:
    folder: of the study.
    key: of the cell.

  Returns:
    Name → array, empty for a cell without figures.

  Raises:
    DataError: its file is damaged.
  """
  path = f"{key.stem(folder)}.npz"
  try:
    expected = _read(f"{key.stem(folder)}.json")[_WAVES]
    if not expected:
      return {}
    if files.hash_file(path).hexdigest() != expected:
      raise ValueError("it was modified after it was written")
    with np.load(files.regular(path), allow_pickle=False) as arrays:
      values = {name: arrays[name] for name in arrays.files}
  except (FileNotFoundError, NotADirectoryError):
    return {}
  except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
    raise DataError(
      path, f"contains no waves ({error})", "remove the file and its .json, and run the same command again"
    ) from error
  return {name: (_UNIT * value).astype(np.float32) if name.endswith(_WAVE) else value for name, value in values.items()}
