"""Beat times: mean, bands, ectopic beats."""

import jax
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import rhythm
from tests import tiers

STILL = clinics.Rhythm(rr_low_sd=0, rr_high_sd=0, sv_breathing=0, sv_noise=0)


draw = jax.jit(rhythm.draw, static_argnums=(2, 3))


def intervals(key, hr, seconds, spec):
  beats = jax.tree.map(np.asarray, draw(jax.random.key(key), np.float32(hr), seconds, spec))
  count = int(np.isfinite(beats.onset_s).sum())
  onset = np.asarray(beats.onset_s[:count])
  return np.diff(np.append(onset, seconds)), np.asarray(beats.sv_scale[:count]), float(beats.breathing_hz)


def test_rhythm_closes_on_itself_and_moves_the_beats():
  gaps, volume, breathing = intervals(1, 72.0, 60.0, clinics.Rhythm())
  assert len(gaps) == 72
  assert gaps.sum() == pytest.approx(60.0, abs=1e-3)
  assert gaps.min() > 0.75
  assert gaps.max() < 0.92
  assert 0.2 <= breathing <= 0.3
  assert 0.03 < volume.std() < 0.08


@pytest.mark.parametrize(("low", "high"), tiers.sample([(0.03, 0.0), (0.0, 0.03)], (0.0, 0.03)))
def test_variability_lies_in_its_band(low, high):
  spec = clinics.Rhythm(rr_low_sd=low, rr_high_sd=high)
  seconds, power = 300.0, 0.0
  for key in range(8):
    gaps, _, breathing = intervals(key, 70.0, seconds, spec)
    line = np.abs(np.fft.rfft(gaps / gaps.mean() - 1)) ** 2
    f = np.arange(line.size) / seconds
    centre = breathing if high else 0.1
    power += line[np.abs(f - centre) < 0.035].sum() / line[1:].sum() / 8
    assert gaps.std() / gaps.mean() == pytest.approx(0.03, rel=0.1)
  assert power > 0.95


def test_ectopic_beats_come_early_and_are_made_up_for():
  spec = clinics.Rhythm(rr_low_sd=0, rr_high_sd=0, sv_breathing=0, sv_noise=0, ectopic_share=0.1)
  gaps, volume, _ = intervals(4, 75.0, 120.0, spec)
  early = np.flatnonzero(np.isclose(volume, 0.45))
  assert 4 <= early.size <= 16
  mean = gaps.mean()
  np.testing.assert_allclose(gaps[early - 1], 0.65 * mean, rtol=2e-2)
  np.testing.assert_allclose(gaps[early], 1.35 * mean, rtol=2e-2)
  np.testing.assert_allclose(volume[early + 1], 1.15, rtol=1e-5)
  assert (np.diff(early) > 2).all()
  none, _, _ = intervals(4, 75.0, 120.0, STILL)
  np.testing.assert_allclose(none, 0.8, rtol=1e-3)


@pytest.mark.parametrize("share", tiers.sample([0.02, 0.1, 0.14], 0.1))
def test_ectopic_beats_have_their_share(share):
  spec = clinics.Rhythm(sv_breathing=0, sv_noise=0, ectopic_share=share)
  result = [np.isclose(intervals(key, 75.0, 300.0, spec)[1], 0.45).mean() for key in range(12)]
  # 4,500 beats: the standard error is at most 0.005
  assert np.mean(result) == pytest.approx(share, abs=0.012)
