"""s: a detector of windows that are out of distribution, as one logit: positive for an outlier.

A small `token_cnn` of its own reads the window, so the logit does not depend on how the reconstructing network is
adapted. Mean and SD of the features over the tokens describe the window as a whole.
"""

import functools
import math
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cap_jax.models import token_cnn
from cap_jax.types import Params

_PATCH, _CHANNELS, _LAYERS, _KERNEL, _HIDDEN = 10, 32, 3, 3, 64


class Detector(nn.Module):
  """Maps scaled windows (batch, time) to logits (batch,)."""

  patch: int

  @nn.compact
  def __call__(self, x_bt: jax.Array) -> jax.Array:
    extractor = token_cnn.TokenCNN(self.patch, _CHANNELS, _LAYERS, _KERNEL, name="f")
    h_bnd = extractor(x_bt, jnp.zeros((x_bt.shape[0], 0)))
    pooled_bd = jnp.concatenate([h_bnd.mean(1), h_bnd.std(1)], axis=1)
    return nn.Dense(1, name="logit")(nn.gelu(nn.Dense(_HIDDEN, name="hidden")(pooled_bd)))[:, 0]


@functools.cache
def make_detector(samples: int) -> Detector:
  """Builds the detector for windows of `samples`."""
  return Detector(math.gcd(samples, _PATCH))


@functools.partial(jax.jit, static_argnums=0)
def init(samples: int, key: jax.Array) -> Params:
  """Draws initial parameters for windows of `samples`."""
  return cast(Params, make_detector(samples).init(key, np.zeros((1, samples), np.float32))["params"])


@jax.jit
def logits(theta: Params, x_bt: jax.Array) -> jax.Array:
  """Returns the logits (batch,) of scaled windows (batch, time)."""
  return cast(jax.Array, make_detector(x_bt.shape[1]).apply({"params": theta}, x_bt))
