"""Whether a network has collapsed to the mean: it gives everyone the same wave, which a loss alone does not tell from slow learning."""

from collections.abc import Mapping

import numpy as np

from cap_jax.models.net import Net
from cap_jax.train import prediction
from cap_jax.types import Params

_FLAT = 0.05  # of the spread of the references: a network that gives everyone nearly the same wave has learnt none
_LOOKED_AT = 256  # windows


def warning(net: Net, params: Params, part: Mapping[str, np.ndarray]) -> str:
  """A warning where a network gives one wave whatever it reads, "" where it does not.

  Args:
    part: scaled windows "x", "c" and their references "y".
  """
  rows = np.random.default_rng(0).permutation(len(part["x"]))[:_LOOKED_AT]
  made_bt, y_bt = prediction.apply(net, params, part["x"][rows], part["c"][rows]), part["y"][rows]
  share = float(np.sqrt(made_bt.var(0).mean() / max(y_bt.var(0).mean(), 1e-12)))
  if share >= _FLAT:
    return ""
  return (
    f"collapsed: its waves differ {100 * share:.1f} % as much as the references, so it gives everyone about the mean; lower the learning "
    "rate, train longer, or look at the data"
  )
