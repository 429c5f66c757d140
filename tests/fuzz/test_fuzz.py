"""A sample of the fuzzing with fixed seeds; the whole is `python -m tests.fuzz`."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from tests import tiers
from tests.fuzz import targets

ROOT = pathlib.Path(__file__).resolve().parents[2]
# readers leave damaged files open, and warn of numbers that they cannot hold
pytestmark = pytest.mark.filterwarnings("ignore")
_LONG = ("pwdb_mat", "mat")
SAMPLE = {"reconstruct": 30, "checkpoint": 30}


@pytest.mark.parametrize(
  "name", tiers.sample(targets.TARGETS, *(name for name in targets.TARGETS if name not in _LONG))
)
def test_damaged_input_is_refused_in_words(name):
  target, rng = targets.TARGETS[name](), np.random.default_rng(12)
  assert all(targets.quietly(target.call, data) for data in target.seeds)
  count = SAMPLE.get(name, 60)
  said = [targets.quietly(target.call, targets.mutated(target.seeds, rng)) for _ in range(count)]
  assert said.count("refused") >= (1 if name != "reconstruct" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", targets.TARGETS)
def test_ten_thousand_inputs(name, tmp_path):
  command = [sys.executable, "-m", "tests.fuzz", f"--target={name}", "--runs=10000", f"--keep={tmp_path}"]
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stdout + done.stderr
  assert re.search(rf"^{name}: 10000 inputs", done.stdout, re.M)
