"""Aortic inflow: an own parametric ejection wave, and its repetition with a rhythm.

With peak-flow time t_p, end of ejection T_e and regurgitation time T_r,

    q(t) = a · sin(πt / 2t_p)                           0   ≤ t < t_p        fast upstroke
         = a · cos(π/2 · (t − t_p)/(T_e − t_p))^m       t_p ≤ t < T_e        smooth fall, m = 1.5
         = −b · sin(π (t − T_e)/T_r)                    T_e ≤ t < T_e + T_r  regurgitant lobe

a follows from the stroke volume (net of the regurgitant volume), b from the regurgitant volume.
"""

import math

import jax
import jax.numpy as jnp

FALL_EXPONENT = 1.5
REGURGITATION_S = 0.04
# ∫₀¹ cos(πs/2)^m ds = Γ((m+1)/2) / (√π Γ(m/2 + 1))
_FALL_AREA = math.gamma((FALL_EXPONENT + 1) / 2) / (math.sqrt(math.pi) * math.gamma(FALL_EXPONENT / 2 + 1))


def ejection(time_s: jax.Array, sv_ml: jax.Array, rfv_ml: jax.Array, lvet_s: jax.Array, t_peak_s: jax.Array) -> jax.Array:
  """Flow [ml/s] at `time_s` after the onset of ejection; arguments broadcast. Its integral is `sv_ml`."""
  fall_s = lvet_s - t_peak_s
  peak = (sv_ml + rfv_ml) / (2 * t_peak_s / jnp.pi + _FALL_AREA * fall_s)
  up = jnp.sin(jnp.pi / 2 * time_s / t_peak_s)
  cosine = jnp.cos(jnp.pi / 2 * jnp.clip((time_s - t_peak_s) / fall_s, 0, 1))
  down = jnp.maximum(cosine, 1e-6) ** FALL_EXPONENT
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
