"""Defines the flag of commands whose work many processes or machines can share."""

from typing import Any

from absl import flags


def define(default: str | None, words: str = "") -> "flags.FlagHolder[Any]":
  """Defines `--executor`, which `executors.opened` reads.

  Args:
    default: its default.
    words: describe a default that depends on other flags.
  """
  text = (
    "what runs the work: processes:N, threads:N, dask:HOST:PORT or slurm:PARTITION,NAME=VALUE,…; see docs/scaling.md"
  )
  return flags.DEFINE_string("executor", default, f"{text} (default: {words})" if words else text)
