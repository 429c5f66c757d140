"""Files that claim, or unpack to, far more than they are, and files of very many small parts."""

import functools
import io
import itertools
import json
import struct
import zipfile
import zlib

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet

from tests.data.sources import hostile_cases
from tests.train import torch_writer

CASES = {}
case = functools.partial(hostile_cases.case, cases=CASES)
ABP = {"ABP": "radial"}
MB, MANY = 1 << 20, 1 << 30


def deflated(begin, block, times):
  """A raw stream of deflate: `begin`, and `times` times a block that is compressed once."""
  deflate = zlib.compressobj(9, wbits=-15)
  first = deflate.compress(begin) + deflate.flush(zlib.Z_FULL_FLUSH)
  one = deflate.compress(block) + deflate.flush(zlib.Z_FULL_FLUSH)
  return first + times * one + deflate.flush()


def gzipped(begin, block, times):
  sums = struct.pack("<2L", checksum(begin, block, times), (len(begin) + times * len(block)) % (1 << 32))
  return b"\x1f\x8b\x08" + bytes(6) + b"\x03" + deflated(begin, block, times) + sums


def checksum(begin, block=b"", times=0):
  crc = zlib.crc32(begin)
  for _ in range(times):
    crc = zlib.crc32(block, crc)
  return crc


def zipped(path, parts, packing=8):
  """An archive of (name, packed data, claimed size, checksum); all parts of equal data share one place."""
  places, body, listed = {}, io.BytesIO(), io.BytesIO()
  for name, data, size, crc in parts:
    about = struct.pack("<5H3L2H", 20, 0, packing, 0, 33, crc, len(data), size, len(name), 0)
    if data not in places:
      places[data] = body.tell()
      body.write(b"PK\3\4" + about + name + data)
    listed.write(b"PK\1\2" + struct.pack("<H", 20) + about + bytes(10) + struct.pack("<L", places[data]) + name)
  count = min(len(parts), 0xFFFF)
  end = struct.pack("<4H2LH", 0, 0, count, count, listed.tell(), body.tell(), 0)
  path.write_bytes(body.getvalue() + listed.getvalue() + b"PK\5\6" + end)


def npy(shape, dtype="<f8"):
  header = io.BytesIO()
  np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
  return header.getvalue()


# ---- Parquet


@case("parquet")
def a_book_for_each_row(folder):
  book = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(100_000, np.int32)), ["a" * 40_000])
  columns = {"subject": book, "time_s": np.zeros(100_000), "radial_pressure_mmhg": np.zeros(100_000)}
  pyarrow.parquet.write_table(pyarrow.table(columns), folder / "a.parquet", compression="zstd", store_schema=False)
  return folder


@case("parquet")
def a_book_for_each_row_without_a_dictionary(folder):
  schema = pyarrow.schema([("subject", pyarrow.string()), ("time_s", pyarrow.float64())])
  part = pyarrow.table([[f"{k:08d}" + "a" * 40_000 for k in range(500)], np.zeros(500)], schema=schema)
  with pyarrow.parquet.ParquetWriter(folder / "a.parquet", schema, compression="zstd", use_dictionary=False) as writer:
    for _ in range(30):
      writer.write_table(part)
  return folder


@case("parquet")
def two_hundred_thousand_subjects(folder):
  rows = 200_000
  columns = {"subject": np.arange(rows), "time_s": np.zeros(rows), "radial_pressure_mmhg": np.zeros(rows)}
  pyarrow.parquet.write_table(pyarrow.table(columns), folder / "a.parquet")
  return folder


@case("parquet")
def a_hundred_million_rows_of_numbers(folder):
  schema = pyarrow.schema([(name, pyarrow.int64()) for name in ("subject", "time_s", "radial_pressure_mmhg", "ward")])
  part = pyarrow.table([np.zeros(MB, np.int64)] * 4, schema=schema)
  with pyarrow.parquet.ParquetWriter(folder / "a.parquet", schema) as writer:
    for _ in range(100):
      writer.write_table(part)
  return folder


@case("parquet")
def a_footer_of_six_hundred_thousand_parts(folder):
  columns = pyarrow.table({f"c{k}": np.zeros(1) for k in range(10_000)})
  with pyarrow.parquet.ParquetWriter(folder / "a.parquet", columns.schema, use_dictionary=False) as writer:
    for _ in range(60):
      writer.write_table(columns)
  return folder


