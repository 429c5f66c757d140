"""A checkpoint as models are shared: `config.json` is its header, `model.safetensors` its arrays, `README.md` its model card.

The names are those that hubs of models and other libraries expect. The header is that of `checksummed`, so that a changed
file is an error. Other files may lie in the folder.
"""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import extras, files
from cap_jax.train import checksummed, weight_files
from cap_jax.types import InputError, Params, leaf_paths, nest

ARRAYS = checksummed.SAFETENSORS
_SPARE = 1 << 20  # bytes of names, types and shapes


def is_of(header: Mapping[str, Any]) -> bool:
  """Returns whether a header is that of an archive."""
  return ARRAYS in header[checksummed.SUMS]


def fill(folder: str | os.PathLike[str], header: Mapping[str, Any], tree: Params) -> None:
  """Writes header and arrays into an empty folder.

  Args:
    folder: the folder.
    header: plain values, with the key "format".
    tree: tree of arrays.

  Raises:
    InputError: the package safetensors is not installed.
    OSError: the disk is full or write-protected.
  """
  arrays = {name: np.ascontiguousarray(leaf) for name, leaf in leaf_paths(tree).items()}
  place = os.path.join(folder, ARRAYS)
  with open(place, "wb") as file:
    file.write(extras.load("safetensors.numpy").save(arrays, metadata={"format": "np"}))
  checksummed.write_header(folder, header, {ARRAYS: files.hash_file(place).hexdigest()})


def restore(path: str | os.PathLike[str], header: Mapping[str, Any], expected: Params, remedy: str) -> Params:
  """Returns the arrays of an archive.

  Args:
    path: the folder.
    header: its header, from `checksummed.read_header`.
    expected: tree of the expected shapes.
    remedy: what an error advises the user to do.

  Raises:
    checksummed.DamagedError: the file is damaged.
    InputError: it has other arrays, the system refuses to read it, or the package safetensors is not installed.
  """
  place, shapes = os.path.join(os.path.abspath(path), ARRAYS), leaf_paths(expected)
  most = _SPARE + sum(4 * leaf.size for leaf in jax.tree.leaves(expected))
  with checksummed.refusing(place):
    size = os.stat(files.regular(place)).st_size
    if size > most or header[checksummed.SUMS].get(ARRAYS) != files.hash_file(place).hexdigest():
      raise checksummed.DamagedError(f"{place}: the file is damaged; copy the folder again, or {remedy}")
    arrays = weight_files.read(place)
  problem = next((name for name in sorted(arrays.keys() ^ shapes.keys())), None) or next(
    (name for name, leaf in shapes.items() if (arrays[name].shape, arrays[name].dtype) != (leaf.shape, leaf.dtype)),
    None,
  )
  if problem is not None:
    found, due = (_kind(parts.get(problem)) for parts in (arrays, shapes))
    raise InputError(
      f"{place}: parameter {problem} is {found}, but {checksummed.HEADER} implies {due}; copy the folder again"
    )
  return nest({name: jnp.asarray(array) for name, array in arrays.items()})


def _kind(leaf: Any) -> str:
  """Returns type and shape of an array for a message."""
  return "missing" if leaf is None else f"{leaf.dtype} {tuple(leaf.shape)}"
