"""Parameter transfer: the LSTM layers of a health-monitoring network in a different network for the aortic wave.

From finger PPG, age and heart rate the source network predicts SBP, DBP, MAP, heart rate, stroke volume and pulse wave
velocity of 4,000 subjects. It has one LSTM in each direction. The target network has convolutions before the LSTM and
attention after it. Its LSTM and what feeds it (`f/embed`, `f/level`) come from the source and are frozen. The
target subjects are elderly and hypertensive.

Command: python -m experiments.transfer --config=experiments/configs/parameter_transfer.py --n_target=20 --workdir=runs/parameter_transfer
Expected: waveform RMSE 8.32 mmHg with 20 labels on 200 test subjects, one draw; the same network from scratch 10.50 (in silico).
Time: 1.0 minutes on 2 cores.

Five draws with 5, 20 and 80 labels, by experiments.study: docs/experiments.md.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config

COVARIATES = ("age", "hr_bpm")
TRANSFERRED = ("f/embed", "f/level", "f/lstm_0")


def get_config() -> ConfigDict:
  """Returns a study of a monitoring source, and a CNN-BiLSTM with attention for few labelled target subjects."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="reference",
      task="monitoring",
      scenario="population",
      site="digital_ppg",
      n_target=(5, 20, 80),
      seeds=(0, 1, 2, 3, 4),
      strategies=("parameter_transfer", "scratch"),
      baselines=("mean_wave_target",),
      source_subjects=4000,
      source_seconds=6.0,
      labelled_subjects=100,
      unlabelled_subjects=20,
      validation_subjects=40,
      test_subjects=200,
      model=config.Model(extractor="lstm", layers=1, covariates=COVARIATES),
      target_model=config.Model(extractor="cnn_bilstm", layers=1, covariates=COVARIATES),
      pretrain=config.Training(steps=2500, learning_rate=1e-2, weight_decay=1e-2, optimizer="muon"),
      steps=300,
      batch=16,
      rate_factors=(0.5, 1.0),
      step_factors=(0.5, 1.0, 2.0),
      custom={
        "parameter_transfer": {
          "init_from_source": TRANSFERRED,
          "stages": ((TRANSFERRED,),),
          "optimizer": "muon",
          "learning_rate": 2e-2,
          "weight_decay": 0.1,
        },
        "scratch": {"optimizer": "muon", "learning_rate": 1e-2, "weight_decay": 0.1},
      },
    )
  )
