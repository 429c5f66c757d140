"""Plausible subjects: a filter by the pressures of healthy people, after that of the Pulse Wave Database.

A subject passes if brachial SBP, DBP, PP, MAP, central SBP and PP, and amplification all lie within ± 2.575 SD of the
decade's mean in McEniery et al. 2005 (J. Am. Coll. Cardiol. 46, 1753, Table 1). The values are those of men, where PWDB
pools both sexes. Their MAP is the cuff's, DBP + PP/3, and the filter uses the same.
"""

from collections.abc import Callable, Mapping

import jax
import numpy as np
import tqdm

from cap_jax import clinics
from cap_jax.arteries import cohort, population
from cap_jax.types import InputError

# Means and SDs of the decades below 20, 20–29, …, 70–79, 80 and more.
MCENIERY_MEN: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
  "brachial_sbp": ((123, 124, 123, 125, 125, 126, 127, 130), (10, 10, 9, 9, 9, 9, 9, 8)),
  "brachial_dbp": ((73, 75, 77, 79, 79, 78, 76, 75), (8, 10, 9, 9, 9, 9, 9, 8)),
  "brachial_pp": ((50, 49, 47, 46, 46, 49, 51, 55), (9, 9, 8, 7, 8, 8, 8, 9)),
  "cuff_map": ((88, 89, 92, 95, 95, 94, 93, 92), (8, 8, 8, 7, 7, 7, 7, 8)),
  "central_sbp": ((103, 105, 109, 113, 115, 117, 118, 120), (8, 8, 9, 9, 9, 9, 8, 8)),
  "central_pp": ((29, 30, 31, 34, 35, 39, 42, 45), (5, 6, 6, 6, 7, 7, 7, 9)),
  "amplification": ((1.72, 1.70, 1.50, 1.39, 1.33, 1.26, 1.24, 1.25), (0.11, 0.14, 0.18, 0.16, 0.15, 0.13, 0.12, 0.15)),
}
_WITHIN_SD = 2.575
_BLOCK = 256
_LEAST_SHARE = 0.02


def decade(age: np.ndarray) -> np.ndarray:
  """Returns the column of `MCENIERY_MEN` for each age.

  Args:
    age: (subject,) [years].
  """
  return np.clip(np.asarray(age) // 10 - 1, 0, 7).astype(int)


def pressures(waves: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns the rows of `MCENIERY_MEN` for waves of subjects.

  Args:
    waves: site → (subject, time) pressure at root and brachial artery [mmHg].
  """
  brachial, root = np.asarray(waves["brachial"]), np.asarray(waves["aortic_root"])
  pp, central_pp = np.ptp(brachial, axis=1), np.ptp(root, axis=1)
  return {
    "brachial_sbp": brachial.max(1),
    "brachial_dbp": brachial.min(1),
    "brachial_pp": pp,
    "cuff_map": brachial.min(1) + pp / 3,
    "central_sbp": root.max(1),
    "central_pp": central_pp,
    "amplification": pp / central_pp,
  }


def plausible(age: np.ndarray, waves: Mapping[str, np.ndarray]) -> np.ndarray:
  """Returns whether all pressures lie in the range of the subject's decade, (subject,).

  Args:
    age: (subject,) years.
    waves: site → (subject, time) pressure [mmHg].
  """
  row = decade(age)
  inside = []
  for name, value in pressures(waves).items():
    mean, sd = (np.array(column)[row] for column in MCENIERY_MEN[name])
    inside.append(np.abs(value - mean) <= _WITHIN_SD * sd)
  return np.logical_and.reduce(inside)


def draw(
  key: jax.Array,
  spec: clinics.Population,
  count: int,
  change: Callable[[population.Subject], population.Subject] = lambda subjects: subjects,
) -> population.Subject:
  """Draws `count` subjects of a population; only plausible ones if `spec.plausible`.

  Subjects are drawn in blocks, so a larger draw begins with the subjects of a smaller one.

  Args:
    key: typed PRNG key.
    spec: the population.
    count: number of subjects.
    change: applied to the drawn subjects before they are checked.

  Returns:
    The parameters of the subjects, (count,) each.

  Raises:
    InputError: a value of the population is impossible, or hardly any of its subjects is plausible.
  """
  if count < 1:
    raise InputError(f"count={count}: must be 1 or more")
  blocks: list[population.Subject] = []
  accepted = 0
  with tqdm.tqdm(total=count, desc="plausible subjects", unit="", leave=False, delay=1) as progress:
    for block in range(1 + int(count / (_BLOCK * _LEAST_SHARE))):
      subjects = change(population.draw(jax.random.fold_in(key, block), spec, _BLOCK))
      try:
        population.check(subjects)
      except InputError as error:
        raise InputError(f"{spec}: draws impossible subjects ({error}); change the population") from error
      if spec.plausible:
        waves = cohort.beats(subjects)
        # index NumPy arrays: JAX would compile a gather for each number of rows
        subjects, waves = jax.tree.map(np.asarray, (subjects, waves))
        rows = plausible(subjects.age, waves)
        subjects = jax.tree.map(lambda x, rows=rows: x[rows], subjects)
      blocks.append(subjects)
      accepted += subjects.age.shape[0]
      progress.update(subjects.age.shape[0])
      if accepted >= count:
        return jax.tree.map(lambda *leaves: np.concatenate([np.asarray(p) for p in leaves])[:count], *blocks)
  raise InputError(
    f"{spec}: fewer than {100 * _LEAST_SHARE:g} % of its subjects are plausible; change the population or set plausible=False"
  )
