"""States of trainings, kept and found again."""

import dataclasses
import errno

import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax.strategies import find
from cap_jax.train import checksummed, loop, prediction, runs, training_state
from cap_jax.types import InputError
from tests.train import people


def progress(done, value=1.0):
  state = (jnp.full(3, value), jnp.asarray(done))
  metrics = [{"loss": jnp.arange(2.0)}, {"loss": jnp.zeros(2), "other": jnp.ones(2)}]
  return training_state.Progress(
    stage=1,
    done=done,
    state=state,
    metrics=metrics,
    times=[0.5],
    scores=[(done, 2.5)],
    history=[(1, 0.5, 3.0)],
    train_s=0.25,
  )


@pytest.mark.quick
def test_a_state_comes_back_whole(tmp_path):
  training_state.TrainingStates("a", "x", training_state.StateKeeper(str(tmp_path))).save(progress(500))
  keep = training_state.TrainingStates("a", "x", training_state.StateKeeper(str(tmp_path)))
  result = keep.restore(keep.latest(), progress(0, 0.0).state)
  np.testing.assert_array_equal(result.state[0], 1.0)
  assert int(result.state[1]) == result.done == 500
  assert [sorted(chunk) for chunk in result.metrics] == [["loss"], ["loss", "other"]]
  np.testing.assert_array_equal(result.metrics[0]["loss"], [0, 1])
  assert (result.times, result.scores, result.history, result.train_s) == ([0.5], [(500, 2.5)], [(1, 0.5, 3.0)], 0.25)


