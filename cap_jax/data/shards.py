"""One shard of a store, written: its records read, conditioned, and laid one behind the other."""

import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorstore

from cap_jax import config
from cap_jax.data import conditioning, datasets, recordings, store
from cap_jax.signals import calibration as scales
from cap_jax.types import DataError

SUMMARY = "shard.json"
_BUFFER = 16 * store.CHUNK  # samples of each signal that wait to be written


def _spans(x_t: np.ndarray) -> list[tuple[int, int]]:
  return [(int(part.start), int(part.stop)) for part in np.ma.clump_unmasked(np.ma.masked_invalid(x_t))]


def _facts(recording: recordings.Recording, report: conditioning.Report, start: int) -> dict[str, Any]:
  """What `records.json` tells of a recording."""
  spans, levels, moments = {}, {}, {}
  for name, x_t in recording.signals.items():
    spans[name] = _spans(x_t)
    good = x_t[np.isfinite(x_t)]
    moments[name] = (int(good.size), float(good.sum()), float(np.square(good).sum()))
    found = scales.levels(x_t, recording.fs_hz) if recordings.parts(name)[1] in ("", "ppg") else None
    if found is not None:
      levels[name] = dataclasses.astuple(found)
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
  """An error as the manifest has it."""
  return {name: getattr(error, name) for name in ("where", "subject", "problem", "remedy")}


class _Arrays:
  """Arrays of a shard, one a signal, growing with each record; written in whole chunks but for the last."""

  def __init__(self, folder: pathlib.Path):
    self._folder, self.samples = folder, 0
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
      if name not in self._arrays:
        spec = store.array_spec(self._folder / name, self.samples)
        self._arrays[name] = tensorstore.open(spec, create=True).result()
      array = self._arrays[name].resize(exclusive_max=[self.samples], expand_only=True).result()
      array[self._written : self.samples].write(np.concatenate(waves).astype(np.float32)).result()
      self._arrays[name] = array
    self._written, self._waiting = self.samples, []

  def close(self) -> None:
    """Writes the rest; all arrays get the length of the shard."""
    self._flush()
    for array in self._arrays.values():
      array.resize(exclusive_max=[self.samples], expand_only=True).result()


def write(
  root: pathlib.Path, name: str, entries: Sequence[datasets.Entry], spec: config.Conditioning, strict: bool
) -> dict[str, Any]:
  """Reads, conditions and writes the records of a shard; it takes its name when it is whole.

  Returns:
    Its summary: records, samples, hash, units, what was lost, and sums of the reports.

  Raises:
    DataError: a record cannot be used, and `strict`.
  """
  partial = root / f"{name}.partial"
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  arrays, rows, lost = _Arrays(partial), [], []
  units: dict[str, str] = {}
  totals: list[dict[str, Any]] = []
  for entry in entries:
    try:
      _, recording, report = conditioning.read(entry, spec)
      for signal, unit in recording.units.items():
        if units.setdefault(signal, unit) != unit:
          raise DataError(
            entry.where, f"{signal} is in {unit}, before in {units[signal]}", "keep units apart", entry.subject
          )
    except DataError as error:
      if strict:
        raise
      where = error.where if error.where.startswith(entry.where) else entry.where
      lost.append(lost_record(DataError(where, error.problem, error.remedy, entry.subject)))
      continue
    rows.append(_facts(recording, report, arrays.samples))
    arrays.append(recording)
    totals.append(_totals(report))
  arrays.close()
  with open(partial / store.RECORDS, "w", encoding="utf-8") as file:
    json.dump(rows, file)
  summary = {"name": name, "records": len(rows), "samples": arrays.samples, "sha256": store.digest(partial)}
  summary |= {"units": units, "lost": lost, "totals": merge(totals) if totals else {}}
  with open(root / f"{name}.{SUMMARY}", "w", encoding="utf-8") as file:
    json.dump(summary, file)
  os.replace(partial, root / name)
  return summary


def _totals(report: conditioning.Report) -> dict[str, Any]:
  """What is summed of a report; of delays those that were taken out."""
  removed = {name: [round(sync.removed_s, 4)] for name, sync in report.sync.items() if sync.removed_s}
  names = ("seconds", "filled", "good_s", "beats", "faults")
  return {**{name: getattr(report, name) for name in names}, "sync": removed}


def merge(parts: Sequence[Any]) -> Any:
  """Numbers are summed, lists joined, mappings merged key by key."""
  if isinstance(parts[0], Mapping):
    keys = dict.fromkeys(key for part in parts for key in part)
    return {key: merge([part[key] for part in parts if key in part]) for key in keys}
  if isinstance(parts[0], list):
    return [item for part in parts for item in part]
  return sum(parts)
