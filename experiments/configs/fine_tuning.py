"""Fine-tuning: a network that predicts blood pressure from finger PPG learns to reconstruct the aortic wave.

The source predicts SBP, DBP and MAP at the arm of 4,000 subjects from their finger PPG, age and heart rate. Its head predicts
three numbers, so the head for the wave is new. The head is trained first, then everything at a tenth of the rate. The target
subjects are elderly and hypertensive.

Command: python -m experiments.transfer --config=experiments/configs/fine_tuning.py --n_target=20 --workdir=runs/fine_tuning
Expected: waveform RMSE 7.44 mmHg with 20 labels on 200 test subjects, one draw; the same network from scratch 10.08 (in silico).
Time: 1.4 minutes on 2 cores.

Five draws with 5, 20 and 80 labels, by experiments.study: docs/experiments.md.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns a study of blood pressure at the arm from finger PPG, and of the aortic wave of few labelled subjects."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="reference",
      task="bp",
      scenario="population",
      site="digital_ppg",
      n_target=(5, 20, 80),
      seeds=(0, 1, 2, 3, 4),
      strategies=("fine_tuning/lp_ft", "scratch"),
      baselines=("mean_wave_target",),
      source_subjects=4000,
      source_seconds=6.0,
      labelled_subjects=100,
      unlabelled_subjects=20,
      validation_subjects=40,
      test_subjects=200,
      model=config.Model(covariates=("age", "hr_bpm")),
      pretrain=config.Training(steps=4000, learning_rate=1e-2, weight_decay=1e-2, optimizer="muon"),
      steps=300,
      batch=16,
      rate_factors=(0.5, 1.0),
      step_factors=(0.5, 1.0, 2.0),
      custom={
        "fine_tuning/lp_ft": {
          "init_from_source": ("f",),
          "stages": ((("f",), 0.5), ((), 0.5, 0.1)),
          "optimizer": "muon",
          "learning_rate": 2e-2,
          "weight_decay": 0.1,
        },
        "scratch": {"optimizer": "muon", "learning_rate": 1e-2, "weight_decay": 0.1},
      },
    )
  )
