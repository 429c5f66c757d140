"""Populations of virtual subjects: cardiac and vascular parameters drawn by age.

The values are published ones, as collected by the Pulse Wave Database (Charlton et al. 2019, Am. J. Physiol. 317,
H1062); each is cited where it is used. A draw is mean(age) + spread · z with z a truncated standard normal deviate.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import clinics
from cap_jax.arteries import heart, network
from cap_jax.types import InputError


class Subject(NamedTuple):
  """Parameters of a subject; scalars, or (subject,) for many. `LIMITS` has their ranges."""

  age: jax.Array  # years
  hr_bpm: jax.Array
  sv_ml: jax.Array
  map_mmhg: jax.Array  # at the aortic root
  p_ext_mmhg: jax.Array  # pressure at which the reference radii hold
  lvet_s: jax.Array
  t_peak_s: jax.Array
  rfv_ml: jax.Array  # regurgitant volume
  fall_exponent: jax.Array  # of the flow after its peak
  pwv_m_s: jax.Array  # carotid–femoral, theoretical, of the resting wall
  radius_scale: jax.Array  # large arteries, relative to the table
  length_scale: jax.Array  # ascending aorta and arch
  body_scale: jax.Array  # lengths and radii of all arteries
  compliance_scale: jax.Array  # peripheral
  reflection: jax.Array  # Γ of fast waves at the terminals; less where R₁ reaches 0.9 R
  muscular_stiffness: jax.Array  # Eh/r₀ of the limb arteries, relative to rest
  muscular_radius: jax.Array  # relative to rest
  viscosity_scale: jax.Array  # of the wall
  womersley: jax.Array  # share of the oscillatory friction
  operating_mmhg: jax.Array  # where the tube law is linearised, above the mean pressure
  taper_scale: jax.Array  # of all arteries; 0 is none
  closure_s: jax.Array  # duration of the regurgitant flow
  p_out_mmhg: jax.Array  # at which the outflow of the terminals ends
  steepening: jax.Array  # of travelling waves, relative to Riemann's; 0 is the linear network


# Range of each parameter: wide enough for disease and for other mammals, narrow enough for the equations.
LIMITS: Mapping[str, tuple[float, float]] = {
  "age": (18, 100),
  "hr_bpm": (25, 220),
  "sv_ml": (5, 250),
  "map_mmhg": (40, 220),
  "p_ext_mmhg": (0, 150),
  "lvet_s": (0.1, 0.5),
  "t_peak_s": (0.02, 0.3),
  "rfv_ml": (0, 20),
  "fall_exponent": (0.3, 5),
  "pwv_m_s": (3, 25),
  "radius_scale": (0.4, 2.5),
  "length_scale": (0.3, 3),
  "body_scale": (0.2, 2),
  "compliance_scale": (0.02, 5),
  "reflection": (-0.5, 0.65),
  "muscular_stiffness": (0.2, 5),
  "muscular_radius": (0.5, 2),
  "viscosity_scale": (0, 10),
  "womersley": (0, 1),
  "operating_mmhg": (-50, 50),
  "taper_scale": (0, 1.5),
  "closure_s": (0.01, 0.12),
  "p_out_mmhg": (0, 150),
  "steepening": (0, 3),
}


def check(subjects: Subject) -> None:
  """Checks that the parameters of all subjects are possible.

  Raises:
    InputError: a parameter is not finite or outside `LIMITS`; names it, the subject and the range.
  """
  for name, value in subjects._asdict().items():
    low, high = LIMITS[name]
    column = np.atleast_1d(np.asarray(value))
    bad = np.flatnonzero(~((column >= low) & (column <= high)))
    if bad.size:
      raise InputError(f"{name}={column[bad[0]]:g} of subject {bad[0]}: must be {low:g} to {high:g}")
  early = np.flatnonzero(np.atleast_1d(np.asarray(subjects.t_peak_s) >= np.asarray(subjects.lvet_s)))
  if early.size:
    raise InputError(f"t_peak_s of subject {early[0]}: must be less than its lvet_s, the end of ejection")
  lvet_share = np.atleast_1d(np.asarray(subjects.lvet_s) * np.asarray(subjects.hr_bpm) / 60)
  if (lvet_share > _MAX_LVET_SHARE + 1e-6).any():
    row = int(lvet_share.argmax())
    raise InputError(f"lvet_s of subject {row}: must be at most {_MAX_LVET_SHARE} of its beat duration, 60 / hr_bpm")


P_OUT_MMHG = 33.2  # Parazynski 1993
_MAX_LVET_SHARE = 0.6  # of the beat: keeps a diastole at high rates

# Heart rate by age, Yashin 2006; SD 11.2 Petersen 2017.
_HR_AGE = np.arange(32.5, 93, 5.0)
_HR_BPM = np.array([75.6, 77.5, 77.8, 77.6, 77.4, 77.2, 76.9, 76.1, 75.1, 73.8, 72.6, 71.9, 71.9])
# Brachial diastolic and pulse pressure of men by decade, McEniery 2005.
_BP_AGE = np.arange(15.5, 86, 10.0)
_DBP_MMHG = np.array([73, 75, 77, 79, 79, 78, 76, 75.0])
_PP_MMHG = np.array([50, 49, 47, 46, 46, 49, 51, 55.0])
# Their column of MAP is not the mean of a wave: by a cuff's rule it lies a third of the pulse pressure above diastole,
# whereas the mean of a brachial wave lies at 0.44 to 0.49. These are form factors of the cohort's own brachial waves.
_FORM_FACTOR_35, _FORM_FACTOR_75 = 0.44, 0.49
_CUFF_FORM_FACTOR = 1 / 3
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
# Arteries that the radius scale applies to, and smaller branches, of which it scales only the inlet.
_LARGE = (*range(1, 6), 7, 14, 15, 18, 19, 21, 27, 28, 29, 35, 37, 39, 41, 42, 43)
_BRANCHES = (6, 8, 9, 12, 13, 16, 17, 20, 22, 23, 26, 30, 31, 34, 36, 38, 40, 44, 45, 50, 51)
_ARCH = (1, 2)
# Limb arteries that dilate: from the brachial and from the femoral artery outwards.
_MUSCULAR = (*range(7, 12), *range(21, 26), *range(46, 50), *range(52, 56), *range(97, 117))
_PATIENT_SV_ML = (20.0, 130.0)  # at the ends of heart rate and output together
_LEAST_PWV_M_S = 4.5  # a choice: the classes of Mattace-Raso end at a mean of 92.5 mmHg
_VASODILATED = {"muscular_stiffness": 0.8, "muscular_radius": 1.1, "resistance": 0.88, "compliance_scale": 1.3}


def _line_relative_to_25(age: np.ndarray, value: np.ndarray) -> tuple[float, float]:
  """Returns slope and intercept of a straight fit, divided by its value at 25 years."""
  slope, intercept = np.polyfit(age, value, 1)
  at_25 = slope * 25 + intercept
  return float(slope / at_25), float(intercept / at_25)


_DIAMETER_LINE = np.mean([_line_relative_to_25(*d) for d in _DIAMETERS_MM], axis=0)
_ARCH_LINE = _line_relative_to_25(_AORTA_AGE, _ARCH_MM)


@jnp.vectorize
def mean_pwv(age: jax.Array, map_mmhg: jax.Array) -> jax.Array:
  """Returns the mean cf-PWV [m/s], linear between the classes of mean pressure, extrapolated below the first.

  Args:
    age: years.
    map_mmhg: mean pressure by a cuff.
  """
  by_class = _PWV_A * age + _PWV_B * age**2 + _PWV_C
  left = jnp.clip(jnp.searchsorted(jnp.asarray(_PWV_CLASS_MAP), map_mmhg) - 1, 0, len(_PWV_C) - 2)
  share = (map_mmhg - jnp.asarray(_PWV_CLASS_MAP)[left]) / jnp.asarray(np.diff(_PWV_CLASS_MAP))[left]
  share = jnp.minimum(share, 1.0)
  return by_class[left] * (1 - share) + by_class[left + 1] * share


def cuff_mean(subjects: Subject) -> jax.Array:
  """Returns the mean pressure by a cuff's rule: lower than the wave's by its form factor less a third."""
  pp = jnp.interp(subjects.age, _BP_AGE, _PP_MMHG)
  return subjects.map_mmhg - (form_factor(subjects.age) - _CUFF_FORM_FACTOR) * pp


def form_factor(age: jax.Array) -> jax.Array:
  """Returns (MAP − DBP)/PP of the brachial wave by age, from which a cuff's two values determine the mean pressure."""
  return _FORM_FACTOR_35 + (_FORM_FACTOR_75 - _FORM_FACTOR_35) * (age - 35) / 40


