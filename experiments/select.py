"""Chooses a strategy's learning rate and weight decay on the target's validation subjects, never on its test subjects.

  python -m experiments.select --strategy=scratch --n_target=5

The rates and decays in `transfer/` were chosen so, most on the grid below, fine-tuning and domain adaptation from 1e-4 to 1e-1. A
strategy without target labels is chosen here by labelled validation subjects too: 16 of them, whose labels it has thus seen once.
"""

import dataclasses
import itertools
from typing import Any

import numpy as np
from absl import flags

from cap_jax import config
from cap_jax.evaluation import study_data, study_limits
from cap_jax.inference import pretrained
from cap_jax.losses import tasks
from cap_jax.train import checkpoint, checks, runs
from cap_jax.transfer import STRATEGIES, find
from cap_jax.types import InputError
from experiments import common

_CONFIG = common.define_study("the study")
_STRATEGY = flags.DEFINE_enum("strategy", "feature_transfer", list(STRATEGIES), "what to tune")
_SOURCE = flags.DEFINE_string("source", None, "checkpoint of the source, or pretrained; trained afresh if left out")
_N_TARGET = flags.DEFINE_integer("n_target", 5, "labelled target subjects")
_RATES = flags.DEFINE_list("rates", ["2e-3", "5e-3", "1e-2", "2e-2"], "learning rates")
_DECAYS = flags.DEFINE_list("decays", ["0", "1e-2", "1e-1"], "weight decays")


def _numbers(holder: flags.FlagHolder) -> list[float]:
  try:
    return [float(word) for word in holder.value]
  except ValueError:
    raise InputError(f"--{holder.name}={','.join(holder.value)}: each must be a number") from None


def _trials(study: config.Study) -> list[dict[str, Any]]:
  """The fields of the strategy at each point of the grid."""
  name = _STRATEGY.value
  grid = itertools.product(_numbers(_RATES), _numbers(_DECAYS))
  trials = [{**study.custom.get(name, {}), "learning_rate": rate, "weight_decay": decay} for rate, decay in grid]
  for trial in trials:
    study_limits.check(dataclasses.replace(study, custom={name: trial}))
  return trials


def main() -> None:
  name = _STRATEGY.value
  study = common.read_study(_CONFIG)
  n_target = _N_TARGET.value if find(name, study.custom.get(name)).needs_labels else 0
  if n_target == 0 and find(name, study.custom.get(name)).needs_labels:
    raise InputError(f"--n_target=0: {name} learns from labelled target subjects; give 1 or more")
  study = dataclasses.replace(study, n_target=(n_target,), strategies=(name,))
  source = checkpoint.load(pretrained.place(_SOURCE.value)) if _SOURCE.value else None
  if source:
    study = common.follow(study, source)
  trials = _trials(study)
  checks.check(study, name, source.model if source else tasks.TASKS[study.task].model(study.model), study.task)
  large, target = study_data.load_source(study), study_data.load_target(study)
  if source is None:
    source, _ = runs.pretrain(study, large.training, large.validation, large.origin)
  site = study_data.target_site(study)
  print(
    f"{name}, {n_target} labelled subjects, seeds {study.seeds}: RMSE [mmHg] of validation subjects, {study.steps} steps"
  )
  for trial in trials:
    changed = dataclasses.replace(study, custom={name: trial})
    found = []
    for seed in study.seeds:
      made = runs.adapt(changed, name, source, target.data(large, n_target, seed), seed, site, target.validation)
      found.append(made.fitted.validation[-1].rmse_mmhg)
    print(f"rate {trial['learning_rate']:g}  decay {trial['weight_decay']:g}  {np.mean(found):.3f}", flush=True)


if __name__ == "__main__":
  common.launch(main)
