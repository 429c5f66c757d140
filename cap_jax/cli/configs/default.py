"""The defaults of `study_config.Study`, which a command uses unless another config is named.

Command: python -m experiments.study --workdir=runs/study
Expected: its own table, in silico; results over draws and clinics are in docs/comparison.md.
Time: about 5 minutes on 2 cores, a minute of it compiling.
"""

from ml_collections import ConfigDict

from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns the defaults."""
  return study_flags.to_config_dict(study_config.Study())
