"""A file that was made to do harm is refused in words, at once, and takes no memory."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from cap_jax import files
from cap_jax.data.sources import folders
from tests.data.sources import hostile

ROOT = pathlib.Path(__file__).resolve().parents[3]


def run(folder, titles):
  """Case → what came of it. In processes of their own, whose memory is looked at."""
  command = [sys.executable, "-m", "tests.data.sources.hostile", str(folder), *titles]
  done = subprocess.run(
    command, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  return {row["case"]: row for row in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def quick(tmp_path_factory, worker_id):
  """One run for all workers: the others wait for the first."""
  base = tmp_path_factory.getbasetemp()
  folder = (base if worker_id == "master" else base.parent) / "hostile"
  folder.mkdir(exist_ok=True)
  with files.lock_folder(folder):
    if not (folder / "result.json").exists():
      result = run(folder / "cases", [case for case in hostile.CASES if case not in hostile.SLOW])
      (folder / "result.json").write_text(json.dumps(result))
  return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
  return run(tmp_path_factory.mktemp("slow"), sorted(hostile.SLOW))


def check(row):
  assert row["said"].startswith("refused: "), row
  assert "\n" not in row["said"]
  # who has an honest file of this size is told how to read it
  assert folders.MOST_GB in row["said"] or not re.search(
    r"above the limit of|more than [\d.]+ GB|millions", row["said"]
  )
  assert row["seconds"] < hostile.LONGEST_S
  assert row["grown_mb"] < 1000


@pytest.mark.parametrize("case", [case for case in hostile.CASES if case not in hostile.SLOW])
def test_it_is_refused_at_once(case, quick):
  check(quick[case])


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(hostile.SLOW))
def test_it_is_refused_at_once_too(case, slow):
  check(slow[case])


@pytest.fixture(scope="module")
def edges(tmp_path_factory):
  return run(tmp_path_factory.mktemp("edges"), list(hostile.EDGES))


@pytest.mark.slow
@pytest.mark.parametrize("case", hostile.EDGES)
def test_the_largest_honest_record_is_read_within_the_same_limits(case, edges):
  assert edges[case]["said"].startswith("READ "), edges[case]
  assert edges[case]["seconds"] < hostile.LONGEST_S
  assert edges[case]["grown_mb"] < 1000
