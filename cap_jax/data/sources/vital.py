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
import struct
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import vitaldb

from cap_jax import files
from cap_jax.data import datasets, recordings, signal_names
from cap_jax.data.sources import archives, folders, number_parsing, tables
from cap_jax.types import DataError

_ART, _FEM = "SNUADC/ART", "SNUADC/FEM"
CHANNELS: Mapping[str, str] = {_ART: "arterial", _FEM: "femoral", "SNUADC/PLETH": signal_names.PPG}
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
_PROPERTIES = ("age", "height", "weight", "bmi")
_MOST_DIGITS = 18
# of a `.vital` file: the work that its packets may take, and what each takes [s], in a track that is read or another,
# and of the description of a track or a device
_MOST_WORK_S, _READ_S, _SKIPPED_S, _DESCRIBED_S = 7.0, 5.5e-6, 1.7e-6, 5e-6
_PACKET = struct.Struct("<BI")  # kind and length, before each packet
_TRACK, _RECORD = 0, 1  # kinds of packets
_TRACK_HEAD = struct.Struct("<HBBI")  # number, kinds, and length of the name of a track
_RECORD_HEAD = struct.Struct("<HdH")  # its length, time, and number of the track
_MOST_LETTERS = 200  # of a track's name
_SPLINE_BYTES = 64  # of a sample that is brought to a faster clock


Case = Mapping[Hashable, Any]
"""Column of the table of cases → cell."""


def _cases(path: str | os.PathLike[str]) -> dict[int, list[Case]] | None:
  """Reads the table of cases: number of a case → its rows; None if there is no table.

  Raises:
    DataError: it cannot be read.
  """
  file = folders.one(path, *_CASES)
  if file is None:
    return None
  with datasets.reading(str(file), "download the table of cases again"):
    table = tables.frame(file, ("caseid", "subjectid", *_PROPERTIES, "aline1"))
    folders.check_count(str(file), len(table))
    cases: dict[int, list[Case]] = {}
    numbers = number_parsing.parse_cells(table["caseid"])
    for number, row in zip(numbers, table.to_dict("records"), strict=True):
      if np.isfinite(number):
        cases.setdefault(int(number), []).append(row)
  return cases


def _describe_case(cases: Mapping[int, Sequence[Case]] | None, case: str) -> tuple[str, dict[str, float], str]:
  """Returns (subject, covariates, site of the arterial line) of a case."""
  rows = cases.get(int(case), ()) if cases is not None and case.isdecimal() and len(case) < _MOST_DIGITS else ()
  if not rows:
    return case, {}, CHANNELS[_ART]
  if len(rows) > 1:
    raise DataError(f"case {case}", "duplicate case in the table of cases", "download the table again")
  row = rows[0]
  pid = row.get("subjectid")
  subject = case if pid is None or pid != pid else f"{pid:.0f}" if isinstance(pid, float) else str(pid)
  numbers = {name: number_parsing.number(row.get(name)) for name in _PROPERTIES}
  line = str(row.get("aline1", "")).lower()
  return (
    subject,
    {name: value for name, value in numbers.items() if value == value},
    next((s for s in _ARTERIAL_TRACKS if s in line), CHANNELS[_ART]),
  )


def _channels(channels: Mapping[str, str] | None, line: str) -> dict[str, str]:
  return dict(channels) if channels else {**CHANNELS, _ART: line}


def _names_all_subjects(cases: Mapping[int, Sequence[Case]] | None, entries: Sequence[datasets.Entry]) -> bool:
  """Returns whether the table of cases names the subject of every case."""
  named = {
    str(case) for case, rows in (cases or {}).items() for row in rows if row.get("subjectid") == row.get("subjectid", 0)
  }
  return bool(cases) and all(entry.record in named for entry in entries)


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
  read = [channels[name] for name in tracks]
  twice = [signal for signal in read if read.count(signal) > 1]
  if twice:
    raise DataError(where, f"two tracks map to {twice[0]}", "change --channels", subject)
  time_s, signals = recordings.on_one_clock({channels[name]: track for name, track in tracks.items()})
  pressure_units = {
    channels[name]: unit for name, unit in units.items() if unit and signal_names.is_pressure(channels[name])
  }
  return recordings.make(subject, case, where, time_s, signals, pressure_units, covariates)


