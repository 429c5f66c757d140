"""The Pulse Wave Database (Charlton et al. 2019, Am. J. Physiol. 317, H1062; Zenodo 3275625), read lazily.

There are three formats:

    CSV    PWs_<Site>_<Signal>.csv, a row a subject          } with pwdb_onset_times.csv and, for the covariates,
    WFDB   pwdb0001.hea …, channels such as `AorticRoot_P,`  } pwdb_haemod_params.csv and pwdb_model_variations.csv
    MAT    pwdb_data.mat (MATLAB 5): data.waves, data.haemods, data.plausibility

Each wave is one beat at 500 Hz from its own foot. Onset times, relative to that of the pressure at the aortic root, put
all waves on one clock, on which the beat repeats. The design is factorial, with 729 variations of each age. A random
split therefore puts near twins on both sides: hold out by `age` or by a variation (covariates `variation_pwv`, …,
in SDs).
"""

import csv
import functools
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cap_jax import files
from cap_jax.data import datasets, recordings, signal_names
from cap_jax.data.sources import arrays, folders, pwdb_plausibility, tables, wfdb_files
from cap_jax.types import DataError

FS_HZ = 500.0
SITES: Mapping[str, str] = {
  "AorticRoot": "aortic_root",
  "ThorAorta": "thoracic_aorta",
  "AbdAorta": "abdominal_aorta",
  "IliacBif": "iliac_bifurcation",
  "Carotid": "carotid",
  "SupTemporal": "superficial_temporal",
  "SupMidCerebral": "middle_cerebral",
  "Brachial": "brachial",
  "Radial": "radial",
  "Digital": "digital",
  "CommonIliac": "common_iliac",
  "Femoral": "femoral",
  "AntTibial": "anterior_tibial",
}
KINDS: Mapping[str, str] = {"P": "", "U": "velocity", "A": "area", "PPG": "ppg"}
CHANNELS: Mapping[str, str] = {
  f"{site}_{kind}": signal_names.signal_of(SITES[site], KINDS[kind]) for site in SITES for kind in KINDS
}
_DEFAULT = ("aortic_root", "brachial", "radial", "digital", "femoral", "carotid", signal_names.PPG)
_ONSETS, _PARAMETERS, _VARIATIONS = "pwdb_onset_times.csv", "pwdb_haemod_params.csv", "pwdb_model_variations.csv"
_REMEDY = "download the file again from Zenodo record 3275625"
_WAVES = re.compile(r"PWs_([A-Za-z]+)_(P|U|A|PPG)\.csv")
_ABOUT: Mapping[str, Any] = {
  "source": "Pulse Wave Database (Charlton et al. 2019, Am. J. Physiol. 317, H1062; Zenodo 3275625)",
  "licence": "ODC PDDL",
  "place": datasets.IN_SILICO,
}
_TWINS = "factorial design: a random split puts near-identical subjects in training and test; hold out a range of age or of another parameter"
_SUBJECT = "subject number"
Row = dict[str, float]


