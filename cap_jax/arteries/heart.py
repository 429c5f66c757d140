"""Aortic inflow: a parametric ejection wave of this project, and its periodic repetition.

With peak-flow time t_p, end of ejection T_e and regurgitation time T_r,

    q(t) = a · sin(πt / 2t_p)                           0   ≤ t < t_p        fast upstroke
         = a · (1 − ((t − t_p)/(T_e − t_p))ⁿ)           t_p ≤ t < T_e        fall
         = −b · sin(π (t − T_e)/T_r)                    T_e ≤ t < T_e + T_r  regurgitant lobe

a follows from the stroke volume (net of the regurgitant volume), b from the regurgitant volume. n = 1 is the straight
fall of the triangular flow of Westerhof et al. 2006 (Hypertension 48, 595). A least-squares fit to the human beat
digitised from Stergiopulos et al. 1999 gives 0.97. A rounder fall (n = 2 is nearly a cosine) keeps flow up until late
systole: in the reference population n + 1 raises the augmentation index by 14 points and lowers the amplification by
0.04.
"""

import jax
import jax.numpy as jnp

# A choice, as PWDB has only the volume. At 25 ms nine of ten aortic waves have an incisura, at 35 ms three of four.
REGURGITATION_S = 0.025


def ejection(
  time_s: jax.Array,
  sv_ml: jax.Array,
  rfv_ml: jax.Array,
  lvet_s: jax.Array,
  t_peak_s: jax.Array,
  fall_exponent: jax.Array,
  closure_s: jax.Array | float = REGURGITATION_S,
) -> jax.Array:
  """Returns the flow [ml/s] at `time_s` after the onset of ejection; arguments broadcast.

  Args:
    time_s: time after the onset [s].
    sv_ml: stroke volume, the integral of the flow.
    rfv_ml: regurgitant volume.
    lvet_s: end of ejection T_e.
    t_peak_s: time of the peak flow t_p.
    fall_exponent: n.
    closure_s: duration of the regurgitant lobe T_r.
  """
  fall_s = lvet_s - t_peak_s
  # means of the two parts of ejection: 2/π of the quarter sine, n/(n + 1) of the fall
  peak = (sv_ml + rfv_ml) / (2 / jnp.pi * t_peak_s + fall_exponent / (fall_exponent + 1) * fall_s)
  up = jnp.sin(jnp.pi / 2 * time_s / t_peak_s)
  down = 1 - jnp.clip((time_s - t_peak_s) / fall_s, 1e-6, 1.0) ** fall_exponent  # 0ⁿ has no gradient in n
  rate = 1 / closure_s
  back = jnp.sin((time_s - lvet_s) * (jnp.pi * rate)) * (rfv_ml * (jnp.pi * (rate / 2)))
  flow = jnp.where(time_s < t_peak_s, peak * up, jnp.where(time_s < lvet_s, peak * down, -back))
  return jnp.where((time_s >= 0) & (time_s < lvet_s + closure_s), flow, 0.0)


def periodic_spectrum(period_s: jax.Array, shape: tuple[jax.Array, ...], harmonics: int) -> jax.Array:
  """Returns the Fourier coefficients c_k of one repeated beat, (harmonics + 1,) [ml/s].

  Args:
    period_s: length of the beat.
    shape: arguments of `ejection` after the time.
    harmonics: number of harmonics.
  """
  samples = 1024
  time_s = jnp.arange(samples) / samples * period_s
  return jnp.fft.rfft(ejection(time_s, *shape))[: harmonics + 1] / samples
