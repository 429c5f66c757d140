"""Measures how the time of a training step grows with width, window, batch and devices, and that of the cohort with
subjects."""

import dataclasses
import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import jax

from cap_jax import config
from cap_jax.arteries import cohort
from cap_jax.types import InputError
from experiments.benchmarks import cases, timing, virtual_people
from experiments.benchmarks.timing import Options, Row

_SHOWN = ("token_cnn", "tcn", "cnn_bilstm")
_WIDTHS, _SAMPLES, _BATCHES = (32, 64, 128, 256), (250, 500, 1000, 2000), (8, 32, 128)
_LARGER_WIDTHS, _LARGER_BATCHES = (512, 1024), (512, 2048)  # on an accelerator
_DEVICES = (1, 2)
_CHUNK = 5  # steps of a turn, few because large networks are slow
_SECTION = "growth"
DEVICES = "virtual devices on one processor"
# measures one network in a process with virtual devices
_ALONE = """
import json, sys
from experiments.benchmarks import growth
print(json.dumps(growth.shared_ms(sys.argv[1], int(sys.argv[2]))))
"""


def _wide(model: config.Model, channels: int) -> config.Model:
  return dataclasses.replace(model, channels=channels, head_channels=channels)


def _ms(sizes: Mapping[int, cases.Case], options: Options, label: str) -> dict[int, float]:
  calls = {str(size): cases.our_call(cases.ours(case, _CHUNK)) for size, case in sizes.items()}
  times = timing.in_turns(calls, options.turns, label)
  return {size: 1e3 * timing.median(times[str(size)]) / _CHUNK for size in sizes}


def shared_ms(name: str, turns: int) -> float:
  """Measures a step whose batch is shared among all devices of this process.

  Args:
    name: of the network.
    turns: number of timed calls.

  Returns:
    Time of a step [ms].
  """
  training = cases.ours(cases.Case(cases.NETWORKS[name]), _CHUNK, shared=True)
  times = timing.in_turns({name: cases.our_call(training)}, turns, f"{name}, {jax.device_count()} devices")
  return 1e3 * timing.median(times[name]) / _CHUNK


def _on_devices(name: str, devices: int, options: Options) -> float:
  """Returns `shared_ms` of a process with this number of virtual devices.

  Raises:
    InputError: the process failed.
  """
  flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
  environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
  command = [sys.executable, "-c", _ALONE, name, str(options.turns)]
  done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
  if done.returncode:
    raise InputError(f"{name} on {devices} devices failed: {(done.stderr.strip().splitlines() or [''])[-1]}")
  return float(json.loads(done.stdout))


def rows(options: Options) -> list[Row]:
  """Measures a row a point: `against` names the quantity, `size` its value."""
  table_rows: list[Row] = []

  def add(against: str, name: str, ms_of_size: dict[Any, float]) -> None:
    for size, ms in ms_of_size.items():
      row = Row(
        section=_SECTION,
        name=f"{name}, {against} {size}",
        value=ms,
        unit="ms",
        against=against,
        curve=name,
        size=float(size),
      )
      table_rows.append(row)

  on_cpu = jax.default_backend() == "cpu"
  widths, batches = (_WIDTHS, _BATCHES) if on_cpu else (_WIDTHS + _LARGER_WIDTHS, _BATCHES + _LARGER_BATCHES)
  for name in _SHOWN:
    model = cases.NETWORKS[name]
    case = cases.Case(model)
    wide = {channels: cases.Case(_wide(model, channels)) for channels in widths}
    add("channels", name, _ms(wide, options, f"width: {name}"))
    lengths = {samples: case._replace(samples=samples) for samples in _SAMPLES}
    add("samples per window", name, _ms(lengths, options, f"length: {name}"))
    large = {batch: case._replace(batch=batch) for batch in batches}
    add("windows per batch", name, _ms(large, options, f"batch: {name}"))
    if on_cpu:
      add(DEVICES, name, {count: _on_devices(name, count, options) for count in _DEVICES})
  people = {max(options.subjects // part, 8): None for part in (16, 4, 1)}
  drawn = {str(count): virtual_people.draw(count) for count in people}
  times = timing.in_turns(
    {name: functools.partial(cohort.beats, subjects) for name, subjects in drawn.items()},
    options.turns,
    "cohort",
  )
  add("subjects of the cohort", "beats at 6 sites", {count: 1e3 * timing.median(times[str(count)]) for count in people})
  return table_rows
