"""Killed at any moment, a training, a study and a preparation end as if they never had been."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from cap_jax.train import checkpoint
from tests import tiers
from tests.train.test_metrics_writer import events, lines

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEED = 7


def run(kind, folder, *numbers):
  """How each of the processes ended, and the moves of the last, which is not killed."""
  folder.mkdir(exist_ok=True)
  environment = {**os.environ, "JAX_PLATFORMS": "cpu", "TQDM_DISABLE": "1"}
  command = [sys.executable, "-m", "tests.kills.victim", kind, str(folder), *map(str, numbers), "0"]
  done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
  said = [line.split() for line in done.stdout.splitlines()]
  ends = [int(number) for word, number in said if word == "ended"]
  assert done.returncode == 0, done.stderr
  assert len(ends) == len(numbers) + 1
  assert set(ends) <= {0, -signal.SIGKILL}, done.stderr
  assert ends[-1] == 0, done.stderr
  return ends, int(next(number for word, number in reversed(said) if word == "moves"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """Kind → the folder of work that was left alone, and the number of its moves; made when it is first asked for."""
  done = {}

  def of(kind):
    if kind not in done:
      folder = tmp_path_factory.mktemp(kind)
      done[kind] = folder, run(kind, folder)[1]
    return done[kind]

  return of


def names(folder):
  """All files, those of TensorBoard but once, as each start has its own."""
  result = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
  return {name.split("events.out")[0] for name in result if "/d/" not in name and "/ocdbt.process" not in name}


def same_arrays(path, other):
  with np.load(path) as a, np.load(other) as b:
    assert a.files == b.files
    for name in a.files:
      np.testing.assert_array_equal(a[name], b[name], err_msg=f"{path}: {name}")


def same_journals(folder, other):
  for path in other.rglob("metrics.jsonl"):
    there, here = path.parent, folder / path.parent.relative_to(other)
    rows = [[{k: v for k, v in row.items() if k != "time_s"} for row in lines(place)] for place in (here, there)]
    assert rows[0] == rows[1], here
    assert sorted(events(here)) == sorted(events(there))


def same_training(folder, other):
  assert names(folder) == names(other)
  same_arrays(folder / "made.npz", other / "made.npz")


def timeless(path):
  """A cell without the seconds that it took, and its sum of them all."""
  cell = json.loads(path.read_text())
  return {
    **cell,
    "sha256": "",
    "train_s": 0,
    "wall_s": 0,
    "validation": [(steps, rmse) for steps, _, rmse in cell["validation"]],
  }


def same_study(folder, other):
  assert names(folder) == names(other)
  cells = sorted(other.glob("cells/**/*.json"))
  assert len(cells) == 4
  for path in cells:
    assert timeless(folder / path.relative_to(other)) == timeless(path)
  for path in other.glob("cells/**/*.npz"):
    same_arrays(folder / path.relative_to(other), path)
  jax.tree.map(
    np.testing.assert_array_equal, *(checkpoint.load(place / "checkpoint").params for place in (folder, other))
  )


def same_preparation(folder, other):
  """Every byte."""
  assert names(folder) == names(other)
  for name in names(other):
    assert (folder / name).read_bytes() == (other / name).read_bytes(), name


SAME = {"training": same_training, "study": same_study, "preparation": same_preparation}


def killed(kind, folder, whole, kill_moves):
  """Kills it at each of some moves, counted from its last start; how often it died."""
  ends, _ = run(kind, folder, *kill_moves)
  SAME[kind](folder, whole)
  same_journals(folder, whole)
  return ends.count(-signal.SIGKILL)


@pytest.mark.parametrize(("kind", "kills"), tiers.sample([("training", 3), ("preparation", 2)], ("preparation", 2)))
def test_killed_a_few_times_it_ends_as_if_never(whole, tmp_path, kind, kills):
  folder, moves = whole(kind)
  kill_moves = np.random.default_rng(SEED).integers(moves // 6, moves // 4, kills)  # each finds so many left
  assert killed(kind, tmp_path / "one", folder, kill_moves) == kills


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "lives"), [("training", 8), ("study", 8), ("preparation", 12)])
def test_killed_at_random_moves_it_ends_as_if_never(whole, tmp_path, kind, lives):
  folder, moves = whole(kind)
  rng, deaths = np.random.default_rng(SEED + 1), 0
  for number in range(lives):
    deaths += killed(kind, tmp_path / str(number), folder, rng.integers(1, moves // 2, 4))
  print(f"{kind}: killed {deaths} times in {lives} lives")
  assert deaths >= 20


@pytest.mark.quick
def test_folders_are_the_same_but_for_the_names_that_each_start_gives(tmp_path):
  for folder, number in (("a", 1), ("b", 2)):
    for name in (f"logs/events.out.tfevents.{number}", f"first/params/d/{number}", "first/config.json"):
      path = tmp_path / folder / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text("")
  assert names(tmp_path / "a") == names(tmp_path / "b") == {"logs/", "first/config.json"}
  (tmp_path / "b" / "some.partial-1").write_text("")
  assert names(tmp_path / "a") != names(tmp_path / "b")
