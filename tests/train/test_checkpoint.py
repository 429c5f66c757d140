"""Checkpoints: whole or refused."""

import dataclasses
import json
import pathlib
import shutil
import tempfile

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from cap_jax import config
from cap_jax.data import batches, scalings, splits
from cap_jax.inference import pretrained
from cap_jax.train import checkpoint, checksummed, uncertainty_calibration
from cap_jax.types import InputError
from tests.train import older_checkpoints, people

pytestmark = pytest.mark.quick


@pytest.fixture
def saved(tmp_path, tiny_model):
  model = dataclasses.replace(tiny_model, adaptor="fir", covariates=("age",))
  params = people.drawn(model)
  scaling = scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0, scalars=(("age", 50.0, 12.0),))
  output = checkpoint.Checkpoint(params=params, model=model, scaling=scaling, task="waveform", about={"n": 1})
  output = dataclasses.replace(output, seen_subject_hashes=checkpoint.digests_of(["Ann", "Bob"], ["Bob"]))
  checkpoint.save(tmp_path / "checkpoint", output)
  return output, tmp_path / "checkpoint"


def test_comes_back_whole_in_one_call(saved):
  output, path = saved
  loaded = checkpoint.load(path)
  assert dataclasses.replace(loaded, params={}) == dataclasses.replace(output, params={})
  for a, b in zip(jax.tree.leaves(output.params), jax.tree.leaves(loaded.params), strict=True):
    np.testing.assert_array_equal(a, b)
  x = np.ones((1, 500), np.float32)
  c = np.zeros((1, len(output.model.covariates)), np.float32)
  np.testing.assert_array_equal(output.net.apply(output.params, x, c), loaded.net.apply(loaded.params, x, c))


def test_no_file_names_a_folder_of_the_machine_that_wrote_it(saved):
  packaged = [pretrained.place(name) for name in pretrained.names()]
  for folder in (saved[1], *packaged):
    written = [path for path in pathlib.Path(folder).rglob("*") if path.is_file()]
    assert len(written) > 4
    for path in written:
      content = path.read_bytes()
      assert not [
        name for name in (tempfile.gettempdir(), str(saved[1].parent), "/tmp/", "/home/") if name.encode() in content
      ], path


def test_it_knows_whom_it_has_met(saved):
  loaded = checkpoint.load(saved[1])
  assert len(loaded.seen_subject_hashes) == 2
  assert [loaded.has_seen(name) for name in ("Ann", "Bob", "Eve")] == [True, True, False]
  assert "Ann" not in (saved[1] / checkpoint.HEADER).read_text()


def test_never_overwrites_and_leaves_no_part(saved):
  output, path = saved
  with pytest.raises(InputError, match="already exists"):
    checkpoint.save(path, output)
  assert [p.name for p in path.parent.iterdir()] == ["checkpoint"]


def test_a_failed_save_leaves_nothing(saved, monkeypatch):
  output, path = saved

  def fail(*args):
    raise OSError("disk full")

  monkeypatch.setattr(checksummed.os, "rename", fail)
  with pytest.raises(OSError, match="disk full"):
    checkpoint.save(path.parent / "other", output)
  assert [p.name for p in path.parent.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"channels": 16}, r"parameter f/.* has shape .*config.json implies"),
    ({"layers": 2}, r"f/layer_1/.* is not stored"),
    ({"layers": 0}, r"f/layer_0/.* is stored but not part of the network"),
    ({"extractor": "other"}, "extractor 'other' is unknown"),
    ({"depth": 3}, "damaged, or written by another project"),
  ],
)
def test_a_checkpoint_of_other_shapes_is_refused(saved, change, message):
  _, path = saved
  header = path / "config.json"
  content = json.loads(header.read_text())
  content["model"].update(change)
  header.write_text(json.dumps(content))
  with pytest.raises(InputError, match=r"config\.json: modified after it was written"):
    checkpoint.load(path)
  content["sha256"]["config.json"] = checksummed._digest_of(content)  # as if written so
  header.write_text(json.dumps(content))
  with pytest.raises(InputError, match=message):
    checkpoint.load(path)


