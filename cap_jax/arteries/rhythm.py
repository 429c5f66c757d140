"""Times of the heart beats: respiration, heart rate variability, ectopic beats.

The RR tachogram is a mean and two bands with random phases, the low-frequency one about 0.1 Hz (Mayer waves) and the
high-frequency one about the breathing rate, as in the synthetic ECG of McSharry et al. 2003 (IEEE Trans. Biomed. Eng.
50, 289). An ectopic beat comes early, ejects little, and is followed by a compensatory pause and a fuller beat.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import clinics

_MOST_BEATS_HZ = 4.0  # 240 a minute
_BAND_SD_HZ = 0.01  # width of both bands
_LINES = 5  # spectral lines per band
_FILLING = 0.7  # relative change of the stroke volume with the interval before, in atrial fibrillation (a choice)


class Beats(NamedTuple):
  """Beats of one record.

  Attributes:
    onset_s: (beat,) times of their onsets, +inf beyond the last one.
    sv_scale: (beat,) relative stroke volume.
    breathing_hz: breathing rate, scalar.
    swing_mmhg: swing of all pressures with respiration.
  """

  onset_s: jax.Array
  sv_scale: jax.Array
  breathing_hz: jax.Array
  swing_mmhg: jax.Array | float


def _band(key: jax.Array, time_n: jax.Array, seconds: float, centre_hz: jax.Array | float) -> jax.Array:
  """Returns a narrow-band process of unit variance at the times; its periods divide the record."""
  offset = jnp.arange(_LINES) - _LINES // 2
  turns = jnp.maximum(jnp.round(centre_hz * seconds) + jnp.round(offset * _BAND_SD_HZ * seconds), 1.0)
  phase = jax.random.uniform(key, (_LINES,), maxval=2 * jnp.pi)
  weight = jnp.exp(-0.5 * offset**2)
  # lines coincide in short records: amplitudes add as complex numbers, and the sum is scaled by its own power
  wave = weight[:, None] * jnp.sin(2 * jnp.pi * turns[:, None] / seconds * time_n[None, :] + phase[:, None])
  same = turns[:, None] == turns[None, :]
  power = 0.5 * (jnp.cos(phase[:, None] - phase[None, :]) * weight[:, None] * weight[None, :] * same).sum()
  return wave.sum(0) / jnp.sqrt(jnp.maximum(power, 1e-6))


def _ectopic(key: jax.Array, index: jax.Array, count: jax.Array, share: float) -> jax.Array:
  """Returns whether a beat is premature, (beat,); never two of three in a row, never the first or the last two."""
  chance = share
  for _ in range(
    60
  ):  # solves c (1 − c)² = share for the chance c of a draw, so that `share` are isolated; possible up to 4/27
    chance = share / (1 - chance) ** 2
  premature = jax.random.bernoulli(key, float(chance), index.shape)
  isolated = premature & ~jnp.roll(premature, 1) & ~jnp.roll(premature, 2)
  return isolated & (index > 0) & (index < count - 2)


def draw(key: jax.Array, hr_bpm: jax.Array, seconds: float, spec: clinics.Rhythm) -> Beats:
  """Draws the beats of one record.

  The record closes on itself (its last beat runs into the first), so that its spectrum needs no window: it holds a
  whole number of beats and of breaths. Its rate therefore differs from `hr_bpm` by up to 30/seconds a minute. The times
  of the beats have no gradient in `hr_bpm`.

  Args:
    key: typed PRNG key.
    hr_bpm: mean heart rate, scalar.
    seconds: length of the record.
    spec: sizes of the variability.
  """
  rate_key, phase_key, low_key, high_key, noise_key, early_key = jax.random.split(key, 6)
  turns = jnp.round(seconds * jax.random.uniform(rate_key, minval=spec.breathing_min_hz, maxval=spec.breathing_max_hz))
  breathing_hz = jnp.maximum(turns, 1.0) / seconds
  phase = jax.random.uniform(phase_key, maxval=2 * jnp.pi)
  count = jnp.maximum(jnp.round(seconds * hr_bpm / 60), 1.0)
  index = jnp.arange(int(np.ceil(seconds * _MOST_BEATS_HZ)))
  time_n = index / count * seconds
  low = _band(low_key, time_n, seconds, 0.1)
  high = _band(high_key, time_n, seconds, breathing_hz)
  rr_scale, sv_breathing, sv_noise, swing = _scales(key, spec)
  rr = 1 + spec.rr_low_sd * rr_scale * low + spec.rr_high_sd * rr_scale * high
  if spec.fibrillation_share:
    rr, filling = _fibrillation(jax.random.fold_in(key, 7), rr, spec)
  early = _ectopic(early_key, index, count, spec.ectopic_share)
  # the interval after an ectopic beat is longer by what the one before it lacks
  lost = (1 - spec.ectopic_coupling) * early
  rr = rr * (1 - jnp.roll(lost, -1) + lost)
  rr = jnp.where(index < count, jnp.maximum(rr, 0.3), 0.0)
  onset_s = (jnp.cumsum(rr) - rr) / rr.sum() * seconds
  noise = jax.random.normal(noise_key, index.shape)
  breath = jnp.sin(2 * jnp.pi * breathing_hz * time_n + phase)
  sv_scale = 1 + sv_breathing * breath + sv_noise * noise
  if spec.fibrillation_share:
    sv_scale = sv_scale * filling
  sv_scale = sv_scale * jnp.where(early, spec.ectopic_sv, jnp.where(jnp.roll(early, 1), spec.potentiated_sv, 1.0))
  return Beats(jnp.where(index < count, onset_s, jnp.inf), jnp.maximum(sv_scale, 0.05), breathing_hz, swing)


def _scales(key: jax.Array, spec: clinics.Rhythm) -> tuple[jax.Array | float, ...]:
  """Returns a record's factor on the RR bands, its swing and noise of the stroke volume, and its swing of pressure."""

  def factor(number: int, bounds: clinics.Range) -> jax.Array | float:
    low, high = bounds
    share = jax.random.uniform(jax.random.fold_in(key, number))
    return low * (high / low) ** share if low < high else low

  volume = factor(9, spec.breathing_scale)
  return (
    factor(8, spec.rr_scale),
    spec.sv_breathing * volume,
    spec.sv_noise * volume,
    spec.pressure_swing_mmhg * factor(10, spec.breathing_scale),
  )


def _fibrillation(key: jax.Array, rr: jax.Array, spec: clinics.Rhythm) -> tuple[jax.Array, jax.Array]:
  """Returns the RR intervals and the relative stroke volumes of a record that may be in atrial fibrillation, (beat,).

  The intervals are then independent, and a beat after a shorter interval ejects less, because the ventricle has less
  time to fill.
  """
  which, draws = jax.random.split(key)
  free = 1 + spec.fibrillation_rr_sd * jax.random.truncated_normal(draws, -2.0, 2.0, rr.shape)
  fibrillates = jax.random.bernoulli(which, float(spec.fibrillation_share))
  filling = 1 + _FILLING * (jnp.roll(free, 1) - 1)
  return jnp.where(fibrillates, free, rr), jnp.where(fibrillates, filling, 1.0)
