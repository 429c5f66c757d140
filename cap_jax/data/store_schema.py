"""What the files of a store contain, as tables of types and ranges (`schema`), and how they must agree.

The ranges admit every record that a preparation accepts and exclude what no record is. They are those of the readers
and of the conditioning where these have some, and otherwise absurd enough that nobody measures them.
"""

import functools
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cap_jax.data import datasets, signal_names
from cap_jax.data.schema import (
  ByName,
  Constant,
  Fault,
  Fields,
  Flag,
  Kind,
  ListOf,
  MapOf,
  Number,
  NumberIfKnown,
  OneOf,
  PlainValue,
  Positions,
  Text,
  Whole,
  show,
  twice,
)
from cap_jax.signals import synchrony

CHUNK = 65536  # samples of a Zarr chunk
_CHUNK_BYTES = 4 * CHUNK  # float32, uncompressed; the last chunk is as long as the others

_MOST_SAMPLES = 1 << 40  # of a shard: 4 TiB a signal
_MOST_RECORDS = 1_000_000  # of a shard
_LARGEST = 3.5e38  # of a sample in any unit: float32, in which samples are stored
_LARGEST_MMHG = 1e4  # of a pressure; the conditioning leaves out what is above 320 mmHg
_LARGEST_COVARIATE = 1e30  # any column of numbers, such as a serial number; below the largest float32
_ROUNDING = 1e-6  # of sums over the samples of a record, relative

# signal → whether it is a pressure
_PRESSURE = {
  signal_names.signal_of(site, kind): kind == "" for site in signal_names.SITES for kind in signal_names.KINDS
}
_SIGNAL = OneOf(_PRESSURE)
_NAME = Text(0, 5000)  # of a subject, a record or a covariate: a path has up to 4,096 characters
_REMARK = Text(0, 100_000)  # notes, errors of left out records, citations
_HASH = Text(64, 64, "[0-9a-f]*", "64 hexadecimal digits")
_COUNT = Whole(0, 1 << 53)
_SECONDS = Number(0, 1e12)  # of all records together: 30,000 years
_LAG_S = Number(-10 * synchrony.REACH_S, 10 * synchrony.REACH_S)  # a lag is searched for within ±5 s

CONDITIONING = Fields(
  {
    "fs_hz": Number(60, 2000),  # as `conditioning.check`
    "fill_s": Number(0, 1e6),
    "drop": ListOf(Text(1)),
    "synchronise": Flag(),
    "transit_s": Positions((_LAG_S, _LAG_S)),
    "repeat_s": Number(0, 600),
  },
  optional=frozenset(("fill_s", "drop", "synchronise", "transit_s", "repeat_s")),  # not needed to read
)
TOTALS = Fields(
  {
    "seconds": _SECONDS,
    "filled": _COUNT,
    "good_s": MapOf(_SIGNAL, _SECONDS),
    "beats": MapOf(_SIGNAL, _COUNT),
    "faults": MapOf(_SIGNAL, MapOf(_REMARK, _COUNT)),
    "sync": MapOf(_SIGNAL, Fields({"records": _COUNT, "median_removed_s": _LAG_S})),
  }
)
SHARD = Fields(
  {
    "name": Text(1, 20, r"shard-\d{5,}", "shard-NNNNN"),
    "records": Whole(1, _MOST_RECORDS),
    "samples": Whole(1, _MOST_SAMPLES),
    "sha256": _HASH,
  }
)
_MANIFEST: Mapping[str, Kind] = {
  "name": _NAME,
  "source": _REMARK,
  "licence": _REMARK,
  "path": _REMARK,
  "channels": MapOf(_REMARK, _REMARK),
  "inputs_sha256": _HASH,
  "subjects_known": Flag(),
  "notes": ListOf(_REMARK),
  "conditioning": CONDITIONING,
  "units": MapOf(_SIGNAL, Text(1, 100)),
  "sha256": _HASH,
  "totals": TOTALS,
  "lost": ListOf(Fields(dict.fromkeys(("where", "subject", "problem", "remedy"), _REMARK))),
  "split": _HASH,
  "plan": Fields({"format": Whole(1, 1000), "sha256": _HASH}),
  "shards": ListOf(SHARD, 1),
}
_LATER = frozenset(("path", "channels", "inputs_sha256", "notes", "plan", "subjects_known"))  # not needed to read
MANIFESTS: Mapping[int, Fields] = {
  # knew virtual subjects and others
  1: Fields({"format": Constant(1), "in_silico": Flag(), **_MANIFEST}, _LATER),
  2: Fields({"format": Constant(2), "place": OneOf(dict.fromkeys(datasets.PLACES)), **_MANIFEST}, _LATER),
}
SPLIT = Fields({"sha256": _HASH, "parts": MapOf(Text(1, 100), ListOf(_NAME, distinct=True))})


