"""Distributes a training over many devices: one mesh with the axis `data`.

The windows of a batch are sharded over the devices, the parameters are replicated, and `jit` reduces the sums over the
batch. No other module knows the number of devices.

With several processes (`jax.distributed`) the mesh spans the devices of all of them. Each process provides its own rows
of a batch. Everything besides training runs identically in each process.
"""

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cap_jax.types import InputError

Tree = TypeVar("Tree")
_DATA = "data"


@functools.cache
def mesh(batch: int) -> Mesh:
  """Returns the devices that share batches of a size.

  With several processes these are all devices, in a single process as many as divide the batch.

  Raises:
    InputError: there are several processes, and the batch is not a multiple of the number of devices.
  """
  devices = np.array(jax.devices())
  if jax.process_count() > 1:
    if batch % devices.size:
      raise InputError(
        f"batch={batch}: cannot be divided evenly among {devices.size} devices of {jax.process_count()} processes; "
        f"choose a multiple of {devices.size}"
      )
    return Mesh(devices, (_DATA,))
  share = next(count for count in range(min(devices.size, batch), 0, -1) if batch % count == 0)
  return Mesh(devices[:share], (_DATA,))


def replicated(tree: Tree, batch: int) -> Tree:
  """Replicates a tree of arrays, the same in all processes, on all devices of the mesh.

  Args:
    tree: the arrays.
    batch: windows of a whole batch.
  """
  if jax.device_count() == 1:
    return jax.device_put(tree)
  sharding = NamedSharding(mesh(batch), PartitionSpec())

  def place(x: Any) -> jax.Array:
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
      return jax.random.wrap_key_data(place(jax.random.key_data(x)))
    host = np.asarray(x)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

  return jax.tree.map(place, tree)


def spread(stack: Mapping[str, Mapping[str, np.ndarray]], batch: int) -> dict[str, dict[str, jax.Array]]:
  """Shards stacked batches over the devices: stream → axis → (chunk, window, …).

  Args:
    stack: batches of this process: all windows of a batch, the same in all processes, or its own share of them.
    batch: windows of a whole batch.
  """
  if jax.device_count() == 1:
    return jax.device_put({stream: dict(part) for stream, part in stack.items()})
  sharding = NamedSharding(mesh(batch), PartitionSpec(None, _DATA))

  def place(array: np.ndarray) -> jax.Array:
    shape = (array.shape[0], batch, *array.shape[2:])
    if array.shape[1] == batch:
      return jax.make_array_from_callback(shape, sharding, lambda index: array[index])
    return jax.make_array_from_process_local_data(sharding, array, shape)

  return {stream: {axis: place(array) for axis, array in part.items()} for stream, part in stack.items()}


def from_first_host(content: bytes) -> bytes:
  """Returns what the first of several processes passes; all of them must call it.

  The bytes of an array arrive as they are, while a sum of arrays, as `broadcast_one_to_all` forms it, loses the sign of
  zero.

  Args:
    content: what is sent; only that of the first process counts.
  """
  if jax.process_count() == 1:
    return content
  size = int(multihost_utils.broadcast_one_to_all(np.uint32(len(content))))
  mine = np.frombuffer(content, np.uint8) if jax.process_index() == 0 else np.zeros(size, np.uint8)
  return np.asarray(multihost_utils.broadcast_one_to_all(mine)).astype(np.uint8).tobytes()


def own(tree: Tree) -> Tree:
  """Returns a tree of replicated arrays on the first device of this process."""
  if jax.device_count() == 1:
    return tree
  return jax.tree.map(lambda x: jax.device_put(x.addressable_data(0), jax.local_devices()[0]), tree)
