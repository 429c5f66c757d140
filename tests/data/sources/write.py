"""Small files in each format, with the quirks that its documentation tells of. Each writer returns (path, channels, true waves
by subject: signal → (time_s, wave))."""

import gzip

import h5py
import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import scipy.io
import vitaldb
import wfdb

SECONDS = 12.0


def wave(fs_hz, seconds=SECONDS, mean=92.0, delay_s=0.0, rate_hz=1.2):
  """(time_s, pressure): a pulse of three harmonics."""
  time_s = np.arange(round(seconds * fs_hz)) / fs_hz
  turn = 2 * np.pi * rate_hz * (time_s - delay_s)
  return time_s, mean + 18 * np.sin(turn) + 8 * np.sin(2 * turn + 0.6) + 3 * np.sin(3 * turn + 1.0)


def pair(fs_hz, mean=92.0, delay_s=0.06):
  """A radial pressure and a PPG behind it, on one clock."""
  time_s, p_t = wave(fs_hz, mean=mean)
  return {"radial": (time_s, p_t), "digital_ppg": (time_s, wave(fs_hz, delay_s=delay_s)[1] / 100)}


def csv_folder(root):
  """`subjects.csv` and a file a subject; a word among the covariates."""
  true = {"P01": pair(125.0), "P02": pair(250.0, mean=105.0)}
  (root / "subjects.csv").write_text("subject, age, ward\nP01, 63, east\nP02, 71, west\n", encoding="utf-8")
  for subject, signals in true.items():
    columns = {"time_s": signals["radial"][0], "radial_pressure_mmhg": signals["radial"][1]}
    columns |= {"digital_ppg": signals["digital_ppg"][1], "note": "x"}
    pandas.DataFrame(columns).to_csv(root / f"{subject}.csv", index=False)
  return root, None, true


def parquet(root):
  """Long form, the rows of two subjects interleaved, one subject named by a number."""
  true = {"7": pair(125.0), "8": pair(125.0, mean=105.0)}
  tables = []
  for subject, signals in true.items():
    columns = {"subject": int(subject), "time_s": signals["radial"][0], "radial_pressure_mmhg": signals["radial"][1]}
    tables.append(pandas.DataFrame({**columns, "digital_ppg": signals["digital_ppg"][1], "age": 60.0 + int(subject)}))
  mixed = pandas.concat(tables).sort_values("time_s", kind="stable")
  pyarrow.parquet.write_table(pyarrow.Table.from_pandas(mixed, preserve_index=False), root / "all.parquet")
  return root / "all.parquet", None, true


def npz(root):
  """Names of the columns; a rate instead of a clock."""
  true = {"a": pair(100.0)}
  arrays = {"radial_pressure_mmhg": true["a"]["radial"][1], "digital_ppg": true["a"]["digital_ppg"][1]}
  np.savez(root / "a.npz", fs_hz=100.0, age=55, **arrays)
  return root, None, true


def mat(root):
  """Names of its own: columns of a matrix, as the sample of a well-known toolbox has them."""
  true = {"icu": pair(125.0)}
  matrix = np.zeros((true["icu"]["radial"][1].size, 6))
  matrix[:, 2], matrix[:, 4] = true["icu"]["radial"][1], true["icu"]["digital_ppg"][1]
  scipy.io.savemat(root / "icu.mat", {"signal": matrix, "time": true["icu"]["radial"][0][:, None]})
  return root, {"signal[2]": "radial", "signal[4]": "digital_ppg", "time": "time_s"}, true


