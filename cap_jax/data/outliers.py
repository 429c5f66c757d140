"""Windows that the source does not contain, to teach a detector what is out of distribution (`losses.outlier_exposure`).

They are made of the source's own windows, a fifth of each kind:

    upside down    2 x̄ − x
    reversed       x(T − t)
    smoothed       through a zero-phase low-pass of 1.2 to 6 Hz
    other tubing   through |H|, a resonance of 2.5 to 7 Hz in front of a roll-off at 3 to 9 Hz, as no artery has it
    other site     the reference wave in place of the peripheral one

The ranges are choices: beyond those of arteries, whose first resonance amplifies some 4 Hz threefold and 9 Hz still by
half (Karamanoglu et al. 1993, Eur. Heart J. 14, 160), and of fluid-filled transducers.
"""

import numpy as np

from cap_jax.signals import filters

KINDS = ("upside_down", "reversed", "smoothed", "other_tubing", "other_site")
_LOWPASS_HZ = (1.2, 6.0)
_RESONANCE_HZ, _DAMPING, _ROLL_OFF_HZ, _ORDERS = (2.5, 7.0), (0.05, 0.5), (3.0, 9.0), (1, 2, 3)
_ALIKE = 16  # windows that share a filter


def through_tubing(
  x_bt: np.ndarray, fs_hz: float, natural_hz: float, damping: float, roll_off_hz: float, order: int
) -> np.ndarray:
  """Returns windows (window, time) behind the magnitude of a resonance and of a roll-off of first-order sections.

      |H(f)| = 1 / |1 − r² + 2jζr| / (1 + (f/f_c)²)^(n/2),     r = f/f₀

  Windows are continued by their mirror image, so that their ends do not jump, and keep their mean.

  Args:
    x_bt: (window, time).
    fs_hz: sampling rate.
    natural_hz, damping: f₀ and ζ of the resonance.
    roll_off_hz: f_c.
    order: n.
  """
  mean_b1 = x_bt.mean(1, keepdims=True)
  mirrored = np.concatenate([x_bt, x_bt[:, ::-1]], axis=1) - mean_b1
  frequency_hz = np.fft.rfftfreq(mirrored.shape[1], 1 / fs_hz)
  r = frequency_hz / natural_hz
  gain = 1 / np.abs(1 - r**2 + 2j * damping * r) / (1 + (frequency_hz / roll_off_hz) ** 2) ** (order / 2)
  filtered = np.fft.irfft(np.fft.rfft(mirrored, axis=1) * gain[None], mirrored.shape[1], axis=1)
  return filtered[:, : x_bt.shape[1]] + mean_b1


def through_any_tubing(x_bt: np.ndarray, fs_hz: float, rng: np.random.Generator) -> np.ndarray:
  """Returns windows (window, time) behind a tubing drawn from the ranges above, the same for all of them."""
  natural, damping = rng.uniform(*_RESONANCE_HZ), _log_uniform(rng, _DAMPING)
  return through_tubing(x_bt, fs_hz, natural, damping, rng.uniform(*_ROLL_OFF_HZ), int(rng.choice(_ORDERS)))


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
  return float(np.exp(rng.uniform(*np.log(bounds))))


def _group(kind: str, x_bt: np.ndarray, y_bt: np.ndarray, fs_hz: float, rng: np.random.Generator) -> np.ndarray:
  """Returns the outliers of one kind from a few windows, which share a filter."""
  if kind == "upside_down":
    return 2 * x_bt.mean(1, keepdims=True) - x_bt
  if kind == "reversed":
    return x_bt[:, ::-1]
  if kind == "smoothed":
    return filters.lowpass(x_bt, fs_hz, _log_uniform(rng, _LOWPASS_HZ))
  if kind == "other_tubing":
    return through_any_tubing(x_bt, fs_hz, rng)
  return y_bt


def make(x_bt: np.ndarray, y_bt: np.ndarray, fs_hz: float, seed: int) -> np.ndarray:
  """Makes an outlier of each window.

  Args:
    x_bt, y_bt: (window, time) peripheral and reference waves of the source [mmHg].
    fs_hz: sampling rate.
    seed: assigns the kinds, and draws the filters.

  Returns:
    (window, time) outliers [mmHg].
  """
  rng = np.random.default_rng(seed)
  out = np.empty_like(x_bt)
  groups = np.array_split(rng.permutation(len(x_bt)), max(-(-len(x_bt) // _ALIKE), 1))
  for number, rows in enumerate(groups):
    out[rows] = _group(KINDS[number % len(KINDS)], x_bt[rows], y_bt[rows], fs_hz, rng)
  return out
