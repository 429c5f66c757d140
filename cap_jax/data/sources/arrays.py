"""The user's own arrays in `.npz` or MATLAB files up to version 7.2: a file a subject, or a folder of them.

An array is named like a column of `csv_file` (`time_s`, `radial_pressure_mmhg`, …); others by `channels`, where `signal[2]`
is the third column of a matrix. Without a clock, `fs_hz` is the rate. Single numbers are what is known of the subject.
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
_PATIENCE_S, _SLOWEST = 8, 1e7  # of MATLAB's reader, and bytes that it reads in a second at least
# its memory is bounded beyond what it takes by itself, where the system tells
_READER = """
import resource, sys, scipy.io
try:
  with open("/proc/self/statm") as told:
    most = int(told.read().split()[5]) * resource.getpagesize() + int(sys.argv[2])
  resource.setrlimit(resource.RLIMIT_DATA, (most, most))
except OSError:
  pass
scipy.io.loadmat(sys.argv[1])
"""
_DAMAGED = "save or fetch the file again"
_REMEDY = "save plain numeric arrays, without objects: they could run code"


def check_matlab(path: pathlib.Path) -> None:
  """Reads a MATLAB file in a process of its own: a damaged one can kill the reader, keep it for ever or take all memory.

  Raises:
    DataError: it cannot be read.
  """
  with datasets.reading(str(path), _DAMAGED, path.stem):
    size = path.stat().st_size
  command = [sys.executable, "-c", _READER, os.fspath(path), str(folders.largest(size))]
  patience_s = _PATIENCE_S + size / _SLOWEST
  try:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience_s)
  except subprocess.TimeoutExpired as error:
    raise DataError(str(path), f"is not read in {patience_s:.0f} s", _DAMAGED, path.stem) from error
  if done.returncode:
    said = (done.stderr.strip().splitlines() or [f"the reader ended with {done.returncode}"])[-1]
    raise DataError(str(path), f"cannot be read ({said})", _DAMAGED, path.stem)


def _check_zip(path: pathlib.Path) -> None:
  """Raises:
  DataError: the archive swells."""
  with zipfile.ZipFile(path) as archive:
    folders.check_size(str(path), sum(item.file_size for item in archive.infolist()), path)


def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  """All arrays of a file. Objects, which are pickled, are refused."""
  with datasets.reading(str(path), _DAMAGED):
    if path.suffix == ".npz":
      _check_zip(path)
      with np.load(path, allow_pickle=False) as file:
        try:
          found = {name: file[name] for name in file.files}
        except ValueError as error:
          if "pickle" in str(error):
            raise DataError(str(path), "holds objects", _REMEDY, path.stem) from error
          raise
    else:
      with open(path, "rb") as file:
        if b"MATLAB 7.3" in file.read(128):
          raise DataError(str(path), "is a MATLAB 7.3 file", "save it with -v7, or read it as pulsedb or uci")
      folders.check_size(str(path), _declared(path), path)
      check_matlab(path)
      found = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
  for name, value in found.items():
    if not isinstance(value, np.ndarray) or value.dtype.hasobject or value.dtype.fields:
      raise DataError(str(path), f"array {name} holds objects", _REMEDY)
  return found


def _declared(path: pathlib.Path) -> float:
  """Bytes that the arrays of a MATLAB file take in memory, by its table of contents."""
  return 8.0 * sum(float(np.prod(shape, dtype=float)) for _, shape, _ in scipy.io.whosmat(path))


def _take(path: pathlib.Path, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
  """(time,) the array of a name, or a column of a matrix."""
  match = _COLUMN.fullmatch(name)
  stem, column = (match.group(1), int(match.group(2))) if match else (name, None)
  if stem not in arrays:
    raise DataError(str(path), f"no array {stem!r} (found: {', '.join(list(arrays)[:8])})", "change --channels")
  wave = np.asarray(arrays[stem])
  if column is not None:
    if wave.ndim != 2 or column >= wave.shape[1]:
      raise DataError(str(path), f"array {stem} of shape {wave.shape} has no column {column}", "change --channels")
    wave = wave[:, column]
  wave = np.squeeze(wave)
  if wave.ndim != 1 or wave.dtype.kind not in "fiu":
    raise DataError(str(path), f"array {name} of shape {wave.shape} is no wave", f"name a column, as in {name}[0]")
  return wave.astype(float)


def _read(path: pathlib.Path, channels: Mapping[str, str]) -> recordings.Recording:
  arrays = _arrays(path)
  named = {name: recordings.COLUMNS[name] for name in arrays if name in recordings.COLUMNS}
  wanted = {**named, **channels}
  given = [signal for signal in wanted.values() if signal != recordings.TIME]
  twice = [signal for signal in given if given.count(signal) > 1]
  if twice:
    raise DataError(str(path), f"two arrays are {twice[0]}", "change --channels", path.stem)
  signals = {signal: _take(path, arrays, name) for name, signal in wanted.items() if signal != recordings.TIME}
  clocks = [name for name, signal in wanted.items() if signal == recordings.TIME] or [recordings.TIME]
  numbers = {
    name: float(value.reshape(-1)[0]) for name, value in arrays.items() if value.size == 1 and value.dtype.kind in "fiu"
  }
  if clocks[0] in arrays or clocks[0] in channels:
    time_s = _take(path, arrays, clocks[0])
  elif _RATE in numbers and signals:
    rate_hz = numbers.pop(_RATE)
    if not rate_hz > 0:
      raise DataError(str(path), f"{_RATE} is {rate_hz:g}", "give the sampling rate in Hz", path.stem)
    time_s = np.arange(len(next(iter(signals.values())))) / rate_hz
  else:
    remedy = f"add {recordings.TIME} or {_RATE}, or name the clock: --channels=NAME:{recordings.TIME}"
    raise DataError(str(path), "has no clock", remedy, path.stem)
  return recordings.make(path.stem, path.stem, str(path), time_s, signals, covariates=numbers)


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """An `.npz` or `.mat` file, whose name is the subject, or a folder of them.

  Args:
    channels: array, or `array[column]` → signal, or `time_s`.

  Raises:
    DataError: there is nothing of the kind at `path`.
  """
  listed: list[datasets.Entry | DataError] = []
  for file in folders.find(path, "*.npz", "*.mat"):
    if isinstance(file, DataError):
      listed.append(file)
    else:
      listed.append(datasets.Entry(file.stem, file.stem, str(file), functools.partial(_read, file, channels or {})))
  entries, lost = datasets.gather(listed)
  if not entries and not lost:
    raise DataError(str(path), "no .npz or .mat file there", "look at --path")
  return datasets.DataSet(
    name="npz",
    entries=entries,
    source="the user's own",
    licence="the user's own",
    path=str(path),
    channels=channels,
    lost=lost,
  )
