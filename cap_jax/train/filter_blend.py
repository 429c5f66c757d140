"""The wave of a network, blended with that of a linear filter,

    ŷ(t) = (1 − w) ŷ_net(t) + w ŷ_filter(t)

The filter is the target's own transfer function, an ARX model (`baselines.arx`). It makes other errors than a network,
and few labels suffice for it, so the mean of both is often better than either. On left-out windows with the errors
e_net and e_filter, w minimises the squared error of the blend within [0, 1] (stacked regression, Breiman 1996, Mach.
Learn. 24, 49):

    w = Σ e_net (e_net − e_filter) / Σ (e_net − e_filter)²
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from cap_jax import config
from cap_jax.baselines import arx
from cap_jax.data import batches
from cap_jax.types import InputError

LARGEST_GAIN, _LARGEST_MMHG = (
  100.0,
  1e4,
)  # of a constant pressure, whose gain is about 1, and of the level that is added


@dataclasses.dataclass(frozen=True)
class FilterBlend:
  """A linear filter and its weight.

  Attributes:
    filter: the filter.
    weight: w.
  """

  filter: arx.Arx
  weight: float

  def __str__(self) -> str:
    return f"blended with {100 * self.weight:.0f} % of the target's own transfer function" if self.weight else ""

  def mix(self, network_bt: np.ndarray, x_bt: np.ndarray) -> np.ndarray:
    """Returns ŷ, (window, time) [mmHg].

    Args:
      network_bt: (window, time) waves of the network [mmHg].
      x_bt: (window, time) peripheral waves [mmHg].
    """
    if self.weight == 0:
      return network_bt
    return ((1 - self.weight) * network_bt + self.weight * self.filter.predict(x_bt)).astype(np.float32)

  @property
  def header(self) -> dict[str, Any]:
    """Returns what a checkpoint stores."""
    own = dataclasses.asdict(self.filter)
    return {"weight": self.weight, **{name: np.asarray(value).tolist() for name, value in own.items()}}

  @classmethod
  def restored(cls, header: Mapping[str, Any]) -> "FilterBlend":
    """Returns the blend from `header` of a checkpoint, whose fields were checked.

    Raises:
      InputError: the filter is unstable, or its gain is that of no artery.
    """
    a, b = (np.asarray(header[name], dtype=float) for name in ("a", "b"))
    model = arx.Arx(a, b, float(header["c"]), header["lead"], float(header["fs_hz"]))
    poles = 1 - a.sum()
    # a constant input x becomes gain · x + level
    gain, level = (value / poles if poles else np.inf for value in (b.sum(), model.c))
    if not model.stable or not abs(gain) <= LARGEST_GAIN or not abs(level) <= _LARGEST_MMHG:
      problem = f"is unstable or amplifies: constant gain {gain:.3g} and level {level:.3g} mmHg"
      raise InputError(
        f"blend: the filter {problem}, must be stable within ±{LARGEST_GAIN:g} and ±{_LARGEST_MMHG:g} mmHg"
      )
    return cls(model, float(header["weight"]))


def fit_filter(labelled: batches.Pairs, spec: config.Windows) -> arx.Arx:
  """Fits the transfer function of some labelled subjects.

  Its order and its lead are those whose run from its own output has the least error on the same windows: the fit
  minimises the error of the next sample only, and has at most 22 parameters for thousands of samples.

  Args:
    labelled: windows of the subjects.
    spec: of the windows.

  Raises:
    UnfitError: every order is unstable.
  """
  return arx.fit(labelled, labelled, spec)


def best_weight(network_error: np.ndarray, filter_error: np.ndarray) -> float:
  """Returns w.

  Args:
    network_error: errors of the network on windows that neither was fitted on.
    filter_error: those of the filter, of the same shape.
  """
  difference = (network_error - filter_error).astype(np.float64)
  square = float(np.square(difference).sum())
  return float(np.clip((network_error * difference).sum() / square, 0, 1)) if square > 0 else 0.0
