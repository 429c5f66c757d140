"""The project's own store: conditioned recordings in shards, with a manifest. `preparation` writes it, this reads it.

    manifest.json              source, licence, hash, conditioning, shards, what was left out
    split.json                 who is in which part
    shard-00000/records.json   subjects, records, where they begin, spans that can be used, levels, moments, covariates
    shard-00000/<signal>/      one Zarr 3 array of all its records one behind the other, float32, NaN where there is none

Continuous signals, not windows: windows overlap, and their length is a choice of the training. Zarr is read by TensorStore,
which checkpoints bring along anyway: whole ranges of samples at a time, in threads of its own, where ArrayRecord and Grain
would hand over each window for itself, at tens of microseconds a window.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorstore

from cap_jax import config
from cap_jax.data import datasets, recordings, splits
from cap_jax.signals import calibration as scales
from cap_jax.types import DataError, InputError

FORMAT = 1
MANIFEST, SPLIT, RECORDS, PLAN = "manifest.json", "split.json", "records.json", "plan.json"
CHUNK = 65536  # samples of a Zarr chunk
_REMEDY = "prepare the data again"
# what is read of a manifest
_NEEDED = {"conditioning": dict, "in_silico": bool, "lost": list, "sha256": str, "shards": list, "source": str}
_NEEDED |= {"split": str, "totals": dict, "units": dict}
Spans = Sequence[tuple[int, int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
  """A record in a shard.

  Attributes:
    subject, record: whose, and which.
    start, samples: where it lies in the shard's arrays.
    spans: signal → runs [a, b) of good samples, from the record's first.
    levels: signal → (systole, diastole, mean) of its beats, where it has any.
    moments: signal → (number, sum, sum of squares) of its good samples.
    covariates: what is known of it.
    sync: signal → (lag behind the first pressure, its scatter, how much was taken out) [s].
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
  """A Zarr 3 array of float32, not compressed: noise in the last bits would not shrink."""
  return {
    "driver": "zarr3",
    "kvstore": {"driver": "file", "path": str(path)},
    "context": {"file_io_sync": False},  # a shard counts when it has its name, and its sum is noted
    "metadata": {
      "shape": [samples],
      "data_type": "float32",
      "fill_value": "NaN",
      "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [CHUNK]}},
    },
  }


def digest(folder: pathlib.Path) -> str:
  """SHA-256 over names and contents of all files below a folder."""
  total = hashlib.sha256()
  for path in sorted(path for path in folder.rglob("*") if path.is_file()):
    total.update(path.relative_to(folder).as_posix().encode())
    with open(path, "rb") as file:
      while block := file.read(1 << 22):
        total.update(block)
  return total.hexdigest()


def intersect(all_spans: Sequence[Spans]) -> list[tuple[int, int]]:
  """Runs that lie in a span of every list; the spans of a list rise."""
  found = list(all_spans[0])
  for spans in all_spans[1:]:
    both, k, m = [], 0, 0
    while k < len(found) and m < len(spans):
      start, stop = max(found[k][0], spans[m][0]), min(found[k][1], spans[m][1])
      if start < stop:
        both.append((start, stop))
      if found[k][1] < spans[m][1]:
        k += 1
      else:
        m += 1
    found = both
  return found


@functools.lru_cache(4096)
def _array(path: str) -> tensorstore.TensorStore:
  return tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}).result()


@dataclasses.dataclass(frozen=True)
class Shard:
  """A shard: its folder, its name in the manifest, and its records."""

  folder: pathlib.Path
  samples: int
  records: tuple[Record, ...]

  def read(self, signal: str, start: int, stop: int) -> np.ndarray:
    """Samples [start, stop) of a signal.

    Raises:
      DataError: the array is missing or damaged.
    """
    with datasets.reading(str(self.folder / signal), _REMEDY):
      return _array(str(self.folder / signal))[start : min(stop, self.samples)].read().result()


