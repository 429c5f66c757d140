"""Each check of plausibility holds or fails where the waves are made so."""

import numpy as np
import pytest

from cap_jax.metrics import plausibility

FS = 125.0
RNG = np.random.default_rng(0)


def beats(count=20, pulse=40.0, level=75.0, delay_s=0.0, notch=True, ripple=0.0):
  """Pressure of a made-up heart of 75/min: a rise, a fall with or without a bend at 0.32 s, and an exponential."""
  time_s = np.arange(round(count * 0.8 * FS)) / FS
  phase_s = (time_s - delay_s) % 0.8
  rise = np.clip(phase_s / 0.08, 0, 1)
  fall = np.exp(-np.maximum(phase_s - 0.08, 0) / 0.35)
  bend = 0.12 * np.exp(-(((phase_s - 0.34) / 0.018) ** 2)) if notch else 0.0
  wave = np.where(phase_s < 0.08, rise, fall + bend)
  floor = np.exp(-0.72 / 0.35)
  wave = np.where(phase_s < 0.08, floor + (1 - floor) * rise, wave)
  return level + pulse * (wave - floor) / (1 - floor) + ripple * np.sin(2 * np.pi * 12.5 * time_s)


def shares(peripheral, aortic):
  result = plausibility.of_record(peripheral, aortic, FS)
  return {name: result.share(name) for name in plausibility.CHECKS}, result


@pytest.mark.quick
def test_a_wave_within_all_bounds_is_plausible():
  of, result = shares(beats(pulse=50, delay_s=0.08, ripple=0.5), beats(pulse=42, level=78.5))
  assert result.beats >= 17
  assert all(share > 0.9 for share in of.values()), of
  assert result.share(*plausibility.CHECKS) > 0.9


@pytest.mark.quick
@pytest.mark.parametrize(
  ("aortic", "fails"),
  [
    ({"pulse": 60, "level": 75.5}, {"pulse"}),
    ({"pulse": 22, "level": 79}, {"pulse"}),
    ({"pulse": 38, "level": 84}, {"diastole", "mean"}),
    ({"pulse": 38, "level": 72}, {"diastole", "mean"}),
    ({"pulse": 42, "level": 78.5, "delay_s": 0.07}, {"lead"}),
    ({"pulse": 42, "level": 78.5, "delay_s": -0.08}, {"lead"}),
    ({"pulse": 42, "level": 78.5, "ripple": 3.0}, {"smooth"}),
    ({"pulse": 42, "level": 78.5, "notch": False}, {"incisura"}),
  ],
)
def test_each_fault_fails_its_check(aortic, fails):
  of, _ = shares(beats(pulse=50, delay_s=0.08, ripple=0.5), beats(**aortic))
  assert all(of[name] < 0.2 for name in fails), of
  if fails == {"lead"}:
    assert min(of[name] for name in ("pulse", "diastole", "mean")) > 0.9


@pytest.mark.quick
def test_without_a_notch_at_the_wrist_none_is_asked_for():
  of, _ = shares(beats(pulse=50, delay_s=0.08, notch=False, ripple=0.5), beats(pulse=42, level=78.5, notch=False))
  assert of["incisura"] == 1


@pytest.mark.quick
def test_gaps_are_left_out_and_a_record_without_beats_has_no_share():
  peripheral, aortic = beats(pulse=50, delay_s=0.08, ripple=0.5), beats(pulse=42, level=78.5)
  aortic[600:900] = np.nan
  result = plausibility.of_record(peripheral, aortic, FS)
  assert 10 <= result.beats <= 17
  assert result.share("pulse") > 0.9
  empty = plausibility.of_record(np.full(500, np.nan), np.full(500, np.nan), FS)
  assert empty.beats == 0
  assert np.isnan(empty.share("pulse"))
  assert np.isnan(empty.gain_f).all()


@pytest.mark.quick
def test_the_gain_is_that_of_the_filter_between_the_waves():
  aortic = np.cumsum(RNG.normal(size=20000)) * 0.5
  aortic -= np.linspace(aortic[0], aortic[-1], aortic.size)
  frequency_hz = np.fft.rfftfreq(aortic.size, 1 / FS)
  response = 1 / (1 - (frequency_hz / 4.0) ** 2 + 2j * 0.3 * frequency_hz / 4.0)
  peripheral = np.fft.irfft(np.fft.rfft(aortic) * response, aortic.size)
  gain_f = plausibility.of_record(90 + peripheral, 90 + aortic, FS).gain_f
  for hz in (1.0, 2.0, 8.0):
    expected = abs(1 / (1 - (hz / 4) ** 2 + 2j * 0.3 * hz / 4))
    assert gain_f[plausibility.FREQUENCIES_HZ.index(hz)] == pytest.approx(expected, rel=0.12)
