"""The only surgery on parameter trees: merging a source with a fresh tree, labelling what is frozen, cutting parts out.

    θ⁰ = θ_take^source ⊕ θ_rest^fresh

Paths are keys joined by "/", as in `f/layer_0/conv`; a rule is a path prefix on whole keys. A rule of a merge may rename:
"s=r" takes the source's r for the target's s.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax.types import InputError, Params

Fate = Literal["transferred", "fresh", "left behind", "wrong shape", "missing"]


class MergeError(InputError):
  """Two parameter trees do not fit together as asked. The message names both sides."""


@dataclasses.dataclass(frozen=True)
class Leaf:
  """One line of a merge report. `note` says what is wrong with a leaf that cannot be taken."""

  path: str
  fate: Fate
  shape: tuple[int, ...]
  note: str = ""


def leaf_paths(params: Params) -> dict[str, Any]:
  """Path → leaf, in the order of the tree."""
  flat, _ = jax.tree_util.tree_flatten_with_path(params)
  return {"/".join(str(key.key) for key in path): leaf for path, leaf in flat}


def matches(path: str, rule: str) -> bool:
  """Whether a rule, a prefix of whole keys, covers a path."""
  return path == rule or path.startswith(rule + "/")


def covered(params: Params, rules: Sequence[str], owner: str) -> dict[str, bool]:
  """Path → whether a rule covers it.

  Raises:
    MergeError: a rule matches nothing.
  """
  paths = leaf_paths(params)
  for rule in rules:
    if not any(matches(path, rule) for path in paths):
      blocks = sorted({path.split("/")[0] for path in paths})
      raise MergeError(f"rule {rule!r} matches nothing in the {owner} parameters; its blocks are {blocks}")
  return {path: any(matches(path, rule) for rule in rules) for path in paths}


def _split(rule: str) -> tuple[str, str]:
  """The rule for the target's paths and that for the source's."""
  target, _, source = rule.partition("=")
  return target, source or target


def _fate_of(path: str, given: Any, leaf: Any) -> Leaf:
  """A leaf that is to be taken."""
  if given is None:
    return Leaf(path, "missing", leaf.shape, f"in the target {leaf.shape}, missing in the source")
  if given.shape != leaf.shape or given.dtype != leaf.dtype:
    note = f"source {given.shape} {given.dtype}, target {leaf.shape} {leaf.dtype}"
    return Leaf(path, "wrong shape", leaf.shape, note)
  return Leaf(path, "transferred", leaf.shape)


def compare(source: Params, fresh: Params, init_from_source: Sequence[str]) -> list[Leaf]:
  """What a merge would do with each leaf, target's first: the report of `merge`, without stopping at what does not fit.

  Raises:
    MergeError: a rule matches nothing on either side.
  """
  for name, tree in (("source", source), ("fresh", fresh)):
    if not isinstance(tree, Mapping):
      raise MergeError(
        f"{name}: is a {type(tree).__name__}, no tree of parameters; give params, such as network.params"
      )
  rules = [_split(rule) for rule in init_from_source]
  from_source, in_fresh = leaf_paths(source), leaf_paths(fresh)
  used = covered(source, [rule for _, rule in rules], "source")
  wanted = covered(fresh, [rule for rule, _ in rules], "target")
  report = []
  for path, leaf in in_fresh.items():
    origin = _origin(path, rules)
    report.append(
      _fate_of(path, from_source.get(origin), leaf) if origin is not None else Leaf(path, "fresh", leaf.shape)
    )
  taken = {_origin(path, rules) for path, is_wanted in wanted.items() if is_wanted}
  for path, leaf in from_source.items():
    if path in taken:
      continue
    lost = Leaf(path, "missing", leaf.shape, f"in the source {leaf.shape}, missing in the target")
    report.append(lost if used[path] else Leaf(path, "left behind", leaf.shape))
  return report


def _origin(path: str, rules: Sequence[tuple[str, str]]) -> str | None:
  """The source's path of a target's path, None if no rule covers it."""
  for target, source in rules:
    if matches(path, target):
      return source + path[len(target) :]
  return None


def merge(source: Params, fresh: Params, init_from_source: Sequence[str]) -> tuple[Params, list[Leaf]]:
  """θ_take from the source, the rest fresh, both copied.

  Args:
    source: parameters of the source network.
    fresh: parameters of the target network; its structure is the result's.
    init_from_source: path prefixes that come from the source, "target=source" where they are named differently; () takes nothing.

  Returns:
    The merged parameters, and a report that says of every leaf whether it was taken, is fresh or was left behind.

  Raises:
    MergeError: a rule matches nothing on either side; leaves to be taken are missing on one side, or differ in shape or
      dtype. All of them are named.
  """
  report = compare(source, fresh, init_from_source)
  wrong = [f"{leaf.path}: {leaf.note}" for leaf in report if leaf.note]
  if wrong:
    raise MergeError("; ".join(wrong))
  rules, from_source = [_split(rule) for rule in init_from_source], leaf_paths(source)
  leaves = []
  for path, leaf in leaf_paths(fresh).items():
    origin = _origin(path, rules)
    leaves.append(jnp.array(leaf if origin is None else from_source[origin]))
  return jax.tree.unflatten(jax.tree.structure(fresh), leaves), report


def label(params: Params, freeze: Sequence[str]) -> Params:
  """The tree of "freeze" and "train" for `optax.multi_transform`.

  Raises:
    MergeError: a rule matches nothing.
  """
  frozen = covered(params, freeze, "frozen")
  return jax.tree.unflatten(jax.tree.structure(params), ["freeze" if frozen[path] else "train" for path in frozen])


def nest(leaves: Mapping[str, Any]) -> Params:
  """Path → leaf as a tree again."""
  tree: Params = {}
  for path, leaf in leaves.items():
    *above, last = path.split("/")
    node = tree
    for key in above:
      node = node.setdefault(key, {})
    node[last] = leaf
  return tree


def cut(params: Params, rules: Sequence[str]) -> Params:
  """A copy of the part of a tree that the rules cover.

  Raises:
    MergeError: a rule matches nothing.
  """
  kept = covered(params, rules, "cut")
  return nest({path: jnp.array(leaf) for path, leaf in leaf_paths(params).items() if kept[path]})


def count(params: Params) -> int:
  """Number of scalars."""
  return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))
