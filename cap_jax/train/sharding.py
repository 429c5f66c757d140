"""Many devices: one mesh with an axis `data`. The windows of a batch are shared among the devices, the parameters lie on all of them, and
`jit` puts the sums over the batch together. Nothing else knows how many devices there are.

With several processes (`jax.distributed`) the devices are those of all of them. Each process hands over its own rows of a batch; whatever is
no training, each does for itself and alike.
"""

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cap_jax.types import InputError

Tree = TypeVar("Tree")
_DATA = "data"


@functools.cache
def mesh(batch: int) -> Mesh:
  """The devices that share batches of so many windows: all; in a single process the most that the batch can be shared among.

  Raises:
    InputError: several processes, and a batch that cannot be shared among their devices.
  """
  devices = np.array(jax.devices())
  if jax.process_count() > 1:
    if batch % devices.size:
      raise InputError(
        f"batch={batch}: cannot be shared among {devices.size} devices of {jax.process_count()} processes; "
        f"choose a multiple of {devices.size}"
      )
    return Mesh(devices, (_DATA,))
  share = next(count for count in range(min(devices.size, batch), 0, -1) if batch % count == 0)
  return Mesh(devices[:share], (_DATA,))


def replicated(tree: Tree, batch: int) -> Tree:
  """A tree of arrays, alike in all processes, on all devices of the mesh."""
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
  """Batches stacked by steps, stream → axis → (chunk, window, …), their windows shared among the devices.

  Args:
    stack: of this process: all windows of a batch, the same in all processes, or its own share of them.
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


def own(tree: Tree) -> Tree:
  """A tree of arrays that lie alike on all devices, on this process's first one."""
  if jax.device_count() == 1:
    return tree
  return jax.tree.map(lambda x: jax.device_put(x.addressable_data(0), jax.local_devices()[0]), tree)