def wfdb_multi_frequency(root):
  """One record, FLAC, two signals of which one is sampled twice as often; a folder named after a patient of MIMIC."""
  folder = root / "p00" / "p000020"
  folder.mkdir(parents=True)
  slow, fast = wave(62.5), wave(125.0, delay_s=0.06)
  wfdb.wrsamp(
    "3000063_0001", fs=62.5, units=["mmHg", "NU", "NU"], sig_name=["ABP,", "Pleth", "Resp"],
    fmt=["516", "516", "516"], samps_per_frame=[1, 2, 1], base_time=None, write_dir=str(folder),
    e_p_signal=[slow[1], fast[1] / 100, slow[1] / 50],
  )  # fmt: skip
  true = {"p000020": {"radial": slow, "digital_ppg": (fast[0], fast[1] / 100)}}
  return root, {"ABP": "radial", "Pleth": "digital_ppg", "ART": "radial"}, true


def wfdb_multi_segment(root):
  """Two segments with a gap between them, and their headers beside that of the whole."""
  time_s, p_t = wave(125.0)
  half, gap = 600, 125
  for name, part in (("s_0001", p_t[:half]), ("s_0002", p_t[half + gap :])):
    wfdb.wrsamp(name, 125.0, ["mmHg"], ["ABP"], part[:, None], fmt=["16"], write_dir=str(root))
  lines = [f"s/3 1 125 {p_t.size}", f"s_0001 {half}", f"~ {gap}", f"s_0002 {p_t.size - half - gap}"]
  (root / "s.hea").write_text("\n".join(lines) + "\n", encoding="ascii")
  lost = p_t.copy()
  lost[half : half + gap] = np.nan
  return root, {"ABP": "radial"}, {"s": {"radial": (time_s, lost)}}


def vital(root):
  """Two cases of one subject, told by the table of cases; waves of two rates, numerics each 2 s, an arterial line in the groin."""
  true = {}
  for case in (1, 2):
    file = vitaldb.VitalFile()
    file.dtstart, file.dtend = 1000.0, 1000.0 + SECONDS
    signals = pair(500.0, mean=90.0 + case)
    slow = wave(100.0, delay_s=0.06)
    for name, fs_hz, x_t, unit in (
      ("SNUADC/ART", 500.0, signals["radial"][1], "mmHg"),
      ("SNUADC/PLETH", 100.0, slow[1] / 100, ""),
    ):
      size = int(fs_hz)
      blocks = [
        {"dt": 1000.0 + k, "val": x_t[k * size : (k + 1) * size].astype(np.float32)} for k in range(int(SECONDS))
      ]
      file.add_track(name, blocks, srate=fs_hz, unit=unit)
    file.add_track("Solar8000/NIBP_SBP", [{"dt": 1000.0 + 2 * k, "val": 120.0 + k} for k in range(5)], unit="mmHg")
    file.to_vital(str(root / f"{case:04d}.vital"))
    true[str(case)] = {"femoral": signals["radial"], "digital_ppg": (slow[0], slow[1] / 100)}
  text = "\ufeffcaseid,subjectid,age,sex,aline1\n1,77,63,M,Left femoral\n2,77,63,M,Left femoral\n"
  (root / "clinical_data.csv").write_text(text, encoding="utf-8")
  return root, None, {"77": true["1"]}


def vital_tracks(root):
  """Tracks of the open data set as CSV: of a wave, three times are given alone; lost samples are `-nan(ind)`."""
  time_s, p_t = wave(100.0)
  p_t[700] = np.nan
  times = ["" for _ in time_s]
  for k in (0, 1, -1):
    times[k] = f"{time_s[k]:.2f}"
  cells = ["-nan(ind)" if np.isnan(p) else f"{p:.4f}" for p in p_t]
  rows = "\n".join(f"{t},{p}" for t, p in zip(times, cells, strict=True))
  with gzip.open(root / "abc123.csv.gz", "wt", encoding="utf-8") as file:
    file.write(f"Time,SNUADC/ART\n{rows}\n")
  (root / "def456.csv").write_text("Time,Solar8000/NIBP_SBP\n3.2,118\n5.2,122\n", encoding="utf-8")
  tracks = "caseid,tname,tid\n4,SNUADC/ART,abc123\n4,Solar8000/NIBP_SBP,def456\n5,SNUADC/ART,elsewhere\n"
  (root / "trks.csv").write_text(tracks, encoding="utf-8")
  return root, {"SNUADC/ART": "radial"}, {"4": {"radial": (time_s, p_t)}}


