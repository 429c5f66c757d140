"""Detects a network that has collapsed to the mean: it returns the same wave for everyone. The loss alone does not
distinguish this from slow learning.
"""

from collections.abc import Mapping

import numpy as np

from cap_jax.models.net import Net
from cap_jax.train import prediction
from cap_jax.types import Params

_FLAT = 0.05  # of the spread of the references; below it all waves are nearly the same
_MOST_WINDOWS = 256


def warning(net: Net, params: Params, part: Mapping[str, np.ndarray]) -> str:
  """Returns a warning if a network outputs one wave whatever it reads, otherwise "".

  Args:
    net: the network.
    params: its parameters.
    part: scaled windows "x", "c" and their references "y".
  """
  if len(part["x"]) < 2:  # waves of one window cannot vary
    return ""
  rows = np.random.default_rng(0).permutation(len(part["x"]))[:_MOST_WINDOWS]
  predicted_bt, y_bt = prediction.apply(net, params, part["x"][rows], part["c"][rows]), part["y"][rows]
  share = float(np.sqrt(predicted_bt.var(0).mean() / max(y_bt.var(0).mean(), 1e-12)))
  if share >= _FLAT:
    return ""
  return (
    f"collapsed network: its waves vary only {100 * share:.1f} % as much as the references, so it predicts about the mean for all; lower the learning "
    "rate, train longer, or check the data"
  )
