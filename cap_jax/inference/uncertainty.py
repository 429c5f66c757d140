"""Prediction intervals for the wave and for cSBP, and detection of waves that are out of distribution.

    ŷ(t) ± q_wave·σ(t),     ĉSBP ± q_csbp·σ(t_peak)

σ comes from a head of its own on frozen features (`losses.spread`). q is split-conformal over subjects: the (1 − α)
quantile of the scores |y − ŷ|/σ of labelled subjects outside the training, in the hierarchical form of Lee, Barber &
Willett 2023 (arXiv 2306.06342),

    q = quantile of Σ_k 1/(K + 1) · mean_i δ(s_ki) + 1/(K + 1) · δ(∞)  at 1 − α,

which covers one instant, or one beat, of one new subject of the same population with that probability, however similar
the instants of one subject are. It says nothing about subjects of another population. Their windows are detected by a
network of its own, taught on the source's windows and on outliers made of them (`losses.outlier_exposure`). Its
threshold is the 98 % quantile of the calibration subjects, and never below that of the source network: a target is not
unlike the training because it differs from itself. Beyond it, a network that has seen no label of the target falls back
to a conservative filter, and its intervals to those of the filter (`train.fallback`).
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import config
from cap_jax.data import batches, splits
from cap_jax.losses import spread
from cap_jax.models import detector as detectors
from cap_jax.models.net import Net
from cap_jax.signals import beats, spectra
from cap_jax.train import checkpoint, prediction
from cap_jax.train import fallback as fallbacks
from cap_jax.train.uncertainty_calibration import UncertaintyCalibration
from cap_jax.types import Params

LEVEL = 0.9
OOD_LEVEL = 0.98
_FALSE_RATES = 0.005
_EVERY = 5  # samples: neighbours have similar scores


class Reading(NamedTuple):
  """What a network computes from windows.

  Attributes:
    y_bt: (window, time) aortic pressure [mmHg].
    sigma_bt: (window, time) σ [mmHg]; 1 without a head; larger where the network falls back.
    ood_b: (window,) logit of the detector; NaN without one.
  """

  y_bt: np.ndarray
  sigma_bt: np.ndarray
  ood_b: np.ndarray


@functools.partial(jax.jit, static_argnums=0)
def _read(net: Net, params: Params, head: Params, x_bt: jax.Array, c_bq: jax.Array) -> tuple[jax.Array, ...]:
  h_bnd = net.features(params["f"], x_bt, c_bq)
  log_bt = spread.log_spread(net, head, h_bnd, x_bt) if head else jnp.zeros_like(x_bt)
  return net.reconstruct(params["r"], h_bnd, x_bt), log_bt


def read(
  trained: checkpoint.Checkpoint,
  windows: batches.Waves | batches.Pairs,
  adapted: bool = True,
  block: int = prediction.PREDICT,
  log_power_bk: np.ndarray | None = None,
) -> Reading:
  """Computes waves, their σ and the detector's logits of peripheral windows [mmHg].

  Args:
    trained: the network; without a calibration, σ is 1 mmHg.
    windows: peripheral windows [mmHg].
    adapted: whether to apply the adaptor, as for the target's windows; the source's are read without it.
    block: windows of a batch.
    log_power_bk: see `scalings.Scaling.inputs`.

  Raises:
    InputError: the windows lack a covariate that the network needs.
  """
  scaling, intervals = trained.scaling, trained.uncertainty_calibration
  head, detector = (intervals.head, intervals.detector) if intervals is not None else (None, None)
  recorded_bt, c_bq = scaling.inputs(windows, trained.model, log_power_bk)
  x_bt, outputs = recorded_bt, []
  x_bt = prediction.apply_adaptor(trained.net, trained.params, x_bt) if adapted else x_bt
  net, params = prediction.strip_adaptor(trained.net, trained.params)
  for rows in prediction.blocks(len(x_bt), block):
    output = _read(net, params, head or {}, jnp.asarray(x_bt[rows]), jnp.asarray(c_bq[rows]))
    ood_b = (
      np.full(len(rows), np.nan) if detector is None else detectors.logits(detector, jnp.asarray(recorded_bt[rows]))
    )
    outputs.append([np.asarray(part) for part in (*output, ood_b)])
  y_bt, log_bt, ood_b = (np.concatenate(part)[: len(x_bt)] for part in zip(*outputs, strict=True))
  sigma_bt = np.exp(log_bt) * (scaling.sd_mmhg if head else 1.0)
  y_bt = np.array(trained.blended(scaling.unscale(y_bt), windows.x_bt), np.float32)
  if intervals is not None and intervals.fallback is not None:
    operators = intervals.fallback.operators(x_bt.shape[1], trained.windows.fs_hz)
    outside = np.flatnonzero(ood_b > intervals.ood_threshold)
    for start in range(0, outside.size, block):
      rows = np.resize(outside[start : start + block], block)  # one shape, so one program
      network = fallbacks.Answer(jnp.asarray(y_bt[rows]), jnp.asarray(sigma_bt[rows]))
      levels = (intervals.ood_threshold, intervals.fallback_sigma)
      y_bt[rows], sigma_bt[rows] = fallbacks.answer(
        operators,
        network,
        jnp.asarray(windows.x_bt[rows], jnp.float32),
        jnp.asarray(ood_b[rows]),
        levels,
        trained.windows.fs_hz,
      )
  return Reading(y_bt, sigma_bt, ood_b)


def read_in_groups(
  trained: checkpoint.Checkpoint, count: int, windows_of: Callable[[slice], batches.Waves], group: int
) -> Iterator[Reading]:
  """Reads the windows of one record, which need not be in memory together. The result is that of `read`.

  The next group is read while the caller works on the one before.

  Args:
    trained: the network.
    count: number of windows.
    windows_of: rows → these windows of the record.
    group: windows that are read at once.

  Yields:
    The reading of each group.
  """
  rows = [slice(start, min(start + group, count)) for start in range(0, count, group)]
  log_power_k = None
  if trained.model.reads_context:  # the context is that of the whole record
    sums_k = np.zeros(spectra.BANDS)
    for part in rows:
      sums_k += spectra.log_power(trained.scaling.scale_input(windows_of(part).x_bt)).sum(0, dtype=np.float64)
    log_power_k = (sums_k / count).astype(np.float32)

  def read_part(part: slice) -> Reading:
    power_bk = None if log_power_k is None else np.broadcast_to(log_power_k, (part.stop - part.start, spectra.BANDS))
    return read(trained, windows_of(part), log_power_bk=power_bk)

  with futures.ThreadPoolExecutor(1) as ahead:
    following = ahead.submit(read_part, rows[0])
    for part in rows[1:]:
      reading, following = following.result(), ahead.submit(read_part, part)
      yield reading
    yield following.result()


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


def _conformal_or_largest(scores: Sequence[np.ndarray]) -> float:
  """Returns the quantile of `OOD_LEVEL`, or the largest score of too few subjects for it."""
  return conformal(scores, min(OOD_LEVEL, len(scores) / (len(scores) + 1)))


def by_subject(windows: batches.Pairs) -> list[np.ndarray]:
  """Returns the rows of each subject's windows, in the order of `subjects`."""
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
  for rows in by_subject(windows):
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