class SubjectTable:
  """A CSV file with one row a subject, from which single rows are read: name → value; an empty cell is NaN."""

  def __init__(self, path: pathlib.Path):
    """Indexes where each row begins.

    Raises:
      DataError: no such file, no header, too many lines, or a subject that occurs twice.
    """
    self.path = path
    with datasets.reading(str(path), _REMEDY):
      folders.check_count(str(path), tables.measure(path).rows)
    with datasets.reading(str(path), _REMEDY), open(files.regular(path), "rb") as file:
      header = file.readline().decode("utf-8-sig")
      self.names = [name.strip() for name in next(csv.reader([header]))]
      self._first = 1 if self.names[0] == "" else 0  # a table saved by pandas with its row numbers
      self.names = [name for name in self.names[self._first :] if name]  # a trailing comma
      if not self.names or self.names[0].lower() != _SUBJECT:
        found = self.names[0] if self.names else "nothing"
        raise DataError(str(path), f"the first column is {found!r}, not 'Subject Number'", _REMEDY)
      self._at: dict[int, int] = {}
      place, most = file.tell(), 0
      for line in file:
        if line.strip(b", \r\n"):
          number = int(float(line.split(b",", self._first + 1)[self._first]))
          if number in self._at:
            raise DataError(str(path), "duplicate subject", _REMEDY, _name(number))
          self._at[number] = place
        place += len(line)
        most = max(most, line.strip(b", \r\n").count(b",") + 1)
    if most > len(self.names) + self._first:
      problem = f"rows have up to {most} cells, but the header has {len(self.names) + self._first} names"
      raise DataError(
        str(path), problem, "if the first cells number the rows, as R writes them, save it with row.names = FALSE"
      )
    if not self._at:
      raise DataError(str(path), "contains no subjects", _REMEDY)

  @property
  def subjects(self) -> tuple[int, ...]:
    return tuple(self._at)

  def values(self, subject: int) -> np.ndarray:
    """Reads the row of a subject.

    Returns:
      (column,) values behind the subject's number.

    Raises:
      DataError: the subject is not in the file, or a cell is no number.
    """
    if subject not in self._at:
      raise DataError(str(self.path), "has no row for this subject", _REMEDY, _name(subject))
    with datasets.reading(f"{self.path}", _REMEDY, _name(subject)), open(files.regular(self.path), "rb") as file:
      file.seek(self._at[subject])
      cells = file.readline().decode("utf-8").strip().split(",")[self._first + 1 :]
      return np.array([float(cell) if cell.strip() else np.nan for cell in cells])

  def row(self, subject: int) -> Row:
    """Returns column → value of a subject."""
    return dict(zip(self.names[1:], self.values(subject).tolist(), strict=False))


@functools.cache
def _table(path: pathlib.Path) -> SubjectTable:
  return SubjectTable(path)


def on_common_clock(wave_t: np.ndarray, onset_s: float, samples: int) -> np.ndarray:
  """Puts a beat that starts at its own foot on the clock of the aortic root, as a periodic wave.

  Args:
    wave_t: (time,) one beat at 500 Hz; its length may differ from `samples` by rounding.
    onset_s: time of its foot after the foot at the aortic root [s].
    samples: length of the beat at the aortic root.

  Returns:
    (samples,) wave.
  """
  turn = (np.arange(samples) / samples - onset_s * FS_HZ / samples) % 1
  around = np.append(wave_t, wave_t[0])
  return np.interp(turn * wave_t.size, np.arange(around.size), around)


def _make(
  where: str, subject: int, waves: Mapping[str, np.ndarray], onsets: Mapping[str, float], covariates: Row
) -> recordings.Recording:
  """Makes the recording of one subject from channel → beat, all put on one clock."""
  beats = {}
  for name, wave_t in waves.items():
    beat = wave_t[np.isfinite(wave_t)]
    if beat.size < 100:
      raise DataError(where, f"{name} has {beat.size} samples", _REMEDY, _name(subject))
    if not np.isfinite(onsets.get(name, np.nan)):
      raise DataError(
        where, f"{name} has no onset time", f"copy {_ONSETS} into the folder of the waves", _name(subject)
      )
    beats[name] = beat
  sizes = [beat.size for beat in beats.values()]
  if sizes and max(sizes) - min(sizes) > 5:
    raise DataError(
      where, f"the beats of its signals differ in length, {min(sizes)} to {max(sizes)} samples", _REMEDY, _name(subject)
    )
  samples = beats["AorticRoot_P"].size if "AorticRoot_P" in beats else max(sizes, default=0)
  signals = {CHANNELS[name]: on_common_clock(beat, onsets[name], samples) for name, beat in beats.items()}
  return recordings.make(
    _name(subject), "beat", where, np.arange(samples) / FS_HZ, signals, covariates=covariates, periodic=True
  )


def _name(subject: int) -> str:
  return f"pwdb{subject:04d}"


