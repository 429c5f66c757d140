"""Prediction intervals for the wave and for cSBP, and detection of waves that are out of distribution.

    ŷ(t) ± q_wave·σ(t),     ĉSBP ± q_csbp·σ(t_peak)

σ comes from a head of its own on frozen features (`losses.spread`). q is split-conformal over subjects: the (1 − α)
quantile of the scores |y − ŷ|/σ of labelled subjects outside the training, in the hierarchical form of Lee, Barber &
Willett 2023 (arXiv 2306.06342),

    q = quantile of Σ_k 1/(K + 1) · mean_i δ(s_ki) + 1/(K + 1) · δ(∞)  at 1 − α,

which covers one instant, or one beat, of one new subject of the same population with that probability, however similar
the instants of one subject are. It says nothing about subjects of another population. These are detected by the squared
Mahalanobis distance of the pooled features from those of the training (Lee K. et al. 2018, NeurIPS 31). The threshold
is the 90 % quantile of the calibration subjects.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import config
from cap_jax.data import batches, splits
from cap_jax.losses import spread
from cap_jax.models.net import Net
from cap_jax.signals import beats
from cap_jax.train import checkpoint, loop, prediction, runs
from cap_jax.train.uncertainty_calibration import UncertaintyCalibration
from cap_jax.types import Params

LEVEL = 0.9
_STEPS, _RATE, _MOST = 300, 5e-3, 3000  # training of the head: steps, learning rate, largest number of windows
_SHRINK = 0.1  # shrinkage of the covariance of the features towards its diagonal's mean
_EVERY = 5  # samples: neighbours have similar scores


class Reading(NamedTuple):
  """What a network computes from windows.

  Attributes:
    y_bt: (window, time) aortic pressure [mmHg].
    sigma_bt: (window, time) σ [mmHg]; 1 without a head.
    h_bd: (window, feature) pooled features.
  """

  y_bt: np.ndarray
  sigma_bt: np.ndarray
  h_bd: np.ndarray


@functools.partial(jax.jit, static_argnums=0)
def _read(net: Net, params: Params, head: Params, x_bt: jax.Array, c_bq: jax.Array) -> tuple[jax.Array, ...]:
  h_bnd = net.features(params["f"], x_bt, c_bq)
  log_bt = spread.log_spread(net, head, h_bnd, x_bt) if head else jnp.zeros_like(x_bt)
  return net.reconstruct(params["r"], h_bnd, x_bt), log_bt, h_bnd.mean(1, dtype=jnp.float32)


def read(
  trained: checkpoint.Checkpoint,
  head: Params | None,
  windows: batches.Waves | batches.Pairs,
  adapted: bool = True,
  block: int = prediction.PREDICT,
) -> Reading:
  """Computes waves, their σ and pooled features of peripheral windows [mmHg], in one pass.

  Args:
    trained: the network.
    head: θ_v, None for σ = 1 mmHg.
    windows: peripheral windows [mmHg].
    adapted: whether to apply the adaptor, as for the target's windows; the source's are read without it.
    block: windows of a batch.

  Raises:
    InputError: the windows lack a covariate that the network needs.
  """
  scaling = trained.scaling
  c_bq = scaling.standardise(windows.covariates, trained.model.covariates, len(windows.x_bt))
  x_bt, outputs = scaling.scale(windows.x_bt), []
  x_bt = prediction.apply_adaptor(trained.net, trained.params, x_bt) if adapted else x_bt
  net, params = prediction.strip_adaptor(trained.net, trained.params)
  for rows in prediction.blocks(len(x_bt), block):
    output = _read(net, params, head or {}, jnp.asarray(x_bt[rows]), jnp.asarray(c_bq[rows]))
    outputs.append([np.asarray(part) for part in output])
  y_bt, log_bt, h_bd = (np.concatenate(part)[: len(x_bt)] for part in zip(*outputs, strict=True))
  sigma_bt = np.exp(log_bt) * (scaling.sd_mmhg if head else 1.0)
  return Reading(trained.blended(scaling.unscale(y_bt), windows.x_bt), sigma_bt, h_bd)


def fit_head(
  trained: checkpoint.Checkpoint, training: batches.Pairs, seed: int = 0, recorder: loop.Recorder = loop.NOWHERE
) -> Params:
  """Trains θ_v of a network whose other parameters are frozen.

  Args:
    trained: the network.
    training: windows that it was trained on, of which up to 3,000 are used.
    seed: seed of the choice of windows and of the fresh parameters.
    recorder: where states and metrics go.
  """
  margin = trained.windows.margin
  # the source's windows are read without the adaptor
  net, params = prediction.strip_adaptor(trained.net, trained.params)
  rows = np.random.default_rng(seed).permutation(len(training.x_bt))[:_MOST]
  chosen = training.at(rows)
  part = {"x": trained.scaling.scale(chosen.x_bt), "y": trained.scaling.scale(chosen.y_bt)}
  part["c"] = trained.scaling.standardise(chosen.covariates, trained.model.covariates, len(chosen.x_bt))
  params["v"] = net.init(jax.random.key(seed), trained.windows.samples)["r"]
  plans = [loop.Plan(steps=_STEPS, rate=_RATE, freeze=net.blocks)]
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


def conformal(scores: Sequence[np.ndarray], level: float) -> float:
  """Returns the hierarchical conformal quantile of scores; infinite for fewer subjects than level/(1 − level).

  Args:
    scores: an array for each subject.
    level: 1 − α.

  Raises:
    ValueError: there is no subject, or a subject has no score.
  """
  if not scores or any(score.size == 0 for score in scores):
    raise ValueError("conformal: needs at least one subject, and at least one score for every subject")
  weight = np.concatenate([np.full(score.size, 1 / (len(scores) + 1) / score.size) for score in scores])
  value = np.concatenate(scores)
  order = np.argsort(value)
  # weights that sum exactly to the level, as for nine subjects and 0.9, differ by the rounding of some 10⁵ sums
  reached = np.cumsum(weight[order]) >= level - 1e-9
  return float(value[order][reached.argmax()]) if reached.any() else float("inf")


def _by_subject(windows: batches.Pairs) -> list[np.ndarray]:
  return [np.flatnonzero(windows.subject_b == name) for name in windows.subjects]


class Scores(NamedTuple):
  """|y − ŷ|/σ, an array for each subject.

  Attributes:
    wave: scores of the wave's samples.
    csbp: scores of cSBP's beats; empty for a subject without a whole beat.
  """

  wave: list[np.ndarray]
  csbp: list[np.ndarray]


def score(reading: Reading, windows: batches.Pairs, spec: config.Windows) -> Scores:
  """Returns the scores of labelled windows, without their margins.

  Args:
    reading: output of the network for the windows.
    windows: the windows with their references.
    spec: margin of the windows.
  """
  inner = slice(spec.margin, spec.samples - spec.margin)
  y_bt, p_bt, s_bt = (x[:, inner] for x in (windows.y_bt, reading.y_bt, reading.sigma_bt))
  relative = np.abs(y_bt - p_bt) / s_bt
  wave, csbp, feet = [], [], windows.reference_feet(spec)
  for rows in _by_subject(windows):
    wave.append(relative[rows, ::_EVERY].ravel())
    csbp.append(np.concatenate([_of_beats(y_bt[k], p_bt[k], s_bt[k], feet[k]) for k in rows]))
  return Scores(wave, csbp)


def _of_beats(y_t: np.ndarray, p_t: np.ndarray, s_t: np.ndarray, feet: np.ndarray) -> np.ndarray:
  """Returns the score of cSBP for each beat, at the σ of the predicted peak."""
  peaks = peaks_of(p_t, feet)
  tops = np.array([y_t[a:b].max() for a, b in itertools.pairwise(feet.tolist())])
  return np.abs(tops - p_t[peaks]) / s_t[peaks]


def peaks_of(p_t: np.ndarray, feet: np.ndarray) -> np.ndarray:
  """Returns the sample of a wave's highest value in each beat, (beat,).

  Args:
    p_t: (time,) wave.
    feet: samples of the feet that separate the beats.
  """
  return np.array([a + int(p_t[a:b].argmax()) for a, b in itertools.pairwise(feet.tolist())], dtype=int)


def distance(mean_d: np.ndarray, precision: np.ndarray, h_bd: np.ndarray) -> np.ndarray:
  """Returns the squared Mahalanobis distance of pooled features, (window,).

  Args:
    mean_d: mean of the features of the training.
    precision: their precision.
    h_bd: (window, feature) pooled features.
  """
  off = h_bd - mean_d
  return np.einsum("bd,de,be->b", off, precision, off)


def out_of_distribution(intervals: UncertaintyCalibration, h_bd: np.ndarray) -> np.ndarray:
  """Returns 1 for windows out of distribution, otherwise 0, (window,); NaN if too few subjects determined no threshold.

  Args:
    intervals: calibration of the network.
    h_bd: (window, feature) pooled features.
  """
  far = distance(intervals.mean_d, intervals.precision_dd, h_bd) > intervals.ood_threshold
  return far.astype(float) if np.isfinite(intervals.ood_threshold) else np.full(len(h_bd), np.nan)


def _mean_and_precision(h_bd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns mean and precision of pooled features, with a shrunk, invertible covariance."""
  mean, centred = h_bd.mean(0), h_bd - h_bd.mean(0)
  covariance = centred.T @ centred / len(h_bd)
  level = np.trace(covariance) / len(mean)
  shrunk = (1 - _SHRINK) * covariance + _SHRINK * level * np.eye(len(mean))
  return mean, np.linalg.inv(shrunk).astype(np.float32)


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


