"""What a network answers where its input is unlike its training: less and less its own wave, and more and more that of a
conservative linear filter,

    ŷ(t) = (1 − w) ŷ_net(t) + w ŷ_f(t),     w = 1 − exp(−(max(s − s_0, 0) / s_1)²)

s is the logit of the network's detector, s_0 its threshold (`inference.uncertainty`), beyond which few windows of the
training's kind lie, and those not far.

Without knowledge of the artery and of the device, two answers are at hand: the peripheral wave itself, which has the mean of
the aortic one, and the transfer function G of the source. ŷ_f lies half-way between them: its filter is √G, half the
gain in dB and half the delay. How far the two are apart says how large its error may be,

    d² = mean_t ((x − G∗x)/2)²,     half-width = (1 − w) q σ(t) + w q_f d

An error of the blend is at most the same mixture of the errors of both, so the half-widths mix likewise. q_f is conformal over
simulated worlds, each with a tubing of its own between aorta and sensor (`data.outliers`): in nine of ten worlds, nine
tenths of the wave lie within q_f d.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from cap_jax.baselines import transfer_function

_SCALE = 3.0  # s_1: clean windows beyond the threshold are 1 to 4 logits away, those behind a tubing 5 to 10


@dataclasses.dataclass(frozen=True)
class Fallback:
  """The conservative answer, and how far it can be trusted.

  Attributes:
    source: G, the transfer function of the source.
    wave, csbp: q_f of the wave at one instant, and of the systolic pressure of a beat.
  """

  source: transfer_function.TransferFunction
  wave: float = 1.0
  csbp: float = 1.0

  def answer(self, x_bt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns ŷ_f (window, time) [mmHg], and d (window,) [mmHg].

    Args:
      x_bt: (window, time) peripheral waves [mmHg].
    """
    half = len(self.source.taps) // 2
    inner = slice(half, x_bt.shape[1] - half)
    apart_bt = 0.5 * (x_bt - self.source.predict(x_bt))[:, inner]
    y_bt = transfer_function.half_way(self.source).predict(x_bt)
    return y_bt, np.sqrt(np.square(apart_bt).mean(1, dtype=np.float64))

  @property
  def header(self) -> dict[str, Any]:
    """Returns what a checkpoint stores."""
    return {"taps": self.source.taps.tolist(), "bias": self.source.bias, "wave": self.wave, "csbp": self.csbp}

  @classmethod
  def restored(cls, header: Mapping[str, Any]) -> "Fallback":
    """Returns the fallback from `header` of a checkpoint.

    Raises:
      ValueError: a value is not finite, or there is no tap in the middle.
    """
    taps, bias = np.asarray(header["taps"], dtype=float), float(header["bias"])
    wave, csbp = float(header["wave"]), float(header["csbp"])
    if taps.ndim != 1 or len(taps) % 2 == 0 or not np.isfinite([*taps, bias, wave, csbp]).all() or min(wave, csbp) < 0:
      raise ValueError("fallback")
    return cls(transfer_function.TransferFunction(taps, bias), wave, csbp)


def weight(ood_b: np.ndarray, threshold: float) -> np.ndarray:
  """Returns w, (window,): 0 up to the threshold, and without a detector.

  Args:
    ood_b: (window,) s; NaN without a detector.
    threshold: s_0.
  """
  beyond_b = np.where(np.isnan(ood_b), 0.0, np.maximum(ood_b - threshold, 0))
  return -np.expm1(-np.square(beyond_b / _SCALE))
