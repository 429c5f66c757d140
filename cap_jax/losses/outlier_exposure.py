"""The loss of a detector of windows out of distribution, taught on examples of both kinds (outlier exposure, Hendrycks
et al. 2019, ICLR),

    L(θ_o) = mean softplus(s(x + ε)) + mean softplus(−s(x_out + ε)),     ε ~ N(0, u² I),  u ~ U(0, u_max)

s is the logit of the detector. The same noise is added to both, so that it does not tell them apart.
"""

import functools

import jax
import jax.numpy as jnp

from cap_jax.models import detector
from cap_jax.types import Batch, LossFn, Metrics, Params

BLOCK = "o"
INSIDE, OUTSIDE = "source", "outliers"


@functools.cache
def make_outlier_exposure(largest_noise: float) -> LossFn:
  """Returns the loss of the block "o" on the streams "source" and "outliers".

  Args:
    largest_noise: u_max, in the unit of the scaled windows.
  """

  def outlier_exposure(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    inside_bt, outside_bt = batch[INSIDE]["x"], batch[OUTSIDE]["x"]
    x_bt = jnp.concatenate([inside_bt, outside_bt])
    size_key, noise_key = jax.random.split(key)
    size_b1 = largest_noise * jax.random.uniform(size_key, (x_bt.shape[0], 1))
    s_b = detector.logits(params[BLOCK], x_bt + size_b1 * jax.random.normal(noise_key, x_bt.shape))
    s_in, s_out = s_b[: inside_bt.shape[0]], s_b[inside_bt.shape[0] :]
    loss = jax.nn.softplus(s_in).mean() + jax.nn.softplus(-s_out).mean()
    return loss, {"loss": loss, "detected": 0.5 * ((s_in < 0).mean() + (s_out > 0).mean())}

  return outlier_exposure
