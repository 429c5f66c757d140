"""The main job: from the network of the package to a small clinic. Every strategy, `auto` and the baselines on the same subjects, and a
report that begins with the result.

  python -m experiments.compare [--workdir=DIR] [--config.n_target=1,5]
  python -m experiments.compare --source=train            with a source network of its own, trained first
"""

import os
import time

from experiments import common, study_command

_FLAGS = study_command.define_flags("compare")
_THREADS = 2  # one small network does not fill two cores


def main() -> None:
  began = time.perf_counter()
  study = study_command.read(_FLAGS)
  study_command.check(study)
  workdir = _FLAGS.workdir.value
  folder = common.new_folder(workdir) if workdir else common.next_folder("runs/compare")
  study_command.run(study, folder, _FLAGS.processes.value, began, _THREADS)


if __name__ == "__main__":
  # Each program runs for seconds only, so code that compiles faster is done earlier. XLA reads this when it starts.
  os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")
  common.launch(main)
