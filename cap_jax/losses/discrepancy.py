"""Discrepancies D(P_s, P_t) between two samples of features, a_sd of the source and b_sd of the target: pure functions.

Both are (sample, feature). Their sample sizes may differ, and samples of the source may carry weights w_s of mean one.
`DISCREPANCIES` names them. Only MMD is unbiased. The others are above zero for two finite samples of one distribution,
the more so with more features than windows. Where the domains are close, that bias is a large part of their gradient.

The tests cover known errors of published libraries: a gradient that vanishes, unequal batches, a biased estimate, a
median that is differentiated through, an SVD whose gradient diverges.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Discrepancy = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
_RIDGE = 0.1  # λ, relative to the mean eigenvalue
_SCALE_WEIGHT = 0.01
_BLUR = 0.05  # ε, relative to the median cost
_SINKHORN_TURNS = 50


def square_distances(a_sd: jax.Array, b_sd: jax.Array) -> jax.Array:
  """Returns ‖a − b‖², (sample of a, sample of b), never below 0."""
  aa, bb = jnp.square(a_sd).sum(1)[:, None], jnp.square(b_sd).sum(1)[None]
  return jnp.maximum(aa + bb - 2 * a_sd @ b_sd.T, 0.0)


def _median_off_diagonal(d_ss: jax.Array) -> jax.Array:
  """Returns the median distance between different samples, without a gradient."""
  n = d_ss.shape[0]
  rows, columns = jnp.triu_indices(n, 1)
  return jax.lax.stop_gradient(jnp.maximum(jnp.median(d_ss[rows, columns]), 1e-12))


def mmd(a_sd: jax.Array, b_sd: jax.Array, w_s: jax.Array) -> jax.Array:
  """Returns the squared maximum mean discrepancy, unbiased (Gretton et al. 2012, JMLR 13, eq. 3),

      MMD² = E k(a, a′) + E k(b, b′) − 2 E k(a, b),     k(a, b) = mean over σ of exp(−‖a − b‖² / (σ m))

  over different a, a′ and different b, b′, with m the median squared distance. Its mean is zero where P_s = P_t, so it
  is often negative there.
  """
  n = a_sd.shape[0]
  both = jnp.concatenate([a_sd, b_sd])
  d_ss = square_distances(both, both)
  median = _median_off_diagonal(d_ss)
  k_ss = jnp.mean(jnp.stack([jnp.exp(-d_ss / (sigma * median)) for sigma in BANDWIDTHS]), axis=0)
  w_aa = jnp.outer(w_s, w_s) * (1 - jnp.eye(n))
  within_a = (w_aa * k_ss[:n, :n]).sum() / w_aa.sum()
  k_bb = k_ss[n:, n:]
  m = k_bb.shape[0]
  within_b = (k_bb.sum() - jnp.trace(k_bb)) / (m * (m - 1))
  across = (w_s[:, None] * k_ss[:n, n:]).sum() / (w_s.sum() * m)
  return within_a + within_b - 2 * across


def covariance(a_sd: jax.Array, w_s: jax.Array) -> jax.Array:
  """Returns the unbiased weighted covariance, (feature, feature)."""
  total = w_s.sum()
  centred = a_sd - ((w_s[:, None] * a_sd).sum(0) / total)[None]
  return (w_s[:, None] * centred).T @ centred / (total - (w_s**2).sum() / total)


def coral(a_sd: jax.Array, b_sd: jax.Array, w_s: jax.Array) -> jax.Array:
  """Returns the correlation alignment (Sun & Saenko 2016, eq. 1): ‖C_s − C_t‖²_F / (4 d²)."""
  d = a_sd.shape[1]
  difference = covariance(a_sd, w_s) - covariance(b_sd, jnp.ones(b_sd.shape[0]))
  return jnp.square(difference).sum() / (4 * d**2)


def dare_gram(a_sd: jax.Array, b_sd: jax.Array, w_s: jax.Array) -> jax.Array:
  """Returns DARE-GRAM (Nejjar et al. 2023, CVPR) with a ridge in the place of its truncated SVD,

      D = Σ_j (1 − cos(G_s⁻¹ e_j, G_t⁻¹ e_j)) / d + γ |tr FᵀF/n − tr FᵀF/m| / d,     G = FᵀF/n + λ (tr/d) I

  with F the features and a column of ones. It compares the inverse Gram matrices, which least squares on the features
  would use, by their angle and their scale. Without singular vectors no gradient diverges where singular values meet.
  """

  def gram(f_sd: jax.Array, weight_s: jax.Array) -> jax.Array:
    f_sd = jnp.concatenate([jnp.ones((f_sd.shape[0], 1)), f_sd], axis=1)
    return (weight_s[:, None] * f_sd).T @ f_sd / weight_s.sum()

  g_s, g_t = gram(a_sd, w_s), gram(b_sd, jnp.ones(b_sd.shape[0]))
  d = g_s.shape[0]

  def inverse(g: jax.Array) -> jax.Array:
    return jnp.linalg.inv(g + _RIDGE * jnp.trace(g) / d * jnp.eye(d))

  i_s, i_t = inverse(g_s), inverse(g_t)
  norms = jnp.sqrt(jnp.square(i_s).sum(0) * jnp.square(i_t).sum(0))
  angle = 1 - (i_s * i_t).sum(0) / norms
  return angle.mean() + _SCALE_WEIGHT * jnp.abs(jnp.trace(g_s) - jnp.trace(g_t)) / d


def chordal(a_sd: jax.Array, b_sd: jax.Array, w_s: jax.Array) -> jax.Array:
  """Returns the chordal distance of the subspaces that the features span, by regularised projectors,

      D = ½ ‖P_s − P_t‖²_F / d,     P = Fᵀ (F Fᵀ + ε I)⁻¹ F = (FᵀF + ε I)⁻¹ FᵀF

  with F centred and ε = λ tr(FᵀF)/d. It has RSD's aim (Chen et al. 2021, ICML) without its SVD.
  """

  def projector(f_sd: jax.Array, weight_s: jax.Array) -> jax.Array:
    c = covariance(f_sd, weight_s)
    d = c.shape[0]
    return jnp.linalg.solve(c + _RIDGE * (jnp.trace(c) / d + 1e-12) * jnp.eye(d), c)

  difference = projector(a_sd, w_s) - projector(b_sd, jnp.ones(b_sd.shape[0]))
  return 0.5 * jnp.square(difference).sum() / a_sd.shape[1]


def _transport_cost(cost: jax.Array, log_a: jax.Array, log_b: jax.Array, epsilon: jax.Array) -> jax.Array:
  """Returns the dual value of entropic transport after Sinkhorn's iterations (Cuturi 2013), in logarithms."""

  def turn(_: int, duals: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    f, g = duals
    f = -epsilon * jax.nn.logsumexp((g[None] - cost) / epsilon + log_b[None], axis=1)
    g = -epsilon * jax.nn.logsumexp((f[:, None] - cost) / epsilon + log_a[:, None], axis=0)
    return f, g

  start = (jnp.zeros(cost.shape[0]), jnp.zeros(cost.shape[1]))
  # Danskin: at the optimum the value's gradient is that with the duals frozen
  f, g = jax.lax.stop_gradient(jax.lax.fori_loop(0, _SINKHORN_TURNS, turn, start))
  log_plan = (f[:, None] + g[None] - cost) / epsilon + log_a[:, None] + log_b[None]
  return (jnp.exp(log_a) * f).sum() + (jnp.exp(log_b) * g).sum() - epsilon * (jnp.exp(log_plan).sum() - 1)


def sinkhorn(a_sd: jax.Array, b_sd: jax.Array, w_s: jax.Array) -> jax.Array:
  """Returns the debiased entropic transport cost, the Sinkhorn divergence (Feydy et al. 2019),

      S = OT_ε(a, b) − ½ OT_ε(a, a) − ½ OT_ε(b, b)

  with squared distances and ε relative to their median. The tests compare it with an exact assignment.
  """
  cost_ab, cost_aa, cost_bb = (square_distances(x, y) for x, y in ((a_sd, b_sd), (a_sd, a_sd), (b_sd, b_sd)))
  epsilon = _BLUR * jax.lax.stop_gradient(jnp.maximum(jnp.median(cost_ab), 1e-12))
  log_a = jnp.log(jnp.maximum(w_s / w_s.sum(), 1e-12))
  log_b = jnp.full(b_sd.shape[0], -jnp.log(b_sd.shape[0]))
  across = _transport_cost(cost_ab, log_a, log_b, epsilon)
  within = _transport_cost(cost_aa, log_a, log_a, epsilon) + _transport_cost(cost_bb, log_b, log_b, epsilon)
  return across - 0.5 * within


DISCREPANCIES: dict[str, Discrepancy] = {
  "mmd": mmd,
  "coral": coral,
  "dare_gram": dare_gram,
  "chordal": chordal,
  "sinkhorn": sinkhorn,
}
