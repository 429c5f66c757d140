"""All strategies against all baselines in four virtual clinics, three draws of the labelled subjects.

Command: python -m experiments.study --config=experiments/configs/paper.py --workdir=runs/paper
Expected: see the table in README.md.
Time: some hours on 2 cores; the command says how many before it starts.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.evaluation import methods
from experiments import common


def get_config() -> ConfigDict:
  """Three learning rates each, chosen on validation subjects; what uses no label has one."""
  return common.to_config_dict(
    config.Study(
      scenarios=("population", "device", "device_population", "subject_device"),
      n_target=(0, 1, 5, 20),
      seeds=(0, 1, 2),
      baselines=tuple(methods.BASELINES),
      strategies=(
        "scratch",
        "feature_transfer",
        "fine_tuning",
        "fine_tuning/lp_ft",
        "parameter_transfer",
        "multi_task",
        "combination",
        "domain_adaptation",
        "domain_adaptation/section",
        "domain_adaptation/mmd",
        "domain_adaptation/coral",
        "domain_adaptation/dann",
      ),
      rate_factors=(0.3, 1.0, 3.0),
    )
  )
