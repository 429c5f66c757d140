"""A study that is killed goes on with the same command, and finds what one that was never stopped does."""

import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np

from cap_jax.evaluation import cells, plan
from tests.experiments.commands import ROOT, run

CONFIG = """from cap_jax.config import Calibration, Model, Study, Training, Windows
from experiments import common


def get_config():
  return common.to_config_dict({study!r})
"""


def wait_for(condition, seconds=240.0):
  end = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < end, "it never came to that"
    time.sleep(0.05)


def alive(group):
  try:
    os.killpg(group, 0)
  except ProcessLookupError:
    return False
  return True


def stop_after(least, words, folder, sent, log):
  """Starts a study, sends it a signal once so many cells are done, and waits until no process of it is left."""
  environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
  command = [sys.executable, "-m", "experiments.study", *words]
  with open(log, "w") as said:
    started = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True)
    wait_for(lambda: len(list(folder.glob("cells/**/*.json"))) >= least or started.poll() is not None)
    assert started.poll() is None, log.read_text()
    started.send_signal(sent)
    started.wait(30)
  wait_for(lambda: not alive(started.pid), 30)


def test_a_stopped_study_goes_on_and_leaves_nobody_behind(small_study, done_study, tmp_path):
  """Ended once, killed once, in two processes; then what one process found in one go."""
  small = dataclasses.replace(small_study, strategies=("scratch", "feature_transfer"), n_target=(0, 1, 2))
  folder = pathlib.Path(shutil.copytree(done_study, tmp_path / "work"))
  shutil.rmtree(folder / "cells")
  (tmp_path / "small.py").write_text(CONFIG.format(study=small))
  words = [f"--config={tmp_path / 'small.py'}", f"--workdir={folder}", "--processes=2"]
  keys = plan.keys(small)
  for sent, least in ((signal.SIGTERM, 1), (signal.SIGKILL, 4)):
    stop_after(least, words, folder, sent, tmp_path / "said")
    there = [key for key in keys if cells.load(str(folder), key) is not None]
    assert least <= len(there) < len(keys)
    assert not (folder / "report.html").exists()

  done = run("study", *words)
  assert done.returncode == 0, done.stderr
  for key in keys:
    resumed, whole = (cells.load(str(where), key).errors for where in (folder, done_study))
    assert [one.subject for one in resumed] == [one.subject for one in whole]
    # other cores add in another order
    np.testing.assert_allclose(
      *([dataclasses.astuple(one)[1:] for one in found] for found in (resumed, whole)), atol=2e-3
    )
  assert (folder / "report.html").is_file()
  assert not [path for path in folder.rglob("*") if ".partial" in path.name]
