"""Measuring chains: the effect of a transducer, its amplifier and its patient on (time,) waves. Pure functions.

A fluid-filled catheter line and its transducer respond like a damped spring,

    H(f) = 1 / (1 − (f/f_n)² + 2jζ f/f_n)

with a natural frequency f_n and damping ζ (Gardner 1981, Anesthesiology 54, 227; measured ranges in Mikhailov 2021).
Filters treat the record as one period, as the cohort generates it. A `Chain` has the constants of a device, drawn once
for a clinic or once for each subject. Events (noise, flushes, motion) are drawn for each record.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cap_jax import clinics

_FLUSH_MMHG = 300.0  # of the pressure bag behind the flush valve
_DAMPED_POLE_HZ = 2.0
_CUFF_WINDOW_S = 2.0
_LEAST_PULSE = 0.3  # of the true pulse pressure, whatever the cuff's errors
_LEAST_PULSE_MMHG = 12.0  # a cuff that reads less is put on again
_READINGS = 16
_TRANSDUCER_KEY = 100


class Chain(NamedTuple):
  """Response and calibration of one device, scalars."""

  natural_hz: jax.Array
  damping: jax.Array
  pole_hz: jax.Array
  gain: jax.Array
  zero: jax.Array
  delay_s: jax.Array


def draw_chain(key: jax.Array, device: clinics.Device) -> Chain:
  """Draws one device of its kind, uniform within the ranges; a response that the kind lacks is infinite.

  Args:
    key: typed PRNG key.
    device: the kind.
  """
  keys = iter(jax.random.split(key, len(Chain._fields)))

  def within(bounds: tuple[float, float] | None) -> jax.Array:
    low, high = bounds or (jnp.inf, jnp.inf)
    draw = jax.random.uniform(next(keys))
    return jnp.asarray(low) + (draw * (high - low) if bounds else 0.0)

  chain = Chain(*(within(getattr(device, name)) for name in Chain._fields))
  if device.transducer_share < 1:
    has = jax.random.bernoulli(jax.random.fold_in(key, _TRANSDUCER_KEY), float(device.transducer_share))
    flat = chain._replace(natural_hz=jnp.asarray(jnp.inf), damping=jnp.asarray(1.0), pole_hz=jnp.asarray(jnp.inf))
    chain = jax.tree.map(lambda own, none: jnp.where(has, own, none), chain, flat)
  return chain


def _filtered(x_t: jax.Array, response: Callable[[jax.Array], jax.Array]) -> jax.Array:
  """Filters a wave with a response, a function of the frequency in cycles per sample."""
  spectrum = jnp.fft.rfft(x_t)
  return jnp.fft.irfft(spectrum * response(jnp.fft.rfftfreq(x_t.shape[-1])), n=x_t.shape[-1])


def second_order(p_t: jax.Array, fs_hz: float, natural_hz: jax.Array, damping: jax.Array) -> jax.Array:
  """Filters a pressure with a fluid-filled transducer.

  Args:
    p_t: (time,) pressure.
    fs_hz: sampling rate.
    natural_hz: natural frequency f_n.
    damping: ζ.
  """

  def response(f: jax.Array) -> jax.Array:
    ratio = f * fs_hz / natural_hz
    return 1 / (1 - ratio**2 + 2j * damping * ratio)

  return _filtered(p_t, response)


def one_pole(x_t: jax.Array, fs_hz: float, pole_hz: jax.Array) -> jax.Array:
  """Filters a wave with a first-order low-pass, such as that of a tonometer or a servo.

  Args:
    x_t: (time,) wave.
    fs_hz: sampling rate.
    pole_hz: cut-off frequency.
  """
  return _filtered(x_t, lambda f: 1 / (1 + 1j * f * fs_hz / pole_hz))


def delay(x_t: jax.Array, fs_hz: float, delay_s: jax.Array) -> jax.Array:
  """Delays a wave, as a monitor does; the last `delay_s` of the record move to its start.

  Args:
    x_t: (time,) wave.
    fs_hz: sampling rate.
    delay_s: delay [s].
  """
  return _filtered(x_t, lambda f: jnp.exp(-2j * jnp.pi * f * fs_hz * delay_s))


def typical_extremes(p_t: jax.Array, fs_hz: float) -> tuple[jax.Array, jax.Array]:
  """Returns diastolic and systolic pressure: means of the least and the largest values of windows of 2 s.

  Args:
    p_t: (time,) pressure.
    fs_hz: sampling rate.
  """
  width = min(round(_CUFF_WINDOW_S * fs_hz), p_t.shape[-1])
  windows = p_t[: p_t.shape[-1] // width * width].reshape(-1, width)
  return windows.min(1).mean(), windows.max(1).mean()


def read_cuff(key: jax.Array, cuff_t: jax.Array, fs_hz: float, cuff: clinics.Cuff) -> tuple[jax.Array, jax.Array]:
  """Returns diastolic and systolic pressure as a cuff reads them, with its errors.

  Args:
    key: of the cuff's errors, new for each subject.
    cuff_t: (time,) the pressure that the cuff reads [mmHg].
    fs_hz: sampling rate.
    cuff: bias and SD of its errors.
  """
  dbp, sbp = typical_extremes(cuff_t, fs_hz)
  once = jax.random.truncated_normal(key, -2.575, 2.575, (1, 2))
  again = jax.random.truncated_normal(jax.random.fold_in(key, 1), -2.575, 2.575, (_READINGS - 1, 2))
  z_r2 = jnp.concatenate([once, again])
  dbp_r = dbp + cuff.dbp_bias_mmhg + cuff.dbp_sd_mmhg * z_r2[:, 0]
  sbp_r = sbp + cuff.sbp_bias_mmhg + cuff.sbp_sd_mmhg * z_r2[:, 1]
  least = jnp.maximum(_LEAST_PULSE * (sbp - dbp), _LEAST_PULSE_MMHG)
  first = jnp.argmax(sbp_r - dbp_r >= least)  # an impossible reading is repeated, as at the bedside
  return dbp_r[first], dbp_r[first] + jnp.maximum(sbp_r[first] - dbp_r[first], least)


def calibrate(key: jax.Array, x_t: jax.Array, cuff_t: jax.Array, fs_hz: float, cuff: clinics.Cuff) -> jax.Array:
  """Scales a wave to the extremes that a cuff reads.

  Args:
    key: of the cuff's errors, new for each subject.
    x_t: (time,) wave of any unit.
    cuff_t: (time,) the pressure that the cuff reads [mmHg].
    fs_hz: sampling rate.
    cuff: bias and SD of its errors.
  """
  low, high = typical_extremes(x_t, fs_hz)
  read_dbp, read_sbp = read_cuff(key, cuff_t, fs_hz, cuff)
  return read_dbp + (x_t - low) / (high - low) * (read_sbp - read_dbp)


def episodes(key: jax.Array, samples: int, fs_hz: float, per_min: float, seconds: float) -> jax.Array:
  """Returns whether one of the randomly started episodes is on, (time,).

  Args:
    key: typed PRNG key.
    samples: of the record.
    fs_hz: sampling rate.
    per_min: episodes per minute.
    seconds: length of an episode.
  """
  starts = jax.random.bernoulli(key, per_min / (60 * fs_hz), (samples,))
  started = jnp.cumsum(starts)
  return started > jnp.pad(started, (max(round(seconds * fs_hz), 1), 0))[:samples]


def _smooth_noise(key: jax.Array, samples: int, fs_hz: float, low_hz: float, high_hz: float) -> jax.Array:
  """Returns Gaussian noise of unit variance between two frequencies; it has at least the first frequency above 0."""
  f = jnp.fft.rfftfreq(samples, 1 / fs_hz)
  band = (f >= jnp.maximum(low_hz, f[1])) & (f <= jnp.maximum(high_hz, f[1]))
  noise = jnp.fft.irfft(jnp.fft.rfft(jax.random.normal(key, (samples,))) * band, n=samples)
  return noise / jnp.sqrt((noise**2).mean())


def drift(key: jax.Array, x_t: jax.Array, fs_hz: float, sd: float) -> jax.Array:
  """Adds a baseline that wanders below 0.05 Hz.

  Args:
    key: typed PRNG key.
    x_t: (time,) wave.
    fs_hz: sampling rate.
    sd: of the baseline, in the unit of the wave.
  """
  return x_t + sd * _smooth_noise(key, x_t.shape[-1], fs_hz, 0.0, 0.05)


def move(key: jax.Array, x_t: jax.Array, fs_hz: float, per_min: float, size: float) -> jax.Array:
  """Adds bursts of motion: noise of 0.5 to 8 Hz for 3 s, fading in and out.

  Args:
    key: typed PRNG key.
    x_t: (time,) wave.
    fs_hz: sampling rate.
    per_min: bursts per minute.
    size: SD of the noise, in the unit of the wave.
  """
  burst_key, noise_key = jax.random.split(key)
  on = episodes(burst_key, x_t.shape[-1], fs_hz, per_min, 3.0).astype(x_t.dtype)
  envelope = _filtered(on, lambda f: jnp.exp(-0.5 * (f * fs_hz / 0.5) ** 2))
  return x_t + size * envelope * _smooth_noise(noise_key, x_t.shape[-1], fs_hz, 0.5, 8.0)


def flush(key: jax.Array, p_t: jax.Array, fs_hz: float, per_min: float) -> jax.Array:
  """Opens the valve to the pressure bag for 1 s; apply it before the transducer, which then rings.

  Args:
    key: typed PRNG key.
    p_t: (time,) pressure [mmHg].
    fs_hz: sampling rate.
    per_min: flushes per minute.
  """
  return jnp.where(episodes(key, p_t.shape[-1], fs_hz, per_min, 1.0), _FLUSH_MMHG, p_t)


def damp(key: jax.Array, p_t: jax.Array, fs_hz: float, per_min: float) -> jax.Array:
  """Damps the transducer for 10 s, as a kink or a bubble does.

  Args:
    key: typed PRNG key.
    p_t: (time,) pressure.
    fs_hz: sampling rate.
    per_min: episodes per minute.
  """
  on = episodes(key, p_t.shape[-1], fs_hz, per_min, 10.0).astype(p_t.dtype)
  share = jnp.clip(one_pole(on, fs_hz, jnp.asarray(1.0)), 0.0, 1.0)
  return p_t + share * (one_pole(p_t, fs_hz, jnp.asarray(_DAMPED_POLE_HZ)) - p_t)


def pause(key: jax.Array, p_t: jax.Array, fs_hz: float, per_min: float) -> jax.Array:
  """Repeats the last reading for 2 s, as a volume clamp does while it finds its set point.

  Args:
    key: typed PRNG key.
    p_t: (time,) pressure.
    fs_hz: sampling rate.
    per_min: pauses per minute.
  """
  on = episodes(key, p_t.shape[-1], fs_hz, per_min, 2.0)
  index = jnp.arange(p_t.shape[-1])
  last = jax.lax.cummax(jnp.where(on, 0, index))
  return p_t[last]


def jitter(key: jax.Array, x_t: jax.Array, fs_hz: float, sd_s: float) -> jax.Array:
  """Shifts the sampling instants at random, to first order: x + x' δ.

  Args:
    key: typed PRNG key.
    x_t: (time,) wave.
    fs_hz: sampling rate.
    sd_s: SD of δ [s].
  """
  slope = _filtered(x_t, lambda f: 2j * jnp.pi * f * fs_hz)
  return x_t + sd_s * jax.random.normal(key, x_t.shape) * slope


def quantise(x_t: jax.Array, span: tuple[float, float], bits: int) -> jax.Array:
  """Quantises a wave with a converter, which clips at the ends of its span.

  Args:
    x_t: (time,) wave.
    span: lowest and highest value of the converter.
    bits: of the converter.
  """
  low, high = span
  step = (high - low) / (2**bits - 1)
  return low + step * jnp.round((jnp.clip(x_t, low, high) - low) / step)


def drop(key: jax.Array, x_t: jax.Array, fs_hz: float, per_min: float) -> jax.Array:
  """Replaces lost samples by NaN, 0.2 s at a time.

  Args:
    key: typed PRNG key.
    x_t: (time,) wave.
    fs_hz: sampling rate.
    per_min: losses per minute.
  """
  return jnp.where(episodes(key, x_t.shape[-1], fs_hz, per_min, 0.2), jnp.nan, x_t)


def _noise_sd(key: jax.Array, device: clinics.Device) -> jax.Array | float:
  """Returns the SD of a record's noise."""
  if device.least_noise is None:
    return device.noise
  share = jax.random.uniform(jax.random.fold_in(key, 1))
  return device.least_noise * (device.noise / device.least_noise) ** share


