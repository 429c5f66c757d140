"""Measures how long the default comparison compiles from a cold start, and with the on-disk cache of JAX."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

from cap_jax.types import InputError
from experiments.benchmarks.timing import Options, Row

_JOB = "experiments.compare"
# sums the durations that jax reports: tracing, lowering, compiling, reading the cache
_LISTEN = """
import atexit, json, runpy, sys
import jax
seconds, programs = {}, 0
def heard(event, duration, **_):
  global programs
  if event.startswith("/jax/core/compile/"):
    name = event.rsplit("/", 1)[1]
    seconds[name] = seconds.get(name, 0.0) + duration
    programs += name == "backend_compile_duration"
jax.monitoring.register_event_duration_secs_listener(heard)
path, module = sys.argv[1:3]
sys.argv = [module, *sys.argv[3:]]
atexit.register(lambda: json.dump({"seconds": seconds, "programs": programs}, open(path, "w")))
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def listened(folder: str, flags: tuple[str, ...]) -> tuple[float, dict[str, Any]]:
  """Runs the main job in its own process and records its compilation.

  Args:
    folder: for the work folder and the cache.
    flags: of the job.

  Returns:
    Seconds of the job, and jax's report on the compilation.

  Raises:
    InputError: the job failed.
  """
  report_path = os.path.join(folder, "compiled.json")
  workdir = tempfile.mkdtemp(dir=folder)
  cached = {
    "JAX_COMPILATION_CACHE_DIR": os.path.join(folder, "cache"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
  }
  began = time.perf_counter()
  done = subprocess.run(
    [sys.executable, "-c", _LISTEN, report_path, _JOB, f"--workdir={workdir}", *flags],
    env={**os.environ, **cached}, capture_output=True, text=True, check=False,
  )  # fmt: skip
  if done.returncode:
    raise InputError(f"{_JOB} failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
  seconds = time.perf_counter() - began
  with open(report_path, encoding="utf-8") as file:
    return seconds, json.load(file)


def rows(options: Options, flags: tuple[str, ...] = ()) -> list[Row]:
  """Measures a cold and a warm start of the main job.

  Args:
    options: not used.
    flags: of the job.

  Returns:
    The rows.
  """
  del options
  folder = tempfile.mkdtemp(prefix="cap_jax-benchmark-")
  table_rows = []
  try:
    for name, target in (("cold", 15.0), ("warm, from the cache on disk", 10.0)):
      seconds, report = listened(folder, flags)
      phases_s = report["seconds"]
      # "backend_compile_duration" includes reading the cache
      compiling = sum(phases_s.values())
      detail = (
        f"{report['programs']} programs; tracing and lowering {compiling - phases_s['backend_compile_duration']:.1f} s"
      )
      table_rows += [
        Row(
          section="main job",
          name=f"compiling, {name}",
          value=compiling,
          unit="s",
          target=target,
          at_least=False,
          detail=detail,
        ),
        Row(section="main job", name=f"whole, {name}", value=seconds, unit="s"),
      ]
  finally:
    shutil.rmtree(folder, ignore_errors=True)
  return table_rows
