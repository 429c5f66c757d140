"""Who the virtual subjects are: cardiac and vascular parameters drawn by age.

The figures are published ones, as collected by the Pulse Wave Database (Charlton et al. 2019, Am. J. Physiol. 317,
H1062); each is cited where it is used. A draw is mean(age) + spread · z with z a truncated standard normal deviate.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import config
from cap_jax.arteries import network


class Subject(NamedTuple):
  """Parameters that draw a subject; scalars, or (subject,) for many."""

  age: jax.Array  # years
  hr_bpm: jax.Array
  sv_ml: jax.Array
  map_mmhg: jax.Array  # at the aortic root
  p_ext_mmhg: jax.Array  # pressure at which the reference radii hold
  lvet_s: jax.Array
  t_peak_s: jax.Array
  rfv_ml: jax.Array  # regurgitant volume
  pwv_m_s: jax.Array  # carotid–femoral
  radius_scale: jax.Array  # large arteries, relative to the table
  length_scale: jax.Array  # ascending aorta and arch
  compliance_scale: jax.Array  # peripheral


P_OUT_MMHG = 33.2  # Parazynski 1993
_MAX_LVET_SHARE = 0.6  # of the beat: keeps a diastole at high rates

# Heart rate by age, Yashin 2006; SD 11.2 Petersen 2017.
_HR_AGE = np.arange(32.5, 93, 5.0)
_HR_BPM = np.array([75.6, 77.5, 77.8, 77.6, 77.4, 77.2, 76.9, 76.1, 75.1, 73.8, 72.6, 71.9, 71.9])
# Mean and diastolic pressure by decade, McEniery 2005.
_BP_AGE = np.arange(15.5, 86, 10.0)
_MAP_MMHG = np.array([88, 89, 92, 95, 95, 94, 93, 92.0])
_DBP_MMHG = np.array([73, 75, 77, 79, 79, 78, 76, 75.0])
# Diameters [mm]: aorta at three levels, Hickson 2010 and Agmon 2003; carotid, Hansen 1995.
_AORTA_AGE = np.array([24, 34, 45, 57, 63, 73.0])
_DIAMETERS_MM = (
  (_AORTA_AGE, np.array([28.9, 30.5, 32.2, 32.3, 33.4, 33.7])),
  (_AORTA_AGE, np.array([21.1, 22.4, 23.5, 23.4, 25.0, 24.9])),
  (_AORTA_AGE, np.array([16.8, 18.1, 18.8, 18.6, 19.8, 20.2])),
  (np.array([14, 25, 46, 60, 71.0]), np.array([6.9, 7.7, 8.3, 8.2, 9.0])),
)
# Length of the ascending aorta and arch [mm], Hickson 2010; SD Bensalah 2014.
_ARCH_MM = np.array([90, 100, 100, 108, 118, 128.0])
# cf-PWV = A·age + B·age² + C by class of mean pressure, Mattace-Raso 2010.
_PWV_CLASS_MAP = np.array([92.5, 99.5, 106.5, 117, 131])
_PWV_A = np.array([0, 0, 0, 0, 0.044])
_PWV_B = np.array([0.83, 0.99, 1.05, 1.18, 0.85]) * 1e-3
_PWV_C = np.array([5.55, 5.69, 5.91, 6.17, 5.73])
# Arteries that carry the radius scale, and the smaller branches of which only the inlet follows.
_LARGE = (*range(1, 6), 7, 14, 15, 18, 19, 21, 27, 28, 29, 35, 37, 39, 41, 42, 43)
_BRANCHES = (6, 8, 9, 12, 13, 16, 17, 20, 22, 23, 26, 30, 31, 34, 36, 38, 40, 44, 45, 50, 51)
_ARCH = (1, 2)


def _line_relative_to_25(age: np.ndarray, value: np.ndarray) -> tuple[float, float]:
  """Slope and intercept of a straight fit, divided by its value at 25 years."""
  slope, intercept = np.polyfit(age, value, 1)
  at_25 = slope * 25 + intercept
  return float(slope / at_25), float(intercept / at_25)


@jnp.vectorize
def mean_pwv(age: jax.Array, map_mmhg: jax.Array) -> jax.Array:
  """Mean cf-PWV [m/s]; linear between the classes of mean pressure, extrapolated below the first."""
  by_class = _PWV_A * age + _PWV_B * age**2 + _PWV_C
  left = jnp.clip(jnp.searchsorted(jnp.asarray(_PWV_CLASS_MAP), map_mmhg) - 1, 0, len(_PWV_C) - 2)
  share = (map_mmhg - jnp.asarray(_PWV_CLASS_MAP)[left]) / jnp.asarray(np.diff(_PWV_CLASS_MAP))[left]
  share = jnp.minimum(share, 1.0)
  return by_class[left] * (1 - share) + by_class[left + 1] * share


def draw(key: jax.Array, spec: config.Population, count: int) -> Subject:
  """Draws `count` subjects.

  Args:
    key: typed PRNG key.
    spec: age range, spread and shifts of the population.
    count: number of subjects.
  """
  age_key, *keys = jax.random.split(key, 11)
  age = jax.random.uniform(age_key, (count,), minval=spec.age_min, maxval=spec.age_max)
  z = iter([spec.spread * jax.random.truncated_normal(k, -2.0, 2.0, (count,)) for k in keys])

  # Stroke volume: mean of the 5th and 95th centile, Poppe 2015.
  sv_high, sv_low = 102.35 - 0.3856 * age, 42.94 - 0.1193 * age
  sv_mean, sv_sd = (sv_high + sv_low) / 2, (sv_high - sv_low) / (2 * 1.6449)
  sv = sv_mean + sv_sd * next(z)
  hr_mean = jnp.interp(age, _HR_AGE, _HR_BPM)
  hr = hr_mean + 11.2 * next(z)
  mean_pressure = jnp.interp(age, _BP_AGE, _MAP_MMHG) + spec.map_shift_mmhg + spec.map_sd_mmhg * next(z)
  # Ejection time: Weissler 1961; time to peak flow: Kamimura 2016; regurgitant volume: Charlton 2019.
  lvet = 0.282 + 0.0011 * (sv - sv_mean) - 0.0009 * (hr - hr_mean) + 0.0233 * next(z)
  lvet = jnp.minimum(lvet, _MAX_LVET_SHARE * 60 / hr)
  t_peak = (0.079 + 0.011 * next(z)) * lvet / 0.282
  rfv = jnp.maximum(0.73 + 0.63 * next(z), 0.0)
  z_pwv = next(z) + spec.pwv_shift_sd
  pwv = mean_pwv(age, mean_pressure) * (1 + jnp.where(z_pwv > 0, 0.17, 0.125) * z_pwv)
  lines = np.mean([_line_relative_to_25(*d) for d in _DIAMETERS_MM], axis=0)
  arch = _line_relative_to_25(_AORTA_AGE, _ARCH_MM)
  return Subject(
    age=age,
    hr_bpm=hr,
    sv_ml=sv,
    map_mmhg=mean_pressure,
    p_ext_mmhg=jnp.interp(age, _BP_AGE, _DBP_MMHG),
    lvet_s=lvet,
    t_peak_s=t_peak,
    rfv_ml=rfv,
    pwv_m_s=pwv,
    radius_scale=(lines[0] * age + lines[1]) * (1 + 0.089 * next(z)),
    length_scale=(arch[0] * age + arch[1]) * (1 + 0.134 * next(z)),
    # McVeigh 1999, Resnick 2000
    compliance_scale=(0.113 - 0.001 * age) / 0.088 * (1 + 0.274 * (next(z) + spec.compliance_shift_sd)),
  )


def geometry(subject: Subject) -> tuple[jax.Array, jax.Array, jax.Array]:
  """(artery,) inlet radii, outlet radii and lengths [m] of one subject."""
  table = network.read_table()
  large = np.isin(table.number, _LARGE)
  branch = np.isin(table.number, _BRANCHES)
  arch = np.isin(table.number, _ARCH)
  radius_in = jnp.asarray(table.radius_in_m) * jnp.where(large | branch, subject.radius_scale, 1.0)
  radius_out = jnp.asarray(table.radius_out_m) * jnp.where(large, subject.radius_scale, 1.0)
  length = jnp.asarray(table.length_m) * jnp.where(arch, subject.length_scale, 1.0)
  return radius_in, radius_out, length
