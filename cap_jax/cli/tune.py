"""Chooses the learning rate and weight decay of a strategy on validation subjects of the target, never on test subjects.

  python -m experiments.tune --strategy=scratch --n_target=5

The rates and decays in `strategies/` were chosen this way, most on the default grid. The grid of fine-tuning and domain
adaptation was 1e-4 to 1e-1. Strategies without target labels were also tuned on 16 labelled validation subjects.
"""

import dataclasses
import itertools
from typing import Any

import numpy as np
from absl import flags

from cap_jax.cli import study_flags
from cap_jax.inference import pretrained
from cap_jax.losses import tasks
from cap_jax.strategies import STRATEGIES, find
from cap_jax.study import study_config, study_datasets, training
from cap_jax.types import InputError

_CONFIG = study_flags.define_study("study: clinic, model, training")
_STRATEGY = flags.DEFINE_enum("strategy", "feature_transfer", list(STRATEGIES), "name of the strategy")
_SOURCE = flags.DEFINE_string(
  "source",
  None,
  "checkpoint of the source network, or a packaged one such as radial; if omitted, a source network is trained first",
)
_N_TARGET = flags.DEFINE_integer("n_target", 5, "number of labelled target subjects")
_RATES = flags.DEFINE_list("rates", ["2e-3", "5e-3", "1e-2", "2e-2"], "learning rates to try")
_DECAYS = flags.DEFINE_list("decays", ["0", "1e-2", "1e-1"], "weight decays to try")


def _parse_numbers(holder: flags.FlagHolder[Any]) -> list[float]:
  try:
    return [float(word) for word in holder.value]
  except ValueError as error:
    raise InputError(f"--{holder.name}={','.join(holder.value)}: each must be a number") from error


def _trials(study: study_config.Study) -> list[dict[str, Any]]:
  """Returns the fields of the strategy at each point of the grid."""
  name = _STRATEGY.value
  grid = itertools.product(_parse_numbers(_RATES), _parse_numbers(_DECAYS))
  trials = [{**study.custom.get(name, {}), "learning_rate": rate, "weight_decay": decay} for rate, decay in grid]
  for trial in trials:
    dataclasses.replace(study, custom={name: trial})  # raises on an invalid value before anything is trained
  return trials


def main() -> None:
  name = _STRATEGY.value
  study = study_flags.read_study(_CONFIG)
  n_target = _N_TARGET.value if find(name, study.custom.get(name)).needs_labels else 0
  if n_target == 0 and find(name, study.custom.get(name)).needs_labels:
    raise InputError(f"--n_target=0: {name} needs labelled target subjects; pass 1 or more")
  study = dataclasses.replace(study, n_target=(n_target,), strategies=(name,))
  source = pretrained.load(_SOURCE.value) if _SOURCE.value else None
  if source:
    study = study_flags.follow(study, source)
  trials = _trials(study)
  training.check(study, name, source.model if source else tasks.TASKS[study.task].model(study.model))
  large, target = study_datasets.load_source(study), study_datasets.load_target(study)
  if source is None:
    source, _ = training.pretrained(study, large.training, large.validation, large.origin)
  print(
    f"{name}, {n_target} labelled subjects, seeds {study.seeds}: RMSE [mmHg] of validation subjects, {study.steps} steps"
  )
  for trial in trials:
    changed = dataclasses.replace(study, custom={name: trial})
    errors_mmhg = []
    for seed in study.seeds:
      adapted = training.adapted(changed, name, source, large, target, n_target, seed)
      errors_mmhg.append(adapted.fitted.validation[-1].rmse_mmhg)
    print(f"rate {trial['learning_rate']:g}  decay {trial['weight_decay']:g}  {np.mean(errors_mmhg):.3f}", flush=True)
