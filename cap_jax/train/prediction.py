"""What a network makes of windows: in blocks of one shape, so that each program compiles once whatever their number."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from cap_jax import config
from cap_jax.data import batches
from cap_jax.models.net import Net
from cap_jax.train import checkpoint
from cap_jax.types import LossFn, Params

PREDICT = 64
_POOLED = 1024  # windows
Validator = Callable[[Params], float]


def blocks(count: int, size: int = PREDICT) -> Iterator[np.ndarray]:
  """Rows in blocks of one shape, so that what reads them compiles once whatever their number; the last begins again at the first
  row."""
  starts = range(0, count, size)
  for start in tqdm.tqdm(starts, desc="windows", unit="block", leave=False, delay=1):
    yield np.arange(start, start + size) % count


def _by_rows(function: Callable[..., jax.Array], *arrays: np.ndarray) -> np.ndarray:
  """A jitted function over rows in blocks."""
  out = [np.asarray(function(*(jnp.asarray(array[rows]) for array in arrays))) for rows in blocks(len(arrays[0]))]
  return np.concatenate(out)[: len(arrays[0])]


def apply_adaptor(net: Net, params: Params, x_bt: np.ndarray) -> np.ndarray:
  """a(x; θ_a): of scaled windows (window, time), x itself without an adaptor. A short program of its own, so that networks that differ
  in their adaptors only share the long ones, which read `strip_adaptor`."""
  if net.a is None:
    return x_bt
  return _by_rows(lambda x: net.adapt({"a": params["a"]}, x), x_bt)


def strip_adaptor(net: Net, params: Params) -> tuple[Net, Params]:
  """A network without its adaptor, and θ_f and θ_r alone."""
  return dataclasses.replace(net, a=None), {block: params[block] for block in ("f", "r")}


def features(
  net: Net, params: Params, x_bt: np.ndarray, c_bq: np.ndarray, block: str = "f", adapted: bool = True
) -> np.ndarray:
  """f(a(x; θ_a); θ_f) of scaled windows: (window, token, feature). `block` names θ_f; unadapted, x is read as it is."""
  x_bt = apply_adaptor(net, params, x_bt) if adapted else x_bt
  plain = dataclasses.replace(net, a=None)
  return _by_rows(lambda x, c: plain.features(params[block], x, c), x_bt, c_bq)


def apply(net: Net, params: Params, x_bt: np.ndarray, c_bq: np.ndarray) -> np.ndarray:
  """The network's output on scaled windows."""
  plain, theta = strip_adaptor(net, params)
  return _by_rows(lambda x, c: plain.apply(theta, x, c), apply_adaptor(net, params, x_bt), c_bq)


def predict(trained: checkpoint.Checkpoint, windows: batches.Pairs | batches.Waves) -> np.ndarray:
  """Aortic windows [mmHg] of peripheral windows [mmHg], both (window, time).

  Raises:
    InputError: a covariate that the network takes is not known of the windows.
  """
  scaling = trained.scaling
  c_bq = scaling.standardise(windows.covariates, trained.model.covariates, len(windows.x_bt))
  return scaling.unscale(apply(trained.net, trained.params, scaling.scale(windows.x_bt), c_bq))


def pooled(
  trained: checkpoint.Checkpoint, windows: batches.Pairs | batches.Waves, adapted: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Features of up to 1,024 windows, averaged over tokens, (window, feature), and their subjects; unadapted, the input is read
  as it is."""
  rows = np.random.default_rng(0).permutation(len(windows.x_bt))[:_POOLED]
  c_bq = trained.scaling.standardise(windows.covariates, trained.model.covariates, len(windows.x_bt))
  h_bnd = features(trained.net, trained.params, trained.scaling.scale(windows.x_bt[rows]), c_bq[rows], adapted=adapted)
  return h_bnd.mean(1, dtype=np.float32), windows.subject_b[rows]


@functools.partial(jax.jit, static_argnums=0)
def _mean_loss(loss: LossFn, params: Params, part: dict[str, jax.Array]) -> jax.Array:
  return loss(params, part, jax.random.key(0))[0]


def evaluate(loss: LossFn, params: Params, part: Mapping[str, np.ndarray]) -> float:
  """Root of a task's loss over all windows of a part, in whole blocks."""
  count = len(part["x"])
  rows = [np.arange(start, start + PREDICT) % count for start in range(0, count, PREDICT)]
  values = [float(_mean_loss(loss, params, {axis: array[r] for axis, array in part.items()})) for r in rows]
  return float(np.sqrt(np.mean(values)))


def make_validator(
  net: Net,
  finish: Callable[[Params], Params],
  scaling: batches.Scaling,
  model: config.Model,
  windows: batches.Pairs,
  spec: config.Windows,
) -> Validator:
  """Parameters in training → waveform RMSE [mmHg] on some windows, per subject, then the mean over subjects."""
  x_bt = scaling.scale(windows.x_bt)
  c_bq = scaling.standardise(windows.covariates, model.covariates, len(x_bt))

  def validate(params: Params) -> float:
    found_bt = scaling.unscale(apply(net, finish(params), x_bt, c_bq))
    return float(np.mean(list(rmse_of_each(square_error(found_bt, windows, spec), windows.subject_b).values())))

  return validate


def square_error(found_bt: np.ndarray, windows: batches.Pairs, spec: config.Windows) -> np.ndarray:
  """(window,) mean square error [mmHg²] of aortic windows, less their margins."""
  return np.square(found_bt - windows.y_bt)[:, spec.margin : spec.samples - spec.margin].mean(1)


def rmse_of_each(square_b: np.ndarray, subject_b: np.ndarray) -> dict[str, float]:
  """Subject → root of the mean over windows."""
  names, number_b = np.unique(subject_b, return_inverse=True)
  return dict(
    zip(names.tolist(), np.sqrt(np.bincount(number_b, square_b) / np.bincount(number_b)).tolist(), strict=True)
  )
