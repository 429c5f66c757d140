"""Adversarial alignment of features: a discriminator d tells the domains apart, the extractor learns that it cannot.

DANN (Ganin et al. 2016, JMLR 17), one extractor for both domains: with R the reversal of the gradient,

    L = BCE(d(R(f(x_s; θ_f)); θ_d), 0) + BCE(d(R(f(x_t; θ_f)); θ_d), 1),     R(h) = h,  ∂R/∂h = −α(t) I
    α(t) = 2/(1 + e^(−10 t)) − 1

ADDA (Tzeng et al. 2017, CVPR), θ_s frozen and θ_t trained:

    L = BCE(d(f(x_s; θ_s); θ_d), 0) + BCE(d(f̄(x_t; θ_t); θ_d), 1) + α(t) BCE(d(f(x_t; θ_t); θ̄_d), 0)

where a bar stops the gradient: the discriminator learns from the first two terms, θ_t from the last. Source windows may carry
weights: then the mean over x_s in BCE is a weighted one.
"""

import jax
import jax.numpy as jnp

from cap_jax.models.discriminator import Discriminator
from cap_jax.types import Metrics, Params


def ramp(progress: jax.Array) -> jax.Array:
  """α(t) = 2/(1 + e^(−10 t)) − 1 at a share t of the training: 0 at first, 1 in the end."""
  return 2 / (1 + jnp.exp(-10 * progress)) - 1


@jax.custom_vjp
def reverse(h: jax.Array, alpha: jax.Array) -> jax.Array:
  """h itself, with a gradient times −α."""
  del alpha
  return h


def _forward(h: jax.Array, alpha: jax.Array) -> tuple[jax.Array, jax.Array]:
  return h, alpha


def _backward(alpha: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
  return -alpha * gradient, jnp.zeros_like(alpha)


reverse.defvjp(_forward, _backward)


def cross_entropy(logit_b: jax.Array, label: float, w_b: jax.Array) -> jax.Array:
  """Weighted mean of the binary cross-entropy of logits against one label."""
  return w_b @ (jax.nn.softplus(logit_b) - label * logit_b) / w_b.sum()


def discriminate(theta_d: Params, h_bd: jax.Array) -> jax.Array:
  """d(h; θ_d): logits (batch,)."""
  return Discriminator().apply({"params": theta_d}, h_bd)  # type: ignore[return-value]


def _told(theta_d: Params, source_bd: jax.Array, target_bd: jax.Array, w_s: jax.Array) -> tuple[jax.Array, Metrics]:
  """The discriminator's loss and accuracy on features of both domains."""
  at_source, at_target = discriminate(theta_d, source_bd), discriminate(theta_d, target_bd)
  right = 0.5 * ((at_source < 0).mean() + (at_target > 0).mean())
  loss = cross_entropy(at_source, 0.0, w_s) + cross_entropy(at_target, 1.0, jnp.ones_like(at_target))
  return loss, {"discriminator_accuracy": right}


def dann(
  theta_d: Params, source_bd: jax.Array, target_bd: jax.Array, w_s: jax.Array, progress: jax.Array
) -> tuple[jax.Array, Metrics]:
  """DANN's loss of pooled features (batch, feature), to be added to that of the source's task."""
  alpha = ramp(progress)
  return _told(theta_d, reverse(source_bd, alpha), reverse(target_bd, alpha), w_s)


def adda(
  theta_d: Params, source_bd: jax.Array, target_bd: jax.Array, w_s: jax.Array, progress: jax.Array
) -> tuple[jax.Array, Metrics]:
  """ADDA's loss of pooled features (batch, feature), `source_bd` from the frozen extractor."""
  told, metrics = _told(theta_d, jax.lax.stop_gradient(source_bd), jax.lax.stop_gradient(target_bd), w_s)
  seen_b = discriminate(jax.lax.stop_gradient(theta_d), target_bd)
  fooled = cross_entropy(seen_b, 0.0, jnp.ones_like(seen_b))
  return told + ramp(progress) * fooled, metrics
