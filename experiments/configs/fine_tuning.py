"""Fine-tuning: a network that predicts blood pressure (SBP, DBP, MAP) on a large set learns to reconstruct the aortic wave.

The source's head gives three numbers, so the head for the wave is new, and both are tuned.

Command: python -m experiments.transfer --config=experiments/configs/fine_tuning.py --workdir=runs/fine_tuning
Expected: waveform RMSE 1.88 mmHg on 60 test subjects; the same network from scratch 1.97 (in silico).
Time: about 1 minute on 2 cores.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import launcher
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Source: blood pressure at the arm from the radial wave; target: five labelled subjects."""
  return launcher.to_config_dict(
    study_config.Study(
      task="bp",
      strategies=("fine_tuning/all",),
      n_target=(5,),
      pretrain=config.Training(steps=2000, learning_rate=1e-2),
      custom={"fine_tuning/all": {"init_from_source": ("f",), "learning_rate": 1e-2}},
    )
  )
