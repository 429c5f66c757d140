"""Measures the virtual cohort: compilation, beats, aperiodic records, growth with the number of subjects."""

import time

import jax

from cap_jax import clinics
from cap_jax.arteries import cohort, population
from experiments.benchmarks import timing
from experiments.benchmarks.timing import Options, Row

_RECORD_S, _RECORD_HZ, _RECORDS = 16.0, 125.0, 512
_SAMPLES, _HARMONICS, _CHUNK = 256, 40, 32


def draw(count: int) -> population.Subject:
  """Draws `count` subjects of the reference population."""
  return jax.block_until_ready(population.draw(jax.random.key(0), clinics.Population(), count))


def _compile(count: int) -> tuple[float, float]:
  """Returns the time to compile the beats of `count` subjects [s], and its scratch memory [MB]."""
  subjects = draw(count)
  began = time.perf_counter()
  compiled = cohort._beats.lower(subjects, _SAMPLES, _HARMONICS, _CHUNK).compile()
  seconds = time.perf_counter() - began
  memory = compiled.memory_analysis()
  assert memory is not None  # every backend of this project reports it
  return seconds, memory.temp_size_in_bytes / 1e6


def rows(options: Options) -> list[Row]:
  """Measures all figures of the cohort."""
  section, count = "virtual cohort", options.subjects
  seconds, scratch = _compile(count)
  few = _compile(count // 4)[1]
  everyone, quarter = draw(count), draw(count // 4)
  recorded, key = draw(min(_RECORDS, count)), jax.random.key(1)
  times = timing.in_turns(
    {
      "whole": lambda: cohort.beats(everyone),
      "quarter": lambda: cohort.beats(quarter),
      "records": lambda: cohort.records(key, recorded, _RECORD_S, _RECORD_HZ, clinics.Rhythm()),
    },
    options.turns,
    section,
  )
  whole = timing.median(times["whole"])
  records_per_s = min(_RECORDS, count) / timing.median(times["records"])
  return [
    Row(section=section, name="compiling the beats", value=seconds, unit="s"),
    Row(
      section=section,
      name=f"scratch memory for {count} subjects",
      value=scratch,
      unit="MB",
      detail=f"{few:.1f} MB for a quarter of them",
    ),
    Row(section=section, name=f"{count} subjects × 6 sites and PPG × {_SAMPLES} samples", value=whole, unit="s"),
    Row(section=section, name="subjects per second", value=count / whole, unit="1/s"),
    Row(
      section=section,
      name=f"time for {count} over time for {count // 4} subjects",
      value=timing.ratio(times["whole"], times["quarter"]),
      unit="×",
    ),
    Row(
      section=section,
      name=f"aperiodic records of {_RECORD_S:g} s at {_RECORD_HZ:g} Hz",
      value=records_per_s,
      unit="1/s",
    ),
  ]
