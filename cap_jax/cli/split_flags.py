"""Defines flags that divide the subjects of a store."""

from absl import flags

from cap_jax.data import subject_partition
from cap_jax.types import InputError

_SPLIT = flags.DEFINE_list(
  "split",
  None,
  "fraction of the subjects in each part, such as training:0.5,validation:0.3,test:0.2 (default: 20 % test, 15 % validation but 9 "
  "of 25 subjects or more, the others training)",
)
_REFERENCE = flags.DEFINE_string(
  "reference", "aortic_root", "reference signal; subjects without it can only be unlabelled"
)
_OUT = flags.DEFINE_string(
  "out_of_distribution", None, "subjects in this range form a separate part: COVARIATE:FROM:TO, such as age:60:80"
)
_SEED = flags.DEFINE_integer("seed", 0, "random seed of the split", lower_bound=0)


def partition_from_flags() -> subject_partition.Partition:
  """Returns how to divide the subjects, from the flags.

  Raises:
    InputError: a flag is no share or no range.
  """
  shares: dict[str, float] = {}
  for word in _SPLIT.value or ():
    name, _, share = word.partition(":")
    try:
      shares[name] = float(share)
    except ValueError as error:
      raise InputError(f"--split={word}: must be PART:SHARE, such as test:0.2") from error
  ood_range = None
  if _OUT.value is not None:
    try:
      covariate, *ends = _OUT.value.split(":")
      low, high = map(float, ends)
    except ValueError as error:
      raise InputError(f"--out_of_distribution={_OUT.value}: must be COVARIATE:FROM:TO, such as age:60:80") from error
    ood_range = subject_partition.Range(covariate, low, high)
  return subject_partition.Partition(
    shares if _SPLIT.value is not None else None, _REFERENCE.value, ood_range, _SEED.value
  )
