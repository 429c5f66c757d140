"""The main job from its start: how long all compiling takes, with nothing compiled before and with the cache that jax keeps on disk."""

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
# counts what jax says of itself: tracing, lowering, compiling, reading of the cache
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
  """Seconds of the main job in a process of its own, and what jax said of its compiling.

  Raises:
    InputError: the job failed.
  """
  said = os.path.join(folder, "compiled.json")
  workdir = tempfile.mkdtemp(dir=folder)
  cached = {
    "JAX_COMPILATION_CACHE_DIR": os.path.join(folder, "cache"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
  }
  began = time.perf_counter()
  done = subprocess.run(
    [sys.executable, "-c", _LISTEN, said, _JOB, f"--workdir={workdir}", *flags],
    env={**os.environ, **cached}, capture_output=True, text=True, check=False,
  )  # fmt: skip
  if done.returncode:
    raise InputError(f"{_JOB} failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
  seconds = time.perf_counter() - began
  with open(said, encoding="utf-8") as file:
    return seconds, json.load(file)


def rows(options: Options, flags: tuple[str, ...] = ()) -> list[Row]:
  """Cold and warm start of the main job; `flags` change it."""
  del options
  folder = tempfile.mkdtemp(prefix="cap_jax-benchmark-")
  found = []
  try:
    for name, target in (("cold", 60.0), ("warm, from the cache on disk", 10.0)):
      seconds, said = listened(folder, flags)
      parts = said["seconds"]
      # "backend_compile_duration" holds reading the cache
      compiling = sum(parts.values())
      detail = (
        f"{said['programs']} programs; tracing and lowering {compiling - parts['backend_compile_duration']:.1f} s"
      )
      found += [
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
  return found
