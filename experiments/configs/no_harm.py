"""Do no harm: `auto` beside its candidates and the target's own filters with few labels, and the packaged network without labels.

Command: python -m experiments.study --config=experiments/configs/no_harm.py --config.cohort_seed=1 --config.seeds=1, --workdir=runs/no_harm_1
         and so for the replications 2 to 5;
         python -m experiments.study --config=experiments/configs/no_harm.py --config.n_target=0, \
           --config.scenarios=population,device,device_population,subject_device,site,cuff,clinic,exact --workdir=runs/no_labels
         The same with --config.target_data=runs/nonlinear --config.test_part=out_of_distribution --config.scenarios=, or with
         --config.target_data=runs/rig --config.leave_out=state.
Expected: the tables of docs/experiments.md, "Do no harm".
Time: 4 minutes a replication, 3 without labels and 4 for the solver, on 2 cores.
"""

from ml_collections import ConfigDict

from cap_jax.cli import study_flags
from cap_jax.study import study_config
from cap_jax.train import strategy_selection


def get_config() -> ConfigDict:
  """Returns the study; the clinics of the headline, and the budget of the rig's study."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="wide",
      source_network="radial",
      scenarios=("population", "device_population", "site", "subject_device"),
      n_target=(1, 5),
      seeds=(0,),
      steps=300,
      batch=16,
      baselines=("peripheral", "gtf_source", "source", "gtf_target", "gtf_arx_target"),
      strategies=(*strategy_selection.CANDIDATES, strategy_selection.FREE, strategy_selection.NAME),
    )
  )