@pytest.mark.quick
def test_the_last_two_stay_and_a_damaged_one_gives_way(tmp_path, capsys):
  keep = training_state.TrainingStates("a", "x", training_state.StateKeeper(str(tmp_path)))
  for done in (500, 1000, 1500):
    keep.save(progress(done))
  assert sorted(path.name for path in (tmp_path / "000").iterdir()) == ["000001000", "000001500"]
  largest = max(
    (p for p in (tmp_path / "000" / "000001500" / "params").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
  )
  content = bytearray(largest.read_bytes())
  content[len(content) // 2] ^= 1
  largest.write_bytes(bytes(content))
  result = training_state.TrainingStates("a", "x", training_state.StateKeeper(str(tmp_path))).latest()
  assert result["done"] == 1000
  assert f"{largest.name}: the file is damaged" in capsys.readouterr().err
  assert not (tmp_path / "000" / "000001500").exists()
  assert len(list((tmp_path / "000").glob("000001500.damaged-*"))) == 1


@pytest.mark.quick
def test_the_best_stays_beside_the_last_two(tmp_path):
  errors = {500: 3.0, 1000: 2.0, 1500: 2.5, 2000: 2.25, 2500: 2.125}
  keep = training_state.TrainingStates("a", "x", training_state.StateKeeper(str(tmp_path)))
  for done in errors:
    scores = [(at, error) for at, error in errors.items() if at <= done]
    keep.save(dataclasses.replace(progress(done, float(done)), scores=scores, history=[]))
  steps, params = keep.best(jnp.zeros(3), errors)
  assert keep.best(jnp.zeros(3), {}) is None
  with pytest.raises(InputError, match="has shape"):
    keep.best(jnp.zeros(4), errors)
  assert sorted(int(path.name) for path in (tmp_path / "000").iterdir()) == [1000, 2000, 2500]
  assert steps == 1000
  np.testing.assert_array_equal(params, 1000.0)
  assert (
    training_state.TrainingStates("a", "x", training_state.StateKeeper(str(tmp_path))).latest()["done"] == 2500
  )  # the best is not where it goes on


def saved(folder, *steps, **changes):
  keep = training_state.TrainingStates("a", "x", training_state.StateKeeper(str(folder)))
  for done in steps:
    keep.save(dataclasses.replace(progress(done), **changes))
  return keep


@pytest.mark.quick
def test_only_a_damaged_state_gives_way(tmp_path, monkeypatch):
  """One of another format, or on a disk that does not answer, stays and is told."""
  keep = saved(tmp_path, 500, 1000)
  there = sorted((tmp_path / "000").rglob("*"))

  def unanswered(folder):
    raise OSError(errno.EIO, "Input/output error", folder)

  with monkeypatch.context() as patch:
    patch.setattr(checksummed, "_digests", unanswered)
    with pytest.raises(InputError, match=r"params: cannot be read \(Input/output error\)"):
      keep.latest()
  with monkeypatch.context() as patch:
    patch.setattr(training_state, "_FORMAT", 99)
    with pytest.raises(InputError, match="format 5, but this version reads format 99"):
      keep.latest()
  assert sorted((tmp_path / "000").rglob("*")) == there
  (tmp_path / "000" / "000001500").write_text("no folder")
  assert keep.latest()["done"] == 1000


@pytest.mark.quick
def test_a_damaged_best_gives_way_to_the_next(tmp_path, capsys):
  errors = {500: 2.0, 1000: 3.0, 1500: 4.0}
  keep = saved(tmp_path, 500, 1000, 1500, scores=list(errors.items()), history=[])
  with open(tmp_path / "000" / "000000500" / "config.json", "a") as file:
    file.write("}")
  assert keep.best(jnp.zeros(3), errors)[0] == 1000
  assert "000000500" in capsys.readouterr().err


@pytest.mark.quick
def test_what_is_not_a_number_is_not_a_good_state(tmp_path):
  keep = saved(tmp_path, 500)
  keep.save(progress(1000, float("nan")))
  assert keep.latest()["done"] == 500


@pytest.mark.quick
def test_the_state_of_another_training_is_refused(tmp_path):
  training_state.TrainingStates("a", "x", training_state.StateKeeper(str(tmp_path))).save(progress(500))
  other = training_state.TrainingStates("a", "y", training_state.StateKeeper(str(tmp_path)))
  with pytest.raises(InputError, match=r"the state of another training \(a\)"):
    other.latest()


@pytest.mark.quick
def test_a_fingerprint_reports_values_shapes_and_names():
  x = np.arange(1000.0).reshape(500, 2)
  other = [
    training_state.fingerprint(part)
    for part in (
      {"x": x},
      {"y": x},
      {"x": x[:400]},
      {"x": x + 1},
      {"x": 1.0},
      {},
      {"x": x + (np.arange(500) == 3)[:, None]},
    )
  ]
  assert len(set(other)) == len(other)


@pytest.mark.quick
def test_without_a_keeper_nothing_is_kept(tmp_path):
  keep = training_state.TrainingStates("a", "x")
  assert keep.latest() is None
  assert not keep.due(500)
  keep.save(progress(500))
  assert not list(tmp_path.iterdir())


def test_a_target_network_comes_with_its_best_where_that_is_not_the_end(tiny_model, tmp_path, monkeypatch):
  """As scored on validation windows by hand, at the steps whose states were kept."""
  monkeypatch.setattr(training_state, "EVERY", 50)
  budget, trained, data = people.ground(tiny_model, 600)
  validation = people.pairs(["v0"], 4, 9)
  data = dataclasses.replace(data, validation=validation)
  recorder = loop.Recorder(training_state.StateKeeper(str(tmp_path)))
  output = runs.adapt(find("scratch"), trained, data, budget, recorder=recorder)
  observed = {one.steps: one.rmse_mmhg for one in output.fitted.validation}
  least = min(observed, key=observed.get)
  assert least < max(observed), "the last state is the best: nothing is tried here"
  assert output.best.about["steps"] == least
  result = prediction.square_error(prediction.predict(output.best, validation), validation, trained.windows)
  np.testing.assert_allclose(np.sqrt(result.mean()), observed[least], rtol=1e-5)
  assert runs.adapt(find("scratch"), trained, data, budget).best is None  # nothing was kept
