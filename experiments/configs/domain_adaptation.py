"""Domain adaptation: a network of intensive-care waves is adapted adversarially to a small clinic without labels.

The source: 1,200 virtual patients of an intensive care unit behind catheters that differ, with age, heart rate and cuff pressures as
covariates. The target: 100 unlabelled subjects, elderly and hypertensive, behind one under-damped transducer. Source windows are
weighted to the pressures of the target, so that the adversary cannot distinguish the domains by pressure.

Command: python -m experiments.transfer --config=experiments/configs/domain_adaptation.py --workdir=runs/domain_adaptation
Expected: waveform RMSE 1.66 mmHg on 60 test subjects; the source network unchanged 1.98, and 2.04 after as many more steps on
the weighted source alone (`--loss=source:1`), so the gain comes from the adversary (in silico).
Time: 1.3 minutes on 2 cores.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns a study of an intensive care source with covariates and a target without labels, adapted by DANN."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="icu",
      strategies=("domain_adaptation/dann",),
      n_target=(0,),
      model=config.Model(covariates=("age", "hr_bpm", "cuff_sbp_mmhg", "cuff_dbp_mmhg")),
      pretrain=config.Training(steps=2000, learning_rate=1e-2),
      custom={"domain_adaptation/dann": {"reweigh": True}},
    )
  )
