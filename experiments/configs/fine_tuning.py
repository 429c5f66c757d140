"""Fine-tuning: a network that predicts blood pressure (SBP, DBP, MAP) on a large set learns to reconstruct the aortic wave.

The head of the source predicts three numbers, so the head for the wave is new; extractor and head are trained.

Command: python -m experiments.transfer --config=experiments/configs/fine_tuning.py --workdir=runs/fine_tuning
Expected: waveform RMSE 1.88 mmHg on 60 test subjects; the same network from scratch 1.97 (in silico).
Time: about 1 minute on 2 cores.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns a study of blood pressure at the arm from the radial wave, and a target of five labelled subjects."""
  return study_flags.to_config_dict(
    study_config.Study(
      task="bp",
      strategies=("fine_tuning/all",),
      n_target=(5,),
      pretrain=config.Training(steps=2000, learning_rate=1e-2),
      custom={"fine_tuning/all": {"init_from_source": ("f",), "learning_rate": 1e-2}},
    )
  )
