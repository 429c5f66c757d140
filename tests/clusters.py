"""A real Dask cluster on this machine: a scheduler and workers, each a process of its own."""

import contextlib
import os
import subprocess
import sys
import time

import distributed

from tests.experiments.commands import ROOT
from tests.ports import free_port


class Cluster:
  """A running cluster.

  Attributes:
    executor: its name for `--executor`.
    workers: its worker processes.
  """

  def __init__(self, processes):
    """Starts a cluster with this number of workers."""
    self.port = free_port()
    self.executor = f"dask:127.0.0.1:{self.port}"
    self._scheduler = self._start("scheduler", f"--port={self.port}", "--host=127.0.0.1")
    self.workers = [self.add_worker() for _ in range(processes)]
    with distributed.Client(f"127.0.0.1:{self.port}", timeout=60) as client:
      client.wait_for_workers(processes, timeout=60)

  def add_worker(self):
    return self._start("worker", f"127.0.0.1:{self.port}", "--nthreads=1", "--no-nanny", "--memory-limit=1.5GB")

  def _start(self, part, *arguments):
    command = [sys.executable, "-m", "distributed.cli.dask_" + part, *arguments, "--no-dashboard"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

  def stop(self):
    for process in (*self.workers, self._scheduler):
      process.kill()
      process.wait()


@contextlib.contextmanager
def running(processes=2):
  cluster = Cluster(processes)
  try:
    yield cluster
  finally:
    cluster.stop()


def wait_until(condition, seconds=120):
  end = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < end, "nothing came of it"
    time.sleep(0.02)
