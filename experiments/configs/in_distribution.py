"""Reconstruction within the training distribution: unseen subjects of the source's own clinic, ages 25 to 80, measured exactly.

Command: python -m experiments.study --config=experiments/configs/in_distribution.py --workdir=runs/in_distribution
Expected: in silico 0.19 mmHg of the source network (95 %: 0.17 to 0.21; 0.18 to 0.19 with --config.pretrain.seed=1 to 4), 0.31 of the
CNN-BiLSTM, 0.38 of the TCN, 2.19 of the FIR transfer function.
Time: 40 minutes on 2 cores under other load, most of it for the two published networks; 6 to 8 minutes without them
(--config.baselines=peripheral,gtf_source,source).
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns the study; our TCN and CNN-BiLSTM are trained as long, on the same subjects."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="exact",
      scenario="exact",
      n_target=(0,),
      source_subjects=8000,
      labelled_subjects=1,
      unlabelled_subjects=2,
      test_subjects=200,
      baselines=("peripheral", "gtf_source", "tcn_source", "cnn_bilstm_source", "source"),
      strategies=(),
      pretrain=config.Training(steps=12000, learning_rate=1e-2, optimizer="muon"),
    )
  )
