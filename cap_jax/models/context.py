"""Inputs of an extractor besides the shape of a window: the pressure level, and covariates of the subject."""

import jax
import jax.numpy as jnp
from flax import linen as nn

LEVEL_LIMIT = 3.0


def level(x_bt: jax.Array) -> jax.Array:
  """Returns the mean of each scaled window, (batch, 1).

  It is the level of a pressure, which the network passes on unchanged, and the form factor of a PPG between 0 and 1.
  """
  return x_bt.mean(1, keepdims=True)


def context(x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
  """Returns level and standardised covariates, (batch, 1 + covariate).

  Each is bounded, so that a pressure or an age outside the source's range cannot drive the features far from those of
  the training.

  Args:
    x_bt: (batch, time) scaled windows.
    c_bq: (batch, covariate) standardised covariates.
  """
  return LEVEL_LIMIT * jnp.tanh(jnp.concatenate([level(x_bt), c_bq], axis=1) / LEVEL_LIMIT)


def embed_context(h_bnd: jax.Array, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
  """Returns h + W context, the same for all tokens; W is the layer `level` of the calling module.

  Args:
    h_bnd: (batch, token, feature) features.
    x_bt: (batch, time) scaled windows.
    c_bq: (batch, covariate) standardised covariates.
  """
  context_bd = nn.Dense(h_bnd.shape[-1], name="level")(context(x_bt, c_bq))
  return h_bnd + jnp.broadcast_to(context_bd[:, None], h_bnd.shape).astype(h_bnd.dtype)


def check_patches(time: int, patch: int) -> None:
  """Checks that a window of `time` samples is a whole number of patches.

  Raises:
    ValueError: it is not.
  """
  if time % patch:
    raise ValueError(f"a window of {time} samples is not a whole number of patches of {patch}")
