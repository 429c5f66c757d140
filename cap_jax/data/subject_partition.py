"""Who is in which part of a store: a range of a covariate apart, those without a reference unlabelled, the rest by shares."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from cap_jax.data import recordings, splits, store
from cap_jax.types import InputError

TRAINING, UNLABELLED, VALIDATION, TEST = NAMES = ("training", "unlabelled", "validation", "test")
OUT, UNKNOWN = "out_of_distribution", "unknown"


@dataclasses.dataclass(frozen=True)
class Range:
  """Values of a covariate that make a part of their own, both ends included."""

  covariate: str
  low: float
  high: float


@dataclasses.dataclass(frozen=True)
class Parts:
  """How subjects are divided.

  shares: part → share of those who are left for it.
  reference: subjects without it can only be unlabelled, where anybody has it.
  held: a range set apart.
  seed: of the draw.
  """

  shares: Mapping[str, float]
  reference: str = "aortic_root"
  held: Range | None = None
  seed: int = 0

  def __post_init__(self) -> None:
    """Raises:
    InputError: the shares are not, or do not sum to one, a part has another name, or the reference is no signal."""
    values = list(self.shares.values())
    if not values or not all(0 <= value <= 1 for value in values) or abs(sum(values) - 1) > 1e-3:
      raise InputError(f"shares {dict(self.shares)}: must be 0 or more and sum to 1")
    for name in self.shares:
      if name not in NAMES:
        raise InputError(f"{name!r} is no part of a store; choose of {', '.join(NAMES)}")
    recordings.parts(self.reference)


def divide(records: Sequence[store.Record], how: Parts) -> splits.Split:
  """The split of the subjects of some records.

  Raises:
    InputError: nobody lies in the range that is set apart.
  """
  signals: dict[str, set[str]] = {}
  known: dict[str, dict[str, float]] = {}
  for record in records:
    signals.setdefault(record.subject, set()).update(name for name, spans in record.spans.items() if spans)
    known.setdefault(record.subject, {}).update(record.covariates)
  names = tuple(signals)
  found: dict[str, tuple[str, ...]] = {}
  if how.held is not None:
    held = how.held
    values = {name: known[name].get(held.covariate, np.nan) for name in names}
    names, out, unknown = splits.by_covariate(values, lambda value: not held.low <= value <= held.high)
    if not out:
      raise InputError(f"nobody's {held.covariate} lies within {held.low:g} and {held.high:g}; choose another range")
    found |= {OUT: out} | ({UNKNOWN: unknown} if unknown else {})
  bare: tuple[str, ...] = ()
  if any(how.reference in there for there in signals.values()):
    bare = tuple(name for name in names if how.reference not in signals[name])
    names = tuple(name for name in names if name not in set(bare))
  edges = np.round(np.cumsum([0.0, *how.shares.values()]) * len(names)).astype(int)
  drawn = splits.draw(names, dict(zip(how.shares, np.diff(edges).tolist(), strict=True)), how.seed).parts
  return splits.Split({**drawn, UNLABELLED: (*drawn.get(UNLABELLED, ()), *bare), **found})


def folds(records: Sequence[store.Record], how: Parts, count: int | None) -> list[splits.Split]:
  """Splits in which each subject is tested once: `count` folds, or one a subject. The others are divided by the shares of the
  other parts.

  Raises:
    InputError: fewer subjects than folds, or no share for training.
  """
  names = sorted({record.subject for record in records if record.spans.get(how.reference)})
  if not 2 <= (count or len(names)) <= len(names):
    raise InputError(
      f"{count or len(names)} folds of {len(names)} subjects with {how.reference}; choose 2 to {len(names)}"
    )
  shares = {name: share for name, share in how.shares.items() if name != TEST}
  total = sum(shares.values())
  if not shares.get(TRAINING):
    raise InputError(f"shares {dict(how.shares)}: give {TRAINING} one")
  rest = dataclasses.replace(how, shares={name: share / total for name, share in shares.items()}, held=None)
  found = []
  for fold in splits.k_fold(names, count, how.seed) if count else splits.leave_one_out(names):
    test = set(fold.parts[TEST])
    others = divide([record for record in records if record.subject not in test], rest)
    found.append(splits.Split({**others.parts, TEST: fold.parts[TEST]}))
  return found
