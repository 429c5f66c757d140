"""The supervised loss of the reconstruction,

    L(θ) = mean over batch and inner time of (r(f(x; θ_f), x; θ_r) − y)²

in scaled units. The margin at each end of a window counts in no error, so it counts in no loss.
"""

import functools

import jax
import jax.numpy as jnp

from cap_jax.models.net import Net
from cap_jax.types import Batch, LossFn, Metrics, Params


@functools.cache
def make_waveform(net: Net, margin: int) -> LossFn:
  """The loss for a network; `margin` samples at each end are left out.

  A batch holds "x" and "y", (batch, time), and may hold "h", the features of x: a frozen extractor's are computed once
  and never again.
  """

  def waveform(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    del key  # deterministic
    h_bnd = batch["h"] if "h" in batch else net.features(params["f"], batch["x"])
    error_bt = net.reconstruct(params["r"], h_bnd, batch["x"]) - batch["y"]
    loss = jnp.square(error_bt[:, margin : error_bt.shape[1] - margin]).mean()
    return loss, {"loss": loss}

  return waveform
