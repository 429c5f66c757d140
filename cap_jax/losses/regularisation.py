"""Regularisation towards the source: L2-SP (Li et al. 2018, ICML), a weight decay towards the source instead of zero,

Ω(θ) = ½ ‖θ − θ^S‖²     over the parameters that were transferred from the source
"""

import functools

import jax
import jax.numpy as jnp

from cap_jax.types import Params


def l2_sp(theta: Params, theta_source: Params) -> jax.Array:
  """Returns ½ ‖θ − θ^S‖² over the leaves of θ^S, which may be a subtree of θ."""
  if not isinstance(theta_source, dict):
    return 0.5 * jnp.square(theta - jax.lax.stop_gradient(theta_source)).sum()
  return functools.reduce(jnp.add, [l2_sp(theta[key], below) for key, below in theta_source.items()])
