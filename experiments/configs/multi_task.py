"""Multi-task learning: blood pressure on the large set and the aortic wave on the small one, both from finger PPG.

One extractor, two heads: SBP, DBP and MAP at the arm of 4,000 source subjects, the wave of few target subjects, who are elderly
and hypertensive. The extractor and the head for blood pressure start from the source network.

Command: python -m experiments.transfer --config=experiments/configs/multi_task.py --n_target=20 --workdir=runs/multi_task
Expected: waveform RMSE 7.65 mmHg with 20 labels on 200 test subjects, one draw; the same network from scratch 10.08 (in silico).
Time: 1.4 minutes on 2 cores.

Five draws with 5, 20 and 80 labels, by experiments.study: docs/experiments.md.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns a study of L_total = L_bp + λ·L_wave from finger PPG, λ = 1, that starts from the source network."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="reference",
      task="bp",
      scenario="population",
      site="digital_ppg",
      n_target=(5, 20, 80),
      seeds=(0, 1, 2, 3, 4),
      strategies=("multi_task", "scratch"),
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
        "multi_task": {"optimizer": "muon", "learning_rate": 1e-2, "weight_decay": 0.1},
        "scratch": {"optimizer": "muon", "learning_rate": 1e-2, "weight_decay": 0.1},
      },
    )
  )
