"""The main job: the study's quick config. Learn on a virtual cohort, transfer to a small clinic, compare with the baselines, report.

python -m experiments.compare [--workdir=DIR] [--config.n_target=1,5]
"""

import time

from experiments import common, study

_THREADS = 2  # one small network does not fill two cores


def main() -> None:
  began = time.perf_counter()
  what = study.read()
  study.check(what)
  folder = common.new_folder(study.WORKDIR.value) if study.WORKDIR.value else common.next_folder("runs/compare")
  study.run(what, folder, study.PROCESSES.value, began, _THREADS)


if __name__ == "__main__":
  common.launch(main)
