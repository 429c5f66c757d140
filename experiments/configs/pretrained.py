"""The networks of the package: one for each peripheral site, which read the context of a clinic.

Command: python -m experiments.pretrain --config=experiments/configs/pretrained.py:NETWORK --workdir=runs/NETWORK
         with NETWORK radial, brachial, femoral, finger, finger_ppg or carotid
Expected: the figures of cap_jax/pretrained/NETWORK/README.md.
Time: 17 minutes each on 2 cores, 11 of them training; 5 GB.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config

SITES = {
  "radial": "radial", "brachial": "brachial", "femoral": "femoral", "carotid": "carotid", "finger": "digital", "finger_ppg": "digital_ppg"
}  # fmt: skip


def get_config(network: str = "radial") -> ConfigDict:
  """Returns the study: the network learns from clinics with lines, its intervals and its detector from the same with errors of
  zero and gain. A PPG comes through an oximeter; its pressure level is that of a cuff at the arm.

  Args:
    network: name of the network.
  """
  optical = network == "finger_ppg"
  covariates = ("cuff_sbp_mmhg", "cuff_dbp_mmhg") if optical else ()
  return study_flags.to_config_dict(
    study_config.Study(
      source="oximeters" if optical else "clinics",
      uncertainty_source="" if optical else "clinics_in_error",
      site=SITES[network],
      source_subjects=16000,
      validation_subjects=200,
      model=config.Model(extractor="context_cnn", channels=72, head_channels=72, covariates=covariates),
      pretrain=config.Training(steps=36000, learning_rate=1e-2, optimizer="muon", loss="rmse"),
    )
  )
