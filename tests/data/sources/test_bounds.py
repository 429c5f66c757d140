"""Limits of size: what is refused says how to raise them, and who does so reads the record."""

import gzip
import re
import zlib

import h5py
import numpy as np
import pandas
import pyarrow.parquet
import pytest

from cap_jax.data import datasets
from cap_jax.data.sources import DATASETS, archives, folders, pwdb, tables
from cap_jax.types import DataError, InputError
from tests.data.sources import write

# the reader of tables of the user's own has limits of its own; strike this out when it takes these
FORMATS = list(write.WRITERS)


def read_all(name, path, channels):
  """The recordings, and what is refused, of files that were never read."""
  for cached in (pwdb._table, pwdb._mat):
    cached.cache_clear()
  try:
    dataset = DATASETS[name](path, channels)
  except DataError as error:
    return [], [error]
  recordings, errors = [], list(dataset.lost)
  for entry in dataset.entries:
    try:
      recordings.append(datasets.read(entry))
    except DataError as error:
      errors.append(error)
  return recordings, errors


@pytest.mark.parametrize("title", FORMATS)
def test_who_obeys_the_remedy_reads_the_record(title, tmp_path, monkeypatch):
  name, writer = write.WRITERS[title]
  path, channels, _ = writer(tmp_path)
  sound, errors = read_all(name, path, channels)
  assert not errors
  monkeypatch.setenv(folders.MOST_GB, "5e-6")
  recordings, errors = read_all(name, path, channels)
  assert not recordings
  assert errors
  for error in errors:
    assert "above the limit of 5e-06 GB" in error.problem
    raised = re.search(rf"set the environment variable {folders.MOST_GB}=(\d+) if it is sound", error.remedy).group(1)
  monkeypatch.setenv(folders.MOST_GB, raised)
  again, errors = read_all(name, path, channels)
  assert not errors
  for one, other in zip(sound, again, strict=True):
    for signal, wave in one.signals.items():
      np.testing.assert_array_equal(wave, other.signals[signal])


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "much", "4 GB"])
def test_a_limit_that_is_no_size_is_refused(value, monkeypatch):
  monkeypatch.setenv(folders.MOST_GB, value)
  with pytest.raises(InputError, match=rf"{folders.MOST_GB}={value}: must be a positive number of gigabytes"):
    folders.most_bytes()


@pytest.mark.parametrize("declared", [np.nan, np.inf, 1e300, -np.inf + np.inf])
def test_a_size_that_is_no_number_is_too_large(declared):
  with pytest.raises(DataError, match=r"above the limit of 0\.4 GB"):
    folders.check_size("here", declared)
  folders.check_size("here", 4e8)


def test_memory_beyond_the_limit_is_refused_with_the_remedy():
  with (
    pytest.raises(DataError, match=rf"here: takes more than 0\.4 GB of memory; split .*{folders.MOST_GB}=1 "),
    folders.bounded("here"),
  ):
    np.empty(1 << 27)
  with pytest.raises(DataError, match="here: takes more"), folders.bounded("here"):
    raise RuntimeError("std::bad_alloc")
  with pytest.raises(RuntimeError, match="another"), folders.bounded("here"), folders.bounded("there"):
    raise RuntimeError("another")
  np.empty(1 << 27)  # the limit is gone


def _long(path):
  """Two subjects of which each fits, while both together do not."""
  half = 30_000
  columns = {"subject": np.repeat(["a", "b"], half), "time_s": np.tile(np.arange(half) / 125, 2)}
  columns["radial_pressure_mmhg"] = 90 + 20 * np.sin(np.arange(2 * half) / 15)
  table = pyarrow.Table.from_pandas(pandas.DataFrame(columns), preserve_index=False)
  pyarrow.parquet.write_table(table, path, row_group_size=7000)
  return columns


def test_a_table_of_many_subjects_is_larger_than_each(tmp_path, monkeypatch):
  columns = _long(tmp_path / "a.parquet")
  monkeypatch.setenv(folders.MOST_GB, "6e-4")
  recordings, errors = read_all("parquet", tmp_path, None)
  assert not errors
  np.testing.assert_array_equal(recordings[1].signals["radial"], columns["radial_pressure_mmhg"][30_000:])


