"""A full disk and a folder that may not be written to: an error that names the place, nothing half-written, what was there intact."""

import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("how", "words"), [("full", "File too large"), ("locked", "Permission denied")])
def test_an_error_and_the_old_one_intact(tmp_path, how, words):
  folder = tmp_path / "runs"
  folder.mkdir()
  for above in (tmp_path, *tmp_path.parents):  # somebody else must be able to come here
    if above == pathlib.Path(tempfile.gettempdir()):
      break
    above.chmod(0o755)
  environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
  command = [sys.executable, "-m", "tests.train.full_disk", str(folder), how]
  done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  assert "Traceback" not in done.stderr  # the libraries below keep still
  *raised, there = done.stdout.splitlines()
  assert len(raised) == 2
  for line, place in zip(raised, ("second", "000001000"), strict=True):
    assert words in line
    assert place in line
  assert there == "000000500 first savepoints"
