"""Compares strategies, `auto` and baselines: transfers the network of the package to a small clinic, with 0, 1, 5 and 20
labelled subjects, evaluates all methods on the same subjects, and writes a report.

  python -m experiments.compare [--workdir=DIR] [--config.n_target=1,5]
  python -m experiments.compare --source=train            trains a source network first

Writes to runs/compare; if that run is complete, to runs/compare-2, and so on. Run the same command again to resume a stopped run.
"""

import time

from cap_jax.cli import output_folders, study_command
from cap_jax.study import study_manifest

_FLAGS = study_command.define_flags("compare", executor="threads:2")  # which share compiled functions


def main() -> None:
  began = time.perf_counter()
  study = study_command.read(_FLAGS)
  folder = _FLAGS.workdir.value or study_manifest.next_folder(study, "runs/compare")
  study_command.check(study, _FLAGS, folder)
  output_folders.open_folder(folder)
  study_command.run(study, folder, _FLAGS.executor.value, began)
