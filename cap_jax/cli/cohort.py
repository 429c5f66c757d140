"""Writes a virtual cohort: one beat of each subject at all sites, with its parameters.

python -m experiments.cohort --subjects=4374 --output=DIR [--format=pwdb] [--population=reference] [--seed=0] [--plot]
"""

import concurrent.futures
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pandas
import tqdm
from absl import flags

from cap_jax import clinics, executors, files, own_files
from cap_jax.arteries import cohort, network, plausibility, population, profiles
from cap_jax.cli import executor_flag, launcher, output_folders
from cap_jax.data.sources import pwdb_writer
from cap_jax.haemodynamics import pwdb_parameters, timing
from cap_jax.report import cohort as sheets
from cap_jax.report import figures

_SUBJECTS = flags.DEFINE_integer("subjects", 4374, "number of virtual subjects", lower_bound=1, upper_bound=10**6)
_OUTPUT = flags.DEFINE_string("output", None, "folder to create")
_FORMAT = flags.DEFINE_enum("format", "npz", ["npz", "pwdb"], "one file of arrays, or the CSV layout of PWDB")
_POPULATION = flags.DEFINE_enum("population", "reference", list(clinics.POPULATIONS), "population of the subjects")
_SEED = flags.DEFINE_integer("seed", 0, "random seed", lower_bound=0, upper_bound=2**32 - 1)
_PLOT = flags.DEFINE_bool("plot", False, "plot the waves by decade and site to waves.png")
_EXECUTOR = executor_flag.define("processes:1")
_BLOCK = 128
_DRAWN = 40  # number of waves of a decade


def _results(
  subjects: population.Subject,
  function: Callable[[population.Subject], Any],
  executor: concurrent.futures.Executor | None,
) -> Iterator[Any]:
  """Yields the result of a function for each block of subjects, in order, without the rows that only fill the last block.

  All blocks have one size, and thus use one compiled program.
  """
  subjects = jax.tree.map(np.asarray, subjects)
  count = len(subjects.age)
  starts = range(0, count, _BLOCK)
  tasks = [(jax.tree.map(lambda x, k=k: x[np.arange(k, k + _BLOCK) % count], subjects),) for k in starts]
  with tqdm.tqdm(total=count, desc="subjects", unit="") as bar:
    for start, result in zip(starts, executors.in_order(executor, function, tasks), strict=True):
      kept = min(_BLOCK, count - start)
      yield jax.tree.map(lambda x, k=kept: x[:k], result)
      bar.update(kept)


def _table(subjects: population.Subject) -> dict[str, np.ndarray]:
  """Returns the parameters of the subjects, and the quantities derived from them."""
  return {**subjects._asdict(), **{name: np.asarray(x) for name, x in cohort.derived(subjects).items()}}


def _beats(block: population.Subject) -> dict[str, np.ndarray]:
  return {site: np.asarray(wave) for site, wave in cohort.beats(block).items()}


def _write_npz(folder: str, subjects: population.Subject, executor: concurrent.futures.Executor | None) -> None:
  blocks = list(_results(subjects, _beats, executor))
  waves = {site: np.concatenate([part[site] for part in blocks]) for site in blocks[0]}
  np.savez(own_files.claimed(os.path.join(folder, "cohort.npz")), **waves, **_table(subjects))  # type: ignore[arg-type]


def _pwdb_rows(block: population.Subject) -> tuple[Any, ...]:
  """Computes what the layout of PWDB has of each subject: waves, parameters, foot times [s] and the period [s]."""
  signals = profiles.profiles(block)
  period_s = 60 / np.asarray(block.hr_bpm, dtype=float)
  waves = {signal: np.asarray(x, dtype=float) for signal, x in zip(pwdb_writer.SIGNALS, signals, strict=True)}
  foot_s = timing.foot_times(waves["P"], period_s[:, None])
  return waves, pwdb_parameters.parameters(block, signals), foot_s, period_s


def _write_pwdb(folder: str, subjects: population.Subject, executor: concurrent.futures.Executor | None) -> None:
  columns = max(pwdb_writer.beat_samples(60 / hr) for hr in np.asarray(subjects.hr_bpm, dtype=float))
  with pwdb_writer.Writer(folder, list(network.PWDB_SITES), columns) as writer:
    for waves, parameters, foot_s, period_s in _results(subjects, _pwdb_rows, executor):
      writer.write(waves, foot_s, period_s, parameters)


def _sheet(subjects: population.Subject) -> bytes:
  """Draws the waves of a few subjects of each decade."""
  decade = np.asarray(subjects.age) // 10
  rows = np.concatenate([np.flatnonzero(decade == d)[:_DRAWN] for d in np.unique(decade)])
  few = jax.tree.map(lambda x: x[rows], subjects)
  beats = cohort.beats(few)
  waves = {site: np.asarray(beats[site]) for site in (*network.SITES, cohort.PPG)}
  return figures.to_png(sheets.sheet(np.asarray(few.age), 60 / np.asarray(few.hr_bpm), waves))


def main() -> None:
  output = launcher.required(_OUTPUT, "cohort")
  executors.check(_EXECUTOR.value)
  with executors.opened(_EXECUTOR.value) as workers, output_folders.whole_folder(output, "--output") as folder:
    spec = clinics.POPULATIONS[_POPULATION.value]
    subjects = plausibility.draw(jax.random.key(_SEED.value), spec, _SUBJECTS.value)
    {"npz": _write_npz, "pwdb": _write_pwdb}[_FORMAT.value](folder, subjects, workers.executor)
    with files.write_atomically(os.path.join(folder, "subjects.csv")) as (partial,):
      pandas.DataFrame(_table(subjects)).to_csv(partial, index=False, float_format="%.7g")
    facts = launcher.provenance(data="in silico", population=_POPULATION.value, seed=str(_SEED.value))
    with (
      files.write_atomically(os.path.join(folder, "about.json")) as (partial,),
      open(partial, "w", encoding="utf-8") as file,
    ):
      json.dump(facts, file, indent=2)
    if _PLOT.value:
      with files.write_atomically(os.path.join(folder, "waves.png")) as (partial,), open(partial, "wb") as image:
        image.write(_sheet(subjects))
  print(f"{output}: {_SUBJECTS.value} virtual subjects (in silico)")
