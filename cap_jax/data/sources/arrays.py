"""The user's own arrays in `.npz` or MATLAB files up to version 7.2: a file a subject, or a folder of them.

The name of an array is that of a column of `csv_file` (`time_s`, `radial_pressure_mmhg`, …). `channels` assigns other
names; `signal[2]` is the third signal of a matrix, along its shorter side, and `record.abp` a field of a struct. Without a clock, `fs_hz` is the rate. Single numbers are covariates
of the subject.
"""

import functools
import os
import pathlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping

import numpy as np
import scipy.io

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import folders
from cap_jax.types import DataError

_COLUMN = re.compile(r"(.+)\[(\d+)\]")
_RATE = "fs_hz"
_PATIENCE_S, _SLOWEST = 8, 1e7  # time limit for MATLAB's reader [s], and the lowest speed that extends it [bytes/s]
# limits the memory of the reader beyond what it uses at first, where the system reports its use
_READER = """
import resource, sys, scipy.io
try:
  with open("/proc/self/statm") as statm:
    most = int(statm.read().split()[5]) * resource.getpagesize() + int(sys.argv[2])
  resource.setrlimit(resource.RLIMIT_DATA, (most, most))
except OSError:
  pass
scipy.io.loadmat(sys.argv[1])
"""
_DAMAGED = "save or download the file again"
_REMEDY = "save plain numeric arrays, because objects can run code"


def check_matlab(path: pathlib.Path) -> None:
  """Reads a MATLAB file in a process of its own: a damaged file can kill the reader, block it, or take all memory.

  Raises:
    DataError: it cannot be read.
  """
  with datasets.reading(str(path), _DAMAGED, path.stem):
    size = path.stat().st_size
  command = [sys.executable, "-c", _READER, os.fspath(path), str(int(folders.most_bytes()))]
  patience_s = _PATIENCE_S + size / _SLOWEST
  try:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience_s)
  except subprocess.TimeoutExpired as error:
    raise DataError(str(path), f"cannot be read within {patience_s:.0f} s", _DAMAGED, path.stem) from error
  if done.returncode:
    message = (done.stderr.strip().splitlines() or [f"the reader exited with status {done.returncode}"])[-1]
    raise DataError(str(path), f"cannot be read ({message})", _DAMAGED, path.stem)


def _check_zip(path: pathlib.Path) -> None:
  """Checks the size of an archive's content.

  Raises:
    DataError: the content is far too large for the archive.
  """
  with zipfile.ZipFile(path) as archive:
    folders.check_size(str(path), sum(item.file_size for item in archive.infolist()))


