"""The only surgery on parameter trees: merges a source with a fresh tree, labels frozen parameters, cuts parts out.

    θ⁰ = θ_init^source ⊕ θ_rest^fresh

Paths are keys joined by "/", as in `f/layer_0/conv`; a rule is a path prefix of whole keys. A rule of a merge may
rename: "s=r" initialises the target's s from the source's r.
"""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import html_table
from cap_jax.types import InputError, Params, leaf_paths, nest

Fate = Literal["transferred", "fresh", "left behind", "wrong shape", "missing"]


class MergeError(InputError):
  """Two parameter trees do not fit together as required. The message names both sides."""


@dataclasses.dataclass(frozen=True)
class Leaf:
  """One line of a merge report.

  Attributes:
    path: keys of the parameter, joined by "/".
    fate: where it comes from, or why it cannot be transferred.
    shape: its shape.
    note: the details, "" if nothing is wrong.
  """

  path: str
  fate: Fate
  shape: tuple[int, ...]
  note: str = ""


class MergeReport(list[Leaf]):
  """What a merge does with each leaf: printed a line each; a notebook shows a table, with the numbers of leaves above it."""

  def __str__(self) -> str:
    width = max((len(one.path) for one in self), default=0)
    return "\n".join(f"{one.path.ljust(width)}  {one.fate.ljust(11)}  {one.shape} {one.note}".rstrip() for one in self)

  def _repr_html_(self) -> str:
    counts = collections.Counter(one.fate for one in self)
    return f"<p>{', '.join(f'{count} {fate}' for fate, count in counts.items())}</p>" + html_table.of(
      ("parameter", "fate", "shape", "note"), ((one.path, one.fate, one.shape, one.note) for one in self)
    )


def matches(path: str, rule: str) -> bool:
  """Returns whether a rule covers a path.

  Args:
    path: keys joined by "/".
    rule: prefix of whole keys.
  """
  return path == rule or path.startswith(rule + "/")


def covered(params: Params, rules: Sequence[str], owner: str) -> dict[str, bool]:
  """Returns path → whether a rule covers it.

  Args:
    params: parameter tree.
    rules: path prefixes.
    owner: whose parameters these are, for the error.

  Raises:
    MergeError: a rule matches nothing.
  """
  paths = leaf_paths(params)
  for rule in rules:
    if not any(matches(path, rule) for path in paths):
      blocks = sorted({path.split("/")[0] for path in paths})
      raise MergeError(f"rule {rule!r} matches no {owner} parameter; choose a path in one of the blocks {blocks}")
  return {path: any(matches(path, rule) for rule in rules) for path in paths}


def _split(rule: str) -> tuple[str, str]:
  """Returns the rule for the target's paths and that for the source's."""
  target, _, source = rule.partition("=")
  return target, source or target


def _fate_of(path: str, source_leaf: Any, leaf: Any) -> Leaf:
  """Returns the report of a leaf that should be transferred."""
  if source_leaf is None:
    return Leaf(path, "missing", leaf.shape, f"{leaf.shape} in the target, missing in the source")
  if source_leaf.shape != leaf.shape or source_leaf.dtype != leaf.dtype:
    note = f"source {source_leaf.shape} {source_leaf.dtype}, target {leaf.shape} {leaf.dtype}"
    return Leaf(path, "wrong shape", leaf.shape, note)
  return Leaf(path, "transferred", leaf.shape)


def compare(source: Params, fresh: Params, init_from_source: Sequence[str]) -> MergeReport:
  """Returns what a merge would do with each leaf, target leaves first.

  This is the report of `merge`, but leaves that do not fit are reported, not raised.

  Args:
    source: parameters of the source network.
    fresh: parameters of the target network.
    init_from_source: path prefixes that come from the source, see `merge`.

  Raises:
    MergeError: a rule matches nothing on either side.
  """
  for name, tree in (("source", source), ("fresh", fresh)):
    if not isinstance(tree, Mapping):
      raise MergeError(f"{name}: is a {type(tree).__name__}, not a parameter tree; pass params, such as network.params")
  check_paths(init_from_source, "init_from_source")
  rules = [_split(rule) for rule in init_from_source]
  try:
    from_source, in_fresh = leaf_paths(source), leaf_paths(fresh)
  except AttributeError as error:  # a list or a tuple in the tree
    raise MergeError("source, fresh: must be trees of dicts; pass params, such as network.params") from error
  used = covered(source, [rule for _, rule in rules], "source")
  requested = covered(fresh, [rule for rule, _ in rules], "target")
  report = MergeReport()
  for path, leaf in in_fresh.items():
    origin = _origin(path, rules)
    report.append(
      _fate_of(path, from_source.get(origin), leaf) if origin is not None else Leaf(path, "fresh", leaf.shape)
    )
  transferred = {_origin(path, rules) for path, is_requested in requested.items() if is_requested}
  for path, leaf in from_source.items():
    if path in transferred:
      continue
    missing = Leaf(path, "missing", leaf.shape, f"{leaf.shape} in the source, missing in the target")
    report.append(missing if used[path] else Leaf(path, "left behind", leaf.shape))
  return report


def _origin(path: str, rules: Sequence[tuple[str, str]]) -> str | None:
  """Returns the source's path for a target's path, None if no rule covers it."""
  for target, source in rules:
    if matches(path, target):
      return source + path[len(target) :]
  return None


def check_paths(paths: Sequence[str], name: str) -> None:
  """Checks that path prefixes are a sequence of names, not one name.

  Args:
    paths: the prefixes.
    name: name of the argument, for messages.

  Raises:
    MergeError: they are something else.
  """
  if not isinstance(paths, tuple | list) or not all(isinstance(path, str) and path for path in paths):
    raise MergeError(f"{name}={paths!r}: must be a tuple of path prefixes, such as ('f',)")


def merge(source: Params, fresh: Params, init_from_source: Sequence[str]) -> tuple[Params, MergeReport]:
  """Merges two parameter trees: those under `init_from_source` come from the source, all others from `fresh`.

  Args:
    source: parameters of the source network.
    fresh: parameters of the other network, new or trained; the result has its structure.
    init_from_source: path prefixes that come from the source, "target=source" where the names differ; () transfers
      nothing.

  Returns:
    The merged parameters, as copies, and a report on every leaf: "transferred" from the source, "fresh", or "left
    behind" in the source.

  Raises:
    MergeError: a rule matches nothing on either side; or leaves to transfer are missing on one side or differ in shape
      or dtype. The message names all of them.
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
  """Returns the tree of "freeze" and "train" for `optax.multi_transform`.

  Args:
    params: parameter tree.
    freeze: path prefixes.

  Raises:
    MergeError: a rule matches nothing.
  """
  frozen = covered(params, freeze, "frozen")
  return jax.tree.unflatten(jax.tree.structure(params), ["freeze" if frozen[path] else "train" for path in frozen])


def cut(params: Params, rules: Sequence[str]) -> Params:
  """Returns a copy of the part of a tree that the rules cover.

  Args:
    params: parameter tree.
    rules: path prefixes.

  Raises:
    MergeError: a rule matches nothing.
  """
  is_covered = covered(params, rules, "cut")
  return nest({path: jnp.array(leaf) for path, leaf in leaf_paths(params).items() if is_covered[path]})


def count(params: Params) -> int:
  """Returns the number of scalars of a parameter tree.

  Args:
    params: parameter tree.
  """
  return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))
