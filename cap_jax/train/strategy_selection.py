"""`auto`: which strategy to use and how deep to tune, chosen without a test label.

    n ≥ 2 labelled subjects    cross-validation over subjects: trained on some of them, scored on the others
    n = 1                      trained on the one, scored by importance-weighted validation (`label_free_validation`)
    n = 1, at another site     nobody is left to score on, least of all the source's subjects: `ONE_LABEL_STRATEGY`
    n = 0                      `FREE`, or the source network unchanged where no transducer is found; scored by
                               importance-weighted validation

Candidates are trained for a third of the steps of the chosen strategy. The sites decide between one head and two
(`Strategy.at`), the spectra whether there is a transducer. Few subjects hardly distinguish similar candidates, so the
candidates have an order. A candidate must beat those before it by `MARGIN` of its error. In cross-validation it must
also beat them by a standard error of the paired differences of the subjects (the rule of one standard error, Breiman et
al. 1984, for pairs).
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cap_jax import config
from cap_jax.data import batches, splits
from cap_jax.strategies import find
from cap_jax.train import checkpoint, label_free_validation, loop, runs
from cap_jax.types import InputError

NAME = "auto"
# labels all along, or last; fine-tuning of all layers, of the early ones, of the head
CANDIDATES = (
  "multi_task/transducer",
  "multi_task/transducer_first",
  *(f"fine_tuning/{depth}" for depth in ("all", "surgical", "head")),
)
ONE_LABEL_STRATEGY = "multi_task/transducer_first"
FREE = "domain_adaptation/transducer"
MARGIN = 0.1
_FOLDS = 3
_SHARE = 1 / 3


class Ranked(NamedTuple):
  """A candidate and its score.

  Attributes:
    name: name of the strategy.
    rmse_mmhg: RMSE [mmHg] on subjects that it was not trained on, NaN if there are none.
    each_mmhg: RMSE [mmHg] of each of these subjects, where all candidates were scored on the same.
  """

  name: str
  rmse_mmhg: float
  each_mmhg: tuple[float, ...] = ()

  def is_better_than(self, other: "Ranked") -> bool:
    """Returns whether it is better by the margin and by a standard error of the paired differences."""
    if not self.rmse_mmhg < (1 - MARGIN) * other.rmse_mmhg:
      return False
    gain_s = np.subtract(other.each_mmhg, self.each_mmhg)
    return len(gain_s) < 2 or bool(gain_s.mean() > gain_s.std(ddof=1) / np.sqrt(len(gain_s)))


@dataclasses.dataclass(frozen=True)
class Choice:
  """The candidates, best first.

  Attributes:
    ranking: candidates with their scores.
    reason: how they were compared.
    train_s: seconds that their trainings took.
  """

  ranking: tuple[Ranked, ...]
  reason: str
  train_s: float = 0.0

  @property
  def name(self) -> str:
    """The name of the best candidate."""
    return self.ranking[0].name


def expanded(names: Iterable[str]) -> tuple[str, ...]:
  """Returns names of strategies, with `auto` replaced by all its candidates."""
  return tuple(dict.fromkeys(one for name in names for one in ((*CANDIDATES, FREE) if name == NAME else (name,))))


def needs_labels(name: str, changes: Mapping[str, Any] | None = None) -> bool | None:
  """Returns whether a strategy works only with labels (True), only without (False) or with both (None).

  Args:
    name: name of the strategy.
    changes: fields that differ.
  """
  return None if name == NAME else find(name, changes).needs_labels


Adapt = Callable[[str, runs.Data, runs.Budget], runs.Adapted]  # trains a strategy by name


def choose(
  trained: checkpoint.Checkpoint,
  data: runs.Data,
  source_validation: batches.Pairs | None,
  budget: runs.Budget,
  adapt: Adapt,
) -> Choice:
  """Chooses the strategy for a source network and the windows of a target.

  Args:
    trained: the source network.
    data: windows of source and target; the number of labelled subjects decides how candidates are compared.
    source_validation: validation subjects of the source, for 0 or 1 labelled subjects.
    budget: budget of the chosen strategy; candidates get a third of its steps.
    adapt: trains a candidate.

  Returns:
    The candidates, best first, and how they were compared.

  Raises:
    surgery.MergeError: a candidate cannot follow this source.
    InputError: a candidate cannot follow this source, or windows are missing.
  """
  stages = max(len(find(name).stages) for name in (*CANDIDATES, FREE))
  short = dataclasses.replace(budget, steps=max(loop.whole(_SHARE * budget.steps), config.CHUNK * stages))
  if data.n_target > 1:
    return _cross_validated(trained, data, short, adapt)
  if data.n_target and data.site != trained.site:
    ranking = tuple(Ranked(name, float("nan")) for name in dict.fromkeys((ONE_LABEL_STRATEGY, *CANDIDATES)))
    return Choice(
      ranking,
      f"one labelled subject, and the source was measured at {trained.site}: no subjects to compare the candidates on",
    )
  if source_validation is None:
    raise InputError(f"{NAME}: compares strategies on subjects of the source; pass source=")
  return _importance_weighted(trained, data, source_validation, short, adapt)


def _cross_validated(trained: checkpoint.Checkpoint, data: runs.Data, budget: runs.Budget, adapt: Adapt) -> Choice:
  assert data.labelled is not None
  folds = splits.k_fold(data.labelled.subjects, min(_FOLDS, data.n_target), budget.seed)
  candidates, train_s = [], 0.0
  for name in CANDIDATES:
    scores: dict[str, float] = {}
    for fold in folds:
      training_data = dataclasses.replace(data, labelled=data.labelled.of(fold.subjects["training"]))
      adapted = adapt(name, training_data, budget)
      train_s += adapted.fitted.train_s
      scored = data.labelled.of(fold.subjects["test"])
      scores |= label_free_validation.rmse_of_each(adapted.checkpoint, scored, trained.windows)
    candidates.append(_scored(name, scores))
  reason = f"cross-validation over {data.n_target} labelled subjects in {len(folds)} folds"
  return Choice(tuple(ranked(candidates)), reason, train_s)


def _scored(name: str, scores: Mapping[str, float]) -> Ranked:
  each = tuple(scores[subject] for subject in sorted(scores))
  return Ranked(name, float(np.mean(each)), each)


def _importance_weighted(
  trained: checkpoint.Checkpoint, data: runs.Data, source_validation: batches.Pairs, budget: runs.Budget, adapt: Adapt
) -> Choice:
  """Compares candidates on validation subjects of the source."""
  spec, by = trained.windows, "the choice of a strategy"
  transducers = runs.transducers_of(data, trained.scaling, spec.fs_hz, by)
  source_validation = runs.simulate_recording(transducers, source_validation, trained.scaling, spec.fs_hz, budget.seed)
  waves = data.needed("unlabelled", by)
  unchanged = label_free_validation.importance_weighted(trained, source_validation, waves, spec)
  candidates, train_s = [], 0.0
  for name in CANDIDATES if data.n_target else (FREE,):
    adapted = adapt(name, data, budget)
    train_s += adapted.fitted.train_s
    score = label_free_validation.importance_weighted(adapted.checkpoint, source_validation, waves, spec)
    candidates.append(Ranked(name, score.rmse_mmhg))
  reason = (
    f"validation on {len(source_validation.subjects)} source subjects with the target's transducers applied, weighted to its "
    f"pressures (effective number of subjects {unchanged.subjects:.1f}; source network unchanged {unchanged.rmse_mmhg:.2f})"
  )
  return Choice(tuple(ranked(candidates)), reason, train_s)


def ranked(candidates: list[Ranked]) -> list[Ranked]:
  """Sorts candidates by error, but keeps an earlier one ahead of a later one that does not beat it."""
  best = candidates[0]
  for other in candidates[1:]:
    if other.is_better_than(best):
      best = other
  return [best, *sorted((one for one in candidates if one is not best), key=lambda one: one.rmse_mmhg)]


def format_ranking(choice: Choice) -> str:
  """Returns the ranking with its scores, and the choice, as text."""
  entries = [f"{one.name}" + (f" {one.rmse_mmhg:.2f}" if np.isfinite(one.rmse_mmhg) else "") for one in choice.ranking]
  kept = any(one.rmse_mmhg < choice.ranking[0].rmse_mmhg for one in choice.ranking[1:])
  rule = f" (another must be better by {100 * MARGIN:.0f} % and by a standard error)" if kept else ""
  return f"{choice.reason}: {', '.join(entries)}; uses {choice.name}{rule}"
