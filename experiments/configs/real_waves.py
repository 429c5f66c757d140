"""Feature transfer from networks that real pulse waves have trained, beside the packaged network, random features and no transfer.

Command: python -m experiments.study --config=experiments/configs/real_waves.py --workdir=runs/real_waves_own
         python -m experiments.import_weights --from=pyvital:hpi --output=runs/hpi
         python -m experiments.study --config=experiments/configs/real_waves.py --source=runs/hpi --config.strategies=feature_transfer,feature_transfer/random --workdir=runs/real_waves_hpi
         In vitro, add --config.leave_out=state and --config.target_data=STORE, prepared with --format=mcl as for rig.py, for
         imported networks at 100 Hz: --fs_hz=100.
Expected: feature transfer with 5 labels in silico: the packaged network 1.57 mmHg, HPI 2.37, APCONet 4.60, random features of HPI's
architecture 2.05; in vitro (normovolemic; shock) 1.39; 0.76, 2.66; 1.09, 2.88; 2.02 and 1.88; 0.77. FIR 1.66 in silico, 1.27; 0.68 in vitro.
All figures are in docs/experiments.md, "A source that was trained on real pulse waves".
Time: 3 minutes in silico and 5 in vitro for the packaged network, on one core beside other work; twice that for APCONet.
"""

from ml_collections import ConfigDict

from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns the study; no method reads the source's windows, so there are few."""
  return study_flags.to_config_dict(
    study_config.Study(
      source_network="radial",
      n_target=(1, 5, 20),
      seeds=(0, 1, 2, 3, 4),
      steps=300,
      batch=16,
      strategies=("scratch", "feature_transfer", "feature_transfer/random"),
      baselines=("peripheral", "gtf_target"),
      rate_factors=(0.3, 1.0, 3.0),
      source_subjects=50,
      unlabelled_subjects=20,
    )
  )
