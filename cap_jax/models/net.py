"""A network in blocks: θ = {"f": θ_f, "r": θ_r}, and {"a": θ_a} where an adaptor stands ahead of them."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cap_jax import config
from cap_jax.models import (
  adaptor,
  cnn,
  cnn_bilstm,
  lstm,
  mlp,
  number_head,
  sample_head,
  tcn,
  token_cnn,
  waveform_head,
)
from cap_jax.types import DType, InputError, Params

# of the computation; the parameters, the head's last layer and the loss are float32 in all of them
PRECISIONS: dict[str, DType] = {"float32": None, "bfloat16": jnp.bfloat16}
EXTRACTORS = {
  "token_cnn": lambda m, dtype: token_cnn.TokenCNN(m.patch, m.channels, m.layers, m.kernel, dtype),
  "cnn": lambda m, dtype: cnn.CNN(m.patch, m.channels, m.layers, m.kernel, dtype),
  "tcn": lambda m, dtype: tcn.TCN(m.channels, m.layers, m.kernel, dtype),
  "lstm": lambda m, dtype: lstm.LSTM(m.patch, m.channels, m.layers, dtype),
  "cnn_bilstm": lambda m, dtype: cnn_bilstm.CNNBiLSTM(m.patch, m.channels, m.layers, m.kernel, dtype),
  "mlp": lambda m, dtype: mlp.MLP(m.channels, m.layers),
}
HEADS = {
  "waveform": lambda m, dtype: waveform_head.WaveformHead(m.patch, m.head_channels, m.cosines, dtype),
  "sample": lambda m, dtype: sample_head.SampleHead(m.head_channels, dtype),
  "numbers": lambda m, dtype: number_head.NumberHead(m.head_channels, m.outputs),
}
# the head for a wave where it is not "waveform": what has a feature for each sample needs no patches
WAVE_HEADS = {"tcn": "sample"}
ADAPTORS = {
  "none": lambda m: None,
  "fir": lambda m: adaptor.FIR(m.taps),
  "section": lambda m: adaptor.SecondOrderSection(),
}


# one program a network and shape, also where a script calls it outside of one
_compiled = functools.partial(jax.jit, static_argnums=0)


@dataclasses.dataclass(frozen=True)
class Net:
  """y = r(f(a(x); θ_f), a(x); θ_r). Hashable, so that what is compiled for it is compiled once.

  f, r, a: extractor, head, and adaptor or None.
  covariates: how many the extractor takes.
  """

  f: nn.Module
  r: nn.Module
  a: nn.Module | None = None
  covariates: int = 0

  @property
  def blocks(self) -> tuple[str, ...]:
    """Top level of the parameters."""
    return ("f", "r") if self.a is None else ("a", "f", "r")

  @_compiled
  def adapt(self, params: Params, x_bt: jax.Array) -> jax.Array:
    """a(x; θ_a): (batch, time); x itself without an adaptor."""
    return x_bt if self.a is None else cast(jax.Array, self.a.apply({"params": params["a"]}, x_bt))

  @_compiled
  def features(self, theta_f: Params, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    """f(x; θ_f): (batch, token, feature)."""
    return cast(jax.Array, self.f.apply({"params": theta_f}, x_bt, c_bq))

  @_compiled
  def reconstruct(self, theta_r: Params, h_bnd: jax.Array, x_bt: jax.Array) -> jax.Array:
    """r(h, x; θ_r): (batch, time), or (batch, quantity) for a head of numbers."""
    return cast(jax.Array, self.r.apply({"params": theta_r}, h_bnd, x_bt))

  @_compiled
  def apply(self, params: Params, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    """The scaled aortic windows (or numbers) of scaled peripheral ones (batch, time) and covariates."""
    x_bt = self.adapt(params, x_bt)
    return self.reconstruct(params["r"], self.features(params["f"], x_bt, c_bq), x_bt)

  def init(self, key: jax.Array, samples: int) -> Params:
    """Fresh parameters for windows of `samples`."""
    return self._fresh(key, samples, _draw)

  def _fresh(self, key: jax.Array, samples: int, draw: Callable[..., Params]) -> Params:
    f_key, r_key = jax.random.split(key)
    x_bt, c_bq = np.zeros((1, samples), np.float32), np.zeros((1, self.covariates), np.float32)
    theta_f = draw(self.f, f_key, x_bt, c_bq)
    h_bnd = jax.eval_shape(self.features, theta_f, x_bt, c_bq)
    theta = {"f": theta_f, "r": draw(self.r, r_key, np.zeros(h_bnd.shape, h_bnd.dtype), x_bt)}
    return theta if self.a is None else {"a": draw(self.a, f_key, x_bt), **theta}

  def layers(self, samples: int) -> tuple[str, ...]:
    """Paths of all layers from the input to the output: `f/embed`, …, `r/wave`."""
    return _layers(self, samples)


def _drawn(module: nn.Module, key: jax.Array, *inputs: np.ndarray) -> Params:
  return cast(Params, module.init(key, *inputs)["params"])


# a program a block, which all networks that have the block share; drawing each leaf by itself would compile hundreds
_draw = jax.jit(_drawn, static_argnums=0)


@functools.cache
def _layers(net: Net, samples: int) -> tuple[str, ...]:
  found: list[str] = []

  def init() -> Params:
    params = net._fresh(jax.random.key(0), samples, _drawn)
    # flax keeps the order of use, which the trees of jax do not
    found.extend(f"{block}/{layer}" for block in net.blocks for layer in cast(Mapping, params[block]))
    return params

  jax.eval_shape(init)
  return tuple(found)


@functools.cache
def make_net(model: config.Model) -> Net:
  """The network that a config names.

  Raises:
    InputError: a name is not in its registry.
  """
  for kind, name, known in (
    ("extractor", model.extractor, EXTRACTORS),
    ("head", model.head, HEADS),
    ("adaptor", model.adaptor, ADAPTORS),
    ("precision", model.precision, PRECISIONS),
  ):
    if name not in known:
      raise InputError(f"{kind} {name!r} is unknown; choose one of {', '.join(sorted(known))}")
  dtype = PRECISIONS[model.precision]
  return Net(
    EXTRACTORS[model.extractor](model, dtype),
    HEADS[model.head](model, dtype),
    ADAPTORS[model.adaptor](model),
    len(model.covariates),
  )


@functools.cache
def check(model: config.Model, spec: config.Windows) -> None:
  """Checks that a network can read such windows, without making it.

  Raises:
    InputError: a name is in no registry, or a size does not go with the windows.
  """
  try:
    jax.eval_shape(lambda: make_net(model).init(jax.random.key(0), spec.samples))
  except InputError:
    raise
  except ValueError as error:
    raise InputError(str(error)) from error
