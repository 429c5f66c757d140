"""Runs a study: every method in every target clinic, on the same labelled and test subjects. Writes a report.

  python -m experiments.study --config=experiments/configs/paper.py --workdir=runs/paper [--executor=processes:2]
  python -m experiments.study --config.scenarios=population,device --config.n_target=0,1,5,20 --config.seeds=0,1,2 --workdir=DIR

Prints an estimate of the duration first. Run the same command again to resume a stopped study. Writes study.csv (one row per
subject and cell), report.html, figures/, tables/ and a checkpoint.
"""

import time

from cap_jax.cli import launcher, output_folders, study_command

_FLAGS = study_command.define_flags("default", executor="processes:1")


def main() -> None:
  began = time.perf_counter()
  study = study_command.read(_FLAGS)
  folder = launcher.required(_FLAGS.workdir, "DIR")
  study_command.check(study, _FLAGS, folder)
  output_folders.open_folder(folder)
  study_command.run(study, folder, _FLAGS.executor.value, began)
