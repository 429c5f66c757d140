"""The main job: from the network of the package to a small clinic. Every strategy, `auto` and the baselines on the same subjects, and a
report that begins with the result.

  python -m experiments.compare [--workdir=DIR] [--config.n_target=1,5]
  python -m experiments.compare --source=train            with a source network of its own, trained first

It writes to runs/compare, or runs/compare-2 and so on where that is done already, and goes on where it was stopped when the same
command is given again.
"""

import time

from cap_jax.cli import output_folders, study_command
from cap_jax.study import study_manifest

_FLAGS = study_command.define_flags("compare")
_THREADS = 2  # one small network does not fill two cores


def main() -> None:
  began = time.perf_counter()
  study = study_command.read(_FLAGS)
  study_command.check(study)
  folder = _FLAGS.workdir.value or study_manifest.next_folder(study, "runs/compare")
  output_folders.open_folder(folder)
  study_command.run(study, folder, _FLAGS.processes.value, began, _THREADS)
