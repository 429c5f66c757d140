"""The cells of a study on disk: one small file each, so that a study that was stopped goes on where it was, and its processes can
share the work.

    DIR/cells/SCENARIO/fold_K/METHOD/n5_seed0.json     errors per subject, training, choice
    DIR/cells/SCENARIO/fold_K/METHOD/n5_seed0.npz      waves and features, of the few cells that are shown
"""

import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from cap_jax import files
from cap_jax.metrics import waveform_metrics
from cap_jax.train import loop
from cap_jax.types import DataError

_UNIT = 0.01  # mmHg a step of a stored wave
_WAVE, _SUM = "_bt", "sha256"


@dataclasses.dataclass(frozen=True)
class Key:
  """One method in one clinic, at one fold, n_target and seed."""

  scenario: str
  fold: int
  method: str
  n_target: int
  seed: int

  def stem(self, folder: str, kind: str = "cells") -> str:
    """Its files of a kind, without their endings."""
    # a strategy's variant has a slash in its name
    method = self.method.replace("/", "~")
    return os.path.join(folder, kind, self.scenario, f"fold_{self.fold}", method, f"n{self.n_target}_seed{self.seed}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
  """What was found.

  Attributes:
    errors: per test subject.
    train_s, steps: of training, 0 for what is not trained in steps.
    wall_s: seconds of everything, compiling too.
    settings: tried on validation subjects.
    rate_factor, step_factor: on the learning rate, on the steps.
    validation: looks at validation subjects along the training.
    loss: root of the training loss [mmHg], means over 25 steps.
    reason: why it held what it held, or that it diverged.
    merge: (path, fate, shape, note) of each leaf of a network.
    diverged: whether its training came to no end; its errors are NaN then.
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
    """Steps and seconds of training until the validation RMSE was as good as a given one; NaN if it never was."""
    found = next((seen for seen in self.validation if seen.rmse_mmhg <= rmse_mmhg), None)
    return (float("nan"),) * 2 if found is None else (float(found.steps), found.train_s)


def save(folder: str, cell: Cell, shown: Mapping[str, np.ndarray] | None = None) -> None:
  """Writes a cell, whole or not at all; its waves first, as the JSON says that it is done."""
  stem = cell.key.stem(folder)
  os.makedirs(os.path.dirname(stem), exist_ok=True)
  if shown is not None:
    with files.write_atomically(f"{stem}.npz") as (partial,), open(partial, "wb") as file:
      np.savez_compressed(file, **{name: _packed(name, value) for name, value in shown.items()})  # type: ignore[arg-type]
  with files.write_atomically(f"{stem}.json") as (partial,), open(partial, "w", encoding="utf-8") as file:
    content = dataclasses.asdict(cell)
    json.dump({**content, _SUM: _digest(content)}, file)


def _digest(content: Mapping[str, Any]) -> str:
  """SHA-256 of a cell."""
  return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _packed(name: str, value: np.ndarray) -> np.ndarray:
  """Waves as whole steps of 0.01 mmHg; everything else as it is."""
  return np.round(value / _UNIT).astype(np.int32) if name.endswith(_WAVE) else value


def load(folder: str, key: Key) -> Cell | None:
  """A cell that is done, None of one that is not.

  Raises:
    DataError: its file is damaged.
  """
  path = f"{key.stem(folder)}.json"
  try:
    with open(path, encoding="utf-8") as file:
      found: dict[str, Any] = json.load(file)
    said = found.pop(_SUM, None)  # the first studies have none
    if said is not None and said != _digest(found):
      raise ValueError("it was changed since it was written")
    found["key"] = Key(**found["key"])
    found["errors"] = tuple(waveform_metrics.SubjectErrors(**row) for row in found["errors"])
    found["validation"] = tuple(loop.ValidationScore(*seen) for seen in found["validation"])
    found["merge"] = tuple(tuple(leaf) for leaf in found["merge"])
    return Cell(**{**found, "loss": tuple(found["loss"])})
  except FileNotFoundError:
    return None
  except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
    raise DataError(path, f"holds no cell of a study ({error})", "remove the file; it is made again") from error


def load_shown(folder: str, key: Key) -> dict[str, np.ndarray]:
  """Waves [mmHg] and features of a cell; empty of one that is not shown.

  Raises:
    DataError: its file is damaged.
  """
  path = f"{key.stem(folder)}.npz"
  try:
    with np.load(path, allow_pickle=False) as found:
      values = {name: found[name] for name in found.files}
  except FileNotFoundError:
    return {}
  except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
    raise DataError(path, f"holds no waves ({error})", "remove the file and its .json; they are made again") from error
  return {name: (_UNIT * value).astype(np.float32) if name.endswith(_WAVE) else value for name, value in values.items()}
