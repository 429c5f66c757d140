"""A network in blocks: θ = {"f": θ_f, "r": θ_r}, and {"a": θ_a} where an adaptor precedes them."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cap_jax import config
from cap_jax.models import (
  adaptor,
  apconet,
  cnn,
  cnn_bilstm,
  context_cnn,
  hpi,
  lstm,
  mlp,
  number_head,
  sample_head,
  tcn,
  token_cnn,
  waveform_head,
)
from cap_jax.signals import spectra
from cap_jax.types import DType, InputError, Params, suggest

# Precision of the computation. Parameters, the head's last layer and the loss are always float32.
PRECISIONS: dict[str, DType] = {"float32": None, "bfloat16": jnp.bfloat16}
_CODE = 96  # size of the code of the context
EXTRACTORS: Mapping[str, Callable[[config.Model, DType], nn.Module]] = {
  "token_cnn": lambda m, dtype: token_cnn.TokenCNN(m.patch, m.channels, m.layers, m.kernel, dtype),
  "context_cnn": lambda m, dtype: context_cnn.ContextCNN(m.patch, m.channels, m.layers, m.kernel, _CODE, dtype),
  "cnn": lambda m, dtype: cnn.CNN(m.patch, m.channels, m.layers, m.kernel, dtype),
  "tcn": lambda m, dtype: tcn.TCN(m.channels, m.layers, m.kernel, dtype),
  "lstm": lambda m, dtype: lstm.LSTM(m.patch, m.channels, m.layers, dtype),
  "cnn_bilstm": lambda m, dtype: cnn_bilstm.CNNBiLSTM(m.patch, m.channels, m.layers, m.kernel, dtype),
  "mlp": lambda m, dtype: mlp.MLP(m.channels, m.layers),
  "hpi": lambda m, dtype: hpi.HPI(m.channels, dtype),
  "apconet": lambda m, dtype: apconet.APCONet(m.channels, dtype),
}
HEADS: Mapping[str, Callable[[config.Model, DType], nn.Module]] = {
  "waveform": lambda m, dtype: waveform_head.WaveformHead(m.patch, m.head_channels, m.cosines, dtype),
  "sample": lambda m, dtype: sample_head.SampleHead(m.head_channels, dtype),
  "numbers": lambda m, dtype: number_head.NumberHead(m.head_channels, m.outputs),
  "hypotension": lambda m, dtype: hpi.HypotensionHead(dtype),
  "stroke_volume": lambda m, dtype: apconet.StrokeVolumeHead(dtype=dtype),
}
# The heads that predict a wave, and the one of extractors that do not use "waveform": one feature per sample needs no patches.
WAVES = ("waveform", "sample")
WAVE_HEADS = {"tcn": "sample"}
ADAPTORS: Mapping[str, Callable[[config.Model], nn.Module | None]] = {
  "none": lambda m: None,
  "fir": lambda m: adaptor.FIR(m.taps),
  "section": lambda m: adaptor.SecondOrderSection(),
}


# One compiled program per network and shape, also where a script calls a method directly.
_compiled = functools.partial(jax.jit, static_argnums=0)


@dataclasses.dataclass(frozen=True)
class Net:
  """The network y = r(f(a(x); θ_f), a(x); θ_r).

  It is hashable, so that equal networks share one compiled program.

  Attributes:
    f: extractor.
    r: head.
    a: adaptor, or None.
    covariates: number of covariates that the extractor reads, its context included.
  """

  f: nn.Module
  r: nn.Module
  a: nn.Module | None = None
  covariates: int = 0

  @property
  def blocks(self) -> tuple[str, ...]:
    """Names of the blocks, the top level of the parameters."""
    return ("f", "r") if self.a is None else ("a", "f", "r")

  @_compiled
  def adapt(self, params: Params, x_bt: jax.Array) -> jax.Array:
    """Returns a(x; θ_a), (batch, time); x itself without an adaptor.

    Args:
      params: parameters of all blocks.
      x_bt: (batch, time) scaled peripheral windows.
    """
    return x_bt if self.a is None else cast(jax.Array, self.a.apply({"params": params["a"]}, x_bt))

  @_compiled
  def features(self, theta_f: Params, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    """Returns f(x; θ_f), (batch, token, feature).

    Args:
      theta_f: parameters of the extractor.
      x_bt: (batch, time) scaled windows.
      c_bq: (batch, covariate) standardised covariates.
    """
    return cast(jax.Array, self.f.apply({"params": theta_f}, x_bt, c_bq))

  @_compiled
  def reconstruct(self, theta_r: Params, h_bnd: jax.Array, x_bt: jax.Array) -> jax.Array:
    """Returns r(h, x; θ_r), (batch, time), or (batch, quantity) for a head of numbers.

    Args:
      theta_r: parameters of the head.
      h_bnd: (batch, token, feature) features.
      x_bt: (batch, time) scaled windows.
    """
    return cast(jax.Array, self.r.apply({"params": theta_r}, h_bnd, x_bt))

  @_compiled
  def apply(self, params: Params, x_bt: jax.Array, c_bq: jax.Array) -> jax.Array:
    """Returns the scaled aortic windows (batch, time), or the numbers (batch, quantity).

    Args:
      params: parameters of all blocks.
      x_bt: (batch, time) scaled peripheral windows.
      c_bq: (batch, covariate) standardised covariates.
    """
    x_bt = self.adapt(params, x_bt)
    return self.reconstruct(params["r"], self.features(params["f"], x_bt, c_bq), x_bt)

  def init(self, key: jax.Array, samples: int) -> Params:
    """Draws initial parameters.

    Args:
      key: random key.
      samples: number of samples of a window.

    Returns:
      Parameters by block: {"f": θ_f, "r": θ_r}.
    """
    return self._fresh(key, samples, _init_block_jit)

  def _fresh(self, key: jax.Array, samples: int, init_block: Callable[..., Params]) -> Params:
    f_key, r_key = jax.random.split(key)
    x_bt, c_bq = np.zeros((1, samples), np.float32), np.zeros((1, self.covariates), np.float32)
    theta_f = init_block(self.f, f_key, x_bt, c_bq)
    h_bnd = jax.eval_shape(self.features, theta_f, x_bt, c_bq)
    theta = {"f": theta_f, "r": init_block(self.r, r_key, np.zeros(h_bnd.shape, h_bnd.dtype), x_bt)}
    return theta if self.a is None else {"a": init_block(self.a, f_key, x_bt), **theta}

  def layers(self, samples: int) -> tuple[str, ...]:
    """Returns the paths of all layers from the input to the output: `f/embed`, …, `r/wave`.

    Args:
      samples: number of samples of a window.
    """
    return _layers(self, samples)


def _init_block(module: nn.Module, key: jax.Array, *inputs: np.ndarray) -> Params:
  return cast(Params, module.init(key, *inputs)["params"])


# One program per block, shared by all networks with that block; drawing each leaf separately would compile hundreds.
_init_block_jit = jax.jit(_init_block, static_argnums=0)


@functools.cache
def _layers(net: Net, samples: int) -> tuple[str, ...]:
  paths: list[str] = []

  def init() -> Params:
    params = net._fresh(jax.random.key(0), samples, _init_block)
    # flax keeps the order of use, which the trees of jax do not
    paths.extend(f"{block}/{layer}" for block in net.blocks for layer in cast(Mapping[str, Any], params[block]))
    return params

  jax.eval_shape(init)
  return tuple(paths)


@functools.cache
def make_net(model: config.Model) -> Net:
  """Builds the network that a config names.

  Args:
    model: the config.

  Returns:
    Pure functions of the network; it has no parameters of its own.

  Raises:
    InputError: a name is not in its registry.
  """
  for kind, name, registry in (
    ("extractor", model.extractor, EXTRACTORS),
    ("head", model.head, HEADS),
    ("adaptor", model.adaptor, ADAPTORS),
    ("precision", model.precision, PRECISIONS),
  ):
    if name not in registry:
      raise InputError(f"{kind} {name!r} is unknown; {suggest(name, sorted(registry))}")
  dtype = PRECISIONS[model.precision]
  return Net(
    EXTRACTORS[model.extractor](model, dtype),
    HEADS[model.head](model, dtype),
    ADAPTORS[model.adaptor](model),
    len(model.covariates) + spectra.CONTEXT_SIZE * model.reads_context,
  )


@functools.cache
def check(model: config.Model, spec: config.Windows) -> None:
  """Checks that a network can read such windows, without drawing its parameters.

  Args:
    model: config of the network.
    spec: the windows.

  Raises:
    InputError: a name is in no registry, or a size does not fit the windows.
  """
  try:
    jax.eval_shape(lambda: make_net(model).init(jax.random.key(0), spec.samples))
  except InputError:
    raise
  except ValueError as error:
    raise InputError(str(error)) from error
