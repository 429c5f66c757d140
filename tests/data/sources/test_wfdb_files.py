"""WFDB records: a written one, and the real samples."""

import numpy as np
import pytest
import wfdb

from cap_jax.data import datasets
from cap_jax.data.sources import wfdb_files
from cap_jax.types import DataError

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
