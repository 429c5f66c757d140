"""Low-rank adaptation (Hu et al. 2022, ICLR): every kernel of the network stays as it came and a product is trained beside it,

    W = W^S + A B,     A (m × k) small random, B (k × n) zero at the start

so θ⁰ is the source. A kernel of more axes, as those of attention, is folded where its matrix is nearest to square; kernels with a
side of k or less stay. `view` gives the network its parameters; after the training they are plain ones.
"""

import math

import jax
import jax.numpy as jnp

from cap_jax.strategies import surgery
from cap_jax.types import InputError, Params

BLOCK = "delta"


def _folded(shape: tuple[int, ...]) -> tuple[int, int]:
  """Rows and columns of the matrix."""
  folds = [(math.prod(shape[:k]), math.prod(shape[k:])) for k in range(1, len(shape))]
  return max(folds, key=min)


def start(key: jax.Array, params: Params, blocks: tuple[str, ...], rank: int) -> Params:
  """{path: {"a", "b"}} of every kernel in some blocks, the paths with dots for slashes.

  Raises:
    InputError: no kernel is large enough for the rank.
  """
  changes: Params = {}
  for path, leaf in surgery.leaf_paths({block: params[block] for block in blocks}).items():
    rows, columns = _folded(leaf.shape) if path.endswith("/kernel") else (0, 0)
    if min(rows, columns) > rank:
      key, now = jax.random.split(key)
      a = jax.random.normal(now, (rows, rank)) / jnp.sqrt(rows)
      changes[path.replace("/", ".")] = {"a": a, "b": jnp.zeros((rank, columns))}
  if not changes:
    raise InputError(f"low_rank={rank}: no kernel of the network is larger; choose a lower rank")
  return changes


def view(params: Params) -> Params:
  """The network's parameters W^S + A B; params as they are where there are no changes."""
  if BLOCK not in params:
    return params
  rest = {block: theta for block, theta in params.items() if block != BLOCK}
  leaves = surgery.leaf_paths(rest)
  for name, change in params[BLOCK].items():
    path = name.replace(".", "/")
    leaves[path] = leaves[path] + (change["a"] @ change["b"]).reshape(leaves[path].shape)
  return surgery.nest(leaves)
