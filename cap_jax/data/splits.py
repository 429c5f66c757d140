"""Splits by subject: drawn from a seed, asserted disjoint, saved with a hash."""

import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence

import numpy as np


class LeakError(ValueError):
  """A subject stands in two parts of a split."""


@dataclasses.dataclass(frozen=True)
class Split:
  """Part → names of its subjects.

  Raises:
    LeakError: a subject stands in two parts, or twice in one.
  """

  parts: Mapping[str, tuple[str, ...]]

  def __post_init__(self) -> None:
    for name, subjects in self.parts.items():
      if len(set(subjects)) != len(subjects):
        raise LeakError(f"part {name!r} of the split names a subject twice")
    for (a, in_a), (b, in_b) in itertools.combinations(self.parts.items(), 2):
      shared = sorted(set(in_a) & set(in_b))
      if shared:
        raise LeakError(f"subjects {shared[:5]} stand both in {a!r} and in {b!r}; a subject belongs to one part")

  @property
  def digest(self) -> str:
    """SHA-256 of the parts, independent of order."""
    plain = json.dumps({name: sorted(subjects) for name, subjects in self.parts.items()}, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes parts and digest as JSON."""
    content = {"sha256": self.digest, "parts": {name: list(subjects) for name, subjects in self.parts.items()}}
    with open(path, "w", encoding="utf-8") as file:
      json.dump(content, file, indent=1)


def draw(subjects: Sequence[str], sizes: Mapping[str, int], seed: int) -> Split:
  """Draws parts of the given sizes without replacement.

  Raises:
    ValueError: there are too few subjects.
    LeakError: a subject is named twice.
  """
  if len(set(subjects)) != len(subjects):
    raise LeakError("a subject is named twice; give each recording's subject its own name")
  if sum(sizes.values()) > len(subjects):
    raise ValueError(f"parts of {dict(sizes)} subjects need {sum(sizes.values())}, there are {len(subjects)}")
  order = np.random.default_rng(seed).permutation(len(subjects))
  bounds = np.cumsum([0, *sizes.values()])
  names = [subjects[k] for k in order]
  return Split({part: tuple(names[a:b]) for part, a, b in zip(sizes, bounds[:-1], bounds[1:], strict=True)})
