"""Measures a trained network in use: reconstruction of an hour, a stream of beats, short commands, checkpoints."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np

from cap_jax import clinics
from cap_jax.arteries import cohort, plausibility
from cap_jax.data import recordings
from cap_jax.inference import pretrained, reconstruct, streaming
from cap_jax.signals import beats
from cap_jax.train import checkpoint
from cap_jax.types import InputError
from experiments.benchmarks import timing
from experiments.benchmarks.timing import Options, Row

_HOUR_S, _FS_HZ, _PART_S = 3600.0, 125.0, 60.0
_STREAMED_S = 300.0


def hour() -> recordings.Recording:
  """Returns an hour of radial pressure at 125 Hz: sixty virtual subjects, a minute each."""
  minutes = round(_HOUR_S / _PART_S)
  people = plausibility.draw(jax.random.key(0), clinics.POPULATIONS["reference"], minutes)
  waves = cohort.records(jax.random.key(1), people, _PART_S, _FS_HZ, clinics.Rhythm())
  wave = np.asarray(waves["radial"], dtype=np.float64).reshape(-1)
  return recordings.make("hour", "", "virtual people", np.arange(len(wave)) / _FS_HZ, {"radial": wave})


def _streamed_ms(trained: checkpoint.Checkpoint, record: recordings.Recording) -> float:
  """Returns the median time of a call of a stream over the beats of five minutes [ms]."""
  wave = record.signals["radial"][: round(_STREAMED_S * _FS_HZ)]
  feet = beats.find_feet(wave, _FS_HZ)
  stream, took = streaming.StreamingNetwork(trained, _FS_HZ), []
  state = stream.begin()
  for first, last in itertools.pairwise(feet):
    if not beats.SHORTEST_S <= (last - first) / _FS_HZ <= streaming.LONGEST_S:
      state = stream.begin()  # the next virtual subject begins here
      continue
    began = time.perf_counter()
    state, _ = stream(state, wave[first:last])
    took.append(time.perf_counter() - began)
  return 1e3 * timing.median(took)


def inference(options: Options) -> list[Row]:
  """Measures the reconstruction of an hour, including features, intervals and beats, and a stream of beats."""
  trained, record = pretrained.load(), hour()
  times = timing.in_turns({"hour": lambda: reconstruct.reconstruct(trained, record)}, options.turns, "inference")
  beat_count = len(reconstruct.reconstruct(trained, record).beats)
  detail = f"{beat_count} beats with their pressures and intervals"
  return [
    Row(
      section="inference",
      name="reconstruction of one hour at 125 Hz",
      value=timing.median(times["hour"]),
      unit="s",
      target=1.0,
      at_least=False,
      detail=detail,
    ),
    Row(
      section="inference",
      name="stream, one beat in, one beat out",
      value=_streamed_ms(trained, record),
      unit="ms",
      target=5.0,
      at_least=False,
    ),
  ]


def _run(command: str, **environment: str) -> None:
  """Runs `cap-jax` with flags in a process of its own.

  Raises:
    InputError: it failed.
  """
  own = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}  # such as its own cache
  done = subprocess.run(
    [sys.executable, "-m", "cap_jax", *command.split()],
    env={**own, **environment}, capture_output=True, text=True, check=False,
  )  # fmt: skip
  if done.returncode:
    raise InputError(f"cap-jax {command} failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")


def commands(options: Options) -> list[Row]:
  """Measures short commands from their start to their end, on a CSV file of 60 s at 125 Hz."""
  record = hour()
  samples = round(_PART_S * _FS_HZ)
  with tempfile.TemporaryDirectory(prefix="cap_jax-benchmark-") as folder:
    table = np.column_stack([record.time_s, record.signals["radial"]])[:samples]
    path = os.path.join(folder, "minute.csv")
    np.savetxt(path, table, "%.3f", ",", header="time_s,radial_pressure_mmhg", comments="")
    reconstruct_minute = f"reconstruct --input={path} --output={folder}/out.csv"
    warm = {"XDG_CACHE_HOME": os.path.join(folder, "cache")}
    calls = {
      "reconstruct": lambda: _run(reconstruct_minute, **warm),
      "reconstruct, nothing compiled": lambda: _run(reconstruct_minute, XDG_CACHE_HOME=tempfile.mkdtemp(dir=folder)),
      "describe": lambda: _run(f"describe --format=csv --path={path} --output={folder}/look.png", **warm),
    }
    times = timing.in_turns(calls, options.turns, "commands")
  return [
    Row(section="commands", name=name, value=timing.median(times[name]), unit="s", target=target, at_least=False)
    for name, target in (("reconstruct", 3.0), ("reconstruct, nothing compiled", 6.0), ("describe", 2.0))
  ]


def checkpoints(options: Options) -> list[Row]:
  """Measures saving the packaged network, and loading it with all checks."""
  trained = pretrained.load()
  folder = tempfile.mkdtemp(prefix="cap_jax-benchmark-")
  count = 0

  def save() -> None:
    nonlocal count
    count += 1
    checkpoint.save(os.path.join(folder, str(count)), trained)

  try:
    calls = {"save": save, "restore": lambda: pretrained.load()}
    times = timing.in_turns(calls, options.turns, "checkpoints")
  finally:
    shutil.rmtree(folder, ignore_errors=True)
  size = sum(leaf.size for leaf in jax.tree.leaves(trained.params))
  detail = f"{size} parameters"
  return [
    Row(section="checkpoint", name=name, value=timing.median(times[name]), unit="s", detail=detail)
    for name in ("save", "restore")
  ]
