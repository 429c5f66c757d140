"""Transfers a source checkpoint to a target clinic with few labelled subjects.

python -m experiments.transfer --strategy=feature_transfer --source=DIR/checkpoint --n_target=5 --workdir=DIR2
"""

import dataclasses
import os

from absl import flags

from cap_jax.data import splits
from cap_jax.evaluation import errors
from cap_jax.evaluation import study as studies
from cap_jax.report import tables
from cap_jax.train import checkpoint, loop
from cap_jax.transfer import STRATEGIES
from experiments import common

_CONFIG = common.define_study("target clinic and training")
_STRATEGY = flags.DEFINE_enum("strategy", "feature_transfer", list(STRATEGIES), "how to transfer")
_SOURCE = flags.DEFINE_string("source", None, "checkpoint folder of the source network")
_N_TARGET = flags.DEFINE_integer("n_target", 5, "labelled target subjects")
_SEED = flags.DEFINE_integer("seed", 0, "draws the labelled subjects and the fresh parameters")
_WORKDIR = flags.DEFINE_string("workdir", None, "new folder for the checkpoint")


def main() -> None:
  source = checkpoint.load(common.required(_SOURCE, "DIR/checkpoint"))
  study = common.read_study(_CONFIG)
  # the target's network and windows are the source's
  study = dataclasses.replace(
    study,
    site=source.site,
    model=source.model,
    windows=source.windows,
    n_target=(_N_TARGET.value,),
    seeds=(_SEED.value,),
  )
  studies.check(study)
  workdir = common.new_folder(common.required(_WORKDIR, "DIR"))
  target = studies.load_target(study)
  labelled = target.draw(_N_TARGET.value, _SEED.value)
  split = splits.Split({"labelled": labelled.subjects, "test": target.test.subjects})
  split.save(os.path.join(workdir, "split.json"))
  made, fitted, report = studies.adapt(study, _STRATEGY.value, source, labelled, _SEED.value)
  print(f"{STRATEGIES[_STRATEGY.value].equation}\n\n{tables.merge_report(report)}\n")
  evaluator = errors.Evaluator(target.test, study.windows)
  scores = {}
  for name, network in (("source network unchanged", source), (_STRATEGY.value, made)):
    predicted = loop.predict(network.net, network.params, network.scaling, target.test.x_bt)
    scores[name] = errors.mean_rmse(evaluator.errors(predicted))
  checkpoint.save(os.path.join(workdir, "checkpoint"), made)
  print(f"in silico, {study.scenario}: waveform RMSE on {study.test_subjects} test subjects [mmHg]")
  for name, score in scores.items():
    print(f"  {name:28} {score:.2f}")
  print(f"{_N_TARGET.value} labelled subjects, {fitted.train_s:.1f} s\n{workdir}/checkpoint")


if __name__ == "__main__":
  common.launch(main)
