"""Formulas that estimate the central systolic pressure and no wave.

Their result is an array (window, time) whose highest value within a beat is cSBP [mmHg].
"""

import numpy as np
import scipy.ndimage

from cap_jax import config
from cap_jax.signals import beats

# the moving average runs over fs/N samples
FRACTIONS = {"radial": 4, "brachial": 6}


def moving_average(x_bt: np.ndarray, site: str, spec: config.Windows) -> np.ndarray:
  """Estimates cSBP by the N-point moving average, the highest value of the wave averaged over fs/N samples.

  N is 4 at the radial artery (Williams et al. 2011, JACC 57, 951) and 6 at the brachial (Shih et al. 2014, Hypertension
  63, 665). The average is centred, which moves only its peak.

  Args:
    x_bt: (window, time) peripheral pressure [mmHg].
    site: peripheral site.
    spec: config of the windows.

  Raises:
    KeyError: no N was published for the site.
  """
  return scipy.ndimage.uniform_filter1d(x_bt, round(spec.fs_hz / FRACTIONS[site]), axis=1, mode="nearest")


def mean_squared_over_diastolic(x_bt: np.ndarray, spec: config.Windows) -> np.ndarray:
  """Estimates cSBP ≈ MAP²/DBP of the peripheral wave (Chemla et al. 2002, Clin. Exp. Pharmacol. Physiol. 29, 537).

  Args:
    x_bt: (window, time) peripheral pressure [mmHg].
    spec: config of the windows.

  Returns:
    (window, time) mean over the beats of a window; NaN where it has no whole beat.
  """
  estimates = []
  for x_t in x_bt:
    pressures = beats.pressures(x_t, beats.find_feet(x_t, spec.fs_hz))
    estimates.append(np.square(pressures.mean).mean() / pressures.diastolic.mean() if pressures.mean.size else np.nan)
  return np.broadcast_to(np.array(estimates)[:, None], x_bt.shape)