class Spans:
  """Runs [a, b) of samples, which rise and do not overlap. A fragmented record has thousands: one loop checks them."""

  def fault(self, value: Any) -> Fault | None:
    if type(value) is not list:
      return "", f"is {show(value)}, must be a list"
    last = 0
    for k, run in enumerate(value):
      if type(run) is not list or len(run) != 2:
        return f"[{k}]", f"is {show(run)}, must be a list of 2"
      start, stop = run
      if type(start) is not int or type(stop) is not int or not last <= start < stop:
        return f"[{k}]", f"is [{show(start)}, {show(stop)}], must be two whole numbers that rise from {last} on"
      last = stop
    return None


_VALUE = Number(-_LARGEST, _LARGEST)
_SUM = Number(-_LARGEST * _MOST_SAMPLES, _LARGEST * _MOST_SAMPLES)
RECORD = Fields(
  {
    "subject": _NAME,
    "record": _NAME,
    "start": Whole(0, _MOST_SAMPLES),
    "samples": Whole(1, _MOST_SAMPLES),
    "spans": MapOf(_SIGNAL, Spans()),
    "levels": MapOf(_SIGNAL, Positions((_VALUE, _VALUE, _VALUE))),
    "moments": MapOf(_SIGNAL, Positions((Whole(0, _MOST_SAMPLES), _SUM, Number(0, _LARGEST**2 * _MOST_SAMPLES)))),
    # a virtual clinic without a cuff does not know its readings
    "covariates": MapOf(_NAME, NumberIfKnown(-_LARGEST_COVARIATE, _LARGEST_COVARIATE)),
    "sync": MapOf(_SIGNAL, Positions((_LAG_S, _LAG_S, _LAG_S))),
  }
)
RECORDS = ListOf(RECORD, 1, _MOST_RECORDS)


class Divisor:
  """A whole number that divides a chunk into equal parts."""

  def fault(self, value: Any) -> Fault | None:
    if type(value) is int and 1 <= value <= CHUNK and CHUNK % value == 0:
      return None
    return "", f"is {show(value)}, must divide {CHUNK}"


_LITTLE = Fields({"name": Constant("bytes"), "configuration": Fields({"endian": Constant("little")})})
# TensorStore divides the chunk of an array that is shorter than a chunk, with an index behind its parts
_DIVIDED = Fields(
  {
    "name": Constant("sharding_indexed"),
    "configuration": Fields(
      {
        "chunk_shape": Positions((Divisor(),)),
        "codecs": Positions((_LITTLE,)),
        "index_codecs": Positions((_LITTLE, Fields({"name": Constant("crc32c")}))),
        "index_location": Constant("end"),
      },
      frozenset(("index_location",)),
    ),
  }
)


@functools.lru_cache(64)
def array(samples: int) -> Fields:
  """Returns what `zarr.json` of an array of a shard contains: another length, chunk or codec takes other memory.

  Args:
    samples: length of the shard.
  """
  return Fields(
    {
      "chunk_grid": Fields(
        {"name": Constant("regular"), "configuration": Fields({"chunk_shape": Positions((Constant(CHUNK),))})}
      ),
      "chunk_key_encoding": Fields(
        {"name": Constant("default"), "configuration": Fields({"separator": Constant("/")})},
        frozenset(("configuration",)),
      ),
      "codecs": Positions((ByName({"bytes": _LITTLE, "sharding_indexed": _DIVIDED}),)),
      "data_type": Constant("float32"),
      "fill_value": Constant("NaN"),
      "node_type": Constant("array"),
      "shape": Positions((Constant(samples),)),
      "zarr_format": Constant(3),
      # other releases of TensorStore may write these
      "attributes": Fields({}),
      "dimension_names": ListOf(PlainValue(), 0, 1),
      "storage_transformers": ListOf(PlainValue(), 0, 0),
    },
    frozenset(("attributes", "dimension_names", "storage_transformers")),
  )