def equip(
  trained: checkpoint.Checkpoint,
  head: Params | None,
  training: batches.Waves | batches.Pairs,
  calibration: batches.Pairs,
  where: str,
  adapted: bool = True,
  level: float = LEVEL,
) -> checkpoint.Checkpoint:
  """Returns the network with calibrated intervals.

  Args:
    trained: the network; its task is the wave.
    head: θ_v of it, or of the source network from which its features came; None for the same σ everywhere.
    training: windows like those that it was trained on, for the detection of windows out of distribution.
    calibration: labelled windows of subjects outside the training.
    where: who the calibration subjects are.
    adapted: whether these windows are the target's, which the adaptor reads.
    level: level of the intervals.

  Raises:
    splits.LeakError: a subject is in both training and calibration.
  """
  splits.Split({"training": training.subjects, "calibration": calibration.subjects})
  reading = read(trained, head, calibration, adapted)
  scores = score(reading, calibration, trained.windows)
  sample = _some(training)
  mean, precision = _mean_and_precision(read(trained, head, sample, adapted).h_bd)
  apart = distance(mean, precision, reading.h_bd)
  uncertainty_calibration = UncertaintyCalibration(
    head=head,
    mean_d=mean,
    precision_dd=precision,
    hr_bpm=_heart_rates(sample, trained.windows.fs_hz),
    ood_threshold=conformal([apart[rows] for rows in _by_subject(calibration)], level),
    level=level,
    wave=conformal(scores.wave, level),
    csbp=conformal([beat for beat in scores.csbp if beat.size], level),
    subjects=len(calibration.subjects),
    where=where,
  )
  return dataclasses.replace(trained, uncertainty_calibration=uncertainty_calibration)


