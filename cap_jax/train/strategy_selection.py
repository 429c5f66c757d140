"""`auto`: which strategy to use, and how much of the target's own transfer function, chosen without a test label.

    another system             where the labelled subjects speak against the system of the source (`source_evidence`):
                               `OTHER_SYSTEM`, blended in equal parts with the target's transfer function. The
                               few subjects may be as unlike those to come, so they are not asked to choose
    n ≥ 2 labelled subjects    cross-validation over subjects: trained on some of them, scored on the others
    n = 1                      trained on the one, scored by importance-weighted validation (`label_free_validation`)
    n = 1, at another site     nobody is left to score on, least of all the source's subjects: `ONE_LABEL_STRATEGY`
    n ≥ 1, a source network that simulated clinics have taught, at its own site: `LABELLED_CONTEXT`, and without windows of the source
                               `LABELS_ALONE`; on validation replications it was among the best (docs/experiments.md)
    n = 0                      `CONTEXT` for a source network that simulated clinics have taught, at its own site; otherwise
                               `FREE`, or the source network unchanged where no transducer is found; scored by
                               importance-weighted validation

Candidates are trained for a third of the steps of the chosen strategy. In cross-validation, each is also blended with
the transfer function of the same subjects, with the weight that the left-out subjects choose (`filter_blend`); a weight
of one is the transfer function alone. A blend that wins is weighed again after trainings in full. The sites decide
between one head and two (`Strategy.at`), the spectra whether there is a transducer. Few subjects hardly distinguish similar candidates, so the candidates have an order. A candidate must
beat those before it, and a blend its network, by `MARGIN` of its error. In cross-validation it must also beat them by a standard error of the
paired differences of the subjects (the rule of one standard error, Breiman et al. 1984, for pairs).
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cap_jax import config
from cap_jax.baselines import arx
from cap_jax.data import batches, splits
from cap_jax.strategies import find
from cap_jax.train import (
  checkpoint,
  domains,
  filter_blend,
  label_free_validation,
  loop,
  prediction,
  runs,
  source_evidence,
)
from cap_jax.types import InputError, UnfitError

NAME = "auto"
# the source rehearsed, with labels all along or last; its parameters as a start; its features; nothing of it
CANDIDATES = (
  "multi_task/transducer",
  "multi_task/transducer_first",
  "fine_tuning/lp_ft",
  "feature_transfer",
  "scratch",
)
ONE_LABEL_STRATEGY = "multi_task/transducer_first"
FREE = "domain_adaptation/transducer"
CONTEXT = "domain_adaptation/context"
LABELLED_CONTEXT, LABELS_ALONE = "multi_task/context", "fine_tuning/context"
OF_CONTEXT = (CONTEXT, LABELLED_CONTEXT, LABELS_ALONE)
MARGIN = 0.1
_FOLDS = 3
_SHARE = 1 / 3
_EQUAL = 0.5  # weight of the transfer function where no subject can choose it


class OtherSystem(NamedTuple):
  """What to do in another system than that of the source.

  Attributes:
    below: evidence for the source's system (`source_evidence`) below which it is another; at 0.05 its network errs 4.5 times as
      much as on 95 % of its own subjects, and as a linear filter.
    strategy: name of the strategy.
  """

  below: float
  strategy: str


OTHER_SYSTEM = OtherSystem(0.05, "fine_tuning/lp_ft")
# a network that was taught behind lines errs more on its own subjects, and its code answers to lines that are not there
OTHER_SYSTEM_OF_CONTEXT = OtherSystem(0.1, "feature_transfer")


class Ranked(NamedTuple):
  """A candidate and its score.

  Attributes:
    name: name of the strategy.
    rmse_mmhg: RMSE [mmHg] on subjects that it was not trained on, NaN if there are none.
    each_mmhg: RMSE [mmHg] of each of these subjects, where all candidates were scored on the same.
    filter_weight: weight of the target's transfer function in its wave.
  """

  name: str
  rmse_mmhg: float
  each_mmhg: tuple[float, ...] = ()
  filter_weight: float = 0.0

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
    blend: the target's transfer function with the weight of the best candidate; None for no blend.
  """

  ranking: tuple[Ranked, ...]
  reason: str
  train_s: float = 0.0
  blend: filter_blend.FilterBlend | None = None

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


