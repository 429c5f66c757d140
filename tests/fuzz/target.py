"""What a target of the fuzzing is."""

import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Target(NamedTuple):
  """`seeds`: whole inputs; `call`: raises InputError, or nothing; `draw`: makes an input where a seed with other bytes would be none."""

  seeds: list[bytes]
  call: Callable[[bytes], None]
  draw: Callable[[np.random.Generator], bytes] | None = None


def scratch() -> pathlib.Path:
  """A folder in memory where there is one."""
  shared = "/dev/shm"
  return pathlib.Path(tempfile.mkdtemp(prefix="cap_jax-fuzz-", dir=shared if os.access(shared, os.W_OK) else None))