# ---- archives of arrays


def _zeros(folder, name, begin, megabytes, claimed=None):
  packed, size = deflated(begin, bytes(MB), megabytes), len(begin) + megabytes * MB
  crc = checksum(begin, bytes(MB), megabytes) if claimed is None else checksum((begin + bytes(claimed))[:claimed])
  zipped(folder / "a.npz", [(name, packed, size if claimed is None else claimed, crc)])
  return folder


@case("npz", {"x": "time_s", "x[0]": "radial"})
def bytes_that_become_eight_times_as_many(folder):
  return _zeros(folder, b"x.npy", npy((300 * MB, 1), "|i1"), 300)


@case("npz")
def parts_whose_sizes_lie(folder):
  return _zeros(folder, b"time_s.npy", npy((MANY // 8,)), 1024, 200)


@case("npz")
def nine_thousand_parts_in_one_place(folder):
  begin = npy((MB // 8,))
  data, size, crc = deflated(begin, bytes(MB), 1), len(begin) + MB, checksum(begin, bytes(MB), 1)
  zipped(folder / "a.npz", [(b"%d.npy" % k, data, size, crc) for k in range(9000)])
  return folder


@case("npz")
def a_hundred_thousand_parts(folder):
  zipped(folder / "a.npz", [(b"%d.npy" % k, b"", 0, 0) for k in range(100_000)])
  return folder


@case("npz")
def a_header_of_300_megabytes(folder):
  return _zeros(folder, b"time_s.npy", np.lib.format.magic(2, 0) + struct.pack("<L", 300 * MB), 300)


@case("npz")
def an_archive_packed_without_a_limit(folder):
  with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_BZIP2) as archive, archive.open("x.npy", "w") as file:
    file.write(npy((MB,)))
    for _ in range(8):
      file.write(bytes(MB))
  return folder


@case("npz")
def an_array_with_an_archive_behind_it(folder):
  (folder / "a.npz").write_bytes(npy((1 << 37,)))
  with zipfile.ZipFile(folder / "a.npz", "a") as archive:
    archive.writestr("time_s.npy", npy((0,)))
  return folder


@case("mcl")
def a_bomb_for_the_loop(folder):
  return _zeros(folder, b"NV_step1.npy", npy((60 * MB, 3), "<i2"), 360)


# ---- MATLAB 5


def _element(kind, data):
  return struct.pack("<2L", kind, len(data)) + data + bytes(-len(data) % 8)


def _matrix(name, dims, size):
  """What stands before the numbers of a matrix of doubles."""
  head = _element(6, struct.pack("<2L", 6, 0)) + _element(5, struct.pack(f"<{len(dims)}l", *dims)) + _element(1, name)
  return struct.pack("<2L", 14, len(head) + 8 + size) + head + struct.pack("<2L", 9, size)


MATLAB = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"


@case("npz")
def a_matrix_that_unpacks_to_a_gigabyte(folder):
  data = b"\x78\x9c" + deflated(_matrix(b"time_s", (1, MANY // 8), MANY), bytes(MB), 1024)
  (folder / "a.mat").write_bytes(MATLAB + struct.pack("<2L", 15, len(data)) + data)
  return folder


@case("npz")
def a_matrix_that_claims_a_terabyte(folder):
  (folder / "a.mat").write_bytes(MATLAB + _matrix(b"time_s", (1 << 17, 1 << 20), 800) + bytes(800))
  return folder


@case("npz")
def half_a_million_matrices(folder):
  one = b"".join(_matrix(b"m%07d" % k, (1, 1), 8) + bytes(8) for k in range(500_000))
  (folder / "a.mat").write_bytes(MATLAB + one)
  return folder


# ---- VitalDB


def _packet(kind, data):
  return struct.pack("<BL", kind, len(data)) + data


def _text(letters):
  return struct.pack("<L", len(letters)) + letters


def _vital_head(name=b"SNUADC/ART", rate=100.0, seconds=60.0):
  head = b"VITA" + struct.pack("<LH", 3, 26) + struct.pack("<hLLdd", 0, 0, 0, 1000.0, 1000.0 + seconds)
  track = struct.pack("<HBB", 1, 1, 1) + _text(name) + _text(b"mmHg") + struct.pack("<ffLf", 0, 0, 0, rate)
  return head + _packet(0, track + struct.pack("<dd", 1, 0))


def _vital(folder, *content):
  (folder / "0001.vital").write_bytes(gzipped(*content))
  return folder


SAMPLE = _packet(1, struct.pack("<HdHLf", 10, 1000.0, 1, 1, 80.0))


@case("vitaldb")
def a_case_that_unpacks_to_600_megabytes(folder):
  return _vital(folder, _vital_head(), _packet(1, bytes(MB - 5)), 600)


@case("vitaldb")
def a_case_of_fifteen_million_packets(folder):
  return _vital(folder, _vital_head(), SAMPLE * 10_000, 1500)


@case("vitaldb")
def a_case_of_two_million_samples_in_packets_of_their_own(folder):
  return _vital(folder, _vital_head(), SAMPLE * 10_000, 199)


@case("vitaldb")
def a_case_of_a_hundred_million_samples_a_second(folder):
  return _vital(folder, _vital_head(b"Solar8000/HR", 1e8), SAMPLE, 1)


@case("vitaldb")
def a_case_of_a_thousand_years(folder):
  return _vital(folder, _vital_head(seconds=3e10), SAMPLE, 1)


def _tracks(folder, content, ending=".csv.gz"):
  (folder / "trks.csv").write_text("caseid,tname,tid\n1,SNUADC/ART,abc\n")
  (folder / f"abc{ending}").write_bytes(content)
  return folder


@case("vitaldb", {"SNUADC/ART": "radial"})
def a_track_that_unpacks_to_three_gigabytes(folder):
  return _tracks(folder, gzipped(b"Time,SNUADC/ART\n", b"0,80\n" * (MB // 5), 3000))


@case("vitaldb", {"SNUADC/ART": "radial"})
def a_track_of_a_million_empty_parts(folder):
  return _tracks(folder, gzipped(b"", b"", 0) * 1_000_000)


@case("vitaldb", {"SNUADC/ART": "radial"})
def a_track_with_a_name_of_30_megabytes(folder):
  return _tracks(folder, b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * (30 * MB) + b"\0" + deflated(b"Time,x\n", b"", 0))


@case("vitaldb", {"SNUADC/ART": "radial"})
def a_track_with_30_megabytes_of_nothing_behind(folder):
  return _tracks(folder, gzipped(b"Time,x\n", b"", 0) + bytes(30 * MB) + gzipped(b"0,80\n", b"", 0))


@case("vitaldb", {"SNUADC/ART": "radial"})
def a_track_of_one_row(folder):
  """Quotes hold its lines together."""
  return _tracks(folder, b"Time,SNUADC/ART\n" + b'0,"\n",' * (4 * MB), ".csv")


@case("vitaldb")
def a_million_cases(folder):
  (folder / "clinical_data.csv").write_text("caseid,subjectid,age\n" + "".join(f"{k},a,1\n" for k in range(1_000_000)))
  return folder


@case("vitaldb")
def a_million_tracks(folder):
  rows = "".join(f"{k},SNUADC/ART,a\n" for k in range(1_000_000))
  (folder / "trks.csv").write_text("caseid,tname,tid\n" + rows)
  return folder


# ---- other tables


@case("aurora_bp")
def half_a_million_measurements(folder):
  rows = "".join(f"a{k}\ti\tC\t1\t1\tx\n" for k in range(500_000))
  table = folder / "measurements_oscillometric.tsv"
  table.write_text("pid\tphase\tmeasurement\tsbp\tdbp\twaveform_file_path\n" + rows)
  return folder


def _aurora(folder, content):
  row = "a000\tinitial\tC\t110\t74\twave.tsv\n"
  table = folder / "measurements_oscillometric.tsv"
  table.write_text(f"pid\tphase\tmeasurement\tsbp\tdbp\twaveform_file_path\n{row}")
  (folder / "wave.tsv").write_bytes(content)
  return folder


@case("aurora_bp")
def a_wave_of_three_million_columns(folder):
  return _aurora(folder, b"t\toptical\tpressure" + b"\tx" * (3 * MB) + b"\n0\t1\t2\n")


@case("aurora_bp")
def a_wave_of_one_line(folder):
  return _aurora(folder, b"t\toptical\tpressure" + b"\n" + b"1" * (60 * MB))


@case("aurora_bp")
def a_wave_of_thirty_million_rows(folder):
  return _aurora(folder, b"t\toptical\tpressure\n" + b"\n" * (30 * MB))


@case("mcl")
def a_record_of_thirty_million_rows(folder):
  (folder / "NV_step1.csv").write_bytes(b"0,1,2,3\n" * (15 * MB))
  return folder


@case("mcl")
def a_record_of_ten_million_columns(folder):
  (folder / "NV_step1.csv").write_bytes(b"0,1,2,3" + b",1" * (10 * MB) + b"\n")
  return folder


def _pwdb(folder, content):
  (folder / "PWs_AorticRoot_P.csv").write_bytes(content)
  return folder


@case("pwdb", {"AorticRoot_P": "aortic_root"})
def a_table_of_empty_lines(folder):
  return _pwdb(folder, b"Subject Number, pt1\n" + b"\n" * (20 * MB))


@case("pwdb", {"AorticRoot_P": "aortic_root"})
def a_table_of_a_line_of_60_megabytes(folder):
  return _pwdb(folder, b"Subject Number, pt1\n1" + b",1" * (30 * MB))


@case("pwdb", {"AorticRoot_P": "aortic_root"})
def a_million_rows(folder):
  return _pwdb(folder, b"Subject Number, pt1\n" + b"".join(b"%d,1\n" % k for k in range(1_000_000)))


# ---- HDF5


def _part_1(folder, add):
  with h5py.File(folder / "Part_1.mat", "w", libver="latest") as file:
    add(file, file.create_group("#refs#"))
  return folder


def _references(file, target, count=1):
  return np.array([[target.ref] * count], dtype=h5py.ref_dtype)


@case("uci")
def chunks_of_zeros(folder):
  def add(file, group):
    matrix = group.create_dataset("a", (3, 30 * MB), "f8", chunks=(1, MB), compression="gzip")
    _, first = matrix[0, :MB], None
    matrix[0, :MB] = 0
    mask, first = matrix.id.read_direct_chunk((0, 0))
    for row, column in itertools.product(range(3), range(30)):
      matrix.id.write_direct_chunk((row, column * MB), first, mask)
    file.create_dataset("Part_1", data=_references(file, matrix))

  return _part_1(folder, add)


@case("uci")
def a_matrix_of_four_million_chunks(folder):
  def add(file, group):
    matrix = group.create_dataset("a", (3, 4 * MB), "f8", chunks=(1, 1))
    file.create_dataset("Part_1", data=_references(file, matrix))

  return _part_1(folder, add)


@case("uci")
def a_matrix_of_words(folder):
  def add(file, group):
    words = group.create_dataset("a", (3, 1000), h5py.string_dtype())
    words[:] = "a" * 10_000
    file.create_dataset("Part_1", data=_references(file, words))

  return _part_1(folder, add)


@case("uci")
def twenty_thousand_members(folder):
  def add(file, group):
    for number in range(20_000):
      file[f"x{number}"] = h5py.SoftLink("/#refs#")

  return _part_1(folder, add)


@case("uci")
def attributes_of_20_megabytes(folder):
  def add(file, group):
    cell = file.create_dataset("Part_1", (1, 1), "f8")
    for number in range(20):
      cell.attrs[f"a{number}"] = np.zeros(MB // 8)

  return _part_1(folder, add)


def _wins(folder, fields):
  with h5py.File(folder / "p1.mat", "w") as file:
    wins = file.create_group("Subj_Wins")
    for name, add in fields.items():
      wins.create_dataset(name, data=add(file, file.require_group("#refs#")))
    file.create_dataset("room", data=np.zeros(MB, "u1"))
  return folder


def _number_in_a_huge_chunk(file, group):
  one = group.require_dataset("chunk", (1, 1), "f8", maxshape=(None, 1), chunks=(40 * MB, 1), compression="gzip")
  one[0, 0] = 1
  return _references(file, one, 1000)


@case("pulsedb", {"ABP_Raw": "arterial"})
def a_thousand_numbers_each_in_a_chunk_of_300_megabytes(folder):
  def wave(file, group):
    return _references(file, group.require_dataset("w", (1, 1250), "f8"), 1000)

  return _wins(folder, {"ABP_Raw": wave, "IncludeFlag": _number_in_a_huge_chunk})


@case("pulsedb", {"ABP_Raw": "arterial"})
def a_subject_whose_name_is_a_wave(folder):
  with h5py.File(folder / "a.mat", "w") as file:
    subset, group = file.create_group("Subset"), file.create_group("#refs#")
    subset.create_dataset("Signals", (1250, 3, 90), "f8")
    name = group.create_dataset("name", (30 * MB,), "u2", chunks=(MB,), fillvalue=65)
    subset.create_dataset("Subject", data=_references(file, name, 90))
  return folder


@case("pulsedb", {"ABP_Raw": "arterial"})
def half_a_million_segments(folder):
  with h5py.File(folder / "a.mat", "w") as file:
    subset, group = file.create_group("Subset"), file.create_group("#refs#")
    subset.create_dataset("Signals", (1250, 3, 500_000), "f8", chunks=(1250, 3, 10))
    name = group.create_dataset("name", data=np.array([65], "u2"))
    subset.create_dataset("Subject", data=_references(file, name, 500_000), compression="gzip")
  return folder


# ---- WFDB


def _record(folder, text, size=0):
  (folder / "r.hea").write_text(text)
  with open(folder / "r.dat", "wb") as file:
    file.truncate(size)
  return folder


@case("wfdb", ABP)
def frames_of_a_hundred_million_samples(folder):
  return _record(folder, "r 1 125 10\nr.dat 16x100000000 200/mmHg 12 ABP\n", 1000)


@case("wfdb", ABP)
def a_skew_of_a_billion(folder):
  return _record(folder, "r 1 125 1000\nr.dat 16:1000000000 200/mmHg 12 ABP\n", 2000)


@case("wfdb", ABP)
def differences_without_a_length(folder):
  return _record(folder, "r 1 125\nr.dat 8 200/mmHg 12 ABP\n", 99 * MB)


@case("wfdb", ABP)
def packed_samples_of_a_thousand_signals(folder):
  others = "".join(f"r.dat 212 200/mmHg 12 C{k}\n" for k in range(999))
  return _record(folder, f"r 1000 125 60000\nr.dat 212 200/mmHg 12 ABP\n{others}", 90 * MB)


@case("wfdb", ABP)
def music_of_a_billion_samples(folder):
  return _record(folder, "r 1 125 1000000000\nr.dat 516 200/mmHg 12 ABP\n", 2000)


@case("wfdb", ABP)
def a_hundred_thousand_signals_in_a_megabyte(folder):
  return _record(folder, "r 100000 125 10\n" + "a 8\n" * 200_000)


@case("wfdb", ABP)
def a_line_of_digits(folder):
  return _record(folder, "1" * 900_000)


@case("wfdb", ABP)
def a_hundred_thousand_segments(folder):
  return _record(folder, "r/100000 1 125 100000\n" + "".join(f"a{k} 1\n" for k in range(100_000)))


@case("wfdb", ABP)
def a_segment_that_comes_back_a_hundred_thousand_times(folder):
  """It is valid but for the unit of the wave."""
  (folder / "a.hea").write_text("a 1 125 100\na.dat 16 200/mV 12 ABP\n")
  (folder / "a.dat").write_bytes(bytes(200))
  return _record(folder, "r/100000 1 125 10000000\n" + "a 100\n" * 100_000) / "r.hea"


# ---- weights


def _program(folder, program, arrays=None):
  return torch_writer.write_zip(folder / "a.pt", arrays or {}, program)


@case("weights")
def a_key_that_holds_itself_many_times(folder):
  key = b"))\x86" + b"".join(b"q%ch%ch%c\x86" % (k, k, k) for k in range(60)) + b"q<"
  return _program(folder, torch_writer.pickled(key + b"}h<Ns"))


@case("weights")
def a_name_that_holds_itself_many_times(folder):
  key = b"))\x86" + b"".join(b"q%ch%ch%c\x86" % (k, k, k) for k in range(60))
  return _program(folder, b"\x80\x04" + key + b"\x8c\x01a\x93.")


@case("weights")
def a_program_of_30_megabytes(folder):
  return _program(folder, torch_writer.pickled(b"}" * (30 * MB)))


@case("weights")
def a_shape_of_ten_thousand_long_numbers(folder):
  number = b"\x8a\xff" + b"\x7f" * 255
  body = torch_writer.tensor(np.zeros(4, np.float32), "0")
  body = body.replace(torch_writer.whole_numbers((4,)), b"(" + number * 4000 + b"t")
  program = torch_writer.pickled(b"}" + torch_writer.text("w") + body + b"s")
  return _program(folder, program, {"w": np.zeros(4, np.float32)})


@case("weights")
def a_thousand_tensors_of_one_storage(folder):
  whole = np.zeros(5 * MB, np.float32)
  items = b"".join(torch_writer.text(f"w{k}") + torch_writer.tensor(whole, "0") for k in range(1000))
  return _program(folder, torch_writer.pickled(torch_writer.EMPTY + b"(" + items + b"u"), {"w": whole})


@case("weights")
def a_thousand_storages_in_one_place(folder):
  whole = np.zeros(MB // 8, np.float32)
  items = b"".join(torch_writer.text(f"w{k}") + torch_writer.tensor(whole, str(k)) for k in range(1000))
  program = torch_writer.pickled(torch_writer.EMPTY + b"(" + items + b"u")
  parts = [(b"a/data.pkl", program, len(program), checksum(program))]
  parts += [(b"a/data/%d" % k, whole.tobytes(), whole.nbytes, checksum(whole.tobytes())) for k in range(1000)]
  zipped(folder / "a.pt", parts, packing=0)
  return folder / "a.pt"


@case("weights")
def names_of_two_megabytes(folder):
  header = json.dumps({f"w{k}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for k in range(30_000)})
  path = folder / "a.safetensors"
  path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
  return path


def _sparse(name):
  def write(folder):
    path = folder / name
    with open(path, "wb") as file:
      file.truncate(3 * MANY)
    return path

  write.__name__ = f"three_gigabytes_of_nothing_{name.rpartition('.')[2]}"
  return write


for loader, name in (
  ("npz", "a.npz"), ("npz", "a.mat"), ("parquet", "a.parquet"), ("vitaldb", "a.vital"), ("uci", "b.h5"), ("mcl", "NV_step1.csv"),
  ("weights", "a.pt"), ("weights", "b.safetensors"),
):  # fmt: skip
  case(loader)(_sparse(name))


@case("vitaldb")
def millions_of_tracks(folder):
  """Each takes the package as long as three records."""
  track = struct.pack("<HBB", 2, 1, 1) + _text(b"X") + _text(b"") + struct.pack("<ffLf", 0, 0, 0, 1.0)
  return _vital(folder, _vital_head(), _packet(0, track + struct.pack("<dd", 1, 0)) * 10_000, 395)


@case("vitaldb")
def a_rate_that_is_no_number(folder):
  return _vital(folder, _vital_head(rate=float("nan")), SAMPLE, 1)


@case("vitaldb")
def a_sample_in_thirty_million_years(folder):
  return _vital(folder, _vital_head(), _packet(1, struct.pack("<HdHLf", 10, 1e15, 1, 1, 80.0)), 1)


@case("wfdb", ABP)
def many_segments_that_link_to_one_of_many_signals(folder):
  count, frames = 400, 50_000
  lines = "".join(f"r.dat 16 200/mmHg {name}\n" for name in ["ABP", *(f"C{k}" for k in range(255))])
  (folder / "a.hea").write_text(f"a 256 125 {frames}\n{lines}")
  with open(folder / "r.dat", "wb") as file:
    file.truncate(frames * 512)
  for k in range(count):
    (folder / f"a{k}.hea").symlink_to("a.hea")
  segments = "".join(f"a{k} {frames}\n" for k in range(count))
  (folder / "m.hea").write_text(f"m/{count} 256 125 {frames * count}\n{segments}")
  return folder / "m.hea"
