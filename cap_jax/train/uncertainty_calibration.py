"""The calibrated uncertainty of a network, stored beside its parameters: where errors are large, how large they are,
and which windows it has seen.
"""

import dataclasses
import math
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax.models.net import Net
from cap_jax.types import Params

# name in a checkpoint → field
LEVELS = {"unseen": "ood_threshold", "level": "level", "wave": "wave", "csbp": "csbp"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class UncertaintyCalibration:
  """Split-conformal intervals for the waves of a network, and a threshold for windows out of distribution.

  Attributes:
    head: θ_v, whose σ says where in a beat errors are large; None for the same σ everywhere.
    mean_d, precision_dd: mean and precision of the pooled features of training windows.
    ood_threshold: squared Mahalanobis distance beyond which a window is out of distribution.
    level: level of the intervals, such as 0.9.
    wave, csbp: factors on σ for the wave at one instant and for the systolic pressure of a beat; infinite if there were
      too few subjects.
    subjects: number of calibration subjects.
    where: who the calibration subjects were.
  """

  head: Params | None
  mean_d: np.ndarray
  precision_dd: np.ndarray
  ood_threshold: float
  level: float
  wave: float
  csbp: float
  subjects: int
  where: str

  @property
  def lacking(self) -> str:
    """Returns why there are no intervals, "" if there are: K subjects reach the level K/(K + 1) at most."""
    needed = math.ceil(self.level / (1 - self.level) - 1e-9)
    if self.subjects >= needed:
      return ""
    return f"intervals of {100 * self.level:g} % need {needed} calibration subjects, but there are {self.subjects}"

  @property
  def arrays(self) -> Params:
    """Returns what a checkpoint stores as arrays."""
    features = {"mean": self.mean_d, "precision": self.precision_dd}
    return {"seen": features} if self.head is None else {"seen": features, "head": self.head}

  @property
  def header(self) -> dict[str, float | int | str | bool | None]:
    """Returns what a checkpoint stores in its header; None for infinite values."""
    levels = {name: getattr(self, field) for name, field in LEVELS.items()}
    finite = {name: value if math.isfinite(value) else None for name, value in levels.items()}
    return {**finite, "subjects": self.subjects, "where": self.where, "head": self.head is not None}


def expected_shapes(net: Net, samples: int, head: bool) -> Params:
  """Returns the shapes of `UncertaintyCalibration.arrays` for a network.

  Args:
    net: the network.
    samples: length of a window.
    head: whether the calibration has a head θ_v.
  """

  def shapes() -> Params:
    params = net.init(jax.random.key(0), samples)
    h_bnd = net.features(params["f"], jnp.zeros((1, samples)), jnp.zeros((1, net.covariates)))
    width = h_bnd.shape[-1]
    feature_shapes = {"mean": jnp.zeros(width), "precision": jnp.zeros((width, width))}
    return {"seen": feature_shapes, "head": params["r"]} if head else {"seen": feature_shapes}

  return cast(Params, jax.eval_shape(shapes))
