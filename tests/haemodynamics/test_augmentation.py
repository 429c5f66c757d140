"""Augmentation and feet of waves whose answer is known."""

import numpy as np
import pytest

from cap_jax.haemodynamics import augmentation, timing

pytestmark = pytest.mark.quick
TIME = np.arange(400) / 400  # one beat of 1 s


def hump(centre, width):
  return np.exp(-0.5 * ((TIME - centre) / width) ** 2)


def test_late_second_wave_augments_and_an_early_one_does_not():
  # the second hump arrives 0.2 s after the first: higher, lower, or hidden in the fall
  early = 30 * hump(0.15, 0.05)
  p = 80 + np.stack([early + 40 * hump(0.35, 0.06), early + 15 * hump(0.32, 0.06)])
  result = augmentation.augmentation(np.roll(p, 37, axis=1), np.ones(2), np.full(2, 0.45))
  assert result.kind.tolist() == ["A", "C"]
  # the second rise begins between the first peak and the valley's floor
  valley = p[0][60:140].min()
  assert p[0].max() - 110 < result.ap_mmhg[0] <= p[0].max() - valley + 0.5
  assert 15 < result.aix_percent[0] < 55
  assert -70 < result.aix_percent[1] < -30
  foot_s = p[0].argmin() / 400 - 1
  assert 0.15 < result.tr_s[0] + foot_s < 0.28
  assert result.tr_s[1] > result.tr_s[0]
  np.testing.assert_allclose(result.p2_mmhg - result.p1_mmhg, result.ap_mmhg)


def test_a_small_augmentation_is_of_type_b():
  """The second hump just higher than the first: P1 lies on the rise to it, P2 is the peak of the smoothed wave, which is a little lower."""
  p = 80 + 30 * hump(0.15, 0.05) + 32 * hump(0.30, 0.06)
  result = augmentation.augmentation(np.roll(p, -40)[None], np.ones(1), np.full(1, 0.45))
  first, valley = p[:80].max(), p[60:120].min()
  assert result.kind[0] == "B"
  assert 0 < result.aix_percent[0] <= 12
  assert valley < result.p1_mmhg[0] < first < result.p2_mmhg[0] + 1.5
  assert p.max() - 1.5 < result.p2_mmhg[0] < p.max()
  assert 0.15 < result.at_s[0] + 0.1 < 0.25  # on the clock of the wave that was given, which began 0.1 s later
  assert result.tr_s[0] > result.at_s[0]


def test_augmentation_grows_with_the_second_wave():
  sizes = np.array([32.0, 36.0, 40.0, 44.0])
  p = 80 + np.stack([30 * hump(0.15, 0.05) + size * hump(0.35, 0.06) for size in sizes])
  result = augmentation.augmentation(p, np.ones(4), np.full(4, 0.45))
  assert (np.diff(result.ap_mmhg) > 2).all()
  np.testing.assert_allclose(np.diff(result.ap_mmhg), np.diff(sizes), rtol=0.4)


def test_a_wave_without_an_inflection_has_none():
  result = augmentation.augmentation(80 + 40 * np.sin(2 * np.pi * TIME)[None], np.ones(1), np.array([0.3]))
  assert np.isnan(result.ap_mmhg[0])
  assert result.kind[0] == ""


def test_foot_is_where_the_tangents_meet():
  # a ramp of 0.2 s from a level: the tangent of its steepest part meets the level where the ramp begins
  ramp = np.clip((TIME - 0.3) / 0.2, 0, 1) - np.clip((TIME - 0.5) / 0.4, 0, 1)
  smooth = np.stack([np.convolve(np.tile(ramp, 3), np.ones(9) / 9, "same")[400:800]])
  late = np.roll(smooth, 200, axis=1)
  feet = timing.foot_times(np.concatenate([smooth, late]), np.array([1.0, 0.8]))
  assert feet[0] == pytest.approx(0.3, abs=0.01)
  assert feet[1] == pytest.approx(0.8 * 0.8, abs=0.01)
