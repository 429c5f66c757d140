"""VitalDB (Lee et al. 2022, Sci. Data 9, 279): `.vital` files through the package `vitaldb`, or CSV tracks.

Beside the files may be the table of cases (`clinical_data.csv`: `caseid`, `subjectid`, `age`, `aline1`, …) and, for CSV
tracks, `trks.csv` (`caseid`, `tname`, `tid`) with `<tid>.csv`. Two cases may be of one subject, which only the table of
cases reveals. ART need not be radial: `aline1` is the site of the arterial line.
"""

import contextlib
import functools
import io
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas
import vitaldb

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import folders, number_parsing
from cap_jax.types import DataError

_ART, _FEM = "SNUADC/ART", "SNUADC/FEM"
CHANNELS: Mapping[str, str] = {_ART: "arterial", _FEM: "femoral", "SNUADC/PLETH": recordings.PPG}
NUMERICS: Mapping[str, str] = {
  "Solar8000/NIBP_SBP": "cuff_sbp_mmhg",
  "Solar8000/NIBP_DBP": "cuff_dbp_mmhg",
  "Solar8000/NIBP_MBP": "cuff_map_mmhg",
  "Solar8000/ART_SBP": "art_sbp_mmhg",
  "Solar8000/ART_DBP": "art_dbp_mmhg",
  "Solar8000/ART_MBP": "art_map_mmhg",
  "Solar8000/FEM_SBP": "fem_sbp_mmhg",
  "Solar8000/FEM_DBP": "fem_dbp_mmhg",
  "Solar8000/FEM_MBP": "fem_map_mmhg",
  "Solar8000/HR": "hr_bpm",
}
_CASES = ("clinical_data.csv", "clinical_info.csv", "clinical_information.csv", "cases.csv")
_TRACKS = "trks.csv"
_REMEDY = "download the case again"
_ARTERIAL_TRACKS = ("radial", "brachial", "femoral")


def _cases(path: str | os.PathLike[str]) -> pandas.DataFrame | None:
  """Reads the table of cases, indexed by `caseid`."""
  file = folders.one(path, *_CASES)
  if file is None:
    return None
  with datasets.reading(str(file), "download the table of cases again"):
    return pandas.read_csv(file, encoding="utf-8-sig", **number_parsing.PRECISION).set_index("caseid")


def _describe_case(cases: pandas.DataFrame | None, case: str) -> tuple[str, dict[str, float], str]:
  """Returns (subject, covariates, site of the arterial line) of a case."""
  if cases is None or not case.isdigit() or int(case) not in cases.index:
    return case, {}, CHANNELS[_ART]
  row = cases.loc[int(case)]
  if isinstance(row, pandas.DataFrame):
    raise DataError(f"case {case}", "duplicate case in the table of cases", "download the table again")
  pid = row.get("subjectid")
  subject = case if pid is None or pid != pid else f"{pid:.0f}" if isinstance(pid, float) else str(pid)
  numbers = {name: number_parsing.number(row.get(name)) for name in ("age", "height", "weight", "bmi")}
  line = str(row.get("aline1", "")).lower()
  return (
    subject,
    {name: value for name, value in numbers.items() if value == value},
    next((s for s in _ARTERIAL_TRACKS if s in line), CHANNELS[_ART]),
  )


def _channels(channels: Mapping[str, str] | None, line: str) -> dict[str, str]:
  return dict(channels) if channels else {**CHANNELS, _ART: line}


def _names_all_subjects(cases: pandas.DataFrame | None, entries: Sequence[datasets.Entry]) -> bool:
  """Returns whether the table of cases names the subject of every case."""
  if cases is None or "subjectid" not in cases.columns:
    return False
  named = {str(case) for case, subject in cases["subjectid"].items() if subject == subject}
  return all(entry.record in named for entry in entries)


def _median(values: np.ndarray) -> float:
  finite = values[np.isfinite(values)]
  return float(np.median(finite)) if finite.size else float("nan")


def _make(
  where: str,
  subject: str,
  case: str,
  channels: Mapping[str, str],
  tracks: Mapping[str, tuple[np.ndarray, np.ndarray]],
  units: Mapping[str, str],
  covariates: Mapping[str, float],
) -> recordings.Recording:
  """Makes a recording of the tracks that are waves."""
  if not tracks:
    problem = f"contains none of the tracks {', '.join(channels)}"
    raise DataError(where, problem, "change --channels", subject)
  for name, (time_s, _) in tracks.items():
    recordings.check_clock(time_s, f"{where}: {name}")
  if set(tracks) >= {_ART, _FEM} and channels[_ART] == channels[_FEM]:
    channels = {**channels, _ART: CHANNELS[_ART]}  # a femoral line has a track of its own
  signal_names = [channels[name] for name in tracks]
  twice = [signal for signal in signal_names if signal_names.count(signal) > 1]
  if twice:
    raise DataError(where, f"two tracks map to {twice[0]}", "change --channels", subject)
  time_s, signals = recordings.on_one_clock({channels[name]: track for name, track in tracks.items()})
  pressure_units = {
    channels[name]: unit for name, unit in units.items() if unit and recordings.is_pressure(channels[name])
  }
  return recordings.make(subject, case, where, time_s, signals, pressure_units, covariates)


