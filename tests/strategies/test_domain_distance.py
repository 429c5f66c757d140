"""How alike domains are, importance weights, low-rank changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax.strategies import domain_distance, importance, low_rank, surgery
from cap_jax.types import InputError


def domain(rng, subjects, shift):
  """Ten windows a subject: features scatter between subjects and within."""
  own = rng.normal(size=(subjects, 1, 6)) + shift
  h = (own + 0.3 * rng.normal(size=(subjects, 10, 6))).reshape(-1, 6)
  return h, np.repeat([f"{rng.integers(1 << 30)}-{k}" for k in range(subjects)], 10)


def test_the_distance_is_nought_for_one_population_and_two_for_strangers():
  rng = np.random.default_rng(0)
  (a, who_a), (b, who_b), (c, who_c) = domain(rng, 60, 0.0), domain(rng, 60, 0.0), domain(rng, 60, 6.0)
  assert domain_distance.proxy_a_distance(a, b, who_a, who_b) < 0.3
  assert domain_distance.proxy_a_distance(a, c, who_a, who_c) > 1.9
  with pytest.raises(ValueError, match="two subjects of each"):
    domain_distance.proxy_a_distance(a[:10], b, who_a[:10], who_b)


def test_the_distance_is_evaluated_on_unseen_subjects():
  """Few subjects of one population, each alike to itself only: a classifier that has seen them would tell all apart."""
  rng = np.random.default_rng(1)
  result = [
    domain_distance.proxy_a_distance(
      *(x for pair in zip(domain(rng, 4, 0.0), domain(rng, 4, 0.0), strict=True) for x in pair)
    )
    for _ in range(20)
  ]
  assert np.mean(result) < 1.0


def test_weights_bring_the_source_to_the_pressures_of_the_target():
  rng = np.random.default_rng(2)
  t = np.arange(100) / 25

  def make(level, n):
    return (level + rng.normal(size=(n, 1)) + (1 + 0.1 * rng.normal(size=(n, 1))) * np.sin(6 * t)).astype(np.float32)

  source, target = make(0.0, 4000), make(0.8, 400)
  w = importance.weights(source, target)
  assert w.mean() == pytest.approx(1, abs=1e-5)
  assert (w > 0).all()
  np.testing.assert_allclose((w * source.mean(1)).mean(), 0.8, atol=0.1)
  np.testing.assert_allclose(importance.weights(source, source), 1, atol=1e-3)


def test_low_rank_changes_are_a_product_beside_each_matrix():
  params = {"f": {"dense": {"kernel": jnp.ones((8, 6)), "bias": jnp.zeros(6)}}, "r": {"kernel": jnp.ones((2, 2))}}
  delta = low_rank.start(jax.random.key(0), params, ("f", "r"), 2)
  assert set(delta) == {"f.dense.kernel"}  # a bias is no matrix, and a 2 × 2 has no lower rank
  whole = {**params, "delta": delta}
  np.testing.assert_array_equal(low_rank.view(whole)["f"]["dense"]["kernel"], 1.0)
  delta["f.dense.kernel"]["b"] = jnp.ones((2, 6))
  changed = low_rank.view(whole)["f"]["dense"]["kernel"] - 1
  assert np.linalg.matrix_rank(changed, tol=1e-4) == 1
  np.testing.assert_allclose(changed, delta["f.dense.kernel"]["a"] @ jnp.ones((2, 6)), atol=1e-5)
  assert "delta" not in low_rank.view(whole)
  assert surgery.count(delta) == 2 * (8 + 6)


def test_low_rank_changes_reach_attention_and_refuse_a_rank_that_fits_nothing():
  query, out = {"kernel": jnp.ones((8, 4, 2)), "bias": jnp.ones((4, 2))}, {"kernel": jnp.ones((4, 2, 8))}
  params = {"f": {"query": query, "out": out}}
  for rank in (1, 4):
    delta = low_rank.start(jax.random.key(0), params, ("f",), rank)
    shapes = {name: (change["a"].shape, change["b"].shape) for name, change in delta.items()}
    assert shapes == {f"f.{name}.kernel": ((8, rank), (rank, 8)) for name in ("query", "out")}  # and no bias
  delta["f.out.kernel"]["b"] = jnp.ones((4, 8))
  changed = low_rank.view({**params, "delta": delta})["f"]["out"]["kernel"]
  assert changed.shape == (4, 2, 8)
  assert np.abs(np.asarray(changed) - 1).max() > 0
  with pytest.raises(InputError, match="low_rank=64: no kernel of the network has more rows"):
    low_rank.start(jax.random.key(0), params, ("f",), 64)
