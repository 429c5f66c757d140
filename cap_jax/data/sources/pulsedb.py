"""PulseDB (Wang et al. 2023, Front. Digit. Health 4, 1090854): 10 s segments at 125 Hz from MIMIC-III and VitalDB.

The file of a subject contains the struct array `Subj_Wins`. A subset contains the struct `Subset` with all segments in
one array, which `h5py` shows as (1250, 3, segment): ECG_F, PPG_F, ABP_Raw. ABP_Raw is read, because ABP_F is
band-passed and has no mean. The site of the pressure is not recorded.
"""

import collections
import functools
import os
import pathlib
from collections.abc import Mapping

import h5py
import numpy as np

from cap_jax.data import datasets, recordings, signal_names
from cap_jax.data.sources import folders, hdf5
from cap_jax.types import DataError

FS_HZ = 125.0
CHANNELS: Mapping[str, str] = {"ABP_Raw": "arterial", "PPG_Raw": signal_names.PPG}
_SUBSET = ("ECG_F", "PPG_F", "ABP_Raw")
_NUMBERS: Mapping[str, str] = {
  "Age": "age",
  "Height": "height",
  "Weight": "weight",
  "BMI": "bmi",
  "SegSBP": "seg_sbp_mmhg",
  "SegDBP": "seg_dbp_mmhg",
  "SBP": "seg_sbp_mmhg",
  "DBP": "seg_dbp_mmhg",
}
_WINS, _SUBSETS = "Subj_Wins", "Subset"


def _make(
  where: str, subject: str, record: str, waves: Mapping[str, np.ndarray], covariates: Mapping[str, float]
) -> recordings.Recording:
  samples = {wave.size for wave in waves.values()}
  if len(samples) > 1:
    raise DataError(where, f"its signals have different lengths, {sorted(samples)} samples", hdf5.REMEDY, subject)
  time_s = np.arange(samples.pop() if samples else 0) / FS_HZ
  return recordings.make(subject, record, where, time_s, waves, covariates=covariates)


def _read_segment(path: pathlib.Path, subject: str, segment: int, channels: Mapping[str, str]) -> recordings.Recording:
  where = f"{path}: segment {segment + 1}"
  with hdf5.opened(path) as file:
    wins = hdf5.group(file, _WINS, str(path))
    waves = {}
    for name, signal in channels.items():
      samples = hdf5.whole(hdf5.element(hdf5.field(wins, name, where), segment), len(channels) + 1)
      waves[signal] = np.asarray(samples.reshape(-1), dtype=float)
    covariates = {
      covariate: hdf5.number(hdf5.element(hdf5.field(wins, name, where), segment))
      for name, covariate in _NUMBERS.items()
      if hdf5.has(wins, name)
    }
  return _make(where, subject, f"{segment + 1:05d}", waves, covariates)


def _read_row(
  path: pathlib.Path, subject: str, row: int, channels: Mapping[str, str], covariates: Mapping[str, float]
) -> recordings.Recording:
  where = f"{path}: segment {row + 1}"
  with hdf5.opened(path) as file:
    subset = hdf5.group(file, _SUBSETS, str(path))
    signals = hdf5.field(subset, "Signals", where)
    reversed_axes = signals.shape[-1] == _rows(subset, path)  # the order in which MATLAB writes
    segment = hdf5.part(signals, row, -1, 2).T if reversed_axes else hdf5.part(signals, row, 0, 2)
    waves = {
      channels[name]: np.asarray(segment[number], dtype=float)
      for number, name in enumerate(_SUBSET)
      if name in channels
    }
  return _make(where, subject, f"{path.stem}-{row + 1:06d}", waves, covariates)


def _rows(subset: h5py.Group, path: pathlib.Path) -> int:
  return hdf5.count(hdf5.field(subset, "Subject", str(path)))


def _entries(path: pathlib.Path, subject: str, channels: Mapping[str, str] | None) -> list[datasets.Entry]:
  """Lists the segments of a file; `subject` is the subject of a file that has only one."""
  listed = []
  with hdf5.opened(path) as file:
    if hdf5.has(file, _SUBSETS):
      signal_by_field = dict(channels or {"ABP_Raw": CHANNELS["ABP_Raw"], "PPG_F": signal_names.PPG})
      subset = hdf5.group(file, _SUBSETS, str(path))
      covariates_r = {
        covariate: hdf5.whole(hdf5.field(subset, name, str(path)), len(_NUMBERS)).astype(float).reshape(-1)
        for name, covariate in _NUMBERS.items()
        if hdf5.has(subset, name)
      }
      names = hdf5.field(subset, "Subject", str(path))
      for row, whose in enumerate(hdf5.texts(names)):
        whose = whose or f"{path.stem}-unnamed"
        covariates = {covariate: float(value_r[row]) for covariate, value_r in covariates_r.items()}
        read = functools.partial(_read_row, path, whose, row, signal_by_field, covariates)
        listed.append(datasets.Entry(whose, f"{path.stem}-{row + 1:06d}", f"{path}: segment {row + 1}", read))
      return listed
    wins = hdf5.group(file, _WINS, str(path))
    signal_by_field = dict(channels or CHANNELS)
    missing = [name for name in signal_by_field if not hdf5.has(wins, name)]
    if missing:
      found = ", ".join(hdf5.names(wins, str(path))[:20])
      raise DataError(str(path), f"no field {', '.join(missing)}", f"choose --channels from {found}")
    first = next(iter(signal_by_field))
    included = hdf5.numbers(hdf5.field(wins, "IncludeFlag", str(path))) if hdf5.has(wins, "IncludeFlag") else None
    for segment in range(hdf5.count(hdf5.field(wins, first, str(path)))):
      if included is not None and included[segment] == 0:
        continue
      read = functools.partial(_read_segment, path, subject, segment, signal_by_field)
      listed.append(datasets.Entry(subject, f"{segment + 1:05d}", f"{path}: segment {segment + 1}", read))
  return listed


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists the segments of a subject, of a subset, or of a folder of such files.

  Leaves out segments that PulseDB excluded (`IncludeFlag` 0).

  Args:
    path: the file or folder.
    channels: field → signal, such as {"ABP_Raw": "radial"}.

  Returns:
    The data set.

  Raises:
    DataError: `path` contains no such data.
  """
  listed: list[datasets.Entry | DataError] = []
  files = list(folders.find(path, "*.mat"))
  stems = collections.Counter(file.stem for file in files if isinstance(file, pathlib.Path))
  for file in files:
    if isinstance(file, DataError):
      listed.append(file)
      continue
    # one number denotes different people in the MIMIC and the VitalDB part
    subject = file.stem if stems[file.stem] == 1 else f"{file.parent.name}-{file.stem}"
    try:
      listed += _entries(file, subject, channels)
    except DataError as error:
      listed.append(error)
  entries, lost = datasets.gather(listed)
  if not entries and not lost:
    raise DataError(str(path), "no .mat file found", "check --path")
  return datasets.DataSet(
    name="pulsedb", entries=entries, source="PulseDB (Wang et al. 2023, Front. Digit. Health 4, 1090854)",
    licence="MIMIC part ODbL 1.0, VitalDB part CC BY-NC-SA 4.0", path=str(path), channels=channels, lost=lost,
  )  # fmt: skip