def out_of_distribution(intervals: UncertaintyCalibration, ood_b: np.ndarray) -> np.ndarray:
  """Returns 1 for windows out of distribution, otherwise 0, (window,); NaN without a detector.

  Args:
    intervals: calibration of the network.
    ood_b: (window,) logits of its detector.
  """
  return np.where(np.isfinite(ood_b), (ood_b > intervals.ood_threshold).astype(float), np.nan)


class OutlierDetector(NamedTuple):
  """A detector of windows out of distribution, and the least threshold that it may have.

  Attributes:
    theta: θ_o.
    threshold: logit.
    fallback: answer for such windows; None for that of the network.
  """

  theta: Params
  threshold: float = -math.inf
  fallback: fallbacks.Fallback | None = None


def inherited_detector(source: checkpoint.Checkpoint, labelled: bool) -> OutlierDetector | None:
  """Returns the detector of a source network, for a network that was transferred from it; None if it has none.

  Args:
    source: the source network.
    labelled: whether labels of the target were used. They say more about it than the detector, so there is no fallback.
  """
  intervals = source.uncertainty_calibration
  if intervals is None or intervals.detector is None:
    return None
  return OutlierDetector(intervals.detector, intervals.ood_threshold, None if labelled else intervals.fallback)


def equip(
  trained: checkpoint.Checkpoint,
  head: Params | None,
  detector: OutlierDetector | None,
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
    detector: of it, or of its source network; None for no detection of windows out of distribution.
    training: windows like those that it was trained on, for the range of heart rates.
    calibration: labelled windows of subjects outside the training.
    where: who the calibration subjects are.
    adapted: whether these windows are the target's, which the adaptor reads.
    level: level of the intervals.

  Raises:
    splits.LeakError: a subject is in both training and calibration.
  """
  splits.Split({"training": training.subjects, "calibration": calibration.subjects})
  uncalibrated = UncertaintyCalibration(
    head=head,
    detector=None if detector is None else detector.theta,
    hr_bpm=_heart_rates(_some(training), trained.windows.fs_hz),
    ood_threshold=math.inf,
    level=level,
    wave=math.inf,
    csbp=math.inf,
    subjects=len(calibration.subjects),
    where=where,
    fallback=None if detector is None else detector.fallback,
  )
  reading = read(dataclasses.replace(trained, uncertainty_calibration=uncalibrated), calibration, adapted)
  scores = score(reading, calibration, trained.windows)
  logits = [reading.ood_b[rows] for rows in by_subject(calibration)]
  calibrated = dataclasses.replace(
    uncalibrated,
    ood_threshold=math.inf if detector is None else max(detector.threshold, _conformal_or_largest(logits)),
    wave=conformal(scores.wave, level),
    csbp=conformal([beat for beat in scores.csbp if beat.size], level),
  )
  return dataclasses.replace(trained, uncertainty_calibration=calibrated)


def at_least(trained: checkpoint.Checkpoint, source: checkpoint.Checkpoint) -> checkpoint.Checkpoint:
  """Returns a network whose intervals are no narrower than those of its source network, with which it shares σ.

  Subjects of the source who were measured without error calibrate a network that has seen no label of the target. The source
  network may know of clinics with wrong zeros, which no adaptation without labels can mend.

  Args:
    trained: the network.
    source: its source network.
  """
  own, other = trained.uncertainty_calibration, source.uncertainty_calibration
  if own is None or other is None or own.head is None:
    return trained
  factors = {name: max(getattr(own, name), getattr(other, name)) for name in ("wave", "csbp")}
  return dataclasses.replace(trained, uncertainty_calibration=dataclasses.replace(own, **factors))


def _heart_rates(windows: batches.Waves, fs_hz: float) -> tuple[float, float] | None:
  """Returns the range of the median heart rates of windows [1/min]; None without beats.

  The outermost half per cent at each end does not count: in a few windows, a dicrotic wave passes for a beat.
  """
  rates = np.array([beats.heart_rate(x_t, fs_hz) for x_t in windows.x_bt])
  known = rates[np.isfinite(rates)]
  if not known.size:
    return None
  low, high = np.quantile(known, (_FALSE_RATES, 1 - _FALSE_RATES), method="nearest")
  return round(float(low), 1), round(float(high), 1)


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
  reading = read(trained, windows) if reading is None else reading
  scores = score(reading, windows, trained.windows)
  ood_b, feet = out_of_distribution(intervals, reading.ood_b), windows.reference_feet(trained.windows)
  inner = slice(trained.windows.margin, trained.windows.samples - trained.windows.margin)
  return [
    Coverage(
      _covered_fraction(wave, intervals.wave),
      _covered_fraction(csbp, intervals.csbp),
      float(intervals.wave * reading.sigma_bt[rows, inner].mean()),
      csbp_half_width(intervals, reading, rows, inner, [feet[k] for k in rows]),
      float(ood_b[rows].mean()),
    )
    for rows, wave, csbp in zip(by_subject(windows), scores.wave, scores.csbp, strict=True)
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
