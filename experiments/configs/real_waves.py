"""Feature transfer from networks that real pulse waves have trained, beside the packaged network, random features and no transfer.

Command: python -m experiments.study --config=experiments/configs/real_waves.py --workdir=runs/real_waves_own
         python -m experiments.study --config=experiments/configs/real_waves.py --source=runs/hpi --workdir=runs/real_waves_hpi
Expected: see docs/experiments.md, "A source that was trained on real pulse waves".
Time: see there.
"""

from ml_collections import ConfigDict

from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns the study; no method reads the source's windows, so there are few."""
  return study_flags.to_config_dict(
    study_config.Study(
      source_network="pretrained",
      n_target=(1, 5, 20),
      seeds=(0, 1, 2, 3, 4),
      strategies=("scratch", "feature_transfer", "feature_transfer/random"),
      baselines=("peripheral", "gtf_target"),
      rate_factors=(0.3, 1.0, 3.0),
      source_subjects=50,
      unlabelled_subjects=20,
    )
  )
