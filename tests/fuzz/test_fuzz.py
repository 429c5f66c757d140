"""A sample of the fuzzing with fixed seeds; the whole is `python -m tests.fuzz`."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from cap_jax.types import DataError, InputError
from tests import tiers
from tests.fuzz import targets

ROOT = pathlib.Path(__file__).resolve().parents[2]
# readers leave damaged files open, and warn of numbers that they cannot hold
pytestmark = pytest.mark.filterwarnings("ignore")
_LONG = ("pwdb_mat", "mat")
SAMPLE = {"reconstruct": 30, "checkpoint": 15}


@pytest.mark.parametrize(
  "name", tiers.sample(targets.TARGETS, *(name for name in targets.TARGETS if name not in _LONG))
)
def test_damaged_input_is_refused_in_words(name):
  target, rng = targets.TARGETS[name](), np.random.default_rng(12)
  assert all(targets.quietly(target.call, data) for data in target.seeds)
  count = SAMPLE.get(name, 60)
  said = [targets.quietly(target.call, targets.drawn(target, rng)) for _ in range(count)]
  assert said.count("refused") >= (1 if name != "reconstruct" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", targets.TARGETS)
def test_ten_thousand_inputs(name, tmp_path):
  command = [sys.executable, "-m", "tests.fuzz", f"--target={name}", "--runs=10000", f"--keep={tmp_path}"]
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stdout + done.stderr
  assert re.search(rf"^{name}: 10000 inputs", done.stdout, re.M)


@pytest.mark.quick
def test_what_is_not_a_refusal_in_words_comes_through():
  def call(error):
    if error is not None:
      raise error

  assert targets.quietly(call, None) == "read"
  assert targets.quietly(call, DataError("a.csv", "is cut", "fetch it again")) == "refused"
  with pytest.raises(AssertionError, match="without a word"):
    targets.quietly(call, InputError(" "))
  with pytest.raises(IndexError):
    targets.quietly(call, IndexError("out of bounds"))


@pytest.mark.quick
def test_damage_is_the_same_for_the_same_seed_and_changes_most_inputs():
  seeds = [bytes(range(200)), b"a,b\n1,2\n" * 30]
  first, again = ([targets.mutated(seeds, np.random.default_rng(k)) for k in range(50)] for _ in range(2))
  assert first == again
  assert sum(data not in seeds for data in first) > 40
  assert len(set(first)) > 40
