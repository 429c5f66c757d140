"""The generalised transfer function as an ARX model, as in Chen et al. 1997 (Circulation 95, 1827),

    y(t) = c + Σ_{i=1}^{n} a_i y(t − i) + Σ_{j=0}^{n} b_j x(t + d − j)

fitted by least squares on the next sample, and run from its own output. It reads d samples ahead, as the aortic wave
comes first. Order n and lead d are those whose *run* has the least error on validation subjects. Unstable ones are
excluded.
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
_BEFORE_S = 2.0  # of repeated beats before a window, in which the start of the run decays


@dataclasses.dataclass(frozen=True)
class Arx:
  """A fitted ARX model.

  Attributes:
    a: (order,) a_1 … a_n.
    b: (order + 1,) b_0 … b_n.
    c: constant [mmHg].
    lead: d, in samples.
    fs_hz: sampling rate.
  """

  a: np.ndarray
  b: np.ndarray
  c: float
  lead: int
  fs_hz: float

  @property
  def stable(self) -> bool:
    return bool(np.abs(np.roots([1.0, *-self.a])).max() < 0.999)

  def run(self, extended: list[np.ndarray], samples: int) -> np.ndarray:
    """Runs the model on peripheral waves that were extended at both ends.

    Args:
      extended: waves from `lengthen`.
      samples: of the windows before the extension.

    Returns:
      (window, samples) aortic pressure [mmHg].
    """
    poles, before = np.array([1.0, *-self.a]), round(_BEFORE_S * self.fs_hz)
    resting_mmhg = self.c / poles.sum()
    x_bt = np.stack(extended)
    # starts in the steady state of the first value
    start = scipy.signal.lfilter_zi(self.b, poles)[None, :] * x_bt[:, :1]
    out, _ = scipy.signal.lfilter(self.b, poles, x_bt, zi=start)
    return (out[:, before + self.lead : before + self.lead + samples] + resting_mmhg).astype(np.float32)

  def predict(self, x_bt: np.ndarray) -> np.ndarray:
    """Returns the aortic pressure, (window, time) [mmHg]."""
    return self.run(lengthen(x_bt, self.fs_hz), x_bt.shape[1])


def lengthen(x_bt: np.ndarray, fs_hz: float) -> list[np.ndarray]:
  """Extends each window (window, time) with its own beats, before it and after it."""
  after = round(max(LEADS_S) * fs_hz) + 1
  return [windows.extend_periodically(x_t, fs_hz, round(_BEFORE_S * fs_hz), after) for x_t in x_bt]


def _solve(x_bt: np.ndarray, y_bt: np.ndarray, order: int, lead: int, fs_hz: float) -> Arx:
  samples = x_bt.shape[1]
  at = np.arange(order, samples - lead)
  past = [y_bt[:, at - i].ravel() for i in range(1, order + 1)]
  ahead = [x_bt[:, np.maximum(at + lead - j, 0)].ravel() for j in range(order + 1)]
  design = np.stack([*past, *ahead, np.ones(past[0].size)], axis=1).astype(np.float64)
  level = y_bt.mean(dtype=np.float64)
  design[:, :-1] -= level  # so that the constant is not a difference of large numbers
  solution, *_ = np.linalg.lstsq(design.T @ design, design.T @ (y_bt[:, at].ravel() - level), rcond=1e-12)
  a, b = solution[:order], solution[order:-1]
  return Arx(a, b, float(solution[-1] + level * (1 - a.sum() - b.sum())), lead, fs_hz)


def fit(training: batches.Pairs, validation: batches.Pairs, spec: config.Windows) -> Arx:
  """Fits by least squares over at most 400 evenly spaced windows of the training subjects.

  Args:
    training, validation: windows of disjoint subjects.
    spec: config of the windows.

  Raises:
    UnfitError: every order is unstable.
  """
  rows = np.unique(np.linspace(0, len(training.x_bt) - 1, min(_MOST, len(training.x_bt))).astype(int))
  x_bt, y_bt = training.x_bt[rows], training.y_bt[rows]
  extended = lengthen(validation.x_bt, spec.fs_hz)
  inner = slice(spec.margin, spec.samples - spec.margin)
  candidates = [_solve(x_bt, y_bt, n, round(lead * spec.fs_hz), spec.fs_hz) for n in ORDERS for lead in LEADS_S]
  errors = [
    np.square(model.run(extended, spec.samples) - validation.y_bt)[:, inner].mean() if model.stable else np.inf
    for model in candidates
  ]
  if not np.isfinite(min(errors)):
    raise UnfitError("no stable ARX model was found: there are too few windows")
  return candidates[int(np.argmin(errors))]
