"""Spectra of windows, and what they say of the context of a measurement.

The power of a pressure wave falls with frequency in a way that arteries share. A fluid-filled line adds a peak, a monitor's
low-pass a fall, a device its floor of noise. In one window these are hidden by the heart's harmonics. The mean over the
windows of a subject shows them better, and the mean over the subjects of a clinic best, since all lie behind devices of one kind:

    s_b = ln(P_b + ε) of a window,     s̄_subject = mean over its windows,     mean and SD of s̄_subject over the clinic

b are triangular bands in cycles per sample, since a network lives on one sampling rate; at 125 Hz, every 0.75 Hz up to
44.75 Hz. ε is the power of a noise of 0.2 % of the SD of the pressure, so that the floor of a noiseless wave is finite.

Where the reference wave y is known too, the response of the arteries and of the line together is seen directly, in power and,
by the cross-spectrum, in phase:

    s_b(x) − s_b(y),     ⟨X Y*⟩_b / √(⟨|X|²⟩_b ⟨|Y|²⟩_b),     mean x − mean y,     ln(SD x / SD y)
"""

import numpy as np

BANDS = 60
_PHASES = 20  # lowest bands, in which arterial waves have power
RESPONSE = BANDS + 2 * _PHASES + 2
CONTEXT_SIZE = 3 * BANDS + 2 * RESPONSE + 1
"""What a network reads of a window (`data.measurement_context`): the spectrum of its subject, mean and SD of those of the clinic and of the
responses of its labelled subjects, and their number."""
_FIRST, _STEP = 0.004, 0.006  # cycles per sample
FLOOR = 0.002  # SD of a noise, of scaled windows


def log_power(x_bt: np.ndarray) -> np.ndarray:
  """Returns ln(P_b + ε) of scaled windows (window, time), (window, band).

  P_b is the mean square per frequency bin of the window under a Hann window, less its mean.

  Args:
    x_bt: (window, time) scaled windows.
  """
  power_bf, weight_fk = np.square(np.abs(_spectrum(x_bt))), bands(x_bt.shape[1])
  return np.log(power_bf @ weight_fk + FLOOR**2).astype(np.float32)


def response(x_bt: np.ndarray, y_bt: np.ndarray) -> np.ndarray:
  """Returns the response of peripheral to reference waves (window, time), (window, `RESPONSE`).

  Args:
    x_bt: scaled windows of the peripheral wave.
    y_bt: the same windows of the reference wave, scaled alike.
  """
  weight_fk = bands(x_bt.shape[1])[:, :_PHASES]
  x_bf, y_bf = _spectrum(x_bt), _spectrum(y_bt)
  cross_bk = (x_bf * y_bf.conj()) @ weight_fk
  power_bk = (np.square(np.abs(x_bf)) @ weight_fk) * (np.square(np.abs(y_bf)) @ weight_fk)
  coherence_bk = cross_bk / np.sqrt(power_bk + FLOOR**4)
  level_b = x_bt.mean(1) - y_bt.mean(1)
  pulse_b = np.log((x_bt.std(1) + FLOOR) / (y_bt.std(1) + FLOOR))
  parts = [log_power(x_bt) - log_power(y_bt), coherence_bk.real, coherence_bk.imag, level_b[:, None], pulse_b[:, None]]
  return np.concatenate(parts, axis=1).astype(np.float32)


def _spectrum(x_bt: np.ndarray) -> np.ndarray:
  """Returns the spectrum of windows under a Hann window, less their means, with the power per frequency bin."""
  taper_t = np.hanning(x_bt.shape[1]).astype(np.float32)
  centred_bt = (x_bt - x_bt.mean(1, keepdims=True)) * taper_t
  return np.asarray(np.fft.rfft(centred_bt, axis=1) / np.sqrt(np.square(taper_t).sum()))


def bands(time: int) -> np.ndarray:
  """Returns the weights of the bands for windows of a length, (frequency, band)."""
  frequency_f, centre_k = np.fft.rfftfreq(time), _FIRST + _STEP * np.arange(BANDS)
  weight_fk = np.maximum(0.0, 1 - np.abs(frequency_f[:, None] - centre_k) / _STEP)
  # a short window may have no bin within a band
  weight_fk[np.abs(frequency_f[:, None] - centre_k).argmin(0), np.arange(BANDS)] += 1e-3
  return np.asarray(weight_fk / weight_fk.sum(0))


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
