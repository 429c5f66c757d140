"""Chooses a strategy's learning rate, weight decay and steps on the target's validation subjects, never on its test subjects.

  python -m experiments.select --strategy=scratch --n_target=5

The defaults of `config.Study` were chosen so; the grid is the same for every strategy.
"""

import dataclasses
import itertools

import numpy as np
from absl import flags

from cap_jax import config
from cap_jax.evaluation import errors
from cap_jax.evaluation import study as studies
from cap_jax.train import checkpoint, loop
from cap_jax.transfer import STRATEGIES
from cap_jax.types import InputError
from experiments import common

_CONFIG = common.define_study("the study")
_STRATEGY = flags.DEFINE_enum("strategy", "feature_transfer", list(STRATEGIES), "what to tune")
_SOURCE = flags.DEFINE_string("source", None, "checkpoint of the source; pre-trained afresh if left out")
_N_TARGET = flags.DEFINE_integer("n_target", 5, "labelled target subjects")
_RATES = flags.DEFINE_list("rates", ["5e-3", "1e-2", "2e-2"], "learning rates")
_DECAYS = flags.DEFINE_list("decays", ["1e-4", "1e-2", "1e-1"], "weight decays")
_STEPS = flags.DEFINE_list("steps", ["1000"], "numbers of steps")


def _numbers(holder: flags.FlagHolder, kind: type) -> list:
  try:
    return [kind(word) for word in holder.value]
  except ValueError:
    raise InputError(f"--{holder.name}={','.join(holder.value)}: each must be a number") from None


def _trials(study: config.Study) -> list[config.Study]:
  """The study with each point of the grid in the place of the strategy's training."""
  field = "transfer" if STRATEGIES[_STRATEGY.value].take else "scratch"
  grid = itertools.product(_numbers(_STEPS, int), _numbers(_RATES, float), _numbers(_DECAYS, float))
  specs = [config.Training(steps=steps, learning_rate=rate, weight_decay=decay) for steps, rate, decay in grid]
  trials = [dataclasses.replace(study, **{field: spec}) for spec in specs]
  for trial in trials:
    studies.check(trial)
  return trials


def main() -> None:
  study = dataclasses.replace(common.read_study(_CONFIG), n_target=(_N_TARGET.value,))
  source = checkpoint.load(_SOURCE.value) if _SOURCE.value else None
  if source:
    study = dataclasses.replace(study, site=source.site, model=source.model, windows=source.windows)
  trials = _trials(study)
  target = studies.load_target(study)
  if source is None:
    source, _ = studies.pretrain(study, studies.load_source(study))
  evaluator = errors.Evaluator(target.validation, study.windows)
  print(
    f"{_STRATEGY.value}, {_N_TARGET.value} labelled subjects, seeds {study.seeds}: RMSE [mmHg] of validation subjects"
  )
  for trial in trials:
    spec = trial.transfer if STRATEGIES[_STRATEGY.value].take else trial.scratch
    found = []
    for seed in study.seeds:
      made, _, _ = studies.adapt(trial, _STRATEGY.value, source, target.draw(_N_TARGET.value, seed), seed)
      predicted = loop.predict(made.net, made.params, made.scaling, target.validation.x_bt)
      found.append(errors.mean_rmse(evaluator.errors(predicted)))
    print(
      f"steps {spec.steps}  rate {spec.learning_rate:g}  decay {spec.weight_decay:g}  {np.mean(found):.3f}", flush=True
    )


if __name__ == "__main__":
  common.launch(main)
