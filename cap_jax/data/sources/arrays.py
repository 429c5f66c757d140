"""The user's own arrays in `.npz` or MATLAB files up to version 7.2: a file a subject, or a folder of them.

The name of an array is that of a column of `csv_file` (`time_s`, `radial_pressure_mmhg`, …). `channels` assigns other
names; `signal[2]` is the third signal of a matrix, along its shorter side, and `record.abp` a field of a struct. Without a clock, `fs_hz` is the rate. Single numbers are covariates
of the subject.
"""

import dataclasses
import functools
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.io

from cap_jax import files
from cap_jax.data import datasets, recordings, signal_names
from cap_jax.data.sources import archives, folders
from cap_jax.types import DataError

_COLUMN = re.compile(r"(.+)\[(\d+)\]")
_RATE = "fs_hz"
_ARCHIVES = (b"PK\3\4", b"PK\5\6")  # what NumPy takes for one
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of NumPy's archives
# limits for MATLAB's reader: its work [s], the lowest speed that extends it [bytes/s], and the wait for that work [s]
_WORK_S, _SLOWEST, _PATIENCE_S = 4, 2.5e7, 60
# limits its work, and its memory beyond what it uses at first, where the system reports its use
_READER = """
import json, resource, sys, scipy.io
try:
  with open("/proc/self/statm") as statm:
    most = int(statm.read().split()[5]) * resource.getpagesize() + int(sys.argv[2])
  resource.setrlimit(resource.RLIMIT_DATA, (most, most))
except OSError:
  pass
used = resource.getrusage(resource.RUSAGE_SELF)
most = int(used.ru_utime + used.ru_stime) + int(sys.argv[3])
hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
resource.setrlimit(resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
scipy.io.loadmat(sys.argv[1], **json.loads(sys.argv[4]))
"""
_MAGIC = np.lib.format.magic(1, 0)
_HEADERS = {_MAGIC: np.lib.format.read_array_header_1_0, np.lib.format.magic(2, 0): np.lib.format.read_array_header_2_0}
_DAMAGED = "save or download the file again"
_REMEDY = "save plain numeric arrays, because objects can run code"


def read_matlab(path: pathlib.Path, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
  """Reads a MATLAB file, at first in a process of its own: a damaged file can kill the reader, block it, or take all
  memory.

  Args:
    path: the file.
    options: of `scipy.io.loadmat`.

  Raises:
    DataError: it cannot be read within limits of time and memory.
  """
  every = {"appendmat": False, **(options or {})}
  with datasets.reading(str(path), _DAMAGED, path.stem):
    check_matlab(path, every)
    return scipy.io.loadmat(files.regular(path), **every)


def check_matlab(path: pathlib.Path, options: Mapping[str, Any] | None = None) -> None:
  """Reads a MATLAB file in a process of its own.

  Args:
    path: the file.
    options: of `scipy.io.loadmat`.

  Raises:
    OSError: there is no such file, or it cannot be reached.
    DataError: it cannot be read within limits of time and memory.
  """
  place = folders.check_file(path)
  most = folders.most_bytes()
  work_s = round(max(_WORK_S * folders.extension(), os.path.getsize(place) / _SLOWEST))
  command = [sys.executable, "-c", _READER, place, str(int(most)), str(work_s), json.dumps(options or {})]
  try:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S * work_s / _WORK_S)
  except subprocess.TimeoutExpired as error:
    raise DataError(str(path), f"cannot be read within {error.timeout:.0f} s", _DAMAGED, path.stem) from error
  if done.returncode == -signal.SIGXCPU:
    remedy = f"{_DAMAGED}, with fewer arrays; {folders.MOST_GB} extends the time too"
    raise DataError(str(path), f"cannot be read within {work_s} s of work", remedy, path.stem)
  if done.returncode:
    message = (done.stderr.strip().splitlines() or [f"the reader exited with status {done.returncode}"])[-1]
    if message.startswith("MemoryError") or "ArrayMemoryError" in message:
      raise folders.too_large(str(path))
    raise DataError(str(path), f"cannot be read ({message})", _DAMAGED, path.stem)


def _check_headers(path: pathlib.Path) -> None:
  """Checks that the arrays of an archive are as large as their headers say; NumPy makes room for them at once.

  Raises:
    ValueError: a header is damaged.
    DataError: one is not.
  """
  with zipfile.ZipFile(files.regular(path)) as archive:
    for item in archive.infolist():
      with archive.open(item) as file:
        read = _HEADERS.get(file.read(len(_MAGIC)))
        if read is None:
          continue
        shape, _, dtype = read(file)
      size = math.prod(shape) * dtype.itemsize
      if size > item.file_size and not dtype.hasobject:
        problem = f"{item.filename} declares {size / 1e9:.3g} GB, but has {item.file_size / 1e9:.3g}"
        raise DataError(str(path), problem, _DAMAGED)