def measure(
  key: jax.Array, x_t: jax.Array, cuff_t: jax.Array, fs_hz: float, device: clinics.Device, chain: Chain
) -> jax.Array:
  """Returns a wave as the device reports it.

  From the patient to the file: motion, flush, transducer, damping, pole, cuff or gain and zero, delay, pauses, drift,
  noise, jitter, converter, losses. A stage that the device lacks is not computed.

  Args:
    key: of the events during the record.
    x_t: (time,) true wave.
    cuff_t: (time,) the pressure that the device's cuff reads, if it has one.
    fs_hz: sampling rate.
    device: the kind.
    chain: this device of the kind.
  """
  (motion, flushes, damped, cuff, paused, drifting, noise, jittered, dropped) = jax.random.split(key, 9)
  if device.motion_per_min:
    x_t = move(motion, x_t, fs_hz, device.motion_per_min, device.motion)
  if device.flush_per_min:
    x_t = flush(flushes, x_t, fs_hz, device.flush_per_min)
  if device.natural_hz is not None:
    x_t = second_order(x_t, fs_hz, chain.natural_hz, chain.damping)
  if device.damped_per_min:
    x_t = damp(damped, x_t, fs_hz, device.damped_per_min)
  if device.pole_hz is not None:
    x_t = one_pole(x_t, fs_hz, chain.pole_hz)
  if device.cuff is not None:
    x_t = calibrate(cuff, x_t, cuff_t, fs_hz, device.cuff)
  x_t = chain.gain * x_t + chain.zero
  if device.delay_s != (0.0, 0.0):
    x_t = delay(x_t, fs_hz, chain.delay_s)
  if device.pauses_per_min:
    x_t = pause(paused, x_t, fs_hz, device.pauses_per_min)
  if device.drift:
    x_t = drift(drifting, x_t, fs_hz, device.drift)
  x_t = x_t + _noise_sd(noise, device) * jax.random.normal(noise, x_t.shape)
  if device.jitter_s:
    x_t = jitter(jittered, x_t, fs_hz, device.jitter_s)
  if device.bits:
    x_t = quantise(x_t, device.span, device.bits)
  if device.dropped_per_min:
    x_t = drop(dropped, x_t, fs_hz, device.dropped_per_min)
  return x_t


def min_max(x_t: jax.Array) -> jax.Array:
  """Scales a wave to between 0 and 1, as an oximeter without calibration does; NaN stay."""
  low, high = jnp.nanmin(x_t), jnp.nanmax(x_t)
  return (x_t - low) / (high - low)
