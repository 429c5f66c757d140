"""Plausibility of the virtual subjects of the Pulse Wave Database: a flag that its CSV and WFDB files do not contain.

As in its exporter (Charlton et al. 2019), a subject is plausible if brachial SBP, DBP, PP, MAP, central SBP and PP, and
amplification are each within ± 2.575 SD of McEniery et al. 2005 (J. Am. Coll. Cardiol. 46, 1753, Table 1). Men and
women are pooled, and values interpolated between the middles of the decades.
"""

from collections.abc import Mapping

import numpy as np

from cap_jax.arteries import plausibility

_MIDDLE = np.array([15, 25, 35, 45, 55, 65, 75, 85])
_COUNT = np.array([[172, 178, 183, 258, 429, 430, 280, 39], [133, 101, 165, 301, 495, 509, 290, 38]])  # men, women
# Women: means and SDs below 20, in the decades from 20 to 79, and from 80. The men are in `plausibility`.
_WOMEN: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
  "brachial_sbp": ((113, 115, 115, 118, 122, 126, 127, 128), (10, 10, 12, 11, 11, 10, 10, 10)),
  "brachial_dbp": ((72, 73, 74, 75, 75, 74, 72, 70), (8, 8, 9, 8, 7, 7, 8, 9)),
  "brachial_pp": ((41, 43, 41, 43, 46, 51, 54, 57), (8, 7, 9, 9, 9, 8, 9, 11)),
  "cuff_map": ((86, 86, 88, 90, 93, 93, 92, 90), (8, 8, 9, 9, 8, 8, 8, 8)),
  "central_sbp": ((98, 101, 105, 109, 115, 118, 119, 120), (9, 9, 11, 11, 11, 10, 9, 11)),
  "central_pp": ((25, 27, 30, 33, 38, 43, 56, 49), (6, 7, 8, 8, 8, 8, 8, 12)),
  "amplification": ((1.67, 1.59, 1.41, 1.29, 1.22, 1.21, 1.19, 1.18), (0.15, 0.2, 0.18, 0.15, 0.11, 0.1, 0.1, 0.11)),
}
# The exporter swaps the table's SDs of men's amplification at 40–49 and 50–59.
_MEN = {
  **plausibility.MCENIERY_MEN,
  "amplification": (plausibility.MCENIERY_MEN["amplification"][0], (0.11, 0.14, 0.18, 0.15, 0.16, 0.13, 0.12, 0.15)),
}
# Name in PWDB → row.
_ROWS = dict(zip(("SBP_b", "DBP_b", "PP_b", "MBP_b", "SBP_a", "PP_a", "PP_amp"), _WOMEN, strict=True))
NAMES = tuple(_ROWS)
_WITHIN_SD = 2.575


def limits(name: str, age: float) -> tuple[float, float]:
  """Returns the range of plausible values.

  Args:
    name: one of `NAMES`.
    age: age [years].

  Returns:
    Lowest and highest plausible value [mmHg, or a ratio].
  """
  row, count = _ROWS[name], _COUNT
  mean, sd = (np.array([_MEN[row][k], _WOMEN[row][k]]) for k in range(2))
  total = count.sum(0)
  pooled = (count * mean).sum(0) / total
  squares = ((count - 1) * sd**2 + count * mean**2).sum(0)
  pooled_sd = np.sqrt((squares - total * pooled**2) / (total - 1))
  centre, spread = np.interp(age, _MIDDLE, pooled), np.interp(age, _MIDDLE, pooled_sd)
  return float(centre - _WITHIN_SD * spread), float(centre + _WITHIN_SD * spread)


def plausible(age: float, values: Mapping[str, float]) -> bool | None:
  """Returns whether all pressures of a subject are plausible.

  Args:
    age: age [years].
    values: name of `NAMES` → value [mmHg, or a ratio].

  Returns:
    The verdict, or None if a value or the age is unknown.
  """
  if any(not np.isfinite(values.get(name, np.nan)) for name in NAMES) or not np.isfinite(age):
    return None
  return all(low <= values[name] <= high for name in NAMES for low, high in [limits(name, age)])
