"""Losses of heads that predict numbers of a window,

    L(θ) = mean over batch and quantities of w (r(f(x; θ_f); θ_r) − q)²

`blood_pressure`: q = (SBP, DBP, MAP), the largest, least and mean value of the reference pressure y in the window.
`monitoring`: q = (SBP, DBP, MAP) and the numerics "m" that a monitor shows beside the wave, each standardised.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from cap_jax.losses import waveform
from cap_jax.models.net import Net
from cap_jax.types import Batch, LossFn, Metrics, Params


def pressures(y_bt: jax.Array) -> jax.Array:
  """Returns SBP, DBP and MAP of windows, (batch, 3)."""
  return jnp.stack([y_bt.max(1), y_bt.min(1), y_bt.mean(1)], axis=1)


def _make(net: Net, quantities: Callable[[Batch], jax.Array]) -> LossFn:
  def loss_fn(params: Params, part: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    del key  # deterministic
    error_bq = net.reconstruct(params["r"], waveform.encode(net, params, part), part["x"]) - quantities(part)
    loss = waveform.weighted_mean(jnp.square(error_bq).mean(1), part)
    return loss, {"rmse": jnp.sqrt(loss)}

  return loss_fn


@functools.cache
def make_blood_pressure(net: Net, margin: int) -> LossFn:
  """Returns the blood pressure loss of a network whose head has three outputs.

  Args:
    net: the network.
    margin: not used; every wave loss has the same signature.

  Returns:
    loss(params, part, key); a part holds "x" and "y" (batch, time), and "c" (batch, covariate).
  """
  del margin
  return _make(net, lambda part: pressures(part["y"]))


@functools.cache
def make_monitoring(net: Net, margin: int) -> LossFn:
  """Returns the monitoring loss of a network with one output per numeric besides the three pressures.

  Args:
    net: the network.
    margin: not used; every wave loss has the same signature.

  Returns:
    loss(params, part, key); as for `make_blood_pressure`, and a part holds the numerics "m" (batch, numeric).
  """
  del margin
  return _make(net, lambda part: jnp.concatenate([pressures(part["y"]), part["m"]], axis=1))
