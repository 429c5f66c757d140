"""Spectra of windows, and what they say of the circumstances of a measurement.

The power of a pressure wave falls with frequency in a way that arteries share. A fluid-filled line adds a peak, a monitor's
low-pass a fall, a device its floor of noise. In one window these are hidden by the heart's harmonics. The mean over the
windows of a subject shows them better, and the mean over the subjects of a clinic best, since all lie behind devices of one kind:

    s_b = ln(P_b + ε) of a window,     s̄_subject = mean over its windows,     mean and SD of s̄_subject over the clinic

b are triangular bands in cycles per sample, since a network lives on one sampling rate; at 125 Hz, every 0.75 Hz up to
44.75 Hz. ε is the power of a noise of 0.2 % of the SD of the pressure, so that the floor of a noiseless wave is finite.
"""

import numpy as np

BANDS = 60
_FIRST, _STEP = 0.004, 0.006  # cycles per sample
_FLOOR = 0.002  # SD of a noise, of scaled windows


def log_power(x_bt: np.ndarray) -> np.ndarray:
  """Returns ln(P_b + ε) of scaled windows (window, time), (window, band).

  P_b is the mean square per frequency bin of the window under a Hann window, less its mean.

  Args:
    x_bt: (window, time) scaled windows.
  """
  time = x_bt.shape[1]
  taper_t = np.hanning(time).astype(np.float32)
  centred_bt = (x_bt - x_bt.mean(1, keepdims=True)) * taper_t
  power_bf = np.square(np.abs(np.fft.rfft(centred_bt, axis=1))) / np.square(taper_t).sum()
  frequency_f, centre_k = np.fft.rfftfreq(time), _FIRST + _STEP * np.arange(BANDS)
  weight_fk = np.maximum(0.0, 1 - np.abs(frequency_f[:, None] - centre_k) / _STEP)
  # a short window may have no bin within a band
  weight_fk[np.abs(frequency_f[:, None] - centre_k).argmin(0), np.arange(BANDS)] += 1e-3
  return np.log(power_bf @ (weight_fk / weight_fk.sum(0)) + _FLOOR**2).astype(np.float32)


def by_group(values_bk: np.ndarray, group_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the mean of each group of rows, (group, column), and the group of each row, (row,).

  Args:
    values_bk: (row, column).
    group_b: (row,) names of the groups.
  """
  _, number_b = np.unique(group_b, return_inverse=True)
  sums = np.zeros((number_b.max() + 1, values_bk.shape[1]))
  np.add.at(sums, number_b, values_bk)
  return (sums / np.bincount(number_b)[:, None]).astype(np.float32), number_b
