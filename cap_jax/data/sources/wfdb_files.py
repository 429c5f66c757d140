"""PhysioNet WFDB records, one or a folder of them, read by the library `wfdb`.

Segments are joined. Each signal is read at its own rate; `wfdb` would average all signals to the rate of a frame. Names
of channels vary and do not identify a site, so the user assigns them to signals.
"""

import functools
import math
import os
import pathlib
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import wfdb

from cap_jax import files
from cap_jax.data import datasets, recordings, signal_names
from cap_jax.data.sources import folders
from cap_jax.types import DataError

_REMEDY = "download all files of the record again"
_MOST_HEADER = 1 << 20  # bytes
_MOST_LINE = 1000  # letters of a line that is no comment; the format allows 255
_MOST_SIGNALS = 256
_MOST_OF_SEGMENTS = 25_000  # signals of all segments of a record; each takes 0.3 ms
_SEGMENTS = re.compile(r"\s*[-\w]+/\d+\s")  # begins the first line of a record of segments
_PATIENT = re.compile(r"p\d{5,}")  # MIMIC-III and IV: in the name of the record or of its folder
# format of a signal → bytes of a sample in its file, and in memory while the library decodes it
_BYTES: Mapping[str, tuple[float, int]] = {
  "8": (1, 16), "80": (1, 6), "16": (2, 8), "61": (2, 8), "160": (2, 12), "24": (3, 12), "32": (4, 16), "212": (1.5, 12),
  "310": (4 / 3, 12), "311": (4 / 3, 12), "508": (0, 12), "516": (0, 12), "524": (0, 16),
}  # fmt: skip
_SPLINE_BYTES = 64  # of a sample that is brought to a faster clock


class _Part(NamedTuple):
  """A record without segments, or a segment: its path without a suffix, its header, and where it begins [frames]."""

  name: str
  header: wfdb.Record
  starts: tuple[int, ...]


def record_name(path: str | os.PathLike[str]) -> str:
  """Returns the record's path without the suffix of its header."""
  name = os.fspath(path)
  return name[: -len(".hea")] if name.endswith(".hea") else name


def _address(name: str) -> str:
  """Returns the path of a record for the library, which takes other paths for addresses in the net.

  Raises:
    DataError: the library would open something else.
  """
  path = os.path.abspath(name)
  if "::" in path:
    raise DataError(name, "has '::' in its path, which the library takes for an address", "rename the folder")
  return path


def _check_header(path: str) -> None:
  """Checks that a header is short, and so are its lines: the library tries each in many ways.

  Raises:
    DataError: it is not.
  """
  size = os.path.getsize(files.regular(path))
  if size > _MOST_HEADER:
    raise DataError(path, f"the header is too large, {size / 1e6:.1f} MB", "split the record into shorter ones")
  with open(files.regular(path), encoding="ascii", errors="ignore") as file:
    lines = [line for line in file.read().splitlines() if line.strip() and not line.lstrip().startswith("#")]
  if any(len(line) > _MOST_LINE for line in lines):
    raise DataError(path, f"the header has a line of more than {_MOST_LINE} letters", _REMEDY)
  if len(lines) > _MOST_SIGNALS + 1 and not _SEGMENTS.match(lines[0]):
    remedy = "divide the signals among several records"
    raise DataError(path, f"the header has {len(lines) - 1} signals, more than {_MOST_SIGNALS}", remedy)


def _header(name: str) -> wfdb.Record | wfdb.MultiRecord:
  with datasets.reading(f"{name}.hea", _REMEDY):
    _check_header(f"{name}.hea")
    try:
      return wfdb.rdheader(_address(name))
    except ValueError as error:
      if "unconverted data" not in str(error) and "does not match format" not in str(error):
        raise
      remedy = "write the date of the first line as DD/MM/YYYY after the time HH:MM:SS, or remove it"
      raise DataError(f"{name}.hea", f"the date or time in the first line is invalid ({error})", remedy) from error


def channel_names(record: wfdb.Record) -> list[str]:
  """Returns the names of a record's channels, without the comma that some writers append."""
  return [str(name).strip().rstrip(",") for name in record.sig_name or ()]


def _numbers(header: wfdb.Record, channels: Container[str]) -> list[int]:
  """Returns the numbers of a record's channels that are read; of channels of one name, the first."""
  names = channel_names(header)
  first = dict(reversed([(name, k) for k, name in enumerate(names)]))
  return sorted(k for name, k in first.items() if name in channels)


