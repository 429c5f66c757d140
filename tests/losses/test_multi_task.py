"""Sums of losses: the gradient is the weighted sum of the gradients, or what the balance makes of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax.losses import multi_task

pytestmark = pytest.mark.quick

KEY = jax.random.key(0)


def quadratic(target):
  def loss(params, batch, key):
    del batch, key
    value = jnp.square(params["f"]["w"] - target).sum() + jnp.square(params["r"]["w"]).sum()
    return value, {}

  return loss


def params():
  return {"f": {"w": jnp.array([1.0, -2.0])}, "r": {"w": jnp.array([0.5])}}


L_S, L_T = quadratic(jnp.array([3.0, 0.0])), quadratic(jnp.array([-1.0, 1.0]))
BATCH = {"progress": jnp.array(0.25)}


def gradient(loss, theta=None):
  return jax.grad(lambda p: loss(p, BATCH, KEY)[0])(theta or params())


def test_the_gradient_of_a_sum_is_the_sum_of_gradients():
  """∇L_total = λ(t) ∇L_s + ∇L_t."""
  total = multi_task.make_sum([("t", 1.0, "constant", L_T), ("s", 0.4, "fall", L_S)])
  expected = jax.tree.map(lambda a, b: a + 0.4 * 0.75 * b, gradient(L_T), gradient(L_S))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), gradient(total), expected)
  _, metrics = total(params(), BATCH, KEY)
  np.testing.assert_allclose(metrics["loss"], metrics["t"] + 0.3 * metrics["s"], rtol=1e-6)


def test_schedules_begin_and_end_where_they_say():
  ends = {name: (float(f(jnp.array(0.0))), float(f(jnp.array(1.0)))) for name, f in multi_task.SCHEDULES.items()}
  assert ends["constant"] == (1, 1)
  assert ends["rise"] == (0, 1)
  assert ends["fall"] == (1, 0)
  assert ends["ramp"][0] == 0
  assert abs(ends["ramp"][1] - 1) < 1e-3


def test_uncertainty_weighs_by_the_learned_variance():
  losses = [("t", 1.0, "constant", L_T), ("s", 1.0, "constant", L_S)]
  theta = {**params(), "u": {"log_variance": jnp.array([0.0, 1.0])}}
  total = multi_task.make_uncertainty(losses)
  value_t, value_s = L_T(params(), BATCH, KEY)[0], L_S(params(), BATCH, KEY)[0]
  value, _ = total(theta, BATCH, KEY)
  np.testing.assert_allclose(value, 0.5 * value_t + 0.5 * np.exp(-1) * value_s + 0.5, rtol=1e-6)
  # at the optimum of u the variance is the loss itself
  u = gradient(total, {**theta, "u": {"log_variance": jnp.log(jnp.array([value_t, value_s]))}})["u"]["log_variance"]
  np.testing.assert_allclose(u, 0, atol=1e-6)


def test_projection_takes_out_the_conflict_and_nothing_else():
  g = [{"w": jnp.array([1.0, 0.0])}, {"w": jnp.array([-1.0, 1.0])}]
  first, second = multi_task.project(g)
  np.testing.assert_allclose(first["w"], [0.5, 0.5], atol=1e-6)  # (1, 0) − (−1/2)(−1, 1)
  np.testing.assert_allclose(second["w"], [0.0, 1.0], atol=1e-6)
  agreeing = [{"w": jnp.array([1.0, 0.0])}, {"w": jnp.array([1.0, 1.0])}]
  np.testing.assert_array_equal(multi_task.project(agreeing)[0]["w"], agreeing[0]["w"])


def test_pcgrad_replaces_the_shared_gradient_and_keeps_the_value():
  losses = [("t", 1.0, "constant", L_T), ("s", 0.5, "constant", L_S)]
  total, plain = multi_task.make_pcgrad(losses), multi_task.make_sum(losses)
  np.testing.assert_allclose(total(params(), BATCH, KEY)[0], plain(params(), BATCH, KEY)[0], rtol=1e-6)
  half = jax.tree.map(lambda x: 0.5 * x, gradient(L_S))
  projected = multi_task.project([gradient(L_T)["f"], half["f"]])
  result = gradient(total)
  np.testing.assert_allclose(result["f"]["w"], projected[0]["w"] + projected[1]["w"], rtol=1e-5)
  np.testing.assert_allclose(result["r"]["w"], gradient(plain)["r"]["w"], rtol=1e-6)