def _packets(path: pathlib.Path) -> Iterator[tuple[int, bytes]]:
  """Yields kind and beginning of the packets of a `.vital` file.

  Raises:
    DataError: it unpacks to more than a record may.
  """
  size, data, at = 0, b"", 0
  for block in archives.unpack_gzip(path):
    if not size:  # the length of the header
      at = 10 + int.from_bytes(block[8:10], "little")
    size += len(block)
    folders.check_size(str(path), size, "packets")
    data, at = data[at:] + block, max(at - len(data), 0)
    while at + _PACKET.size <= len(data):
      kind, length = _PACKET.unpack_from(data, at)
      begin = data[at + _PACKET.size : at + _PACKET.size + min(length, _MOST_LETTERS)]
      if len(begin) < min(length, _MOST_LETTERS):
        break  # goes on in the next block
      yield kind, begin
      at += _PACKET.size + length


def _check_packets(path: pathlib.Path, wanted: Collection[str]) -> None:
  """Checks size and number of the packets of a `.vital` file, which the package unpacks to the end.

  Args:
    path: the file.
    wanted: names of the tracks that will be read.

  Raises:
    DataError: it is another file, or there are too many.
  """
  if path.suffix != ".vital":  # the package would read it as another format, or from the net
    raise DataError(str(path), "is no .vital file", "pass .vital files, or the folder of the tracks")
  ends = {name.rpartition("/")[2].encode() for name in wanted}
  read, work_s, most_s = set(), 0.0, _MOST_WORK_S * folders.extension()
  for kind, begin in _packets(path):
    work_s += _SKIPPED_S if kind == _RECORD else _DESCRIBED_S
    if kind == _RECORD and len(begin) >= _RECORD_HEAD.size:
      work_s += (_READ_S - _SKIPPED_S) * (_RECORD_HEAD.unpack_from(begin)[2] in read)
    elif kind == _TRACK and len(begin) >= _TRACK_HEAD.size:
      number, _, _, length = _TRACK_HEAD.unpack_from(begin)
      name = begin[_TRACK_HEAD.size : _TRACK_HEAD.size + length]
      read |= {number} if name.rpartition(b"/")[2] in ends else set()
    if work_s > most_s:
      remedy = f"split the case, or set the environment variable {folders.MOST_GB} to a higher value if it is sound"
      raise DataError(str(path), "consists of millions of packets, more than are read", remedy)


def _values(
  file: vitaldb.VitalFile, path: pathlib.Path, channels: Collection[str]
) -> tuple[dict[str, tuple[np.ndarray, float, str]], dict[str, float]]:
  """Returns track → (wave, rate, unit), and the median of each numeric.

  Raises:
    DataError: they are too large.
  """
  found = {name: track for name in (*channels, *NUMERICS) if (track := file.find_track(name)) is not None}
  rates = {name: float(found[name].srate) for name in channels if name in found}
  seconds = max(float(file.dtend) - float(file.dtstart), 0.0)
  slow = sum(rate for rate in rates.values() if rate < max(rates.values()))
  # each numeric is read once a second
  others = sum(max(1.0, float(found[name].srate)) for name in NUMERICS if name in found)
  samples = sum(rates.values()) + sum({*rates.values()}) + others  # of waves, clocks and numerics
  folders.check_size(str(path), seconds * (8 * samples + _SPLINE_BYTES * slow))
  waves = {
    name: (np.asarray(file.to_numpy([name], 1 / rate)).reshape(-1), rate, str(found[name].unit))
    for name, rate in rates.items()
    if rate > 0 and found[name].recs
  }
  medians = {
    covariate: _median(np.asarray(file.to_numpy([name], 1.0), dtype=float))
    for name, covariate in NUMERICS.items()
    if name in found
  }
  return waves, medians


