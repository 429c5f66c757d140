"""A combination as a value: parameter transfer, partial freezing, MMD and multi-task learning in one config.

Command: python -m experiments.transfer --config=experiments/configs/combination.py --workdir=runs/combination
Expected: waveform RMSE 1.64 mmHg on 60 test subjects; the same network from scratch 1.97, the source unchanged 2.55 (in silico).
Time: 1.9 minutes on 2 cores.
"""

from ml_collections import ConfigDict

from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns a study that spells out the combination of `strategies/combination.py`."""
  combination = {
    "init_from_source": ("f", "s=r"),
    "stages": ((("f/embed", "f/layer_0"),),),
    "loss": (("target", 1.0), ("source_task", 0.3), ("mmd", 0.1, "ramp")),
  }
  study = study_config.Study(strategies=("combination",), n_target=(5,), custom={"combination": combination})
  return study_flags.to_config_dict(study)
