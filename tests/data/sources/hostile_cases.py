"""Files that were made to do harm: functions that write one to a folder and return the path to read. `hostile_sizes` and
`hostile_links` have more."""

import io
import os
import pathlib
import pickle
import struct
import zipfile
import zlib

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet

CASES = {}


def case(name, channels=None, cases=CASES):
  """A function that writes files to a folder and gives what is to be read, by the loader `name`."""

  def keep(write):
    cases[write.__name__] = (name, channels, write)
    return write

  return keep


def _hea(folder, name, text):
  (folder / f"{name}.hea").write_text(text)
  return folder


ABP = {"ABP": "radial"}


@case("wfdb", ABP)
def segments_within_segments(folder):
  for number in range(24):
    _hea(folder, f"s{number}", f"s{number}/2 1 125 20\ns{number + 1} 10\ns{number + 1} 10\n")
  _hea(folder, "s24", "s24 1 125 10\ns24.dat 16 200/mmHg 12 0 0 0 0 ABP\n")
  (folder / "s24.dat").write_bytes(bytes(20))
  return folder / "s0.hea"


@case("wfdb", ABP)
def a_header_of_a_hundred_thousand_signals(folder):
  lines = "".join(f"r.dat 16 200/mmHg 12 0 0 0 0 C{k}\n" for k in range(100_000))
  return _hea(folder, "r", f"r 100000 125 10\n{lines}")


@case("wfdb", ABP)
def a_master_of_a_month(folder):
  _hea(folder, "r", "r/2 1 125 300000000\na 10\n~ 299999990\n")
  _hea(folder, "a", "a 1 125 10\na.dat 16 200/mmHg 12 0 0 0 0 ABP\n")
  (folder / "a.dat").write_bytes(bytes(20))
  return folder / "r.hea"


@case("wfdb", ABP)
def a_channel_outside_of_the_folder(folder):
  (folder.parent / "secret.dat").write_bytes(bytes(200))
  return _hea(folder, "r", "r 1 125 100\n../secret.dat 16 200/mmHg 12 0 0 0 0 ABP\n")


@case("wfdb", ABP)
def a_channel_of_an_absolute_path(folder):
  (folder.parent / "secret.dat").write_bytes(bytes(200))
  return _hea(folder, "r", f"r 1 125 100\n{folder.parent / 'secret.dat'} 16 200/mmHg 12 0 0 0 0 ABP\n")


@case("wfdb", ABP)
def a_record_that_is_its_own_segment(folder):
  return _hea(folder, "r", "r/2 1 125 20\nr 10\nr 10\n")


@case("npz")
def a_bomb_of_zeros(folder):
  """1 GiB; a MiB of it is compressed once, and written as often as it comes."""
  header, zeros, times = io.BytesIO(), bytes(1 << 20), 1 << 10
  np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 27,)})
  begin, name = header.getvalue(), b"x.npy"
  deflate = zlib.compressobj(wbits=-15)
  first, block = (deflate.compress(part) + deflate.flush(zlib.Z_FULL_FLUSH) for part in (begin, zeros))
  crc, data = zlib.crc32(begin), first + times * block + deflate.flush()
  for _ in range(times):
    crc = zlib.crc32(zeros, crc)
  about = struct.pack("<5H3L2H", 20, 0, 8, 0, 33, crc, len(data), len(begin) + times * len(zeros), len(name), 0)
  local = b"PK\3\4" + about + name + data
  listed = b"PK\1\2" + struct.pack("<H", 20) + about + bytes(14) + name
  end = b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, len(listed), len(local), 0)
  (folder / "a.npz").write_bytes(local + listed + end)
  return folder


@case("npz")
def a_pickle_in_an_archive(folder):
  np.savez(folder / "a.npz", time_s=np.array([print, 1], dtype=object))
  return folder


@case("npz")
def a_pickle_that_is_called_an_archive(folder):
  (folder / "a.npz").write_bytes(pickle.dumps({"time_s": [1, 2]}))
  return folder


@case("npz")
def an_array_that_claims_a_terabyte(folder):
  header = io.BytesIO()
  np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 37,)})
  with zipfile.ZipFile(folder / "a.npz", "w") as archive:
    archive.writestr("time_s.npy", header.getvalue())
  return folder


