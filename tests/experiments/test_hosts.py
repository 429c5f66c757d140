"""Several hosts in one training, each a process of its own on this machine."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from cap_jax.train import checkpoint
from tests.experiments.commands import ROOT, SMALL, run
from tests.ports import free_port


def test_two_hosts_train_the_network_that_one_trains(tmp_path):
  alone = run("pretrain", *SMALL, f"--workdir={tmp_path / 'alone'}")
  assert alone.returncode == 0, alone.stderr
  port, running = free_port(), []
  for host in range(2):
    command = [sys.executable, "-m", "experiments.pretrain", *SMALL, f"--workdir={tmp_path / 'together'}"]
    command += [f"--coordinator=localhost:{port}", "--hosts=2", f"--host={host}"]
    running.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
  said = [process.communicate(timeout=400) for process in running]
  assert [process.returncode for process in running] == [0, 0], said
  assert [line for line in said[1][0].splitlines() if "Gloo" not in line] == []  # one speaks for both
  made = [checkpoint.load(tmp_path / name / "checkpoint") for name in ("alone", "together")]  # on one host again
  for name in ("f", "r"):
    kernels = [np.asarray(one.params[name]["conv" if name == "r" else "embed"]["matrix"]["kernel"]) for one in made]
    np.testing.assert_allclose(*kernels, atol=2e-3)
  errors = [float(re.search(r"RMSE ([\d.]+) mmHg", text).group(1)) for text in (alone.stdout, said[0][0])]
  assert abs(errors[0] - errors[1]) < 0.02
  assert sorted(path.name for path in pathlib.Path(tmp_path).iterdir()) == ["alone", "together"]


@pytest.mark.parametrize(
  "flags",
  [
    ["--coordinator=localhost:1234"],
    ["--hosts=2", "--host=0"],
    ["--coordinator=localhost", "--hosts=2", "--host=0"],
    ["--coordinator=localhost:1234", "--hosts=2", "--host=2"],
  ],
)
def test_a_host_that_is_not_told_who_it_is_is_refused(tmp_path, flags):
  done = run("pretrain", *SMALL, *flags, f"--workdir={tmp_path / 'x'}")
  assert done.returncode == 2
  assert "give HOST:PORT, how many hosts and which of them this is" in done.stderr
  assert not (tmp_path / "x").exists()
