"""Merging, labelling and cutting parameter trees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax.strategies import surgery
from cap_jax.types import leaf_paths

pytestmark = pytest.mark.quick


def trees():
  source = {"f": {"a": jnp.full(3, 1.0), "ab": jnp.full(2, 2.0)}, "r": {"w": jnp.full(4, 3.0)}, "old": jnp.ones(1)}
  fresh = {"f": {"a": jnp.zeros(3), "ab": jnp.zeros(2)}, "r": {"w": jnp.zeros(5), "b": jnp.zeros(1)}}
  return source, fresh


def test_merge_takes_what_the_rules_cover_and_reports_every_leaf():
  source, fresh = trees()
  merged, report = surgery.merge(source, fresh, ("f/a",))
  np.testing.assert_array_equal(merged["f"]["a"], 1)
  np.testing.assert_array_equal(merged["f"]["ab"], 0)  # "f/a" is a key, not a beginning of letters
  assert {leaf.path: leaf.fate for leaf in report if leaf.fate != "left behind"} == {
    "f/a": "transferred", "f/ab": "fresh", "r/b": "fresh", "r/w": "fresh"
  }  # fmt: skip
  assert {leaf.path for leaf in report if leaf.fate == "left behind"} == {"f/ab", "r/w", "old"}


def test_merge_copies_so_that_donation_spares_the_source():
  source, fresh = trees()
  merged, _ = surgery.merge(source, fresh, ("f",))
  jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)(merged)
  np.testing.assert_array_equal(source["f"]["a"], 1)
  np.testing.assert_array_equal(fresh["r"]["b"], 0)


@pytest.mark.parametrize(
  ("init_from_source", "message"),
  [
    (("r/w",), r"r/w: source \(4,\) float32, target \(5,\) float32"),
    (("r",), "r/b: .* in the target, missing in the source"),
    (("old",), "matches no target parameter"),
    (("g",), r"rule 'g' matches no source parameter; choose a path in one of the blocks \['f', 'old', 'r'\]"),
    (("f/layer",), "matches no"),
  ],
)
def test_merge_refuses_what_does_not_fit(init_from_source, message):
  source, fresh = trees()
  with pytest.raises(surgery.MergeError, match=message):
    surgery.merge(source, fresh, init_from_source)


def test_merge_refuses_a_leaf_that_only_the_source_has():
  source, fresh = trees()
  source["f"]["extra"] = jnp.ones(1)
  with pytest.raises(surgery.MergeError, match=r"f/extra: .* in the source, missing in the target"):
    surgery.merge(source, fresh, ("f",))


def test_merge_refuses_another_dtype():
  source, fresh = trees()
  source["f"]["a"] = source["f"]["a"].astype(jnp.bfloat16)
  with pytest.raises(surgery.MergeError, match="bfloat16, target"):
    surgery.merge(source, fresh, ("f",))


def test_labels_cover_every_leaf():
  _, fresh = trees()
  assert surgery.label(fresh, ("f/a", "r")) == {
    "f": {"a": "freeze", "ab": "train"},
    "r": {"w": "freeze", "b": "freeze"},
  }
  with pytest.raises(surgery.MergeError, match="rule 'x' matches no frozen parameter"):
    surgery.label(fresh, ("x",))


def test_a_rule_may_rename():
  source, fresh = trees()
  fresh["s"] = {"w": jnp.zeros(4)}
  merged, report = surgery.merge(source, fresh, ("f", "s=r"))
  np.testing.assert_array_equal(merged["s"]["w"], 3)
  np.testing.assert_array_equal(merged["r"]["w"], 0)
  fates = [(leaf.path, leaf.fate) for leaf in report]
  assert ("s/w", "transferred") in fates
  assert ("r/w", "fresh") in fates
  assert ("r/w", "left behind") not in fates  # it was taken, under another name


def test_a_report_names_all_that_does_not_fit_without_stopping():
  source, fresh = trees()
  fates = {leaf.path: leaf.fate for leaf in surgery.compare(source, fresh, ("r", "f/a"))}
  assert fates["r/w"] == "wrong shape"
  assert fates["r/b"] == "missing"
  assert fates["f/a"] == "transferred"
  with pytest.raises(surgery.MergeError, match=r"r/b: .*; r/w: "):
    surgery.merge(source, fresh, ("r", "f/a"))


def test_a_part_is_cut_out_as_a_copy():
  source, _ = trees()
  part = surgery.cut(source, ("f/a", "r"))
  assert set(leaf_paths(part)) == {"f/a", "r/w"}
  jax.jit(lambda tree: tree, donate_argnums=0)(part)
  np.testing.assert_array_equal(source["r"]["w"], 3)
