"""Measured waves of a mock circulatory loop: one state left out at a time, 0 to 20 labelled records of the other states, in vitro.

Command: python -m experiments.prepare --format=mcl --path=FOLDER --split=training:0.7,validation:0.3 --output=runs/rig
         python -m experiments.study --config=experiments/configs/rig.py --workdir=runs/rig_study
         FOLDER contains COres, COrt and SVVres, from github.com/dbp-osel/MCLGenerated.CO.Database (CC0 1.0).
Expected: with the two states that were at hand, `auto` 1.32 and 1.16 mmHg with 1 label, 1.23 and 0.55 with 5, 1.17 and 0.48 with 20, in vitro;
FIR 1.35 and 0.80, 1.28 and 0.69, 1.18 and 0.60; more methods in docs/results.md.
Time: 18 minutes on 2 cores under other load.
"""

from ml_collections import ConfigDict

from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns the study; no strategy sees a wave of the state that is left out, labelled or not."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="wide",
      source_network="radial",
      target_data="runs/rig",
      leave_out="state",
      n_target=(0, 1, 5, 20),
      seeds=(0, 1, 2, 3, 4),
      steps=300,
      batch=16,
      baselines=(
        "peripheral",
        "gtf_source",
        "gtf_arx_source",
        "adaptive_tf_source",
        "source",
        "gtf_target",
        "gtf_arx_target",
        "tcn_target",
      ),
      strategies=(
        "scratch",
        "feature_transfer",
        "fine_tuning/lp_ft",
        "parameter_transfer",
        "multi_task/fresh",
        "multi_task/transducer",
        "domain_adaptation/transducer",
        "auto",
      ),
    )
  )
