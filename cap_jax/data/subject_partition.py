"""Division of a store's subjects into parts.

Subjects in a range of a covariate are set apart, those without a reference are unlabelled, and shares divide the rest.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from cap_jax.data import signal_names, splits, store
from cap_jax.types import InputError

TRAINING, UNLABELLED, VALIDATION, TEST = NAMES = ("training", "unlabelled", "validation", "test")
OUT, UNKNOWN = "out_of_distribution", "unknown"
_TESTED, _VALIDATED, _MOST_VALIDATED = 0.2, 0.15, 0.36  # of the subjects with the reference
_INTERVALS_NEED = 9  # subjects, for intervals of 90 %
_LEAST = 3  # subjects, for a transfer
_FEW = 20  # test subjects; with fewer the error depends much on who is tested


@dataclasses.dataclass(frozen=True)
class Range:
  """Values of a covariate that make a part of their own, both ends included."""

  covariate: str
  low: float
  high: float

  def __post_init__(self) -> None:
    """Checks the ends.

    Raises:
      InputError: the range is empty.
    """
    if not self.low <= self.high:
      raise InputError(f"range of {self.covariate}: {self.low:g} to {self.high:g} is empty; exchange the two")


@dataclasses.dataclass(frozen=True)
class Partition:
  """How subjects are divided.

  Attributes:
    fractions: part → share of the subjects that remain for the draw; `default_sizes` if None.
    reference: signal without which a subject can only be unlabelled; ignored where no subject has it.
    held_out: covariate range whose subjects make a part of their own.
    seed: seed of the draw.
  """

  fractions: Mapping[str, float] | None = None
  reference: str = "aortic_root"
  held_out: Range | None = None
  seed: int = 0

  def __post_init__(self) -> None:
    """Checks shares and reference.

    Raises:
      InputError: the shares are negative or do not sum to one, a part has another name, or the reference is no signal.
    """
    signal_names.split_signal(self.reference)
    if self.fractions is None:
      return
    values = list(self.fractions.values())
    if not values or not all(0 <= value <= 1 for value in values) or abs(sum(values) - 1) > 1e-3:
      raise InputError(f"shares {dict(self.fractions)}: must be 0 or more and sum to 1")
    for name in self.fractions:
      if name not in NAMES:
        raise InputError(f"{name!r} is not a part of a store; choose from {', '.join(NAMES)}")


def default_sizes(count: int, test: bool = True) -> dict[str, int]:
  """Returns part → number of subjects, so that no label is wasted.

  A fifth is tested, and 15 % are for validation, but 9 of 25 subjects or more, which prediction intervals need. All
  others can be labelled. There is no unlabelled part: training subjects also serve without their
  labels.

  Args:
    count: number of subjects with the reference.
    test: whether a part is tested.
  """
  tested = max(round(_TESTED * count), 1) if test and count > 1 else 0
  validation = max(round(_VALIDATED * count), 1)
  if _MOST_VALIDATED * count >= _INTERVALS_NEED:
    validation = max(validation, _INTERVALS_NEED)
  validation = validation if count > tested + 1 else 0
  return {TRAINING: count - validation - tested, VALIDATION: validation} | ({TEST: tested} if test else {})


def advice(
  split: Mapping[str, Sequence[str]], path: str, source: str = "radial", strategy: str = "auto", intervals: bool = False
) -> list[str]:
  """Returns what the user of a small store should know.

  Args:
    split: part → subjects, of the whole store.
    path: the store.
    source: source network of a proposed study.
    strategy: its strategy.
    intervals: whether a network of the store has prediction intervals already.
  """
  lines, count = [], sum(map(len, split.values()))
  enough = 0.4 * count >= _INTERVALS_NEED  # for the split that is proposed
  if 0 < count < _LEAST:
    lines.append(f"a transfer needs {_LEAST} subjects or more: one each for training, validation and test")
  elif 0 < len(split.get(TEST, ())) < _FEW:
    strategies = ",".join(dict.fromkeys((strategy, "scratch")))
    lines.append(
      f"few test subjects: test each subject once with cap-jax study --source={source} --config.target_data={path} "
      f"--config.strategies={strategies} --config.folds={min(5, count)} --workdir=DIR, or leave one subject out with --config.folds=0"
    )
  if 0 < len(split.get(VALIDATION, ())) < _INTERVALS_NEED and not intervals:
    lines.append(
      f"fewer than {_INTERVALS_NEED} validation subjects: networks trained on its labels will have no prediction intervals"
      + (
        "; prepare another store with a larger share, such as --split=training:0.4,validation:0.4,test:0.2"
        if enough
        else ""
      )
    )
  return lines


def _sizes(how: Partition, count: int) -> dict[str, int]:
  """Returns part → number of subjects."""
  if how.fractions is None:
    return default_sizes(count)
  edges = np.round(np.cumsum([0.0, *how.fractions.values()]) * count).astype(int)
  return dict(zip(how.fractions, np.diff(edges).tolist(), strict=True))


def divide(records: Sequence[store.Record], how: Partition) -> splits.Split:
  """Divides the subjects of some records into parts.

  Args:
    records: records of the store.
    how: shares, reference, range and seed.

  Returns:
    The split. Subjects in the range are in part "out_of_distribution", those whose covariate is unknown in "unknown".

  Raises:
    InputError: no subject lies in the range, or no record has a reference other than the usual one.
  """
  signals: dict[str, set[str]] = {}
  covariates: dict[str, dict[str, float]] = {}
  for record in records:
    signals.setdefault(record.subject, set()).update(name for name, spans in record.spans.items() if spans)
    covariates.setdefault(record.subject, {}).update(record.covariates)
  names = tuple(signals)
  set_apart: dict[str, tuple[str, ...]] = {}
  if how.held_out is not None:
    held_out = how.held_out
    values = {name: covariates[name].get(held_out.covariate, np.nan) for name in names}
    names, out, unknown = splits.by_covariate(values, lambda value: not held_out.low <= value <= held_out.high)
    if not out:
      known = sorted({name for own in covariates.values() for name in own})
      remedy = (
        "choose another range"
        if held_out.covariate in known
        else f"the records have {', '.join(known) or 'no covariate'}"
      )
      raise InputError(f"no subject has {held_out.covariate} between {held_out.low:g} and {held_out.high:g}; {remedy}")
    set_apart |= {OUT: out} | ({UNKNOWN: unknown} if unknown else {})
  without_reference: tuple[str, ...] = ()
  if how.reference != Partition.reference and not any(how.reference in own for own in signals.values()):
    found = ", ".join(sorted({name for own in signals.values() for name in own}))
    raise InputError(f"reference {how.reference}: no record has it; choose from {found}")
  if any(how.reference in own_signals for own_signals in signals.values()):
    without_reference = tuple(name for name in names if how.reference not in signals[name])
    names = tuple(name for name in names if name not in set(without_reference))
  drawn = splits.draw(names, _sizes(how, len(names)), how.seed).subjects
  return splits.Split({**drawn, UNLABELLED: (*drawn.get(UNLABELLED, ()), *without_reference), **set_apart})


def folds(records: Sequence[store.Record], how: Partition, count: int | None) -> list[splits.Split]:
  """Draws splits in which each subject is tested once. The shares of the other parts divide the other subjects.

  Args:
    records: records of the store.
    how: shares, reference and seed; its range is ignored.
    count: number of folds, or None for one a subject.

  Returns:
    One split a fold.

  Raises:
    InputError: fewer subjects than folds, or no share for training.
  """
  names = sorted({record.subject for record in records if record.spans.get(how.reference)})
  if not 2 <= (count or len(names)) <= len(names):
    raise InputError(
      f"{count or len(names)} folds are not possible with {len(names)} subjects with {how.reference}; choose 2 to {len(names)}"
    )
  remaining = len(names) - -(-len(names) // count) if count else len(names) - 1
  fractions = how.fractions or {part: float(size) for part, size in default_sizes(remaining, test=False).items()}
  shares = {name: share for name, share in fractions.items() if name != TEST}
  total = sum(shares.values())
  if not shares.get(TRAINING):
    raise InputError(f"shares {dict(fractions)}: {TRAINING} must have a positive share")
  rest = dataclasses.replace(how, fractions={name: share / total for name, share in shares.items()}, held_out=None)
  fold_splits = []
  for fold in splits.k_fold(names, count, how.seed) if count else splits.leave_one_out(names):
    test = set(fold.subjects[TEST])
    others = divide([record for record in records if record.subject not in test], rest)
    fold_splits.append(splits.Split({**others.subjects, TEST: fold.subjects[TEST]}))
  return fold_splits
