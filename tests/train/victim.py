"""A training that kills itself: `python -m tests.train.victim FOLDER NUMBER` at its NUMBER-th move, at none if that is 0.

Moves are all that leaves a trace: a chunk of steps, an array store, a file brought to the disk, a folder renamed or removed, a row of the
journal. Prints how many it made.
"""

import dataclasses
import os
import pathlib
import shutil
import signal
import sys

import numpy as np

from cap_jax import config, files
from cap_jax.models import net as nets
from cap_jax.train import checkpoint, clock, journal, runs, savepoints, sealed
from tests.train import people

_moves = 0


def counted(place, name, number):
  """Every call of a function is a move; the one that is killed has begun and not ended where it writes."""
  real = getattr(place, name)

  def call(*args, **options):
    global _moves
    _moves += 1
    if _moves == number:
      os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **options)

  setattr(place, name, call)


def train(folder, model):
  study = config.Study(model=model, steps=200, batch=8, pretrain=config.Training(steps=300, batch=8))
  source, validation = people.pairs([f"s{k}" for k in range(4)], 6, 0), people.pairs(["v0"], 3, 4)
  data = runs.Data(source, people.pairs(["u0", "u1"], 3, 1).unlabelled(), people.pairs(people.PEOPLE, 4, 2))
  with journal.kept(str(folder / "logs"), ("jsonl",)), savepoints.kept(str(folder / "savepoints")):
    trained, _ = runs.pretrain(study, source, validation)
    made = runs.adapt(study, "fine_tuning/lp_ft", trained, data, 0, "radial", validation)
  return made


def main() -> None:
  folder, number = pathlib.Path(sys.argv[1]), int(sys.argv[2])
  savepoints.EVERY = 100
  for place, name in (
    (files, "sync"),
    (sealed.os, "rename"),
    (sealed.json, "dump"),
    (savepoints.shutil, "rmtree"),
    (clock.Clock, "launched"),
    (journal.Journal, "write"),
    (nets.Net, "init"),
  ):
    counted(place, name, number)
  for left in folder.rglob("*.partial-*"):
    shutil.rmtree(left)
  made = train(folder, dataclasses.replace(config.Model(), channels=8, layers=1, head_channels=8))
  fitted = {f"metric_{name}": value for name, value in made.fitted.metrics.items()}
  seen = np.array([(one.steps, one.rmse_mmhg) for one in made.fitted.validation])
  leaves = {f"leaf_{k:03d}": np.asarray(x) for k, x in enumerate(checkpoint.jax.tree.leaves(made.checkpoint.params))}
  np.savez(folder / "made.npz", seen=seen, **fitted, **leaves)
  print(_moves)


if __name__ == "__main__":
  main()
