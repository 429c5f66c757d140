"""Splits by subject, windows, scaling, batches, the virtual clinic."""

import dataclasses
import json

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import batches, recordings, scalings, splits
from cap_jax.types import InputError

pytestmark = pytest.mark.quick


def recording(name, seconds=10, fs=125.0, offset=0.0):
  t = np.arange(int(seconds * fs)) / fs
  p = 90 + offset + 20 * np.sin(2 * np.pi * t)
  return recordings.Recording(
    subject=name, time_s=t, signals={"radial": p, "aortic_root": p - 5}, units={"radial": "mmHg", "aortic_root": "mmHg"}
  )


def test_splits_are_disjoint_repeatable_and_hashed(tmp_path):
  names = [f"s{k}" for k in range(30)]
  one = splits.draw(names, {"a": 10, "b": 5}, seed=1)
  assert one == splits.draw(names, {"a": 10, "b": 5}, seed=1)
  assert one != splits.draw(names, {"a": 10, "b": 5}, seed=2)
  assert not set(one.subjects["a"]) & set(one.subjects["b"])
  one.save(tmp_path / "split.json")
  saved = json.loads((tmp_path / "split.json").read_text())
  assert saved["sha256"] == one.digest == splits.Split({k: tuple(reversed(v)) for k, v in one.subjects.items()}).digest


def test_a_split_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
  path = tmp_path / "split.json"
  splits.Split({"a": ("x",)}).save(path)
  before = path.read_text()

  def full(content, file, indent):
    file.write('{"sha256":')
    raise OSError("no space left")

  monkeypatch.setattr(splits.json, "dump", full)
  with pytest.raises(OSError, match="no space left"):
    splits.Split({"a": ("y",)}).save(path)
  assert path.read_text() == before
  assert [p.name for p in tmp_path.iterdir()] == ["split.json"]


def test_leaks_raise():
  with pytest.raises(splits.LeakError, match=r"\['x'\] are in both 'a' and 'b'"):
    splits.Split({"a": ("x", "y"), "b": ("x",)})
  with pytest.raises(splits.LeakError, match="duplicate subject"):
    splits.draw(["x", "x"], {"a": 1}, seed=0)
  with pytest.raises(ValueError, match="need 3 subjects, but there are only 2"):
    splits.draw(["x", "y"], {"a": 3}, seed=0)


def test_windows_keep_their_subject():
  pairs = batches.make_pairs([recording("a"), recording("b", seconds=5)], "radial", config.Windows())
  assert pairs.x_bt.shape == (9, 500)
  assert pairs.subjects == ("a", "b")
  np.testing.assert_allclose(pairs.x_bt - pairs.y_bt, 5, atol=1e-4)
  assert pairs.of(["b"]).x_bt.shape == (2, 500)
  with pytest.raises(InputError, match="have no windows"):
    pairs.of(["c"])


def test_a_share_of_the_windows_is_taken_evenly_from_each_recording():
  given = [recording("a", 30), recording("b", 5)]
  whole = batches.make_pairs(given, "radial", config.Windows())
  few = batches.make_pairs(given, "radial", config.Windows(), most=3)
  assert [int((few.subject_b == name).sum()) for name in ("a", "b")] == [3, 2]
  np.testing.assert_array_equal(few.x_bt[:3], whole.of(["a"]).x_bt[[0, 13, 26]])


@pytest.mark.parametrize("seconds", [1.0, 2.6])
def test_a_single_beat_is_repeated_with_both_waves_in_step(seconds):
  whole = batches.make_pairs([recording("a")], "radial", config.Windows())
  short = batches.make_pairs([recording("a", seconds=seconds)], "radial", config.Windows())
  assert short.x_bt.shape == (1, 500)
  np.testing.assert_allclose(short.x_bt - short.y_bt, 5, atol=1e-3)
  # the same wave as the long record's, from wherever its first whole beat begins
  best = min(np.abs(np.roll(short.y_bt[0, :125], lag) - whole.y_bt[0, :125]).max() for lag in range(125))
  assert best < 2
  np.testing.assert_allclose(short.y_bt[0, :125], short.y_bt[0, 125:250], atol=1e-3)


@pytest.mark.parametrize(
  ("bad", "message"),
  [
    (recording("a", seconds=0.25), "shorter than one beat"),
    (recording("a", fs=100.0), "resample to 125 Hz"),
    (
      recordings.Recording(subject="a", time_s=np.arange(999) / 125, signals={"radial": np.ones(999)}, units={}),
      "no signal at aortic_root",
    ),
  ],
)
def test_unusable_recordings_are_refused(bad, message):
  with pytest.raises(InputError, match=message):
    batches.make_pairs([bad], "radial", config.Windows())