@dataclasses.dataclass(frozen=True)
class Store:
  """A prepared store, open for reading.

  Attributes:
    path: its folder.
    manifest: as written.
    shards: in order.
    split: who is in which part.
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
  def in_silico(self) -> bool:
    return bool(self.manifest["in_silico"])

  def check_signals(self, signals: Iterable[str]) -> None:
    """Raises:
    InputError: one is not in the store."""
    for name in signals:
      if name not in self.units:
        raise InputError(f"{self.path}: has no {name}; it holds {', '.join(self.units)}")

  def recordings(
    self, subjects: Iterable[str] | None = None, signals: Iterable[str] | None = None
  ) -> list[recordings.Recording]:
    """Recordings of some subjects, or of all, on clocks from 0, with those of some signals, or of all, that each has."""
    wanted = None if subjects is None else set(subjects)
    found = []
    for shard in self.shards:
      for record in shard.records:
        if wanted is None or record.subject in wanted:
          part = record.start, record.start + record.samples
          names = [name for name, spans in record.spans.items() if spans and (signals is None or name in set(signals))]
          waves = {name: shard.read(name, *part) for name in names}
          for name, wave in waves.items():
            if np.isfinite(wave).sum() != sum(b - a for a, b in record.spans[name]):
              raise DataError(
                str(shard.folder / name), "has lost samples since it was written", _REMEDY, record.subject
              )
          units = {name: self.units[name] for name in waves}
          time_s = np.arange(record.samples) / self.fs_hz
          found.append(
            recordings.Recording(
              subject=record.subject,
              time_s=time_s,
              signals=waves,
              units=units,
              covariates=record.covariates,
              record=record.record,
            )
          )
    return found

  def usable(self, signals: Sequence[str], samples: int) -> dict[str, int]:
    """Subject → good windows one behind the other, of `samples`, in which all signals are there; those with none left out."""
    self.check_signals(signals)
    found: dict[str, int] = {}
    for shard in self.shards:
      for record in shard.records:
        spans = intersect([record.spans.get(name, ()) for name in signals])
        count = sum((b - a) // samples for a, b in spans)
        if count:
          found[record.subject] = found.get(record.subject, 0) + count
    return found


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
  """The records of a shard."""
  with datasets.reading(str(folder / RECORDS), _REMEDY), open(folder / RECORDS, encoding="utf-8") as file:
    return tuple(_record(values) for values in json.load(file))


def exists(path: str | pathlib.Path) -> bool:
  """Whether there is a finished store."""
  return (pathlib.Path(path) / MANIFEST).is_file()


def open_store(path: str | pathlib.Path, verify: bool = False) -> Store:
  """Opens a store.

  Args:
    verify: whether the sums of all shards are compared, which reads everything.

  Raises:
    DataError: there is none, it is of another format, or damaged.
  """
  root = pathlib.Path(path)
  if not exists(root):
    unfinished = (root / PLAN).is_file()
    remedy = "run the same command again: it goes on" if unfinished else "make one with: python -m cap_jax prepare"
    raise DataError(str(root), "preparation has not finished" if unfinished else "no prepared store there", remedy)
  with datasets.reading(str(root / MANIFEST), _REMEDY):
    with open(root / MANIFEST, encoding="utf-8") as file:
      manifest = json.load(file)
    if manifest["format"] != FORMAT:
      raise DataError(str(root), f"format {manifest['format']}, this version reads format {FORMAT}", _REMEDY)
    missing = [name for name in _NEEDED if not isinstance(manifest.get(name), _NEEDED[name])]
    if missing or not isinstance(manifest["conditioning"].get("fs_hz"), int | float):
      missing = missing or ["the rate"]
      raise DataError(str(root / MANIFEST), f"does not tell {', '.join(missing)}", _REMEDY)
    shards = []
    for entry in manifest["shards"]:
      folder = root / entry["name"]
      if folder.resolve().parent != root.resolve():
        raise DataError(str(root / MANIFEST), f"names the shard {entry['name']!r}, which lies elsewhere", _REMEDY)
      if verify and digest(folder) != entry["sha256"]:
        raise DataError(str(folder), "was changed since it was written", _REMEDY)
      shards.append(Shard(folder, int(entry["samples"]), read_records(folder)))
    split = splits.load(root / SPLIT)
    if split.digest != manifest["split"]:
      raise DataError(str(root / SPLIT), "is not the split that the manifest names", _REMEDY)
  return Store(root, manifest, tuple(shards), split)


def affine(calibration: config.Calibration, record: Record, site: str) -> tuple[float, float]:
  """(gain, offset) that calibrates a record's wave.

  Raises:
    InputError: no reading, or no beat to scale.
  """
  found = record.levels.get(site)
  return scales.affine(calibration, scales.Levels(*found) if found else None, record.covariates, record.subject)
