"""PhysioNet WFDB records, one or a folder of them, read by the library `wfdb`.

Segments are joined, and each signal is read at its own rate: `wfdb` would average all to that of a frame. Names of channels
vary and do not tell a site, so the user says which is what.
"""

import functools
import os
import pathlib
import re
from collections.abc import Container, Iterator, Mapping

import numpy as np
import wfdb

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import folders
from cap_jax.types import DataError

_REMEDY = "fetch all files of the record again"
_MOST_HEADER = 1 << 20  # bytes
_PATIENT = re.compile(r"p\d{5,}")  # of MIMIC-III and IV, in the name of the record or of its folder


def record_name(path: str | os.PathLike[str]) -> str:
  """The record's path without the ending of its header."""
  name = os.fspath(path)
  return name[: -len(".hea")] if name.endswith(".hea") else name


def _header(name: str) -> wfdb.Record | wfdb.MultiRecord:
  with datasets.reading(f"{name}.hea", _REMEDY):
    size = os.path.getsize(f"{name}.hea")
    if size > _MOST_HEADER:
      raise DataError(f"{name}.hea", f"is a header of {size / 1e6:.1f} MB", "cut the record into shorter ones")
    return wfdb.rdheader(name)


def channel_names(record: wfdb.Record) -> list[str]:
  """Names of a record's channels; some writers leave a comma behind them."""
  return [str(found).strip().rstrip(",") for found in record.sig_name or ()]


def _waves(name: str, header: wfdb.Record, wanted: Container[str]) -> Iterator[tuple[str, np.ndarray, int, str]]:
  """(channel, wave, samples per frame, unit) of a record without segments; of two channels of a name the first.

  Raises:
    DataError: a signal's sum is not that of its header.
  """
  names = channel_names(header)
  numbers = [k for k, channel in enumerate(names) if channel in wanted and names.index(channel) == k]
  if not numbers or not header.sig_len:  # nothing of it, or the layout of the segments
    return
  record = wfdb.rdrecord(name, channels=numbers, smooth_frames=False, physical=False)
  sums = record.calc_checksum(expanded=True)
  waves = record.dac(expanded=True)
  for place, number in enumerate(numbers):
    told = (header.checksum or [None] * len(names))[number]
    if told is not None and (sums[place] - told) % 65536:
      raise DataError(name, f"signal {names[number]} does not have the sum that its header tells", _REMEDY)
    yield names[number], waves[place], header.samps_per_frame[number], str(header.units[number])


def _files(name: str, root: str) -> list[pathlib.Path]:
  """The files of a record and of its segments.

  Raises:
    DataError: one leads out of a folder, or a segment has segments itself, which the format does not know.
  """
  header, folder = _header(name), pathlib.Path(name).parent
  parts = {name: header}
  if isinstance(header, wfdb.MultiRecord):
    parts = {str(folder / part): _header(str(folder / part)) for part in dict.fromkeys(header.seg_name) if part != "~"}
  found = {folder / f"{pathlib.Path(name).name}.hea": None}
  for part, own in parts.items():
    if isinstance(own, wfdb.MultiRecord):
      raise DataError(part, "is a segment and has segments", _REMEDY)
    names = (f"{pathlib.Path(part).name}.hea", *(own.file_name or ()))
    found |= dict.fromkeys(pathlib.Path(part).parent / file for file in names)
  for path in found:
    folders.check_within(pathlib.Path(root), path)
  return list(found)


def channels_of(name: str, root: str, wanted: Container[str]) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
  """Channel → (clock [s], wave, unit) of a record, its segments joined.

  Args:
    name: of the record.
    root: folder that none of its files may lie outside of.
    wanted: channels to read; the others are not decoded.

  Raises:
    DataError: the record cannot be read, is damaged, or has a file elsewhere.
  """
  files = _files(name, root)
  found: dict[str, tuple[np.ndarray, np.ndarray, str]] = {}
  with datasets.reading(name, _REMEDY):
    record = wfdb.rdheader(name)
    segments = [(name, 0)]
    frames = max(record.samps_per_frame or [1]) if isinstance(record, wfdb.Record) else 1
    folders.check_size(name, 16.0 * (record.sig_len or 0) * frames, *files)  # a clock and a wave at least
    if isinstance(record, wfdb.MultiRecord):  # wfdb joins no segments of which one is lost
      starts = np.cumsum([0, *record.seg_len])[:-1].tolist()
      folder = os.path.dirname(name)
      segments = [
        (os.path.join(folder, part), at) for part, at in zip(record.seg_name, starts, strict=True) if part != "~"
      ]
    for part, start in segments:
      for channel, wave, per_frame, unit in _waves(part, wfdb.rdheader(part), wanted):
        size = record.sig_len * per_frame
        if channel not in found:
          found[channel] = np.arange(size) / (record.fs * per_frame), np.full(size, np.nan), unit
        elif found[channel][1].size != size or found[channel][2] != unit:
          raise DataError(name, f"signal {channel} has another rate or unit in {part}", "cut the record there")
        found[channel][1][start * per_frame : start * per_frame + wave.size] = wave
  return found


