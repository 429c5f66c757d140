"""Flags of what the reference of real records is, for the validation standards."""

from absl import flags

from cap_jax.metrics import standards

_INVASIVE = flags.DEFINE_bool("invasive", False, "real records: the reference was measured by a catheter in the aorta")
_MALE = flags.DEFINE_float("male_share", None, "real records: of the subjects", lower_bound=0, upper_bound=1)


def reference(real: bool, calibration: str) -> standards.Reference:
  """What the flags say of real subjects, whose peripheral waves are calibrated so; virtual ones are virtual whatever they say."""
  male = float("nan") if _MALE.value is None else _MALE.value
  return standards.Reference(real, real and _INVASIVE.value, male, calibration)
