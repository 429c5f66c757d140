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


# of sizes that no record has, which no limit should admit
ABSURD = {"a_case_of_a_thousand_years", "a_rate_that_is_no_number", "a_sample_in_thirty_million_years"}


def faults(row):
  """What is wrong with a refusal: who has an honest file of its size is told how to read it."""
  said = row["said"]
  of_size = re.search(r"above the limit of|more than [\d.]+ GB|millions", said)
  rules = {
    "read": said.startswith("refused: "),
    "of several lines": "\n" not in said,
    "without the limit": (folders.MOST_GB in said) != (row["case"] in ABSURD) or not of_size,
    "absurd without saying so": row["case"] not in ABSURD or "its header is damaged or false" in said,
    "slow": row["seconds"] < hostile.LONGEST_S,
    "large": row["grown_mb"] < 1000,
  }
  return [name for name, held in rules.items() if not held]


@pytest.mark.parametrize("case", [case for case in hostile.CASES if case not in hostile.SLOW])
def test_it_is_refused_at_once(case, quick):
  assert faults(quick[case]) == [], quick[case]


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(hostile.SLOW))
def test_it_is_refused_at_once_too(case, slow):
  assert faults(slow[case]) == [], slow[case]


@pytest.fixture(scope="module")
def edges(tmp_path_factory):
  return run(tmp_path_factory.mktemp("edges"), list(hostile.EDGES))


@pytest.mark.slow
@pytest.mark.parametrize("case", hostile.EDGES)
def test_the_largest_honest_record_is_read_within_the_same_limits(case, edges):
  assert edges[case]["said"].startswith("READ "), edges[case]
  assert edges[case]["seconds"] < hostile.LONGEST_S
  assert edges[case]["grown_mb"] < 1000
