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


@pytest.mark.slow
def test_variability_has_a_size_of_its_own_in_each_record():
  spec = clinics.Rhythm(rr_scale=(0.1, 2.0), breathing_scale=(0.1, 2.0))
  drawn = jax.vmap(lambda key: rhythm.draw(key, 70.0, 60.0, spec))(jax.random.split(jax.random.key(2), 400))
  gaps = np.diff(np.asarray(drawn.onset_s)[:, :70], axis=1)
  rr_sd = (gaps.std(1) / gaps.mean(1)) / np.hypot(0.014, 0.021)
  swing = np.asarray(drawn.swing_mmhg) / 2.0
  volume = np.asarray(drawn.sv_scale)[:, :70].std(1) / (0.06 / np.sqrt(2))
  for factor in (rr_sd, swing, volume):
    assert 0.08 < factor.min() < 0.15
    assert 1.6 < factor.max() < 2.3
    assert np.median(np.log(factor)) == pytest.approx(np.log(0.1 * 2.0) / 2, abs=0.25)
  # three draws of their own
  assert abs(np.corrcoef([rr_sd, swing, volume])[np.triu_indices(3, 1)]).max() < 0.2


def test_fibrillation_has_independent_intervals_and_fills_by_the_one_before():
  spec = clinics.Rhythm(sv_breathing=0, sv_noise=0, fibrillation_share=1.0, fibrillation_rr_sd=0.2)
  gaps, volume, _ = intervals(3, 90.0, 300.0, spec)
  relative = gaps / gaps.mean()
  assert relative.std() == pytest.approx(0.2 * 0.88, rel=0.1)  # truncated at two SD: 0.88 of the SD
  assert abs(np.corrcoef(relative[1:], relative[:-1])[0, 1]) < 0.12
  assert np.corrcoef(volume[1:], relative[:-1])[0, 1] > 0.99
  assert volume.std() == pytest.approx(0.7 * relative.std(), rel=0.05)
  sinus = clinics.Rhythm(fibrillation_share=0.0)
  np.testing.assert_array_equal(intervals(3, 90.0, 60.0, sinus)[0], intervals(3, 90.0, 60.0, clinics.Rhythm())[0])
