"""Defines flags that describe the reference of records of people, for the validation standards."""

import math

from absl import flags

from cap_jax.data import datasets
from cap_jax.metrics import standards

_INVASIVE = flags.DEFINE_bool("invasive", False, "records of people: an aortic catheter measured the reference")
_MALE = flags.DEFINE_float(
  "male_share", None, "records of people: fraction of men among the subjects", lower_bound=0, upper_bound=1
)
flags.register_validator(
  "male_share", lambda share: share is None or not math.isnan(share), message="must be a number from 0 to 1"
)


def reference(place: str, calibration: str) -> standards.Reference:
  """Returns the reference from the flags.

  Args:
    place: where the subjects come from, one of `datasets.PLACES`; the flags apply to records of people only.
    calibration: kind of calibration of the peripheral waves.

  Returns:
    The reference.
  """
  male = float("nan") if _MALE.value is None else _MALE.value
  return standards.Reference(place, place in datasets.PEOPLE and _INVASIVE.value, male, calibration)
