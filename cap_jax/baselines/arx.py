"""The generalized transfer function as an ARX model, as in Chen et al. 1997 (Circulation 95, 1827),

    y(t) = c + Σ_{i=1}^{n} a_i y(t − i) + Σ_{j=0}^{n} b_j x(t + d − j)

fitted by least squares on the next sample, and run from its own output. It looks d samples ahead, as the aortic wave comes
first. Order n and lead d are those whose *run* has the least error on validation subjects; unstable ones are out.
"""

import dataclasses

import numpy as np
import scipy.signal

from cap_jax import config
from cap_jax.data import batches
from cap_jax.signals import windows
from cap_jax.types import UnfitError

ORDERS = (2, 4, 6, 8, 10)
LEADS_S = (0.04, 0.08, 0.12, 0.16)
SETTINGS = len(ORDERS) * len(LEADS_S)
_MOST = 400  # windows of training
_BEFORE_S = 2.0  # of repeated beats ahead of a window, in which the start of the run is forgotten


@dataclasses.dataclass(frozen=True)
class Arx:
  """a: (order,) a_1 … a_n. b: (order + 1,) b_0 … b_n. c: [mmHg]. lead: samples."""

  a: np.ndarray
  b: np.ndarray
  c: float
  lead: int
  fs_hz: float

  @property
  def stable(self) -> bool:
    return bool(np.abs(np.roots([1.0, *-self.a])).max() < 0.999)

  def run(self, lengthened: list[np.ndarray], samples: int) -> np.ndarray:
    """(window, samples) aortic pressure of peripheral waves that were lengthened at both ends, see `lengthen`."""
    poles, before = np.array([1.0, *-self.a]), round(_BEFORE_S * self.fs_hz)
    rest = self.c / poles.sum()
    stack = np.stack(lengthened)
    # from rest at its first value
    start = scipy.signal.lfilter_zi(self.b, poles)[None, :] * stack[:, :1]
    out, _ = scipy.signal.lfilter(self.b, poles, stack, zi=start)
    return (out[:, before + self.lead : before + self.lead + samples] + rest).astype(np.float32)

  def predict(self, x_bt: np.ndarray) -> np.ndarray:
    """(window, time) aortic pressure [mmHg]."""
    return self.run(lengthen(x_bt, self.fs_hz), x_bt.shape[1])


def lengthen(x_bt: np.ndarray, fs_hz: float) -> list[np.ndarray]:
  """Each window with its own beats repeated before it and after it."""
  after = round(max(LEADS_S) * fs_hz) + 1
  return [windows.extend_periodically(x_t, fs_hz, round(_BEFORE_S * fs_hz), after) for x_t in x_bt]


def _solve(x_bt: np.ndarray, y_bt: np.ndarray, order: int, lead: int, fs_hz: float) -> Arx:
  samples = x_bt.shape[1]
  at = np.arange(order, samples - lead)
  past = [y_bt[:, at - i].ravel() for i in range(1, order + 1)]
  ahead = [x_bt[:, np.maximum(at + lead - j, 0)].ravel() for j in range(order + 1)]
  design = np.stack([*past, *ahead, np.ones(past[0].size)], axis=1).astype(np.float64)
  level = y_bt.mean(dtype=np.float64)
  design[:, :-1] -= level  # so that the constant is no difference of large numbers
  found, *_ = np.linalg.lstsq(design.T @ design, design.T @ (y_bt[:, at].ravel() - level), rcond=1e-12)
  a, b = found[:order], found[order:-1]
  return Arx(a, b, float(found[-1] + level * (1 - a.sum() - b.sum())), lead, fs_hz)


def fit(training: batches.Pairs, validation: batches.Pairs, spec: config.Windows) -> Arx:
  """Least squares over at most 400 windows of the training subjects, evenly taken.

  Args:
    training, validation: windows of disjoint subjects.
    spec: of the windows.

  Raises:
    UnfitError: every order is unstable.
  """
  rows = np.unique(np.linspace(0, len(training.x_bt) - 1, min(_MOST, len(training.x_bt))).astype(int))
  x_bt, y_bt = training.x_bt[rows], training.y_bt[rows]
  seen = lengthen(validation.x_bt, spec.fs_hz)
  inner = slice(spec.margin, spec.samples - spec.margin)
  tried = [_solve(x_bt, y_bt, n, round(lead * spec.fs_hz), spec.fs_hz) for n in ORDERS for lead in LEADS_S]
  errors = [
    np.square(found.run(seen, spec.samples) - validation.y_bt)[:, inner].mean() if found.stable else np.inf
    for found in tried
  ]
  if not np.isfinite(min(errors)):
    raise UnfitError("no ARX model is stable: there are too few windows")
  return tried[int(np.argmin(errors))]
