"""A study on the workers of a cluster: each cell once, with the errors that it has in one process."""

import json
import pathlib
import shutil
import threading

import pytest

from cap_jax import executors
from cap_jax.study import run_study, study_grid
from tests import clusters


def cells(folder):
  """Name → content of each cell, without the times that it took."""
  result = {}
  for path in pathlib.Path(folder, "cells").rglob("*.json"):
    content = json.loads(path.read_text())
    for name in ("train_s", "wall_s", "sha256", "waves_sha256"):
      content.pop(name, None)
    content["validation"] = [(score[0], *score[2:]) for score in content["validation"]]
    result[path.relative_to(folder).as_posix()] = content
  return result


@pytest.mark.parametrize("text", [pytest.param("processes:2", marks=pytest.mark.slow), "dask"])
def test_a_study_has_the_same_cells_though_a_worker_was_killed(small_study, done_study, tmp_path, text):
  before = cells(done_study)
  folder = tmp_path / "study"
  shutil.copytree(done_study, folder)
  for path in (folder / "cells").rglob("*.*"):
    if path.parent.name in ("source", "npma", "gtf_target", "fine_tuning", "multi_task"):
      path.unlink()
  left = len(list((folder / "cells").rglob("*.json")))
  with clusters.running() as cluster:
    remote = text == "dask"
    if remote:

      def kill():
        clusters.wait_until(lambda: len(list((folder / "cells").rglob("*.json"))) > left, 300)
        cluster.workers[0].kill()

      killer = threading.Thread(target=kill)
      killer.start()
    with executors.opened(cluster.executor if remote else text) as workers:
      done = [cell.key for cell in run_study.run(small_study, str(folder), workers.executor)]
    if remote:
      killer.join()
      assert cluster.workers[0].wait() < 0
  assert sorted(map(str, done)) == sorted(map(str, study_grid.keys(small_study)))
  assert cells(folder) == before
