"""Applies a network to windows in blocks of one shape, so that each program compiles once whatever their number."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from cap_jax import config
from cap_jax.data import batches, scalings
from cap_jax.models.net import Net
from cap_jax.train import checkpoint
from cap_jax.types import LossFn, Params

PREDICT = 64
_POOLED = 1024  # windows
Validator = Callable[[Params], float]


def blocks(count: int, size: int = PREDICT) -> Iterator[np.ndarray]:
  """Yields row numbers in blocks of one shape; the last block is filled up from the first row.

  Args:
    count: number of rows.
    size: rows of a block.
  """
  starts = range(0, count, size)
  for start in tqdm.tqdm(starts, desc="windows", unit="block", leave=False, delay=1):
    yield np.arange(start, start + size) % count


def _by_rows(function: Callable[..., jax.Array], *arrays: np.ndarray) -> np.ndarray:
  """Applies a jitted function to rows in blocks."""
  out = [np.asarray(function(*(jnp.asarray(array[rows]) for array in arrays))) for rows in blocks(len(arrays[0]))]
  return np.concatenate(out)[: len(arrays[0])]


def apply_adaptor(net: Net, params: Params, x_bt: np.ndarray) -> np.ndarray:
  """Returns a(x; θ_a), or x itself without an adaptor.

  This is a short program of its own. Networks that differ only in their adaptors therefore share the long ones, which
  read `strip_adaptor`.

  Args:
    net: the network.
    params: its parameters.
    x_bt: (window, time) scaled windows.
  """
  if net.a is None:
    return x_bt
  return _by_rows(lambda x: net.adapt({"a": params["a"]}, x), x_bt)


def strip_adaptor(net: Net, params: Params) -> tuple[Net, Params]:
  """Returns a network without its adaptor, and θ_f and θ_r alone.

  Args:
    net: the network.
    params: its parameters.
  """
  return dataclasses.replace(net, a=None), {block: params[block] for block in ("f", "r")}


def features(
  net: Net, params: Params, x_bt: np.ndarray, c_bq: np.ndarray, block: str = "f", adapted: bool = True
) -> np.ndarray:
  """Returns f(a(x; θ_a); θ_f), (window, token, feature).

  Args:
    net: the network.
    params: its parameters.
    x_bt: (window, time) scaled windows.
    c_bq: (window, covariate) standardised covariates.
    block: name of θ_f in the parameters.
    adapted: whether the adaptor is applied to x.
  """
  x_bt = apply_adaptor(net, params, x_bt) if adapted else x_bt
  plain = dataclasses.replace(net, a=None)
  return _by_rows(lambda x, c: plain.features(params[block], x, c), x_bt, c_bq)


def apply(net: Net, params: Params, x_bt: np.ndarray, c_bq: np.ndarray) -> np.ndarray:
  """Returns the output of a network for scaled windows.

  Args:
    net: the network.
    params: its parameters.
    x_bt: (window, time) scaled windows.
    c_bq: (window, covariate) standardised covariates.
  """
  plain, theta = strip_adaptor(net, params)
  return _by_rows(lambda x, c: plain.apply(theta, x, c), apply_adaptor(net, params, x_bt), c_bq)


def predict(
  trained: checkpoint.Checkpoint, windows: batches.Pairs | batches.Waves, rows: np.ndarray | slice = slice(None)
) -> np.ndarray:
  """Returns aortic windows (window, time) [mmHg].

  Args:
    trained: the network.
    windows: peripheral windows (window, time) [mmHg].
    rows: which of them to predict; the others still show the context.

  Raises:
    InputError: the windows lack a covariate that the network needs.
  """
  scaling = trained.scaling
  x_bt, c_bq = scaling.inputs(windows, trained.model)
  network_bt = scaling.unscale(apply(trained.net, trained.params, x_bt[rows], c_bq[rows]))
  return trained.blended(network_bt, windows.x_bt[rows])


def pooled(
  trained: checkpoint.Checkpoint, windows: batches.Pairs | batches.Waves, adapted: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Returns features of up to 1,024 windows, averaged over tokens, (window, feature), and their subjects.

  Args:
    trained: the network.
    windows: peripheral windows [mmHg].
    adapted: whether the adaptor is applied to the input.
  """
  rows = np.random.default_rng(0).permutation(len(windows.x_bt))[:_POOLED]
  x_bt, c_bq = trained.scaling.inputs(windows, trained.model)
  h_bnd = features(trained.net, trained.params, x_bt[rows], c_bq[rows], adapted=adapted)
  return h_bnd.mean(1, dtype=np.float32), windows.subject_b[rows]


@functools.partial(jax.jit, static_argnums=0)
def _mean_loss(loss: LossFn, params: Params, part: dict[str, jax.Array]) -> jax.Array:
  return loss(params, part, jax.random.key(0))[0]


def evaluate(loss: LossFn, params: Params, part: Mapping[str, np.ndarray]) -> float:
  """Returns the root of the mean loss of a task over all windows, in whole blocks.

  Args:
    loss: loss of the task.
    params: parameters of the network.
    part: scaled windows by axis.
  """
  count = len(part["x"])
  rows = [np.arange(start, start + PREDICT) % count for start in range(0, count, PREDICT)]
  values = [float(_mean_loss(loss, params, {axis: array[r] for axis, array in part.items()})) for r in rows]
  return float(np.sqrt(np.mean(values)))


def make_validator(
  net: Net,
  finish: Callable[[Params], Params],
  scaling: scalings.Scaling,
  model: config.Model,
  windows: batches.Pairs,
  spec: config.Windows,
) -> Validator:
  """Returns a function from parameters in training to the mean over subjects of their waveform RMSE [mmHg].

  Args:
    net: the network.
    finish: parameters in training → parameters of the network.
    scaling: scaling of the windows.
    model: config of the network.
    windows: labelled validation windows [mmHg].
    spec: margin of the windows.
  """
  x_bt, c_bq = scaling.inputs(windows, model)

  def validate(params: Params) -> float:
    predicted_bt = scaling.unscale(apply(net, finish(params), x_bt, c_bq))
    return float(np.mean(list(rmse_of_each(square_error(predicted_bt, windows, spec), windows.subject_b).values())))

  return validate


def square_error(predicted_bt: np.ndarray, windows: batches.Pairs, spec: config.Windows) -> np.ndarray:
  """Returns the mean square error [mmHg²] of aortic windows without their margins, (window,).

  Args:
    predicted_bt: (window, time) predicted aortic windows [mmHg].
    windows: windows with their references.
    spec: margin of the windows.
  """
  return np.square(predicted_bt - windows.y_bt)[:, spec.margin : spec.samples - spec.margin].mean(1)


def rmse_of_each(square_b: np.ndarray, subject_b: np.ndarray) -> dict[str, float]:
  """Returns subject → root mean square error over its windows.

  Args:
    square_b: (window,) mean square error.
    subject_b: (window,) subject names.
  """
  names, number_b = np.unique(subject_b, return_inverse=True)
  return dict(
    zip(names.tolist(), np.sqrt(np.bincount(number_b, square_b) / np.bincount(number_b)).tolist(), strict=True)
  )
