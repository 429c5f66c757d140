"""The packaged source network: radial to aortic pressure, trained on a wide range of arterial parameters.

Command: python -m experiments.pretrain --config=experiments/configs/pretrained.py --workdir=runs/pretrained
Expected: the figures in cap_jax/pretrained/README.md.
Time: 12 minutes of training on 2 cores under other load, 5 minutes on idle cores.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns the study; `wide` varies the arteries and their operating points, adds noise and keeps all subjects."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="wide",
      source_subjects=8000,
      validation_subjects=200,
      pretrain=config.Training(steps=12000, learning_rate=1e-2, optimizer="muon"),
    )
  )
