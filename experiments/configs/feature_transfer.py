"""Feature transfer: a CNN trained on a large pulse-wave set extracts the features for a new, different head.

The source is a convolutional network trained on the waves of 1,200 healthy subjects. Its extractor is frozen.
The head of the target clinic is a new one (wider, in fewer cosines), trained on five subjects.

Command: python -m experiments.transfer --config=experiments/configs/feature_transfer.py --workdir=runs/feature_transfer
Expected: waveform RMSE 1.98 mmHg on 60 test subjects; the same network from scratch 2.82, the source's own head 3.57 (in silico).
Its 600 steps take a second, because the features are computed once.
Time: 1.4 minutes on 2 cores.
"""

import dataclasses

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config

CNN = config.Model(extractor="cnn", layers=4)


def get_config() -> ConfigDict:
  """Returns a study of a CNN from radial to aortic waves, and a target of five labelled subjects with its own head."""
  return study_flags.to_config_dict(
    study_config.Study(
      strategies=("feature_transfer",),
      n_target=(5,),
      model=CNN,
      target_model=dataclasses.replace(CNN, head_channels=96, cosines=6),
      pretrain=config.Training(steps=2000, learning_rate=1e-2),
    )
  )