def _cell(file, values):
  """(1, N) references, as MATLAB writes cells and the fields of struct arrays."""
  references = file.require_group("#refs#")
  result = np.empty((1, len(values)), dtype=h5py.ref_dtype)
  for k, value in enumerate(values):
    if isinstance(value, str):
      value = np.array([[ord(letter)] for letter in value], dtype=np.uint16)
    result[0, k] = references.create_dataset(f"r{len(references)}", data=np.asarray(value)).ref
  return result


def pulsedb(root):
  """`Subj_Wins` of three segments, the second excluded; ABP_F without its mean."""
  time_s, p_t = wave(125.0, seconds=10.0)
  ppg_t = wave(125.0, seconds=10.0, delay_s=0.06)[1] / 100
  with h5py.File(root / "p000160.mat", "w") as file:
    wins = file.create_group("Subj_Wins")
    row = [p_t[None], p_t[None] + 1, p_t[None] + 2]
    fields = {"ABP_Raw": row, "ABP_F": [x - x.mean() for x in row], "PPG_Raw": [ppg_t[None]] * 3}
    fields |= {"SubjectID": ["p000160"] * 3, "Age": [[[64.0]]] * 3, "SegSBP": [[[121.0]]] * 3}
    fields |= {"IncludeFlag": [[[1.0]], [[0.0]], [[1.0]]], "Gender": ["M"] * 3}
    for name, values in fields.items():
      wins.create_dataset(name, data=_cell(file, values), dtype=h5py.ref_dtype)
  return root, None, {"p000160": {"arterial": (time_s, p_t), "digital_ppg": (time_s, ppg_t)}}


def pulsedb_subset(root):
  """`Subset.Signals`, whose axes come reversed: (1250, 3, segment)."""
  time_s, p_t = wave(125.0, seconds=10.0)
  ppg_t = wave(125.0, seconds=10.0, delay_s=0.06)[1] / 100
  signals = np.stack([[0 * p_t, ppg_t, p_t], [0 * p_t, ppg_t, p_t + 5]])  # MATLAB's (segment, 3, 1250)
  with h5py.File(root / "VitalDB_Train_Subset.mat", "w") as file:
    subset = file.create_group("Subset")
    subset.create_dataset("Signals", data=signals.T)
    subset.create_dataset("Subject", data=_cell(file, ["p000001_1", "p000002_1"]), dtype=h5py.ref_dtype)
    for name, value in (("SBP", 121.0), ("DBP", 70.0), ("Age", 58.0)):
      subset.create_dataset(name, data=np.full((1, 2), value))
  return root, None, {"p000001_1": {"arterial": (time_s, p_t), "digital_ppg": (time_s, ppg_t)}}


def uci(root):
  """A cell of matrices of PPG, ABP and ECG, which come as columns."""
  time_s, p_t = wave(125.0)
  ppg_t = wave(125.0, delay_s=0.06)[1] / 100
  with h5py.File(root / "Part_1.mat", "w") as file:
    matrices = [np.stack([ppg_t, p_t + k, 0 * p_t], axis=1) for k in range(2)]
    file.create_dataset("Part_1", data=_cell(file, matrices), dtype=h5py.ref_dtype)
  return root, None, {"Part_1-00001": {"arterial": (time_s, p_t), "digital_ppg": (time_s, ppg_t)}}


