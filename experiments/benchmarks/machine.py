"""Describes the machine of a benchmark."""

import os
import platform

import jax


def facts() -> dict[str, str]:
  """Returns the processor with the cores available to this process, and the devices of jax."""
  processor = platform.processor() or platform.machine()
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
      processor = next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
  except (OSError, StopIteration):
    pass
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
  return {"processor": f"{processor}, {cores} cores to use", "devices": ", ".join(str(d) for d in jax.devices())}
