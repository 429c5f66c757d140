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
  """Returns the study; `bedside` has healthy people, patients and fluid-filled lines, and keeps all subjects."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="bedside",
      source_subjects=16000,
      validation_subjects=200,
      model=config.Model(channels=72, head_channels=72),
      pretrain=config.Training(steps=30000, learning_rate=1e-2, optimizer="muon", loss="rmse"),
    )
  )
