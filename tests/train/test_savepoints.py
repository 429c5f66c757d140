"""States of trainings, kept and found again."""

import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax.train import savepoints
from cap_jax.types import InputError


def progress(done, value=1.0):
  state = (jnp.full(3, value), jnp.asarray(done))
  metrics = [{"loss": jnp.arange(2.0)}, {"loss": jnp.zeros(2), "other": jnp.ones(2)}]
  return savepoints.Progress(1, done, state, metrics, [0.5], [(done, 2.5)], [(1, 0.5, 3.0)], 0.25)


def test_a_state_comes_back_whole(tmp_path):
  with savepoints.kept(str(tmp_path)):
    savepoints.Training("a", "x").save(progress(500))
  with savepoints.kept(str(tmp_path)):
    keep = savepoints.Training("a", "x")
    found = keep.restore(keep.latest(), progress(0, 0.0).state)
  np.testing.assert_array_equal(found.state[0], 1.0)
  assert int(found.state[1]) == found.done == 500
  assert [sorted(chunk) for chunk in found.metrics] == [["loss"], ["loss", "other"]]
  np.testing.assert_array_equal(found.metrics[0]["loss"], [0, 1])
  assert (found.times, found.scores, found.seen, found.train_s) == ([0.5], [(500, 2.5)], [(1, 0.5, 3.0)], 0.25)


def test_the_last_two_stay_and_a_damaged_one_gives_way(tmp_path, capsys):
  with savepoints.kept(str(tmp_path)):
    keep = savepoints.Training("a", "x")
    for done in (500, 1000, 1500):
      keep.save(progress(done))
  assert sorted(path.name for path in (tmp_path / "000").iterdir()) == ["000001000", "000001500"]
  largest = max(
    (p for p in (tmp_path / "000" / "000001500" / "params").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
  )
  content = bytearray(largest.read_bytes())
  content[len(content) // 2] ^= 1
  largest.write_bytes(bytes(content))
  with savepoints.kept(str(tmp_path)):
    found = savepoints.Training("a", "x").latest()
  assert found["done"] == 1000
  assert f"{largest.name}: the file is damaged" in capsys.readouterr().err
  assert not (tmp_path / "000" / "000001500").exists()


def test_the_state_of_another_training_is_refused(tmp_path):
  with savepoints.kept(str(tmp_path)):
    savepoints.Training("a", "x").save(progress(500))
  with savepoints.kept(str(tmp_path)), pytest.raises(InputError, match=r"the state of another training \(a\)"):
    savepoints.Training("a", "y").latest()


def test_a_fingerprint_tells_values_shapes_and_names():
  x = np.arange(1000.0).reshape(500, 2)
  other = [savepoints.fingerprint(part) for part in ({"x": x}, {"y": x}, {"x": x[:400]}, {"x": x + 1}, {"x": 1.0}, {})]
  assert len(set(other)) == len(other)


def test_without_a_keeper_nothing_is_kept(tmp_path):
  keep = savepoints.Training("a", "x")
  assert keep.latest() is None
  assert not keep.due(500)
  keep.save(progress(500))
  assert not list(tmp_path.iterdir())
