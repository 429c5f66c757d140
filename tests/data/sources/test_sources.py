"""Every format: written with its quirks, read back through the one schema, and refused with a typed error where it is damaged."""

import itertools
import os
import pickle

import h5py
import numpy as np
import pandas
import pytest
import wfdb

from cap_jax.data import datasets
from cap_jax.data.sources import DATASETS, pwdb_plausibility
from cap_jax.types import DataError
from tests.data.sources import write


@pytest.fixture(params=list(write.WRITERS))
def written(request, tmp_path):
  name, writer = write.WRITERS[request.param]
  path, channels, true = writer(tmp_path)
  return name, path, channels, true


def test_waves_come_back_on_one_clock(written):
  name, path, channels, true = written
  dataset = DATASETS[name](path, channels)
  assert not dataset.lost
  first = dict(reversed([(entry.subject, entry) for entry in dataset.entries]))
  for subject, signals in true.items():
    entry = pickle.loads(pickle.dumps(first[subject]))  # as it travels to another process
    recording = datasets.read(entry)
    assert recording.subject == subject
    assert set(recording.signals) == set(signals)
    for signal, (time_s, wave) in signals.items():
      result = np.interp(time_s, recording.time_s - recording.time_s[0], recording.signals[signal])
      np.testing.assert_array_equal(np.isnan(result), np.isnan(wave))
      scale = np.nanmax(np.abs(wave - np.nanmean(wave)))
      assert np.nanmax(np.abs(result - wave)) < 2e-2 * scale, signal
    assert np.all(np.diff(recording.time_s) > 0)


def test_nothing_is_read_before_it_is_requested(written, monkeypatch):
  name, path, channels, _ = written
  dataset = DATASETS[name](path, channels)
  assert dataset.source
  assert dataset.licence
  monkeypatch.setattr("cap_jax.data.recordings.make", lambda *_, **__: pytest.fail("read"))
  assert DATASETS[name](path, channels).subjects == dataset.subjects


def test_what_is_known_of_a_subject(tmp_path):
  def known(writer, name):
    folder = tmp_path / writer.__name__
    folder.mkdir()
    path, channels, _ = writer(folder)
    return DATASETS[name](path, channels)

  csv = known(write.csv_folder, "csv")
  assert [dict(datasets.read(entry).covariates) for entry in csv.entries] == [{"age": 63.0}, {"age": 71.0}]
  assert [datasets.read(e).covariates["age"] for e in known(write.parquet, "parquet").entries] == [67.0, 68.0]
  vital = known(write.vital, "vitaldb")
  assert vital.subjects == ("77",)
  assert [entry.record for entry in vital.entries] == ["1", "2"]
  covariates = datasets.read(vital.entries[0]).covariates
  assert covariates["cuff_sbp_mmhg"] == 122.0
  assert covariates["age"] == 63.0
  aurora = [datasets.read(entry) for entry in known(write.aurora, "aurora_bp").entries]
  assert aurora[0].covariates == {"age": 41.0, "cuff_sbp_mmhg": 110.0, "cuff_dbp_mmhg": 74.0}
  assert "cuff_dbp_mmhg" not in aurora[1].covariates  # it read 0
  assert aurora[0].units["radial"] == "uncalibrated"
  assert not known(write.uci, "uci").subjects_known
  pulsedb = known(write.pulsedb, "pulsedb")
  assert [entry.record for entry in pulsedb.entries] == ["00001", "00003"]  # the second is excluded
  assert datasets.read(pulsedb.entries[1]).covariates["seg_sbp_mmhg"] == 121.0
  subset = known(write.pulsedb_subset, "pulsedb")
  assert np.mean(datasets.read(subset.entries[1]).signals["arterial"]) == pytest.approx(97.0, abs=0.2)


@pytest.mark.parametrize("writer", [write.pwdb_csv, write.pwdb_wfdb])
def test_plausibility_is_recomputed_where_the_files_have_none(tmp_path, writer):
  path, channels, _ = writer(tmp_path)
  result = [datasets.read(entry) for entry in DATASETS["pwdb"](path, channels).entries]
  assert [recording.covariates["plausible"] for recording in result] == [1.0, 0.0]
  assert [recording.covariates["variation_pwv"] for recording in result] == [-1.0, 1.0]
  assert all(recording.periodic for recording in result)


