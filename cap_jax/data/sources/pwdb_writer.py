"""Writes the CSV layout of the Pulse Wave Database (Charlton et al. 2019; Zenodo 3275625).

    PWs/csv/PWs_<Site>_<Signal>.csv   a row a subject: one beat at 500 Hz from its own foot, padded with NaN
    pwdb_onset_times.csv              times of these feet, in seconds after that of the pressure at the aortic root
    pwdb_haemod_params.csv            haemodynamic parameters

Signals are P [mmHg], U [m/s], A [m²] and PPG [-]. P, U and A of a site share one clock, which starts at the foot of P,
so that U·A is the flow; a PPG starts at its own minimum. Column names begin with a space, as in the original files.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import TextIO

import numpy as np

from cap_jax import own_files
from cap_jax.data.sources import pwdb

SIGNALS = tuple(pwdb.KINDS)


def beat_samples(period_s: float) -> int:
  """Returns the number of samples of a beat at 500 Hz."""
  return int(np.ceil(period_s * pwdb.FS_HZ - 1e-9))


def resample(waves: np.ndarray, foot_s: np.ndarray, period_s: float, columns: int) -> np.ndarray:
  """Resamples the periodic waves of one subject to 500 Hz from their feet on, by their Fourier series.

  Args:
    waves: (wave, time) one period.
    foot_s: (wave,) time of the foot within the period [s].
    period_s: length of the period [s].
    columns: number of columns of the result; at least the samples of the period.

  Returns:
    (wave, column), NaN after the end of the beat.
  """
  samples = waves.shape[1]
  k = np.arange((samples - 1) // 2 + 1)  # without the Nyquist frequency, whose phase is lost
  c_wk = np.fft.rfft(waves, axis=1)[:, : k.size] / samples
  c_wk[:, 1:] *= 2
  c_wk = c_wk * np.exp(2j * np.pi * np.outer(foot_s / period_s, k))
  time_s = np.arange(beat_samples(period_s)) / pwdb.FS_HZ
  turns_kt = np.exp(2j * np.pi * np.outer(k, time_s / period_s))
  beats_wt = np.full((waves.shape[0], columns), np.nan)
  beats_wt[:, : time_s.size] = c_wk.real @ turns_kt.real - c_wk.imag @ turns_kt.imag
  return beats_wt


class Writer:
  """Writes subjects block by block into a folder, which must exist. Use it in a `with` statement.

  Args:
    folder: the folder.
    sites: names of the sites in order.
    columns: samples of the longest beat.
  """

  def __init__(self, folder: str, sites: Sequence[str], columns: int):
    self._stack = contextlib.ExitStack()
    self._folder, self._sites, self._columns, self._next = folder, tuple(sites), columns, 1
    own_files.makedirs(os.path.join(folder, "PWs", "csv"))
    points = [f"pt{k + 1}" for k in range(columns)]
    self._waves = {
      (site, signal): self._open(os.path.join(folder, "PWs", "csv", f"PWs_{site}_{signal}.csv"), points)
      for site in sites
      for signal in SIGNALS
    }
    names = [f"{site}_{signal}" for site in sites for signal in SIGNALS]
    self._onsets = self._open(os.path.join(folder, "pwdb_onset_times.csv"), names)
    self._parameters: TextIO | None = None

  def _open(self, path: str, names: Sequence[str]) -> TextIO:
    file = open(own_files.claimed(path), "w", encoding="ascii", newline="\n")  # noqa: SIM115, closed by the stack
    self._stack.enter_context(file)
    file.write(", ".join(["Subject Number", *names]) + "\n")
    return file

  def __enter__(self) -> "Writer":
    return self

  def __exit__(self, *error: object) -> None:
    self._stack.close()

  def write(
    self,
    waves: Mapping[str, np.ndarray],
    foot_s: np.ndarray,
    period_s: np.ndarray,
    parameters: Mapping[str, np.ndarray],
  ) -> None:
    """Appends subjects.

    Args:
      waves: signal → (subject, site, time), one period each.
      foot_s: (subject, site) time of the foot of the pressure within the period [s].
      period_s: (subject,) length of the period [s].
      parameters: name → (subject,), the same names in each call.
    """
    if self._parameters is None:
      self._parameters = self._open(os.path.join(self._folder, "pwdb_haemod_params.csv"), list(parameters))
    count = period_s.size
    numbers = range(self._next, self._next + count)
    least_s = waves["PPG"].argmin(-1) / waves["PPG"].shape[-1] * period_s[:, None]
    feet = np.stack([foot_s if signal != "PPG" else least_s for signal in SIGNALS])
    delays = np.moveaxis((feet - foot_s[None, :, :1]) % period_s[None, :, None], 0, -1)
    stacked = np.stack([waves[signal] for signal in SIGNALS])
    lines: dict[tuple[str, str], list[str]] = {name: [] for name in self._waves}
    for s in range(count):
      rows = resample(stacked[:, s].reshape(-1, stacked.shape[-1]), feet[:, s].ravel(), period_s[s], self._columns)
      rows = rows.reshape(len(SIGNALS), len(self._sites), -1)
      ppg = rows[SIGNALS.index("PPG")]
      low, high = np.nanmin(ppg, axis=1, keepdims=True), np.nanmax(ppg, axis=1, keepdims=True)
      rows[SIGNALS.index("PPG")] = (ppg - low) / (high - low)
      for signal, of_signal in zip(SIGNALS, rows.tolist(), strict=True):
        for site, row in zip(self._sites, of_signal, strict=True):
          lines[site, signal].append(_line(numbers[s], row))
    for name, file in self._waves.items():
      file.writelines(lines[name])
    _append(self._onsets, numbers, delays.reshape(count, -1))
    _append(self._parameters, numbers, np.stack(list(parameters.values()), axis=1))
    self._next += count


def _line(number: int, row: Sequence[float]) -> str:
  return f"{number}," + (",".join(["%.6g"] * len(row)) % tuple(row)).replace("nan", "NaN") + "\n"


def _append(file: TextIO, subject_numbers: range, rows: np.ndarray) -> None:
  file.writelines(_line(number, row) for number, row in zip(subject_numbers, rows.tolist(), strict=True))
