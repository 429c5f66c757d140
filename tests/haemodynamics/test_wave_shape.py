"""Features of beats and windows against their closed forms."""

import numpy as np
import pytest

from cap_jax.haemodynamics import wave_shape

pytestmark = pytest.mark.quick
SAMPLES = 512
TURN = np.arange(SAMPLES) / SAMPLES
FS = 125.0


def beat(times, pressures, period_s=1.0):
  wave = np.interp(TURN, times, pressures)
  return {name: float(value[0]) for name, value in wave_shape.of_beats(wave[None], np.array([period_s])).items()}


def test_a_triangle_has_its_times_and_slopes():
  """Up from 80 to 120 mmHg in 0.2 s, down in 0.8 s."""
  values = beat([0, 0.2, 1], [80, 120, 80])
  assert values["hr_bpm"] == pytest.approx(60)
  assert values["map_mmhg"] == pytest.approx(100, abs=0.05)
  assert values["pp_mmhg"] == pytest.approx(40, rel=0.01)
  assert values["dbp_mmhg"] == pytest.approx(80)
  assert values["form_factor"] == pytest.approx(0.5, abs=0.01)
  # the low-pass rounds both corners by a few per cent of the height
  assert values["upstroke_per_s"] == pytest.approx(1 / 0.2, rel=0.06)
  assert values["rise_ms"] == pytest.approx(160, rel=0.05)
  assert values["peak_ms"] == pytest.approx(200, abs=10)
  assert values["width_ms"] == pytest.approx(500, rel=0.03)
  assert values["crest_ms"] == pytest.approx(100, rel=0.15)
  assert values["rebound"] == pytest.approx(0, abs=0.005)  # the rounded foot


def test_times_scale_with_the_period_and_shares_do_not():
  slow, fast = (beat([0, 0.2, 1], [80, 120, 80], period_s) for period_s in (2.0, 1.0))
  assert slow["rise_ms"] == pytest.approx(2 * fast["rise_ms"], rel=0.05)
  assert slow["width_ms"] == pytest.approx(2 * fast["width_ms"], rel=0.03)
  assert slow["form_factor"] == pytest.approx(fast["form_factor"], abs=0.01)


def test_rebound_is_the_largest_rise_after_the_peak():
  """Down to 30 % of the height, up to 50 %, down."""
  values = beat([0, 0.15, 0.4, 0.55, 1], [80, 120, 92, 100, 80])
  assert values["rebound"] == pytest.approx(0.2, abs=0.02)
  assert values["notch_ms"] == pytest.approx(400, abs=20)
  assert values["notch_level"] == pytest.approx(0.3, abs=0.03)


def test_a_wave_without_a_notch_has_none():
  values = beat([0, 0.2, 1], [80, 120, 80])
  assert np.isnan(values["notch_ms"])
  assert np.isnan(values["notch_level"])


@pytest.mark.parametrize("tau_s", [0.8, 2.0])
def test_decay_is_that_of_an_exponential(tau_s):
  wave = np.where(TURN < 0.3, 80 + 100 * TURN, 110 * np.exp(-(TURN - 0.3) / tau_s))
  period = np.array([1.2])
  assert wave_shape.of_beats(wave[None], period)["decay"][0] == pytest.approx(1 / tau_s, rel=1e-6)
  assert np.isnan(wave_shape.of_beats(wave[None] - 95, period)["decay"][0])


def test_slope_and_share_of_harmonics_have_their_closed_form():
  """Harmonics of amplitude k⁻² fall by 12.04 dB an octave; at 1 Hz those from 9 to 20 Hz are the fast ones."""
  k = np.arange(1, 41)
  wave = 90 + (20.0 / k[:, None] ** 2 * np.cos(2 * np.pi * k[:, None] * TURN + k[:, None])).sum(0)
  values = wave_shape.of_beats(wave[None], np.ones(1))
  assert values["slope_db_per_octave"][0] == pytest.approx(-40 * np.log10(2), abs=1e-3)
  power = k[k <= 20] ** -4.0
  assert values["high_share"][0] == pytest.approx(np.sqrt(power[8:].sum() / power.sum()), rel=1e-6)