def _read(name: str, root: str, subject: str, channels: Mapping[str, str]) -> recordings.Recording:
  found = channels_of(name, root, channels)
  if not found:
    there = ", ".join(_listed_channels([name]))
    raise DataError(name, f"no signal {' or '.join(map(repr, channels))}", f"choose of {there}", subject)
  waves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
  units: dict[str, str] = {}
  for channel in channels:
    if channel not in found:
      continue
    time_s, wave, unit = found[channel]
    signal = channels[channel]
    if signal not in waves:
      waves[signal] = time_s, wave
      if recordings.is_pressure(signal):
        units[signal] = unit
    elif wave.size != waves[signal][1].size or units.get(signal, unit) != unit:
      raise DataError(name, f"{channel} is {signal} too, at another rate or unit", "change --channels", subject)
    else:  # one line under two names: what the first has not
      waves[signal] = time_s, np.where(np.isfinite(waves[signal][1]), waves[signal][1], wave)
  for signal, (time_s, _) in waves.items():
    recordings.check_clock(time_s, f"{name}: {signal}")
  time_s, signals = recordings.on_one_clock(waves)
  return recordings.make(subject, os.path.basename(name), name, time_s, signals, units)


def _subject(path: pathlib.Path, root: pathlib.Path) -> str | None:
  """The patient whose number stands in the record's name or in that of a folder between it and the root."""
  for part in reversed(path.absolute().relative_to(root.absolute()).parts):
    match = _PATIENT.match(part)
    if match:
      return match.group()
  return None


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """A record, with or without `.hea`, or all records of a folder but segments of others.

  Args:
    channels: channel → signal, such as {"ABP": "radial", "PLETH": "digital_ppg"}; a record keeps those that it has.

  Raises:
    DataError: there is no record, or no channel is named.
  """
  alone = os.path.isfile(record_name(path) + ".hea")
  root = os.path.dirname(os.path.abspath(record_name(path))) if alone else os.fspath(path)
  files = folders.find(record_name(path) + ".hea" if alone else path, "*.hea")
  listed: list[datasets.Entry | DataError] = []
  headers, segments = {}, set()
  for file in files:
    if isinstance(file, DataError):
      listed.append(file)
      continue
    name = record_name(file)
    try:
      headers[name] = _header(name)
    except DataError as error:
      listed.append(error)
      continue
    if isinstance(headers[name], wfdb.MultiRecord):
      segments |= {os.path.join(os.path.dirname(name), segment) for segment in headers[name].seg_name}
  whole = [name for name in headers if name not in segments]
  if not whole and not listed:
    raise DataError(str(path), "no WFDB header (.hea) there", "look at --path")
  if not channels:
    found = _listed_channels(whole)
    remedy = f"say which is what, as in --channels=ABP:radial,PLETH:{recordings.PPG}"
    raise DataError(str(path), f"has the channels {', '.join(found) or 'none'}", remedy)
  known = True
  for name in whole:
    subject = _subject(pathlib.Path(name), pathlib.Path(root))
    known &= subject is not None or alone
    subject = subject or os.path.basename(name)
    read = functools.partial(_read, name, root, subject, dict(channels))
    listed.append(datasets.Entry(subject, os.path.relpath(name, os.path.dirname(name)), name, read))
  entries, lost = datasets.gather(listed)
  return datasets.DataSet(
    name="wfdb", entries=entries, source="PhysioNet (Goldberger et al. 2000, Circulation 101, e215) or another", licence="that of the records",
    path=str(path), channels=channels, subjects_known=known, lost=lost,
  )  # fmt: skip


def _listed_channels(names: list[str]) -> list[str]:
  """Channels of the first records; a multi-segment record tells them in its segments."""
  found: dict[str, None] = {}
  for name in names[:20]:
    with datasets.reading(name, _REMEDY):
      record = wfdb.rdheader(name, rd_segments=True)
    parts = [part for part in record.segments if part is not None] if isinstance(record, wfdb.MultiRecord) else [record]
    for part in parts:
      found |= dict.fromkeys(channel_names(part))
  return list(found)
