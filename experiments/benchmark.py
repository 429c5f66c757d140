"""Times the virtual cohort on this machine: compiling, beats, aperiodic records, growth with the number of subjects.

python -m experiments.benchmark [--subjects=4374] [--repeats=3] [--output=benchmark.json]

Every time is the median of the repeats after one call; arrays are waited for.
"""

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import tqdm
from absl import flags

from cap_jax import clinics, files
from cap_jax.arteries import cohort, population
from experiments import common

_SUBJECTS = flags.DEFINE_integer("subjects", 4374, "virtual subjects", lower_bound=8)
_REPEATS = flags.DEFINE_integer("repeats", 3, "timed calls of each", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write as well; replaced if it exists")
_RECORD_S, _RECORD_HZ, _RECORDS = 16.0, 125.0, 512
_SAMPLES, _HARMONICS, _CHUNK = 256, 40, 32


def _draw(count: int) -> population.Subject:
  return jax.block_until_ready(population.draw(jax.random.key(0), clinics.Population(), count))


def _seconds(call: Callable[[], Any]) -> float:
  jax.block_until_ready(call())
  times = []
  for _ in range(_REPEATS.value):
    began = time.perf_counter()
    jax.block_until_ready(call())
    times.append(time.perf_counter() - began)
  return statistics.median(times)


def _compile(count: int) -> tuple[float, float]:
  """Seconds to compile the beats of so many subjects, and its scratch memory [MB]."""
  subjects = _draw(count)
  began = time.perf_counter()
  compiled = cohort._beats.lower(subjects, _SAMPLES, _HARMONICS, _CHUNK).compile()
  seconds = time.perf_counter() - began
  return seconds, compiled.memory_analysis().temp_size_in_bytes / 1e6


def main() -> None:
  common.check_file(_OUTPUT.value, "--output")
  count = _SUBJECTS.value
  rows: list[tuple[str, float, str]] = []
  with tqdm.tqdm(total=5, desc="benchmark", unit="", leave=False) as bar:
    seconds, scratch = _compile(count)
    rows.append(("compiling the beats, cold", seconds, "s"))
    rows.append((f"scratch memory for {count} subjects", scratch, "MB"))
    bar.update()
    rows.append((f"scratch memory for {count // 4} subjects", _compile(count // 4)[1], "MB"))
    bar.update()
    everyone, quarter = _draw(count), _draw(count // 4)
    whole = _seconds(lambda: cohort.beats(everyone))
    rows.append((f"{count} subjects × 6 sites and PPG × {_SAMPLES} samples", whole, "s"))
    rows.append(("subjects a second", count / whole, "1/s"))
    bar.update()
    share = _seconds(lambda: cohort.beats(quarter))
    rows.append((f"time for {count} over time for {count // 4} subjects", whole / share, ""))
    bar.update()
    few, key = _draw(_RECORDS), jax.random.key(1)
    records = _seconds(lambda: cohort.records(key, few, _RECORD_S, _RECORD_HZ, clinics.Rhythm()))
    rows.append((f"aperiodic records of {_RECORD_S:g} s at {_RECORD_HZ:g} Hz", _RECORDS / records, "1/s"))
    bar.update()
  facts = common.provenance(devices=", ".join(str(device) for device in jax.devices()))
  print("\n".join(f"{name:<56} {value:9.2f} {unit}" for name, value, unit in rows))
  print("\n".join(f"{name}: {value}" for name, value in facts.items()))
  if _OUTPUT.value:
    found = {"rows": [{"name": name, "value": value, "unit": unit} for name, value, unit in rows], **facts}
    with files.written_together(_OUTPUT.value) as (partial,), open(partial, "w", encoding="utf-8") as file:
      json.dump(found, file, indent=2)


if __name__ == "__main__":
  common.launch(main)
