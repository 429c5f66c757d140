"""Measures the preparation of many windows by one and by two workers of a Dask cluster on this machine, their memory, and a stream
of the result."""

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import distributed
import numpy as np

from cap_jax import config, executors
from cap_jax.data import datasets, preparation, recordings, store, subject_partition
from experiments.benchmarks import data_input
from experiments.benchmarks.timing import Options, Row

_SECONDS, _FS_HZ, _SHARD = 600, 125.0, 16  # of a record; records of a shard
_MEMORY = "1.5GB"  # at which a worker is ended
_SHARES = {"training": 0.9, "validation": 0.05, "test": 0.05}
_PORT = 18_786


class MadeUpRecord:
  """Reads ten minutes of made-up radial and aortic pressure, in no time compared with what is then done with them."""

  def __init__(self, number: int):
    self._number = number

  def __call__(self) -> recordings.Recording:
    rng = np.random.default_rng(self._number)
    time_s = np.arange(int(_SECONDS * _FS_HZ)) / _FS_HZ
    turn = np.cumsum(1 + 0.03 * rng.standard_normal(2 * _SECONDS))
    phase = np.interp(time_s * rng.uniform(0.9, 1.4), np.arange(turn.size), turn)
    noise = rng.normal(0, 0.2, (2, time_s.size))
    level, large = rng.uniform(60, 100), rng.uniform(0.7, 1.4)
    waves = [
      level + large * size * np.exp(-((((phase - at) % 1) - 0.25) ** 2) / 0.012) for at, size in ((0.08, 45), (0.0, 35))
    ]
    names = ("radial", "aortic_root")
    return recordings.Recording(
      subject=f"s{self._number:06d}",
      time_s=time_s,
      signals={name: wave + own for name, wave, own in zip(names, waves, noise, strict=True)},
      units=dict.fromkeys(names, "mmHg"),
    )


def _dataset(windows: int) -> datasets.DataSet:
  spec = config.Windows()
  each = int((_SECONDS - spec.seconds) / spec.hop_s) + 1
  entries = tuple(datasets.Entry(f"s{k:06d}", "", f"record {k}", MadeUpRecord(k)) for k in range(-(-windows // each)))
  return datasets.DataSet(
    name="csv",
    entries=entries,
    source="made up",
    licence="none",
    path="/made-up",
    channels=None,
    place=datasets.IN_SILICO,
  )


@contextlib.contextmanager
def _cluster(workers: int) -> Iterator[str]:
  """Runs a scheduler and workers of one thread each."""
  environment = {**os.environ, "TQDM_DISABLE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
  begin = [sys.executable, "-m"]
  commands = [[*begin, "distributed.cli.dask_scheduler", f"--port={_PORT}", "--host=127.0.0.1", "--no-dashboard"]]
  worker = [*begin, "distributed.cli.dask_worker", f"127.0.0.1:{_PORT}", "--nthreads=1", "--no-dashboard"]
  commands += [[*worker, f"--memory-limit={_MEMORY}"]] * workers
  started = [
    subprocess.Popen(one, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for one in commands
  ]
  try:
    with distributed.Client(f"127.0.0.1:{_PORT}", timeout=60) as client:
      client.wait_for_workers(workers, timeout=60)
    yield f"dask:127.0.0.1:{_PORT}"
  finally:
    for process in reversed(started):
      process.terminate()
    for process in started:
      process.wait()


def _peak_gb() -> float:
  """Returns the largest resident memory of a worker so far [GB]."""
  import resource

  return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9


def _prepared(folder: str, windows: int, workers: int) -> tuple[store.Store, float, float]:
  """Prepares the records. Returns the store, the seconds that it took, and the largest memory of a worker [GB]."""
  with _cluster(workers) as name, executors.opened(name) as opened:
    for _ in executors.completed(opened.executor, _peak_gb, [()] * workers):
      pass  # the workers have imported what they need
    began = time.perf_counter()
    prepared = preparation.prepare(
      _dataset(windows), os.path.join(folder, f"by_{workers}"), config.Conditioning(synchronise=False),
      subject_partition.Partition(_SHARES), opened.executor, _SHARD,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    with distributed.Client(name.partition(":")[2], timeout=60) as client:
      memory_gb = max(client.run(_peak_gb).values())
  return prepared, seconds, memory_gb


def rows(options: Options) -> list[Row]:
  """Measures one worker, then two, on the same records."""
  folder = tempfile.mkdtemp(prefix="cap_jax-benchmark-")
  try:
    (one, one_s, one_gb), (two, two_s, two_gb) = (_prepared(folder, options.windows, count) for count in (1, 2))
    same = one.manifest["sha256"] == two.manifest["sha256"]
    seconds, size_gb = two.manifest["totals"]["seconds"], sum(
      os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(two.path) for name in names
    ) / 1e9  # fmt: skip
    streamed = data_input.rows(dataclasses.replace(options, store=str(two.path), site="radial"))
  finally:
    shutil.rmtree(folder, ignore_errors=True)
  detail = (
    f"{options.windows} windows: {one_s:.0f} s by one, {two_s:.0f} s by two; the same bytes: {same}; {size_gb:.2f} GB"
  )
  section = "preparation by Dask"
  return [
    Row(section=section, name="two workers, against one", value=one_s / two_s, unit="×", target=1.8, detail=detail),
    Row(section=section, name="seconds of record in a second, two workers", value=seconds / two_s, unit=""),
    Row(
      section=section,
      name="largest memory of a worker",
      value=max(one_gb, two_gb),
      unit="GB",
      target=1.5,
      at_least=False,
    ),
    *(dataclasses.replace(row, name=f"{row.name}, {options.windows} windows prepared") for row in streamed),
  ]
