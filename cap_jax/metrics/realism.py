"""How far windows of measured waves lie from those of virtual clinics, without any training.

Three measures, from features to windows:

- the share of measured windows inside the central 98 % of the virtual ones, feature by feature (`wave_shape`);
- jointly, the distance to the fifth nearest virtual window in standardised features, beside the same distance of virtual
  windows among themselves. It makes no assumption on the shape of the cloud. A window lies inside if it is as near as 95 %
  of the virtual ones;
- the logit of a network's detector of windows out of distribution (`inference.uncertainty`), with the network's threshold.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.spatial

from cap_jax.data import batches
from cap_jax.haemodynamics import wave_shape
from cap_jax.inference import uncertainty
from cap_jax.signals import windows
from cap_jax.train import checkpoint

QUANTILES = (0.05, 0.5, 0.95)
_INSIDE = (0.01, 0.99)
NEIGHBOUR, NEAR = 5, 0.95  # which neighbour, and the share of virtual windows that are near
# features of the joint distance: every wave has them, and they describe single beats
JOINT = (
  "hr_bpm", "map_mmhg", "pp_mmhg", "form_factor", "upstroke_per_s", "rise_ms", "peak_ms", "width_ms", "crest_ms", "rebound",
  "decay", "slope_db_per_octave", "high_share",
)  # fmt: skip
SHAPE = JOINT[3:]  # without heart rate, mean and pulse pressure


class WindowSet(NamedTuple):
  """Windows of a set of records.

  Attributes:
    x_bt: (window, time) waves [mmHg].
    subject_b: (window,) names of the subjects.
    fs_hz: sampling rate.
  """

  x_bt: np.ndarray
  subject_b: np.ndarray
  fs_hz: float


def cut(waves: Sequence[tuple[str, np.ndarray]], fs_hz: float, seconds: float, most: int) -> WindowSet:
  """Cuts waves into successive windows without gaps.

  Args:
    waves: name of the subject and (time,) wave, NaN in its gaps.
    fs_hz: sampling rate.
    seconds: length of a window.
    most: largest number of windows of each wave; the first ones are used.
  """
  length = round(seconds * fs_hz)
  parts, names = [np.zeros((0, length))], list[str]()
  for name, wave_t in waves:
    pieces = [wave_t[part] for part in np.ma.clump_unmasked(np.ma.masked_invalid(wave_t))]
    own = [windows.frame(piece, length, length) for piece in pieces if len(piece) >= length]
    if own:
      parts.append(np.concatenate(own)[:most])
      names += [name] * len(parts[-1])
  return WindowSet(np.concatenate(parts), np.array(names), fs_hz)


def features(cut_windows: WindowSet) -> dict[str, np.ndarray]:
  """Returns feature → (window,), see `wave_shape.of_window`."""
  rows = [wave_shape.of_window(x_t, cut_windows.fs_hz) for x_t in cut_windows.x_bt]
  return {name: np.array([row[name] for row in rows], dtype=float) for name in wave_shape.UNITS}


class FeatureComparison(NamedTuple):
  """One feature of measured and of virtual windows.

  Attributes:
    name: of the feature.
    measured, virtual: (3,) their 5, 50 and 95 % quantiles.
    inside, below, above: share of the measured windows inside the central 98 % of the virtual ones, below and above.
  """

  name: str
  measured: np.ndarray
  virtual: np.ndarray
  inside: float
  below: float
  above: float


def compare(measured: Mapping[str, np.ndarray], virtual: Mapping[str, np.ndarray]) -> list[FeatureComparison]:
  """Compares features one by one; NaN are left out, and a feature that one side never has is too.

  Args:
    measured, virtual: feature → (window,).
  """
  rows = []
  for name in measured:
    real, own = (x[name][np.isfinite(x[name])] for x in (measured, virtual))
    if not real.size or not own.size:
      continue
    low, high = np.quantile(own, _INSIDE)
    below, above = float((real < low).mean()), float((real > high).mean())
    quantiles = np.quantile(real, QUANTILES), np.quantile(own, QUANTILES)
    rows.append(FeatureComparison(name, *quantiles, 1 - below - above, below, above))
  return rows


class JointDistance(NamedTuple):
  """Distance to the fifth nearest virtual window.

  Attributes:
    measured_b: (window,) of the measured windows that have all features.
    virtual_b: (window,) of the virtual windows among themselves.
    rows: (window,) which measured windows these are.
    inside: share of the measured windows that are as near as 95 % of the virtual ones.
  """

  measured_b: np.ndarray
  virtual_b: np.ndarray
  rows: np.ndarray
  inside: float


def joint(
  measured: Mapping[str, np.ndarray], virtual: Mapping[str, np.ndarray], names: Sequence[str] = JOINT
) -> JointDistance:
  """Computes the joint distance in several features, standardised by the virtual windows.

  Args:
    measured, virtual: feature → (window,); of each virtual subject at most one window, since a neighbour of the same
      subject is none.
    names: the features.

  Raises:
    ValueError: there are too few virtual windows.
  """
  real, own = (np.stack([x[name] for name in names], axis=1) for x in (measured, virtual))
  rows, own = np.flatnonzero(np.isfinite(real).all(1)), own[np.isfinite(own).all(1)]
  if len(own) <= NEIGHBOUR:
    raise ValueError(f"the joint distance needs more than {NEIGHBOUR} virtual windows, not {len(own)}")
  centre, scale = own.mean(0), own.std(0) + 1e-12
  real, own = (real[rows] - centre) / scale, (own - centre) / scale
  tree = scipy.spatial.cKDTree(own)
  among = np.asarray(tree.query(own, k=[NEIGHBOUR + 1])[0])[:, 0]  # the nearest one is the window itself
  away = np.asarray(tree.query(real, k=[NEIGHBOUR])[0])[:, 0] if len(real) else np.zeros(0)
  return JointDistance(away, among, rows, float((away <= np.quantile(among, NEAR)).mean()) if len(real) else np.nan)


class NetworkDistance(NamedTuple):
  """Logits of a network's detector of windows out of distribution.

  Attributes:
    measured_b: (window,) of the measured windows.
    threshold: beyond which a window is out of distribution.
  """

  measured_b: np.ndarray
  threshold: float

  @property
  def inside(self) -> float:
    """Share of the measured windows within the threshold."""
    return float((self.measured_b <= self.threshold).mean())


def by_network(trained: checkpoint.Checkpoint, cut_windows: WindowSet) -> NetworkDistance:
  """Computes what a network calls out of distribution.

  Args:
    trained: network with a detector, which reads no covariates.
    cut_windows: windows of its length.

  Raises:
    ValueError: the network has no detector.
  """
  own = trained.uncertainty_calibration
  if own is None or own.detector is None:
    raise ValueError("the network has no detector of windows out of distribution")
  waves = batches.Waves(cut_windows.x_bt.astype(np.float32), cut_windows.subject_b)
  return NetworkDistance(uncertainty.read(trained, waves, adapted=False).ood_b, own.ood_threshold)
