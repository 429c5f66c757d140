"""Aortic inflow: an own parametric ejection wave, and its repetition with a rhythm.

With peak-flow time t_p, end of ejection T_e and regurgitation time T_r,

    q(t) = a · sin(πt / 2t_p)                           0   ≤ t < t_p        fast upstroke
         = a · cos(π/2 · (t − t_p)/(T_e − t_p))         t_p ≤ t < T_e        smooth fall
         = −b · sin(π (t − T_e)/T_r)                    T_e ≤ t < T_e + T_r  regurgitant lobe

a follows from the stroke volume (net of the regurgitant volume), b from the regurgitant volume.
"""

import jax
import jax.numpy as jnp

REGURGITATION_S = 0.035  # a choice: PWDB gives the volume, not the time


def ejection(
  time_s: jax.Array, sv_ml: jax.Array, rfv_ml: jax.Array, lvet_s: jax.Array, t_peak_s: jax.Array
) -> jax.Array:
  """Flow [ml/s] at `time_s` after the onset of ejection; arguments broadcast. Its integral is `sv_ml`."""
  fall_s = lvet_s - t_peak_s
  peak = (sv_ml + rfv_ml) / (2 / jnp.pi * lvet_s)  # both quarter waves have the mean 2/π
  up = jnp.sin(jnp.pi / 2 * time_s / t_peak_s)
  down = jnp.cos(jnp.pi / 2 * (time_s - t_peak_s) / fall_s)
  back = jnp.sin(jnp.pi * (time_s - lvet_s) / REGURGITATION_S) * (rfv_ml * jnp.pi / (2 * REGURGITATION_S))
  flow = jnp.where(time_s < t_peak_s, peak * up, jnp.where(time_s < lvet_s, peak * down, -back))
  return jnp.where((time_s >= 0) & (time_s < lvet_s + REGURGITATION_S), flow, 0.0)


def periodic_spectrum(
  period_s: jax.Array, sv_ml: jax.Array, rfv_ml: jax.Array, lvet_s: jax.Array, t_peak_s: jax.Array, harmonics: int
) -> jax.Array:
  """(harmonics + 1,) Fourier coefficients c_k [ml/s] of the inflow of one repeated beat."""
  samples = 1024
  time_s = jnp.arange(samples) / samples * period_s
  return jnp.fft.rfft(ejection(time_s, sv_ml, rfv_ml, lvet_s, t_peak_s))[: harmonics + 1] / samples
