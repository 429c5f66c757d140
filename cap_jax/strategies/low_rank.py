"""Low-rank adaptation (Hu et al. 2022, ICLR): every kernel of the network is frozen, and a product beside it is
trained,

    W = W^S + A B,     A (m × k) small random, B (k × n) zero at the start

so θ⁰ is the source. A kernel with more than two axes, as in attention, is reshaped to the matrix nearest to square.
Kernels with a side of k or less have no product. `view` adds the products to the kernels; after the training the
parameters are plain ones.
"""

import math

import jax
import jax.numpy as jnp

from cap_jax.types import InputError, Params, leaf_paths, nest

BLOCK = "delta"


def _folded(shape: tuple[int, ...]) -> tuple[int, int]:
  """Returns the rows and columns of the matrix."""
  folds = [(math.prod(shape[:k]), math.prod(shape[k:])) for k in range(1, len(shape))]
  return max(folds, key=min)


def start(key: jax.Array, params: Params, blocks: tuple[str, ...], rank: int) -> Params:
  """Returns {path: {"a", "b"}} of every kernel in some blocks, with dots for slashes in the paths.

  Args:
    key: of the random A.
    params: parameters of the network.
    blocks: their blocks with low-rank changes.
    rank: k.

  Raises:
    InputError: no kernel is large enough for the rank.
  """
  changes: Params = {}
  for path, leaf in leaf_paths({block: params[block] for block in blocks}).items():
    rows, columns = _folded(leaf.shape) if path.endswith("/kernel") else (0, 0)
    if min(rows, columns) > rank:
      key, now = jax.random.split(key)
      a = jax.random.normal(now, (rows, rank)) / jnp.sqrt(rows)
      changes[path.replace("/", ".")] = {"a": a, "b": jnp.zeros((rank, columns))}
  if not changes:
    raise InputError(
      f"low_rank={rank}: no kernel of the network has more rows and columns than that; choose a lower rank"
    )
  return changes


def view(params: Params) -> Params:
  """Returns the network's parameters W^S + A B, or the parameters themselves without low-rank changes."""
  if BLOCK not in params:
    return params
  rest = {block: theta for block, theta in params.items() if block != BLOCK}
  leaves = leaf_paths(rest)
  for name, change in params[BLOCK].items():
    path = name.replace(".", "/")
    leaves[path] = leaves[path] + (change["a"] @ change["b"]).reshape(leaves[path].shape)
  return nest(leaves)
