"""Windows, their blending, and periodic extension."""

import numpy as np
import pytest

from cap_jax.signals import windows

pytestmark = pytest.mark.quick


def blended(frames, starts, margin):
  """Blends windows that come in two parts."""
  blend = windows.Blend(starts, frames.shape[1], margin)
  for part in np.array_split(frames, 2):
    if len(part):
      blend.add(part)
  return blend.wave_t


def test_frames_lie_at_multiples_of_the_hop():
  frames = windows.frame(np.arange(10), 4, 3)
  np.testing.assert_array_equal(frames, [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]])
  with pytest.raises(ValueError, match="shorter than a window"):
    windows.frame(np.arange(3), 4, 1)


def test_the_extremes_of_each_window_become_0_and_1_whatever_gain_and_offset():
  rng = np.random.default_rng(0)
  x_bt = rng.normal(size=(3, 50)).cumsum(1)
  scaled = windows.min_max(x_bt)
  np.testing.assert_allclose([scaled.min(1), scaled.max(1)], [np.zeros(3), np.ones(3)])
  np.testing.assert_allclose(windows.min_max(np.array([[1e-3], [40.0], [1e4]]) * x_bt - 7), scaled, atol=1e-9)
  np.testing.assert_array_equal(windows.min_max(np.full((1, 50), 8.0)), np.zeros((1, 50)))


def test_starts_cover_the_last_sample():
  np.testing.assert_array_equal(windows.starts_covering(11, 4, 3), [0, 3, 6, 7])


def test_blending_true_windows_gives_the_record_back():
  x = np.random.default_rng(0).normal(size=2000)
  starts = windows.starts_covering(2000, 500, 250)
  frames = np.stack([x[s : s + 500] for s in starts])
  np.testing.assert_allclose(blended(frames, starts, 31), x, atol=1e-12)


def test_blending_hides_what_is_wrong_in_the_margins():
  x = np.zeros(2000)
  starts = windows.starts_covering(2000, 500, 250)
  frames = np.zeros((len(starts), 500))
  frames[:, :31] = frames[:, -31:] = 1.0
  record = blended(frames, starts, 31)
  np.testing.assert_allclose(record[31:-31], x[31:-31], atol=1e-3)


def test_a_single_beat_is_extended_by_itself():
  beat = 90 + 20 * np.sin(2 * np.pi * np.arange(100) / 100)
  long = windows.extend_periodically(beat, 125.0, 150, 130)
  expected = 90 + 20 * np.sin(2 * np.pi * np.arange(-150, 230) / 100)
  np.testing.assert_allclose(long, expected, atol=1.0)


def test_an_extension_continues_the_wave():
  t = np.arange(400) / 125
  p = 80 + 40 * np.exp(-(((t % 0.8) - 0.4) ** 2) / 0.01)
  long = windows.extend_periodically(p, 125.0, 100, 100)
  both = np.arange(-100, 500) / 125
  expected = 80 + 40 * np.exp(-(((both % 0.8) - 0.4) ** 2) / 0.01)
  np.testing.assert_array_equal(long[100:500], p)
  assert np.abs(long - expected).max() < 3
