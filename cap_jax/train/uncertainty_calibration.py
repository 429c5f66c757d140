"""The calibrated uncertainty of a network, stored beside its parameters: where errors are large, how large they are,
and which windows are like those of its training.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, cast

import jax

from cap_jax.models import detector as detectors
from cap_jax.models.net import Net
from cap_jax.train.fallback import Fallback
from cap_jax.types import Params

OF_SOURCE, OF_TARGET = "validation subjects of the source", "validation subjects of the target"
_LEVELS = ("ood_threshold", "level", "wave", "csbp")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UncertaintyCalibration:
  """Split-conformal intervals for the waves of a network, and a threshold for windows out of distribution.

  Attributes:
    head: θ_v, whose σ says where in a beat errors are large; None for the same σ everywhere.
    detector: θ_o of a detector of windows out of distribution (`models.detector`); None for a network without one.
    hr_bpm: lowest and highest heart rate of training windows; None if it was not recorded (checkpoints before
      format 4).
    ood_threshold: logit of the detector beyond which a window is out of distribution.
    level: level of the intervals, such as 0.9.
    wave, csbp: factors on σ for the wave at one instant and for the systolic pressure of a beat; infinite if there were
      too few subjects.
    subjects: number of calibration subjects.
    where: who the calibration subjects were.
    fallback: what it answers where the input is unlike its training; None for the network's own wave everywhere.
  """

  head: Params | None
  detector: Params | None
  hr_bpm: tuple[float, float] | None
  ood_threshold: float
  level: float
  wave: float
  csbp: float
  subjects: int
  where: str
  fallback: Fallback | None = None

  @property
  def fallback_sigma(self) -> float:
    """Returns the factor that makes d of the fallback a σ, for which both intervals are wide enough."""
    if self.fallback is None:
      return 0.0
    if not math.isfinite(self.wave):
      return 1.0  # the intervals are infinite, whatever σ
    return max(self.fallback.wave / self.wave, self.fallback.csbp / self.csbp)

  @property
  def outside(self) -> str:
    """Returns what holds for windows out of distribution."""
    if self.fallback is None:
      return "the wave is not reliable there" if self.lacking else "the intervals are not valid there"
    if self.lacking:
      return "the wave there leans on a conservative filter"
    return "the wave there leans on a conservative filter, whose wide intervals apply"

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
    parts = {"head": self.head, "detector": self.detector}
    return {name: part for name, part in parts.items() if part is not None}

  @property
  def header(self) -> dict[str, Any]:
    """Returns what a checkpoint stores in its header; None for infinite values."""
    levels = {name: getattr(self, name) for name in _LEVELS}
    finite = {name: value if math.isfinite(value) else None for name, value in levels.items()}
    facts = {"hr_bpm": self.hr_bpm, "subjects": self.subjects, "where": self.where}
    parts = {"head": self.head is not None, "detector": self.detector is not None}
    return {**finite, **facts, **parts, "fallback": None if self.fallback is None else self.fallback.header}

  @classmethod
  def restored(cls, header: Mapping[str, Any]) -> "UncertaintyCalibration":
    """Returns the calibration from `header` of a checkpoint, whose fields were checked, without `arrays`."""
    hr_bpm, fallback = header["hr_bpm"], header.get("fallback")
    return cls(
      head=None,
      detector=None,
      hr_bpm=None if hr_bpm is None else (float(hr_bpm[0]), float(hr_bpm[1])),
      subjects=header["subjects"],
      where=header["where"],
      fallback=None if fallback is None else Fallback.restored(fallback),
      **{name: math.inf if header[name] is None else float(header[name]) for name in _LEVELS},
    )


def expected_shapes(net: Net, samples: int, head: bool, detector: bool) -> Params:
  """Returns the shapes of `UncertaintyCalibration.arrays` for a network.

  Args:
    net: the network.
    samples: length of a window.
    head: whether the calibration has a head θ_v.
    detector: whether it has a detector θ_o.
  """

  def shapes() -> Params:
    key = jax.random.key(0)
    parts = {"head": net.init(key, samples)["r"]} if head else {}
    return parts | ({"detector": detectors.init(samples, key)} if detector else {})

  return cast(Params, jax.eval_shape(shapes))
