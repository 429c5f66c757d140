"""The study: every method in every target clinic, on the same labelled and the same test subjects.

Its cells are (clinic, fold, method, n_target, seed). What needs no target label stands at n_target = 0. Each cell is written as it
is done (`cells`), and a study that is started again in its folder goes on.
"""

import concurrent.futures
import csv
import dataclasses
import json
import multiprocessing
import os
import threading
from collections.abc import Iterator, Mapping, Sequence

from cap_jax import config, files
from cap_jax.data import splits
from cap_jax.evaluation import cells, errors, methods, plan
from cap_jax.evaluation.bench import Bench
from cap_jax.evaluation.cells import Cell, Key
from cap_jax.types import DataError, InputError

COLUMNS = (
  "scenario",
  "method",
  "n_target",
  "seed",
  "fold",
  *(f.name for f in dataclasses.fields(errors.SubjectErrors)),
  "train_s",
  "steps",
  "settings",
  "steps_to_scratch",
  "s_to_scratch",
)
# what may change when a study goes on in its folder: more of the same
_GROWS = ("scenarios", "strategies", "baselines", "seeds")


def remember(study: config.Study, folder: str) -> None:
  """Writes what the study is, or compares: a folder holds one study, which may have grown.

  Raises:
    InputError: the folder holds another study; names the fields.
  """
  path = os.path.join(folder, "study.json")
  now = json.loads(json.dumps(dataclasses.asdict(study)))
  if os.path.exists(path):
    try:
      with open(path, encoding="utf-8") as file:
        before = json.load(file)
      seeds = before["seeds"]
    except (ValueError, KeyError, TypeError) as error:
      raise DataError(path, f"holds no study ({error})", "choose another --workdir") from None
    other = [name for name in now if name not in _GROWS and now[name] != before.get(name)]
    if seeds[:1] != now["seeds"][:1]:
      other.append("the first of seeds")
    if other:
      raise InputError(f"{folder}: holds a study with another {', '.join(other)}; choose another --workdir")
  with files.written_together(path) as (partial,), open(partial, "w", encoding="utf-8") as file:
    json.dump(now, file, indent=1)


def split_digests(folder: str) -> dict[str, str]:
  """Name of each split that the study used → its SHA-256."""
  found = {}
  for name in sorted(os.listdir(folder)):
    if name.startswith("split_") and name.endswith(".json"):
      found[name.removesuffix(".json")] = splits.load(os.path.join(folder, name)).digest
  return found


_bench: Bench | None = None


def _open(study: config.Study, folder: str, metrics: Sequence[str]) -> None:
  global _bench
  threading.Thread(target=_end_with_parent, daemon=True).start()
  _bench = Bench(study, folder, metrics)


def _end_with_parent() -> None:
  """Otherwise a process whose study was killed goes on with its cell. What it was writing is no file yet."""
  parent = multiprocessing.parent_process()
  assert parent is not None
  parent.join()
  os._exit(1)


def _work(key: Key) -> Cell:
  assert _bench is not None
  return _bench.run(key)


def run(study: config.Study, folder: str, processes: int = 1, metrics: Sequence[str] = ()) -> Iterator[Cell]:
  """All cells, each as it is done, in so many processes on this machine; `metrics` are kinds of the trainings' journals.

  Raises:
    splits.LeakError: a subject stands in two parts of the data.
    InputError: the folder holds another study.
  """
  remember(study, folder)
  keys = plan.keys(study)
  bench = Bench(study, folder, metrics)
  if any(cells.load(folder, key) is None for key in keys):
    _ = bench.trained  # before the processes start, so that it is trained once
    for name in methods.NETWORKS:
      if f"{name}_source" in {key.method for key in keys}:
        bench.published(name)
  if processes == 1:
    yield from map(bench.run, keys)
    return
  quiet = os.environ.get("TQDM_DISABLE")
  os.environ["TQDM_DISABLE"] = "1"  # bars of several processes would write over each other
  try:
    with concurrent.futures.ProcessPoolExecutor(
      processes, multiprocessing.get_context("spawn"), _open, (study, folder, metrics)
    ) as pool:
      for done in concurrent.futures.as_completed([pool.submit(_work, key) for key in keys]):
        yield done.result()
  finally:
    os.environ.pop("TQDM_DISABLE")
    if quiet is not None:
      os.environ["TQDM_DISABLE"] = quiet


def rows(study: config.Study, folder: str) -> list[dict[str, object]]:
  """A row per clinic, method, n_target, seed, fold and subject, with the columns `COLUMNS`, of all cells that are done."""
  found = [cell for key in plan.keys(study) if (cell := cells.load(folder, key)) is not None]
  best = {
    (c.key.scenario, c.key.fold, c.key.n_target, c.key.seed): min(seen.rmse_mmhg for seen in c.validation)
    for c in found
    if c.key.method == "scratch" and c.validation
  }
  out: list[dict[str, object]] = []
  for cell in found:
    key = cell.key
    steps, seconds = cell.reached(best.get((key.scenario, key.fold, key.n_target, key.seed), float("nan")))
    spent = {"train_s": cell.train_s, "steps": cell.steps, "settings": cell.settings}
    spent |= {"steps_to_scratch": steps, "s_to_scratch": seconds}
    out += [row(key, one, spent) for one in cell.errors]
  return out


def row(key: Key, found: errors.SubjectErrors, spent: Mapping[str, float]) -> dict[str, object]:
  """One row of `study.csv`; what was not spent is NaN."""
  nothing = dict.fromkeys(("train_s", "steps_to_scratch", "s_to_scratch"), float("nan")) | {"steps": 0, "settings": 1}
  return {**dataclasses.asdict(key), **dataclasses.asdict(found), **nothing, **spent}


def write_rows(path: str | os.PathLike[str], found: Sequence[dict[str, object]]) -> None:
  """`study.csv`, in the order of `COLUMNS`."""
  with files.written_together(path) as (partial,), open(partial, "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for row in found:
      writer.writerow([f"{v:.5f}" if isinstance(v := row[name], float) else v for name in COLUMNS])
