"""The study: every method in every target clinic, on the same labelled and the same test subjects.

Its cells are (clinic, fold, method, n_target, seed). What needs no target label stands at n_target = 0. Each cell is written as it
is done (`cells`), and a study that is started again in its folder goes on.
"""

import concurrent.futures
import csv
import dataclasses
import functools
import multiprocessing
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence

from cap_jax import files, worker_processes
from cap_jax.metrics import waveform_metrics
from cap_jax.study import methods, study_config, study_grid, study_manifest, study_results
from cap_jax.study.study_results import Cell, Key
from cap_jax.study.study_runner import StudyRunner
from cap_jax.train import training_state

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


def _open(shares: "multiprocessing.Queue[set[int]]") -> None:
  """In a new process, before jax counts the cores: its own share of them. With all of them each process would start as many threads
  as there are cores, and all would wait for one another: small networks train 1.3 times faster on a core of their own."""
  cores = shares.get()
  if cores and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, cores)
  worker_processes.exit_with_parent()


@functools.lru_cache(1)
def _runner(study: bytes, folder: str, metrics: tuple[str, ...]) -> StudyRunner:
  """The runner of a process, which shares what it drew and compiled among its cells."""
  return StudyRunner(pickle.loads(study), folder, metrics)


def _work(study: bytes, folder: str, metrics: tuple[str, ...], key: Key) -> Cell:
  return _runner(study, folder, metrics).run(key)


def run(
  study: study_config.Study, folder: str, processes: int = 1, metrics: Sequence[str] = (), threads: int = 1
) -> Iterator[Cell]:
  """Runs all cells, and gives each as it is done.

  Args:
    study: whose cells are run.
    folder: of the study.
    processes: that run cells side by side on this machine.
    metrics: kinds of the trainings' journals.
    threads: that run cells side by side in a single process, which shares what is compiled and drawn.

  Raises:
    splits.LeakError: a subject stands in two parts of the data.
    InputError: the folder holds another study, or one is running in it.
  """
  with study_manifest.alone(folder):
    study_manifest.remember(study, folder)
    yield from _run(study, folder, processes, metrics, threads)


def _run(
  study: study_config.Study, folder: str, processes: int, metrics: Sequence[str], threads: int
) -> Iterator[Cell]:
  keys = study_grid.keys(study)
  bench = StudyRunner(study, folder, metrics)
  if any(study_results.load(folder, key) is None for key in keys):
    _ = bench.trained  # before the processes start, so that it is trained once
    for name in methods.NETWORKS:
      if f"{name}_source" in {key.method for key in keys}:
        bench.published(name)
  if processes == 1:
    yield from map(bench.run, keys) if threads == 1 else _in_threads(bench, keys, threads)
    return
  quiet = os.environ.get("TQDM_DISABLE")
  os.environ["TQDM_DISABLE"] = "1"  # bars of several processes would write over each other
  try:
    context = multiprocessing.get_context("spawn")
    shares = context.Queue()
    for cores in _shares(processes):
      shares.put(cores)
    with concurrent.futures.ProcessPoolExecutor(processes, context, _open, (shares,)) as pool:
      waiting = [pool.submit(_work, pickle.dumps(study), folder, tuple(metrics), key) for key in keys]
      try:
        for done in concurrent.futures.as_completed(waiting):
          yield done.result()
      except BaseException as stopped:
        if isinstance(stopped, training_state.StopRequested):  # cells in the making are made again
          worker_processes.kill_workers()
        pool.shutdown(cancel_futures=True)  # otherwise all that waits is run first
        raise
  finally:
    os.environ.pop("TQDM_DISABLE")
    if quiet is not None:
      os.environ["TQDM_DISABLE"] = quiet


def _in_threads(bench: StudyRunner, keys: Sequence[Key], threads: int) -> Iterator[Cell]:
  pool = concurrent.futures.ThreadPoolExecutor(threads)
  try:
    waiting = [pool.submit(bench.run, key) for key in study_grid.longest_first(bench.study, keys)]
    for done in concurrent.futures.as_completed(waiting):
      yield done.result()
  finally:
    pool.shutdown(wait=False, cancel_futures=True)  # cells that are being run end; the others are not begun


def _shares(processes: int) -> list[set[int]]:
  """The cores that each process may use; none where the system does not tell, or there are fewer cores than processes."""
  cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
  if len(cores) < processes:
    return [set() for _ in range(processes)]
  return [set(cores[k::processes]) for k in range(processes)]


def rows(study: study_config.Study, folder: str) -> list[dict[str, object]]:
  """A row per clinic, method, n_target, seed, fold and subject, with the columns `COLUMNS`, of all cells that are done."""
  found = [cell for key in study_grid.keys(study) if (cell := study_results.load(folder, key)) is not None]
  best = {
    (c.key.scenario, c.key.fold, c.key.n_target, c.key.seed): min(seen.rmse_mmhg for seen in c.validation)
    for c in found
    if c.key.method == "scratch" and c.validation
  }
  out: list[dict[str, object]] = []
  for cell in found:
    key = cell.key
    steps, seconds = cell.reached(best.get((key.scenario, key.fold, key.n_target, key.seed), float("nan")))
    spent = {"train_s": cell.train_s, "steps": cell.steps, "settings": cell.settings, "diverged": int(cell.diverged)}
    spent |= {"steps_to_scratch": steps, "s_to_scratch": seconds}
    out += [row(key, one, spent) for one in cell.errors]
  return out


def row(key: Key, found: waveform_metrics.SubjectErrors, spent: Mapping[str, float]) -> dict[str, object]:
  """One row of `study.csv`; what was not spent is NaN."""
  nothing = dict.fromkeys(("train_s", "steps_to_scratch", "s_to_scratch"), float("nan")) | {
    "steps": 0,
    "settings": 1,
    "diverged": 0,
  }
  return {**dataclasses.asdict(key), **dataclasses.asdict(found), **nothing, **spent}


def write_rows(path: str | os.PathLike[str], found: Sequence[dict[str, object]]) -> None:
  """`study.csv`, in the order of `COLUMNS`."""
  with files.write_atomically(path) as (partial,), open(partial, "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for row in found:
      writer.writerow([f"{v:.5f}" if isinstance(v := row[name], float) else v for name in COLUMNS])
