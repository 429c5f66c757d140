"""The study: every method on the same target clinic, the same labelled subjects, the same test subjects.

Cells are (method, n_target, seed). What needs no target label stands at n_target = 0.
"""

import csv
import dataclasses
import os
import time
from collections.abc import Callable, Iterator

import numpy as np

from cap_jax import config, files
from cap_jax.baselines import mean_wave, transfer_function
from cap_jax.data import batches
from cap_jax.evaluation import errors, study_data
from cap_jax.train import checkpoint, loop, runs
from cap_jax.transfer import find

COLUMNS = (
  "scenario",
  "method",
  "n_target",
  "seed",
  *(f.name for f in dataclasses.fields(errors.SubjectErrors)),
  "train_s",
  "steps_to_scratch",
  "s_to_scratch",
)


@dataclasses.dataclass(frozen=True)
class Cell:
  """One method at one n_target and seed.

  Attributes:
    scenario: the target clinic.
    predicted_bt: its predictions of the test windows [mmHg].
    errors: per test subject.
    train_s: seconds of training.
    steps: of training, 0 for what is not trained in steps.
    validation: looks at validation subjects along the training.
    reason: why it held what it held, where it chose.
    target_rmse: the best validation RMSE of scratch at the same n_target and seed; NaN without.
  """

  scenario: str
  method: str
  n_target: int
  seed: int
  predicted_bt: np.ndarray
  errors: list[errors.SubjectErrors]
  train_s: float
  steps: int = 0
  validation: tuple[loop.Seen, ...] = ()
  reason: str = ""
  target_rmse: float = float("nan")

  def _reached(self) -> loop.Seen | None:
    """When the validation RMSE was first as good as the best of scratch."""
    return next((seen for seen in self.validation if seen.rmse_mmhg <= self.target_rmse), None)

  @property
  def steps_to_scratch(self) -> float:
    """Steps until the validation RMSE was as good as the best of scratch; NaN if it never was."""
    reached = self._reached()
    return float("nan") if reached is None else float(reached.steps)

  @property
  def s_to_scratch(self) -> float:
    """The seconds of training that those steps took."""
    reached = self._reached()
    return float("nan") if reached is None else reached.train_s


@dataclasses.dataclass(frozen=True)
class _Ground:
  """What a baseline may use."""

  study: config.Study
  source: study_data.Source
  target: study_data.Target
  trained: checkpoint.Checkpoint
  labelled: batches.Pairs | None

  @property
  def test_bt(self) -> np.ndarray:
    return self.target.test.x_bt

  @property
  def known(self) -> batches.Pairs:
    """The labelled windows of a baseline that stands at n_target > 0 only."""
    assert self.labelled is not None
    return self.labelled


def _gtf_source(ground: _Ground) -> np.ndarray:
  source = ground.source
  return transfer_function.fit(source.held, source.validation, ground.study.windows.margin).predict(ground.test_bt)


def _gtf_target(ground: _Ground) -> np.ndarray:
  found = transfer_function.fit(ground.known, ground.target.validation, ground.study.windows.margin)
  return found.predict(ground.test_bt)


Baseline = Callable[[_Ground], np.ndarray]
# those without target labels need a source whose task is the wave, but for the first
FREE: dict[str, Baseline] = {
  "peripheral": lambda ground: ground.test_bt,
  "gtf_source": _gtf_source,
  "source": lambda ground: loop.predict(ground.trained, ground.target.test),
}
LABELLED: dict[str, Baseline] = {
  "mean_wave": lambda ground: mean_wave.fit(ground.known, ground.study.windows.fs_hz).predict(ground.test_bt),
  "gtf_target": _gtf_target,
}


def methods(study: config.Study, n_target: int) -> tuple[dict[str, Baseline], list[str]]:
  """Baselines and strategies at so many labels, in their order."""
  names = [name for name in study.strategies if find(name, study.custom.get(name)).needs_labels == (n_target > 0)]
  names.sort(key=lambda name: name != "scratch")  # by which the others are measured
  if n_target:
    return LABELLED, names
  return (FREE if study.task == "waveform" else {"peripheral": FREE["peripheral"]}), names


def count(study: config.Study) -> int:
  """Number of cells."""
  found = 0
  for n_target in study.n_target:
    baselines, names = methods(study, n_target)
    found += len(baselines) * (len(study.seeds) if n_target else 1) + len(names) * len(study.seeds)
  return found


def cells(
  study: config.Study, source: study_data.Source, target: study_data.Target, trained: checkpoint.Checkpoint
) -> Iterator[Cell]:
  """All cells of the study, each as it is done.

  Seeds run one after another: on two cores the same steps vmapped were no faster.

  Raises:
    splits.LeakError: a subject stands in two parts of the data.
  """
  study_data.split_of(source, target)
  evaluator = errors.Evaluator(target.test, study.windows)
  site = study_data.target_site(study)
  for n_target in study.n_target:
    baselines, names = methods(study, n_target)
    for seed in study.seeds:
      ground = _Ground(study, source, target, trained, target.draw(n_target, seed))
      repeated = n_target == 0 and seed != study.seeds[0]  # a baseline without labels has nothing to draw
      for name, baseline in ({} if repeated else baselines).items():
        began = time.perf_counter()
        predicted_bt = baseline(ground)
        train_s = time.perf_counter() - began if name not in ("peripheral", "source") else 0.0
        yield Cell(
          study_data.target_name(study), name, n_target, seed, predicted_bt, evaluator.errors(predicted_bt), train_s
        )
      best = float("nan")
      for name in names:
        made = runs.adapt(study, name, trained, target.data(source, n_target, seed), seed, site, target.validation)
        predicted_bt, fitted = loop.predict(made.checkpoint, target.test), made.fitted
        if name == "scratch":
          best = min(seen.rmse_mmhg for seen in fitted.validation)
        found = evaluator.errors(predicted_bt)
        steps = len(fitted.loss)
        yield Cell(
          study_data.target_name(study),
          name,
          n_target,
          seed,
          predicted_bt,
          found,
          fitted.train_s,
          steps,
          fitted.validation,
          made.reason,
          best,
        )


def write_rows(path: str | os.PathLike[str], done: list[Cell]) -> None:
  """`study.csv`: a row per scenario, method, n_target, seed and subject, in the order of `COLUMNS`."""
  with files.written_together(path) as (partial,), open(partial, "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for cell in done:
      spent = [f"{value:.3f}" for value in (cell.train_s, cell.steps_to_scratch, cell.s_to_scratch)]
      for found in cell.errors:
        numbers = [f"{value:.5f}" for value in dataclasses.astuple(found)[1:]]
        writer.writerow((cell.scenario, cell.method, cell.n_target, cell.seed, found.subject, *numbers, *spent))
