"""The project's store: conditioned recordings in shards, with a manifest. `preparation` writes it; this module reads.

    manifest.json              source, licence, hash, conditioning, shards, records that were left out
    split.json                 subjects of each part
    shard-00000/records.json   subject, record, start, usable spans, levels, moments and covariates of each record
    shard-00000/<signal>/      Zarr 3 array of all its records one behind the other, float32, NaN where there is none

The store holds continuous signals, not windows: windows overlap, and their length is a choice of the training.
TensorStore, which checkpoints need anyway, reads Zarr as whole ranges of samples, in threads of its own. ArrayRecord
and Grain would return each window separately, at tens of microseconds a window.
"""

import contextlib
import dataclasses
import functools
import gc
import hashlib
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import tensorstore

from cap_jax import config, files
from cap_jax.data import datasets, folder_contents, recordings, schema, splits, store_schema
from cap_jax.data.sources import folders
from cap_jax.signals import calibration as scales
from cap_jax.types import DataError, InputError

FORMAT = 2
MANIFEST, SPLIT, RECORDS, PLAN = "manifest.json", "split.json", "records.json", "plan.json"
CHUNK = store_schema.CHUNK
_REMEDY = "prepare the data again"
_CLOCK_BYTES, _SAMPLE_BYTES = 8, 4  # of a sample of a recording
_MOST_GAPS = 20  # memory per stored byte; what is nearly all gap takes memory that no file justifies
_ARRAY, _CHUNKS = "zarr.json", "c"  # of an array of Zarr
_MOST_ARRAY_BYTES = 10_000  # of its metadata, some 300
# left behind by a preparation that was killed after it had written the manifest
_LEFTOVER = re.compile(r"shard-\d{5,}\.shard\.json")
Spans = Sequence[tuple[int, int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
  """A record in a shard.

  Attributes:
    subject: name of the subject.
    record: name of the record among those of the subject.
    start: its first sample in the arrays of the shard.
    samples: number of its samples.
    spans: signal → runs [a, b) of good samples, counted from `start`.
    levels: signal → (systole, diastole, mean) of its beats, if it has any.
    moments: signal → (number, sum, sum of squares) of its good samples.
    covariates: properties of the subject or the record.
    sync: signal → (lag behind the first pressure, SD of the lag, removed lag) [s].
  """

  subject: str
  record: str
  start: int
  samples: int
  spans: Mapping[str, Spans]
  levels: Mapping[str, tuple[float, float, float]]
  moments: Mapping[str, tuple[float, float, float]]
  covariates: Mapping[str, float]
  sync: Mapping[str, tuple[float, float, float]] = dataclasses.field(default_factory=dict)


def _file(path: str | pathlib.Path) -> dict[str, str]:
  """Returns where the array of a folder is. TensorStore refuses paths with `..`."""
  return {"driver": "file", "path": os.path.realpath(path)}


def array_spec(path: pathlib.Path, samples: int) -> dict[str, Any]:
  """Returns the specification of a Zarr 3 array of float32, uncompressed: noise in the last bits does not compress.

  Args:
    path: folder of the array.
    samples: length of the array.

  Returns:
    A TensorStore spec.
  """
  return {
    "driver": "zarr3",
    "kvstore": _file(path),
    "context": {"file_io_sync": False},  # a shard is valid once it has its name and its hash is recorded
    "metadata": {
      "shape": [samples],
      "data_type": "float32",
      "fill_value": "NaN",
      "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [CHUNK]}},
    },
  }


def digest(folder: pathlib.Path) -> str:
  """Returns the SHA-256 over names and contents of all files below a folder."""
  total = hashlib.sha256()
  for path in sorted(path for path in folder.rglob("*") if path.is_file()):
    total.update(path.relative_to(folder).as_posix().encode())
    files.hash_file(path, total)
  return total.hexdigest()


def intersect(all_spans: Sequence[Spans]) -> list[tuple[int, int]]:
  """Returns the runs that lie in a span of every list. The spans of each list must rise."""
  common = list(all_spans[0])
  for spans in all_spans[1:]:
    overlaps, k, m = [], 0, 0
    while k < len(common) and m < len(spans):
      start, stop = max(common[k][0], spans[m][0]), min(common[k][1], spans[m][1])
      if start < stop:
        overlaps.append((start, stop))
      if common[k][1] < spans[m][1]:
        k += 1
      else:
        m += 1
    common = overlaps
  return common


@functools.lru_cache(4096)
def _array(path: str, written: tuple[int, int]) -> tensorstore.TensorStore:
  """Opens an array once. A store that was prepared anew has other metadata, which `written` tells apart."""
  del written
  return tensorstore.open({"driver": "zarr3", "kvstore": _file(path)}).result()


@dataclasses.dataclass(frozen=True)
class Shard:
  """A shard of a store.

  Attributes:
    folder: folder of the shard; its name is that in the manifest.
    samples: length of the arrays.
    records: records of the shard, in order.
  """

  folder: pathlib.Path
  samples: int
  records: tuple[Record, ...]

  def read(self, signal: str, start: int, stop: int) -> np.ndarray:
    """Reads samples [start, stop) of a signal.

    Args:
      signal: name of the signal.
      start: first sample.
      stop: sample behind the last; cut at the end of the shard.

    Returns:
      (time,) float32 samples.

    Raises:
      DataError: the array is missing or damaged.
    """
    with datasets.reading(str(self.folder / signal), _REMEDY):
      stat = os.stat(self.folder / signal / _ARRAY)
      array = _array(str(self.folder / signal), (stat.st_ino, stat.st_mtime_ns))
      return array[start : min(stop, self.samples)].read().result()


@dataclasses.dataclass(frozen=True)
class Store:
  """A prepared store, open for reading.

  Attributes:
    path: folder of the store.
    manifest: content of its manifest.
    shards: shards in order.
    split: subjects of each part.
  """

  path: pathlib.Path
  manifest: Mapping[str, Any]
  shards: tuple[Shard, ...]
  split: splits.Split

  @property
  def fs_hz(self) -> float:
    return float(self.manifest["conditioning"]["fs_hz"])

  @property
  def units(self) -> Mapping[str, str]:
    return self.manifest["units"]

  @property
  def place(self) -> str:
    return str(self.manifest["place"])

  def check_signals(self, signals: Iterable[str]) -> None:
    """Checks that the store has some signals.

    Raises:
      InputError: a signal is not in the store.
    """
    for name in signals:
      if name not in self.units:
        raise InputError(
          f"{self.path}: contains no {name} (found: {', '.join(self.units)}); choose another signal, or prepare the files again with a channel mapped to {name}"
        )

  def recordings(
    self, subjects: Iterable[str] | None = None, signals: Iterable[str] | None = None
  ) -> list[recordings.Recording]:
    """Reads recordings on clocks that start at 0.

    Args:
      subjects: subjects to read; all if None.
      signals: signals to read, as far as a record has them; all if None.

    Returns:
      The recordings, in the order of the store.

    Raises:
      DataError: an array is missing, damaged, or has lost samples, or a record is too long for the memory.
    """
    requested_subjects = None if subjects is None else set(subjects)
    cohort, declared, usable = list[recordings.Recording](), 0, 0
    for shard in self.shards:
      for record in shard.records:
        if requested_subjects is None or record.subject in requested_subjects:
          bounds = record.start, record.start + record.samples
          names = [name for name, spans in record.spans.items() if spans and (signals is None or name in set(signals))]
          declared += record.samples * (_CLOCK_BYTES + _SAMPLE_BYTES * len(names))
          usable += _SAMPLE_BYTES * sum(b - a for name in names for a, b in record.spans[name])
          if declared > _MOST_GAPS * usable:
            folders.check_size(f"{shard.folder / RECORDS}, subject {record.subject}, record {record.record}", declared)
          waves = {name: shard.read(name, *bounds) for name in names}
          for name, wave in waves.items():
            if np.isfinite(wave).sum() != sum(b - a for a, b in record.spans[name]):
              raise DataError(
                str(shard.folder / name), "contains fewer samples than were written", _REMEDY, record.subject
              )
          units = {name: self.units[name] for name in waves}
          time_s = np.arange(record.samples) / self.fs_hz
          cohort.append(
            recordings.Recording(
              subject=record.subject,
              time_s=time_s,
              signals=waves,
              units=units,
              covariates=record.covariates,
              record=record.record,
            )
          )
    return cohort

  def usable(self, signals: Sequence[str], samples: int) -> dict[str, int]:
    """Counts the good windows of each subject in which all signals are present. Windows do not overlap.

    Args:
      signals: names of the signals.
      samples: length of a window.

    Returns:
      Subject → number of windows; subjects without one are left out.

    Raises:
      InputError: a signal is not in the store.
    """
    self.check_signals(signals)
    windows_by_subject: dict[str, int] = {}
    for shard in self.shards:
      for record in shard.records:
        spans = intersect([record.spans.get(name, ()) for name in signals])
        count = sum((b - a) // samples for a, b in spans)
        if count:
          windows_by_subject[record.subject] = windows_by_subject.get(record.subject, 0) + count
    return windows_by_subject


def _record(values: Mapping[str, Any]) -> Record:
  return Record(
    subject=values["subject"],
    record=values["record"],
    start=values["start"],
    samples=values["samples"],
    spans={name: tuple([(a, b) for a, b in spans]) for name, spans in values["spans"].items()},
    levels={name: (float(s), float(d), float(m)) for name, (s, d, m) in values["levels"].items()},
    moments={name: (float(n), float(s), float(q)) for name, (n, s, q) in values["moments"].items()},
    covariates={name: float(value) for name, value in values["covariates"].items()},
    sync={name: (float(lag), float(spread), float(out)) for name, (lag, spread, out) in values["sync"].items()},
  )


def read_records(folder: pathlib.Path) -> tuple[Record, ...]:
  """Reads the records of a shard.

  Raises:
    DataError: they cannot be read, or are no records.
  """
  return tuple(_record(values) for values in _rows(folder))


def _rows(folder: pathlib.Path) -> list[Any]:
  """Returns the content of the records of a shard, each of sound fields."""
  file = folder / RECORDS
  remedy = f"{_REMEDY}, with fewer records in a shard if it has very many"
  with _opening(file):
    rows = schema.parse(file, remedy)
  schema.check(store_schema.RECORDS, rows, str(file), _REMEDY)
  return cast(list[Any], rows)


def exists(path: str | pathlib.Path) -> bool:
  """Returns whether there is a finished store."""
  return (pathlib.Path(path) / MANIFEST).is_file()


def open_store(path: str | pathlib.Path, verify: bool = False) -> Store:
  """Opens a store. Its arrays are not read, but their sizes are compared with what the records need.

  Args:
    path: folder of the store.
    verify: whether to compare the hashes of all shards, which reads everything.

  Returns:
    The store.

  Raises:
    DataError: there is none, it is of another format, it is damaged, or something else lies in its folder.
  """
  root = pathlib.Path(path)
  with _opening(root), _uncollected():
    if not _is_there(root / MANIFEST):
      if _is_there(root / PLAN):
        raise DataError(str(root), "the preparation is incomplete", "run the same prepare command again to resume")
      raise DataError(str(root), "no prepared store found", "create one with: cap-jax prepare")
    found = folder_contents.listed(root)
    folder_contents.require(root, found, (MANIFEST,), (), _REMEDY)
    manifest = _manifest(root)
    names = {entry["name"]: None for entry in manifest["shards"]}
    folder_contents.require(root, found, (SPLIT,), names, _REMEDY)
    leftover = [name for name in found if name == PLAN or _LEFTOVER.fullmatch(name)]
    folder_contents.refuse_others(root, found, {MANIFEST, SPLIT, *names}, {*folder_contents.OWN, *leftover})
    shards = tuple(_shard(root / entry["name"], entry, manifest["units"], verify) for entry in manifest["shards"])
    split = _split(root, manifest)
  fault = store_schema.fault_of_subjects([record for shard in shards for record in shard.records], split.subjects)
  schema.refuse(fault, str(root / SPLIT) if fault and fault[0] else str(root), _REMEDY)
  return Store(root, manifest, shards, split)


def _is_there(path: pathlib.Path) -> bool:
  """Returns whether there is something of this name.

  Raises:
    OSError: the system refuses to say.
  """
  try:
    os.lstat(path)
  except (FileNotFoundError, NotADirectoryError):
    return False
  return True


@contextlib.contextmanager
def _opening(place: pathlib.Path) -> Iterator[None]:
  """Translates the errors of a block that reads a store.

  Raises:
    DataError: names the file, and what to do.
  """
  with datasets.reading(str(place), _REMEDY):
    try:
      yield
    except PermissionError as error:
      raise DataError(str(error.filename or place), "permission denied", "allow yourself to read it") from error


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
  """Keeps the search for cycles out of a block that makes millions of objects and no cycle: it would take most of the time."""
  enabled = gc.isenabled()
  gc.disable()
  try:
    yield
  finally:
    if enabled:
      gc.enable()


def _manifest(root: pathlib.Path) -> dict[str, Any]:
  """Returns the manifest of a store in the current format."""
  file = str(root / MANIFEST)
  manifest = schema.parse(file, _REMEDY)
  written = manifest.get("format") if isinstance(manifest, dict) else None
  if type(written) is not int or written not in store_schema.MANIFESTS:
    problem = f"has format {schema.show(written)}, but this version reads format {FORMAT}"
    raise DataError(str(root), problem, _REMEDY)
  schema.check(store_schema.MANIFESTS[written], manifest, file, _REMEDY)
  schema.refuse(store_schema.fault_of_manifest(manifest), file, _REMEDY)
  if written == 1:
    manifest |= {"format": FORMAT, "place": datasets.IN_SILICO if manifest["in_silico"] else datasets.REAL}
  return cast(dict[str, Any], manifest)


def _shard(folder: pathlib.Path, entry: Mapping[str, Any], units: Mapping[str, str], verify: bool) -> Shard:
  """Opens a shard.

  Args:
    folder: folder of the shard.
    entry: the shard in the manifest.
    units: signal → unit, from the manifest.
    verify: whether to compare its hash.
  """
  found = folder_contents.entries(folder, _REMEDY)
  folder_contents.require(folder, found, (RECORDS,), (), _REMEDY)
  rows = _rows(folder)
  schema.refuse(store_schema.fault_of_records(rows, entry, units), str(folder / RECORDS), _REMEDY)
  records = []
  for k in range(len(rows)):
    records.append(_record(rows[k]))
    rows[k] = None  # so that both forms of all records are never in memory together
  signals = {name: None for record in records for name in record.spans}
  folder_contents.require(folder, found, (), signals, _REMEDY)
  folder_contents.refuse_others(folder, found, {RECORDS, *signals})
  for name in signals:
    runs = ((r.start + a, r.start + b) for r in records for a, b in r.spans.get(name, ()))
    _check_array(folder / name, entry["samples"], runs)
  if verify and digest(folder) != entry["sha256"]:
    raise DataError(str(folder), "was modified after it was written", _REMEDY)
  return Shard(folder, entry["samples"], tuple(records))


def _check_array(folder: pathlib.Path, samples: int, runs: Iterable[tuple[int, int]]) -> None:
  """Checks the files of an array: its metadata, and number and size of its chunks.

  Args:
    folder: folder of the array.
    samples: its length.
    runs: its runs [a, b) of good samples, which rise; their chunks must be there.
  """
  found = folder_contents.entries(folder, _REMEDY)
  folder_contents.require(folder, found, (_ARRAY,), (_CHUNKS,) if _CHUNKS in found else (), _REMEDY)
  folder_contents.refuse_others(folder, found, {_ARRAY, _CHUNKS})
  file = str(folder / _ARRAY)
  metadata = schema.parse(file, _REMEDY, _MOST_ARRAY_BYTES)
  schema.check(store_schema.array(samples), metadata, file, _REMEDY)
  place = folder / _CHUNKS
  chunks = folder_contents.entries(place, _REMEDY) if _CHUNKS in found else {}
  most = store_schema.most_chunks(samples)
  known = {name for name in chunks if name.isdecimal() and str(int(name)) == name and int(name) < most}
  folder_contents.refuse_others(place, chunks, known)
  # one at a time, as a false length needs millions of chunks and has none; a chunk without a good sample is not stored
  folder_contents.require(place, chunks, map(str, store_schema.chunks_of(runs)), (), _REMEDY)
  low, high = store_schema.chunk_bytes(metadata)
  for name, chunk in chunks.items():
    size = chunk.stat(follow_symlinks=False).st_size
    if not chunk.is_file(follow_symlinks=False) or not low <= size <= high:
      raise DataError(str(place / name), f"has {size} bytes, must be a file of {low} to {high} bytes", _REMEDY)


def _split(root: pathlib.Path, manifest: Mapping[str, Any]) -> splits.Split:
  """Returns the split of a store."""
  file = str(root / SPLIT)
  content = schema.parse(file, _REMEDY)
  schema.check(store_schema.SPLIT, content, file, _REMEDY)
  split = splits.Split({name: tuple(subjects) for name, subjects in content["parts"].items()})
  if content["sha256"] != split.digest:
    raise DataError(file, "was modified after it was written", _REMEDY)
  if split.digest != manifest["split"]:
    raise DataError(file, "does not match the split in the manifest", _REMEDY)
  return split


def affine(calibration: config.Calibration, record: Record, site: str) -> tuple[float, float]:
  """Returns the (gain, offset) that calibrates a record's wave.

  Args:
    calibration: which reading to scale to.
    record: record with levels and readings.
    site: name of the signal to scale.

  Returns:
    (gain, offset).

  Raises:
    InputError: there is no reading, or no beat to scale.
  """
  levels = record.levels.get(site)
  return scales.affine(calibration, scales.Levels(*levels) if levels else None, record.covariates, record.subject)
