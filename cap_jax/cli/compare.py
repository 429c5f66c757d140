"""The main job: from the network of the package to a small clinic. Every strategy, `auto` and the baselines on the same subjects, and a
report that begins with the result.

  python -m experiments.compare [--workdir=DIR] [--config.n_target=1,5]
  python -m experiments.compare --source=train            with a source network of its own, trained first
"""

import time

from cap_jax.cli import launcher, study_command

_FLAGS = study_command.define_flags("compare")
_THREADS = 2  # one small network does not fill two cores


def main() -> None:
  began = time.perf_counter()
  study = study_command.read(_FLAGS)
  study_command.check(study)
  workdir = _FLAGS.workdir.value
  folder = launcher.new_folder(workdir) if workdir else launcher.next_folder("runs/compare")
  study_command.run(study, folder, _FLAGS.processes.value, began, _THREADS)
