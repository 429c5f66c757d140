"""Multi-task learning: blood pressure on the large set and the aortic wave on the small one, trained together from the start.

One extractor, two heads: SBP, DBP and MAP at the arm of 1,200 source subjects, the wave of five target subjects.

Command: python -m experiments.transfer --config=experiments/configs/multi_task.py --workdir=runs/multi_task
Expected: waveform RMSE 1.95 mmHg on 60 test subjects; the same network from scratch 1.97 (in silico): almost no gain.
Time: about 1 minute on 2 cores.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns a study of L_total = L_bp + λ·L_wave over fresh parameters, λ = 1."""
  return study_flags.to_config_dict(
    study_config.Study(
      task="bp",
      strategies=("multi_task/fresh",),
      n_target=(5,),
      pretrain=config.Training(steps=50),  # nothing is transferred from the source network, so it need not be good
    )
  )
