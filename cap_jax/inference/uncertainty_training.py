"""Trains what a network knows of its own errors: the head of σ, the detector of windows out of distribution, and the fallback.

`inference.uncertainty` says what they are, and calibrates them.
"""

import dataclasses

import jax
import numpy as np

from cap_jax import config
from cap_jax.baselines import transfer_function
from cap_jax.data import batches, outliers
from cap_jax.inference import uncertainty
from cap_jax.losses import outlier_exposure, spread
from cap_jax.models import detector as detectors
from cap_jax.train import checkpoint, loop, prediction, runs
from cap_jax.train import fallback as fallbacks
from cap_jax.types import Params

_LEAST_STEPS, _RATE = 300, 5e-3  # training of the head
_MOST, _WINDOWS_A_STEP = 12_000, 6  # its windows, and how many of them there are for a step
_DETECTOR_STEPS, _DETECTOR_RATE, _DETECTOR_BATCH, _LARGEST_NOISE_MMHG = 1500, 3e-3, 32, 1.0
_SYSTEMS = 5  # tubings in front of each subject


def transferred_head(adapted: runs.Adapted, source: checkpoint.Checkpoint) -> Params | None:
  """Returns θ_v of a source network for an adapted network.

  σ comes with the features, if all of them were transferred to a network with a head of the same kind.

  Args:
    adapted: the trained target network.
    source: the source network.

  Returns:
    θ_v, or None if it does not fit or the source has none.
  """
  features = [leaf for leaf in adapted.report if leaf.path.startswith("f/")]
  fits = all(leaf.fate == "transferred" for leaf in features) and adapted.checkpoint.net.r == source.net.r
  return source.uncertainty_calibration.head if source.uncertainty_calibration is not None and fits else None


def fit_head(
  trained: checkpoint.Checkpoint, training: batches.Pairs, seed: int = 0, recorder: loop.Recorder = loop.NOWHERE
) -> Params:
  """Trains θ_v of a network whose other parameters are frozen.

  Args:
    trained: the network.
    training: windows that it was trained on, of which up to 12,000 are used.
    seed: seed of the choice of windows and of the fresh parameters.
    recorder: where states and metrics go.
  """
  margin = trained.windows.margin
  # the source's windows are read without the adaptor
  net, params = prediction.strip_adaptor(trained.net, trained.params)
  rows = np.random.default_rng(seed).permutation(len(training.x_bt))[:_MOST]
  steps = loop.whole(max(_LEAST_STEPS, len(rows) / _WINDOWS_A_STEP))
  chosen = training.at(rows)
  x_bt, c_bq = trained.scaling.inputs(training, trained.model)
  part = {"x": x_bt[rows], "c": c_bq[rows], "y": trained.scaling.scale(chosen.y_bt)}
  params["v"] = net.init(jax.random.key(seed), trained.windows.samples)["r"]
  plans = [loop.Plan(steps=steps, rate=_RATE, freeze=net.blocks)]
  fitted = loop.fit(
    net,
    spread.make_spread(net, margin),
    plans,
    params,
    {"source": part},
    config.Training(seed=seed),
    loop.Watch("spread", recorder=recorder),
  )
  return fitted.params["v"]


def fit_detector(
  trained: checkpoint.Checkpoint,
  training: batches.Pairs,
  steps: int,
  recorder: loop.Recorder = loop.NOWHERE,
) -> Params:
  """Trains θ_o on windows of the source and on outliers made of them.

  Args:
    trained: the source network, whose scaling it shares.
    training: windows that it was trained on, of which up to 6,000 are used.
    steps: most steps; 1,500 suffice.
    recorder: where states and metrics go.
  """
  spec, scale = trained.windows, trained.scaling.scale_input
  some = training.at(np.random.default_rng(0).permutation(len(training.x_bt))[: _MOST // 2])
  strange_bt = outliers.make(some.x_bt, some.y_bt, spec.fs_hz, seed=0)
  none = np.zeros((len(some.x_bt), 0), np.float32)
  fitted = loop.fit(
    trained.net,
    outlier_exposure.make_outlier_exposure(_LARGEST_NOISE_MMHG / trained.scaling.sd_mmhg),
    [loop.Plan(steps=min(_DETECTOR_STEPS, steps), rate=_DETECTOR_RATE, freeze=())],
    {outlier_exposure.BLOCK: detectors.init(spec.samples, jax.random.key(0))},
    {
      outlier_exposure.INSIDE: {"x": scale(some.x_bt), "c": none},
      outlier_exposure.OUTSIDE: {"x": scale(strange_bt), "c": none},
    },
    config.Training(batch=_DETECTOR_BATCH, weight_decay=1e-2),
    loop.Watch("detector", recorder=recorder),
  )
  return fitted.params[outlier_exposure.BLOCK]


def fit_fallback(
  trained: checkpoint.Checkpoint, training: batches.Pairs, validation: batches.Pairs
) -> fallbacks.Fallback | None:
  """Fits the conservative answer to the source, and its errors to systems that are none of the source's.

  Args:
    trained: the source network.
    training: windows that it was trained on, of which up to 6,000 are used.
    validation: windows of other subjects. Their reference waves, each subject's behind a tubing of its own, are the systems.

  Returns:
    The fallback; None for a network whose input has no unit, so that it is no answer, and for windows that are too long.
  """
  if trained.scaling.unitless or trained.windows.samples > fallbacks.MOST_SAMPLES:
    return None
  spec, rng = trained.windows, np.random.default_rng(0)
  some = training.at(rng.permutation(len(training.x_bt))[: _MOST // 2])
  bare = fallbacks.Fallback(transfer_function.fit(some, validation, spec))
  wave, csbp = list[float](), list[float]()
  for _ in range(_SYSTEMS):
    x_bt = np.empty_like(validation.y_bt)
    for rows in uncertainty.by_subject(validation):
      x_bt[rows] = outliers.through_any_tubing(validation.y_bt[rows], spec.fs_hz, rng)
    own_bt = uncertainty.read(trained, dataclasses.replace(validation, x_bt=x_bt), adapted=False).y_bt
    y_bt, apart_b = bare.mix(own_bt, x_bt, np.ones(len(x_bt)), spec.fs_hz), bare.apart(x_bt, spec.fs_hz)
    apart_bt = np.broadcast_to(np.maximum(apart_b, 1e-6)[:, None], y_bt.shape)
    scores = uncertainty.score(uncertainty.Reading(y_bt, apart_bt, apart_b), validation, spec)
    for needed, part in ((wave, scores.wave), (csbp, scores.csbp)):
      needed += [float(np.quantile(system, uncertainty.LEVEL)) for system in part if system.size]
  return dataclasses.replace(
    bare, wave=float(np.quantile(wave, uncertainty.LEVEL)), csbp=float(np.quantile(csbp or [0.0], uncertainty.LEVEL))
  )
