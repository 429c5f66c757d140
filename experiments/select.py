"""Chooses a strategy's learning rate, weight decay and steps on the target's validation subjects, never on its test subjects.

  python -m experiments.select --strategy=scratch --n_target=5

The defaults of `config.Study` were chosen so; the grid is the same for every strategy.
"""

import dataclasses
import itertools

import numpy as np
from absl import flags
from ml_collections import config_flags

from cap_jax import config
from cap_jax.evaluation import errors
from cap_jax.evaluation import study as studies
from cap_jax.train import checkpoint, loop
from cap_jax.transfer import STRATEGIES
from experiments import common

_CONFIG = config_flags.DEFINE_config_file("config", common.DEFAULT_CONFIG, "the study")
_STRATEGY = flags.DEFINE_enum("strategy", "feature_transfer", list(STRATEGIES), "what to tune")
_SOURCE = flags.DEFINE_string("source", None, "checkpoint of the source; pre-trained afresh if left out")
_N_TARGET = flags.DEFINE_integer("n_target", 5, "labelled target subjects")
_RATES = flags.DEFINE_list("rates", ["5e-3", "1e-2", "2e-2"], "learning rates")
_DECAYS = flags.DEFINE_list("decays", ["1e-4", "1e-2", "1e-1"], "weight decays")
_STEPS = flags.DEFINE_list("steps", ["1000"], "numbers of steps")


def main() -> None:
  study = common.read_study(_CONFIG)
  target = studies.load_target(study)
  if _SOURCE.value:
    source = checkpoint.load(_SOURCE.value)
  else:
    source, _ = studies.pretrain(study, studies.load_source(study))
  evaluator = errors.Evaluator(target.validation, study.windows)
  field = "transfer" if STRATEGIES[_STRATEGY.value].take else "scratch"
  print(
    f"{_STRATEGY.value}, {_N_TARGET.value} labelled subjects, seeds {study.seeds}: RMSE [mmHg] of validation subjects"
  )
  for steps, rate, decay in itertools.product(_STEPS.value, _RATES.value, _DECAYS.value):
    spec = config.Training(steps=int(steps), learning_rate=float(rate), weight_decay=float(decay))
    trial = dataclasses.replace(study, **{field: spec})
    found = []
    for seed in study.seeds:
      made, _, _ = studies.adapt(trial, _STRATEGY.value, source, target.draw(_N_TARGET.value, seed), seed)
      predicted = loop.predict(made.net, made.params, made.scaling, target.validation.x_bt)
      found.append(errors.mean_rmse(evaluator.errors(predicted)))
    print(f"steps {steps:>5}  rate {rate:>5}  decay {decay:>5}  {np.mean(found):.3f}", flush=True)


if __name__ == "__main__":
  common.launch(main)
