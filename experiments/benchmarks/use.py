"""Measures a trained network in use: reconstruction of an hour, a stream of beats, checkpoints."""

import itertools
import os
import shutil
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
