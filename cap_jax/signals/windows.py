"""Windows of a record, and the reconstruction of a record from overlapping windows."""

import numpy as np

from cap_jax.signals import beats


def frame(x_t: np.ndarray, length: int, hop: int) -> np.ndarray:
  """Returns a copy of the windows at multiples of `hop` that lie wholly within the record.

  Args:
    x_t: (…, time) the record.
    length: samples of a window.
    hop: samples between the starts of successive windows.

  Returns:
    (…, window, length).

  Raises:
    ValueError: the record is shorter than a window.
  """
  if x_t.shape[-1] < length:
    raise ValueError(f"a record of {x_t.shape[-1]} samples is shorter than a window of {length}")
  return np.lib.stride_tricks.sliding_window_view(x_t, length, axis=-1)[..., ::hop, :].copy()


def min_max(x_bt: np.ndarray) -> np.ndarray:
  """Scales each window to between 0 and 1; a window without a pulse becomes 0.

  A window is all that a stream has, so its own extremes serve a record and a stream alike. Neither a gain nor an offset
  of the wave changes the result.

  Args:
    x_bt: (window, time) waves of any unit.
  """
  low_b, high_b = x_bt.min(1, keepdims=True), x_bt.max(1, keepdims=True)
  return (x_bt - low_b) / np.where(high_b > low_b, high_b - low_b, 1)


def starts_covering(size: int, length: int, hop: int) -> np.ndarray:
  """Returns the starts of windows that cover a record to its last sample.

  Args:
    size: samples of the record, at least `length`.
    length: samples of a window.
    hop: samples between the starts of successive windows.
  """
  return np.unique(np.append(np.arange(0, size - length + 1, hop), size - length))


class Blend:
  """Combines overlapping windows into one record, weighted by a raised cosine that leaves out the margin at each end.

  Only the first and last `margin` samples of the record come from a window's margin, because no other window covers
  them. The windows may come in several parts.

  Attributes:
    wave_t: (time,) the record, as far as it is known: up to the start of the next window.
  """

  def __init__(self, starts: np.ndarray, length: int, margin: int, wave_t: np.ndarray | None = None):
    """Begins without a window.

    Args:
      starts: (window,) first sample of each window in the record, increasing.
      length: samples of a window.
      margin: samples at each end of a window.
      wave_t: (time,) takes the record; a new array if None.
    """
    self._starts, self._length, self._row, self._known = starts, length, 0, 0
    self.wave_t = np.empty(int(starts[-1]) + length) if wave_t is None else wave_t
    inner = np.sin(np.pi * (np.arange(length - 2 * margin) + 0.5) / (length - 2 * margin)) ** 2
    self._weight = np.full(length, 1e-6)  # margins count only where no other window covers the sample
    self._weight[margin : length - margin] += inner
    self._sums = np.zeros((2, 0))  # weighted, and of the weights, from the first unknown sample on

  def add(self, windows_nt: np.ndarray) -> None:
    """Adds the next windows, (window, length)."""
    starts = self._starts[self._row : self._row + len(windows_nt)] - self._known
    sums = np.zeros((2, int(starts[-1]) + self._length))
    sums[:, : self._sums.shape[1]] = self._sums
    for window, start in zip(windows_nt, starts.tolist(), strict=True):
      sums[0, start : start + self._length] += self._weight * window
      sums[1, start : start + self._length] += self._weight
    self._row += len(windows_nt)
    own = int(self._starts[self._row]) - self._known if self._row < len(self._starts) else sums.shape[1]
    self.wave_t[self._known : self._known + own] = sums[0, :own] / sums[1, :own]
    self._known, self._sums = self._known + own, sums[:, own:]


def repeat(x_t: np.ndarray, size: int) -> np.ndarray:
  """Repeats a record of one period to `size` samples; the drift between its ends is spread over the period."""
  return np.resize(without_drift(x_t), size)


def extend_periodically(x_t: np.ndarray, fs_hz: float, before: int, after: int) -> np.ndarray:
  """Extends a record at both ends by its own beats.

  With two feet or more, the first and the last whole beat are repeated outwards. With fewer, the record is treated as
  one beat of a periodic wave. The drift between the ends of a beat is spread over it, so that repetitions join.

  Args:
    x_t: (time,) at least one beat.
    fs_hz: sampling rate.
    before, after: samples to add.

  Returns:
    (before + time + after,).
  """
  feet = beats.find_feet(x_t, fs_hz)
  if len(feet) < 2:
    feet = np.array([0, len(x_t)])
  first, last = without_drift(x_t[feet[0] : feet[1]]), without_drift(x_t[feet[-2] : feet[-1]])
  # phases are counted from the feet, so that the repeats continue the wave that they touch
  left = first[np.arange(-before - feet[0], -feet[0]) % len(first)]
  right = last[(np.arange(len(x_t), len(x_t) + after) - feet[-1]) % len(last)]
  return np.concatenate([left, x_t, right])


def without_drift(beat_t: np.ndarray) -> np.ndarray:
  """Returns a beat without the drift between its ends."""
  if len(beat_t) < 3:
    return beat_t
  step = beat_t[-1] + (beat_t[-1] - beat_t[-2]) - beat_t[0]
  return beat_t - step * (np.arange(len(beat_t)) / len(beat_t) - 0.5)
