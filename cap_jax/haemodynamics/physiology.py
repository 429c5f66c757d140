"""Comparison of the virtual cohort with published values of healthy people, decade by decade."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import numpy as np

from cap_jax import clinics
from cap_jax.arteries import cohort, plausibility, population
from cap_jax.haemodynamics import augmentation, indices, pwdb_parameters, timing

DECADES = (30, 40, 50, 60, 70)
# McEniery et al. 2005, Table 1, men, of the same eight decades as `plausibility.MCENIERY_MEN`.
_AUGMENTATION = {
  "ap": ((-1, 1, 4, 7, 9, 11, 13, 14), (3, 4, 5, 4, 5, 5, 5, 5)),
  "aix": ((-2, 2, 12, 19, 24, 28, 30, 30), (8, 11, 13, 10, 10, 9, 9, 10)),
  "tr": ((150, 154, 151, 148, 143, 141, 136, 133), (17, 21, 21, 16, 15, 12, 12, 16)),
}
_PUBLISHED = {**plausibility.MCENIERY_MEN, **_AUGMENTATION}
PWV = "cf_pwv"
LABELS = {
  "central_sbp": "central SBP [mmHg]",
  "central_pp": "central PP [mmHg]",
  "brachial_sbp": "brachial SBP [mmHg]",
  "brachial_dbp": "brachial DBP [mmHg]",
  "brachial_pp": "brachial PP [mmHg]",
  "cuff_map": "DBP + PP/3, brachial [mmHg]",
  "amplification": "PP amplification, brachial/central",
  "ap": "augmentation pressure [mmHg]",
  "aix": "augmentation index [%]",
  "tr": "time to reflection [ms]",
  PWV: "carotid–femoral PWV, foot to foot [m/s]",
}
# Largest deviation of a mean, and relative deviation of a standard deviation.
LIMITS = {
  "central_sbp": 3.0,
  "brachial_sbp": 3.0,
  "brachial_dbp": 3.0,
  "central_pp": 3.0,
  "amplification": 0.08,
  "aix": 5.0,
  PWV: 0.7,
}
SD_LIMIT = 1 / 3


@dataclasses.dataclass(frozen=True)
class DecadeStatistics:
  """Statistics of one quantity by decade.

  Attributes:
    name: key of `LABELS`.
    mean, sd: (decade,) of the model.
    published_mean, published_sd: (decade,); the SD is NaN where none is published.
  """

  name: str
  mean: np.ndarray
  sd: np.ndarray
  published_mean: np.ndarray
  published_sd: np.ndarray

  def misses(self) -> list[str]:
    """Describes the values outside `LIMITS` or `SD_LIMIT`."""
    if self.name not in LIMITS:
      return []
    misses = []
    for decade, mean, sd, true, true_sd in zip(
      DECADES, self.mean, self.sd, self.published_mean, self.published_sd, strict=True
    ):
      label = f"{LABELS[self.name]}, {decade}–{decade + 9} years"
      if abs(mean - true) > LIMITS[self.name]:
        misses.append(f"{label}: mean {mean:.3g}, published {true:.3g}")
      if abs(sd / true_sd - 1) > SD_LIMIT:  # never true of NaN
        misses.append(f"{label}: SD {sd:.2g}, published {true_sd:.2g}")
    return misses


@dataclasses.dataclass(frozen=True)
class Variant:
  """A variant of the cohort: another population, a change of its subjects, or another bandwidth of the augmentation."""

  spec: clinics.Population = dataclasses.field(default_factory=clinics.Population)
  change: Callable[[population.Subject], population.Subject] = lambda subjects: subjects
  half_amplitude_hz: float = 10.0


# Errors of earlier versions of the cohort, one at a time.
VARIANTS = {
  "as it is": Variant(),
  "mean pressure by the cuff's rule, DBP + PP/3": Variant(
    change=lambda s: s._replace(map_mmhg=population.cuff_mean(s)),
  ),
  "round fall of ejection (exponent + 1)": Variant(change=lambda s: s._replace(fall_exponent=s.fall_exponent + 1)),
  "matched terminals (Γ = 0)": Variant(clinics.Population(reflection=0.0, reflection_sd=0.0)),
  "elastic wall": Variant(change=lambda s: s._replace(viscosity_scale=0 * s.viscosity_scale)),
  "linearised at diastole": Variant(change=lambda s: s._replace(operating_mmhg=s.p_ext_mmhg - s.map_mmhg)),
  "peripheral compliance × 0.7": Variant(change=lambda s: s._replace(compliance_scale=0.7 * s.compliance_scale)),
  "augmentation in 25 Hz bandwidth": Variant(half_amplitude_hz=25.0),
  "no plausibility filter": Variant(clinics.Population(plausible=False)),
}


def quantities(
  subjects: population.Subject, waves: Mapping[str, np.ndarray], half_amplitude_hz: float = 10.0
) -> dict[str, np.ndarray]:
  """Returns every quantity of `LABELS`, each (subject,).

  Args:
    subjects: (subject,) parameters.
    waves: site → (subject, time), from `cohort.beats`.
    half_amplitude_hz: bandwidth of the augmentation.
  """
  period = 60 / np.asarray(subjects.hr_bpm)
  augmented = augmentation.augmentation(waves["aortic_root"], period, np.asarray(subjects.lvet_s), half_amplitude_hz)
  feet = {site: timing.foot_times(waves[site], period) for site in ("carotid", "femoral")}
  delay_s = (feet["femoral"] - feet["carotid"]) % period
  return {
    **plausibility.pressures(waves),
    "ap": augmented.ap_mmhg,
    "aix": augmented.aix_percent,
    "tr": 1000 * augmented.tr_s,
    PWV: (
      pwdb_parameters.way_m(subjects, pwdb_parameters.TO_FEMORAL)
      - pwdb_parameters.way_m(subjects, pwdb_parameters.TO_CAROTID)
    )
    / delay_s,
  }


def compare(
  count: int, seed: int, variant: Variant = VARIANTS["as it is"]
) -> tuple[list[DecadeStatistics], dict[str, float]]:
  """Draws the reference population, or a variant of it, and compares it with the publications.

  Args:
    count: number of subjects, of 25 to 80 years.
    seed: of the draw.
    variant: the variant of the cohort.

  Returns:
    rows: statistics of each quantity of `LABELS`, for the ages 30 to 79.
    form_factors: site → mean form factor.
  """
  subjects = plausibility.draw(jax.random.key(seed), variant.spec, count, variant.change)
  waves = jax.tree.map(np.asarray, cohort.beats(subjects))
  decade = np.asarray(subjects.age) // 10 * 10
  column = [d // 10 - 1 for d in DECADES]
  rows = []
  for name, value in quantities(subjects, waves, variant.half_amplitude_hz).items():
    values_by_decade = [value[decade == d] for d in DECADES]
    if name == PWV:
      cuff_map = np.array(_PUBLISHED["cuff_map"][0])[column]
      published = np.asarray(population.mean_pwv(np.array(DECADES) + 5.0, cuff_map))
      published_sd = np.full(len(DECADES), np.nan)
    else:
      published, published_sd = (np.array(v, dtype=float)[column] for v in _PUBLISHED[name])
    mean, sd = (np.array([f(group) for group in values_by_decade]) for f in (np.nanmean, np.nanstd))
    rows.append(DecadeStatistics(name, mean, sd, published, published_sd))
  order = list(LABELS)
  factors = {site: float(indices.form_factor(waves[site]).mean()) for site in ("aortic_root", "brachial", "radial")}
  return sorted(rows, key=lambda row: order.index(row.name)), factors
