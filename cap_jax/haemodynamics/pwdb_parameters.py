"""Haemodynamic parameters of virtual subjects, under the names of the Pulse Wave Database."""

from collections.abc import Sequence

import jax
import numpy as np

from cap_jax.arteries import network, population, profiles
from cap_jax.arteries.terminals import MMHG_PA
from cap_jax.haemodynamics import augmentation, timing

_SITES = tuple(network.PWDB_SITES)
_AORTA = (1, 2, 14, 18, 27, 28, 35, 37, 39, 41)
TO_CAROTID = ((1, 1.0), (2, 1.0), (15, 0.5))
TO_FEMORAL = (*((artery, 1.0) for artery in (*_AORTA, 42, 44)), (46, 0.5))
# Name, first site, second site, path to the second as (artery, fraction of its length), and the path that both share.
_VELOCITIES = (
  ("PWV_a", "AorticRoot", "IliacBif", tuple((artery, 1.0) for artery in _AORTA), ()),
  ("PWV_cf", "Carotid", "Femoral", TO_FEMORAL, TO_CAROTID),
  ("PWV_br", "Brachial", "Radial", ((21, 0.25), (22, 1.0)), ()),
  ("PWV_fa", "Femoral", "AntTibial", ((46, 0.5), (49, 1.0)), ()),
)


def onsets(waves: np.ndarray, period_s: np.ndarray) -> np.ndarray:
  """Returns the times of the feet after that of the first site's wave, (subject, site) [s].

  Args:
    waves: (subject, site, time) of one signal.
    period_s: (subject,).
  """
  feet = timing.foot_times(waves, period_s[:, None])
  return (feet - feet[:, :1]) % period_s[:, None]


def way_m(subjects: population.Subject, path: Sequence[tuple[int, float]]) -> np.ndarray:
  """Returns the length of a path through arteries, (subject,) [m].

  Args:
    subjects: (subject,) parameters.
    path: (artery number, fraction of its length) of each artery on the path.
  """
  length = np.asarray(jax.vmap(lambda one: population.geometry(one).length_m)(subjects))
  rows = network.read_table().rows([artery for artery, _ in path])
  return (length[:, rows] * np.array([fraction for _, fraction in path])).sum(1)


def parameters(subjects: population.Subject, waves: profiles.Profiles) -> dict[str, np.ndarray]:
  """Returns the columns of PWDB's table of haemodynamic parameters in its order, each (subject,).

  Pulse wave velocities are from foot to foot of the pressure waves, diameters at diastole.

  Args:
    subjects: (subject,) parameters.
    waves: profiles of the subjects at PWDB's sites.
  """
  s = jax.tree.map(np.asarray, subjects)
  period_s, p = 60 / s.hr_bpm, np.asarray(waves.p_mmhg, dtype=float)
  root, brachial = (p[:, _SITES.index(site)] for site in ("AorticRoot", "Brachial"))
  augmented = augmentation.augmentation(root, period_s, s.lvet_s)
  mean = {site: p[:, k].mean(1) for k, site in enumerate(_SITES)}
  foot_s = onsets(p, period_s)
  speeds = {}
  for name, start, end, path, shared_path in _VELOCITIES:
    delay_s = (foot_s[:, _SITES.index(end)] - foot_s[:, _SITES.index(start)]) % period_s
    speeds[f"{name} [m/s]"] = (way_m(subjects, path) - way_m(subjects, shared_path)) / delay_s

  def diameter_mm(site: str) -> np.ndarray:
    return 2e3 * np.sqrt(np.asarray(waves.a_m2)[:, _SITES.index(site)].min(1) / np.pi)

  output = s.sv_ml * s.hr_bpm / 60
  return {
    "age [years]": s.age,
    "HR [bpm]": s.hr_bpm,
    "SV [ml]": s.sv_ml,
    "CO [l/min]": s.sv_ml * s.hr_bpm / 1000,
    "LVET [ms]": 1000 * s.lvet_s,
    "dp/dt [mmHg/s]": (np.diff(root, axis=1, append=root[:, :1]) * root.shape[1] / period_s[:, None]).max(1),
    "PFT [ms]": 1000 * s.t_peak_s,
    "RFV [ml]": s.rfv_ml,
    "SBP_a [mmHg]": root.max(1),
    "DBP_a [mmHg]": root.min(1),
    "MAP_a [mmHg]": mean["AorticRoot"],
    "PP_a [mmHg]": np.ptp(root, axis=1),
    "SBP_b [mmHg]": brachial.max(1),
    "DBP_b [mmHg]": brachial.min(1),
    "MBP_b [mmHg]": mean["Brachial"],
    "PP_b [mmHg]": np.ptp(brachial, axis=1),
    "PP_amp [ratio]": np.ptp(brachial, axis=1) / np.ptp(root, axis=1),
    "AP [mmHg]": augmented.ap_mmhg,
    "AIx [%]": augmented.aix_percent,
    "Tr [ms]": 1000 * augmented.tr_s,
    **speeds,
    "dia_asca [mm]": diameter_mm("AorticRoot"),
    "dia_dta [mm]": diameter_mm("ThorAorta"),
    "dia_abda [mm]": diameter_mm("AbdAorta"),
    "dia_car [mm]": diameter_mm("Carotid"),
    "Len [mm]": 1000 * way_m(subjects, ((1, 1.0), (2, 1.0))),
    "drop fin [mmHg]": mean["AorticRoot"] - mean["Digital"],
    "drop ankle [mmHg]": mean["AorticRoot"] - mean["AntTibial"],
    "SVR [10^6 Pa s / m3]": (mean["AorticRoot"] - s.p_out_mmhg) / output * MMHG_PA,
  }
