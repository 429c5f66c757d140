"""A file that was made to do harm is refused in words, at once, and takes no memory."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.data.sources import hostile

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
  """Case → what came of it. In a process of its own, whose memory is looked at."""
  folder = tmp_path_factory.mktemp("hostile")
  command = [sys.executable, "-m", "tests.data.sources.hostile", str(folder)]
  done = subprocess.run(
    command, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  return {row["case"]: row for row in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("case", hostile.CASES)
def test_it_is_refused_at_once(case, result):
  row = result[case]
  assert row["said"].startswith("refused: "), row
  assert "\n" not in row["said"]
  assert row["seconds"] < hostile.LONGEST_S
  assert row["grown_mb"] < 1000