def _with_clocks(waves: dict[str, tuple[np.ndarray, float, str]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Returns track → (clock, wave); those of one rate share a clock. Empties `waves`, whose memory is needed."""
  clocks: dict[tuple[int, float], np.ndarray] = {}
  tracks = {}
  for name in list(waves):
    wave, rate, _ = waves.pop(name)
    if (wave.size, rate) not in clocks:
      clocks[wave.size, rate] = np.arange(wave.size, dtype=float)
      clocks[wave.size, rate] /= rate
    tracks[name] = clocks[wave.size, rate], wave.astype(float)
  return tracks


def _read_vital(
  path: pathlib.Path, subject: str, channels: Mapping[str, str], covariates: Mapping[str, float]
) -> recordings.Recording:
  with datasets.reading(str(path), _REMEDY, subject):
    _check_packets(path, [*channels, *NUMERICS])
    # the package prints errors and returns what it could read
    with folders.bounded(str(path)), contextlib.redirect_stdout(io.StringIO()) as reader_output:
      file = vitaldb.VitalFile(os.path.abspath(files.regular(path)), [*channels, *NUMERICS])
      waves, medians = _values(file, path, channels)
      del file  # before clocks are made
    if problem := reader_output.getvalue().strip():
      if problem.endswith("file:"):  # without a reason: there was no memory
        raise folders.too_large(str(path))
      raise DataError(str(path), f"damaged file ({problem.splitlines()[0]})", _REMEDY, subject)
    units = {name: unit for name, (_, _, unit) in waves.items()}
    tracks = _with_clocks(waves)
  return _make(str(path), subject, path.stem, channels, tracks, units, {**covariates, **medians})


def _read_track(path: pathlib.Path, shape: tables.Shape) -> tuple[np.ndarray, np.ndarray]:
  """Reads (time_s, value) of a track in CSV. A wave has times in its first two rows and the last only."""
  with datasets.reading(str(path), _REMEDY):
    time_s, value = tables.numbers(path, (0, 1), shape, na_values="-nan(ind)")
  timed_rows = np.flatnonzero(np.isfinite(time_s))
  if timed_rows.size < time_s.size:
    if timed_rows.size < 2:
      raise DataError(str(path), "contains no times", _REMEDY)
    first, last = timed_rows[0], timed_rows[-1]
    begin_s, step_s = time_s[first], (time_s[last] - time_s[first]) / (last - first)
    time_s[:] = np.arange(time_s.size)  # in place, because a record may fill the memory that it may take
    time_s -= first
    time_s *= step_s
    time_s += begin_s
  return time_s, value


def _read_csv(
  paths: Mapping[str, pathlib.Path],
  case: str,
  subject: str,
  channels: Mapping[str, str],
  covariates: Mapping[str, float],
) -> recordings.Recording:
  where = f"{next(iter(paths.values())).parent}: case {case}"
  with datasets.reading(where, _REMEDY, subject):
    shapes = {name: tables.measure(path) for name, path in paths.items()}
    most = max(shape.rows for shape in shapes.values())
    slow = sum(shape.rows for shape in shapes.values() if shape.rows < most)
    folders.check_size(where, 16.0 * sum(shape.rows for shape in shapes.values()) + float(_SPLINE_BYTES * slow))
  tracks = {name: _read_track(path, shapes[name]) for name, path in paths.items()}
  waves = {name: track for name, track in tracks.items() if name in channels}
  numerics = {NUMERICS[name]: _median(value) for name, (_, value) in tracks.items() if name in NUMERICS}
  return _make(where, subject, case, channels, waves, {}, {**covariates, **numerics})


def _csv_entries(
  table: pathlib.Path, cases: Mapping[int, Sequence[Case]] | None, channels: Mapping[str, str] | None
) -> list[datasets.Entry | DataError]:
  with datasets.reading(str(table), "download the table of tracks again"):
    rows = tables.frame(table, ("caseid", "tname", "tid"), dtype=str)
    if not {"caseid", "tname", "tid"} <= set(rows.columns):
      raise DataError(str(table), "columns caseid, tname and tid are missing", "download the table of tracks again")
  tracks: dict[str, list[tuple[str, str]]] = {}
  for case, name, track in rows[["caseid", "tname", "tid"]].dropna().itertuples(index=False):
    tracks.setdefault(case, []).append((name, track))
  folders.check_count(str(table), len(tracks))
  refusal = functools.cache(functools.partial(folders.refusal, table.parent))
  listed: list[datasets.Entry | DataError] = []
  for case, of_case in tracks.items():
    try:
      subject, covariates, line = _describe_case(cases, case)
      signal_by_channel = _channels(channels, line)
      paths: dict[str, pathlib.Path] = {}
      for name, track in of_case:
        if name in signal_by_channel or name in NUMERICS:
          possible = [table.parent / os.path.normpath(f"{track}{ending}") for ending in (".csv", ".csv.gz")]
          existing = [path for path in possible if os.path.lexists(path)]
          paths |= {name: existing[0]} if existing else {}
      errors = [error for path in paths.values() if (error := refusal(path)) is not None]
      if errors:
        raise errors[0]
      if set(paths) & set(signal_by_channel):
        read = functools.partial(_read_csv, paths, case, subject, signal_by_channel, covariates)
        listed.append(datasets.Entry(subject, case, f"{table.parent}: case {case}", read))
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
    files=tuple(str(table) for table in [folders.one(path, *_CASES)] if table is not None),
  )
