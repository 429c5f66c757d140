"""Every default of `study_config.Study`: what a command begins with where no other config is named.

Command: python -m experiments.study --workdir=runs/study
Expected: its own table, in silico; what the same strategies reach over draws and clinics is in docs/comparison.md.
Time: about 5 minutes on 2 cores, a minute of it compiling.
"""

from ml_collections import ConfigDict

from cap_jax.cli import launcher
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """The defaults."""
  return launcher.to_config_dict(study_config.Study())