def _frames(part: _Part) -> int:
  """Returns the number of frames that the library decodes of a part, with those that a skew shifts."""
  header, length = part.header, part.header.sig_len
  if not header.file_name:
    return 0
  if length is None:  # the library infers it from the first file
    size = os.path.getsize(os.path.join(os.path.dirname(part.name), header.file_name[0]))
    of_file = [k for k, name in enumerate(header.file_name) if name == header.file_name[0]]
    stored = _BYTES[header.fmt[0]][0] * sum(header.samps_per_frame[k] for k in of_file)
    length = math.ceil(size / stored) if stored else 0
  return length + max(skew or 0 for skew in header.skew)


def _check_part(part: _Part, numbers: list[int]) -> None:
  """Checks the files of a part that the library will open, and the size of what it decodes of them.

  Raises:
    OSError: there is no such file, or it cannot be reached.
    DataError: it is no regular file, has an unknown format, or is too large.
  """
  header, decoded = part.header, 0.0
  opened = dict.fromkeys([header.file_name[k] for k in numbers] + header.file_name[: header.sig_len is None])
  for name in opened:
    files.regular(os.path.join(os.path.dirname(part.name), name))
  for k, name in enumerate(header.file_name):
    if header.fmt[k] not in _BYTES:
      raise DataError(part.name, f"signal {k + 1} has the unknown format {header.fmt[k]}", _REMEDY)
    if name in opened:  # all signals of a file are decoded
      decoded += float(header.samps_per_frame[k]) * _BYTES[header.fmt[k]][1]
  folders.check_size(part.name, decoded * _frames(part))


def _waves(part: _Part, channels: Container[str]) -> Iterator[tuple[str, np.ndarray, int, str]]:
  """Yields (channel, wave, samples per frame, unit) of a record without segments; of channels of one name, the first.

  Raises:
    DataError: the checksum of a signal differs from that in the header, or it is too large.
  """
  header, name = part.header, _address(part.name)
  numbers = _numbers(header, channels)
  if not numbers or header.sig_len == 0:  # no such channel, or the layout of the segments
    return
  _check_part(part, numbers)
  names = channel_names(header)
  with folders.bounded(part.name):
    record = wfdb.rdrecord(name, channels=numbers, smooth_frames=False, physical=False, ignore_skew=True)
    sums = record.calc_checksum(expanded=True)  # of the samples as they are stored
    if any(header.skew or ()):
      record = wfdb.rdrecord(name, channels=numbers, smooth_frames=False, physical=False)
    waves = record.dac(expanded=True)
  del record
  for place, number in enumerate(numbers):
    expected_sum = (header.checksum or [None] * len(names))[number]
    if expected_sum is not None and (sums[place] - expected_sum) % 65536:
      raise DataError(part.name, f"signal {names[number]} does not match the checksum in the header", _REMEDY)
    yield names[number], waves[place], header.samps_per_frame[number], str(header.units[number])


def _segments(name: str, root: str) -> tuple[wfdb.Record | wfdb.MultiRecord, list[_Part]]:
  """Returns the header of a record, and its segments, or itself if it has none.

  Raises:
    DataError: a file leads out of the folder, a header is no regular file, or a segment has segments itself, which the
      format does not allow.
  """
  header, folder = _header(name), pathlib.Path(name).parent
  starts: dict[str, list[int]] = {name: [0]}
  if isinstance(header, wfdb.MultiRecord):
    starts, begin = {}, 0
    for segment, length in zip(header.seg_name, header.seg_len, strict=True):
      if segment != "~":
        starts.setdefault(str(folder / segment), []).append(begin)
      begin += length
  folders.check_within(pathlib.Path(root), folder / f"{pathlib.Path(name).name}.hea")
  parts, signals = [], 0
  for part, begins in starts.items():
    folders.check_within(pathlib.Path(root), pathlib.Path(f"{part}.hea"))
    own = header if part == name and not isinstance(header, wfdb.MultiRecord) else _header(part)
    if isinstance(own, wfdb.MultiRecord):
      raise DataError(part, "is a segment that contains segments", _REMEDY)
    signals += own.n_sig or 0
    if signals > _MOST_OF_SEGMENTS * folders.extension():
      remedy = f"split the record, or set the environment variable {folders.MOST_GB} to a higher value if it is sound"
      raise DataError(name, f"has {len(starts)} segments of up to {own.n_sig} signals, more than are read", remedy)
    for path in dict.fromkeys(pathlib.Path(part).parent / file for file in own.file_name or ()):
      check = folders.check_found if os.path.lexists(path) else folders.check_within  # not all are read
      check(pathlib.Path(root), path)
    parts.append(_Part(part, own, tuple(begins)))
  return header, parts


