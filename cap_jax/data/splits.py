"""Splits by subject: drawn from a seed, checked to be disjoint, saved with a hash."""

import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cap_jax import files
from cap_jax.data.sources import folders
from cap_jax.types import DataError, InputError

_MOST_FILE = 1e7  # bytes of a saved split


class LeakError(InputError):
  """A subject is in two parts of a split."""


@dataclasses.dataclass(frozen=True)
class Split:
  """Part → names of its subjects.

  Raises:
    LeakError: a subject is in two parts, or twice in one.
  """

  subjects: Mapping[str, tuple[str, ...]]

  def __post_init__(self) -> None:
    for name, subjects in self.subjects.items():
      if len(set(subjects)) != len(subjects):
        raise LeakError(f"part {name!r} of the split contains a duplicate subject; remove it")
    for (a, in_a), (b, in_b) in itertools.combinations(self.subjects.items(), 2):
      shared = sorted(set(in_a) & set(in_b))
      if shared:
        raise LeakError(
          f"subjects {shared[:5]} are in both {a!r} and {b!r}; keep each subject in one part, or rename different people with the same name"
        )

  @property
  def digest(self) -> str:
    """Returns the SHA-256 of the parts, independent of the order of subjects."""
    plain = json.dumps({name: sorted(subjects) for name, subjects in self.subjects.items()}, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes parts and digest as JSON, atomically."""
    content = {"sha256": self.digest, "parts": {name: list(subjects) for name, subjects in self.subjects.items()}}
    with files.write_atomically(path) as (partial,), open(partial, "w", encoding="utf-8") as file:
      json.dump(content, file, indent=1)


def draw(subjects: Sequence[str], sizes: Mapping[str, int], seed: int) -> Split:
  """Draws parts of the given sizes without replacement.

  Args:
    subjects: names of the subjects.
    sizes: part → number of subjects.
    seed: seed of the draw.

  Returns:
    The split; subjects beyond the sum of the sizes are in no part.

  Raises:
    ValueError: there are too few subjects.
    LeakError: a subject is named twice.
  """
  if len(set(subjects)) != len(subjects):
    raise LeakError("duplicate subject; use a unique subject name for each recording")
  if sum(sizes.values()) > len(subjects):
    raise ValueError(
      f"parts of {dict(sizes)} subjects need {sum(sizes.values())} subjects, but there are only {len(subjects)}"
    )
  order = np.random.default_rng(seed).permutation(len(subjects))
  bounds = np.cumsum([0, *sizes.values()])
  names = [subjects[k] for k in order]
  return Split({part: tuple(names[a:b]) for part, a, b in zip(sizes, bounds[:-1], bounds[1:], strict=True)})


def k_fold(subjects: Sequence[str], folds: int, seed: int) -> list[Split]:
  """Draws splits into "training" and "test" in which each subject is tested once.

  Args:
    subjects: names of the subjects.
    folds: number of splits.
    seed: seed of the draw.

  Returns:
    The splits; the sizes of their test parts differ by one subject at most.

  Raises:
    ValueError: fewer subjects than folds, or fewer than two folds.
    LeakError: a subject is named twice.
  """
  if not 2 <= folds <= len(subjects):
    raise ValueError(f"{folds} folds of {len(subjects)} subjects: must be 2 to the number of subjects")
  order = draw(subjects, {"all": len(subjects)}, seed).subjects["all"]
  fold_splits = []
  for fold in range(folds):
    test = order[fold::folds]
    fold_splits.append(Split({"training": tuple(name for name in order if name not in set(test)), "test": test}))
  return fold_splits


def leave_one_out(subjects: Sequence[str]) -> list[Split]:
  """Returns one split for each subject, who is tested alone.

  Raises:
    ValueError: fewer than two subjects.
  """
  names = tuple(dict.fromkeys(subjects))
  if len(names) < 2:
    raise ValueError(f"{len(names)} subject(s): leave-one-out needs at least two")
  return [Split({"training": tuple(other for other in names if other != name), "test": (name,)}) for name in names]


def few_shot(subjects: Sequence[str], count: int, seed: int) -> tuple[str, ...]:
  """Draws some of the subjects. With one seed, a larger draw contains the smaller ones.

  Args:
    subjects: names of the subjects.
    count: number of subjects to draw.
    seed: seed of the draw.

  Returns:
    Names of the drawn subjects.

  Raises:
    ValueError: there are fewer subjects than `count`.
  """
  if not 0 <= count <= len(subjects):
    raise ValueError(f"cannot draw {count} of {len(subjects)} subjects")
  order = np.random.default_rng(seed).permutation(len(subjects))
  return tuple(subjects[k] for k in order[:count])


def by_covariate(
  values: Mapping[str, float], inside: Callable[[float], bool]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
  """Divides subjects by a range of a covariate.

  Args:
    values: subject → value, NaN where it is unknown.
    inside: returns whether a value is in distribution.

  Returns:
    Subjects in distribution, subjects out of it, and subjects whose value is unknown.
  """
  finite = {name: value for name, value in values.items() if np.isfinite(value)}
  within = tuple(name for name, value in finite.items() if inside(value))
  return (
    within,
    tuple(name for name in finite if name not in set(within)),
    tuple(name for name in values if name not in finite),
  )


def load(path: str | os.PathLike[str]) -> Split:
  """Loads a saved split.

  Raises:
    DataError: there is none, or it was changed since it was written.
    LeakError: a subject is in two parts.
  """
  remedy = "write the split again"
  try:
    with open(folders.check_file(path, _MOST_FILE), encoding="utf-8") as file:
      content = json.load(file)
    split = Split({str(name): tuple(map(str, subjects)) for name, subjects in content["parts"].items()})
    expected_digest = content["sha256"]
  except InputError:
    raise
  except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
    raise DataError(str(path), f"is not a valid split ({error})", remedy) from error
  if expected_digest != split.digest:
    raise DataError(str(path), "was modified after it was written", remedy)
  return split