def _ejection(
  sv_off: jax.Array, hr_off: jax.Array, hr: jax.Array, spread: float, z: Iterator[jax.Array]
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns ejection time [s], time to peak flow [s] and regurgitant volume [ml].

  They are those of Weissler 1961, Kamimura 2016 and Charlton 2019. The volume is a lognormal of the latter's mean 0.73
  and SD 0.63 ml, since no volume is negative. `sv_off` and `hr_off` are the deviations of stroke volume and heart rate
  from their means.
  """
  lvet = 0.282 + 0.0011 * sv_off - 0.0009 * hr_off + 0.0233 * next(z)
  lvet = jnp.minimum(lvet, _MAX_LVET_SHARE * 60 / hr)
  t_peak = (0.079 + 0.011 * next(z)) * lvet / 0.282
  log_sd = np.sqrt(np.log(1 + (0.63 / 0.73) ** 2))
  return lvet, t_peak, 0.73 * jnp.exp(log_sd * next(z) - (log_sd * spread) ** 2 / 2)


def draw(key: jax.Array, spec: clinics.Population, count: int) -> Subject:
  """Draws `count` subjects, without the plausibility filter (see `plausibility`).

  Args:
    key: typed PRNG key.
    spec: age range, spread and shifts of the population.
    count: number of subjects.
  """
  age_key, dilated_key, friction_key, *keys = jax.random.split(key, 19)
  age = jax.random.uniform(age_key, (count,), minval=spec.age_min, maxval=spec.age_max)
  z = iter([spec.spread * jax.random.truncated_normal(k, -2.0, 2.0, (count,)) for k in keys])
  dilated = jax.random.bernoulli(dilated_key, float(spec.vasodilated_share), (count,))

  def dilates(name: str) -> jax.Array:
    return jnp.where(dilated, _VASODILATED[name], 1.0)

  # Stroke volume: mean of the 5th and 95th centile, Poppe 2015.
  sv_high, sv_low = 102.35 - 0.3856 * age, 42.94 - 0.1193 * age
  sv_mean, sv_sd = (sv_high + sv_low) / 2, (sv_high - sv_low) / (2 * 1.6449)
  sv = sv_mean + sv_sd * next(z)
  hr_mean = jnp.interp(age, _HR_AGE, _HR_BPM)
  hr = hr_mean + 11.2 * next(z)
  dbp, pp = jnp.interp(age, _BP_AGE, _DBP_MMHG), jnp.interp(age, _BP_AGE, _PP_MMHG)
  shift = spec.map_shift_mmhg + spec.map_sd_mmhg * next(z)
  resting = dbp + form_factor(age) * pp + shift
  mean_pressure = P_OUT_MMHG + dilates("resistance") * (resting - P_OUT_MMHG)
  hr, sv = hr + spec.hr_shift_bpm, sv * spec.sv_scale
  lvet, t_peak, rfv = _ejection(sv - sv_mean, hr - hr_mean, hr, spec.spread, z)
  # the classes of Mattace-Raso are by cuff pressures
  z_pwv = next(z) + spec.pwv_shift_sd
  pwv = mean_pwv(age, dbp + _CUFF_FORM_FACTOR * pp + shift) * (1 + jnp.where(z_pwv > 0, 0.17, 0.125) * z_pwv)
  # McVeigh 1999, Resnick 2000
  compliance = (0.113 - 0.001 * age) / 0.088 * (1 + 0.274 * (next(z) + spec.compliance_shift_sd))
  subjects = Subject(
    age=age,
    hr_bpm=hr,
    sv_ml=sv,
    map_mmhg=mean_pressure,
    p_ext_mmhg=dbp,
    lvet_s=lvet,
    t_peak_s=t_peak,
    rfv_ml=rfv,
    fall_exponent=1 + spec.fall_exponent_sd * next(z),
    pwv_m_s=pwv,
    radius_scale=(_DIAMETER_LINE[0] * age + _DIAMETER_LINE[1]) * (1 + 0.089 * next(z)),
    length_scale=(_ARCH_LINE[0] * age + _ARCH_LINE[1]) * (1 + 0.134 * next(z)),
    body_scale=jnp.ones_like(age),
    compliance_scale=compliance * dilates("compliance_scale"),
    reflection=spec.reflection + spec.reflection_sd * next(z),
    muscular_stiffness=dilates("muscular_stiffness"),
    muscular_radius=dilates("muscular_radius"),
    viscosity_scale=jnp.exp(spec.viscosity_log_sd * next(z)),
    womersley=jax.random.uniform(friction_key, (count,), minval=spec.womersley_min, maxval=1.0),
    operating_mmhg=spec.operating_sd_mmhg * next(z),
    taper_scale=1 + spec.taper_sd * next(z),
    closure_s=jnp.full_like(age, heart.REGURGITATION_S),
    p_out_mmhg=jnp.full_like(age, P_OUT_MMHG),
    steepening=jax.random.uniform(jax.random.fold_in(key, 19), (count,), maxval=spec.steepening_max),
  )
  return _with_patients(jax.random.fold_in(key, 20), subjects, spec) if spec.patient_share else subjects


def _with_patients(key: jax.Array, subjects: Subject, spec: clinics.Population) -> Subject:
  """Returns the subjects, some of them with the circulation of patients."""
  ranges, count = spec.circulation, subjects.age.shape[0]
  share_key, *keys = jax.random.split(key, 14)
  draws = iter(keys)

  def within(bounds: clinics.Range) -> jax.Array:
    return jax.random.uniform(next(draws), (count,), minval=bounds[0], maxval=bounds[1])

  hr, mean_pressure = within(ranges.hr_bpm), within(ranges.map_mmhg)
  sv = jnp.clip(1000 * within(ranges.output_l_min) / hr, *_PATIENT_SV_ML)
  lvet = jnp.minimum((0.413 - 0.0017 * hr) * within(ranges.ejection_scale), _MAX_LVET_SHARE * 60 / hr)
  cuff = mean_pressure - (form_factor(subjects.age) - _CUFF_FORM_FACTOR) * jnp.interp(subjects.age, _BP_AGE, _PP_MMHG)
  dilation = within(ranges.dilation)

  def dilates(name: str) -> jax.Array:
    return 1 + dilation * (_VASODILATED[name] - 1)

  patients = subjects._replace(
    hr_bpm=hr,
    sv_ml=sv,
    map_mmhg=mean_pressure,
    p_out_mmhg=mean_pressure * within(ranges.outflow_share),
    lvet_s=lvet,
    t_peak_s=lvet * within(ranges.upstroke_share),
    rfv_ml=sv * within(ranges.regurgitant_share),
    closure_s=within(ranges.closure_s),
    fall_exponent=within(ranges.fall_exponent),
    pwv_m_s=jnp.maximum(mean_pwv(subjects.age, cuff) * within(ranges.pwv_scale), _LEAST_PWV_M_S),
    compliance_scale=subjects.compliance_scale * within(ranges.compliance_scale) * dilates("compliance_scale"),
    muscular_stiffness=dilates("muscular_stiffness"),
    muscular_radius=dilates("muscular_radius"),
  )
  sick = jax.random.bernoulli(share_key, float(spec.patient_share), (count,))
  return jax.tree.map(lambda ill, well: jnp.where(sick, ill, well), patients, subjects)


class Geometry(NamedTuple):
  """Geometry of the 116 arteries, each (artery,): radii at both ends and length [m], factor on Eh/r₀."""

  radius_in_m: jax.Array
  radius_out_m: jax.Array
  length_m: jax.Array
  stiffness_scale: jax.Array


def resting_geometry(subject: Subject) -> Geometry:
  """Returns one subject's arteries at rest, before any vasodilation; the pulse wave velocity is defined on them."""
  table = network.read_table()
  large = np.isin(table.number, _LARGE)
  branch = np.isin(table.number, _BRANCHES)
  arch = np.isin(table.number, _ARCH)
  radius_in = jnp.asarray(table.radius_in_m) * jnp.where(large | branch, subject.radius_scale, 1.0)
  radius_out = jnp.asarray(table.radius_out_m) * jnp.where(large, subject.radius_scale, 1.0)
  radius_in, radius_out = radius_in * subject.body_scale, radius_out * subject.body_scale
  middle, half = (radius_in + radius_out) / 2, (radius_in - radius_out) / 2 * subject.taper_scale
  length = jnp.asarray(table.length_m) * jnp.where(arch, subject.length_scale, 1.0) * subject.body_scale
  return Geometry(middle + half, middle - half, length, jnp.ones_like(length))


def geometry(subject: Subject) -> Geometry:
  """Returns one subject's arteries, with the subject's muscular tone in those of the limbs."""
  rest = resting_geometry(subject)
  muscular = np.isin(network.read_table().number, _MUSCULAR)
  radius = jnp.where(muscular, subject.muscular_radius, 1.0)
  stiffness = jnp.where(muscular, subject.muscular_stiffness, 1.0)
  return Geometry(rest.radius_in_m * radius, rest.radius_out_m * radius, rest.length_m, stiffness)