def test_plausible_ranges_are_those_of_pooled_men_and_women():
  # at 25: men 124 ± 10 (178), women 115 ± 10 (101), by hand 120.742 ± 10.882
  low, high = pwdb_plausibility.limits("SBP_b", 25.0)
  assert (low + high) / 2 == pytest.approx(120.742, abs=1e-3)
  assert (high - low) / 2 / 2.575 == pytest.approx(10.882, abs=1e-3)
  middle = np.mean([pwdb_plausibility.limits("PP_amp", age) for age in (45.0, 55.0)], axis=0)
  np.testing.assert_allclose(pwdb_plausibility.limits("PP_amp", 50.0), middle)
  assert pwdb_plausibility.plausible(25.0, {"SBP_b": 120.0}) is None


def test_tables_of_pwdb_with_numbered_rows_are_refused(tmp_path):
  """R writes the names of rows without a name in the header."""
  path, channels, _ = write.pwdb_csv(tmp_path)
  for table in tmp_path.rglob("*.csv"):
    header, *lines = table.read_text(encoding="utf-8").splitlines()
    numbered = [f"{k + 1},{line}" for k, line in enumerate(lines)]
    table.write_text("\n".join([header.rstrip(", "), *numbered]) + "\n", encoding="utf-8")
  with pytest.raises(DataError, match=r"rows have up to \d+ cells, but the header has \d+ names; .*row.names = FALSE"):
    [datasets.read(entry) for entry in DATASETS["pwdb"](path, channels).entries]


def test_pwdb_without_onset_times_is_refused(tmp_path):
  path, channels, _ = write.pwdb_csv(tmp_path)
  (tmp_path / "pwdb_onset_times.csv").unlink()
  with pytest.raises(
    DataError, match=r"row 1, subject pwdb0001: AorticRoot_P has no onset time; copy pwdb_onset_times.csv into"
  ):
    datasets.read(DATASETS["pwdb"](path, channels).entries[0])


def _files(path):
  files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
  return sorted(files, key=lambda file: -file.stat().st_size)


