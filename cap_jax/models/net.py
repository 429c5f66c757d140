"""A network in blocks: θ = {"f": θ_f, "r": θ_r}."""

import dataclasses
import functools
from typing import cast

import jax
import jax.numpy as jnp
from flax import linen as nn

from cap_jax import config
from cap_jax.models import token_cnn, waveform_head
from cap_jax.types import Params

EXTRACTORS = {
  "token_cnn": lambda m: token_cnn.TokenCNN(m.patch, m.channels, m.layers, m.kernel),
}
HEADS = {
  "waveform": lambda m: waveform_head.WaveformHead(m.patch, m.head_channels, m.cosines),
}


@dataclasses.dataclass(frozen=True)
class Net:
  """y = r(f(x; θ_f), x; θ_r). Hashable, so that what is compiled for it is compiled once."""

  f: nn.Module
  r: nn.Module

  def features(self, theta_f: Params, x_bt: jax.Array) -> jax.Array:
    """f(x; θ_f): (batch, token, feature)."""
    return cast(jax.Array, self.f.apply({"params": theta_f}, x_bt))

  def reconstruct(self, theta_r: Params, h_bnd: jax.Array, x_bt: jax.Array) -> jax.Array:
    """r(h, x; θ_r): (batch, time)."""
    return cast(jax.Array, self.r.apply({"params": theta_r}, h_bnd, x_bt))

  def apply(self, params: Params, x_bt: jax.Array) -> jax.Array:
    """The scaled aortic windows of scaled peripheral ones, both (batch, time)."""
    return self.reconstruct(params["r"], self.features(params["f"], x_bt), x_bt)

  def init(self, key: jax.Array, samples: int) -> Params:
    """Fresh parameters for windows of `samples`."""
    f_key, r_key = jax.random.split(key)
    x_bt = jnp.zeros((1, samples))
    theta_f = self.f.init(f_key, x_bt)["params"]
    theta_r = self.r.init(r_key, self.features(theta_f, x_bt), x_bt)["params"]
    return {"f": theta_f, "r": theta_r}


@functools.cache
def make_net(model: config.Model) -> Net:
  """The network that a config names.

  Raises:
    ValueError: a name is not in its registry.
  """
  for kind, name, known in (("extractor", model.extractor, EXTRACTORS), ("head", model.head, HEADS)):
    if name not in known:
      raise ValueError(f"{kind} {name!r} is unknown; choose one of {', '.join(sorted(known))}")
  return Net(EXTRACTORS[model.extractor](model), HEADS[model.head](model))
