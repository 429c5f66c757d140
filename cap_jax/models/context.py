"""What an extractor knows of a window besides its shape: the pressure level, and covariates of the subject."""

import jax
import jax.numpy as jnp
from flax import linen as nn

LEVEL_LIMIT = 3.0


def level(x_bt: jax.Array) -> jax.Array:
  """(batch, 1) mean of a scaled window: the pressure level, which the network passes on instead of learning it."""
  return x_bt.mean(1, keepdims=True)


def context(x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
  """(batch, 1 + covariate): level and standardised covariates.

  Each is bounded, so that a pressure or an age outside the source's range cannot drive the features far from what they
  were.
  """
  return LEVEL_LIMIT * jnp.tanh(jnp.concatenate([level(x_bt), c_bq], axis=1) / LEVEL_LIMIT)


def embed_context(h_bnd: jax.Array, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
  """h + W context, the same for all tokens. W is the layer `level` of the module that calls it."""
  known = nn.Dense(h_bnd.shape[-1], name="level")(context(x_bt, c_bq))
  return h_bnd + jnp.broadcast_to(known[:, None], h_bnd.shape).astype(h_bnd.dtype)


def check_patches(time: int, patch: int) -> None:
  """Raises:
  ValueError: the window is not a whole number of patches."""
  if time % patch:
    raise ValueError(f"a window of {time} samples is not a whole number of patches of {patch}")