def chunk_bytes(metadata: Mapping[str, Any]) -> tuple[int, int]:
  """Returns the least and the largest size of a file of a chunk.

  Args:
    metadata: content of `zarr.json`, of sound fields.
  """
  codec = metadata["codecs"][0]
  if codec["name"] == "bytes":
    return _CHUNK_BYTES, _CHUNK_BYTES
  # of each part its place and length, then a checksum; parts without a sample are not stored
  index = 16 * (CHUNK // codec["configuration"]["chunk_shape"][0]) + 4
  return index, index + _CHUNK_BYTES


def fault_of_manifest(manifest: Mapping[str, Any]) -> Fault | None:
  """Returns what does not agree in a manifest of sound fields."""
  entries = manifest["shards"]
  if len({entry["name"] for entry in entries}) != len(entries):
    return ".shards", "contains a name twice"
  if hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest() != manifest["sha256"]:
    return ".shards", "was modified after it was written"
  low, high = manifest["conditioning"].get("transit_s", (0, 0))
  if low > high:
    return ".conditioning.transit_s", f"is [{low:g}, {high:g}], must rise"
  for name, unit in manifest["units"].items():
    if _PRESSURE[name] and unit not in ("mmHg", signal_names.UNCALIBRATED):
      return f".units.{name}", f"is {show(unit)}, must be mmHg or {signal_names.UNCALIBRATED}"
  return None


def fault_of_records(
  records: Sequence[Mapping[str, Any]], entry: Mapping[str, Any], units: Mapping[str, str]
) -> Fault | None:
  """Returns what does not agree between the records of a shard, each of sound fields, and the manifest.

  Args:
    records: content of `records.json`.
    entry: the shard in the manifest.
    units: signal → unit, from the manifest.
  """
  if len(records) != entry["records"]:
    return "", f"contains {len(records)} records, but the manifest says {entry['records']}"
  start = 0
  for k, record in enumerate(records):
    if record["start"] != start:
      return f"[{k}].start", f"is {record['start']}, but the record before it ends at {start}"
    start += record["samples"]
    if fault := _fault_of_record(record, units):
      return f"[{k}]{fault[0]}", fault[1]
  if start != entry["samples"]:
    return "", f"contains {start} samples, but the manifest says {entry['samples']}"
  return None


def _fault_of_record(record: Mapping[str, Any], units: Mapping[str, str]) -> Fault | None:
  """Returns what does not agree in a record of sound fields."""
  spans, moments, samples = record["spans"], record["moments"], record["samples"]
  if spans.keys() != moments.keys():
    return ".moments", "must have the signals of spans"
  for part in ("spans", "levels", "sync"):
    for name in record[part]:
      if name not in spans or name not in units:
        return f".{part}.{name}", "is no signal of the record and of the manifest"
  for name, runs in spans.items():
    if runs and runs[-1][1] > samples:
      return f".spans.{name}", f"ends at {runs[-1][1]}, but the record has {samples} samples"
    number, total, squares = moments[name]
    if number != sum(b - a for a, b in runs):
      return f".moments.{name}[0]", f"is {number}, but the spans have {sum(b - a for a, b in runs)} samples"
    largest = _largest(name, units)
    # no samples have a mean, or a variance, beyond
    slack = 1 + _ROUNDING
    if abs(total) > number * largest * slack or total * total > number * squares * slack:
      return f".moments.{name}", f"is of no {number} samples within ±{largest:g}: sum {total:g}, of squares {squares:g}"
    if squares > number * largest**2 * slack:
      return f".moments.{name}[2]", f"is {squares:g}, too large for {number} samples within ±{largest:g}"
  for name, (systolic, diastolic, mean) in record["levels"].items():
    largest, slack = _largest(name, units), _ROUNDING * max(abs(systolic), abs(diastolic))
    if not -largest <= diastolic <= mean + slack <= systolic + 2 * slack <= largest:
      problem = f"is {systolic:g}, {diastolic:g}, {mean:g}: the mean must lie between diastole and systole"
      return f".levels.{name}", f"{problem}, within ±{largest:g}"
  return None


def _largest(signal: str, units: Mapping[str, str]) -> float:
  """Returns the largest magnitude of a sample of a signal."""
  return _LARGEST_MMHG if units[signal] == "mmHg" and _PRESSURE[signal] else _LARGEST


def fault_of_subjects(records: Sequence[Any], split: Mapping[str, Sequence[str]]) -> Fault | None:
  """Returns what does not agree between all records of a store and its split: part → subjects."""
  if len({(record.subject, record.record) for record in records}) != len(records):
    subject, record = twice((one.subject, one.record) for one in records)
    return "", f"contains record {show(record)} of subject {show(subject)} twice"
  subjects = {record.subject for record in records}
  for part, names in split.items():
    if unknown := next((name for name in names if name not in subjects), None):
      return f".parts.{part}", f"names {show(unknown)}, who has no record in the store"
  return None


def chunks_of(runs: Iterable[tuple[int, int]]) -> Iterator[int]:
  """Yields the chunks that hold runs [a, b) of samples, which rise; the others may be missing, as nothing is in them."""
  following = 0
  for a, b in runs:
    for number in range(max(a // CHUNK, following), (b - 1) // CHUNK + 1):
      yield number
      following = number + 1


def most_chunks(samples: int) -> int:
  """Returns the number of chunks of an array."""
  return math.ceil(samples / CHUNK)