def _covariates(parameters: Mapping[str, float], variations: Mapping[str, float]) -> Row:
  """Returns the known properties of a subject, with `plausible` recomputed from its pressures."""
  plain = {name.split("[")[0].strip(): value for name, value in parameters.items()}
  covariates = {"age": plain.get("age", np.nan), "hr_bpm": plain.get("HR", np.nan)}
  covariates |= {"cuff_sbp_mmhg": plain.get("SBP_b", np.nan), "cuff_dbp_mmhg": plain.get("DBP_b", np.nan)}
  verdict = pwdb_plausibility.plausible(covariates["age"], plain)
  if verdict is not None:
    covariates["plausible"] = float(verdict)
  for name, value in variations.items():
    if name.upper() not in ("SUBJECT NUMBER", "AGE"):
      covariates[f"variation_{name.lower()}"] = value
  return {name: value for name, value in covariates.items() if np.isfinite(value)}


def _tables(root: pathlib.Path) -> tuple[pathlib.Path | None, pathlib.Path | None, pathlib.Path | None]:
  """Finds the files of onsets, parameters and variations."""
  return folders.one(root, _ONSETS), folders.one(root, _PARAMETERS), folders.one(root, _VARIATIONS)


def _row(path: pathlib.Path | None, subject: int) -> Row:
  return _table(path).row(subject) if path is not None else {}


def _facts(beside: Sequence[pathlib.Path | None], subject: int) -> tuple[Row, Row]:
  onsets, parameters, variations = beside
  return _row(onsets, subject), _covariates(_row(parameters, subject), _row(variations, subject))


def _read_csv(
  of_waves: Mapping[str, pathlib.Path], beside: Sequence[pathlib.Path | None], subject: int
) -> recordings.Recording:
  waves = {name: _table(path).values(subject) for name, path in of_waves.items()}
  where = f"{next(iter(of_waves.values())).parent}: row {subject}"
  return _make(where, subject, waves, *_facts(beside, subject))


def _read_wfdb(
  record: str, root: str, beside: Sequence[pathlib.Path | None], subject: int, names: Iterable[str]
) -> recordings.Recording:
  tracks = wfdb_files.channels_of(record, root, list(names))
  waves = {name: tracks[name][1] for name in names if name in tracks}
  if not waves:
    raise DataError(
      record, f"contains none of the requested channels (found: {', '.join(tracks)})", "change --channels"
    )
  return _make(record, subject, waves, *_facts(beside, subject))


@functools.lru_cache(1)
def _mat(path: pathlib.Path) -> Any:
  """Loads `data` of pwdb_data.mat as nested records."""
  with datasets.reading(str(path), _REMEDY):
    options = {"squeeze_me": True, "struct_as_record": False, "variable_names": ["data"]}
    return arrays.read_matlab(path, options)["data"]


def _field(struct: Any, *names: str) -> Any:
  """Returns a field of nested MATLAB structs.

  Raises:
    LookupError: a struct has no such field.
  """
  for name in names:
    if not hasattr(struct, name):
      raise LookupError(f"no field {name}")
    struct = getattr(struct, name)
  return struct


def _read_mat(path: pathlib.Path, subject: int, names: Iterable[str]) -> recordings.Recording:
  with datasets.reading(str(path), _REMEDY, _name(subject)):
    data, row = _mat(path), subject - 1
    waves, onsets = {}, {}
    for name in names:
      site, kind = name.split("_")
      field = f"{kind}_{site}"
      if hasattr(_field(data, "waves"), field):
        cell = np.asarray(_field(data, "waves", field))
        waves[name] = np.asarray(
          cell[row] if cell.dtype == object else cell, dtype=float
        )  # with one subject there is no cell
        onsets[name] = float(np.atleast_1d(_field(data, "waves", "onset_times", field))[row])
    haemods = np.atleast_1d(_field(data, "haemods"))[row]
    parameters = {name: _number(_field(haemods, name)) for name in _field(haemods, "_fieldnames")}
    covariates = _covariates(parameters, _variations(data, row))
    if hasattr(data, "plausibility"):
      covariates.setdefault("plausible", float(np.atleast_1d(_field(data, "plausibility", "plausibility_log"))[row]))
  return _make(f"{path}: subject {subject}", subject, waves, onsets, covariates)


