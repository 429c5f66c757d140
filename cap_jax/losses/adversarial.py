"""Adversarial alignment of features: a discriminator d classifies the domain, the extractor learns to prevent that.

DANN (Ganin et al. 2016, JMLR 17), one extractor for both domains: with R the reversal of the gradient,

    L = BCE(d(R(f(x_s; θ_f)); θ_d), 0) + BCE(d(R(f(x_t; θ_f)); θ_d), 1),     R(h) = h,  ∂R/∂h = −α(t) I
    α(t) = 2/(1 + e^(−10 t)) − 1

ADDA (Tzeng et al. 2017, CVPR), θ_s frozen and θ_t trained:

    L = BCE(d(f(x_s; θ_s); θ_d), 0) + BCE(d(f̄(x_t; θ_t); θ_d), 1) + α(t) BCE(d(f(x_t; θ_t); θ̄_d), 0)

where a bar stops the gradient: the discriminator learns from the first two terms, θ_t from the last. Source windows may
carry weights; the mean over x_s in BCE is then a weighted one.
"""

import jax
import jax.numpy as jnp

from cap_jax.models.discriminator import Discriminator
from cap_jax.types import Metrics, Params


def ramp(progress: jax.Array) -> jax.Array:
  """Returns α(t) = 2/(1 + e^(−10 t)) − 1 for the fraction t of the training that is done; it rises from 0 to 1."""
  return 2 / (1 + jnp.exp(-10 * progress)) - 1


@jax.custom_vjp
def reverse(h: jax.Array, alpha: jax.Array) -> jax.Array:
  """Returns h and multiplies its gradient by −α."""
  del alpha
  return h


def _reverse_fwd(h: jax.Array, alpha: jax.Array) -> tuple[jax.Array, jax.Array]:
  return h, alpha


def _reverse_bwd(alpha: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
  return -alpha * gradient, jnp.zeros_like(alpha)


reverse.defvjp(_reverse_fwd, _reverse_bwd)


def cross_entropy(logit_b: jax.Array, label: float, w_b: jax.Array) -> jax.Array:
  """Returns the weighted mean of the binary cross-entropy of logits against one label.

  Args:
    logit_b: (batch,) logits.
    label: 0 or 1.
    w_b: (batch,) weights.
  """
  return w_b @ (jax.nn.softplus(logit_b) - label * logit_b) / w_b.sum()


def discriminate(theta_d: Params, h_bd: jax.Array) -> jax.Array:
  """Returns the logits d(h; θ_d), (batch,), of features (batch, feature)."""
  return Discriminator().apply({"params": theta_d}, h_bd)  # type: ignore[return-value]


def _discriminator_loss(
  theta_d: Params, source_bd: jax.Array, target_bd: jax.Array, w_s: jax.Array
) -> tuple[jax.Array, Metrics]:
  """Returns the discriminator's loss and accuracy on features of both domains."""
  logit_s, logit_t = discriminate(theta_d, source_bd), discriminate(theta_d, target_bd)
  accuracy = 0.5 * ((logit_s < 0).mean() + (logit_t > 0).mean())
  loss = cross_entropy(logit_s, 0.0, w_s) + cross_entropy(logit_t, 1.0, jnp.ones_like(logit_t))
  return loss, {"discriminator_accuracy": accuracy}


def dann(
  theta_d: Params, source_bd: jax.Array, target_bd: jax.Array, w_s: jax.Array, progress: jax.Array
) -> tuple[jax.Array, Metrics]:
  """Returns DANN's loss and metrics; add the loss to that of the source task.

  Args:
    theta_d: parameters of the discriminator.
    source_bd, target_bd: (batch, feature) pooled features.
    w_s: (batch,) weights of the source windows.
    progress: fraction of the training that is done.
  """
  alpha = ramp(progress)
  return _discriminator_loss(theta_d, reverse(source_bd, alpha), reverse(target_bd, alpha), w_s)


def adda(
  theta_d: Params, source_bd: jax.Array, target_bd: jax.Array, w_s: jax.Array, progress: jax.Array
) -> tuple[jax.Array, Metrics]:
  """Returns ADDA's loss and metrics.

  Args:
    theta_d: parameters of the discriminator.
    source_bd: (batch, feature) pooled features of the frozen source extractor.
    target_bd: (batch, feature) pooled features of the trained extractor.
    w_s: (batch,) weights of the source windows.
    progress: fraction of the training that is done.
  """
  discriminator_loss, metrics = _discriminator_loss(
    theta_d, jax.lax.stop_gradient(source_bd), jax.lax.stop_gradient(target_bd), w_s
  )
  logit_b = discriminate(jax.lax.stop_gradient(theta_d), target_bd)
  confusion = cross_entropy(logit_b, 0.0, jnp.ones_like(logit_b))
  return discriminator_loss + ramp(progress) * confusion, metrics
