"""A source network that reads its circumstances: radial to aortic pressure in simulated clinics.

Command: python -m experiments.pretrain --config=experiments/configs/context.py --workdir=runs/context
Expected: the figures of docs/experiments.md, "Context".
Time: 14 minutes on 2 cores, 9 of them training; 4.2 GB.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns the study: the network learns from clinics with lines, its intervals and its detector from the same with errors of
  zero and gain."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="clinics",
      uncertainty_source="clinics_in_error",
      source_subjects=16000,
      validation_subjects=200,
      model=config.Model(extractor="context_cnn", channels=72, head_channels=72),
      pretrain=config.Training(steps=24000, learning_rate=1e-2, optimizer="muon", loss="rmse"),
    )
  )
