"""Work that kills itself: `python -m tests.kills.victim KIND FOLDER NUMBER …` at its NUMBER-th move, at none if that is 0; of several
numbers one after the other, each in a process of its own that begins with all that is imported.

Moves are all that leaves a trace: a chunk of steps, a row of the journal, a file written, brought to the disk or renamed, a folder made or
removed. A file that is killed holds its first half. Prints of each process how many moves there were, if it came to its end, and how it ended.
"""

import contextlib
import json
import os
import pathlib
import signal
import sys

import numpy as np

from cap_jax import config, files
from cap_jax.data import preparation
from cap_jax.study import study_config
from tests.data import test_store

# what trains is imported by the kinds that train: a preparation begins in half the time without it
MODEL = config.Model(channels=8, layers=1, head_channels=8)
STUDY = study_config.Study(
  scenarios=("device",), n_target=(0, 1), baselines=("gtf_target", "source"), strategies=("scratch", "fine_tuning/head"),
  source_subjects=24, source_seconds=8.0, labelled_subjects=3, unlabelled_subjects=3, validation_subjects=2, test_subjects=4,
  target_seconds=8.0, model=MODEL, pretrain=config.Training(steps=300), steps=50,
)  # fmt: skip
_moves = 0


def counted(place, name, number):
  """Every call of a function is a move; the one that is killed has not begun, or where it writes has come half the way."""
  real = getattr(place, name)

  def call(*args, **options):
    global _moves
    _moves += 1
    if _moves == number:
      if name == "dump":
        text = json.dumps(args[0])
        args[1].write(text[: len(text) // 2])
        args[1].flush()
      os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **options)

  setattr(place, name, call)


def training(folder):
  """Of a source and a target network, with the journal and the states, in a work folder as commands have it."""
  from cap_jax.cli import distributed, output_folders
  from cap_jax.strategies import find
  from cap_jax.train import domains, loop, metrics_writer, runs, source_training
  from tests.train import people

  with contextlib.suppress(OSError, ValueError):
    if json.loads((folder / "run_settings.json").read_text())["finished"]:
      with contextlib.suppress(output_folders.FinishedError), distributed.work_folder(str(folder), MODEL):
        raise AssertionError("a finished run is not run again")
      return
  source, validation = people.pairs([f"s{k}" for k in range(4)], 6, 0), people.pairs(["v0"], 3, 4)
  data = domains.Data(
    source, people.pairs(["u0", "u1"], 3, 1).unlabelled(), people.pairs(people.PEOPLE, 4, 2), validation
  )
  logs = str(folder / "logs")
  with (
    distributed.work_folder(str(folder), MODEL) as (_, states),
    metrics_writer.writing(logs, metrics_writer.KINDS) as metrics,
  ):
    recorder = loop.Recorder(states, metrics)
    trained, _ = source_training.pretrain(
      source, validation, model=MODEL, spec=config.Training(steps=300, batch=8), recorder=recorder
    )
    output = runs.adapt(find("fine_tuning/lp_ft"), trained, data, runs.Budget(200, 8), recorder=recorder)
    save(folder / "made.npz", output)


def save(path, output):
  """All that a training gives."""
  import jax

  result = {f"metric_{name}": value for name, value in output.fitted.metrics.items()}
  observed = np.array([(one.steps, one.rmse_mmhg) for one in output.fitted.validation])
  leaves = {f"leaf_{k:03d}": np.asarray(x) for k, x in enumerate(jax.tree.leaves(output.checkpoint.params))}
  best = output.best or output.checkpoint
  leaves |= {f"best_{k:03d}": np.asarray(x) for k, x in enumerate(jax.tree.leaves(best.params))}
  steps = output.best.about["steps"] if output.best else 0
  with files.write_atomically(path) as (partial,), open(partial, "wb") as file:
    hashes = np.array(output.checkpoint.seen_subject_hashes)
    np.savez(file, seen=observed, best=steps, hashes=hashes, **result, **leaves)


def study(folder):
  """All cells of a small study in one process."""
  from cap_jax.cli import output_folders
  from cap_jax.study import run_study as studies
  from cap_jax.train import metrics_writer

  output_folders.open_folder(str(folder))
  for cell in studies.run(STUDY, str(folder), metrics=metrics_writer.KINDS):
    assert not cell.diverged


def preparation_(folder):
  """A store of three shards, with a record that is lost."""
  preparation.prepare(test_store.dataset(), folder / "store", test_store.SPEC, test_store.HOW, shard_records=3)


KINDS = {"training": training, "study": study, "preparation": preparation_}


def places_of(kind):
  """The functions whose calls are moves: where each stands, and its name there."""
  places = [(os, name) for name in ("fsync", "rename", "replace", "mkdir", "rmdir")]
  places += [(json, "dump"), (test_store._Read, "__call__"), (np, "savez_compressed")]
  if kind != "preparation":
    from cap_jax.models import net as nets
    from cap_jax.train import clock, metrics_writer, training_state

    training_state.EVERY = 100
    places += [(clock.Clock, "launched"), (metrics_writer.MetricsWriter, "write"), (nets.Net, "init")]
  return places


def work(kind, folder, number):
  for place, name in places_of(kind):
    counted(place, name, number)
  KINDS[kind](folder)
  print("moves", _moves, flush=True)


def main() -> None:
  kind, folder, *numbers = sys.argv[1:]
  places_of(kind)  # imports what is heavy
  for number in numbers:
    child = os.fork()  # jax has not begun yet
    if not child:
      work(kind, pathlib.Path(folder), int(number))
      return
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
  main()
