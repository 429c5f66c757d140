"""The supervised loss of a reconstruction,

    L(θ) = mean over batch and inner time of w (r(f(x; θ_f), x; θ_r) − y)²

in scaled units, with weights w of mean one where windows do not count alike. The margin at each end of a window counts
neither in the errors nor in the loss. `make_rmse` has the mean over the batch of

    (mean over inner time of (r(f(x; θ_f), x; θ_r) − y)² + ε²)^½

in its place. In a source of healthy people, patients and devices, the windows whose error nothing can remove then count
less: a square weighs a window by its error, a root all alike.
"""

import functools

import jax
import jax.numpy as jnp

from cap_jax.models.net import Net
from cap_jax.types import Batch, LossFn, Metrics, Params

_LEAST = 0.02  # ε, some 0.3 mmHg: the gradient of a root of nothing is infinite


def weighted_mean(square_b: jax.Array, part: Batch) -> jax.Array:
  """Returns the mean of `square_b` (batch,) over windows, by the weights "w" of the part if it has any."""
  return (square_b * part["w"]).mean() if "w" in part else square_b.mean()


def encode(net: Net, params: Params, part: Batch) -> jax.Array:
  """Returns f(x; θ_f), or the features "h" of the part, which a frozen extractor computed once.

  Args:
    net: the network.
    params: its parameters.
    part: "x" (batch, time) and "c" (batch, covariate), or "h" (batch, token, feature).
  """
  return part["h"] if "h" in part else net.features(params["f"], part["x"], part["c"])


@functools.cache
def make_waveform(net: Net, margin: int) -> LossFn:
  """Returns the supervised loss of a network.

  Args:
    net: the network.
    margin: samples at each end of a window that do not count.

  Returns:
    loss(params, part, key); a part holds "x" and "y" (batch, time), and "c" (batch, covariate), optionally "h" and "w".
  """

  def waveform(params: Params, part: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    del key  # deterministic
    error_bt = net.reconstruct(params["r"], encode(net, params, part), part["x"]) - part["y"]
    inner_bt = error_bt[:, margin : error_bt.shape[1] - margin]
    loss = weighted_mean(jnp.square(inner_bt).mean(1), part)
    return loss, {"rmse": jnp.sqrt(loss)}

  return waveform


@functools.cache
def make_rmse(net: Net, margin: int) -> LossFn:
  """Returns the mean of the windows' RMSEs of a network; see `make_waveform` for the arguments and the parts."""

  def rmse(params: Params, part: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    del key  # deterministic
    error_bt = net.reconstruct(params["r"], encode(net, params, part), part["x"]) - part["y"]
    square_b = jnp.square(error_bt[:, margin : error_bt.shape[1] - margin]).mean(1)
    loss = weighted_mean(jnp.sqrt(square_b + _LEAST**2), part)
    return loss, {"rmse": jnp.sqrt(square_b.mean())}

  return rmse
