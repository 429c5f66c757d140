"""Any data set → the project's store: conditioned, sharded, in parallel, and where it stopped it goes on."""

import concurrent.futures
import concurrent.futures.process
import dataclasses
import hashlib
import json
import multiprocessing
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorstore
import tqdm

from cap_jax import config
from cap_jax.data import conditioning, datasets, parts, recordings, store
from cap_jax.signals import calibration as scales
from cap_jax.types import DataError, InputError

_SUMMARY = "shard.json"
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


def _lost(error: DataError) -> dict[str, str]:
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


def write_shard(
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
  totals: dict[str, Any] = {"seconds": 0.0, "good_s": {}, "beats": {}, "faults": {}, "sync": {}, "filled": 0}
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
      lost.append(_lost(DataError(where, error.problem, error.remedy, entry.subject)))
      continue
    rows.append(_facts(recording, report, arrays.samples))
    arrays.append(recording)
    _add(totals, report)
  arrays.close()
  with open(partial / store.RECORDS, "w", encoding="utf-8") as file:
    json.dump(rows, file)
  summary = {"name": name, "records": len(rows), "samples": arrays.samples, "sha256": store.digest(partial)}
  summary |= {"units": units, "lost": lost, "totals": totals}
  with open(root / f"{name}.{_SUMMARY}", "w", encoding="utf-8") as file:
    json.dump(summary, file)
  os.replace(partial, root / name)
  return summary


def _add(totals: dict[str, Any], report: conditioning.Report) -> None:
  totals["seconds"] += report.seconds
  totals["filled"] += report.filled
  for field in ("good_s", "beats"):
    for name, value in getattr(report, field).items():
      totals[field][name] = totals[field].get(name, 0) + value
  for name, faults in report.faults.items():
    for reason, count in faults.items():
      kept = totals["faults"].setdefault(name, {})
      kept[reason] = kept.get(reason, 0) + count
  for name, sync in report.sync.items():
    if sync.removed_s:
      totals["sync"].setdefault(name, []).append(round(sync.removed_s, 4))


def _merge(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Sums of the shards' totals."""
  found: dict[str, Any] = {"seconds": 0.0, "good_s": {}, "beats": {}, "faults": {}, "sync": {}, "filled": 0}
  for part in parts:
    found["seconds"] += part["seconds"]
    found["filled"] += part["filled"]
    for field in ("good_s", "beats"):
      for name, value in part[field].items():
        found[field][name] = found[field].get(name, 0) + value
    for name, faults in part["faults"].items():
      kept = found["faults"].setdefault(name, {})
      for reason, count in faults.items():
        kept[reason] = kept.get(reason, 0) + count
    for name, removed in part["sync"].items():
      found["sync"].setdefault(name, []).extend(removed)
  # a delay a record: their number and median say it for all
  found["sync"] = {
    name: {"records": len(removed), "median_removed_s": float(np.median(removed))}
    for name, removed in found["sync"].items()
  }
  return found


def _groups(dataset: datasets.DataSet, size: int) -> list[tuple[str, list[datasets.Entry]]]:
  return [
    (f"shard-{number:05d}", list(dataset.entries[start : start + size]))
    for number, start in enumerate(range(0, len(dataset.entries), size))
  ]


def _inputs(path: str) -> list[tuple[str, int, int]]:
  """(name, size, time of change) of all files at a path, and of those beside a file that share its name."""
  root = pathlib.Path(path)
  files = root.rglob("*") if root.is_dir() else root.parent.glob(f"{root.stem}*")
  found = [(str(file), file.stat()) for file in sorted(files) if file.is_file()]
  return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]


def _plan(root: pathlib.Path, dataset: datasets.DataSet, spec: config.Conditioning, size: int) -> None:
  """Notes what is to be made, or checks that it is what was begun.

  Raises:
    InputError: the folder holds something else.
  """
  whole = json.dumps(
    [
      dataset.name,
      dataset.channels,
      _inputs(dataset.path),
      dataclasses.asdict(spec),
      size,
      [(e.subject, e.record, e.where) for e in dataset.entries],
    ]
  )
  plan = {"format": store.FORMAT, "sha256": hashlib.sha256(whole.encode()).hexdigest()}
  if store.exists(root):
    raise InputError(f"--output={root}: holds a finished store already; choose another folder or remove it")
  file = root / store.PLAN
  if file.is_file():
    if json.loads(file.read_text(encoding="utf-8")) != plan:
      raise InputError(f"--output={root}: was begun with other data or settings; choose another folder or remove it")
    return
  if root.is_dir() and any(root.iterdir()):
    raise InputError(f"--output={root}: holds other files; choose another folder")
  root.mkdir(parents=True, exist_ok=True)
  file.write_text(json.dumps(plan), encoding="utf-8")


def _finished(root: pathlib.Path, name: str) -> dict[str, Any] | None:
  """Summary of a shard that is whole already."""
  file = root / f"{name}.{_SUMMARY}"
  if not ((root / name).is_dir() and file.is_file()):
    return None
  with datasets.reading(str(file), "remove the shard and its .json, then run again"), open(file, encoding="utf-8") as f:
    return json.load(f)


def prepare(
  dataset: datasets.DataSet,
  output: str | os.PathLike[str],
  spec: config.Conditioning,
  how: parts.Parts,
  workers: int = 1,
  shard_records: int = 64,
  strict: bool = False,
) -> store.Store:
  """Writes the store of a data set. Stopped, the same call goes on with the shards that are missing.

  Args:
    dataset: any.
    output: a folder that is new, or was begun with the same data and settings.
    spec: conditioning.
    how: who gets into which part.
    workers: processes.
    shard_records: records of a shard.
    strict: whether the first bad record ends it.

  Raises:
    InputError: the folder holds something else.
    DataError: nothing usable is left, or a record is bad and `strict`.
  """
  conditioning.check(spec)
  if workers < 1 or shard_records < 1:
    raise InputError(f"workers={workers}, shard_records={shard_records}: must be 1 or more")
  if dataset.lost and strict:
    raise dataset.lost[0]
  root = pathlib.Path(output)
  _plan(root, dataset, spec, shard_records)
  groups = _groups(dataset, shard_records)
  try:
    done = _write(root, groups, spec, workers, strict)
    return _finish(root, dataset, spec, how, [done[name] for name, _ in groups])
  except DataError:  # not to be mended by going on
    shutil.rmtree(root, ignore_errors=True)
    raise


def _write(
  root: pathlib.Path,
  groups: Sequence[tuple[str, list[datasets.Entry]]],
  spec: config.Conditioning,
  workers: int,
  strict: bool,
) -> dict[str, dict[str, Any]]:
  """Name → summary of all shards, those that are missing written."""
  done = {name: found for name, _ in groups if (found := _finished(root, name)) is not None}
  left = [(name, entries) for name, entries in groups if name not in done]
  ready = sum(len(entries) for name, entries in groups if name in done)
  with tqdm.tqdm(total=sum(len(entries) for _, entries in groups), initial=ready, desc="records", unit="") as bar:
    if workers == 1:
      for name, entries in left:
        done[name] = write_shard(root, name, entries, spec, strict)
        bar.update(len(entries))
      return done
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
      waiting = {pool.submit(write_shard, root, name, entries, spec, strict): entries for name, entries in left}
      try:
        for future in concurrent.futures.as_completed(waiting):
          summary = future.result()
          done[summary["name"]] = summary
          bar.update(len(waiting[future]))
      except concurrent.futures.process.BrokenProcessPool:
        pool.shutdown(cancel_futures=True)
        problem = "a process died, of a damaged file or for want of memory"
        raise InputError(f"{root}: {problem}; run it again with --workers=1 to see where") from None
      except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
  return done


def _finish(
  root: pathlib.Path,
  dataset: datasets.DataSet,
  spec: config.Conditioning,
  how: parts.Parts,
  shards: Sequence[Mapping[str, Any]],
) -> store.Store:
  """Writes split and manifest."""
  lost = [_lost(error) for error in dataset.lost] + [item for shard in shards for item in shard["lost"]]
  kept = [shard for shard in shards if shard["records"]]
  if not kept:
    said = (
      lost[0]
      if lost
      else {"where": str(root), "problem": "the data set is empty", "remedy": "look at --path", "subject": ""}
    )
    raise DataError(**said)
  units: dict[str, str] = {}
  for shard in kept:
    for name, unit in shard["units"].items():
      if units.setdefault(name, unit) != unit:
        raise DataError(str(root / shard["name"]), f"{name} is in {unit}, before in {units[name]}", "keep units apart")
  split = parts.divide([record for shard in kept for record in store.read_records(root / shard["name"])], how)
  split.save(root / store.SPLIT)
  entries = [{name: shard[name] for name in ("name", "records", "samples", "sha256")} for shard in kept]
  manifest = {
    "format": store.FORMAT,
    "name": dataset.name,
    "source": dataset.source,
    "licence": dataset.licence,
    "path": dataset.path,
    "channels": dict(dataset.channels or {}),
    "inputs_sha256": hashlib.sha256(json.dumps(_inputs(dataset.path)).encode()).hexdigest(),
    "in_silico": dataset.in_silico,
    "subjects_known": dataset.subjects_known,
    "notes": list(dataset.notes),
    "conditioning": dataclasses.asdict(spec),
    "units": dict(sorted(units.items())),
    "sha256": hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest(),
    "totals": _merge([shard["totals"] for shard in kept]),
    "lost": lost,
    "split": split.digest,
    "shards": entries,
  }
  for shard in shards:
    if not shard["records"]:
      shutil.rmtree(root / shard["name"], ignore_errors=True)
  with open(root / f"{store.MANIFEST}.partial", "w", encoding="utf-8") as file:
    json.dump(manifest, file, indent=1)
  os.replace(root / f"{store.MANIFEST}.partial", root / store.MANIFEST)
  for shard in shards:
    (root / f"{shard['name']}.{_SUMMARY}").unlink()
  (root / store.PLAN).unlink()
  return store.open_store(root)
