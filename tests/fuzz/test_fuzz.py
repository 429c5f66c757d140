"""A sample of the fuzzing with fixed seeds; the whole is `python -m tests.fuzz`."""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from cap_jax.data import store
from cap_jax.train import checkpoint
from cap_jax.types import DataError, InputError
from tests import tiers
from tests.fuzz import header_targets, targets

ROOT = pathlib.Path(__file__).resolve().parents[2]
# readers leave damaged files open, and warn of numbers that they cannot hold
pytestmark = pytest.mark.filterwarnings("ignore")
_LONG = ("pwdb_mat", "mat")
SAMPLE = {"reconstruct": 30, "checkpoint": 15, "checkpoint_header": 40}


@pytest.mark.parametrize(
  "name", tiers.sample(targets.TARGETS, *(name for name in targets.TARGETS if name not in _LONG))
)
def test_damaged_input_is_refused_in_words(name):
  target, rng = targets.TARGETS[name](), np.random.default_rng(12)
  assert all(targets.quietly(target.call, data) for data in target.seeds)
  count = SAMPLE.get(name, 60)
  said = [targets.quietly(target.call, targets.drawn(target, rng)) for _ in range(count)]
  assert said.count("refused") >= (1 if name != "reconstruct" else 0)


@pytest.mark.parametrize("name", ["checkpoint_header", "store"])
def test_headers_that_nobody_changed_are_read_as_they_are(name, monkeypatch):
  target = targets.TARGETS[name]()
  assert [targets.quietly(target.call, data) for data in target.seeds] == ["read"] * len(target.seeds)
  rng = np.random.default_rng(0)
  assert len({target.draw(rng) for _ in range(100)}) > 95
  if name == "checkpoint_header":  # a value that was read as another is found
    whole = checkpoint.header_of
    monkeypatch.setattr(checkpoint, "header_of", lambda network: whole(network) | {"task": "masked"})
  else:
    monkeypatch.setattr(
      store, "_record", lambda values, whole=store._record: dataclasses.replace(whole(values), record="x")
    )
  with pytest.raises(AssertionError):
    target.call(target.seeds[0])


@pytest.mark.quick
def test_each_change_of_a_header_is_made_somewhere():
  content = {"a": [1.5, {"b": "text"}], "c": True}
  places = header_targets.places(content)
  assert places == [("a",), ("a", 0), ("a", 1), ("a", 1, "b"), ("c",)]
  results = [
    json.dumps(header_targets.changed(content, bytes([place, 0, change, 200])))
    for place in range(len(places))
    for change in range(len(header_targets._CHANGES))
  ]
  assert len(set(results)) > 150
  assert json.dumps({"a": [1.5, {"b": "text"}]}) in results
  assert json.dumps({"a": [1e308, {"b": "text"}], "c": True}) in results
  assert json.dumps(header_targets.changed(content, b"")) == json.dumps(content)


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
