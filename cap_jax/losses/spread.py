"""Error spread of a frozen network: the Gaussian negative log-likelihood of its residuals,

    L(θ_v) = mean [ (y − ŷ)²/(2σ²) + ln σ ],     ln σ = v(f(x; θ_f); θ_v)

(Nix & Weigend 1994, IEEE Int. Conf. Neural Networks, 55). ŷ is frozen, so the reconstruction does not change.
"""

import functools

import jax
import jax.numpy as jnp

from cap_jax.losses import waveform
from cap_jax.models.net import Net
from cap_jax.types import Batch, LossFn, Metrics, Params

SMALLEST, LARGEST = -6.0, 2.0  # of ln σ, in SDs of the pressure


def log_spread(net: Net, theta_v: Params, h_bnd: jax.Array, x_bt: jax.Array) -> jax.Array:
  """Returns ln σ (batch, time) from a head like r that reads the features only.

  Args:
    net: the network.
    theta_v: parameters of the head v.
    h_bnd: (batch, token, feature) features.
    x_bt: (batch, time) windows, of which only the shape counts.
  """
  return jnp.clip(net.reconstruct(theta_v, h_bnd, jnp.zeros_like(x_bt)), SMALLEST, LARGEST)


@functools.cache
def make_spread(net: Net, margin: int) -> LossFn:
  """Returns the loss of the block "v" on the stream "source".

  Args:
    net: the network.
    margin: samples at each end of a window that do not count.
  """

  def spread(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    del key  # deterministic
    part = batch["source"]
    h_bnd = waveform.encode(net, params, part)
    error_bt = part["y"] - net.reconstruct(params["r"], h_bnd, part["x"])
    log_bt = log_spread(net, params["v"], h_bnd, part["x"])
    inner = slice(margin, error_bt.shape[1] - margin)
    loss = (0.5 * jnp.square(error_bt * jnp.exp(-log_bt)) + log_bt)[:, inner].mean()
    return loss, {"loss": loss}

  return spread
