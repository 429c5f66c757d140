"""Transfer functions of a tube with a load, with a travel time T_d and a reflection coefficient Γ,

    p_c(t) = [p_r(t + T_d) + Γ p_r(t − T_d)] / (1 + Γ)

The wave at the load is the forward wave plus Γ times as much, which runs back. `fit` fits both parameters to the
training subjects (Westerhof BE et al. 2008, J. Appl. Physiol. 105, 1858). The adaptive transfer function (Gao et al.
2016, Sci. Rep. 6, 33230) estimates them for each subject from the peripheral wave alone: in diastole the central
pressure falls as an exponential, the peripheral one does not.
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
_DIASTOLE_WINDOWS = 3  # windows of a subject in which diastole is examined
# The part of a beat, from foot to foot of the peripheral wave, that counts as diastole; chosen on validation subjects.
DIASTOLES = ((0.45, 0.95), (0.5, 0.9), (0.55, 0.95), (0.6, 0.9))
ADAPTIVE_SETTINGS = len(DIASTOLES)


def _shifted(x_bt: np.ndarray, samples: float) -> np.ndarray:
  """Returns x(t + samples) by linear interpolation; the ends repeat their value."""
  time = np.arange(x_bt.shape[1])
  at = np.clip(time + samples, 0, time[-1])
  low = np.minimum(np.floor(at).astype(int), time[-1] - 1)
  share = (at - low).astype(x_bt.dtype)
  return x_bt[:, low] * (1 - share) + x_bt[:, low + 1] * share


def central(x_bt: np.ndarray, time_s: float, reflection: float, fs_hz: float) -> np.ndarray:
  """Returns the pressure at the inlet of the tube, (window, time) [mmHg].

  Args:
    x_bt: (window, time) pressure at the load [mmHg].
    time_s: travel time T_d [s].
    reflection: Γ.
    fs_hz: sampling rate.
  """
  early, late = (_shifted(x_bt, sign * time_s * fs_hz) for sign in (1, -1))
  return (early + reflection * late) / (1 + reflection)


@dataclasses.dataclass(frozen=True)
class TubeLoad:
  """A tube with the same T_d [s] and Γ for all subjects."""

  time_s: float
  reflection: float
  fs_hz: float

  def predict(self, x_bt: np.ndarray) -> np.ndarray:
    """Returns the aortic pressure, (window, time) [mmHg]."""
    return central(x_bt, self.time_s, self.reflection, self.fs_hz)


def fit(training: batches.Pairs, validation: batches.Pairs, spec: config.Windows) -> TubeLoad:
  """Fits T_d and Γ by least squares over at most 400 windows of the training subjects.

  Γ has a closed form for each T_d of a grid. With two parameters, nothing is chosen on validation subjects.

  Args:
    training: windows of the training subjects.
    validation: not used; all baselines have the same signature.
    spec: config of the windows.
  """
  del validation
  rows = np.unique(np.linspace(0, len(training.x_bt) - 1, min(_MOST, len(training.x_bt))).astype(int))
  x_bt, y_bt = training.x_bt[rows], training.y_bt[rows]
  inner = slice(spec.margin, spec.samples - spec.margin)
  candidates = []
  for time_s in TIMES_S:
    early, late = (_shifted(x_bt, sign * time_s * spec.fs_hz)[:, inner] for sign in (1, -1))
    true = y_bt[:, inner]
    # p_c = early + w (late − early) is linear in w = Γ/(1 + Γ)
    difference = late - early
    share = np.clip(
      ((true - early) * difference).sum() / max(np.square(difference).sum(), 1e-9), 0, _LARGEST / (1 + _LARGEST)
    )
    reflection = float(share / (1 - share))
    error = np.square((early + reflection * late) / (1 + reflection) - true).mean()
    candidates.append((float(error), TubeLoad(float(time_s), reflection, spec.fs_hz)))
  return min(candidates, key=lambda pair: pair[0])[1]


def _diastoles(x_t: np.ndarray, fs_hz: float, share: tuple[float, float]) -> list[tuple[int, int]]:
  low, high = share
  feet = beats.find_feet(x_t, fs_hz)
  return [(round(a + low * (b - a)), round(a + high * (b - a))) for a, b in itertools.pairwise(feet)]


def _departures(p_kbt: np.ndarray, diastoles: list[list[tuple[int, int]]]) -> np.ndarray:
  """Returns the (candidate,) mean square departure of ln p from a straight line in diastole.

  The candidate central waves are (candidate, window, time).
  """
  departures = []
  for window, spans in enumerate(diastoles):
    for a, b in spans:
      fall = np.log(np.maximum(p_kbt[:, window, a:b], 1.0))
      fall -= fall.mean(1, keepdims=True)
      time = np.linspace(-1, 1, b - a)
      slope = fall @ time / np.square(time).sum()
      departures.append(np.square(fall - slope[:, None] * time).mean(1))
  return np.mean(departures, axis=0) if departures else np.full(len(p_kbt), np.inf)


@dataclasses.dataclass(frozen=True)
class Adaptive:
  """An adaptive transfer function.

  Attributes:
    diastole: part of the beat in which the central pressure is to fall as an exponential.
    fs_hz: sampling rate.
  """

  diastole: tuple[float, float]
  fs_hz: float

  def predict(self, windows: batches.Waves | batches.Pairs) -> np.ndarray:
    """Returns the aortic pressure, (window, time) [mmHg].

    T_d and Γ of each subject are those whose central wave departs least from an exponential in diastole.
    """
    out = np.empty_like(windows.x_bt)
    for subject in windows.subjects:
      rows = np.flatnonzero(windows.subject_b == subject)
      first = windows.x_bt[rows[:_DIASTOLE_WINDOWS]]
      diastoles = [_diastoles(x_t, self.fs_hz, self.diastole) for x_t in first]
      candidates = [(t, g) for t in TIMES_S[::2] for g in REFLECTIONS]
      departures = _departures(np.stack([central(first, t, g, self.fs_hz) for t, g in candidates]), diastoles)
      out[rows] = central(windows.x_bt[rows], *candidates[int(np.argmin(departures))], self.fs_hz)
    return out


def fit_adaptive(training: batches.Pairs, validation: batches.Pairs, spec: config.Windows) -> Adaptive:
  """Chooses on validation subjects which part of a beat counts as diastole; nothing else is fitted.

  Args:
    training: not used; all baselines have the same signature.
    validation: windows of validation subjects.
    spec: config of the windows.
  """
  del training
  inner = slice(spec.margin, spec.samples - spec.margin)
  candidates = [Adaptive(share, spec.fs_hz) for share in DIASTOLES]
  errors = [np.square(candidate.predict(validation) - validation.y_bt)[:, inner].mean() for candidate in candidates]
  return candidates[int(np.argmin(errors))]