def _errors(name, path, channels):
  """All errors that listing and reading give."""
  try:
    dataset = DATASETS[name](path, channels)
  except DataError as error:
    return [error], 0
  errors, good = list(dataset.lost), 0
  for entry in dataset.entries:
    try:
      datasets.read(entry)
      good += 1
    except DataError as error:
      errors.append(error)
  return errors, good


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_damaged_files_are_one_typed_error(written, damage):
  name, path, channels, _ = written
  victim = _files(path)[0]
  content = victim.read_bytes()
  new = {"truncated": content[: len(content) // 3], "garbage": bytes(range(256)) * 40, "empty": b""}[damage]
  victim.write_bytes(new)
  errors, good = _errors(name, path, channels)
  if damage == "truncated" and not errors:  # text that ends early is a shorter record, or fewer of them
    assert victim.suffix in (".csv", ".tsv")
    assert good
    return
  assert errors
  for error in errors:
    assert error.where
    assert error.problem
    assert error.remedy
    assert "\n" not in str(error)


def _written(name, folder):
  dataset, writer = write.WRITERS[name]
  return dataset, *writer(folder)[:2]


# a table of the user's own names its signals by its columns
@pytest.mark.parametrize("name", [name for name in write.WRITERS if name not in ("csv", "parquet")])
def test_missing_channels_say_what_there_is(name, tmp_path):
  dataset, path, _ = _written(name, tmp_path)
  errors, good = _errors(dataset, path, {"Radial_X" if dataset == "pwdb" else "NOPE": "radial"})
  assert errors
  assert not good


@pytest.mark.parametrize("name", [name for name in write.WRITERS if name != "parquet"])  # there the path is the file
def test_a_link_out_of_the_folder_is_not_followed(name, tmp_path, tmp_path_factory):
  dataset, path, channels = _written(name, tmp_path)
  victim = _files(path)[0]
  elsewhere = tmp_path_factory.mktemp("elsewhere") / victim.name
  os.rename(victim, elsewhere)
  victim.symlink_to(elsewhere)
  errors, _ = _errors(dataset, path, channels)
  assert any("points outside the folder" in error.problem for error in errors)


def test_nothing_there_is_an_error_that_says_what_is_looked_for(tmp_path):
  for name in DATASETS:
    if name in ("virtual", "nonlinear"):  # come with the package
      continue
    for path in (tmp_path, tmp_path / "absent"):
      with pytest.raises(DataError) as caught:
        DATASETS[name](path, {"Radial_P": "radial"} if name == "pwdb" else None)
      assert str(path) in str(caught.value)


def test_objects_are_refused(tmp_path):
  np.savez(tmp_path / "a.npz", radial_pressure_mmhg=np.array([{"x": 1}], dtype=object), fs_hz=100.0)
  with pytest.raises(DataError, match=r"a\.npz.*because objects can run code"):
    datasets.read(DATASETS["npz"](tmp_path / "a.npz").entries[0])
  import scipy.io

  scipy.io.savemat(tmp_path / "b.mat", {"radial_pressure_mmhg": np.array([["x", 1]], dtype=object)})
  with pytest.raises(DataError, match=r"b\.mat.*contains objects"):
    datasets.read(DATASETS["npz"](tmp_path / "b.mat").entries[0])
  with h5py.File(tmp_path / "c.mat", "w", userblock_size=512) as file:
    file["x"] = 1.0
  with open(tmp_path / "c.mat", "r+b") as file:
    file.write(b"MATLAB 7.3 MAT-file")
  with pytest.raises(DataError, match=r"c\.mat: is a MATLAB 7\.3 file; save it with -v7"):
    datasets.read(DATASETS["npz"](tmp_path / "c.mat").entries[0])


def test_zero_length_and_all_nan_records(tmp_path):
  header = "time_s,radial_pressure_mmhg\n"
  (tmp_path / "subjects.csv").write_text(
    "subject,age\nnone,60\n,61\ngood,62\ngood,62\nempty,63\nabsent,64\n", encoding="utf-8"
  )
  (tmp_path / "none.csv").write_text(header, encoding="utf-8")
  (tmp_path / "empty.csv").write_text(header + "".join(f"{k / 100},\n" for k in range(300)), encoding="utf-8")
  (tmp_path / "good.csv").write_text(
    header + "".join(f"{k / 100},{90 + k % 9}\n" for k in range(300)), encoding="utf-8"
  )
  dataset = DATASETS["csv"](tmp_path)
  assert [str(error) for error in dataset.lost] == [
    f"{tmp_path}/subjects.csv: data row 2: the subject has no name; add a name",
    f"{tmp_path}/subjects.csv: data row 4, subject good: duplicate subject, first in data row 3; keep one row per subject",
    f"{tmp_path}/absent.csv: no such file; add the file, or remove the subject from subjects.csv",
  ]
  errors, good = _errors("csv", tmp_path, None)
  assert good == 1
  assert any("a header but no rows" in error.problem for error in errors)


def test_real_records_go_through_the_same_loaders(reference_data):
  channels = {"ABP": "radial", "PLETH": "digital_ppg", "Pleth": "digital_ppg"}
  wfdb = DATASETS["wfdb"](reference_data / "wfdb", channels)
  assert [entry.record for entry in wfdb.entries] == ["041s", "mixedsignals", "v102s"]  # no segment for itself
  result = {entry.record: datasets.read(entry) for entry in wfdb.entries}
  assert result["mixedsignals"].fs_hz == pytest.approx(124.945, rel=1e-4)
  assert result["v102s"].sites == ("digital_ppg",)
  icu = {"signal[2]": "radial", "signal[4]": "digital_ppg", "time": "time_s"}
  assert datasets.read(DATASETS["npz"](reference_data / "icu_ecg_abp_ppg.mat", icu).entries[0]).time_s.size == 37500
  intraop = {"abp_mmhg": "radial", "pleth": "digital_ppg", "t_s": "time_s"}
  recording = datasets.read(DATASETS["npz"](reference_data / "intraop_1.npz", intraop).entries[0])
  assert recording.time_s.size == 246624
  assert all(b > a for a, b in itertools.pairwise(recording.time_s[:100]))


def test_ids_of_vitaldb_may_be_words_or_missing(tmp_path):
  path, _, _ = write.vital(tmp_path)
  table = tmp_path / "clinical_data.csv"
  table.write_text("caseid,subjectid,age\n1,S77,63\n2,S77,63\n", encoding="utf-8")
  result = DATASETS["vitaldb"](path)
  assert result.subjects == ("S77",)
  assert result.subjects_known
  table.write_text("caseid,subjectid,age\n1,S77,63\n2,,63\n", encoding="utf-8")
  assert not DATASETS["vitaldb"](path).subjects_known
  table.write_text("caseid,age\n1,63\n2,63\n", encoding="utf-8")
  assert not DATASETS["vitaldb"](path).subjects_known


def test_columns_of_parquet_that_are_no_signal_are_named(tmp_path):
  path, _, _ = write.parquet(tmp_path)
  frame = pandas.read_parquet(path)
  frame["ECG"], frame["ward"] = frame["time_s"], "B"
  frame.to_parquet(path)
  recording = datasets.read(DATASETS["parquet"](path).entries[0])
  assert recording.unread == ("ECG", "ward")
  assert set(recording.covariates) == {"age"}


def test_parquet_of_numbers_that_became_floats(tmp_path):
  path, _, _ = write.parquet(tmp_path)
  frame = pandas.read_parquet(path)
  frame["subject"] = frame["subject"].astype(float)
  frame["stamp"] = 2**62
  frame.to_parquet(path)
  result = DATASETS["parquet"](path)
  assert result.subjects == ("7", "8")
  assert "subject" not in datasets.read(result.entries[0]).covariates
  frame["radial_pressure_mmhg"] = "high"
  frame.to_parquet(path)
  with pytest.raises(DataError, match=r"column radial_pressure_mmhg contains .*string, not numbers"):
    datasets.read(DATASETS["parquet"](path).entries[0])


def test_one_line_under_two_names(tmp_path):
  time_s, p_t = write.wave(125.0)
  half = np.where(np.arange(p_t.size) < 700, p_t, np.nan)
  wfdb.wrsamp(
    "x", 125.0, ["mmHg", "mmHg"], ["ABP", "ART"], np.stack([half, p_t], 1), fmt=["16", "16"], write_dir=str(tmp_path)
  )
  result = datasets.read(DATASETS["wfdb"](tmp_path / "x", {"ABP": "radial", "ART": "radial"}).entries[0])
  np.testing.assert_allclose(result.signals["radial"], p_t, atol=0.01)
  frame = pandas.DataFrame({"time_s": time_s, "ABP": p_t, "radial_pressure_mmhg": p_t})
  frame.to_csv(tmp_path / "x.csv", index=False)
  with pytest.raises(DataError, match="columns ABP and radial_pressure_mmhg both map to radial"):
    datasets.read(DATASETS["csv"](tmp_path / "x.csv", {"ABP": "radial"}).entries[0])
  usual = datasets.read(DATASETS["csv"](tmp_path / "x.csv", {"APB": "radial"}).entries[0])
  assert usual.notes == ("radial_pressure_mmhg was read, as there is no column APB",)
  with pytest.raises(DataError, match="column APB is missing"):
    datasets.read(DATASETS["csv"](tmp_path / "x.csv", {"APB": "brachial"}).entries[0])


def test_a_patients_number_above_the_folder_is_not_the_subject(tmp_path):
  root = tmp_path / "p30512" / "data"
  root.mkdir(parents=True)
  _, p_t = write.wave(125.0)
  for name in ("a", "b"):
    wfdb.wrsamp(name, 125.0, ["mmHg"], ["ABP"], p_t[:, None], fmt=["16"], write_dir=str(root))
  assert DATASETS["wfdb"](root, {"ABP": "radial"}).subjects == ("a", "b")


def test_pwdb_of_one_subject(tmp_path):
  path, channels, true = write.pwdb_mat(tmp_path, subjects=1)
  result = datasets.read(DATASETS["pwdb"](path, channels).entries[0])
  np.testing.assert_allclose(result.signals["aortic_root"], true["pwdb0001"]["aortic_root"][1], atol=1e-6)