def _cell(folder, add):
  with h5py.File(folder / "Part_1.mat", "w") as file:
    data = file.create_group("#refs#")
    add(file, data)
  return folder


@case("uci")
def a_matrix_that_nobody_wrote(folder):
  def add(file, data):
    matrix = data.create_dataset("a", (3, 80_000_000), "f8", chunks=(3, 1000))
    file.create_dataset("Part_1", data=np.array([[matrix.ref]], dtype=h5py.ref_dtype))

  return _cell(folder, add)


@case("uci")
def ten_billion_records(folder):
  return _cell(folder, lambda file, _: file.create_dataset("Part_1", (10**10,), h5py.ref_dtype, chunks=(1000,)))


@case("uci")
def a_matrix_in_another_file(folder):
  (folder.parent / "secret.bin").write_bytes(np.ones(3 * 500).tobytes())

  def add(file, data):
    outside = [(str(folder.parent / "secret.bin"), 0, 3 * 500 * 8)]
    matrix = data.create_dataset("a", (500, 3), "f8", external=outside)
    file.create_dataset("Part_1", data=np.array([[matrix.ref]], dtype=h5py.ref_dtype))

  return _cell(folder, add)


@case("pulsedb", {"ABP_Raw": "arterial"})
def a_link_into_another_file(folder):
  with h5py.File(folder.parent / "secret.mat", "w") as file:
    file["wins/ABP_Raw"] = np.ones((1, 1250))
  with h5py.File(folder / "a.mat", "w") as file:
    file["Subj_Wins"] = h5py.ExternalLink(str(folder.parent / "secret.mat"), "/wins")
  return folder


@case("pulsedb", {"ABP_Raw": "arterial"})
def a_virtual_data_set(folder):
  with h5py.File(folder.parent / "secret.mat", "w") as file:
    file["x"] = np.ones((1, 1250))
  layout = h5py.VirtualLayout((1, 1250), "f8")
  layout[:] = h5py.VirtualSource(str(folder.parent / "secret.mat"), "x", (1, 1250))
  with h5py.File(folder / "a.mat", "w") as file:
    file.create_group("Subj_Wins").create_virtual_dataset("ABP_Raw", layout)
  return folder


@case("parquet")
def a_table_of_one_number(folder):
  rows = 50_000_000  # 1.2 GB
  arguments = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(1000, np.int32)), ["a"])
  schema = pyarrow.schema(
    [("subject", arguments.type), ("time_s", pyarrow.float64()), ("radial_pressure_mmhg", pyarrow.float64())]
  )
  part = pyarrow.table([arguments, np.zeros(1000), np.zeros(1000)], schema=schema)
  with pyarrow.parquet.ParquetWriter(folder / "a.parquet", schema, compression="zstd") as writer:
    writer.write_table(pyarrow.concat_tables([part] * (rows // 1000)), row_group_size=rows // 4)
  return folder


def _csv(folder, text):
  (folder / "a.csv").write_bytes(text)
  return folder / "a.csv"


@case("csv")
def numbers_cut_by_a_nul(folder):
  rows = b"".join(b"%.3f,9\0%d.5\n" % (k / 125, k % 10) for k in range(2000))
  return _csv(folder, b"time_s,radial_pressure_mmhg\n" + rows)


@case("csv")
def a_table_of_300_000_columns(folder):
  names = ",".join(["time_s", "radial_pressure_mmhg", *(f"c{k}" for k in range(300_000))])
  return _csv(folder, names.encode() + b"\n" + b"0," * 300_001 + b"0\n")


def _subjects(folder, name):
  (folder / "subjects.csv").write_text(f"subject,age\n{name},60\n")
  return folder


@case("csv")
def a_subject_of_300_letters(folder):
  return _subjects(folder, "a" * 300)


@case("csv")
def a_subject_above_the_folder(folder):
  (folder.parent / "secret.csv").write_text("time_s,radial_pressure_mmhg\n0,80\n")
  return _subjects(folder, "../secret")


@case("csv")
def a_name_that_is_no_text(folder):
  place = bytes(folder) + b"/a\xff.csv"
  rows = b"".join(b"%.3f,%d\n" % (k / 125, 80 + k % 40) for k in range(2000))
  with open(place, "wb") as file:
    file.write(b"time_s,radial_pressure_mmhg\n" + rows)
  return pathlib.Path(os.fsdecode(place))
