"""WFDB records: a written one, and the real samples."""

import numpy as np
import pytest
import wfdb

from cap_jax.data import datasets, signal_names
from cap_jax.data.sources import wfdb_files
from cap_jax.types import DataError
from tests.data.sources import write

pytestmark = pytest.mark.quick


def read(path, channel):
  return datasets.read(wfdb_files.load(path, {channel: "radial"}).entries[0])


def test_reads_what_was_written(tmp_path):
  wave = 90 + 20 * np.sin(np.arange(1000) / 10)
  wfdb.wrsamp(
    "r1", fs=125, units=["mmHg", "NU"], sig_name=["ABP", "PLETH"], fmt=["16", "16"],
    p_signal=np.stack([wave, wave / 100], axis=1), write_dir=str(tmp_path),
  )  # fmt: skip
  for name in ("r1", "r1.hea"):
    recording = read(tmp_path / name, "ABP")
    assert recording.fs_hz == pytest.approx(125)
    assert np.abs(recording.signals["radial"] - wave).max() < 0.01
  with pytest.raises(DataError, match=r"no signal 'ART'; choose from ABP, PLETH"):
    read(tmp_path / "r1", "ART")
  (tmp_path / "r1.dat").unlink()
  with pytest.raises(DataError, match="no such file"):
    read(tmp_path / "r1", "ABP")
  with pytest.raises(DataError, match="r2: no such file or folder"):
    read(tmp_path / "r2", "ABP")


def test_reads_kilopascals_by_their_unit(tmp_path):
  wave = 12 + 2 * np.sin(np.arange(500) / 10)
  wfdb.wrsamp("k", fs=100, units=["kPa"], sig_name=["ART"], fmt=["16"], p_signal=wave[:, None], write_dir=str(tmp_path))
  recording = read(tmp_path / "k", "ART")
  assert np.abs(recording.signals["radial"] - 7.50062 * wave).max() < 0.05


@pytest.mark.parametrize(("name", "rate", "seconds"), [("041s", 125.0, 16.0), ("mixedsignals", 124.945, 231.0)])
def test_reads_real_records_at_the_signals_own_rate(reference_data, name, rate, seconds):
  recording = read(reference_data / "wfdb" / name, "ABP")
  assert recording.fs_hz == pytest.approx(rate, rel=1e-4)
  assert recording.time_s[-1] == pytest.approx(seconds, abs=0.6)
  assert 40 < np.nanmedian(recording.signals["radial"]) < 130


def test_refuses_a_record_without_the_signal(reference_data):
  with pytest.raises(DataError, match="choose from II, V, PLETH, RESP"):
    read(reference_data / "wfdb" / "v102s", "ABP")


@pytest.mark.parametrize("unit", ["mV", "NU"])
def test_a_stated_unit_replaces_that_of_the_header(tmp_path, unit):
  wave = 12 + 2 * np.sin(np.arange(500) / 10)
  wfdb.wrsamp("k", fs=100, units=[unit], sig_name=["ART"], fmt=["16"], p_signal=wave[:, None], write_dir=str(tmp_path))
  with pytest.raises(DataError, match=rf"radial is in {unit}; if the unit is wrong, state the right one: --channels="):
    read(tmp_path / "k", "ART")
  dataset = wfdb_files.load(tmp_path / "k", {"ART": signal_names.Signal("radial", "kPa")})
  recording = datasets.read(dataset.entries[0])
  assert np.abs(recording.signals["radial"] - 7.50062 * wave).max() < 0.05
  assert recording.units == {"radial": "mmHg"}


def test_two_channels_of_a_signal_fill_each_others_gaps_in_one_unit_alone(tmp_path):
  wave = 90 + 20 * np.sin(np.arange(1000) / 10)
  first, second = np.where(np.arange(1000) < 500, wave, np.nan), np.where(np.arange(1000) < 500, np.nan, wave)
  for name, other in (("a", second), ("b", second / 7.50062)):
    wfdb.wrsamp(
      name, fs=100, units=["mV", "mV"], sig_name=["ABP", "ART"], fmt=["16", "16"], p_signal=np.stack([first, other], axis=1),
      write_dir=str(tmp_path),
    )  # fmt: skip
  stated = {"ABP": signal_names.Signal("radial", "mmHg"), "ART": signal_names.Signal("radial", "mmHg")}
  recording = datasets.read(wfdb_files.load(tmp_path / "a", stated).entries[0])
  assert np.abs(recording.signals["radial"] - wave).max() < 0.05
  two = {**stated, "ART": signal_names.Signal("radial", "kPa")}
  with pytest.raises(DataError, match="ART also maps to radial, with a different rate or unit"):
    datasets.read(wfdb_files.load(tmp_path / "b", two).entries[0])


def test_a_skew_shifts_the_signal_and_is_no_damage(tmp_path):
  wave = 90 + 20 * np.sin(np.arange(1000) / 10)
  signals = np.stack([wave, wave], axis=1)
  wfdb.wrsamp(
    "s", fs=125, units=["mmHg"] * 2, sig_name=["A", "B"], fmt=["16"] * 2, p_signal=signals, write_dir=str(tmp_path)
  )
  header = (tmp_path / "s.hea").read_text().splitlines()
  header[2] = header[2].replace("s.dat 16 ", "s.dat 16:5 ")
  (tmp_path / "s.hea").write_text("\n".join(header) + "\n")
  recording = datasets.read(wfdb_files.load(tmp_path / "s", {"A": "radial", "B": "brachial"}).entries[0])
  radial, brachial = recording.signals["radial"], recording.signals["brachial"]
  np.testing.assert_allclose(brachial[:-5], radial[5:])
  assert np.isnan(brachial[-5:]).all()


def test_a_segment_under_another_name_is_no_record(tmp_path):
  root, channels, _ = write.wfdb_multi_segment(tmp_path)
  (root / "other.hea").symlink_to("s_0001.hea")
  assert [entry.record for entry in wfdb_files.load(root, channels).entries] == ["s"]


def test_a_length_of_zero_is_named(tmp_path):
  write.wfdb_multi_segment(tmp_path)
  header = tmp_path / "s_0001.hea"
  lines = header.read_text().splitlines()
  lines[0] = " ".join([*lines[0].split()[:3], "0"])
  header.write_text("\n".join(lines) + "\n")
  with pytest.raises(DataError, match=r"s_0001\.hea: says that the record has 0 samples; remove the length"):
    read(tmp_path / "s_0001", "ABP")
