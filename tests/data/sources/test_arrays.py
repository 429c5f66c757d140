"""MATLAB's reader has a process of its own, and neither time nor memory without end."""

import numpy as np
import pytest
import scipy.io

from cap_jax.data import datasets
from cap_jax.data.sources import arrays
from cap_jax.types import DataError

READ = "scipy.io.loadmat(sys.argv[1], **json.loads(sys.argv[4]))"


@pytest.fixture
def path(tmp_path):
  scipy.io.savemat(tmp_path / "a.mat", {"radial_pressure_mmhg": np.arange(9.0)})
  return tmp_path / "a.mat"


def test_a_sound_file_is_read(path):
  assert READ in arrays._READER
  arrays.check_matlab(path)


@pytest.mark.parametrize(
  ("instead", "said"),
  [
    ("bytearray(1 << 30)", r"a\.mat: takes more than 0\.4 GB of memory; split .*CAP_JAX_MAX_RECORD_GB=1 "),
    ("import os; os.abort()", r"a\.mat: cannot be read \(the reader exited with status -6\)"),
  ],
)
def test_one_that_takes_all_memory_or_kills_the_reader_is_reported(path, monkeypatch, instead, said):
  monkeypatch.setattr(arrays, "_READER", arrays._READER.replace(READ, instead))
  with pytest.raises(DataError, match=said):
    arrays.check_matlab(path)


def test_one_that_is_read_for_ever_is_reported(path, monkeypatch):
  monkeypatch.setattr(arrays, "_PATIENCE_S", 1)
  monkeypatch.setattr(arrays, "_READER", arrays._READER.replace(READ, "import time; time.sleep(60)"))
  with pytest.raises(DataError, match=r"a\.mat: cannot be read within 1 s; save or download the file again"):
    arrays.check_matlab(path)


def test_one_that_works_for_ever_is_reported(path, monkeypatch):
  monkeypatch.setattr(arrays, "_WORK_S", 1)
  monkeypatch.setattr(arrays, "_READER", arrays._READER.replace(READ, "while True: pass"))
  with pytest.raises(
    DataError, match=r"a\.mat: cannot be read within 1 s of work; save .*MAX_RECORD_GB extends the time"
  ):
    arrays.check_matlab(path)


def test_the_fields_of_a_struct_are_read(tmp_path):
  t = np.arange(0, 20, 0.008)
  wave = 90 + 20 * np.sin(2 * np.pi * t)
  record = {"abp": wave, "clock": t, "who": "someone", "inner": {"ppg": wave / 100}}
  scipy.io.savemat(tmp_path / "P01.mat", {"rec": record, "labels": np.array([["II", "ABP"]], dtype=object)})
  channels = {"rec.abp": "radial", "rec.clock": "time_s", "rec.inner.ppg": "digital_ppg"}
  recording = datasets.read(arrays.load(tmp_path / "P01.mat", channels).entries[0])
  np.testing.assert_allclose(recording.signals["radial"], wave)
  np.testing.assert_allclose(recording.signals["digital_ppg"], wave / 100)
  assert recording.fs_hz == pytest.approx(125.0)
  assert recording.unread == ("labels", "rec.who")
  with pytest.raises(DataError, match=r"no array 'rec\.art' \(found: rec, labels, rec\.abp"):
    datasets.read(arrays.load(tmp_path / "P01.mat", {"rec.art": "radial", "rec.clock": "time_s"}).entries[0])


def test_an_array_without_a_known_name_is_named(tmp_path):
  np.savez(tmp_path / "P01.npz", ABP=90 + 20 * np.sin(np.arange(2000) / 10), fs_hz=125.0)
  with pytest.raises(DataError, match=r"no array is named after a signal \(arrays: ABP\); .*--channels=NAME:radial"):
    datasets.read(arrays.load(tmp_path / "P01.npz").entries[0])