def read_archive(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads all arrays of an `.npz` file, except objects, which are pickled.

  Raises:
    OSError, ValueError, zipfile.BadZipFile: it is damaged.
    DataError: it contains objects, or more than is allowed.
  """
  archives.check_zip(path, _PACKINGS)
  with open(files.regular(path), "rb") as file:
    if file.read(4) not in _ARCHIVES:  # an array alone, with an archive behind it
      raise DataError(str(path), "is no archive of arrays", "save it with numpy.savez")
  with folders.bounded(str(path)):
    _check_headers(path)
    with np.load(files.regular(path), allow_pickle=False) as content:
      try:
        return {name: content[name] for name in content.files}
      except ValueError as error:
        if "pickle" in str(error):
          raise DataError(str(path), "contains objects", _REMEDY, path.stem) from error
        raise


def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Loads all arrays of a file. Refuses objects, which are pickled."""
  with datasets.reading(str(path), _DAMAGED):
    if path.suffix == ".npz":
      contents = read_archive(path)
    else:
      with open(files.regular(path), "rb") as file:
        if b"MATLAB 7.3" in file.read(128):
          raise DataError(
            str(path), "is a MATLAB 7.3 file", "save it with -v7, or use --format=pulsedb or --format=uci"
          )
      contents = {name: value for name, value in read_matlab(path).items() if not name.startswith("__")}
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


def _select_wave(path: pathlib.Path, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
  """Returns (time,) the array of a name, or a signal of a matrix, as it is stored."""
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
  return wave


def _read(path: pathlib.Path, channels: Mapping[str, str]) -> recordings.Recording:
  arrays = _arrays(path)
  named = {name: signal_names.COLUMNS[name] for name in arrays if name in signal_names.COLUMNS}
  signal_by_array = {**named, **channels}
  read = [signal for signal in signal_by_array.values() if signal != signal_names.TIME]
  twice = [signal for signal in read if read.count(signal) > 1]
  if twice:
    raise DataError(str(path), f"two arrays map to {twice[0]}", "change --channels", path.stem)
  stored = {
    signal: _select_wave(path, arrays, name) for name, signal in signal_by_array.items() if signal != signal_names.TIME
  }
  clocks = [name for name, signal in signal_by_array.items() if signal == signal_names.TIME] or [signal_names.TIME]
  if not stored:
    found = ", ".join(name for name, value in arrays.items() if value.size > 1) or "none"
    raise DataError(
      str(path), f"no array is named after a signal (arrays: {found})",
      "rename one to SITE_pressure_mmhg, such as radial_pressure_mmhg; or map one to where it was measured: --channels=NAME:radial",
      path.stem,
    )  # fmt: skip
  scalars = {
    name: float(value.reshape(-1)[0]) for name, value in arrays.items() if value.size == 1 and value.dtype.kind in "fiu"
  }
  if clocks[0] in arrays or clocks[0] in channels:
    clock = _select_wave(path, arrays, clocks[0])
    stored[signal_names.TIME] = signal_names.seconds(clock, channels.get(clocks[0], signal_names.TIME))
    rate_hz = None
  elif _RATE in scalars:
    rate_hz = scalars.pop(_RATE)
    if not rate_hz > 0:
      raise DataError(str(path), f"{_RATE} is {rate_hz:g}", "store the sampling rate in Hz", path.stem)
  else:
    remedy = f"add {signal_names.TIME} or {_RATE}, or name the clock: --channels=NAME:{signal_names.TIME}"
    raise DataError(str(path), "has no clock", remedy, path.stem)
  known = {clocks[0], *scalars, _RATE, *(name.partition("[")[0] for name in signal_by_array)}
  unread = tuple(name for name, value in arrays.items() if name not in known and not value.dtype.names)
  sizes = [wave.size for wave in stored.values()]
  folders.check_size(str(path), 8.0 * (sum(sizes) + (sizes[0] if rate_hz else 0)))
  del arrays  # before what is needed of them is copied
  signals = {signal: np.asarray(wave, dtype=float) for signal, wave in stored.items()}
  del stored
  time_s = np.arange(sizes[0]) / rate_hz if rate_hz else signals.pop(signal_names.TIME)
  recording = recordings.make(path.stem, path.stem, str(path), time_s, signals, covariates=scalars)
  return dataclasses.replace(recording, unread=unread)


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