def test_foreign_folders_are_refused(saved, tmp_path):
  _, path = saved
  with pytest.raises(InputError, match=r"no checkpoint found; train one with the command `cap-jax pretrain`"):
    checkpoint.load(tmp_path / "absent")
  (path / "config.json").write_text('{"format": 99}')
  with pytest.raises(InputError, match="format 99, but this version reads format 3, 4, 5 and 6"):
    checkpoint.load(path)
  (path / "config.json").write_text("{")
  with pytest.raises(InputError, match="damaged, or written by another project"):
    checkpoint.load(path)


@pytest.mark.parametrize("written", [3, 4, 5])
def test_an_older_checkpoint_is_read(tmp_path, tiny_model, written):
  calibration = uncertainty_calibration.UncertaintyCalibration(
    head=people.drawn(tiny_model)["r"],
    detector=None,
    hr_bpm=(50.0, 90.0),
    ood_threshold=40.0,
    level=0.9,
    wave=1.5,
    csbp=float("inf"),
    subjects=20,
    where="validation subjects",
  )
  current = checkpoint.Checkpoint(
    params=people.drawn(tiny_model),
    model=tiny_model,
    scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0, scalars=(("age", 50.0, 12.0),)),
    uncertainty_calibration=calibration,
    seen_subject_hashes=checkpoint.digests_of(["Ann"]),
  )
  checkpoint.save(tmp_path / "new", current)
  older_checkpoints.write(tmp_path / "older", current, written)

  loaded, expected = checkpoint.load(tmp_path / "older"), checkpoint.load(tmp_path / "new")
  assert loaded.uncertainty_calibration.hr_bpm == (None if written == 3 else (50.0, 90.0))
  assert loaded.has_seen("Ann")
  assert (loaded.scaling, loaded.signals, loaded.model) == (expected.scaling, expected.signals, expected.model)
  # a distance is no logit: without a detector nothing is flagged
  assert loaded.uncertainty_calibration.detector is None
  assert loaded.uncertainty_calibration.ood_threshold == (float("inf") if written < 5 else 40.0)
  assert (loaded.uncertainty_calibration.wave, loaded.uncertainty_calibration.csbp) == (1.5, float("inf"))
  jax.tree.map(np.testing.assert_array_equal, loaded.params, expected.params)
  jax.tree.map(
    np.testing.assert_array_equal,
    loaded.uncertainty_calibration.arrays,
    expected.uncertainty_calibration.arrays,
  )


def test_a_checkpoint_of_format_4_reads_pressures(saved, tmp_path):
  output, path = saved
  header = json.loads((path / checkpoint.HEADER).read_text())
  del header["scaling"]["unitless"], header["sha256"]
  header["seen_subject_hashes"] = ["0123456789ab"]
  checksummed.write(tmp_path / "older", {**header, "format": 4}, output.params)
  loaded = checkpoint.load(tmp_path / "older")
  assert loaded.scaling == output.scaling
  assert not loaded.scaling.unitless
  assert loaded.seen_subject_hashes == ("0123456789ab",)


@pytest.mark.parametrize("text", ["AAAA", "?", 3])
def test_hashes_that_are_none_are_refused(saved, tmp_path, text):
  output, path = saved
  header = json.loads((path / checkpoint.HEADER).read_text())
  del header["sha256"]
  checksummed.write(tmp_path / "other", {**header, "seen_subject_hashes": text}, output.params)
  with pytest.raises(InputError, match="damaged, or written by another project"):
    checkpoint.load(tmp_path / "other")


def test_a_network_of_ppg_says_whether_it_knows_the_level(saved, tmp_path):
  output, _ = saved
  signals = config.Signals("digital_ppg")
  ppg = dataclasses.replace(output, signals=signals, scaling=dataclasses.replace(output.scaling, unitless=True))
  checkpoint.save(tmp_path / "ppg", ppg)
  loaded = checkpoint.load(tmp_path / "ppg")
  assert loaded.scaling == ppg.scaling
  assert loaded.scaling.unitless
  assert loaded.unknown_level.startswith("the pressure level is unknown")
  assert loaded.unknown_level.endswith("apart from what age tells")
  assert output.unknown_level == ""
  cuff = dataclasses.replace(ppg, model=dataclasses.replace(ppg.model, covariates=("age", "cuff_sbp_mmhg")))
  assert cuff.unknown_level == ""


