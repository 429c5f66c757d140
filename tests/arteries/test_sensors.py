"""Each stage of a measuring chain against its closed form, and their composition."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import sensors

FS, SECONDS = 200.0, 60.0
TIME = np.arange(int(FS * SECONDS)) / FS
KEY = jax.random.key(7)


def tone(f_hz, size=1.0, level=10.0):
  return jnp.asarray(level + size * np.sin(2 * np.pi * f_hz * TIME))


@pytest.mark.quick
def test_second_order_line_has_its_closed_form():
  f = 6.0
  out = sensors.second_order(tone(f), FS, natural_hz=9.0, damping=0.2)
  gain = 1 / abs(1 - (f / 9) ** 2 + 2j * 0.2 * f / 9)
  assert float(out.mean()) == pytest.approx(10, abs=1e-3)
  assert float(np.std(out)) * np.sqrt(2) == pytest.approx(gain, rel=1e-3)


@pytest.mark.quick
def test_one_pole_halves_the_power_at_its_frequency():
  out = sensors.one_pole(tone(18.0), FS, jnp.array(18.0))
  assert float(np.var(out)) == pytest.approx(0.25, rel=1e-3)


@pytest.mark.quick
def test_delay_moves_a_wave():
  out = sensors.delay(tone(1.5), FS, jnp.array(0.3))
  np.testing.assert_allclose(out, 10 + np.sin(2 * np.pi * 1.5 * (TIME - 0.3)), atol=1e-3)


def test_cuff_without_errors_gives_the_extremes_that_it_read():
  wave, arm = tone(1.25, size=0.5, level=0.5), tone(1.25, size=20.0, level=100.0)
  exact = clinics.Cuff(0.0, 0.0, 0.0, 0.0)
  np.testing.assert_allclose(sensors.calibrate(KEY, wave, arm, FS, exact), arm, atol=0.05)
  biased = sensors.calibrate(KEY, wave, arm, FS, clinics.Cuff(-5.7, 0.0, 5.5, 0.0))
  assert float(biased.max()) == pytest.approx(120 - 5.7, abs=0.05)
  assert float(biased.min()) == pytest.approx(80 + 5.5, abs=0.05)


def test_cuff_errors_have_their_spread_and_never_invert_a_wave():
  keys = jax.random.split(KEY, 2000)
  calibrated = jax.jit(jax.vmap(lambda k, wave: sensors.calibrate(k, wave, wave, FS, clinics.Cuff()), (0, None)))
  out = calibrated(keys, tone(1.25, size=30.0, level=120.0))
  dbp = out.min(1)
  assert float(dbp.mean()) == pytest.approx(90 + 5.5, abs=0.6)
  assert float(dbp.std()) == pytest.approx(7.9, rel=0.05)
  for size in (8.0, 30.0):  # an impossible reading is repeated
    out = calibrated(keys, tone(1.25, size=size, level=100.0))
    assert float((out.max(1) - out.min(1)).min()) >= 12 - 1e-3


def test_episodes_have_their_rate_and_length():
  keys = jax.random.split(KEY, 400)
  on = np.asarray(jax.vmap(lambda k: sensors.episodes(k, TIME.size, FS, 0.5, 2.0))(keys))
  # a Poisson process of rate λ covers 1 − e^(−λ·length) of the time, but for the start of the record
  assert on[:, 400:].mean() == pytest.approx(1 - np.exp(-0.5 / 60 * 2), rel=0.15)
  runs = np.diff(np.flatnonzero(np.diff(np.pad(on[on.any(1)][0].astype(int), 1))))
  assert runs[0] >= 399


def test_flush_shows_the_ringing_of_the_line():
  flushed = sensors.flush(KEY, tone(1.2), FS, 3.0)
  assert float(flushed.max()) == 300.0
  assert float(sensors.second_order(flushed, FS, 9.0, 0.2).max()) > 400.0  # overshoot 1 + exp(−πζ/√(1−ζ²)) = 1.53


def test_damped_line_loses_its_pulse_while_it_lasts():
  out = np.asarray(sensors.damp(KEY, tone(5.0, size=10.0, level=90.0), FS, 1.5))
  pulse = np.ptp(out.reshape(-1, 200), axis=1)
  assert pulse.max() == pytest.approx(20.0, rel=0.02)
  assert pulse.min() == pytest.approx(20 / np.hypot(1, 5 / 2), rel=0.1)
  assert out.mean() == pytest.approx(90.0, abs=0.2)


def test_pause_holds_the_last_value():
  out = np.asarray(sensors.pause(KEY, tone(1.2), FS, 3.0))
  frozen = np.flatnonzero(np.diff(out) == 0)
  assert frozen.size >= 399
  free = np.setdiff1d(np.arange(out.size), np.append(frozen, frozen + 1))
  np.testing.assert_array_equal(out[free], np.asarray(tone(1.2))[free])


def test_motion_is_a_burst_and_quiet_elsewhere():
  out = np.asarray(sensors.move(KEY, tone(1.2), FS, 1.0, 5.0) - tone(1.2))
  loud = np.abs(out) > 1.0
  assert 0.01 < loud.mean() < 0.3
  spectrum = np.abs(np.fft.rfft(out)) ** 2
  f = np.fft.rfftfreq(out.size, 1 / FS)
  assert spectrum[(f > 0.3) & (f < 9)].sum() / spectrum.sum() > 0.95


def test_drift_is_slow_and_has_its_size():
  out = np.asarray(sensors.drift(KEY, jnp.zeros(TIME.size), FS, 2.0))
  assert out.std() == pytest.approx(2.0, rel=1e-3)
  assert np.abs(np.fft.rfft(out))[4:].max() < 1e-2 * np.abs(np.fft.rfft(out)).max()  # 0.067 Hz and more


def test_jitter_moves_samples_along_the_slope():
  x = tone(2.0, size=20.0)
  out = np.asarray(sensors.jitter(KEY, x, FS, 1e-3) - x)
  slope = 20 * 2 * np.pi * 2 * np.cos(2 * np.pi * 2 * TIME)
  assert (out / np.where(np.abs(slope) > 1, slope, np.inf)).std() == pytest.approx(1e-3, rel=0.05)


@pytest.mark.quick
def test_converter_has_its_steps_and_clips():
  out = np.asarray(sensors.quantise(jnp.array([-9.0, 0.1, 7.4, 99.0]), (0.0, 15.0), 4))
  np.testing.assert_allclose(out, [0.0, 0.0, 7.0, 15.0], atol=1e-5)


def test_lost_samples_are_nan():
  out = np.asarray(sensors.drop(KEY, tone(1.2), FS, 6.0))
  assert 0 < np.isnan(out).mean() < 0.1
  assert np.nanmax(np.abs(out - np.asarray(tone(1.2)))) == 0


def test_an_ideal_transducer_changes_nothing_and_each_stage_something():
  wave = tone(1.2, size=20.0, level=90.0)
  ideal = clinics.Device(noise=0.0)
  chain = sensors.draw_chain(KEY, ideal)
  plain = sensors.measure(KEY, wave, wave, FS, ideal, chain)
  np.testing.assert_allclose(plain, wave, atol=1e-4)
  stages = {
    "natural_hz": (9.0, 9.0),
    "pole_hz": (5.0, 5.0),
    "gain": (1.1, 1.1),
    "zero": (2.0, 2.0),
    "delay_s": (0.1, 0.1),
    "cuff": clinics.Cuff(),
    "noise": 0.5,
    "jitter_s": 1e-3,
    "drift": 1.0,
    "flush_per_min": 3.0,
    "damped_per_min": 3.0,
    "pauses_per_min": 3.0,
    "dropped_per_min": 6.0,
    "bits": 6,
  }
  for name, value in stages.items():
    device = dataclasses.replace(ideal, **{name: value})
    result = sensors.measure(KEY, wave, wave, FS, device, sensors.draw_chain(KEY, device))
    assert float(jnp.nanmax(jnp.abs(result - wave))) > 0.05 or bool(jnp.isnan(result).any()), name
  moved = dataclasses.replace(ideal, motion=5.0, motion_per_min=3.0)
  assert float(jnp.abs(sensors.measure(KEY, wave, wave, FS, moved, chain) - wave).max()) > 1.0


def test_chain_is_drawn_within_its_ranges():
  keys = jax.random.split(KEY, 500)
  chains = jax.vmap(lambda k: sensors.draw_chain(k, clinics.CATHETER))(keys)
  assert 8.0 <= float(chains.natural_hz.min()) < 9.0 < 24.0 < float(chains.natural_hz.max()) <= 25.0
  assert 0.1 <= float(chains.damping.min()) < float(chains.damping.max()) <= 0.4
  assert bool(jnp.isinf(chains.pole_hz).all())


@pytest.mark.quick
def test_a_share_of_the_devices_has_a_transducer():
  kind = clinics.Device(
    scope="subject", natural_hz=(5.0, 40.0), pole_hz=(8.0, 40.0), zero=(1.0, 2.0), transducer_share=0.3
  )
  chains = jax.vmap(lambda key: sensors.draw_chain(key, kind))(jax.random.split(KEY, 2000))
  has = np.isfinite(chains.natural_hz)
  assert has.mean() == pytest.approx(0.3, abs=0.03)
  np.testing.assert_array_equal(has, np.isfinite(chains.pole_hz))
  without = jax.tree.map(lambda x: x[~has][0], chains)
  flat = sensors.measure(KEY, tone(6.0), tone(6.0), FS, dataclasses.replace(kind, noise=0.0), without)
  np.testing.assert_allclose(flat, tone(6.0) + without.zero, atol=1e-4)


@pytest.mark.quick
def test_every_bedside_line_has_calibration_errors_and_a_fifth_distort():
  chains = jax.vmap(lambda key: sensors.draw_chain(key, clinics.BEDSIDE))(jax.random.split(KEY, 2000))
  assert np.isfinite(chains.natural_hz).mean() == pytest.approx(0.2, abs=0.03)
  for error, middle, most in ((chains.zero, 0.0, 2.0), (chains.gain, 1.0, 0.02)):
    away = np.abs(np.asarray(error) - middle)
    assert 0.99 * most < away.max() <= most + 1e-6
    assert away.mean() == pytest.approx(most / 2, rel=0.05)


@pytest.mark.quick
def test_the_noise_of_a_record_lies_between_its_limits():
  kind = clinics.Device(noise=0.5, least_noise=0.02)
  chain = sensors.draw_chain(KEY, kind)
  keys = jax.random.split(KEY, 300)
  noise = jax.vmap(lambda key: sensors.measure(key, tone(1.0), tone(1.0), FS, kind, chain))(keys) - tone(1.0)[None]
  sd = np.asarray(noise).std(1)
  assert sd.min() > 0.0195
  assert sd.max() < 0.51
  assert np.median(np.log(sd)) == pytest.approx(np.log(0.1), abs=0.2)  # the middle of a logarithmic scale
