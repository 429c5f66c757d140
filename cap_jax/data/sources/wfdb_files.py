"""PhysioNet WFDB records, one or a folder of them, read by the library `wfdb`.

Segments are joined. Each signal is read at its own rate; `wfdb` would average all signals to the rate of a frame. Names
of channels vary and do not identify a site, so the user assigns them to signals.
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

_REMEDY = "download all files of the record again"
_MOST_HEADER = 1 << 20  # bytes
_PATIENT = re.compile(r"p\d{5,}")  # MIMIC-III and IV: in the name of the record or of its folder


def record_name(path: str | os.PathLike[str]) -> str:
  """Returns the record's path without the suffix of its header."""
  name = os.fspath(path)
  return name[: -len(".hea")] if name.endswith(".hea") else name


def _header(name: str) -> wfdb.Record | wfdb.MultiRecord:
  with datasets.reading(f"{name}.hea", _REMEDY):
    size = os.path.getsize(f"{name}.hea")
    if size > _MOST_HEADER:
      raise DataError(
        f"{name}.hea", f"the header is too large, {size / 1e6:.1f} MB", "split the record into shorter ones"
      )
    try:
      return wfdb.rdheader(name)
    except ValueError as error:
      if "unconverted data" not in str(error) and "does not match format" not in str(error):
        raise
      remedy = "write the date of the first line as DD/MM/YYYY after the time HH:MM:SS, or remove it"
      raise DataError(f"{name}.hea", f"the date or time in the first line is invalid ({error})", remedy) from error


def channel_names(record: wfdb.Record) -> list[str]:
  """Returns the names of a record's channels, without the comma that some writers append."""
  return [str(name).strip().rstrip(",") for name in record.sig_name or ()]


def _waves(name: str, header: wfdb.Record, channels: Container[str]) -> Iterator[tuple[str, np.ndarray, int, str]]:
  """Yields (channel, wave, samples per frame, unit) of a record without segments; of channels of one name, the first.

  Raises:
    DataError: the checksum of a signal differs from that in the header.
  """
  names = channel_names(header)
  channel_numbers = [k for k, channel in enumerate(names) if channel in channels and names.index(channel) == k]
  if not channel_numbers or header.sig_len == 0:  # no such channel, or the layout of the segments
    return
  record = wfdb.rdrecord(name, channels=channel_numbers, smooth_frames=False, physical=False, ignore_skew=True)
  sums = record.calc_checksum(expanded=True)  # of the samples as they are stored
  if any(header.skew or ()):
    record = wfdb.rdrecord(name, channels=channel_numbers, smooth_frames=False, physical=False)
  waves = record.dac(expanded=True)
  for place, number in enumerate(channel_numbers):
    expected_sum = (header.checksum or [None] * len(names))[number]
    if expected_sum is not None and (sums[place] - expected_sum) % 65536:
      raise DataError(name, f"signal {names[number]} does not match the checksum in the header", _REMEDY)
    yield names[number], waves[place], header.samps_per_frame[number], str(header.units[number])


def _files(name: str, root: str) -> list[pathlib.Path]:
  """Returns the files of a record and of its segments.

  Raises:
    DataError: a file leads out of the folder, or a segment has segments itself, which the format does not allow.
  """
  header, folder = _header(name), pathlib.Path(name).parent
  headers = {name: header}
  if isinstance(header, wfdb.MultiRecord):
    headers = {
      str(folder / part): _header(str(folder / part)) for part in dict.fromkeys(header.seg_name) if part != "~"
    }
  paths = {folder / f"{pathlib.Path(name).name}.hea": None}
  for part, own_header in headers.items():
    if isinstance(own_header, wfdb.MultiRecord):
      raise DataError(part, "is a segment that contains segments", _REMEDY)
    names = (f"{pathlib.Path(part).name}.hea", *(own_header.file_name or ()))
    paths |= dict.fromkeys(pathlib.Path(part).parent / file for file in names)
  for path in paths:
    folders.check_within(pathlib.Path(root), path)
  return list(paths)


