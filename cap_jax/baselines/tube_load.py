"""Transfer functions of a tube with a load: two parameters, a travel time T_d and a reflection coefficient Γ,

    p_c(t) = [p_r(t + T_d) + Γ p_r(t − T_d)] / (1 + Γ)

as the wave at the load is the forward one and Γ times as much, which runs back. For everybody they are fitted to the training
subjects (Westerhof BE et al. 2008, J. Appl. Physiol. 105, 1858). The adaptive transfer function (Gao et al. 2016, Sci. Rep.
6, 33230) finds them for each subject from the peripheral wave alone: the central pressure falls in diastole as an exponential,
the peripheral one does not.
"""

import dataclasses
import itertools

import numpy as np

from cap_jax import config
from cap_jax.data import batches
from cap_jax.signals import beats

TIMES_S = tuple(np.arange(0.01, 0.1401, 0.005))
REFLECTIONS = tuple(np.arange(0.0, 0.91, 0.1))
_MOST = 400
_LARGEST = 0.95  # Γ
_LOOKED_AT = 3  # windows of a subject in which diastole is looked at
# the part of a beat, from foot to foot of the peripheral wave, that counts as diastole: chosen on validation subjects
DIASTOLES = ((0.45, 0.95), (0.5, 0.9), (0.55, 0.95), (0.6, 0.9))
ADAPTIVE_SETTINGS = len(DIASTOLES)


def _shifted(x_bt: np.ndarray, samples: float) -> np.ndarray:
  """x(t + samples) by straight lines between samples; the ends hold their value."""
  time = np.arange(x_bt.shape[1])
  at = np.clip(time + samples, 0, time[-1])
  low = np.minimum(np.floor(at).astype(int), time[-1] - 1)
  share = (at - low).astype(x_bt.dtype)
  return x_bt[:, low] * (1 - share) + x_bt[:, low + 1] * share


def central(x_bt: np.ndarray, time_s: float, reflection: float, fs_hz: float) -> np.ndarray:
  """(window, time) pressure at the inlet of the tube [mmHg] from that at its load."""
  early, late = (_shifted(x_bt, sign * time_s * fs_hz) for sign in (1, -1))
  return (early + reflection * late) / (1 + reflection)


@dataclasses.dataclass(frozen=True)
class TubeLoad:
  """The same T_d [s] and Γ for everybody."""

  time_s: float
  reflection: float
  fs_hz: float

  def predict(self, x_bt: np.ndarray) -> np.ndarray:
    """(window, time) aortic pressure [mmHg]."""
    return central(x_bt, self.time_s, self.reflection, self.fs_hz)


def fit(training: batches.Pairs, validation: batches.Pairs, spec: config.Windows) -> TubeLoad:
  """Least squares over at most 400 windows of the training subjects: Γ in closed form for each T_d of a grid. Two parameters need
  no choice on validation subjects."""
  del validation
  rows = np.unique(np.linspace(0, len(training.x_bt) - 1, min(_MOST, len(training.x_bt))).astype(int))
  x_bt, y_bt = training.x_bt[rows], training.y_bt[rows]
  inner = slice(spec.margin, spec.samples - spec.margin)
  found = []
  for time_s in TIMES_S:
    early, late = (_shifted(x_bt, sign * time_s * spec.fs_hz)[:, inner] for sign in (1, -1))
    true = y_bt[:, inner]
    # p_c = early + w (late − early) is linear in w = Γ/(1 + Γ)
    apart = late - early
    share = np.clip(((true - early) * apart).sum() / max(np.square(apart).sum(), 1e-9), 0, _LARGEST / (1 + _LARGEST))
    reflection = float(share / (1 - share))
    error = np.square((early + reflection * late) / (1 + reflection) - true).mean()
    found.append((float(error), TubeLoad(float(time_s), reflection, spec.fs_hz)))
  return min(found, key=lambda pair: pair[0])[1]


def _diastoles(x_t: np.ndarray, fs_hz: float, share: tuple[float, float]) -> list[tuple[int, int]]:
  low, high = share
  feet = beats.find_feet(x_t, fs_hz)
  return [(round(a + low * (b - a)), round(a + high * (b - a))) for a, b in itertools.pairwise(feet)]


def _departures(p_kbt: np.ndarray, parts: list[list[tuple[int, int]]]) -> np.ndarray:
  """(candidate,) mean square of what an exponential leaves of ln p in diastole, of candidate central waves (candidate, window, time)."""
  left = []
  for window, spans in enumerate(parts):
    for a, b in spans:
      fall = np.log(np.maximum(p_kbt[:, window, a:b], 1.0))
      fall -= fall.mean(1, keepdims=True)
      time = np.linspace(-1, 1, b - a)
      slope = fall @ time / np.square(time).sum()
      left.append(np.square(fall - slope[:, None] * time).mean(1))
  return np.mean(left, axis=0) if left else np.full(len(p_kbt), np.inf)


@dataclasses.dataclass(frozen=True)
class Adaptive:
  """diastole: share of the beat in which the central pressure is to fall as an exponential."""

  diastole: tuple[float, float]
  fs_hz: float

  def predict(self, windows: batches.Waves | batches.Pairs) -> np.ndarray:
    """(window, time) aortic pressure [mmHg]; T_d and Γ of each subject are those whose central wave departs least from an
    exponential in diastole."""
    out = np.empty_like(windows.x_bt)
    for subject in windows.subjects:
      rows = np.flatnonzero(windows.subject_b == subject)
      first = windows.x_bt[rows[:_LOOKED_AT]]
      parts = [_diastoles(x_t, self.fs_hz, self.diastole) for x_t in first]
      tried = [(t, g) for t in TIMES_S[::2] for g in REFLECTIONS]
      departures = _departures(np.stack([central(first, t, g, self.fs_hz) for t, g in tried]), parts)
      out[rows] = central(windows.x_bt[rows], *tried[int(np.argmin(departures))], self.fs_hz)
    return out


def fit_adaptive(training: batches.Pairs, validation: batches.Pairs, spec: config.Windows) -> Adaptive:
  """Nothing is fitted; what counts as diastole is chosen on validation subjects."""
  del training
  inner = slice(spec.margin, spec.samples - spec.margin)
  tried = [Adaptive(share, spec.fs_hz) for share in DIASTOLES]
  errors = [np.square(one.predict(validation) - validation.y_bt)[:, inner].mean() for one in tried]
  return tried[int(np.argmin(errors))]
