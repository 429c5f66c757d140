"""Files that were made to do harm. `python -m tests.data.sources.hostile FOLDER [CASE …]` writes and reads each in processes of its
own, and prints a line of JSON a case: name, what came of it, seconds of work, and by how much the largest memory grew [MB]."""

import json
import os
import pathlib
import resource
import select
import signal
import sys
import time
import traceback
import warnings

from cap_jax import extras
from cap_jax.data import datasets
from cap_jax.data.sources import DATASETS
from cap_jax.train import weight_files
from cap_jax.types import InputError
from tests.data.sources import hostile_cases, hostile_edges, hostile_links, hostile_sizes

EDGES = hostile_edges.CASES
CASES = {**hostile_cases.CASES, **hostile_sizes.CASES, **hostile_links.CASES}
# large files and small ones of large content take seconds to write or to read
_QUICK_SIZES = ("a_table_of_one_number", "packed_samples_of_a_thousand_signals", "a_matrix_that_claims_a_terabyte")
SLOW = {name for name in hostile_sizes.CASES if name not in _QUICK_SIZES}
LONGEST_S = 10  # of work; what waits is ended much later
_MOST_PATIENT_S = 600
_FOR_A_PIPE_S = 30  # that nobody writes to


def _said(name, channels, path):
  try:
    if name == "weights":
      return f"READ {len(weight_files.read(path))} arrays"
    result = DATASETS[name](path, channels)
  except InputError as error:
    return f"refused: {error}"
  said = [f"refused: {error}" for error in result.lost]
  for entry in result.entries:
    try:
      recording = datasets.read(entry)
      said.append(f"READ {recording.time_s.size} samples")
    except InputError as error:
      said.append(f"refused: {error}")
  return said[0] if said else "nothing there"


def _worked_s():
  """Seconds of this process and of those that it waited for."""
  used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
  return sum(one.ru_utime + one.ru_stime for one in used)


def _apart(call, patience_s):
  """What `call` gives as JSON, done by a copy of this process, which is ended after `patience_s`."""
  sys.stdout.flush()
  reading, writing = os.pipe()
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of libraries with threads, which do nothing here
    child = os.fork()
  if not child:
    try:
      os.write(writing, json.dumps(call()).encode())
    except BaseException:
      traceback.print_exc()
    os._exit(0)
  os.close(writing)
  given, end = b"", time.monotonic() + patience_s
  while select.select([reading], [], [], max(end - time.monotonic(), 0))[0] and (part := os.read(reading, 1 << 16)):
    given += part
  os.close(reading)
  if time.monotonic() >= end:
    os.kill(child, signal.SIGKILL)
  os.waitpid(child, 0)
  return json.loads(given) if given else None


def _too_long(number, frame):
  del number, frame
  raise SystemExit(f"more than {LONGEST_S} s")


def _read(title, path):
  name, channels, _ = (CASES | EDGES)[title]
  signal.signal(signal.SIGPROF, _too_long)
  before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _worked_s()
  signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
  try:
    said = _said(name, channels, path)
  except (Exception, SystemExit) as error:
    said = f"RAW {error!r}"
  signal.setitimer(signal.ITIMER_PROF, 0)
  grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
  said = said.encode("utf-8", "backslashreplace").decode()
  return {"case": title, "said": said, "seconds": _worked_s() - began, "grown_mb": grown}


def main() -> None:
  root = pathlib.Path(sys.argv[1])
  titles = sys.argv[2:] or list(CASES)
  for module in ("wfdb_files", "vital", "pulsedb", "parquet", "aurora_bp", "pwdb", "mcl"):
    extras.load(f"cap_jax.data.sources.{module}")  # so that its import is not counted
  for title in titles:
    folder = root / title / "files"
    folder.mkdir(parents=True)
    path = _apart(lambda title=title, folder=folder: os.fsdecode((CASES | EDGES)[title][2](folder)), _MOST_PATIENT_S)
    if path is None:
      raise RuntimeError(f"{title} was not written")
    patience_s = _FOR_A_PIPE_S if "pipe" in title else _MOST_PATIENT_S
    result = _apart(lambda title=title, path=path: _read(title, pathlib.Path(path)), patience_s)
    ended = {"case": title, "said": f"ENDED: nothing said within {patience_s} s", "seconds": 0, "grown_mb": 0}
    print(json.dumps(result or ended), flush=True)


if __name__ == "__main__":
  main()
