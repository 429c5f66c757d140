"""Writes where it may not: `python -m tests.train.full_disk FOLDER full|locked …`, each way in a folder and a process of its own.

Two checkpoints, two states and a store, of which each second and the store meet a disk that takes no file of more than 2 kB, or a folder that
may not be written to. Prints what was raised, and what is there.
"""

import os
import pathlib
import resource
import sys

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import config
from cap_jax.data import preparation, scalings
from cap_jax.train import checkpoint, training_state
from cap_jax.types import InputError
from tests.data import test_store
from tests.train import people

NOBODY = 65534


def shut(folder: pathlib.Path, how: str) -> None:
  if how == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
    return
  for place in (folder, folder / "training_states" / "000"):
    place.chmod(0o555)
  if os.geteuid() == 0:  # who may write everywhere
    os.seteuid(NOBODY)


def progress(done: int) -> training_state.Progress:
  state = (jnp.asarray(np.random.default_rng(1).normal(size=9999), jnp.float32),)
  return training_state.Progress(
    stage=0, done=done, state=state, metrics=[{"loss": jnp.ones(50)}], times=[0.5], scores=[], history=[], train_s=0.5
  )


def work(folder: pathlib.Path, how: str) -> None:
  model = config.Model(channels=16, layers=1, head_channels=16)
  params = people.drawn(model)
  output = checkpoint.Checkpoint(params=params, model=model, scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0))
  keep = training_state.TrainingStates("a", "x", training_state.StateKeeper(str(folder / "training_states")))
  checkpoint.save(folder / "first", output)
  keep.save(progress(500))
  shut(folder, how)
  writes = (
    lambda: checkpoint.save(folder / "second", output),
    lambda: keep.save(progress(1000)),
    lambda: preparation.prepare(test_store.dataset(), folder / "store", test_store.SPEC, test_store.HOW),
  )
  for write in writes:
    try:
      write()
    except (OSError, InputError) as error:
      print(f"{type(error).__name__}: {error}")
  saved = keep.latest()
  assert saved is not None
  assert saved["done"] == 500
  again = checkpoint.load(folder / "first")
  jax.tree.map(np.testing.assert_array_equal, again.params, params)
  print(*sorted(path.name for path in (*folder.iterdir(), *(folder / "training_states" / "000").iterdir())), flush=True)


def main() -> None:
  for how in sys.argv[2:]:
    child = os.fork()  # jax has not begun yet
    if not child:
      work(pathlib.Path(sys.argv[1]) / how, how)
      return
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
      raise SystemExit(f"{how}: did not come to its end")


if __name__ == "__main__":
  main()