def _heart_rates(windows: batches.Waves, fs_hz: float) -> tuple[float, float] | None:
  """Returns the lowest and the highest median heart rate of windows [1/min]; None without beats."""
  rates = [beats.heart_rate(x_t, fs_hz) for x_t in windows.x_bt]
  known = [rate for rate in rates if np.isfinite(rate)]
  return (round(min(known), 1), round(max(known), 1)) if known else None


def _some(windows: batches.Waves | batches.Pairs, most: int = 512) -> batches.Waves:
  """Returns at most `most` windows, evenly spaced."""
  rows = np.unique(np.linspace(0, len(windows.x_bt) - 1, min(most, len(windows.x_bt))).astype(int))
  covariates = {name: value[rows] for name, value in windows.covariates.items()}
  return batches.Waves(windows.x_bt[rows], windows.subject_b[rows], covariates)


@dataclasses.dataclass(frozen=True)
class Coverage:
  """Interval coverage of one subject.

  Attributes:
    wave: share of samples inside their interval; NaN for an infinite interval.
    csbp: share of beats inside their interval; NaN for an infinite interval.
    half_width_mmhg: half the mean width of the wave's interval [mmHg].
    csbp_half_width_mmhg: half the mean width of cSBP's interval [mmHg].
    ood_fraction: share of windows that are out of distribution.
  """

  wave: float
  csbp: float
  half_width_mmhg: float
  csbp_half_width_mmhg: float
  ood_fraction: float


def coverage(trained: checkpoint.Checkpoint, windows: batches.Pairs, reading: Reading | None = None) -> list[Coverage]:
  """Returns the coverage of each subject of some labelled windows, in their order.

  Args:
    trained: the network.
    windows: labelled windows.
    reading: output of the network for the windows, if it was already computed with the calibration's head.

  Raises:
    ValueError: the network has no intervals.
  """
  intervals = trained.uncertainty_calibration
  if intervals is None:
    raise ValueError("the network has no calibrated intervals")
  reading = read(trained, intervals.head, windows) if reading is None else reading
  scores = score(reading, windows, trained.windows)
  ood_b, feet = out_of_distribution(intervals, reading.h_bd), windows.reference_feet(trained.windows)
  inner = slice(trained.windows.margin, trained.windows.samples - trained.windows.margin)
  return [
    Coverage(
      _covered_fraction(wave, intervals.wave),
      _covered_fraction(csbp, intervals.csbp),
      float(intervals.wave * reading.sigma_bt[rows, inner].mean()),
      csbp_half_width(intervals, reading, rows, inner, [feet[k] for k in rows]),
      float(ood_b[rows].mean()),
    )
    for rows, wave, csbp in zip(_by_subject(windows), scores.wave, scores.csbp, strict=True)
  ]


def csbp_half_width(
  intervals: UncertaintyCalibration, reading: Reading, rows: np.ndarray, inner: slice, feet: Sequence[np.ndarray]
) -> float:
  """Returns half the mean width of cSBP's interval over the beats of some windows [mmHg]; NaN without beats.

  Args:
    intervals: calibration of the network.
    reading: output of the network for all windows.
    rows: the windows.
    inner: their samples without the margins.
    feet: feet in each of these windows, from the start of `inner`.
  """
  sigma = [reading.sigma_bt[k, inner][peaks_of(reading.y_bt[k, inner], f)] for k, f in zip(rows, feet, strict=True)]
  sigma_b = np.concatenate(sigma)
  return float(intervals.csbp * sigma_b.mean()) if sigma_b.size else float("nan")


def _covered_fraction(scores: np.ndarray, factor: float) -> float:
  """Returns the share of scores within a factor on σ; NaN without scores or for an infinite factor."""
  return float((scores <= factor).mean()) if scores.size and np.isfinite(factor) else float("nan")