def _check_size(
  name: str, record: wfdb.Record | wfdb.MultiRecord, parts: list[_Part], channels: Container[str]
) -> None:
  """Checks the size of the clocks and the waves of a record, before any of them is decoded.

  Raises:
    DataError: they are too large.
  """
  per_frame: dict[str, int] = {}
  for part in parts:
    for k in _numbers(part.header, channels):
      channel = channel_names(part.header)[k]
      per_frame[channel] = max(per_frame.get(channel, 0), part.header.samps_per_frame[k])
  frames = _frames(parts[0]) if record.sig_len is None else record.sig_len
  fastest = max(per_frame.values(), default=1)
  clocks = sum(set(per_frame.values()))
  slow = sum(rate for rate in per_frame.values() if rate < fastest)
  waves = sum(per_frame.values())
  folders.check_size(name, float(frames) * (8 * (clocks + waves) + _SPLINE_BYTES * slow))


def channels_of(name: str, root: str, channels: Container[str]) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
  """Reads channels of a record and joins its segments.

  Args:
    name: path of the record without a suffix.
    root: folder that must contain all of its files.
    channels: channels to read; others are not decoded.

  Returns:
    Channel → (clock [s], wave, unit), each (time,) at the channel's own rate, NaN between segments. Channels of one
    rate share a clock.

  Raises:
    DataError: the record cannot be read, is damaged, or has a file elsewhere.
  """
  record, parts = _segments(name, root)
  tracks: dict[str, tuple[np.ndarray, np.ndarray, str]] = {}
  clocks: dict[tuple[int, int], np.ndarray] = {}
  with datasets.reading(name, _REMEDY):
    _check_size(name, record, parts, channels)
    for part in parts:
      for channel, wave, per_frame, unit in _waves(part, channels):
        # a record without segments may leave the number of samples to the length of its file
        size = record.sig_len * per_frame if record.sig_len is not None else wave.size
        if channel not in tracks:
          if (size, per_frame) not in clocks:
            clocks[size, per_frame] = np.arange(size) / (record.fs * per_frame)
          tracks[channel] = clocks[size, per_frame], np.full(size, np.nan), unit
        elif tracks[channel][1].size != size or tracks[channel][2] != unit:
          raise DataError(
            name, f"signal {channel} has a different rate or unit in {part.name}", "split the record there"
          )
        for start in part.starts:
          tracks[channel][1][start * per_frame : start * per_frame + wave.size] = wave
  return tracks


def _read(name: str, root: str, subject: str, channels: Mapping[str, str]) -> recordings.Recording:
  tracks = channels_of(name, root, channels)
  header = _header(name)
  if not isinstance(header, wfdb.MultiRecord) and header.sig_len == 0:
    remedy = "remove the length after the sampling rate in the header, or write the number of samples"
    raise DataError(f"{name}.hea", "says that the record has 0 samples", remedy, subject)
  if not tracks:
    available = ", ".join(_listed_channels([name], root))
    raise DataError(name, f"no signal {' or '.join(map(repr, channels))}", f"choose from {available}", subject)
  waves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
  units: dict[str, str] = {}  # of pressures, those that the user states first
  for channel in channels:
    if channel not in tracks:
      continue
    time_s, wave, unit = tracks[channel]
    signal = channels[channel]
    unit = getattr(signal, "unit", "") or unit
    if signal not in waves:
      waves[signal] = time_s, wave
      if signal_names.is_pressure(signal):
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
  alone = os.path.lexists(record_name(path) + ".hea")
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
      segments |= {_file(os.path.join(os.path.dirname(name), segment)) for segment in headers[name].seg_name}
  whole = [name for name in headers if _file(name) not in segments]
  if not whole and not listed:
    raise DataError(str(path), "no WFDB header (.hea) found", "check --path")
  if not channels:
    available = _listed_channels(whole, root)
    remedy = f"map channels to signals, such as --channels=ABP:radial,PLETH:{signal_names.PPG}"
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
    name="wfdb", entries=entries, files=_files_of(whole, root) if alone else (), source="PhysioNet (Goldberger et al. 2000, Circulation 101, e215) or another source", licence="see the records",
    path=str(path), channels=channels, subjects_known=subjects_known, lost=lost,
  )  # fmt: skip


def _files_of(names: Sequence[str], root: str) -> tuple[str, ...]:
  """Returns the headers and the files of signals of records."""
  found: list[str] = []
  for name in names:
    for part in _segments(name, root)[1]:
      folder = os.path.dirname(part.name)
      found += [part.name + ".hea", *(os.path.join(folder, file) for file in part.header.file_name or ())]
  return tuple(dict.fromkeys(found))


def _file(name: str) -> str:
  """Returns the header of a record without links, by which a segment is known under every name."""
  return os.path.realpath(name + ".hea")


def _listed_channels(names: list[str], root: str) -> list[str]:
  """Returns the channels of the first records; the channels of a multi-segment record are those of its segments."""
  parts = [part for name in names[:20] for part in _segments(name, root)[1]]
  return list(dict.fromkeys(channel for part in parts for channel in channel_names(part.header)))
