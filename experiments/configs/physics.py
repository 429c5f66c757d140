"""Another physics: a network trained on the linear cohort only, on the subjects of a nonlinear solver.

Command: python -m experiments.prepare --format=nonlinear --path=dev --out_of_distribution=reported:1:1 --split=training:0.75,validation:0.25 --output=runs/nonlinear
         python -m experiments.study --config=experiments/configs/physics.py --config.target_data=runs/nonlinear --workdir=runs/physics
Expected: in silico 0.79 mmHg of the source network, 0.59 with 5 labels (rehearsal), 0.48 with 20 (fine-tuning); docs/results.md. The test
subjects are the 64 with an odd number; all settings were selected on the others.
Time: about 15 minutes on 2 cores with --executor=processes:2.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns the study; its source `wide` has other arteries than the linear cohort of the package, and noise."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="wide",
      test_part="out_of_distribution",
      n_target=(0, 5, 20),
      seeds=(0, 1, 2, 3, 4),
      source_subjects=8000,
      labelled_subjects=48,
      baselines=("peripheral", "gtf_source", "gtf_target", "source"),
      strategies=("scratch", "fine_tuning", "multi_task/rehearsal"),
      pretrain=config.Training(steps=12000, learning_rate=1e-2, optimizer="muon"),
      custom={"scratch": {"optimizer": "muon", "learning_rate": 1e-2, "weight_decay": 1e-2}},
    )
  )