def test_a_row_of_a_large_data_set_is_read_alone(tmp_path, monkeypatch):
  """PulseDB's subsets have 14 GB of segments in one data set."""
  path, channels, true = write.pulsedb_subset(tmp_path)
  rows = 2000
  with h5py.File(path / "VitalDB_Train_Subset.mat", "r+") as file:
    signals = file["Subset/Signals"][()]
    names = file["Subset/Subject"][0]
    for name in ("Signals", "Subject", "SBP", "DBP", "Age"):
      del file["Subset"][name]
    # most of it was never written
    large = file["Subset"].create_dataset("Signals", (1250, 3, rows), "f8", chunks=(1250, 3, 1))
    large[..., :2] = signals
    file["Subset"].create_dataset("Subject", data=np.resize(names, (1, rows)), dtype=h5py.ref_dtype)
    file["#refs#"].create_dataset("room", data=np.zeros(5000 * rows, "u1"))
  monkeypatch.setenv(folders.MOST_GB, "0.01")  # of 0.06
  dataset = DATASETS["pulsedb"](path, channels)
  assert len(dataset.entries) == rows
  np.testing.assert_array_equal(datasets.read(dataset.entries[0]).signals["arterial"], true["p000001_1"]["arterial"][1])


def test_what_references_lead_to_is_not_named_in_vain(tmp_path, monkeypatch):
  """For the name of each the library searches the whole file, again and again."""
  path, channels, _ = write.pulsedb(tmp_path)
  name, asked = h5py.Dataset.name, []
  monkeypatch.setattr(h5py.Dataset, "name", property(lambda self: asked.append(self) or name.fget(self)))
  (entry, _) = DATASETS["pulsedb"](path, channels).entries
  assert np.isfinite(datasets.read(entry).signals["arterial"]).all()
  assert asked == []


def test_a_segment_may_come_back(tmp_path):
  import wfdb

  _, p_t = write.wave(125.0, seconds=2.0)
  wfdb.wrsamp("a", 125.0, ["mmHg"], ["ABP"], p_t[:, None], fmt=["16"], write_dir=str(tmp_path))
  (tmp_path / "r.hea").write_text("r/3 1 125 625\na 250\n~ 125\na 250\n")
  (recording,) = read_all("wfdb", tmp_path / "r", {"ABP": "radial"})[0]
  wave = recording.signals["radial"]
  np.testing.assert_array_equal(wave[:250], wave[375:])
  assert np.isnan(wave[250:375]).all()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_is_measured(tmp_path, end):
  path = tmp_path / "a.csv"
  path.write_bytes(end.join(["Time,x", "0,1", "1,", "", "2,3,,", ""]).encode())
  shape = tables.measure(path)
  assert shape.rows in (6, 7)
  assert shape.columns == 4
  np.testing.assert_array_equal(tables.numbers(path, (0, 1), shape), [[0, 1, 2], [1, np.nan, 3]])
  packed = tmp_path / "a.csv.gz"
  packed.write_bytes(gzip.compress(path.read_bytes()))
  assert tables.measure(packed) == shape
  np.testing.assert_array_equal(tables.numbers(packed, (1,), shape), [[1, np.nan, 3]])


@pytest.mark.parametrize("block", [7, 64, 1 << 16])
def test_a_gzip_file_of_parts_is_unpacked(tmp_path, monkeypatch, block):
  monkeypatch.setattr(archives, "_PACKED_BLOCK", block)
  content = np.random.default_rng(0).integers(0, 9, 3000).astype(np.uint8).tobytes()
  path = tmp_path / "a.gz"
  with gzip.GzipFile(path, "wb") as file:  # has a name in its header
    file.write(content)
  path.write_bytes(path.read_bytes() + gzip.compress(content) + bytes(100) + gzip.compress(b""))
  assert b"".join(archives.unpack_gzip(path)) == 2 * content
  assert gzip.decompress(path.read_bytes()) == 2 * content
  path.write_bytes(path.read_bytes()[:500])
  assert content.startswith(b"".join(archives.unpack_gzip(path)))
  path.write_bytes(b"no archive")
  with pytest.raises(zlib.error):
    list(archives.unpack_gzip(path))
