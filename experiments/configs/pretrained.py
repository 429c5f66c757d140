"""The packaged source network: radial to aortic pressure, trained on a wide range of arterial parameters.

Command: python -m experiments.pretrain --config=experiments/configs/pretrained.py --workdir=runs/pretrained
Expected: the figures in cap_jax/pretrained/README.md.
Time: 6 minutes of training on 2 idle cores.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns the study: the network learns from healthy people and patients; its intervals and its detector learn from the same
  behind fluid-filled lines as well. All subjects are kept."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="patients",
      uncertainty_source="bedside",
      source_subjects=16000,
      validation_subjects=200,
      model=config.Model(channels=72, head_channels=72),
      pretrain=config.Training(steps=24000, learning_rate=1e-2, optimizer="muon", loss="rmse"),
    )
  )