Adapt = Callable[[str, domains.Data, runs.Budget], runs.Adapted]  # trains a strategy by name


def choose(
  trained: checkpoint.Checkpoint,
  data: domains.Data,
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
  if not data.n_target and trained.knows_clinics and data.site == trained.site:
    return Choice((Ranked(CONTEXT, float("nan")),), "no label, and the source network reads the context of the clinic")
  stages = max(len(find(name).stages) for name in (*CANDIDATES, FREE))
  short = dataclasses.replace(budget, steps=max(loop.whole(_SHARE * budget.steps), config.CHUNK * stages))
  at_home = data.labelled is not None and data.site == trained.site
  is_source = (
    trained.knows_clinics and "strategy" not in trained.about and source_evidence.VALIDATION_RMSE in trained.about
  )
  if data.labelled is not None and at_home and (data.source is not None or is_source):
    evidence = _assess_source(trained, data, data.labelled, budget.seed)
    other = OTHER_SYSTEM_OF_CONTEXT if trained.knows_clinics else OTHER_SYSTEM
    if evidence.weight < other.below:
      ranking = tuple(Ranked(name, float("nan")) for name in dict.fromkeys((other.strategy, *CANDIDATES)))
      blend = _blend(_own_filter(data.labelled, trained), _EQUAL)
      return Choice(ranking, f"the labelled subjects contradict the source: {evidence}", blend=blend)
  if at_home and trained.knows_clinics:
    name = LABELS_ALONE if data.source is None else LABELLED_CONTEXT
    return Choice((Ranked(name, float("nan")),), "the source network reads the context and the labels of the clinic")
  if data.n_target > 1:
    return _cross_validated(trained, data, (short, budget), adapt)
  if data.n_target and data.site != trained.site:
    ranking = tuple(Ranked(name, float("nan")) for name in dict.fromkeys((ONE_LABEL_STRATEGY, *CANDIDATES)))
    return Choice(
      ranking,
      f"one labelled subject, and the source was measured at {trained.site}: no subjects to compare the candidates on",
    )
  if source_validation is None:
    raise InputError(f"{NAME}: compares strategies on subjects of the source; pass source=")
  return _importance_weighted(trained, data, source_validation, short, adapt)


def _assess_source(
  trained: checkpoint.Checkpoint, data: domains.Data, labelled: batches.Pairs, seed: int
) -> source_evidence.SourceEvidence:
  """Returns the evidence that the labelled subjects are of the system of the source.

  A network that knows clinics is not led astray by a line; for another, the source is recorded like the target.
  """
  transducers = None
  if not trained.knows_clinics:
    transducers = domains.transducers_of(data, trained.scaling, trained.windows.fs_hz, "the choice of a strategy")
  return source_evidence.assess_clinic(trained, data, data.source, labelled, transducers, seed)


def _own_filter(labelled: batches.Pairs, trained: checkpoint.Checkpoint) -> arx.Arx | None:
  """Returns the transfer function of labelled subjects, None if there is no stable one, or the input has no unit."""
  if trained.scaling.unitless:
    return None
  try:
    return filter_blend.fit_filter(labelled, trained.windows)
  except UnfitError:
    return None


def _cross_validated(
  trained: checkpoint.Checkpoint, data: domains.Data, budgets: tuple[runs.Budget, runs.Budget], adapt: Adapt
) -> Choice:
  """Compares candidates on labelled subjects that they were not trained on.

  A short training leaves errors that the transfer function mends and a long one does not have, so a blend has to be the
  better one after training in full as well.

  Args:
    trained: the source network.
    data: windows of source and target.
    budgets: of the comparison, and of the chosen strategy.
    adapt: trains a candidate.
  """
  assert data.labelled is not None
  labelled, spec = data.labelled, trained.windows
  folds = splits.k_fold(labelled.subjects, min(_FOLDS, data.n_target), budgets[0].seed)
  parts = [
    (labelled.of(fold.subjects["training"]), np.isin(labelled.subject_b, fold.subjects["test"])) for fold in folds
  ]
  filters = [_own_filter(part, trained) for part in (labelled, *(training for training, _ in parts))]
  filter_bt = None
  if all(one is not None for one in filters):
    filter_bt = np.empty_like(labelled.y_bt)
    for one, (_, rows) in zip(filters[1:], parts, strict=True):
      filter_bt[rows] = one.predict(labelled.x_bt[rows]) if one is not None else np.nan
  train_s = 0.0

  def scored(name: str, budget: runs.Budget) -> Ranked:
    nonlocal train_s
    network_bt = np.empty_like(labelled.y_bt)
    for training, rows in parts:
      adapted = adapt(name, dataclasses.replace(data, labelled=training), budget)
      train_s += adapted.fitted.train_s
      network_bt[rows] = prediction.predict(adapted.checkpoint, labelled.at(rows))
    return _scored(name, network_bt, filter_bt, labelled, spec)

  scores = {name: scored(name, budgets[0]) for name in CANDIDATES}
  in_full = set[str]()
  while (ranking := ranked(list(scores.values())))[0].filter_weight and ranking[0].name not in in_full:
    best = ranking[0].name
    scores[best] = scored(best, budgets[1])
    in_full.add(best)
  reason = f"cross-validation over {data.n_target} labelled subjects in {len(folds)} folds"
  return Choice(tuple(ranking), reason, train_s, _blend(filters[0], ranking[0].filter_weight))


def _blend(own_filter: arx.Arx | None, weight: float) -> filter_blend.FilterBlend | None:
  return filter_blend.FilterBlend(own_filter, weight) if own_filter is not None and weight else None


def _scored(
  name: str, network_bt: np.ndarray, filter_bt: np.ndarray | None, labelled: batches.Pairs, spec: config.Windows
) -> Ranked:
  """Returns a candidate with its error on left-out subjects, blended with the transfer function as far as that helps.

  Args:
    name: of the candidate.
    network_bt, filter_bt: (window, time) waves of both on the windows of the subjects that they were not fitted on.
    labelled: the windows.
    spec: margin of the windows.
  """

  def scored(wave_bt: np.ndarray, weight: float) -> Ranked:
    scores = prediction.rmse_of_each(prediction.square_error(wave_bt, labelled, spec), labelled.subject_b)
    each = tuple(scores[subject] for subject in sorted(scores))
    return Ranked(name, float(np.mean(each)), each, weight)

  bare, inner = scored(network_bt, 0.0), slice(spec.margin, spec.samples - spec.margin)
  if filter_bt is None:
    return bare
  weight = filter_blend.best_weight(*((wave - labelled.y_bt)[:, inner] for wave in (network_bt, filter_bt)))
  blended = scored((1 - weight) * network_bt + weight * filter_bt, weight)
  return blended if blended.is_better_than(bare) else bare


def _importance_weighted(
  trained: checkpoint.Checkpoint,
  data: domains.Data,
  source_validation: batches.Pairs,
  budget: runs.Budget,
  adapt: Adapt,
) -> Choice:
  """Compares candidates on validation subjects of the source."""
  spec, by = trained.windows, "the choice of a strategy"
  transducers = domains.transducers_of(data, trained.scaling, spec.fs_hz, by)
  source_validation = domains.simulate_recording(
    transducers, source_validation, trained.scaling, spec.fs_hz, budget.seed
  )
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
  blend = f" {choice.blend}" if choice.blend is not None else ""
  kept = any(one.rmse_mmhg < choice.ranking[0].rmse_mmhg for one in choice.ranking[1:])
  rule = f" (another must be better by {100 * MARGIN:.0f} % and by a standard error)" if kept else ""
  return f"{choice.reason}: {', '.join(entries)}; uses {choice.name}{blend}{rule}"
