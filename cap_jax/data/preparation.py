"""Prepares any data set as a store: conditioned, sharded, in parallel, and resumable after an interruption."""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from cap_jax import config, executors, files, own_files
from cap_jax.data import (
  conditioning,
  datasets,
  duplicates,
  schema,
  shards,
  signal_names,
  splits,
  store,
  subject_partition,
)
from cap_jax.types import DataError, InputError


def _totals(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Sums the totals of the shards. Delays, one a record, are summarised by their number and median."""
  totals = shards.merge([summary["totals"] for summary in summaries])
  sync = {
    name: {"records": len(removed), "median_removed_s": float(np.median(removed))}
    for name, removed in totals["sync"].items()
  }
  return {**totals, "sync": sync}


def _groups(dataset: datasets.DataSet, size: int) -> list[tuple[str, list[datasets.Entry]]]:
  return [
    (f"shard-{number:05d}", list(dataset.entries[start : start + size]))
    for number, start in enumerate(range(0, len(dataset.entries), size))
  ]


def _inputs(dataset: datasets.DataSet, output: pathlib.Path) -> list[tuple[str, str]]:
  """Returns (name, SHA-256) of all files of a data set: all in its folder, or those of its record. One that cannot be read has no hash.

  Args:
    dataset: the data set.
    output: folder of the store. It is no input, and nor is another store that is finished or under way.
  """
  root = pathlib.Path(dataset.path)
  paths = [*dataset.files, *(entry.where for entry in dataset.entries)]
  if root.is_dir():
    for folder, inner, names in os.walk(root):
      kept = [one for one in inner if not _is_store(pathlib.Path(folder, one))]
      inner[:] = sorted(one for one in kept if pathlib.Path(folder, one).resolve() != output.resolve())
      paths += [os.path.join(folder, name) for name in sorted(names)]
  elif root.parent.is_dir():
    paths += [str(file) for file in root.parent.iterdir() if file.name.startswith(root.stem)]
  regular = [one for one in sorted({os.path.normpath(one) for one in paths}) if os.path.isfile(one)]
  bar = tqdm.tqdm(regular, desc="checking input", unit="file", leave=False, delay=2)
  return [(name, _hash_of(name)) for name in bar]


def _is_store(folder: pathlib.Path) -> bool:
  """Returns whether a folder has a store, finished or under way, which no reader reads."""
  finished = (folder / store.MANIFEST).is_file() and (folder / store.SPLIT).is_file()
  return finished or ((folder / store.PLAN).is_file() and own_files.exists(folder))


def _hash_of(path: str) -> str:
  """Returns the SHA-256 of a file, "" if the system refuses to read it; its record is then left out, and named."""
  try:
    return files.hash_file(path).hexdigest()
  except PermissionError:
    return ""


def _write_plan(
  root: pathlib.Path,
  dataset: datasets.DataSet,
  spec: config.Conditioning,
  how: subject_partition.Partition,
  size: int,
  inputs: Sequence[tuple[str, str]],
) -> None:
  """Writes the plan of a new preparation, or checks that it matches the plan already there.

  Raises:
    InputError: the folder holds something else.
  """
  settings = json.dumps(
    [
      dataset.name,
      signal_names.channel_texts(dataset.channels),
      inputs,
      dataclasses.asdict(spec),
      dataclasses.asdict(how),
      size,
      [(e.subject, e.record, e.where) for e in dataset.entries],
    ]
  )
  plan = {"format": store.FORMAT, "sha256": hashlib.sha256(settings.encode()).hexdigest()}
  if store.exists(root) and not (root / store.PLAN).is_file():
    if store.open_store(root).manifest.get("plan") == plan:
      return
    raise InputError(
      f"--output={root}: already contains a complete store of other data or settings; choose another folder or remove it"
    )
  file = root / store.PLAN
  if file.is_file():
    with datasets.reading(str(file), "choose another folder or remove this one"):
      recorded_plan = json.loads(pathlib.Path(files.regular(file)).read_text(encoding="utf-8"))
    if recorded_plan != plan or not own_files.exists(root):
      raise InputError(
        f"--output={root}: contains a stopped preparation with other data or settings; choose another folder or remove it"
      )
    return
  if own_files.exists(root):
    own_files.begin(root).end()  # left behind by a preparation that was killed at once
  if any(path.name != files.LOCK for path in root.iterdir()):
    raise InputError(f"--output={root}: is not empty; choose another folder")
  own_files.begin(root)
  with files.write_atomically(file) as (partial,), open(partial, "w", encoding="utf-8") as writing:
    json.dump(plan, writing)


def _finished(root: pathlib.Path, name: str) -> dict[str, Any] | None:
  """Returns the summary of a shard that is complete, or None for one that is missing or was changed."""
  file = root / f"{name}.{shards.SUMMARY}"
  if not ((root / name).is_dir() and file.is_file()):
    return None
  with (
    datasets.reading(str(file), "remove the shard and its .json, then run the same command again"),
    open(files.regular(file), encoding="utf-8") as f,
  ):
    summary = json.load(f)
    intact = summary["sha256"] == store.digest(root / name)
  if not intact:
    print(f"{root / name}: was modified after it was written; writing it again", file=sys.stderr)
    return None
  return summary


def prepare(
  dataset: datasets.DataSet,
  output: str | os.PathLike[str],
  spec: config.Conditioning,
  how: subject_partition.Partition,
  executor: concurrent.futures.Executor | None = None,
  shard_records: int = 64,
  strict: bool = False,
) -> store.Store:
  """Writes the store of a data set. After an interruption, the same call resumes with the missing shards; a finished
  store is opened.

  Args:
    dataset: data set of any source.
    output: folder that is new, or was begun with the same data and settings.
    spec: conditioning settings.
    how: division of the subjects into parts.
    executor: runs the shards, None for this process; any of `concurrent.futures`, see `executors.opened`. The store has the same bytes with each.
    shard_records: number of records in a shard.
    strict: whether the first bad record ends the preparation.

  Returns:
    The store, opened.

  Raises:
    InputError: the folder holds something else, the same preparation runs there, or a setting is invalid.
    DataError: nothing usable is left, or a record is bad and `strict`.
  """
  conditioning.check(spec)
  if shard_records < 1:
    raise InputError(f"shard_records={shard_records}: must be 1 or more")
  if dataset.lost and strict:
    raise dataset.lost[0]
  root = pathlib.Path(output)
  groups = _groups(dataset, shard_records)
  with _locked(root):
    inputs = _inputs(dataset, root)
    _write_plan(root, dataset, spec, how, shard_records, inputs)
    if store.exists(root):  # finished, or interrupted after its manifest was written
      return _tidied(root)
    own = own_files.begin(root)
    try:
      done = _write(root, groups, spec, executor, strict)
      return _finish(root, dataset, spec, how, [done[name] for name, _ in groups], inputs)
    except InputError as error:
      good = any(path.stat().st_size > len("[]") for path in root.glob(f"shard-*/{store.RECORDS}"))
      if isinstance(error, splits.LeakError) or not good:  # other data are needed: nothing to resume from
        own.remove(root)
        own.end()
      raise


@contextlib.contextmanager
def _locked(root: pathlib.Path) -> Iterator[None]:
  """Makes the folder of a store, unless it exists, and locks it. Removes one that it made and that stays empty.

  Raises:
    InputError: it is a file, or another process prepares there.
  """
  is_new = not root.exists()
  try:
    own_files.makedirs(root)
  except FileExistsError as error:
    raise InputError(f"--output={root}: is a file; choose a folder") from error
  try:
    with files.lock_folder(root, wait=False):
      yield
  except BlockingIOError as error:
    raise InputError(f"--output={root}: another process is running there; wait for it to finish") from error
  finally:
    if is_new and root.is_dir() and not os.listdir(root):
      root.rmdir()


def _write(
  root: pathlib.Path,
  groups: Sequence[tuple[str, list[datasets.Entry]]],
  spec: config.Conditioning,
  executor: concurrent.futures.Executor | None,
  strict: bool,
) -> dict[str, dict[str, Any]]:
  """Writes the missing shards. Returns name → summary of all shards."""
  done = {name: finished for name, _ in groups if (finished := _finished(root, name)) is not None}
  missing = [(name, entries) for name, entries in groups if name not in done]
  ready = sum(len(entries) for name, entries in groups if name in done)
  with tqdm.tqdm(total=sum(len(entries) for _, entries in groups), initial=ready, desc="records", unit="") as bar:
    tasks = [(root.absolute(), name, entries, spec, strict) for name, entries in missing]
    for number, summary in executors.completed(executor, shards.write, tasks):
      name, entries = missing[number]
      done[name] = summary
      bar.update(len(entries))
  return done


def _finish(
  root: pathlib.Path,
  dataset: datasets.DataSet,
  spec: config.Conditioning,
  how: subject_partition.Partition,
  summaries: Sequence[Mapping[str, Any]],
  inputs: Sequence[tuple[str, str]],
) -> store.Store:
  """Writes the split and the manifest, removes empty shards, and opens the store."""
  lost = [shards.lost_record(error) for error in dataset.lost] + [item for shard in summaries for item in shard["lost"]]
  nonempty = [shard for shard in summaries if shard["records"]]
  if not nonempty:
    details = (
      lost[0]
      if lost
      else {"where": str(root), "problem": "the data set is empty", "remedy": "check --path", "subject": ""}
    )
    raise DataError(**details)
  units = _units(root, nonempty)
  written = [
    store.Shard(root / shard["name"], shard["samples"], store.read_records(root / shard["name"])) for shard in nonempty
  ]
  equal = duplicates.check_shards(dataset.path, written, dataset.place)
  split = subject_partition.divide([record for shard in written for record in shard.records], how)
  split.save(root / store.SPLIT)
  entries = [{name: shard[name] for name in ("name", "records", "samples", "sha256")} for shard in nonempty]
  manifest = {
    "format": store.FORMAT,
    "name": dataset.name,
    "source": dataset.source,
    "licence": dataset.licence,
    "path": dataset.path,
    "channels": signal_names.channel_texts(dataset.channels),
    "inputs_sha256": hashlib.sha256(json.dumps(inputs).encode()).hexdigest(),
    "place": dataset.place,
    "subjects_known": dataset.subjects_known,
    "notes": [*dataset.notes, *equal, *dict.fromkeys(note for shard in summaries for note in shard["notes"])],
    "conditioning": dataclasses.asdict(spec),
    "units": dict(sorted(units.items())),
    "sha256": hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest(),
    "totals": _totals(nonempty),
    "lost": lost,
    "split": split.digest,
    "plan": json.loads(pathlib.Path(files.regular(root / store.PLAN)).read_text(encoding="utf-8")),
    "shards": entries,
  }
  for shard in summaries:
    if not shard["records"]:
      own_files.inside(root).remove(root / shard["name"])
  for shard in nonempty:
    files.sync(root / shard["name"])
  with files.write_atomically(root / store.MANIFEST) as (partial,), open(partial, "w", encoding="utf-8") as file:
    json.dump(schema.cleaned(manifest), file, indent=1)
  return _tidied(root)


def _units(root: pathlib.Path, summaries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
  """Returns signal → unit of all shards.

  Raises:
    DataError: a signal has several.
  """
  units: dict[str, str] = {}
  for shard in summaries:
    for name, unit in shard["units"].items():
      if units.setdefault(name, unit) != unit:
        raise DataError(
          str(root / shard["name"]),
          f"{name} is in {unit}, but earlier records are in {units[name]}",
          "prepare records of each unit separately",
        )
  return units


def _tidied(root: pathlib.Path) -> store.Store:
  """Removes the files that only the preparation needs, and opens the store."""
  if own_files.exists(root):
    own = own_files.begin(root)
    for path in (*root.glob(f"*.{shards.SUMMARY}"), root / store.PLAN):
      own.remove(path)
    own.end()
  return store.open_store(root)