def aurora(root):
  """A measurement with waves, one without, and a cuff that read zero; the clock does not begin at 0; millibars."""
  time_s, p_t = wave(500.0)
  start = 1.1369e-13
  folder = root / "measurements_auscultatory" / "a000"
  folder.mkdir(parents=True)
  mbar, light = 2900 + p_t, -5.8e5 + 100 * wave(500.0, delay_s=0.06)[1]
  table = {"t": time_s + start, "ekg": 0.0, "optical": light, "pressure": mbar, "accel_x": 0.0}
  rows = ["pid\tphase\tmeasurement\tsbp\tdbp\twaveform_file_path\twaveforms_generated"]
  for name, dbp in (("Calibration start 1", "74.0"), ("Exercise challenge start 1", "0.0")):
    path = f"measurements_auscultatory/a000/a000.initial.{name.replace(' ', '_')}.tsv"
    pandas.DataFrame(table).to_csv(root / path, sep="\t", index=False)
    rows.append(f"a000\tinitial\t{name}\t110.0\t{dbp}\t{path}\t1")
  rows.append("a000\tinitial\tCalibration start 3\t118.0\t71.0\t\t0")
  (root / "measurements_auscultatory.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
  (root / "participants.tsv").write_text("pid\tage\na000\t41\n", encoding="utf-8")
  return root, None, {"a000": {"radial": (time_s, mbar), "radial_ppg": (time_s, light)}}


def mcl(root):
  """No header; flow beside two pressures in tenths, at 1 kHz; a folder a test and a state, and a text beside the records."""
  true = {}
  for path, mean in (
    ("COres/normovolemic/NV_step3_COresolution", 92.0),
    ("SVVres/cardiogenic_shock/RR20/CS_step1_SVVresolution_RR20", 60.0),
    ("COrt/hyperdynamic/response", 99.0),
  ):
    time_s, radial = wave(1000.0, mean=mean)
    aortic = wave(1000.0, mean=mean - 2, delay_s=-0.005)[1]
    file = root / f"{path}.csv"
    file.parent.mkdir(parents=True)
    rows = zip(time_s, 5 * (radial - mean), aortic, radial, strict=True)
    file.write_text("".join(f"{t:g},{q:.1f},{a:.1f},{r:.1f}\n" for t, q, a, r in rows), encoding="ascii")
    (file.parent / "info.txt").write_text("1st column: time (s)\n", encoding="ascii")
    flow = (time_s, 5 * (radial - mean))
    true[file.stem] = {"aortic_root_flow": flow, "aortic_root": (time_s, aortic), "radial": (time_s, radial)}
  return root, None, true


PWDB_DELAY_S = 0.084


def _pwdb_beats():
  """(aortic, radial from its own foot, true radial on the aortic clock) of one beat of 400 samples."""
  turn = np.arange(400) / 400
  aortic = 95 + 20 * np.sin(2 * np.pi * turn - 1.2)
  radial = 93 + 26 * np.sin(2 * np.pi * turn - 1.2)
  return aortic, radial, 93 + 26 * np.sin(2 * np.pi * (turn - PWDB_DELAY_S / 0.8) - 1.2)


def _pwdb_tables(root):
  onsets = f"Subject Number, AorticRoot_P, Radial_P\n1, 0, {PWDB_DELAY_S}\n2, 0, {PWDB_DELAY_S}\n"
  (root / "pwdb_onset_times.csv").write_text(onsets, encoding="utf-8")
  header = "Subject Number, age [years], HR [bpm], SBP_a [mmHg], DBP_a [mmHg], MAP_a [mmHg], PP_a [mmHg], "
  header += "SBP_b [mmHg], DBP_b [mmHg], MBP_b [mmHg], PP_b [mmHg], PP_amp [ratio]\n"
  rows = "1,25,75,103,75,88,28,120,74,90,46,1.64\n2,75,75,160,75,88,85,170,74,90,96,1.13\n"
  (root / "pwdb_haemod_params.csv").write_text(header + rows, encoding="utf-8")
  variations = "SUBJECT NUMBER, AGE, DIA, HR, LVET, MBP, PWV, SV\n1,25,0,0,0,0,-1,0\n2,75,0,0,0,0,1,0\n"
  (root / "pwdb_model_variations.csv").write_text(variations, encoding="utf-8")


def _pwdb_true():
  aortic, _, radial = _pwdb_beats()
  time_s = np.arange(400) / 500
  return {"pwdb0001": {"aortic_root": (time_s, aortic), "radial": (time_s, radial)}}


def pwdb_csv(root):
  """Leading spaces in the header, rows filled up with NaN or with empty cells, a comma behind the last."""
  folder = root / "PWs" / "csv"
  folder.mkdir(parents=True)
  aortic, radial, _ = _pwdb_beats()
  for site, beat in (("AorticRoot", aortic), ("Radial", radial)):
    cells = ",".join(f"{x:.6f}" for x in beat)
    lines = ["Subject Number, " + ", ".join(f"pt{k + 1}" for k in range(405)) + ","]
    lines += [f"1,{cells},NaN,NaN,NaN,NaN,NaN", f"2,{cells},,,,,,"]
    (folder / f"PWs_{site}_P.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
  _pwdb_tables(root)
  return root, {"AorticRoot_P": "aortic_root", "Radial_P": "radial"}, _pwdb_true()


def pwdb_wfdb(root):
  """Records whose channels have a comma behind their names."""
  aortic, radial, _ = _pwdb_beats()
  for number in (1, 2):
    wfdb.wrsamp(
      f"pwdb{number:04d}", 500, ["mmHg", "mmHg"], ["AorticRoot_P,", "Radial_P,"], np.stack([aortic, radial], 1),
      fmt=["16", "16"], write_dir=str(root),
    )  # fmt: skip
  _pwdb_tables(root)
  return root, {"AorticRoot_P": "aortic_root", "Radial_P": "radial"}, _pwdb_true()


def pwdb_mat(root, subjects=2):
  """One struct `data`: waves in cells, onset times, parameters as a struct array, the flag of plausibility."""
  aortic, radial, _ = _pwdb_beats()
  waves = {"fs": 500.0}
  for name, beat in (("P_AorticRoot", aortic), ("P_Radial", radial)):
    cell = np.empty((1, subjects), dtype=object)
    for number in range(subjects):
      cell[0, number] = beat
    waves[name] = cell
  waves["onset_times"] = {"P_AorticRoot": np.zeros((subjects, 1)), "P_Radial": np.full((subjects, 1), PWDB_DELAY_S)}
  rows = [(25.0, 75.0, 120.0, 74.0), (75.0, 75.0, 170.0, 74.0)]
  haemods = np.array(rows, dtype=[(name, "O") for name in ("age", "HR", "SBP_b", "DBP_b")])[None, :subjects]
  data = {
    "waves": waves,
    "haemods": haemods,
    "plausibility": {"plausibility_log": np.array([[1], [0]], np.uint8)[:subjects]},
  }
  scipy.io.savemat(root / "pwdb_data.mat", {"data": data})
  return root, {"AorticRoot_P": "aortic_root", "Radial_P": "radial"}, _pwdb_true()


# format → (data set, writer)
WRITERS = {
  "mcl": ("mcl", mcl),
  "csv": ("csv", csv_folder),
  "parquet": ("parquet", parquet),
  "npz": ("npz", npz),
  "mat": ("npz", mat),
  "wfdb of several rates": ("wfdb", wfdb_multi_frequency),
  "wfdb of segments": ("wfdb", wfdb_multi_segment),
  "vital": ("vitaldb", vital),
  "vital tracks": ("vitaldb", vital_tracks),
  "pulsedb": ("pulsedb", pulsedb),
  "pulsedb subset": ("pulsedb", pulsedb_subset),
  "uci": ("uci", uci),
  "aurora": ("aurora_bp", aurora),
  "pwdb csv": ("pwdb", pwdb_csv),
  "pwdb wfdb": ("pwdb", pwdb_wfdb),
  "pwdb mat": ("pwdb", pwdb_mat),
}
