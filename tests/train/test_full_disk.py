"""A full disk and a folder that may not be written to: an error that names the place, nothing half-written, what was there intact."""

import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

WORDS = {"full": "File too large", "locked": "Permission denied"}


@pytest.fixture(scope="module")
def said():
  """What each way says, a line an error and one of what is there."""
  with tempfile.TemporaryDirectory(prefix="cap_jax-disks-") as folder:
    for place in (folder, *(os.path.join(folder, how) for how in WORDS)):
      os.makedirs(place, exist_ok=True)
      os.chmod(place, 0o755)  # somebody else must be able to come here, which pytest forbids in its own folders
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.train.full_disk", folder, *WORDS]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  assert "Traceback" not in done.stderr  # the libraries below keep still
  lines = done.stdout.splitlines()
  assert len(lines) == 4 * len(WORDS)
  return {how: lines[4 * k : 4 * k + 4] for k, how in enumerate(WORDS)}


@pytest.mark.parametrize(("how", "wording"), WORDS.items())
def test_an_error_and_the_old_one_intact(said, how, wording):
  *raised, there = said[how]
  for line, place in zip(raised, ("second", "000001000", "store"), strict=True):
    assert wording in line
    assert place in line
  begun = "store " if how == "full" else ""  # a preparation that ended in an error can go on
  assert there == f"000000500 first {begun}training_states"
