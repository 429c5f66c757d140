"""Honest records of nearly the largest size, 0.4 GB in memory: they are read, within the same limits of time and memory."""

import functools
import gzip

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import scipy.io
import vitaldb

from tests.data.sources import hostile_cases

CASES = {}
case = functools.partial(hostile_cases.case, cases=CASES)
SAMPLES = 24_000_000  # of a clock and a wave of eight bytes each
FS_HZ = 250


def wave(samples):
  """Whole numbers between 70 and 130, a pulse every 0.8 s."""
  pulse = np.round(100 + 30 * np.sin(2 * np.pi * np.arange(200) / 200)).astype("i2")
  return np.resize(pulse, samples)


def clock(samples):
  return np.arange(samples) / FS_HZ


@case("npz")
def an_archive(folder):
  np.savez_compressed(folder / "a.npz", time_s=clock(SAMPLES), radial_pressure_mmhg=wave(SAMPLES).astype(float))
  return folder


@case("npz")
def an_archive_of_short_numbers(folder):
  np.savez_compressed(folder / "a.npz", fs_hz=np.int16(FS_HZ), radial_pressure_mmhg=wave(SAMPLES).astype("u1"))
  return folder


@case("npz")
def a_matlab_file(folder):
  content = {"time_s": clock(SAMPLES // 2), "radial_pressure_mmhg": wave(SAMPLES // 2).astype(float)}
  scipy.io.savemat(folder / "a.mat", content, do_compression=True)
  return folder


@case("mcl")
def a_record_of_the_loop(folder):
  np.savez_compressed(folder / "a.npz", NV_step1=np.repeat(10 * wave(SAMPLES // 4)[:, None], 3, axis=1))
  return folder


@case("mcl")
def a_table_of_the_loop(folder):
  rows = SAMPLES // 2
  times, waves = (np.arange(rows) / FS_HZ).tolist(), wave(rows).tolist()
  with open(folder / "NV_step1.csv", "w", encoding="ascii") as file:
    file.writelines(f"{t:.3f},0,{p},{p}\n" for t, p in zip(times, waves, strict=True))
  return folder


@case("parquet")
def a_table_in_columns(folder):
  columns = {"subject": pyarrow.array(["a"] * SAMPLES), "time_s": clock(SAMPLES), "radial_pressure_mmhg": wave(SAMPLES)}
  pyarrow.parquet.write_table(pyarrow.table(columns), folder / "a.parquet")
  return folder


def _record(folder, line, content, length=""):
  (folder / "r.hea").write_text(f"r {1 + line.count(chr(10))} {FS_HZ} {length}\n{line}\n")
  (folder / "r.dat").write_bytes(content)
  return folder


@case("wfdb", {"ABP": "radial"})
def samples_of_two_bytes(folder):
  return _record(folder, "r.dat 16 1/mmHg 12 ABP", wave(SAMPLES).tobytes(), SAMPLES)


@case("wfdb", {"ABP": "radial"})
def samples_of_one_and_a_half_bytes(folder):
  pair = wave(2 * (SAMPLES // 2)).astype("u2").reshape(-1, 2)
  packed = np.stack([pair[:, 0] & 255, (pair[:, 0] >> 8) | ((pair[:, 1] >> 8) << 4), pair[:, 1] & 255], 1).astype("u1")
  return _record(folder, "r.dat 212 1/mmHg 12 ABP", packed.tobytes(), 2 * (SAMPLES // 2))


@case("wfdb", {"ABP": "radial"})
def differences(folder):
  return _record(folder, "r.dat 8 1/mmHg 12 ABP", np.diff(wave(SAMPLES), prepend=0).astype("i1").tobytes())


@case("vitaldb", {"SNUADC/ART": "radial"})
def a_case(folder):
  file = vitaldb.VitalFile()
  seconds = SAMPLES // FS_HZ
  file.dtstart, file.dtend = 1000.0, 1000.0 + seconds
  second = [wave(50 * FS_HZ)[k * FS_HZ : (k + 1) * FS_HZ].astype(np.float32) for k in range(50)]
  blocks = [{"dt": 1000.0 + k, "val": second[k % 50]} for k in range(seconds)]
  file.add_track("SNUADC/ART", blocks, srate=float(FS_HZ), unit="mmHg")
  file.to_vital(str(folder / "0001.vital"))
  return folder


@case("vitaldb", {"SNUADC/ART": "radial", "SNUADC/PLETH": "digital_ppg"})
def a_case_of_two_rates(folder):
  file, seconds = vitaldb.VitalFile(), 33_000
  file.dtstart, file.dtend = 1000.0, 1000.0 + seconds
  for name, fs_hz in (("SNUADC/ART", FS_HZ), ("SNUADC/PLETH", 100)):
    second = [wave(50 * fs_hz)[k * fs_hz : (k + 1) * fs_hz].astype(np.float32) for k in range(50)]
    blocks = [{"dt": 1000.0 + k, "val": second[k % 50]} for k in range(seconds)]
    file.add_track(name, blocks, srate=float(fs_hz), unit="mmHg")
  file.to_vital(str(folder / "0001.vital"))
  return folder


@case("wfdb", {"ABP": "radial", "PLETH": "digital_ppg"})
def frames_of_two_rates(folder):
  frames = 3_300_000
  content = np.concatenate([wave(2 * frames).reshape(-1, 2), wave(frames).reshape(-1, 1)], axis=1).tobytes()
  return _record(folder, "r.dat 16x2 1/mmHg 12 ABP\nr.dat 16 1/NU 12 PLETH", content, frames)


@case("vitaldb", {"SNUADC/ART": "radial"})
def a_track(folder):
  (folder / "trks.csv").write_text("caseid,tname,tid\n1,SNUADC/ART,abc\n")
  rows = "".join(f",{p}\n" for p in wave(1000).tolist()).encode() * (SAMPLES // 1000)
  ends = f"0,90\n{1 / FS_HZ},90\n".encode(), f"{(SAMPLES // 1000 * 1000 + 2) / FS_HZ},90\n".encode()
  with gzip.open(folder / "abc.csv.gz", "wb", compresslevel=1) as file:
    file.write(b"Time,SNUADC/ART\n" + ends[0] + rows + ends[1])
  return folder


@case("aurora_bp")
def a_measurement(folder):
  table = folder / "measurements_oscillometric.tsv"
  row = "a000\tinitial\tC\t110\t74\twave.tsv\n"
  table.write_text(f"pid\tphase\tmeasurement\tsbp\tdbp\twaveform_file_path\n{row}")
  rows = SAMPLES * 2 // 3
  with open(folder / "wave.tsv", "w", encoding="ascii") as file:
    file.write("t\toptical\tpressure\n")
    file.writelines(f"{t:.3f}\t{p}\t{p}\n" for t, p in zip(clock(rows).tolist(), wave(rows).tolist(), strict=True))
  return folder


@case("uci")
def a_matrix(folder):
  samples = 8_300_000
  with h5py.File(folder / "Part_1.mat", "w") as file:
    rows = np.stack([wave(samples)] * 3).astype(float)
    matrix = file.create_dataset("#refs#/a", data=rows, chunks=(3, 100_000), compression="gzip")
    file.create_dataset("Part_1", data=np.array([[matrix.ref]], dtype=h5py.ref_dtype))
  return folder


@case("pulsedb", {"ABP_Raw": "arterial", "PPG_Raw": "digital_ppg"})
def a_segment(folder):
  with h5py.File(folder / "p1.mat", "w") as file:
    for name in ("ABP_Raw", "PPG_Raw"):
      data = wave(SAMPLES * 2 // 3).astype(float)[None]
      matrix = file.create_dataset(f"#refs#/{name}", data=data, chunks=(1, 100_000), compression="gzip")
      file.create_dataset(f"Subj_Wins/{name}", data=np.array([[matrix.ref]], dtype=h5py.ref_dtype))
  return folder
