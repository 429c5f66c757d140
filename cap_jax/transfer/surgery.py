"""The only surgery on parameter trees: merging a source with a fresh tree, and labelling what is held.

    θ⁰ = θ_take^source ⊕ θ_rest^fresh

Paths are keys joined by "/", as in `f/layer_0/conv`; a rule is a path prefix on whole keys.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax.types import Params


class MergeError(ValueError):
  """Two parameter trees do not fit together as asked. The message names both sides."""


@dataclasses.dataclass(frozen=True)
class Leaf:
  """One line of a merge report."""

  path: str
  fate: Literal["taken", "fresh", "left behind"]
  shape: tuple[int, ...]


def leaf_paths(params: Params) -> dict[str, Any]:
  """Path → leaf, in the order of the tree."""
  flat, _ = jax.tree_util.tree_flatten_with_path(params)
  return {"/".join(str(key.key) for key in path): leaf for path, leaf in flat}


def matches(path: str, rule: str) -> bool:
  """Whether a rule, a prefix of whole keys, covers a path."""
  return path == rule or path.startswith(rule + "/")


def _covered(params: Params, rules: Sequence[str], owner: str) -> dict[str, bool]:
  paths = leaf_paths(params)
  for rule in rules:
    if not any(matches(path, rule) for path in paths):
      blocks = sorted({path.split("/")[0] for path in paths})
      raise MergeError(f"rule {rule!r} matches nothing in the {owner} parameters; its blocks are {blocks}")
  return {path: any(matches(path, rule) for rule in rules) for path in paths}


def merge(source: Params, fresh: Params, take: Sequence[str]) -> tuple[Params, list[Leaf]]:
  """θ_take from the source, the rest fresh, both copied.

  Args:
    source: parameters of the source network.
    fresh: parameters of the target network; its structure is the result's.
    take: path prefixes that come from the source; () takes nothing.

  Returns:
    The merged parameters, and a report that says of every leaf whether it was taken, is fresh or was left behind.

  Raises:
    MergeError: a rule matches nothing on either side; a leaf to be taken is missing on one side, or differs in shape or
      dtype.
  """
  from_source = leaf_paths(source)
  in_source, in_fresh = _covered(source, take, "source"), _covered(fresh, take, "target")
  for path, taken in {**in_source, **in_fresh}.items():
    if taken and path not in in_fresh:
      raise MergeError(f"{path}: in the source {from_source[path].shape}, missing in the target")
  report, leaves = [], []
  for path, leaf in leaf_paths(fresh).items():
    if not in_fresh[path]:
      report.append(Leaf(path, "fresh", leaf.shape))
      leaves.append(jnp.array(leaf))
      continue
    if path not in from_source:
      raise MergeError(f"{path}: in the target {leaf.shape}, missing in the source")
    given = from_source[path]
    if given.shape != leaf.shape or given.dtype != leaf.dtype:
      raise MergeError(f"{path}: source {given.shape} {given.dtype}, target {leaf.shape} {leaf.dtype}")
    report.append(Leaf(path, "taken", given.shape))
    leaves.append(jnp.array(given))
  report += [Leaf(path, "left behind", leaf.shape) for path, leaf in from_source.items() if not in_source[path]]
  return jax.tree.unflatten(jax.tree.structure(fresh), leaves), report


def label(params: Params, hold: Sequence[str]) -> Params:
  """The tree of "hold" and "train" for `optax.multi_transform`.

  Raises:
    MergeError: a rule matches nothing.
  """
  held = _covered(params, hold, "held")
  return jax.tree.unflatten(jax.tree.structure(params), ["hold" if held[path] else "train" for path in held])


def count(params: Params) -> int:
  """Number of scalars."""
  return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))