def _read_vital(
  path: pathlib.Path, subject: str, channels: Mapping[str, str], covariates: Mapping[str, float]
) -> recordings.Recording:
  # the package prints errors and returns what it could read
  with datasets.reading(str(path), _REMEDY, subject), contextlib.redirect_stdout(io.StringIO()) as reader_output:
    file = vitaldb.VitalFile(str(path), [*channels, *NUMERICS])
    tracks, units, values = {}, {}, dict(covariates)
    rates = [track.srate for name in channels if (track := file.find_track(name)) is not None]
    seconds = max(float(file.dtend) - float(file.dtstart), 0.0)
    # each numeric is read once a second
    folders.check_size(str(path), 8 * seconds * (sum(rates) + len(NUMERICS)))
    for name in channels:
      track = file.find_track(name)
      if track is not None and track.srate > 0 and track.recs:
        wave = np.asarray(file.to_numpy([name], 1 / track.srate), dtype=float).reshape(-1)
        tracks[name] = np.arange(wave.size) / track.srate, wave
        units[name] = track.unit
    for name, covariate in NUMERICS.items():
      if file.find_track(name) is not None:
        values[covariate] = _median(np.asarray(file.to_numpy([name], 1.0), dtype=float))
  if reader_output.getvalue().strip():
    raise DataError(str(path), f"damaged file ({reader_output.getvalue().strip().splitlines()[0]})", _REMEDY, subject)
  return _make(str(path), subject, path.stem, channels, tracks, units, values)


def _read_track(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
  """Reads (time_s, value) of a track in CSV. A wave has times in its first two rows and the last only."""
  with datasets.reading(str(path), _REMEDY):
    table = (
      pandas.read_csv(path, na_values="-nan(ind)", **number_parsing.PRECISION).iloc[:, :2].astype(float).to_numpy()
    )
  time_s, value = table[:, 0], table[:, 1]
  timed_rows = np.flatnonzero(np.isfinite(time_s))
  if timed_rows.size < time_s.size:
    if timed_rows.size < 2:
      raise DataError(str(path), "contains no times", _REMEDY)
    first, last = timed_rows[0], timed_rows[-1]
    step_s = (time_s[last] - time_s[first]) / (last - first)
    time_s = time_s[first] + step_s * (np.arange(time_s.size) - first)
  return time_s, value


def _read_csv(
  files: Mapping[str, pathlib.Path],
  case: str,
  subject: str,
  channels: Mapping[str, str],
  covariates: Mapping[str, float],
) -> recordings.Recording:
  where = f"{next(iter(files.values())).parent}: case {case}"
  tracks = {name: _read_track(path) for name, path in files.items()}
  waves = {name: track for name, track in tracks.items() if name in channels}
  numerics = {NUMERICS[name]: _median(value) for name, (_, value) in tracks.items() if name in NUMERICS}
  return _make(where, subject, case, channels, waves, {}, {**covariates, **numerics})


def _csv_entries(
  table: pathlib.Path, cases: pandas.DataFrame | None, channels: Mapping[str, str] | None
) -> list[datasets.Entry | DataError]:
  with datasets.reading(str(table), "download the table of tracks again"):
    tracks = pandas.read_csv(table, encoding="utf-8-sig", dtype=str)
    if not {"caseid", "tname", "tid"} <= set(tracks.columns):
      raise DataError(str(table), "columns caseid, tname and tid are missing", "download the table of tracks again")
    groups = list(tracks.groupby("caseid", sort=False))
  listed: list[datasets.Entry | DataError] = []
  for case, rows in groups:
    try:
      subject, covariates, line = _describe_case(cases, str(case))
      signal_by_channel = _channels(channels, line)
      files: dict[str, pathlib.Path] = {}
      for name, track in zip(rows["tname"], rows["tid"], strict=True):
        if name in signal_by_channel or name in NUMERICS:
          paths = [table.parent / f"{track}{ending}" for ending in (".csv", ".csv.gz")]
          existing = [path for path in paths if folders.is_file(path)]
          files |= {name: existing[0]} if existing else {}
      for path in files.values():
        folders.check_within(table.parent, path)
      if set(files) & set(signal_by_channel):
        read = functools.partial(_read_csv, files, str(case), subject, signal_by_channel, covariates)
        listed.append(datasets.Entry(subject, str(case), f"{table.parent}: case {case}", read))
    except DataError as error:
      listed.append(error)
  return listed


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists the cases of a `.vital` file, or of a folder with `.vital` files or CSV tracks.

  Args:
    path: the file or folder.
    channels: track → signal, such as {"SNUADC/ART": "radial"}; by default ART (at the site of its line), FEM and PLETH.

  Returns:
    The data set.

  Raises:
    DataError: `path` contains no such data.
  """
  cases = _cases(path)
  listed: list[datasets.Entry | DataError] = []
  for file in folders.find(path, "*.vital"):
    if isinstance(file, DataError):
      listed.append(file)
      continue
    try:
      case = file.stem.lstrip("0") or file.stem
      subject, covariates, line = _describe_case(cases, case)
      read = functools.partial(_read_vital, file, subject, _channels(channels, line), covariates)
      listed.append(datasets.Entry(subject, case, str(file), read))
    except DataError as error:
      listed.append(error)
  tracks = folders.one(path, _TRACKS) if os.path.isdir(path) else None
  if tracks is not None:
    listed += _csv_entries(tracks, cases, channels)
  if not listed:
    raise DataError(str(path), f"no .vital file found, nor {_TRACKS} with tracks", "check --path")
  entries, lost = datasets.gather(listed)
  source, licence = "VitalDB (Lee et al. 2022, Sci. Data 9, 279)", "CC BY-NC-SA 4.0"
  return datasets.DataSet(
    name="vitaldb",
    entries=entries,
    source=source,
    licence=licence,
    path=str(path),
    channels=channels,
    subjects_known=_names_all_subjects(cases, entries),
    lost=lost,
  )