def test_a_flat_beat_has_no_features():
  values = wave_shape.of_beats(np.full((2, SAMPLES), 80.0), np.ones(2))
  assert all(np.isnan(value).all() for value in values.values())
  assert wave_shape.of_beats(np.zeros((0, SAMPLES)), np.zeros(0))["map_mmhg"].shape == (0,)


def beats_of(periods_s, pulses_mmhg, levels_mmhg):
  """Beats of one shape one after the other: periods, pulse pressures and diastolic levels."""
  parts = []
  for period_s, pulse, level in zip(periods_s, pulses_mmhg, levels_mmhg, strict=True):
    time_s = np.arange(round(period_s * FS)) / FS
    parts.append(level + pulse * np.interp(time_s, [0, 0.12, period_s], [0, 1, 0]))
  return np.concatenate(parts)


def test_variation_of_a_window():
  even = np.arange(16) % 2
  wave = beats_of(0.8 + 0.24 * even, np.full(16, 40.0), np.full(16, 80.0))
  values = wave_shape.of_window(wave, FS)
  assert values["rr_variation"] == pytest.approx(
    0.12 / 0.92, abs=0.01
  )  # feet lie on samples, 0.009 of an interval apart
  assert values["pp_variation"] == pytest.approx(0, abs=0.02)
  assert values["hr_bpm"] == pytest.approx(60 / 0.92, rel=0.15)
  values = wave_shape.of_window(beats_of(np.full(16, 0.8), 40.0 + 8 * even, np.full(16, 80.0)), FS)
  assert values["pp_variation"] == pytest.approx(8 / 44, rel=0.05)
  assert values["rr_variation"] == pytest.approx(0, abs=0.011)  # a sample is 0.01 of the interval
  values = wave_shape.of_window(beats_of(np.full(16, 0.8), np.full(16, 40.0), 80.0 + np.arange(16)), FS)
  assert values["swing_mmhg"] == pytest.approx(14, abs=1.1)  # without the beats at both ends


def test_noise_is_what_lies_above_25_hz():
  wave = beats_of(np.full(16, 0.8), np.full(16, 40.0), np.full(16, 80.0))
  quiet = wave_shape.of_window(wave, FS)["noise_mmhg"]
  time_s = np.arange(wave.size) / FS
  for size, f_hz, heard in ((0.7, 40.0, 1.0), (0.7, 12.0, 0.0)):
    noise = wave_shape.of_window(wave + size * np.sin(2 * np.pi * f_hz * time_s), FS)["noise_mmhg"]
    assert noise**2 - quiet**2 == pytest.approx(heard * size**2 / 2, abs=0.02)


def test_share_of_beats_with_a_notch():
  time_s = np.arange(round(0.8 * FS)) / FS
  notched = 80 + 40 * np.interp(time_s, [0, 0.12, 0.2, 0.3, 0.36, 0.5, 0.8], [0, 1, 0.85, 0.4, 0.6, 0.35, 0])
  plain = 80 + 40 * np.interp(time_s, [0, 0.12, 0.8], [0, 1, 0])
  for parts, share in (([notched], 1.0), ([notched, plain], 0.5), ([plain], 0.0)):
    values = wave_shape.of_window(np.tile(np.concatenate(parts), 8), FS)
    assert values["notch_share"] == pytest.approx(share, abs=0.05)


def test_a_window_without_two_beats_has_no_features():
  assert all(np.isnan(value) for value in wave_shape.of_window(np.full(500, 80.0), FS).values())
  assert set(wave_shape.of_window(np.full(500, 80.0), FS)) == set(wave_shape.UNITS)