def test_missing_parameters_are_refused(saved):
  _, path = saved
  shutil.rmtree(path / "params")
  with pytest.raises(InputError, match="the file is missing"):
    checkpoint.load(path)


def test_damaged_parameters_are_refused(saved):
  _, path = saved
  largest = max((f for f in (path / "params").rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
  whole = largest.read_bytes()
  for damaged in (whole[: len(whole) // 2], whole[:-9] + b"x" + whole[-8:], b""):
    largest.write_bytes(damaged)
    with pytest.raises(InputError, match=rf"{largest.name}: the file is damaged; copy the checkpoint again"):
      checkpoint.load(path)


def test_an_additional_file_is_refused(saved):
  _, path = saved
  (path / "params" / "more").write_bytes(b"x")
  with pytest.raises(InputError, match="more: the file is unexpected"):
    checkpoint.load(path)


def test_parameters_that_are_not_finite_are_not_saved(saved):
  output, path = saved
  lost = jax.tree.map(np.asarray, output.params)
  lost["f"] = jax.tree.map(lambda x: x * np.nan, lost["f"])
  with pytest.raises(InputError, match=r"parameter f/.* contains NaN or infinite values"):
    checkpoint.save(path.parent / "other", dataclasses.replace(output, params=lost))
  assert [p.name for p in path.parent.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
  ("block", "change"),
  [
    ("scaling", {"mean_mmhg": float("nan")}),
    ("scaling", {"sd_mmhg": 0.0}),
    ("windows", {"seconds": 1e12}),
    ("model", {"layers": 10**7}),
    (None, {"task": "other"}),
  ],
)
def test_a_header_that_cannot_be_is_refused(saved, block, change):
  _, path = saved
  header = path / "config.json"
  content = json.loads(header.read_text())
  (content if block is None else content[block]).update(change)
  content["sha256"]["config.json"] = checksummed._digest_of(content)
  header.write_text(json.dumps(content))
  with pytest.raises(InputError, match=r"config\.json"):
    checkpoint.load(path)


def test_a_header_of_brackets_is_refused(saved):
  _, path = saved
  (path / "config.json").write_text("[" * 200_000)
  with pytest.raises(InputError, match="damaged, or written by another project"):
    checkpoint.load(path)


def test_a_scaling_that_saw_the_evaluated_subjects_raises(saved):
  """Whoever fits it on all_windows, and says nothing of it in `met`."""
  output, _ = saved
  rng = np.random.default_rng(0)
  wave_bt = rng.normal(92, 17, (2, 500)).astype(np.float32)
  all_windows = batches.Pairs(wave_bt, wave_bt, np.array(["Dan", "Eve"]), {"age": np.array([40.0, 60.0])})
  leaking = dataclasses.replace(output, scaling=scalings.fit(all_windows, ["age"]))
  with pytest.raises(splits.LeakError, match=r"1 of these subjects \(Eve\); evaluate it on"):
    leaking.check_unseen(["Eve", "Zoe"])
  leaking.check_unseen(["Zoe"])
  checkpoint.save(saved[1].parent / "leaking", leaking)
  again = checkpoint.load(saved[1].parent / "leaking")  # it stays known, the names do not
  assert [again.has_seen(name) for name in ("Ann", "Eve", "Zoe")] == [True, True, False]
  assert "Eve" not in (saved[1].parent / "leaking" / checkpoint.HEADER).read_text()


def test_no_host_waits_for_the_signal_of_another():
  """Orbax's asynchronous checkpointer has signals that all hosts share."""
  assert not isinstance(checksummed._checkpointer(), ocp.AsyncCheckpointer)
