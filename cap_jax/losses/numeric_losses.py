"""Losses of heads that give numbers of a window,

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
  """(batch, 3) SBP, DBP, MAP of windows."""
  return jnp.stack([y_bt.max(1), y_bt.min(1), y_bt.mean(1)], axis=1)


def _make(net: Net, quantities: Callable[[Batch], jax.Array]) -> LossFn:
  def numbers(params: Params, part: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    del key  # deterministic
    error_bq = net.reconstruct(params["r"], waveform.encode(net, params, part), part["x"]) - quantities(part)
    loss = waveform.weighted_mean(jnp.square(error_bq).mean(1), part)
    return loss, {"rmse": jnp.sqrt(loss)}

  return numbers


@functools.cache
def make_blood_pressure(net: Net, margin: int) -> LossFn:
  """A part holds "x", "y", (batch, time), and "c"; the head has three outputs. The margin is not used."""
  del margin
  return _make(net, lambda part: pressures(part["y"]))


@functools.cache
def make_monitoring(net: Net, margin: int) -> LossFn:
  """As `make_blood_pressure`, with the numerics "m" (batch, numeric) as further outputs."""
  del margin
  return _make(net, lambda part: jnp.concatenate([pressures(part["y"]), part["m"]], axis=1))
