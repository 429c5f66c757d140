"""Cuts long records into blocks, so that a computation needs little memory beside the record itself.

What a sample depends on lies in its block, in an overlap, or in a state that is handed on. So results do not depend on
the size of the blocks, but for rounding.
"""

from collections.abc import Iterator

import numpy as np

SAMPLES = 1 << 17  # of a block


def cut(size: int, multiple: int = 1, width: int = 1) -> Iterator[tuple[int, int]]:
  """Yields the first sample of each block of a record and the first one after it.

  Args:
    size: samples of the record, or rows of a matrix.
    multiple: the blocks but the last one have a multiple of so many samples.
    width: numbers of a row.
  """
  length = max(SAMPLES // (multiple * width), 1) * multiple
  for start in range(0, size, length):
    yield start, min(start + length, size)


def runs(mask_t: np.ndarray) -> np.ndarray:
  """Returns the first sample of each run of true samples and the first one after it, (run, 2).

  Args:
    mask_t: (time,) bool.
  """
  edges = np.flatnonzero(mask_t[1:] != mask_t[:-1]) + 1
  begins, ends = mask_t[:1].any(), mask_t[-1:].any()
  return np.concatenate([[0] * int(begins), edges, [mask_t.size] * int(ends)]).astype(int).reshape(-1, 2)