def _variations(data: Any, row: int) -> Row:
  """Returns the prescribed deviations of a subject [SD], or none if the file lacks them."""
  variations = getattr(getattr(data, "config", None), "variations", None)
  if variations is None:
    return {}
  values = np.atleast_2d(np.asarray(_field(variations, "params"), dtype=float))[row]
  return {
    str(name): float(value)
    for name, value in zip(np.atleast_1d(_field(variations, "param_names")), values, strict=True)
  }


def _number(value: Any) -> float:
  flat = np.asarray(value).reshape(-1)
  return float(flat[0]) if flat.size == 1 and flat.dtype.kind in "fiub" else float("nan")


def _requested_names(channels: Mapping[str, str] | None) -> list[str]:
  """Returns the PWDB names of the requested signals."""
  if channels is None:
    return [name for name, signal in CHANNELS.items() if signal in _DEFAULT]
  for name in channels:
    if name not in CHANNELS or channels[name] != CHANNELS[name]:
      choices = f"{name}:{CHANNELS[name]}" if name in CHANNELS else "Radial_P:radial, Digital_PPG:digital_ppg, …"
      raise DataError(f"--channels={name}:{channels[name]}", "is not a channel of PWDB", f"use its names, {choices}")
  return list(channels)


def _list(root: pathlib.Path, names: list[str]) -> list[datasets.Entry | DataError]:
  """Lists the subjects in the first of the three formats that is there."""
  paths_or_errors = list(folders.find(root, "*.csv", "*.hea", "pwdb_data.mat"))
  lost: list[datasets.Entry | DataError] = [path for path in paths_or_errors if isinstance(path, DataError)]
  paths = [path for path in paths_or_errors if isinstance(path, pathlib.Path)]
  beside = _tables(root)
  of_waves = {}
  for path in paths:
    match = _WAVES.fullmatch(path.name)
    if match and "_".join(match.groups()) in names:
      of_waves["_".join(match.groups())] = path
  if of_waves:
    of_waves = {name: of_waves[name] for name in names if name in of_waves}
    subjects = sorted(set().union(*(_table(path).subjects for path in of_waves.values())))
    place = next(iter(of_waves.values())).parent
    return lost + [
      _entry(subject, f"{place}: row {subject}", functools.partial(_read_csv, of_waves, beside, subject))
      for subject in subjects
    ]
  records = {
    int(path.stem[4:]): str(path)[: -len(".hea")] for path in paths if re.fullmatch(r"pwdb\d+\.hea", path.name)
  }
  if records:
    return lost + [
      _entry(subject, record, functools.partial(_read_wfdb, record, str(root), beside, subject, names))
      for subject, record in sorted(records.items())
    ]
  mats = [path for path in paths if path.suffix == ".mat"]
  if not mats and lost:
    return lost
  if not mats:
    raise DataError(str(root), "no PWs_<Site>_<Signal>.csv, pwdb0001.hea … or pwdb_data.mat found", "check --path")
  with datasets.reading(str(mats[0]), _REMEDY):
    count = len(np.atleast_1d(_field(_mat(mats[0]), "haemods")))
  return lost + [
    _entry(subject, f"{mats[0]}: subject {subject}", functools.partial(_read_mat, mats[0], subject, names))
    for subject in range(1, count + 1)
  ]


def _entry(subject: int, where: str, read: Callable[[], recordings.Recording]) -> datasets.Entry:
  return datasets.Entry(_name(subject), "beat", where, read)


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists the subjects of a folder in any of the three formats, or of `pwdb_data.mat` itself.

  Args:
    path: the folder or file.
    channels: PWDB's name → signal, such as {"Radial_P": "radial"}; by default the pressures at root, neck, arm,
      finger and groin and the finger's PPG.

  Returns:
    The data set.

  Raises:
    DataError: `path` contains no such data.
  """
  entries, lost = datasets.gather(_list(pathlib.Path(path), _requested_names(channels)))
  return datasets.DataSet(
    name="pwdb", entries=entries, path=str(path), channels=channels, lost=lost, notes=(_TWINS,), **_ABOUT
  )
