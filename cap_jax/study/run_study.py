"""Runs a study: every method in every target clinic, on the same labelled and the same test subjects.

A cell of a study is (clinic, fold, method, n_target, seed). Methods without target labels run at n_target = 0. Each cell is saved when it
is done (`study_results`), and a study that is started again in its folder resumes.
"""

import concurrent.futures
import csv
import dataclasses
import functools
import os
import pickle
import threading
from collections.abc import Iterator, Mapping, Sequence

from cap_jax import executors, files
from cap_jax.metrics import waveform_metrics
from cap_jax.study import methods, study_config, study_grid, study_manifest, study_results
from cap_jax.study.study_results import Cell, Key
from cap_jax.study.study_runner import StudyRunner
from cap_jax.types import InputError

COLUMNS = (
  "scenario",
  "method",
  "n_target",
  "seed",
  "fold",
  *(f.name for f in dataclasses.fields(waveform_metrics.SubjectErrors)),
  "train_s",
  "steps",
  "settings",
  "diverged",
  "steps_to_scratch",
  "s_to_scratch",
)


_ONE_AT_A_TIME = threading.Lock()


@functools.lru_cache(1)
def _made(study: bytes, folder: str, metrics: tuple[str, ...]) -> StudyRunner:
  return StudyRunner(pickle.loads(study), folder, metrics)


def _runner(study: bytes, folder: str, metrics: tuple[str, ...]) -> StudyRunner:
  """Returns the runner of this process, which its cells share with the data and the compiled functions."""
  with _ONE_AT_A_TIME:  # threads must get the same
    return _made(study, folder, metrics)


def _run_cell(study: bytes, folder: str, metrics: tuple[str, ...], key: Key) -> Cell:
  """Runs a cell in a worker."""
  return _runner(study, folder, metrics).run(key)


def run(
  study: study_config.Study,
  folder: str,
  executor: concurrent.futures.Executor | None = None,
  metrics: Sequence[str] = (),
) -> Iterator[Cell]:
  """Runs all cells, and yields each when it is done.

  Args:
    study: whose cells are run.
    folder: of the study.
    executor: runs the cells, None for this process; any of `concurrent.futures`, see `executors.opened`.
    metrics: kinds of metrics files that the trainings write.

  Yields:
    Each cell, in the order in which they end.

  Raises:
    splits.LeakError: a subject is in two parts of the data.
    InputError: the folder has another study, or a study is running in it.
  """
  with study_manifest.lock_folder(folder):
    study_manifest.remember(study, folder)
    try:
      yield from _run_cells(study, os.path.abspath(folder), executor, tuple(metrics))
    except InputError:
      study_manifest.forget_if_empty(folder)
      raise


def is_finished(study: study_config.Study, folder: str) -> bool:
  """Returns whether a folder has the report of this very study, with all of its cells."""
  return study_manifest.is_reported(study, folder) and all(
    study_results.load(folder, key) is not None for key in study_grid.keys(study)
  )


def _run_cells(
  study: study_config.Study, folder: str, executor: concurrent.futures.Executor | None, metrics: tuple[str, ...]
) -> Iterator[Cell]:
  keys = study_grid.keys(study)
  of_runner = (pickle.dumps(study), folder, metrics)
  runner = _runner(*of_runner)
  if any(study_results.load(folder, key) is None for key in keys):
    _ = runner.trained  # before the workers start, so that it is trained once
    for name in methods.NETWORKS:
      if f"{name}_source" in {key.method for key in keys}:
        runner.published(name)
  if executor is not None:  # whose cells are in the order of the report
    keys = study_grid.longest_first(study, keys)
  for _, cell in executors.completed(executor, _run_cell, [(*of_runner, key) for key in keys]):
    yield cell


def rows(study: study_config.Study, folder: str) -> list[dict[str, object]]:
  """Returns the rows of all cells that are done, one per clinic, method, n_target, seed, fold and subject.

  Args:
    study: whose cells are read.
    folder: of the study.

  Returns:
    Rows with the keys `COLUMNS`.
  """
  done = [cell for key in study_grid.keys(study) if (cell := study_results.load(folder, key)) is not None]
  scratch_best = {
    (c.key.scenario, c.key.fold, c.key.n_target, c.key.seed): min(score.rmse_mmhg for score in c.validation)
    for c in done
    if c.key.method == "scratch" and c.validation
  }
  out: list[dict[str, object]] = []
  for cell in done:
    key = cell.key
    steps, seconds = cell.reached(scratch_best.get((key.scenario, key.fold, key.n_target, key.seed), float("nan")))
    spent = {"train_s": cell.train_s, "steps": cell.steps, "settings": cell.settings, "diverged": int(cell.diverged)}
    spent |= {"steps_to_scratch": steps, "s_to_scratch": seconds}
    out += [row(key, errors, spent) for errors in cell.errors]
  return out


def row(key: Key, errors: waveform_metrics.SubjectErrors, spent: Mapping[str, float]) -> dict[str, object]:
  """Returns one row of `study.csv`.

  Args:
    key: of the cell.
    errors: of one subject.
    spent: column → cost of the training. Times that are missing are NaN.
  """
  nothing = dict.fromkeys(("train_s", "steps_to_scratch", "s_to_scratch"), float("nan")) | {
    "steps": 0,
    "settings": 1,
    "diverged": 0,
  }
  return {**dataclasses.asdict(key), **dataclasses.asdict(errors), **nothing, **spent}


def write_rows(path: str | os.PathLike[str], records: Sequence[dict[str, object]]) -> None:
  """Writes `study.csv`.

  Args:
    path: of the file.
    records: rows with the keys `COLUMNS`.
  """
  with files.write_atomically(path) as (partial,), open(partial, "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for record in records:
      writer.writerow([f"{v:.5f}" if isinstance(v := record[name], float) else v for name in COLUMNS])
