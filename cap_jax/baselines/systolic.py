"""Formulas that give the central systolic pressure and no wave.

Their result is an array (window, time) whose highest value within a beat is cSBP [mmHg].
"""

import numpy as np
import scipy.ndimage

from cap_jax import config
from cap_jax.signals import beats

# the moving average runs over fs/N samples
FRACTIONS = {"radial": 4, "brachial": 6}


def moving_average(x_bt: np.ndarray, site: str, spec: config.Windows) -> np.ndarray:
  """The N-point moving average: cSBP is the highest value of the wave averaged over fs/4 samples at the radial artery (Williams et
  al. 2011, JACC 57, 951), fs/6 at the brachial (Shih et al. 2014, Hypertension 63, 665). Centred, which moves its peak only.

  Raises:
    KeyError: no N was published for the site.
  """
  return scipy.ndimage.uniform_filter1d(x_bt, round(spec.fs_hz / FRACTIONS[site]), axis=1, mode="nearest")


def mean_squared_over_diastolic(x_bt: np.ndarray, spec: config.Windows) -> np.ndarray:
  """cSBP ≈ MAP²/DBP of the peripheral wave (Chemla et al. 2002, Clin. Exp. Pharmacol. Physiol. 29, 537), mean over the beats of a
  window; NaN where none is whole."""
  found = []
  for x_t in x_bt:
    seen = beats.pressures(x_t, beats.find_feet(x_t, spec.fs_hz))
    found.append(np.square(seen.mean).mean() / seen.diastolic.mean() if seen.mean.size else np.nan)
  return np.broadcast_to(np.array(found)[:, None], x_bt.shape)