def test_scaling_is_of_the_training_input_and_inverts():
  pairs = batches.make_pairs([recording("a", offset=7)], "radial", config.Windows())
  scaling = scalings.fit(pairs)
  assert scaling.mean_mmhg == pytest.approx(97, abs=0.1)
  assert scaling.sd_mmhg == pytest.approx(20 / np.sqrt(2), abs=0.1)
  np.testing.assert_allclose(scaling.unscale(scaling.scale(pairs.x_bt)), pairs.x_bt, atol=1e-3)


def test_a_ppg_is_scaled_window_by_window_and_the_pressures_by_the_reference():
  pairs = batches.make_pairs([recording("a", offset=7)], "radial", config.Windows())
  assert pairs.moments(reference=True) != pairs.moments()
  scaling = scalings.fit(pairs, unitless=True)
  assert (scaling.mean_mmhg, scaling.sd_mmhg) == pairs.moments(reference=True)
  np.testing.assert_allclose(scaling.unscale(scaling.scale(pairs.y_bt)), pairs.y_bt, atol=1e-3)
  x_bt = scaling.scale_input(pairs.x_bt)
  np.testing.assert_allclose(
    [x_bt.min(1), x_bt.max(1)], [[-0.45 / 0.28] * len(x_bt), [0.55 / 0.28] * len(x_bt)], rtol=1e-5
  )
  np.testing.assert_allclose(scaling.scale_input(1e3 * pairs.x_bt - 5), x_bt, atol=1e-4)
  assert scaling != scalings.Scaling(mean_mmhg=scaling.mean_mmhg, sd_mmhg=scaling.sd_mmhg)
  pressure = scalings.fit(pairs)
  np.testing.assert_array_equal(pressure.scale_input(pairs.x_bt), pressure.scale(pairs.x_bt))


def test_batches_visit_every_window_equally():
  arrays = {"target": {"x": np.arange(10), "y": np.arange(10) * 2}, "source": {"x": np.arange(100)}}
  stacks = list(batches.stacks(arrays, batch=4, steps=10, chunk=5, seed=0))
  assert [stack["target"]["x"].shape for stack in stacks] == [(5, 4), (5, 4)]
  observed = np.concatenate([stack["target"]["x"].ravel() for stack in stacks])
  np.testing.assert_array_equal(np.bincount(observed), np.full(10, 4))
  assert all((stack["target"]["y"] == 2 * stack["target"]["x"]).all() for stack in stacks)
  single = batches.stacks({"target": arrays["target"]}, batch=4, steps=10, chunk=5, seed=0)
  for mine, whole in zip(single, stacks, strict=True):  # the order of one stream does not depend on the others
    np.testing.assert_array_equal(mine["target"]["x"], whole["target"]["x"])
  with pytest.raises(ValueError, match="not a multiple"):
    list(batches.stacks(arrays, batch=4, steps=7, chunk=5, seed=0))


def test_covariates_go_with_their_windows_and_are_standardised_by_the_training_subjects():
  result = [
    dataclasses.replace(recording(name), covariates={"age": age, "hr_bpm": 60.0})
    for name, age in (("a", 30.0), ("b", 50.0))
  ]
  result[1] = dataclasses.replace(result[1], covariates={"age": 50.0})
  pairs = batches.make_pairs(result, "radial", config.Windows())
  assert set(pairs.covariates) == {"age", "hr_bpm"}
  known = np.isfinite(pairs.covariates["hr_bpm"])
  np.testing.assert_array_equal(known, pairs.subject_b == "a")  # what one lacks is known of the others
  with pytest.raises(InputError, match=r"covariate 'hr_bpm': missing in \d+ of \d+ windows or records; fill it in"):
    scalings.fit(pairs, ("hr_bpm",))
  only = pairs.of(["b"])
  np.testing.assert_array_equal(only.covariates["age"], 50.0)
  scaling = scalings.fit(pairs, ("age",))
  assert (
    scalings.fit(pairs, ("age", "age")).scalars == scaling.scalars
  )  # read by the network, and predicted by its task
  np.testing.assert_allclose(scaling.standardise(only.covariates, ("age",), len(only.x_bt)), 1.0, atol=1e-5)
  assert scaling.standardise({}, (), 3).shape == (3, 0)
  with pytest.raises(InputError, match=r"covariate 'weight': missing in these windows \(found: age"):
    scaling.standardise(only.covariates, ("weight",), 3)
  with pytest.raises(InputError, match="covariate 'weight': unknown; choose from age, hr_bpm"):
    scalings.fit(pairs, ("weight",))
  one = scalings.fit(only, ("age",))  # one subject has no spread: a share of the mean stands for it
  assert {name: sd for name, _, sd in one.scalars}["age"] == pytest.approx(2.5)


def test_unlabelled_windows_hold_no_reference():
  waves = batches.make_pairs([recording("a")], "radial", config.Windows()).unlabelled()
  assert [field.name for field in dataclasses.fields(waves)] == ["x_bt", "subject_b", "covariates", "site"]
