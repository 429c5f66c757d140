"""A trained network as one function of arrays in physical units, for use without this package.

    s = log_power(x)            context of each window; the caller takes their mean over the record
    ŷ, σ, o = answer(x, s̄, c)

x are peripheral windows in mmHg (a PPG in any unit), ŷ the aortic wave in mmHg, σ how large its error may be in mmHg, o the logit of the
detector of windows out of distribution. Everything lies between: scaling, network, interval head, detector, and the
conservative filter to which it falls back (`train.fallback`). The result is that of `uncertainty.read`, which computes parts of it in
NumPy.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax.data import measurement_context, scalings
from cap_jax.losses import spread
from cap_jax.models import detector as detectors
from cap_jax.signals import spectra
from cap_jax.train import checkpoint
from cap_jax.train import fallback as fallbacks
from cap_jax.types import InputError


class WindowFunction(NamedTuple):
  """The functions of a network, for windows (window, time).

  Attributes:
    inputs: name → shape of one row, of what `answer` takes in this order: "peripheral", and where the network reads them "log_power" and
      "covariates".
    outputs: names of what `answer` returns: "aortic"; "sigma" of a calibrated network; "ood" of one with a detector.
    answer: these inputs → aortic wave and σ [mmHg], (window, time), and the detector's logit, (window,).
    log_power: peripheral windows → what "log_power" is the mean of over a record, (window, band); None for a network that does
      not read the context.
  """

  inputs: dict[str, tuple[int, ...]]
  outputs: tuple[str, ...]
  answer: Callable[..., tuple[jax.Array, ...]]
  log_power: Callable[[jax.Array], jax.Array] | None


def exists(trained: checkpoint.Checkpoint) -> bool:
  """Returns whether a network has such functions."""
  return trained.task == "waveform" and trained.blend is None


def of(trained: checkpoint.Checkpoint) -> WindowFunction:
  """Returns the functions of a network.

  Args:
    trained: the network.

  Raises:
    InputError: its output is not the aortic wave alone: it has another task, or is blended with a filter.
  """
  if trained.task != "waveform":
    raise InputError(f"the network was trained for {trained.task}, not for a wave; transfer it first")
  if trained.blend is not None:
    raise InputError(
      "the network is blended with a filter of its clinic, which has no such function; export it as safetensors"
    )
  samples, model = trained.windows.samples, trained.model
  inputs: dict[str, tuple[int, ...]] = {"peripheral": (samples,)}
  if model.reads_context:
    inputs["log_power"] = (spectra.BANDS,)
  if model.covariates:
    inputs["covariates"] = (len(model.covariates),)

  intervals = trained.uncertainty_calibration
  outputs = (
    "aortic",
    *(() if intervals is None else ("sigma",)),
    *(("ood",) if intervals and intervals.detector else ()),
  )

  def answer(*parts: jax.Array) -> tuple[jax.Array, ...]:
    return _answer(trained, dict(zip(inputs, parts, strict=True)))[: len(outputs)]

  def log_power(x_bt: jax.Array) -> jax.Array:
    return _log_power(_scaled(trained.scaling, x_bt))

  return WindowFunction(inputs, outputs, answer, log_power if model.reads_context else None)


def _scaled(scaling: scalings.Scaling, x_bt: jax.Array) -> jax.Array:
  """Returns `Scaling.scale_input`."""
  if not scaling.unitless:
    return (x_bt - scaling.mean_mmhg) / scaling.sd_mmhg
  low_b1, high_b1 = x_bt.min(1, keepdims=True), x_bt.max(1, keepdims=True)
  mean, sd = scalings.UNITLESS
  return ((x_bt - low_b1) / jnp.where(high_b1 > low_b1, high_b1 - low_b1, 1.0) - mean) / sd


def _log_power(x_bt: jax.Array) -> jax.Array:
  """Returns `spectra.log_power`."""
  time = x_bt.shape[1]
  taper_t, weight_fk = np.hanning(time), spectra.bands(time)
  last = int(np.flatnonzero(weight_fk.sum(1))[-1]) + 1  # no band lies above
  taper_t = taper_t / np.sqrt(np.square(taper_t).sum())
  power_bf = _power((x_bt - x_bt.mean(1, keepdims=True)) * jnp.asarray(taper_t, jnp.float32)[None], last)
  return jnp.log(power_bf @ jnp.asarray(weight_fk[:last], jnp.float32) + spectra.FLOOR**2)


def _power(x_bt: jax.Array, frequencies: int) -> jax.Array:
  """Returns the power of the first frequencies of the Fourier transform, (window, frequency), without complex numbers.

  Time and frequency are split in two (Cooley & Tukey 1965, Math. Comput. 19, 297): with t = r a + b and f = c g + h,

      X_f = Σ_b e^(−2πi b f/(r c)) Σ_a e^(−2πi a h/c) x_t

  The matrix of the whole transform is a megabyte, and the two of this are a twentieth.
  """
  time = x_bt.shape[1]
  rows = max(r for r in range(1, math.isqrt(time) + 1) if time % r == 0)
  columns, groups = time // rows, -(-frequencies // (time // rows))
  inner_ah = np.exp(-2j * np.pi * np.outer(np.arange(columns), np.arange(columns)) / columns)
  outer_bf = np.exp(-2j * np.pi * np.outer(np.arange(rows), np.arange(groups * columns)) / time)
  x_nba = x_bt.reshape(-1, columns, rows).swapaxes(1, 2)
  real, imaginary = (
    (x_nba @ jnp.asarray(part, jnp.float32))[:, :, None] for part in (inner_ah.real, inner_ah.imag)
  )  # (window, b, 1, h)
  cos, sin = (
    jnp.asarray(part.reshape(rows, groups, columns), jnp.float32)[None] for part in (outer_bf.real, outer_bf.imag)
  )
  parts = ((real * cos - imaginary * sin).sum(1), (real * sin + imaginary * cos).sum(1))
  power_bgh = jnp.square(parts[0]) + jnp.square(parts[1])
  return power_bgh.reshape(-1, groups * columns)[:, :frequencies]


def _around(measure: measurement_context.MeasurementContext, log_power_bk: jax.Array) -> jax.Array:
  """Returns `MeasurementContext.of_log_power`: its own spectrum, and constants of the clinic or, if that is unknown, the spectrum again."""
  mean_k, sd_k = np.array(measure.spectrum, np.float32).T
  own_bk = (log_power_bk - mean_k[None]) / sd_k[None]
  nobody = np.zeros((1, spectra.BANDS), np.float32)
  rest_bk = jnp.asarray(
    measure.of_log_power(nobody)[:, spectra.BANDS :]
  )  # the same for all windows, but for an unknown clinic
  rest_bk = jnp.broadcast_to(rest_bk, (own_bk.shape[0], rest_bk.shape[1]))
  if not measure.clinic:
    rest_bk = jnp.concatenate([own_bk, rest_bk[:, spectra.BANDS :]], axis=1)
  return jnp.concatenate([own_bk, rest_bk], axis=1)


def _network_inputs(trained: checkpoint.Checkpoint, parts: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
  """Returns `Scaling.inputs`."""
  scaling, names = trained.scaling, trained.model.covariates
  x_bt = _scaled(scaling, parts["peripheral"])
  columns = [jnp.zeros((x_bt.shape[0], 0))]
  if names:
    fitted = {name: (mean, sd) for name, mean, sd in scaling.scalars}
    mean_q, sd_q = np.array([fitted[name] for name in names], np.float32).T
    columns = [(parts["covariates"] - mean_q[None]) / sd_q[None]]
  if scaling.context is not None and trained.model.reads_context:
    columns.append(_around(scaling.context, parts["log_power"]))
  return x_bt, jnp.concatenate(columns, axis=1)


def _answer(trained: checkpoint.Checkpoint, parts: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns the aortic wave, σ and the detector's logit, see `uncertainty.read`."""
  scaling, intervals, net = trained.scaling, trained.uncertainty_calibration, trained.net
  recorded_bt, c_bq = _network_inputs(trained, parts)
  x_bt = net.adapt(trained.params, recorded_bt)
  h_bnd = net.features(trained.params["f"], x_bt, c_bq)
  y_bt = net.reconstruct(trained.params["r"], h_bnd, x_bt) * scaling.sd_mmhg + scaling.mean_mmhg
  sigma_bt = jnp.ones_like(y_bt)
  if intervals is None:
    return y_bt, sigma_bt, jnp.full(y_bt.shape[0], jnp.nan)
  if intervals.head is not None:
    sigma_bt = jnp.exp(spread.log_spread(net, intervals.head, h_bnd, x_bt)) * scaling.sd_mmhg
  if intervals.detector is None:
    return y_bt, sigma_bt, jnp.full(y_bt.shape[0], jnp.nan)
  ood_b = detectors.logits(intervals.detector, recorded_bt)
  if intervals.fallback is None or not math.isfinite(intervals.ood_threshold):
    return y_bt, sigma_bt, ood_b
  fs_hz = trained.windows.fs_hz
  answered = fallbacks.answer(
    intervals.fallback.operators(y_bt.shape[1], fs_hz), fallbacks.Answer(y_bt, sigma_bt), parts["peripheral"], ood_b,
    (intervals.ood_threshold, intervals.fallback_sigma), fs_hz,
  )  # fmt: skip
  return answered.y_bt, answered.sigma_bt, ood_b
