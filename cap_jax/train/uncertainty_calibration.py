"""What a network knows of its own errors, beside its parameters: where they are large, how large at a level, and what it has seen."""

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
  """Split-conformal intervals about a network's waves, and a border of what is like its training.

  Attributes:
    head: θ_v, whose σ says where in a beat errors are large; None: everywhere alike.
    mean_d, precision_dd: of the pooled features of windows seen in training.
    ood_threshold: squared Mahalanobis distance beyond which a window is out of distribution.
    level: of the intervals, such as 0.9.
    wave, csbp: factors on σ for the wave at one instant, and for the systolic pressure of a beat; infinite of too few subjects.
    subjects: on whom they were calibrated.
    where: who these were.
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
    """Why there are no intervals, "" where there are: K subjects reach the level K/(K + 1) at most."""
    needed = math.ceil(self.level / (1 - self.level) - 1e-9)
    if self.subjects >= needed:
      return ""
    return f"intervals of {100 * self.level:g} % need {needed} calibration subjects, it has {self.subjects}"

  @property
  def arrays(self) -> Params:
    """What is stored as arrays."""
    seen = {"mean": self.mean_d, "precision": self.precision_dd}
    return {"seen": seen} if self.head is None else {"seen": seen, "head": self.head}

  @property
  def numbers(self) -> dict[str, float | int | str | bool | None]:
    """What is stored as numbers; None of what is infinite."""
    levels = {name: getattr(self, field) for name, field in LEVELS.items()}
    finite = {name: value if math.isfinite(value) else None for name, value in levels.items()}
    return {**finite, "subjects": self.subjects, "where": self.where, "head": self.head is not None}


def expected_shapes(net: Net, samples: int, head: bool) -> Params:
  """Shapes of `UncertaintyCalibration.arrays` of a network."""

  def shapes() -> Params:
    params = net.init(jax.random.key(0), samples)
    h_bnd = net.features(params["f"], jnp.zeros((1, samples)), jnp.zeros((1, net.covariates)))
    features = h_bnd.shape[-1]
    seen = {"mean": jnp.zeros(features), "precision": jnp.zeros((features, features))}
    return {"seen": seen, "head": params["r"]} if head else {"seen": seen}

  return cast(Params, jax.eval_shape(shapes))
