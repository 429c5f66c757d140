"""Defines flags that describe the reference of real records, for the validation standards."""

from absl import flags

from cap_jax.metrics import standards

_INVASIVE = flags.DEFINE_bool("invasive", False, "real records: an aortic catheter measured the reference")
_MALE = flags.DEFINE_float(
  "male_share", None, "real records: fraction of men among the subjects", lower_bound=0, upper_bound=1
)


def reference(real: bool, calibration: str) -> standards.Reference:
  """Returns the reference from the flags.

  Args:
    real: whether the subjects are real; the flags do not apply to virtual ones.
    calibration: kind of calibration of the peripheral waves.

  Returns:
    The reference.
  """
  male = float("nan") if _MALE.value is None else _MALE.value
  return standards.Reference(real, real and _INVASIVE.value, male, calibration)
