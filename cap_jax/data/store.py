"""The project's store: conditioned recordings in shards, with a manifest. `preparation` writes it; this module reads.

    manifest.json              source, licence, hash, conditioning, shards, records that were left out
    split.json                 subjects of each part
    shard-00000/records.json   subject, record, start, usable spans, levels, moments and covariates of each record
    shard-00000/<signal>/      Zarr 3 array of all its records one behind the other, float32, NaN where there is none

The store holds continuous signals, not windows: windows overlap, and their length is a choice of the training.
TensorStore, which checkpoints need anyway, reads Zarr as whole ranges of samples, in threads of its own. ArrayRecord
and Grain would return each window separately, at tens of microseconds a window.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorstore

from cap_jax import config, files
from cap_jax.data import datasets, recordings, splits
from cap_jax.signals import calibration as scales
from cap_jax.types import DataError, InputError

FORMAT = 2
MANIFEST, SPLIT, RECORDS, PLAN = "manifest.json", "split.json", "records.json", "plan.json"
CHUNK = 65536  # samples of a Zarr chunk
_REMEDY = "prepare the data again"
# entries of a manifest that are read
_NEEDED = {"conditioning": dict, "lost": list, "place": str, "sha256": str, "shards": list, "source": str}
_NEEDED |= {"split": str, "totals": dict, "units": dict}
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
    "kvstore": {"driver": "file", "path": str(path)},
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
    _update(total, path)
  return total.hexdigest()


def digest_of_file(path: str | os.PathLike[str]) -> str:
  """Returns the SHA-256 of a file."""
  total = hashlib.sha256()
  _update(total, path)
  return total.hexdigest()


def _update(total: "hashlib._Hash", path: str | os.PathLike[str]) -> None:
  with open(files.regular(path), "rb") as file:
    while block := file.read(1 << 22):
      total.update(block)


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
def _array(path: str) -> tensorstore.TensorStore:
  return tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}).result()


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
      return _array(str(self.folder / signal))[start : min(stop, self.samples)].read().result()


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
        raise InputError(f"{self.path}: contains no {name} (found: {', '.join(self.units)}); choose another signal")

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
      DataError: an array is missing, damaged, or has lost samples.
    """
    requested_subjects = None if subjects is None else set(subjects)
    cohort = []
    for shard in self.shards:
      for record in shard.records:
        if requested_subjects is None or record.subject in requested_subjects:
          bounds = record.start, record.start + record.samples
          names = [name for name, spans in record.spans.items() if spans and (signals is None or name in set(signals))]
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
    subject=str(values["subject"]),
    record=str(values["record"]),
    start=int(values["start"]),
    samples=int(values["samples"]),
    spans={name: tuple((int(a), int(b)) for a, b in spans) for name, spans in values["spans"].items()},
    levels={name: (float(s), float(d), float(m)) for name, (s, d, m) in values["levels"].items()},
    moments={name: (float(n), float(s), float(q)) for name, (n, s, q) in values["moments"].items()},
    covariates={name: float(value) for name, value in values["covariates"].items()},
    sync={name: (float(lag), float(spread), float(out)) for name, (lag, spread, out) in values["sync"].items()},
  )


def read_records(folder: pathlib.Path) -> tuple[Record, ...]:
  """Reads the records of a shard."""
  with datasets.reading(str(folder / RECORDS), _REMEDY), open(folder / RECORDS, encoding="utf-8") as file:
    return tuple(_record(values) for values in json.load(file))


def exists(path: str | pathlib.Path) -> bool:
  """Returns whether there is a finished store."""
  return (pathlib.Path(path) / MANIFEST).is_file()


def open_store(path: str | pathlib.Path, verify: bool = False) -> Store:
  """Opens a store.

  Args:
    path: folder of the store.
    verify: whether to compare the hashes of all shards, which reads everything.

  Returns:
    The store.

  Raises:
    DataError: there is none, it is of another format, or it is damaged.
  """
  root = pathlib.Path(path)
  if not exists(root):
    unfinished = (root / PLAN).is_file()
    remedy = (
      "run the same prepare command again to resume" if unfinished else "create one with: python -m cap_jax prepare"
    )
    raise DataError(str(root), "the preparation is incomplete" if unfinished else "no prepared store found", remedy)
  with datasets.reading(str(root / MANIFEST), _REMEDY):
    with open(root / MANIFEST, encoding="utf-8") as file:
      manifest = json.load(file)
    if manifest["format"] == 1:  # knew virtual subjects and others
      manifest |= {"format": FORMAT, "place": datasets.IN_SILICO if manifest["in_silico"] else datasets.REAL}
    if manifest["format"] != FORMAT:
      raise DataError(str(root), f"has format {manifest['format']}, but this version reads format {FORMAT}", _REMEDY)
    missing = [name for name in _NEEDED if not isinstance(manifest.get(name), _NEEDED[name])]
    if missing or not isinstance(manifest["conditioning"].get("fs_hz"), int | float):
      missing = missing or ["conditioning.fs_hz"]
      raise DataError(str(root / MANIFEST), f"lacks {', '.join(missing)}", _REMEDY)
    shards = []
    for entry in manifest["shards"]:
      folder = root / entry["name"]
      if folder.resolve().parent != root.resolve():
        raise DataError(str(root / MANIFEST), f"lists the shard {entry['name']!r}, which is outside the store", _REMEDY)
      if verify and digest(folder) != entry["sha256"]:
        raise DataError(str(folder), "was modified after it was written", _REMEDY)
      shards.append(Shard(folder, int(entry["samples"]), read_records(folder)))
    split = splits.load(root / SPLIT)
    if split.digest != manifest["split"]:
      raise DataError(str(root / SPLIT), "does not match the split in the manifest", _REMEDY)
  return Store(root, manifest, tuple(shards), split)


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
