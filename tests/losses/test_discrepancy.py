"""Every discrepancy: nothing where there is nothing, a gradient where there is something, closed forms, long runs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from cap_jax.losses import discrepancy
from tests import tiers

# compiled once for each pair of shapes, which tests share
ALL = {name: jax.jit(distance) for name, distance in discrepancy.DISCREPANCIES.items()}
WITH_GRADIENTS = {
  name: jax.jit(jax.value_and_grad(distance, argnums=(0, 1))) for name, distance in discrepancy.DISCREPANCIES.items()
}
ones = np.ones


@functools.partial(jax.jit, static_argnums=(1, 2), static_argnames="d")
def gaussians(key, n, m, d=4, shift=0.0, scale=1.0):
  a_key, b_key = jax.random.split(key)
  return jax.random.normal(a_key, (n, d)), shift + scale * jax.random.normal(b_key, (m, d))


@pytest.mark.parametrize(("n", "m"), tiers.sample([(32, 32), (24, 40)], (24, 40)))
def test_mmd_has_zero_mean_under_the_null(n, m):
  draw = jax.jit(jax.vmap(lambda key: discrepancy.mmd(*gaussians(key, n, m), ones(n))))
  values = np.asarray(draw(jax.random.split(jax.random.key(0), 400)))
  assert abs(values.mean()) < 3 * values.std() / np.sqrt(400)
  assert (values < 0).mean() > 0.3  # unbiased, so often negative


@pytest.mark.quick
def test_mmd_is_the_sum_over_different_pairs():
  a, b = (np.asarray(x, np.float64) for x in gaussians(jax.random.key(1), 5, 7, shift=1.0))
  both = np.concatenate([a, b])
  d = np.square(both[:, None] - both[None]).sum(-1)
  median = np.median(d[np.triu_indices(12, 1)])
  k = np.mean([np.exp(-d / (s * median)) for s in discrepancy.BANDWIDTHS], axis=0)
  within_a = np.mean([k[i, j] for i in range(5) for j in range(5) if i != j])
  within_b = np.mean([k[5 + i, 5 + j] for i in range(7) for j in range(7) if i != j])
  expected = within_a + within_b - 2 * k[:5, 5:].mean()
  result = ALL["mmd"](a.astype(np.float32), b.astype(np.float32), ones(5))
  np.testing.assert_allclose(result, expected, rtol=1e-4)


def test_the_median_is_not_differentiated_through():
  # scaling both samples scales the distances and their median alike, so a differentiated median would give no gradient
  a, b = (np.asarray(x) for x in gaussians(jax.random.key(2), 64, 48, shift=1.0))
  _, (by_a, by_b) = WITH_GRADIENTS["mmd"](a, b, ones(64))
  assert abs((by_a * a).sum() + (by_b * b).sum()) > 1e-2  # by the scale


def test_weights_count_as_copies():
  a, b = gaussians(jax.random.key(3), 6, 9, shift=0.5)
  w = np.array([2.0, 1.0, 1.0, 1.0, 1.0, 0.0])
  a, b = np.asarray(a), np.asarray(b)
  copies = np.concatenate([a[:1], a[:5]])
  for name in ("dare_gram", "sinkhorn"):
    np.testing.assert_allclose(ALL[name](a, b, w), ALL[name](copies, b, ones(6)), rtol=2e-2, err_msg=name)


@pytest.mark.parametrize("name", tiers.sample([name for name in ALL if name != "mmd"], "coral"))
def test_a_window_of_no_weight_is_not_there(name):
  a, b = (np.asarray(x) for x in gaussians(jax.random.key(3), 12, 9, shift=0.5))
  w = np.repeat([1.0, 0.0], 6)
  blur = 2e-2 if name == "sinkhorn" else 1e-3  # its ε is the median over all windows
  np.testing.assert_allclose(ALL[name](a, b, w), ALL[name](a[:6], b, ones(6)), rtol=blur)


def test_mmd_under_weights_is_the_sum_over_different_pairs():
  a, b = (np.asarray(x, np.float64) for x in gaussians(jax.random.key(1), 5, 7, shift=1.0))
  w = np.array([2.0, 1.0, 0.5, 1.5, 0.0])
  both = np.concatenate([a, b])
  d = np.square(both[:, None] - both[None]).sum(-1)
  k = np.mean([np.exp(-d / (s * np.median(d[np.triu_indices(12, 1)]))) for s in discrepancy.BANDWIDTHS], axis=0)
  pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
  within_a = sum(w[i] * w[j] * k[i, j] for i, j in pairs) / sum(w[i] * w[j] for i, j in pairs)
  within_b = np.mean([k[5 + i, 5 + j] for i in range(7) for j in range(7) if i != j])
  expected = within_a + within_b - 2 * (w @ k[:5, 5:]).sum() / (w.sum() * 7)
  result = ALL["mmd"](*(x.astype(np.float32) for x in (a, b, w)))
  np.testing.assert_allclose(result, expected, rtol=1e-4)


@pytest.mark.quick
def test_coral_of_scaled_samples():
  a = np.asarray(gaussians(jax.random.key(4), 50, 1, d=3)[0])
  c = np.cov(a.T)
  # b = 2 a has four times the covariance: ‖C − 4C‖² / (4 d²)
  np.testing.assert_allclose(ALL["coral"](a, 2 * a, ones(50)), 9 * np.square(c).sum() / 36, rtol=1e-4)


@pytest.mark.quick
def test_chordal_of_orthogonal_directions():
  t = np.asarray(jax.random.normal(jax.random.key(5), (200,)))
  along_x, along_y = (np.stack(pair, axis=1) for pair in ((t, 0 * t), (0 * t, t)))
  # projectors on x and on y, each shrunk to 1/(1 + λ/2)
  expected = 0.5 * 2 * (1 / (1 + 0.05)) ** 2 / 2
  np.testing.assert_allclose(ALL["chordal"](along_x, along_y, ones(200)), expected, rtol=1e-3)
  np.testing.assert_allclose(ALL["chordal"](along_x, 3 * along_x, ones(200)), 0, atol=1e-4)


def test_dare_gram_of_a_turned_sample():
  """Points at ± s along an axis, and along the same axis turned by 45°: Gram matrices that can be inverted on paper."""
  s, turn = 2.0, np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
  a = np.array([[s, 0], [-s, 0]])
  # G = diag(1, s², 0) + ρ I with ρ = λ (1 + s²)/3; turned, the block of the two features is full
  ridge = discrepancy._RIDGE * (1 + s**2) / 3
  p, q = 1 / (s**2 + ridge), 1 / ridge  # of the inverse, along the axis and across it
  mean, half = (p + q) / 2, (q - p) / 2
  size = np.hypot(mean, half)
  cosines = [
    1.0,
    mean / size,
    mean / size,
  ]  # columns (0, p, 0) and (0, 0, q) against (0, mean, ∓half) and (0, ∓half, mean)
  expected = 1 - np.mean(cosines)  # the traces are equal
  result = ALL["dare_gram"](a.astype(np.float32), (a @ turn).astype(np.float32), ones(2))
  np.testing.assert_allclose(result, expected, rtol=1e-4)


def test_dare_gram_feels_angle_and_scale():
  a = np.asarray(gaussians(jax.random.key(6), 400, 1, d=2)[0])
  stretched = a * np.array([[1.0, 3.0]], np.float32)
  turned = stretched[:, ::-1]
  dare_gram = ALL["dare_gram"]
  assert dare_gram(stretched, turned, ones(400)) > 5 * dare_gram(stretched, stretched * 1.01, ones(400))
  g = [1 + np.square(x).sum(1).mean() for x in (a, 2 * a)]
  scale = 0.01 * abs(g[0] - g[1]) / 3
  assert dare_gram(a, 2 * a, ones(400)) > scale


def test_sinkhorn_is_near_the_exact_assignment():
  a, b = gaussians(jax.random.key(7), 40, 40, shift=3.0)
  cost = np.square(np.asarray(a)[:, None] - np.asarray(b)[None]).sum(-1)
  rows, columns = scipy.optimize.linear_sum_assignment(cost)
  exact = cost[rows, columns].mean()
  np.testing.assert_allclose(ALL["sinkhorn"](a, b, ones(40)), exact, rtol=0.05)


def test_sinkhorn_gradient_against_finite_differences():
  a, b = (np.asarray(x) for x in gaussians(jax.random.key(8), 12, 15, d=2, shift=1.0))
  value = lambda x: WITH_GRADIENTS["sinkhorn"](x, b, ones(12))  # noqa: E731
  _, (gradient, _) = value(a)
  direction = np.asarray(jax.random.normal(jax.random.key(9), a.shape))
  h = 1e-2
  slope = (value(a + h * direction)[0] - value(a - h * direction)[0]) / (2 * h)
  np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=0.05)


@pytest.mark.parametrize("name", ALL)
def test_nothing_between_equal_samples_and_something_between_others(name):
  a, b = (np.asarray(x) for x in gaussians(jax.random.key(10), 64, 48, shift=1.5))
  size = np.array([[2.0, 1.0, 0.3, 0.1]], np.float32)
  a, b = a * size, b * size[:, ::-1]
  same, _ = WITH_GRADIENTS[name](a, a[:48], ones(64))
  apart, gradients = WITH_GRADIENTS[name](a, b, ones(64))
  assert apart > 3 * abs(same) + 1e-3
  for gradient in gradients:
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 1e-6


@pytest.mark.parametrize("name", tiers.sample(ALL, "mmd", "coral"))
def test_unequal_batches(name):
  a, b = gaussians(jax.random.key(11), 64, 48)
  forwards, _ = WITH_GRADIENTS[name](a, b, ones(64))
  backwards = ALL[name](b, a, ones(48))
  np.testing.assert_allclose(forwards, backwards, rtol=1e-3, atol=1e-5)  # a distance is symmetric


@pytest.mark.parametrize(
  ("name", "d"), tiers.sample([(name, d) for name in ALL for d in (3, 64)], ("mmd", 3), ("coral", 64))
)
def test_a_thousand_steps_of_descent_stay_finite_and_align(name, d):
  """A linear map is trained to bring one sample to the other, far past where it has; batches are new each step. With 64
  features, correlated as those of networks, and 24 windows the covariances have no full rank, which is where singular vectors
  would give no gradient."""
  distance = discrepancy.DISCREPANCIES[name]
  size = np.geomspace(3.0, 0.03, d, dtype=np.float32) if d > 24 else np.ones(d, np.float32)

  def step(w, key):
    a, b = gaussians(key, 24, 24, d=d, shift=0.0, scale=1.0)
    a, b = a * size[None], b * size[None, ::-1]
    loss = lambda v: distance(a, b @ v["matrix"] + v["shift"][None], ones(24))  # noqa: E731
    value, gradient = jax.value_and_grad(loss)(w)
    norm = jnp.sqrt(sum(jnp.square(g).sum() for g in jax.tree.leaves(gradient)))
    return jax.tree.map(lambda p, g: p - 0.02 * g / jnp.maximum(norm, 1.0), w, gradient), value

  start = {
    "matrix": np.diag(np.geomspace(3.0, 0.3, d, dtype=np.float32)),
    "shift": np.linspace(1.0, -1.0, d, dtype=np.float32),
  }
  end, values = jax.lax.scan(step, start, jax.random.split(jax.random.key(12), 1000))
  values = np.asarray(values)
  assert np.isfinite(values).all()
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(end))
  # what is divided by the number of features has a small gradient with 64 of them: it falls, but not far
  assert values[-100:].mean() < (0.9 if d == 3 else 1.0) * values[:20].mean()


@pytest.mark.parametrize("name", tiers.sample([name for name in ALL if name != "mmd"], "dare_gram", "coral"))
def test_the_null_of_a_batch_is_far_below_that_of_other_features(name):
  """Only MMD is unbiased; the others are positive for finite samples, as their file says, but tell other features apart."""
  size = np.geomspace(3.0, 0.03, 64, dtype=np.float32)[None]  # a few of 64 features are large

  @jax.jit
  def values(size_b):
    def one(key):
      a, b = gaussians(key, 32, 32, d=64)
      return discrepancy.DISCREPANCIES[name](a * size, b * size_b, ones(32))

    # one after the other: on two cores, two solves of whole batches in one program may wait for each other for ever
    return jax.lax.map(one, jax.random.split(jax.random.key(13), 50))

  null, shifted = (np.asarray(values(size_b)) for size_b in (size, size[:, ::-1]))
  assert null.mean() > 0
  assert shifted.mean() > null.mean() + 4 * null.std()
