"""Writes one shard of a store: reads its records, conditions them, and stores them one behind the other."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorstore

from cap_jax import config, files, own_files
from cap_jax.data import conditioning, datasets, recordings, schema, signal_names, store
from cap_jax.signals import calibration as scales
from cap_jax.types import DataError

SUMMARY = "shard.json"
_BUFFER = 16 * store.CHUNK  # samples of each signal that are buffered before a write


def _spans(x_t: np.ndarray) -> list[tuple[int, int]]:
  return [(int(part.start), int(part.stop)) for part in np.ma.clump_unmasked(np.ma.masked_invalid(x_t))]


def _facts(recording: recordings.Recording, report: conditioning.Report, start: int) -> dict[str, Any]:
  """Returns the entry of a recording in `records.json`."""
  spans, levels, moments = {}, {}, {}
  for name, x_t in recording.signals.items():
    spans[name] = _spans(x_t)
    good = x_t[np.isfinite(x_t)]
    moments[name] = (int(good.size), float(good.sum()), float(np.square(good).sum()))
    wave_levels = scales.levels(x_t, recording.fs_hz) if signal_names.split_signal(name)[1] in ("", "ppg") else None
    if wave_levels is not None:
      levels[name] = dataclasses.astuple(wave_levels)
  return {
    "subject": recording.subject,
    "record": recording.record,
    "start": start,
    "samples": int(recording.time_s.size),
    "spans": spans,
    "levels": levels,
    "moments": moments,
    "covariates": dict(recording.covariates),
    "sync": {name: dataclasses.astuple(sync) for name, sync in report.sync.items()},
  }


def lost_record(error: DataError) -> dict[str, str]:
  """Returns an error as the manifest stores it."""
  return {name: getattr(error, name) for name in ("where", "subject", "problem", "remedy")}


class _Arrays:
  """Arrays of a shard, one a signal. They grow with each record and are written in whole chunks but for the last."""

  def __init__(self, folder: pathlib.Path, own: own_files.OwnFiles):
    self._folder, self._own, self.samples = folder, own, 0
    self._arrays: dict[str, tensorstore.TensorStore] = {}
    self._waiting: list[recordings.Recording] = []
    self._written = 0

  def append(self, recording: recordings.Recording) -> None:
    self._waiting.append(recording)
    self.samples += recording.time_s.size
    if self.samples - self._written >= _BUFFER:
      self._flush()

  def _flush(self) -> None:
    for name in sorted({name for recording in self._waiting for name in recording.signals}):
      waves = [recording.signals.get(name, np.full(recording.time_s.size, np.nan)) for recording in self._waiting]
      # the files that TensorStore is about to write
      chunks = range(self._written // store.CHUNK, -(-self.samples // store.CHUNK))
      names_below = (name, f"{name}/zarr.json", f"{name}/c", *(f"{name}/c/{number}" for number in chunks))
      self._own.claim(partial=[self._folder / below for below in names_below])
      with files.translate_os_errors(self._folder):
        if name not in self._arrays:
          spec = store.array_spec(self._folder / name, self.samples)
          self._arrays[name] = tensorstore.open(spec, create=True).result()
        array = self._arrays[name].resize(exclusive_max=[self.samples], expand_only=True).result()
        array[self._written : self.samples].write(np.concatenate(waves).astype(np.float32)).result()
      self._arrays[name] = array
    self._written, self._waiting = self.samples, []

  def close(self) -> None:
    """Writes the buffered samples and extends all arrays to the length of the shard, without new chunks."""
    self._flush()
    with files.translate_os_errors(self._folder):
      for array in self._arrays.values():
        array.resize(exclusive_max=[self.samples], expand_only=True).result()


def write(
  root: pathlib.Path, name: str, entries: Sequence[datasets.Entry], spec: config.Conditioning, strict: bool
) -> dict[str, Any]:
  """Reads, conditions and writes the records of a shard. The folder gets its final name when it is complete.

  Args:
    root: folder of the store.
    name: name of the shard.
    entries: records of the shard.
    spec: conditioning settings.
    strict: whether the first bad record is an error; otherwise it is left out and listed.

  Returns:
    A summary: name, records, samples, hash, units, lost records, and sums of the reports.

  Raises:
    DataError: a record cannot be used, and `strict`.
  """
  own, partial = own_files.inside(root), root / f"{name}.partial-{own_files.token()}"
  own.claim(partial=[partial, partial / store.RECORDS])
  partial.mkdir()
  arrays, rows, lost = _Arrays(partial, own), [], []
  notes: list[str] = []
  units: dict[str, str] = {}
  totals: list[dict[str, Any]] = []
  for entry in entries:
    try:
      _, recording, report = conditioning.read(entry, spec)
      for signal, unit in recording.units.items():
        if units.setdefault(signal, unit) != unit:
          raise DataError(
            entry.where,
            f"{signal} is in {unit}, but earlier records are in {units[signal]}",
            "prepare records of each unit separately",
            entry.subject,
          )
    except DataError as error:
      if strict:
        raise
      where = error.where if error.where.startswith(entry.where) else entry.where
      lost.append(lost_record(DataError(where, error.problem, error.remedy, entry.subject)))
      continue
    notes += recording.notes
    rows.append(_facts(recording, report, arrays.samples))
    arrays.append(recording)
    totals.append(_totals(report))
  arrays.close()
  with open(partial / store.RECORDS, "w", encoding="utf-8") as file:
    json.dump(schema.cleaned(rows), file)
  summary = {"name": name, "records": len(rows), "samples": arrays.samples, "sha256": store.digest(partial)}
  summary |= {"units": units, "lost": lost, "notes": notes, "totals": merge(totals) if totals else {}}
  own.make_free(root / name)
  own.replace(partial, root / name)
  with files.write_atomically(root / f"{name}.{SUMMARY}") as (path,), open(path, "w", encoding="utf-8") as file:
    json.dump(summary, file)
  return summary


def _totals(report: conditioning.Report) -> dict[str, Any]:
  """Returns the quantities of a report that are summed; of the delays, those that were removed."""
  removed = {name: [round(sync.removed_s, 4)] for name, sync in report.sync.items() if sync.removed_s}
  names = ("seconds", "filled", "good_s", "beats", "faults")
  return {**{name: getattr(report, name) for name in names}, "sync": removed}


def merge(values: Sequence[Any]) -> Any:
  """Merges summaries: sums numbers, joins lists, and merges mappings key by key."""
  if isinstance(values[0], Mapping):
    keys = dict.fromkeys(key for value in values for key in value)
    return {key: merge([value[key] for value in values if key in value]) for key in keys}
  if isinstance(values[0], list):
    return [item for value in values for item in value]
  return sum(values)
