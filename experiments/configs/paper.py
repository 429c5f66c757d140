"""All strategies against all baselines in three virtual clinics, with three draws of the labelled subjects: another population; another
population with one transducer; another population with one transducer per subject.

Command: python -m experiments.study --config=experiments/configs/paper.py --workdir=runs/paper --executor=processes:2
Expected: the table in docs/comparison.md, of the first two draws (--config.seeds=0,1, about 2 hours on 2 cores).
Time: about 2.5 hours; the command prints an estimate before it starts.
"""

from ml_collections import ConfigDict

from cap_jax.cli import study_flags
from cap_jax.study import methods, study_config


def get_config() -> ConfigDict:
  """Returns the study: three learning rates each, selected on validation subjects; one where labels are not used."""
  return study_flags.to_config_dict(
    study_config.Study(
      scenarios=("population", "device_population", "subject_device"),
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