def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Loads all arrays of a file. Refuses objects, which are pickled."""
  with datasets.reading(str(path), _DAMAGED):
    if path.suffix == ".npz":
      _check_zip(path)
      with np.load(path, allow_pickle=False) as file:
        try:
          contents = {name: file[name] for name in file.files}
        except ValueError as error:
          if "pickle" in str(error):
            raise DataError(str(path), "contains objects", _REMEDY, path.stem) from error
          raise
    else:
      with open(path, "rb") as file:
        if b"MATLAB 7.3" in file.read(128):
          raise DataError(
            str(path), "is a MATLAB 7.3 file", "save it with -v7, or use --format=pulsedb or --format=uci"
          )
      folders.check_size(str(path), _declared(path))
      check_matlab(path)
      contents = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
  return _with_fields({name: value for name, value in contents.items() if isinstance(value, np.ndarray)})


def _with_fields(contents: Mapping[str, np.ndarray], depth: int = 4) -> dict[str, np.ndarray]:
  """Returns arrays, and the fields of structs as `struct.field`.

  Args:
    contents: name → array, of MATLAB's reader.
    depth: most structs within structs.
  """
  named = dict(contents)
  for name, value in contents.items():
    if value.dtype.names and value.size == 1 and depth:
      fields = {f"{name}.{field}": np.asarray(value.reshape(-1)[0][field]) for field in value.dtype.names}
      named |= _with_fields(fields, depth - 1)
  return named


def _check_plain(path: pathlib.Path, name: str, value: np.ndarray) -> None:
  """Checks that an array that is read has plain numbers; other arrays of the file may be cells or structs.

  Raises:
    DataError: it has objects.
  """
  if value.dtype.hasobject or value.dtype.fields:
    raise DataError(str(path), f"array {name} contains objects", _REMEDY)


def _declared(path: pathlib.Path) -> float:
  """Returns the bytes that the arrays of a MATLAB file take in memory, by its table of contents."""
  return 8.0 * sum(float(np.prod(shape, dtype=float)) for _, shape, _ in scipy.io.whosmat(path))


def _extract_wave(path: pathlib.Path, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
  """Returns (time,) the array of a name, or a signal of a matrix."""
  match = _COLUMN.fullmatch(name)
  stem, column = (match.group(1), int(match.group(2))) if match else (name, None)
  if stem not in arrays:
    raise DataError(str(path), f"no array {stem!r} (found: {', '.join(list(arrays)[:8])})", "change --channels")
  _check_plain(path, stem, arrays[stem])
  wave = np.asarray(arrays[stem])
  if column is not None:
    if wave.ndim == 2 and wave.shape[0] < wave.shape[1]:  # signals are rows, as wfdb2mat writes them
      wave = wave.T
    if wave.ndim != 2 or column >= wave.shape[1]:
      raise DataError(str(path), f"array {stem} of shape {wave.shape} has no signal {column}", "change --channels")
    wave = wave[:, column]
  wave = np.squeeze(wave)
  if wave.ndim != 1 or wave.dtype.kind not in "fiu":
    raise DataError(
      str(path), f"array {name} of shape {wave.shape} is not a wave", f"select a signal, such as {name}[0]"
    )
  return wave.astype(float, copy=False)


def _read(path: pathlib.Path, channels: Mapping[str, str]) -> recordings.Recording:
  arrays = _arrays(path)
  named = {name: recordings.COLUMNS[name] for name in arrays if name in recordings.COLUMNS}
  signal_by_array = {**named, **channels}
  signal_names = [signal for signal in signal_by_array.values() if signal != recordings.TIME]
  twice = [signal for signal in signal_names if signal_names.count(signal) > 1]
  if twice:
    raise DataError(str(path), f"two arrays map to {twice[0]}", "change --channels", path.stem)
  signals = {
    signal: _extract_wave(path, arrays, name) for name, signal in signal_by_array.items() if signal != recordings.TIME
  }
  clocks = [name for name, signal in signal_by_array.items() if signal == recordings.TIME] or [recordings.TIME]
  scalars = {
    name: float(value.reshape(-1)[0]) for name, value in arrays.items() if value.size == 1 and value.dtype.kind in "fiu"
  }
  if clocks[0] in arrays or clocks[0] in channels:
    time_s = _extract_wave(path, arrays, clocks[0])
  elif _RATE in scalars and signals:
    rate_hz = scalars.pop(_RATE)
    if not rate_hz > 0:
      raise DataError(str(path), f"{_RATE} is {rate_hz:g}", "store the sampling rate in Hz", path.stem)
    time_s = np.arange(len(next(iter(signals.values())))) / rate_hz
  else:
    remedy = f"add {recordings.TIME} or {_RATE}, or name the clock: --channels=NAME:{recordings.TIME}"
    raise DataError(str(path), "has no clock", remedy, path.stem)
  return recordings.make(path.stem, path.stem, str(path), time_s, signals, covariates=scalars)


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists an `.npz` or `.mat` file, whose name is the subject, or a folder of them.

  Args:
    path: the file or folder.
    channels: array, or `array[column]` → signal, or `time_s`.

  Returns:
    The data set.

  Raises:
    DataError: `path` contains no such data.
  """
  listed: list[datasets.Entry | DataError] = []
  for file in folders.find(path, "*.npz", "*.mat"):
    if isinstance(file, DataError):
      listed.append(file)
    else:
      listed.append(datasets.Entry(file.stem, file.stem, str(file), functools.partial(_read, file, channels or {})))
  if not listed:
    raise DataError(str(path), "no .npz or .mat file found", "check --path")
  return datasets.of_the_user("npz", listed, path, channels)
