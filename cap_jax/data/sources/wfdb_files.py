"""PhysioNet WFDB records, one or a folder of them, read by the library `wfdb`.

Segments are joined, and each signal is read at its own rate: `wfdb` would average all to that of a frame. Names of channels
vary and do not tell a site, so the user says which is what.
"""

import functools
import os
import pathlib
import re
from collections.abc import Mapping

import numpy as np
import wfdb

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import folders
from cap_jax.types import DataError

_REMEDY = "fetch all files of the record again"
_PATIENT = re.compile(r"p\d{5,}")  # of MIMIC-III and IV, in the name of the record or of its folder


def record_name(path: str | os.PathLike[str]) -> str:
  """The record's path without the ending of its header."""
  name = os.fspath(path)
  return name[: -len(".hea")] if name.endswith(".hea") else name


def exists(path: str | os.PathLike[str]) -> bool:
  """Whether there is a header of that name."""
  return os.path.isfile(record_name(path) + ".hea")


def _header(name: str) -> wfdb.Record | wfdb.MultiRecord:
  with datasets.reading(f"{name}.hea", _REMEDY):
    return wfdb.rdheader(name)


def channel_names(record: wfdb.Record) -> list[str]:
  """Names of a record's channels; some writers leave a comma behind them."""
  return [str(found).strip().rstrip(",") for found in record.sig_name or ()]


def _checked(record: wfdb.Record, name: str) -> list[np.ndarray]:
  """Physical signals of a record read as digital ones, each at its own rate.

  Raises:
    DataError: a signal's sum is not that of its header.
  """
  said = record.checksum or []
  for channel, found, told in zip(record.sig_name, record.calc_checksum(expanded=True), said, strict=False):
    if told is not None and (found - told) % 65536:
      raise DataError(name, f"signal {channel} does not have the sum that its header tells", _REMEDY)
  return record.dac(expanded=True)


def _check_files(name: str, root: str) -> None:
  """Raises:
  DataError: a file of the record, or of one of its segments, leads out of a folder."""
  header, folder = _header(name), pathlib.Path(name).parent
  if isinstance(header, wfdb.MultiRecord):
    for segment in header.seg_name:
      if segment != "~":
        _check_files(str(folder / segment), root)
    return
  for file in dict.fromkeys((f"{pathlib.Path(name).name}.hea", *(header.file_name or ()))):
    folders.check_within(pathlib.Path(root), folder / file)


def channels_of(name: str, root: str) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
  """Channel → (clock [s], wave, unit) of a record, its segments joined; of two channels of a name the first.

  Args:
    name: of the record.
    root: folder that none of its files may lie outside of.

  Raises:
    DataError: the record cannot be read, is damaged, or has a file elsewhere.
  """
  _check_files(name, root)
  found: dict[str, tuple[np.ndarray, np.ndarray, str]] = {}
  with datasets.reading(name, _REMEDY):
    record = wfdb.rdrecord(name, smooth_frames=False, m2s=False, physical=False)
    if isinstance(record, wfdb.MultiRecord):  # wfdb joins no segments of which one is lost
      starts = np.cumsum([0, *record.seg_len])[:-1]
      segments = list(zip(record.seg_name, record.segments, starts, strict=True))
    else:
      segments = [(name, record, 0)]
    for part, segment, start in segments:
      if segment is None or not segment.sig_len:  # a gap, or the layout of the segments
        continue
      waves = _checked(segment, f"{os.path.dirname(name)}/{os.path.basename(part)}")
      seen = set()
      for channel, wave, per_frame, unit in zip(
        channel_names(segment), waves, segment.samps_per_frame, segment.units, strict=True
      ):
        if channel in seen:
          continue
        seen.add(channel)
        size = record.sig_len * per_frame
        if channel not in found:
          clock = np.arange(size) / (record.fs * per_frame)
          found[channel] = clock, np.full(size, np.nan), str(unit)
        elif found[channel][1].size != size or found[channel][2] != str(unit):
          raise DataError(name, f"signal {channel} has another rate or unit in {part}", "cut the record there")
        found[channel][1][start * per_frame : start * per_frame + wave.size] = wave
  return found


def _read(name: str, root: str, subject: str, channels: Mapping[str, str]) -> recordings.Recording:
  found = channels_of(name, root)
  wanted = [channel for channel in channels if channel in found]
  if not wanted:
    problem = f"no signal {' or '.join(map(repr, channels))}"
    raise DataError(name, problem, f"choose of {', '.join(sorted(found))}", subject)
  waves = {channels[channel]: found[channel][:2] for channel in wanted}
  units = {channels[channel]: found[channel][2] for channel in wanted if recordings.is_pressure(channels[channel])}
  for signal, (time_s, _) in waves.items():
    recordings.check_clock(time_s, f"{name}: {signal}")
  time_s, signals = recordings.on_one_clock(waves)
  return recordings.make(subject, os.path.basename(name), name, time_s, signals, units)


def _subject(path: pathlib.Path) -> str | None:
  """The patient whose number stands in the record's name or in that of a folder above it."""
  for part in reversed(path.parts):
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
  alone = exists(path)
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
    subject = _subject(pathlib.Path(name))
    known &= subject is not None or alone
    subject = subject or os.path.basename(name)
    read = functools.partial(_read, name, root, subject, dict(channels))
    listed.append(datasets.Entry(subject, os.path.relpath(name, os.path.dirname(name)), name, read))
  entries, lost = datasets.gather(listed)
  return datasets.DataSet(
    "wfdb", entries, "PhysioNet (Goldberger et al. 2000, Circulation 101, e215) or another", "that of the records",
    subjects_known=known, lost=lost,
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