def channels_of(name: str, root: str, channels: Container[str]) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
  """Reads channels of a record and joins its segments.

  Args:
    name: path of the record without a suffix.
    root: folder that must contain all of its files.
    channels: channels to read; others are not decoded.

  Returns:
    Channel → (clock [s], wave, unit), each (time,) at the channel's own rate, NaN between segments.

  Raises:
    DataError: the record cannot be read, is damaged, or has a file elsewhere.
  """
  _files(name, root)
  tracks: dict[str, tuple[np.ndarray, np.ndarray, str]] = {}
  with datasets.reading(name, _REMEDY):
    record = wfdb.rdheader(name)
    segments = [(name, 0)]
    frames = max(record.samps_per_frame or [1]) if isinstance(record, wfdb.Record) else 1
    folders.check_size(name, 16.0 * (record.sig_len or 0) * frames)  # at least a clock and a wave
    if isinstance(record, wfdb.MultiRecord):  # wfdb does not join segments if one is missing
      starts = np.cumsum([0, *record.seg_len])[:-1].tolist()
      folder = os.path.dirname(name)
      segments = [
        (os.path.join(folder, part), at) for part, at in zip(record.seg_name, starts, strict=True) if part != "~"
      ]
    for part, start in segments:
      for channel, wave, per_frame, unit in _waves(part, wfdb.rdheader(part), channels):
        # a record without segments may leave the number of samples to the length of its file
        size = record.sig_len * per_frame if record.sig_len is not None else wave.size
        if channel not in tracks:
          tracks[channel] = np.arange(size) / (record.fs * per_frame), np.full(size, np.nan), unit
        elif tracks[channel][1].size != size or tracks[channel][2] != unit:
          raise DataError(name, f"signal {channel} has a different rate or unit in {part}", "split the record there")
        tracks[channel][1][start * per_frame : start * per_frame + wave.size] = wave
  return tracks


def _read(name: str, root: str, subject: str, channels: Mapping[str, str]) -> recordings.Recording:
  tracks = channels_of(name, root, channels)
  if not tracks:
    available = ", ".join(_listed_channels([name]))
    raise DataError(name, f"no signal {' or '.join(map(repr, channels))}", f"choose from {available}", subject)
  waves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
  units: dict[str, str] = {}
  for channel in channels:
    if channel not in tracks:
      continue
    time_s, wave, unit = tracks[channel]
    signal = channels[channel]
    if signal not in waves:
      waves[signal] = time_s, wave
      if recordings.is_pressure(signal):
        units[signal] = unit
    elif wave.size != waves[signal][1].size or units.get(signal, unit) != unit:
      raise DataError(
        name, f"{channel} also maps to {signal}, with a different rate or unit", "change --channels", subject
      )
    else:  # the same signal under two names: fills the gaps of the first
      waves[signal] = time_s, np.where(np.isfinite(waves[signal][1]), waves[signal][1], wave)
  for signal, (time_s, _) in waves.items():
    recordings.check_clock(time_s, f"{name}: {signal}")
  time_s, signals = recordings.on_one_clock(waves)
  return recordings.make(subject, os.path.basename(name), name, time_s, signals, units)


def _subject(path: pathlib.Path, root: pathlib.Path) -> str | None:
  """Returns the patient number in the name of the record, or in that of a folder between it and the root."""
  for part in reversed(pathlib.Path(os.path.relpath(path, root)).parts):
    match = _PATIENT.match(part)
    if match:
      return match.group()
  return None


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists a record, or all records of a folder except segments of others.

  Args:
    path: a record, with or without `.hea`, or a folder.
    channels: channel → signal, such as {"ABP": "radial", "PLETH": "digital_ppg"}; records may lack some of them.

  Returns:
    The data set.

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
    raise DataError(str(path), "no WFDB header (.hea) found", "check --path")
  if not channels:
    available = _listed_channels(whole)
    remedy = f"map channels to signals, such as --channels=ABP:radial,PLETH:{recordings.PPG}"
    raise DataError(str(path), f"has the channels {', '.join(available) or 'none'}", remedy)
  subjects_known = True
  for name in whole:
    subject = _subject(pathlib.Path(name), pathlib.Path(root))
    subjects_known &= subject is not None or alone
    subject = subject or os.path.basename(name)
    read = functools.partial(_read, name, root, subject, dict(channels))
    listed.append(datasets.Entry(subject, os.path.relpath(name, os.path.dirname(name)), name, read))
  entries, lost = datasets.gather(listed)
  return datasets.DataSet(
    name="wfdb", entries=entries, source="PhysioNet (Goldberger et al. 2000, Circulation 101, e215) or another source", licence="see the records",
    path=str(path), channels=channels, subjects_known=subjects_known, lost=lost,
  )  # fmt: skip


def _listed_channels(names: list[str]) -> list[str]:
  """Returns the channels of the first records; the channels of a multi-segment record are those of its segments."""
  channels: dict[str, None] = {}
  for name in names[:20]:
    with datasets.reading(name, _REMEDY):
      record = wfdb.rdheader(name, rd_segments=True)
    segments = (
      [segment for segment in record.segments if segment is not None]
      if isinstance(record, wfdb.MultiRecord)
      else [record]
    )
    for segment in segments:
      channels |= dict.fromkeys(channel_names(segment))
  return list(channels)
