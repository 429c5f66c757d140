"""`auto`: which strategy to take, chosen without a test label.

    n ≥ 2 labelled subjects    cross-validation over subjects: trained on some of them, scored on the others, a third as long
    n = 1                      nobody is left to score on: the first of the candidates
    n = 0                      the lines that the unlabelled waves show, or the source network as it is where they show none

What needs no score is known beforehand: where each site measures decides between one head and two (`Strategy.at`), the spectra whether
there is a line, number and likeness how much fine-tuning holds. Few subjects say little about who is best among much alike, so a candidate
has to beat the one before it by `MARGIN` of its error.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cap_jax import config
from cap_jax.data import splits
from cap_jax.evaluation import study_data, training
from cap_jax.train import checkpoint, loop, runs
from cap_jax.transfer import find

NAME = "auto"
CANDIDATES = ("multi_task/lines", "fine_tuning")
FREE = "domain_adaptation/lines"
MARGIN = 0.1
_FOLDS = 3
_SHARE = 1 / 3


class Ranked(NamedTuple):
  """A candidate, and what speaks for it: RMSE [mmHg] on labelled subjects that it was not trained on, NaN where there is none."""

  name: str
  rmse_mmhg: float


@dataclasses.dataclass(frozen=True)
class Choice:
  """Candidates in the order of their evidence, best first, and the reason in words."""

  ranking: tuple[Ranked, ...]
  reason: str

  @property
  def name(self) -> str:
    return self.ranking[0].name


def expanded(names: Iterable[str]) -> tuple[str, ...]:
  """Names of strategies, `auto` being all that it chooses from."""
  return tuple(dict.fromkeys(one for name in names for one in ((*CANDIDATES, FREE) if name == NAME else (name,))))


def needs_labels(name: str, changes: Mapping[str, Any] | None = None) -> bool | None:
  """Whether a strategy can only be with labels, or only without; None if it can be both."""
  return None if name == NAME else find(name, changes).needs_labels


def choose(
  study: config.Study, trained: checkpoint.Checkpoint, source: study_data.Source, target: study_data.Target,
  n_target: int, seed: int,
) -> Choice:  # fmt: skip
  """The strategy for a source network, `n_target` labelled and all unlabelled subjects of a target clinic.

  Raises:
    surgery.MergeError, InputError: a candidate cannot follow this source.
  """
  if n_target == 0:
    return Choice((Ranked(FREE, float("nan")),), "no label: the lines that the unlabelled waves show")
  if n_target == 1:
    ranking = tuple(Ranked(name, float("nan")) for name in CANDIDATES)
    return Choice(ranking, "one labelled subject: nobody to compare on")
  data = target.data(source, n_target, seed)
  assert data.labelled is not None
  steps = max(loop.whole(_SHARE * study.steps), loop.CHUNK * max(len(find(name).stages) for name in CANDIDATES))
  short = dataclasses.replace(study, steps=steps)
  folds = splits.k_fold(data.labelled.subjects, min(_FOLDS, n_target), seed)
  site = study_data.target_site(study)
  found = []
  for name in CANDIDATES:
    scores: list[float] = []
    for fold in folds:
      taught = dataclasses.replace(data, labelled=data.labelled.of(fold.parts["training"]))
      held = data.labelled.of(fold.parts["test"])
      made = runs.adapt(short, name, trained, taught, seed, site, held)
      scores += [made.fitted.validation[-1].rmse_mmhg] * len(held.subjects)
    found.append(Ranked(name, float(np.mean(scores))))
  return Choice(tuple(ranked(found)), f"cross-validation over {n_target} labelled subjects in {len(folds)} folds")


def ranked(found: list[Ranked]) -> list[Ranked]:
  """By error, but an earlier candidate stays ahead of a later one that is not better by `MARGIN` of its error."""
  best = found[0]
  for other in found[1:]:
    if other.rmse_mmhg < (1 - MARGIN) * best.rmse_mmhg:
      best = other
  return [best, *sorted((one for one in found if one is not best), key=lambda one: one.rmse_mmhg)]


def told(choice: Choice) -> str:
  """The ranking with its evidence, for a reader."""
  shown = [f"{one.name}" + (f" {one.rmse_mmhg:.2f}" if np.isfinite(one.rmse_mmhg) else "") for one in choice.ranking]
  return f"{choice.reason}: {', '.join(shown)}"


def adapted(
  study: config.Study, trained: checkpoint.Checkpoint, source: study_data.Source, target: study_data.Target,
  n_target: int, seed: int,
) -> runs.Adapted:  # fmt: skip
  """The training of the chosen strategy; its reason tells the ranking."""
  choice = choose(study, trained, source, target, n_target, seed)
  made = training.adapted(study, choice.name, trained, source, target, n_target, seed)
  reason = "; ".join(text for text in (told(choice), made.reason) if text)
  return dataclasses.replace(made, reason=reason)
