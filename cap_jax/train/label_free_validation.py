"""How well a network would do in a clinic nobody of whom is labelled: importance-weighted validation (Sugiyama et al. 2007, J. Mach.
Learn. Res. 8, 985),

    R_t(θ) = E_s[w(ℓ) e(θ)],     w(ℓ) = p_t(ℓ)/p_s(ℓ),     ℓ = (mean, SD) of a window

over validation subjects of the source, whose aortic wave is known, seen as the target's clinic would have recorded them
(`strategies.transducer_response`): weights alone cannot make up for waves that the source does not have.
"""

from typing import NamedTuple

import numpy as np

from cap_jax import config
from cap_jax.data import batches
from cap_jax.strategies import importance
from cap_jax.train import checkpoint, prediction


class Weighted(NamedTuple):
  """Mean over subjects of their waveform RMSE [mmHg], each window and subject counting by its weight, and the number of subjects
  that these weights leave, (Σ w)²/Σ w² (Kish 1965)."""

  rmse_mmhg: float
  subjects: float


def weighted_rmse(square_b: np.ndarray, subject_b: np.ndarray, weight_b: np.ndarray) -> Weighted:
  """Args:
  square_b: (window,) mean square error [mmHg²].
  subject_b: (window,) whose it is.
  weight_b: (window,) importance, positive.
  """
  _, number_b = np.unique(subject_b, return_inverse=True)
  weight_s = np.bincount(number_b, weight_b)
  rmse_s = np.sqrt(np.bincount(number_b, weight_b * square_b) / weight_s)
  return Weighted(
    float(weight_s @ rmse_s / weight_s.sum()), float(np.square(weight_s.sum()) / np.square(weight_s).sum())
  )


def rmse_of_each(network: checkpoint.Checkpoint, people: batches.Pairs, spec: config.Windows) -> dict[str, float]:
  """Subject → waveform RMSE [mmHg] on labelled windows, less their margins."""
  return prediction.rmse_of_each(
    prediction.square_error(prediction.predict(network, people), people, spec), people.subject_b
  )


def importance_weighted(
  network: checkpoint.Checkpoint, people: batches.Pairs, target: batches.Waves, spec: config.Windows
) -> Weighted:
  """R_t of a network.

  Args:
    people: validation subjects of the source, as the target's clinic would have recorded them.
    target: unlabelled windows of the target.
    spec: margin of the windows.
  """
  square_b = prediction.square_error(prediction.predict(network, people), people, spec)
  scale = network.scaling.scale
  return weighted_rmse(square_b, people.subject_b, importance.weights(scale(people.x_bt), scale(target.x_bt)))
