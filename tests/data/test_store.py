"""The store: what was conditioned comes back, in any number of processes, after any stop; streams show each window once."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal

import numpy as np
import pandas
import pytest
import tensorstore

from cap_jax import config, files, own_files
from cap_jax.data import (
  batches,
  conditioning,
  datasets,
  preparation,
  recordings,
  scalings,
  shards,
  signal_names,
  splits,
  store,
  stream,
  subject_partition,
)
from cap_jax.data.sources import DATASETS
from cap_jax.study import study_config, study_datasets
from cap_jax.types import DataError, InputError
from tests.data.sources import write
from tests.signals.test_synchrony import pulses

SPEC = config.Conditioning()
WINDOWS = config.Windows()
PAIR = ("radial", "aortic_root")
HOW = subject_partition.Partition({"training": 0.5, "test": 0.5})


def _recording(number):
  time_s = np.arange(40 * 125) / 125
  waves = {"radial": pulses(125.0, 40, 0.08, seed=number), "aortic_root": 0.8 * pulses(125.0, 40, seed=number) + 15}
  if number == 3:
    waves["radial"][1000:1600] = np.nan
  if number == 5:
    del waves["aortic_root"]
  if number == 6:
    raise DataError("six.csv", "is bad", "mend it")
  known = {"age": 40.0 + number, "cuff_sbp_mmhg": 120.0 + number, "cuff_dbp_mmhg": 70.0}
  return recordings.Recording(
    subject=f"s{number:02d}",
    time_s=time_s,
    signals=waves,
    units=dict.fromkeys(waves, "mmHg"),
    covariates=known,
    record="r",
  )


class _Read:
  """Reads a record; can be pickled. Its process is killed if there is no file at `marker` yet, which it then makes."""

  def __init__(self, number, marker=None):
    self.number, self.marker = number, marker

  def __call__(self):
    if self.marker and not os.path.exists(self.marker):
      pathlib.Path(self.marker).touch()
      os.kill(os.getpid(), signal.SIGKILL)
    return _recording(self.number)


def dataset(count=8, killed_at=None, marker=None):
  """Eight records, of which one kills its reader once."""
  entries = tuple(
    datasets.Entry(f"s{k:02d}", "r", f"file {k}", _Read(k, marker if k == killed_at else None)) for k in range(count)
  )
  return datasets.DataSet(name="csv", entries=entries, source="nobody", licence="none", path="/nowhere", channels=None)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  path = tmp_path_factory.mktemp("stores") / "a"
  return preparation.prepare(dataset(), path, SPEC, HOW, shard_records=3)


@pytest.mark.quick
def test_signals_come_back_as_they_were_conditioned(prepared):
  result = {recording.subject: recording for recording in prepared.recordings()}
  assert sorted(result) == [f"s{k:02d}" for k in range(8) if k != 6]
  for number in (0, 3, 5):
    saved, _ = conditioning.condition(_recording(number), SPEC)
    recording = result[saved.subject]
    assert recording.covariates == saved.covariates
    assert set(recording.signals) == set(saved.signals)
    for name, wave in saved.signals.items():
      np.testing.assert_array_equal(recording.signals[name], wave.astype(np.float32))


def test_the_manifest_reports_source_hash_and_what_was_left_out(prepared):
  manifest = prepared.manifest
  assert manifest["source"] == "nobody"
  assert manifest["lost"] == [{"where": "file 6", "subject": "s06", "problem": "is bad", "remedy": "mend it"}]
  assert [shard["records"] for shard in manifest["shards"]] == [3, 3, 1]
  assert store.open_store(prepared.path, verify=True).manifest == manifest
  assert manifest["totals"]["good_s"]["radial"] == pytest.approx(7 * 40 - 600 / 125, abs=3.0)


def test_stopped_after_its_manifest_a_preparation_tidies_up(prepared, tmp_path, monkeypatch):
  path = tmp_path / "c"

  def stopped(root):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(preparation, "_tidied", stopped)
    with pytest.raises(KeyboardInterrupt):
      preparation.prepare(dataset(), path, SPEC, HOW, shard_records=3)
  assert (path / "plan.json").is_file()
  output = preparation.prepare(dataset(), path, SPEC, HOW, shard_records=3)
  assert output.manifest["sha256"] == prepared.manifest["sha256"]
  assert not [p.name for p in path.iterdir() if p.name.endswith(".shard.json") or p.name == "plan.json"]


def test_a_shard_that_was_changed_is_written_again(prepared, tmp_path, monkeypatch, capsys):
  path = tmp_path / "c"

  def stopped(*args):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(preparation, "_finish", stopped)
    with pytest.raises(KeyboardInterrupt):
      preparation.prepare(dataset(), path, SPEC, HOW, shard_records=3)
  chunk = path / "shard-00000" / "radial" / "c" / "0"
  content = bytearray(chunk.read_bytes())
  content[len(content) // 2] ^= 1
  chunk.write_bytes(bytes(content))
  with pytest.raises(InputError, match="other data or settings"):
    preparation.prepare(
      dataset(), path, SPEC, subject_partition.Partition({"training": 0.9, "test": 0.1}), shard_records=3
    )
  output = preparation.prepare(dataset(), path, SPEC, HOW, shard_records=3)
  assert "shard-00000: was modified after it was written" in capsys.readouterr().err
  assert output.manifest["sha256"] == prepared.manifest["sha256"]
  (tmp_path / "file").write_text("")
  with pytest.raises(InputError, match="is a file; choose a folder"):
    preparation.prepare(dataset(), tmp_path / "file", SPEC, HOW)


def test_a_cut_plan_is_named_and_two_preparations_do_not_share_a_folder(tmp_path):
  path = tmp_path / "c"
  path.mkdir()
  (path / "plan.json").write_text('{"format": 1, "sha')
  with pytest.raises(DataError, match=r"plan\.json: cannot be read .* choose another folder or remove this one"):
    preparation.prepare(dataset(), path, SPEC, HOW, shard_records=3)
  (path / "plan.json").unlink()
  with files.lock_folder(path), pytest.raises(InputError, match="another process is running there"):
    preparation.prepare(dataset(), path, SPEC, HOW, shard_records=3)


def test_a_stopped_preparation_resumes(prepared, tmp_path, monkeypatch):
  path, written = tmp_path / "c", []
  whole = shards.write

  def stopping(root, name, *rest):
    if name == "shard-00001" and len(written) < 2:
      written.append(name)
      raise KeyboardInterrupt
    written.append(name)
    return whole(root, name, *rest)

  monkeypatch.setattr(shards, "write", stopping)
  with pytest.raises(KeyboardInterrupt):
    preparation.prepare(dataset(), path, SPEC, HOW, shard_records=3)
  with pytest.raises(DataError, match="the preparation is incomplete; run the same prepare command again"):
    store.open_store(path)
  with pytest.raises(InputError, match="contains a stopped preparation with other data or settings"):
    preparation.prepare(dataset(5), path, SPEC, HOW, shard_records=3)
  output = preparation.prepare(dataset(), path, SPEC, HOW, shard_records=3)
  assert written == ["shard-00000", "shard-00001", "shard-00001", "shard-00002"]  # the first is not written again
  assert output.manifest["sha256"] == prepared.manifest["sha256"]
  assert sorted(p.name for p in path.iterdir()) == [
    "manifest.json",
    "shard-00000",
    "shard-00001",
    "shard-00002",
    "split.json",
  ]
  finished = preparation.prepare(dataset(), path, SPEC, HOW, shard_records=3)  # again: nothing is written
  assert finished.manifest == output.manifest
  with pytest.raises(InputError, match="already contains a complete store of other data or settings"):
    preparation.prepare(dataset(), path, SPEC, HOW, shard_records=4)


def test_strict_stops_at_the_first_bad_record(tmp_path):
  with pytest.raises(DataError, match=r"six\.csv, subject s06: is bad; mend it"):
    preparation.prepare(dataset(), tmp_path / "d", SPEC, HOW, shard_records=3, strict=True)


def test_a_bad_record_in_the_end_does_not_cost_the_good_ones(tmp_path):
  with pytest.raises(DataError, match="is bad"):
    preparation.prepare(dataset(), tmp_path / "j", SPEC, HOW, shard_records=3, strict=True)
  assert (tmp_path / "j" / "shard-00001").is_dir()
  output = preparation.prepare(dataset(), tmp_path / "j", SPEC, HOW, shard_records=3)  # not strict: it goes on
  assert len(output.shards) == 3
  assert output.manifest["totals"]["beats"]["radial"] == sum(
    conditioning.condition(_recording(k), SPEC)[1].beats["radial"] for k in range(8) if k != 6
  )


@pytest.mark.quick
def test_damage_is_seen(prepared, tmp_path):
  path = tmp_path / "e"
  shutil.copytree(prepared.path, path)
  victim = next((path / "shard-00001" / "radial").rglob("c/*"))
  victim.write_bytes(victim.read_bytes()[:-8] + b"12345678")
  with pytest.raises(DataError, match="shard-00001: was modified after it was written"):
    store.open_store(path, verify=True)
  opened = store.open_store(path)
  victim.write_bytes(b"short")
  with pytest.raises(
    DataError, match=r"shard-00001/radial/c/0: has 5 bytes, must be a file of \d+ to \d+ bytes; prepare the data again"
  ):
    store.open_store(path)
  with pytest.raises(DataError, match=r"shard-00001/radial: cannot be read"):
    opened.recordings()
  shutil.copy(prepared.path / victim.relative_to(path), victim)
  manifest = json.loads((path / "manifest.json").read_text())
  for virtual, place in ((True, datasets.IN_SILICO), (False, datasets.REAL)):  # format 1 knew no rigs
    older = {name: value for name, value in manifest.items() if name != "place"} | {"format": 1, "in_silico": virtual}
    (path / "manifest.json").write_text(json.dumps(older))
    assert store.open_store(path).place == place
  (path / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
  with pytest.raises(DataError, match="format 99, but this version reads format 2"):
    store.open_store(path)


@pytest.mark.quick
def test_a_store_is_written_and_read_through_its_parent(tmp_path, monkeypatch):
  (tmp_path / "elsewhere").mkdir()
  monkeypatch.chdir(tmp_path / "elsewhere")
  preparation.prepare(dataset(3), "../store", SPEC, HOW)
  by_parent, by_place = (list(store.open_store(path).recordings()) for path in ("../store", tmp_path / "store"))
  assert len(by_parent) == len(by_place) == 3
  for one, other in zip(by_parent, by_place, strict=True):
    np.testing.assert_array_equal(one.signals["radial"], other.signals["radial"])


def test_a_store_that_was_prepared_anew_is_read_anew(tmp_path):
  """In one process, where the arrays of a folder are opened once."""
  for count in (2, 4):
    preparation.prepare(dataset(count), tmp_path / "s", SPEC, HOW)
    opened = store.open_store(tmp_path / "s")
    assert [wave.size for wave in (one.signals["radial"] for one in opened.recordings())] == [5000] * count
    shutil.rmtree(tmp_path / "s")


def streamed(prepared, subjects=None, calibration=None, **share):
  names = prepared.usable(PAIR, WINDOWS.samples) if subjects is None else subjects
  return stream.Stream(prepared, list(names), PAIR, WINDOWS, calibration or config.Calibration(), **share)


@pytest.mark.quick
def test_an_epoch_shows_each_window_once(prepared):
  result = streamed(prepared)
  usable = sorted(prepared.usable(PAIR, WINDOWS.samples))
  assert usable == ["s00", "s01", "s02", "s03", "s04", "s07"]
  frozen = batches.make_pairs(prepared.recordings(usable), "radial", WINDOWS, gaps=True)
  assert result.count == len(frozen.x_bt)
  assert result.subjects == tuple(usable)
  x_bt, y_bt, _ = next(result.draws(result.count, 0))
  order, other = (np.lexsort(x[:, :3].T) for x in (x_bt, frozen.x_bt))
  np.testing.assert_array_equal(x_bt[order], frozen.x_bt[other])
  np.testing.assert_array_equal(y_bt[order], frozen.y_bt[other])
  assert not np.array_equal(x_bt, frozen.x_bt)  # in another order
  again, _, _ = next(streamed(prepared).draws(result.count, 0))
  np.testing.assert_array_equal(again, x_bt)


def test_processes_share_the_windows(prepared, monkeypatch):
  monkeypatch.setattr(stream, "BLOCK", 2000)
  whole = streamed(prepared)
  pieces = [streamed(prepared, process=k, processes=3) for k in range(3)]
  assert sum(part.count for part in pieces) == whole.count
  observed = [next(part.draws(part.count, 1))[0][:, :4] for part in pieces]
  together = {tuple(row) for rows in observed for row in rows.tolist()}
  assert len(together) == len({tuple(r) for r in next(whole.draws(whole.count, 1))[0][:, :4].tolist()})
  assert sum(len({tuple(r) for r in rows.tolist()}) for rows in observed) == len(together)
  assert len({part.moments() for part in pieces}) == 1  # one scaling for all


def test_scaling_is_fitted_without_reading_and_calibrated(prepared):
  subjects = ["s00", "s01", "s02"]
  frozen = batches.make_pairs(prepared.recordings(subjects), "radial", dataclasses.replace(WINDOWS, hop_s=4.0))
  assert scalings.fit(streamed(prepared, subjects), ["age"]).scalars[0][1] == pytest.approx(41.0)
  mean, sd = streamed(prepared, subjects).moments()
  assert mean == pytest.approx(frozen.moments()[0], abs=0.2)
  assert sd == pytest.approx(frozen.moments()[1], abs=0.2)
  cuff = config.Calibration(kind="sbp_dbp")
  calibrated = streamed(prepared, ["s02"], cuff)
  x_bt, _, _ = next(calibrated.draws(calibrated.count, 0))
  assert x_bt.max() == pytest.approx(122.0, abs=1.5)
  assert x_bt.min() == pytest.approx(70.0, abs=1.5)
  assert calibrated.moments()[0] == pytest.approx(float(x_bt.mean()), abs=0.7)


def test_each_window_has_the_calibration_and_the_covariates_of_its_record(prepared, monkeypatch):
  monkeypatch.setattr(stream, "BLOCK", 3000)
  result = streamed(prepared, calibration=config.Calibration(kind="sbp_dbp"))
  x_bt, _, row_b = next(result.draws(result.count, 2))
  for row in np.unique(row_b):
    own = x_bt[row_b == row]
    sbp = result.covariates["cuff_sbp_mmhg"][row]
    assert np.median(own.max(1)) == pytest.approx(sbp, abs=1.0)
    assert result.covariates["age"][row] == sbp - 80.0


def test_records_without_a_reading_are_left_out(prepared):
  shards = tuple(
    dataclasses.replace(
      shard,
      records=tuple(dataclasses.replace(r, covariates={}) if r.subject == "s02" else r for r in shard.records),
    )
    for shard in prepared.shards
  )
  result = streamed(dataclasses.replace(prepared, shards=shards), calibration=config.Calibration(kind="sbp_dbp"))
  assert "s02" not in result.subjects
  assert result.left_out == (
    "s02: calibration sbp_dbp needs cuff_sbp_mmhg, cuff_dbp_mmhg (found: nothing); add the missing covariates",
  )


def test_a_lost_chunk_is_an_error_and_no_gap(prepared, tmp_path):
  shutil.copytree(prepared.path, tmp_path / "g")
  opened = store.open_store(tmp_path / "g")
  next((tmp_path / "g" / "shard-00001" / "radial").rglob("c/*")).unlink()
  with pytest.raises(DataError, match=r"shard-00001/radial/c/0: is missing; prepare the data again"):
    store.open_store(tmp_path / "g")
  with pytest.raises(DataError, match="radial: contains fewer samples than were written"):
    next(streamed(opened).draws(50, 0))
  with pytest.raises(DataError, match=r"shard-00001/radial, subject s03: contains fewer samples"):
    opened.recordings()


def test_a_plan_knows_its_files_and_channels(tmp_path, monkeypatch):
  given = tmp_path / "a.csv"
  given.write_text("x")
  output = dataclasses.replace(dataset(), path=str(given))
  monkeypatch.setattr(shards, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
  for _ in range(2):
    with pytest.raises(KeyboardInterrupt):
      preparation.prepare(output, tmp_path / "h", SPEC, HOW)
  in_kpa = dataclasses.replace(output, channels={"a": signal_names.Signal("radial", "kPa")})
  for other in (dataclasses.replace(output, channels={"a": "radial"}), in_kpa, output):
    given.write_text("longer")
    with pytest.raises(InputError, match="contains a stopped preparation with other data or settings"):
      preparation.prepare(other, tmp_path / "h", SPEC, HOW)


def test_nothing_is_left_of_a_store_without_a_good_record(tmp_path):
  bad = dataclasses.replace(dataset(), entries=(dataset().entries[6],))
  with pytest.raises(DataError, match="is bad; mend it"):
    preparation.prepare(bad, tmp_path / "i", SPEC, HOW)
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
  ("count", "training", "validation", "test"),
  [(30, 15, 9, 6), (25, 11, 9, 5), (24, 15, 4, 5), (12, 8, 2, 2), (5, 3, 1, 1), (100, 65, 15, 20), (2, 1, 0, 1)],
)
def test_by_default_all_subjects_with_a_reference_are_used(count, training, validation, test):
  """Thirty patients leave nine for validation, the least for intervals of 90 %."""
  sizes = subject_partition.default_sizes(count)
  assert sizes == {"training": training, "validation": validation, "test": test}


def test_the_default_split_of_a_store_and_of_its_folds(prepared):
  records = [record for shard in prepared.shards for record in shard.records]
  split = subject_partition.divide(records, subject_partition.Partition())
  assert {part: len(names) for part, names in split.subjects.items()} == {
    "training": 4, "validation": 1, "test": 1, "unlabelled": 1,
  }  # fmt: skip
  for fold in subject_partition.folds(records, subject_partition.Partition(), 3):
    assert [len(fold.subjects[part]) for part in ("training", "validation", "test", "unlabelled")] == [3, 1, 2, 1]


def test_folds_of_a_store(prepared):
  records = [record for shard in prepared.shards for record in shard.records]
  how = subject_partition.Partition({"training": 0.5, "validation": 0.3, "test": 0.2})
  result = subject_partition.folds(records, how, 3)
  tested = sorted(name for split in result for name in split.subjects["test"])
  assert tested == ["s00", "s01", "s02", "s03", "s04", "s07"]
  assert all(split.subjects["unlabelled"] == ("s05",) for split in result)
  assert len(subject_partition.folds(records, how, None)) == 6
  with pytest.raises(InputError, match="9 folds are not possible with 6 subjects with aortic_root; choose 2 to 6"):
    subject_partition.folds(records, how, 9)


def test_scaled_stacks_have_the_shape_of_a_training(prepared):
  result = streamed(prepared)
  scaling = scalings.fit(result, ["age"])
  stack = next(stream.Scaled(result, scaling, ["age"]).stacks(5, 8, 0))
  assert {name: array.shape for name, array in stack.items()} == {
    "x": (5, 8, 500), "y": (5, 8, 500), "c": (5, 8, 1), "m": (5, 8, 0),
  }  # fmt: skip
  assert abs(float(stack["x"].mean())) < 0.5


def test_a_ppg_is_streamed_without_a_unit(prepared):
  """The radial waves of a store, as if they were a PPG."""
  shards = tuple(
    dataclasses.replace(
      shard,
      records=tuple(
        dataclasses.replace(r, spans={**r.spans, "digital_ppg": r.spans["aortic_root"]}, moments={**r.moments})
        for r in shard.records
        if "aortic_root" in r.spans
      ),
    )
    for shard in prepared.shards
  )
  manifest = {**prepared.manifest, "units": {**prepared.units, "digital_ppg": "1"}}
  opened = dataclasses.replace(prepared, shards=shards, manifest=manifest)
  signals = ("digital_ppg", "aortic_root")
  result = stream.Stream(opened, ["s00", "s01"], signals, WINDOWS, config.Calibration())
  scaling = scalings.fit(result, unitless=True)
  moments = [r.moments["aortic_root"] for shard in shards for r in shard.records if r.subject in ("s00", "s01")]
  assert scaling.mean_mmhg == pytest.approx(sum(m[1] for m in moments) / sum(m[0] for m in moments))
  assert result.count > 0
  with pytest.raises(InputError, match="radial is not in mmHg; calibrate it"):
    stream.Stream(
      dataclasses.replace(prepared, manifest={**manifest, "units": {**manifest["units"], "radial": "uncalibrated"}}),
      ["s00"], PAIR, WINDOWS, config.Calibration(),
    )  # fmt: skip


def test_what_cannot_be_streamed(prepared):
  with pytest.raises(InputError, match=r"contains no femoral \(found: aortic_root, radial\)"):
    stream.Stream(prepared, ["s00"], ("femoral", "aortic_root"), WINDOWS, config.Calibration())
  with pytest.raises(
    InputError, match="sampled at 125 Hz, but the windows need 250 Hz; prepare the data again at that rate"
  ):
    stream.Stream(prepared, ["s00"], PAIR, config.Windows(fs_hz=250.0), config.Calibration())
  with pytest.raises(InputError, match=r"no window of 4 s with radial and aortic_root"):
    streamed(prepared, ["s05"])


@pytest.mark.slow
def test_virtual_subjects_are_drawn_as_they_are_read(tmp_path):
  result = DATASETS["virtual"]("healthy,subjects=3,seconds=16", {"radial": "radial"})
  output = preparation.prepare(result, tmp_path / "v", SPEC, HOW)
  assert output.place == datasets.IN_SILICO
  direct = datasets.read(result.entries[1])
  recording = output.recordings([direct.subject])[0]
  np.testing.assert_array_equal(recording.signals["radial"], direct.signals["radial"].astype(np.float32))
  with pytest.raises(InputError, match="unknown clinic 'nowhere'"):
    DATASETS["virtual"]("nowhere")
  with pytest.raises(InputError, match="'people=3' must be NAME=NUMBER with one of subjects, seconds"):
    DATASETS["virtual"]("healthy,people=3")


def test_splits_are_saved_and_checked(prepared, tmp_path):
  split = splits.draw(list("abcdefgh"), {"training": 5, "test": 3}, 0)
  split.save(tmp_path / "split.json")
  assert splits.load(tmp_path / "split.json").digest == split.digest
  text = (tmp_path / "split.json").read_text()
  (tmp_path / "split.json").write_text(text.replace('"a"', '"z"'))
  with pytest.raises(DataError, match="was modified after it was written"):
    splits.load(tmp_path / "split.json")
  with pytest.raises(DataError, match="is not a valid split"):
    splits.load(tmp_path / "absent.json")


def test_parts_of_a_store(prepared, tmp_path):
  assert prepared.split.digest == prepared.manifest["split"]
  assert prepared.split.subjects["unlabelled"] == ("s05",)  # without a reference
  assert sorted(len(prepared.split.subjects[name]) for name in ("training", "test")) == [3, 3]
  records = [record for shard in prepared.shards for record in shard.records]
  frozen = subject_partition.divide(
    records, dataclasses.replace(HOW, held_out=subject_partition.Range("age", 41.0, 43.0))
  )
  assert frozen.subjects["out_of_distribution"] == ("s01", "s02", "s03")
  unknown = [dataclasses.replace(record, covariates={}) if record.subject == "s00" else record for record in records]
  assert subject_partition.divide(
    unknown, dataclasses.replace(HOW, held_out=subject_partition.Range("age", 41.0, 43.0))
  ).subjects["unknown"] == ("s00",)
  with pytest.raises(InputError, match="no subject has age between 90 and 99"):
    subject_partition.divide(records, dataclasses.replace(HOW, held_out=subject_partition.Range("age", 90.0, 99.0)))
  with pytest.raises(InputError, match="no subject has weight between 60 and 70; the records have age"):
    subject_partition.divide(records, dataclasses.replace(HOW, held_out=subject_partition.Range("weight", 60.0, 70.0)))
  with pytest.raises(InputError, match="range of age: 75 to 70 is empty; exchange the two"):
    subject_partition.Range("age", 75.0, 70.0)
  with pytest.raises(InputError, match="reference carotid: no record has it; choose from "):
    subject_partition.divide(records, dataclasses.replace(HOW, reference="carotid"))
  with pytest.raises(InputError, match="sum to 1"):
    subject_partition.Partition({"training": 0.5})
  shutil.copytree(prepared.path, tmp_path / "f")
  splits.Split({"training": ("s00",)}).save(tmp_path / "f" / "split.json")
  with pytest.raises(DataError, match="does not match the split in the manifest"):
    store.open_store(tmp_path / "f")


@pytest.mark.quick
def test_folds_leave_one_out_few_shot_and_covariates():
  names = [f"s{k}" for k in range(10)]
  folds = splits.k_fold(names, 3, 0)
  assert sorted(name for fold in folds for name in fold.subjects["test"]) == names
  assert all(sorted((*fold.subjects["training"], *fold.subjects["test"])) == names for fold in folds)
  assert {len(fold.subjects["test"]) for fold in folds} == {3, 4}
  single = splits.leave_one_out([*names, "s3"])
  assert [fold.subjects["test"] for fold in single] == [(name,) for name in names]
  assert all(len(fold.subjects["training"]) == 9 for fold in single)
  assert set(splits.few_shot(names, 2, 1)) < set(splits.few_shot(names, 5, 1))
  values = {"a": 30.0, "b": 70.0, "c": float("nan")}
  assert splits.by_covariate(values, lambda age: age < 60) == (("a",), ("b",), ("c",))
  for bad in (
    lambda: splits.k_fold(names, 11, 0),
    lambda: splits.leave_one_out(["a"]),
    lambda: splits.few_shot(names, 11, 0),
  ):
    with pytest.raises(ValueError, match=r"must|cannot|at least"):
      bad()


def test_a_store_of_the_same_records_divided_otherwise_is_another(prepared, tmp_path):
  """A resumed training must not learn from subjects that were to test it."""
  how = dataclasses.replace(HOW, seed=1)
  other = preparation.prepare(dataset(), tmp_path / "b", SPEC, how, shard_records=3)
  assert other.manifest["sha256"] == prepared.manifest["sha256"]
  assert other.split.subjects != prepared.split.subjects
  one, two = (
    study_datasets.store_hashes(study_config.Study(source_data=str(opened.path))) for opened in (prepared, other)
  )
  assert set(one.values()) != set(two.values())
  names = sorted(prepared.split.subjects["training"])
  scaling = scalings.fit(streamed(prepared, names))
  digests = [stream.Scaled(streamed(prepared, some), own, ()).digest for some, own in (
    (names, scaling), (names[1:], scaling), (names, dataclasses.replace(scaling, sd_mmhg=20.0)), (names, scaling)
  )]  # fmt: skip
  assert digests[0] == digests[3]
  assert len(set(digests)) == 3


def _stop_after_a_shard(monkeypatch, written):
  """Makes preparations stop once, after their first shard; `written` lists the shards that are begun."""
  whole = shards.write

  def stopping(root, name, *rest):
    written.append(name)
    if written == ["shard-00000", "shard-00001"]:
      raise KeyboardInterrupt
    return whole(root, name, *rest)

  monkeypatch.setattr(shards, "write", stopping)


def _tables(folder):
  """A data set of two subjects in CSV files."""
  folder.mkdir(exist_ok=True)
  for number, subject in enumerate(("P01", "P02")):
    columns = {"time_s": np.arange(40 * 125) / 125, "radial_pressure_mmhg": pulses(125.0, 40, 0.08, seed=number)}
    pandas.DataFrame(columns).to_csv(folder / f"{subject}.csv", index=False)
  return DATASETS["csv"](str(folder))


@pytest.mark.parametrize("inside", [True, False])
def test_a_stopped_preparation_knows_its_input_by_content(tmp_path, monkeypatch, inside):
  """The store may lie in the folder that it is made of: it is no part of the input."""
  folder, written = tmp_path / "files", []
  output = folder / "store" if inside else tmp_path / "store"
  _stop_after_a_shard(monkeypatch, written)
  with pytest.raises(KeyboardInterrupt):
    preparation.prepare(_tables(folder), output, SPEC, HOW, shard_records=1)
  table = folder / "P02.csv"
  whole, status = table.read_bytes(), table.stat()
  at = whole.index(b".") + 1
  table.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
  os.utime(table, ns=(status.st_atime_ns, status.st_mtime_ns))  # of the same size and age
  with pytest.raises(InputError, match="contains a stopped preparation with other data or settings"):
    preparation.prepare(DATASETS["csv"](str(folder)), output, SPEC, HOW, shard_records=1)
  table.write_bytes(whole)  # of another age
  preparation.prepare(DATASETS["csv"](str(folder)), output, SPEC, HOW, shard_records=1)
  assert written == ["shard-00000", "shard-00001", "shard-00001"]
  preparation.prepare(DATASETS["csv"](str(folder)), output, SPEC, HOW, shard_records=1)
  assert len(written) == 3


def test_all_that_is_read_is_known_by_content(tmp_path, monkeypatch):
  """Also in a folder that has a list of own files, and the signals of a single record under a name of their own."""
  folder = tmp_path / "files"
  folder.mkdir()
  tables = _tables(folder / "more")
  (folder / "more" / "subjects.csv").unlink(missing_ok=True)
  own_files.begin(folder / "more")
  names = [name for name, _ in preparation._inputs(DATASETS["csv"](str(folder)), tmp_path / "store")]
  assert {str(folder / "more" / f"{subject}.csv") for subject in tables.subjects} <= set(names)
  root, channels, _ = write.wfdb_multi_segment(tmp_path)
  single = DATASETS["wfdb"](root / "s", channels)
  names = [pathlib.Path(name).name for name, _ in preparation._inputs(single, tmp_path / "store")]
  assert {"s.hea", "s_0001.hea", "s_0001.dat", "s_0002.dat"} <= set(names)
  (root / "s_0002.hea").write_text((root / "s_0002.hea").read_text().replace("s_0002.dat", "z.dat"))
  (root / "s_0002.dat").rename(root / "z.dat")
  names = [pathlib.Path(name).name for name, _ in preparation._inputs(DATASETS["wfdb"](root / "s", channels), tmp_path)]
  assert "z.dat" in names


def test_a_training_does_not_resume_on_a_store_that_was_changed_in_place(prepared, tmp_path):
  path = tmp_path / "store"
  shutil.copytree(prepared.path, path)
  feed = stream.Scaled(streamed(store.open_store(path)), scalings.Scaling(mean_mmhg=90.0, sd_mmhg=20.0), ())
  feed.verify()
  array = tensorstore.open(
    {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / "shard-00000" / "radial")}}
  ).result()
  array.write(array.read().result() * 1.3).result()
  with pytest.raises(DataError, match="shard-00000"):
    feed.verify()


def test_a_preparation_without_a_good_record_removes_only_its_own_files(tmp_path):
  folder, output = tmp_path / "files", tmp_path / "store"
  dataset_ = _tables(folder)
  for table in folder.glob("P*.csv"):
    table.write_text("time_s,radial_pressure_mmhg\n0,80\n")
  with pytest.raises(DataError):
    preparation.prepare(dataset_, output, SPEC, HOW)
  assert not output.exists()
  output.mkdir()
  with pytest.raises(DataError):
    preparation.prepare(dataset_, output, SPEC, HOW)
  assert list(output.iterdir()) == []


def test_a_study_is_bound_to_the_split_that_it_was_given(prepared, tmp_path):
  path, hashes = str(tmp_path / "split.json"), []
  names = sorted(prepared.split.subjects["training"])
  for order in (names, names[::-1]):
    splits.Split({"training": order[:2], "test": order[2:]}).save(path)
    hashes.append(study_datasets.store_hashes(study_config.Study(target_data=str(prepared.path), target_split=path)))
  assert hashes[0].keys() == hashes[1].keys()
  assert hashes[0] != hashes[1]


@pytest.mark.quick
def test_advice_counts_the_whole_store():
  five = {"training": ("a", "b", "c"), "validation": ("d",), "test": ("e",)}
  few, none = subject_partition.advice(five, "clinic")
  assert "--config.folds=5" in few
  assert "no prediction intervals" in none
  assert len(subject_partition.advice(five, "clinic", intervals=True)) == 1
  assert subject_partition.advice({"training": ("a",), "test": ("b",)}, "clinic") == [
    "a transfer needs 3 subjects or more: one each for training, validation and test"
  ]
