"""Estimates the error of a network in a clinic without labels, by importance-weighted validation (Sugiyama et al. 2007,
J. Mach. Learn. Res. 8, 985),

    R_t(θ) = E_s[w(ℓ) e(θ)],     w(ℓ) = p_t(ℓ)/p_s(ℓ),     ℓ = (mean, SD) of a window

The validation subjects are those of the source, whose aortic wave is known. Their windows are first simulated as the
target clinic would have recorded them (`strategies.transducer_response`): weights alone cannot make up for waves that
the source does not contain.
"""

from typing import NamedTuple

import numpy as np

from cap_jax import config
from cap_jax.data import batches
from cap_jax.strategies import importance
from cap_jax.train import checkpoint, prediction


class Weighted(NamedTuple):
  """An importance-weighted error.

  Attributes:
    rmse_mmhg: mean over subjects of their waveform RMSE [mmHg], with windows and subjects weighted.
    subjects: effective number of subjects, (Σ w)²/Σ w² (Kish 1965).
  """

  rmse_mmhg: float
  subjects: float


def weighted_rmse(square_b: np.ndarray, subject_b: np.ndarray, weight_b: np.ndarray) -> Weighted:
  """Returns the weighted mean over subjects of their RMSE.

  Args:
    square_b: (window,) mean square error [mmHg²].
    subject_b: (window,) subject names.
    weight_b: (window,) importance, positive.
  """
  _, number_b = np.unique(subject_b, return_inverse=True)
  weight_s = np.bincount(number_b, weight_b)
  rmse_s = np.sqrt(np.bincount(number_b, weight_b * square_b) / weight_s)
  return Weighted(
    float(weight_s @ rmse_s / weight_s.sum()), float(np.square(weight_s.sum()) / np.square(weight_s).sum())
  )


def rmse_of_each(network: checkpoint.Checkpoint, people: batches.Pairs, spec: config.Windows) -> dict[str, float]:
  """Returns subject → waveform RMSE [mmHg] on labelled windows without their margins.

  Args:
    network: the network.
    people: labelled windows.
    spec: margin of the windows.
  """
  return prediction.rmse_of_each(
    prediction.square_error(prediction.predict(network, people), people, spec), people.subject_b
  )


def importance_weighted(
  network: checkpoint.Checkpoint, people: batches.Pairs, target: batches.Waves, spec: config.Windows
) -> Weighted:
  """Returns R_t of a network.

  Args:
    network: the network.
    people: validation subjects of the source, as the target clinic would have recorded them.
    target: unlabelled windows of the target.
    spec: margin of the windows.
  """
  square_b = prediction.square_error(prediction.predict(network, people), people, spec)
  scale = network.scaling.scale_input
  return weighted_rmse(square_b, people.subject_b, importance.weights(scale(people.x_bt), scale(target.x_bt)))
