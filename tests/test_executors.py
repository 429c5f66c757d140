"""Where tasks run: the same results everywhere, lost workers replaced, nothing begun after an error."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import threading

import pytest
import submitit

from cap_jax import executors
from cap_jax.data import preparation
from cap_jax.types import DataError, InputError
from tests import clusters, tasks
from tests.data import test_store
from tests.experiments.commands import ROOT


@pytest.fixture(scope="module")
def cluster():
  with clusters.running() as running:
    yield running


@pytest.mark.quick
@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", "--executor=: unknown; pass processes:4, threads:2, dask:HOST:8786 or slurm:PARTITION"),
    ("cloud:4", "--executor=cloud:4: unknown; pass processes:4"),
    ("processes", "--executor=processes: unknown"),
    ("processes:0", "--executor=processes:0: needs the number of processes, such as processes:4"),
    ("threads:two", "--executor=threads:two: needs the number of threads"),
    ("dask:node0", "--executor=dask:node0: needs the address of the scheduler, such as dask:node0:8786"),
    ("slurm:gpu,fast", "'fast' is not NAME=VALUE; see submitit's options, such as timeout_min=120"),
  ],
)
def test_what_is_no_executor_is_refused(text, message):
  with pytest.raises(InputError) as caught:
    executors.check(text)
  assert message in str(caught.value)


@pytest.mark.quick
def test_workers_on_other_machines_need_absolute_paths():
  executors.check("processes:2", output="store")
  executors.check("dask:node0:8786", output="/shared/store", path=None)
  with pytest.raises(InputError, match="--output=store: a relative path, which the workers of --executor=dask"):
    executors.check("dask:node0:8786", output="store")


@pytest.mark.parametrize("text", ["processes:1", "threads:2", "processes:2"])
def test_results_come_with_their_numbers(text):
  with executors.opened(text) as workers:
    result = dict(executors.completed(workers.executor, tasks.double, [(k,) for k in range(5)]))
    assert [result[k][1] for k in range(5)] == [0, 2, 4, 6, 8]
    assert {one[2] for one in result.values()} == {"1"}
    assert workers.tasks == int(text[-1])
    assert list(executors.in_order(workers.executor, pow, [(2, k) for k in range(9)])) == [2**k for k in range(9)]
    with pytest.raises(DataError, match="a file: is damaged 7; remove it") as caught:
      list(executors.completed(workers.executor, tasks.refuse, [(7,)]))
  assert caught.value.remedy == "remove it"
  if text == "processes:2":
    assert os.getpid() not in {one[0] for one in result.values()}
    assert all(one[3] for one in result.values())


def test_what_waits_is_not_begun_after_an_error():
  begun, error = [], threading.Event()

  def work(number):
    begun.append(number)
    if number:
      error.wait(60)
    raise DataError("a file", "is damaged", "remove it")

  with executors.opened("threads:2") as workers:
    with pytest.raises(DataError, match="is damaged"):
      list(executors.completed(workers.executor, work, [(k,) for k in range(50)]))
    error.set()
  assert len(begun) <= 3


def test_a_process_that_dies_is_an_error_with_a_remedy():
  with (
    pytest.raises(InputError, match=r"a worker process died.*--executor=processes:1 to see where"),
    executors.opened("processes:2") as workers,
  ):
    list(executors.completed(workers.executor, tasks.die, [()]))


def test_processes_end_with_their_parent(tmp_path):
  code = (
    "import os, time\n"
    "from cap_jax import executors\n"
    "with executors.opened('processes:2') as workers:\n"
    "  print(*{pid for _, pid in executors.completed(workers.executor, os.getpid, [()] * 50)}, flush=True)\n"
    "  list(executors.completed(workers.executor, time.sleep, [(600,)] * 2))\n"
  )
  with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as started:
    pids = [int(word) for word in started.stdout.readline().split()]
    started.kill()
  assert pids
  clusters.wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/stat") for pid in pids), 30)


def test_no_scheduler_is_one_line(monkeypatch):
  monkeypatch.setattr(executors, "_CONNECT_S", 1.0)
  with (
    pytest.raises(InputError, match="no Dask scheduler answers there within 1 s; start one with `dask scheduler`"),
    executors.opened("dask:127.0.0.1:9"),
  ):
    pass


def test_a_worker_with_another_version_is_refused(cluster, monkeypatch):
  monkeypatch.setattr(executors, "__version__", "9.9")
  with (
    pytest.raises(
      InputError, match=r"the worker tcp://\S+ has cap_jax .*, but this process 9\.9, .* the same environment"
    ),
    executors.opened(cluster.executor),
  ):
    pass


def test_a_store_by_dask_has_the_same_bytes_though_a_worker_was_killed(cluster, tmp_path):
  """The worker that reads the fifth record for the first time is killed in the middle of its shard."""
  whole = preparation.prepare(
    test_store.dataset(), tmp_path / "whole", test_store.SPEC, test_store.HOW, shard_records=2
  )
  victim = test_store.dataset(killed_at=5, marker=str(tmp_path / "killed"))
  with executors.opened(cluster.executor) as workers:
    assert workers.tasks == 2
    store = preparation.prepare(
      victim, tmp_path / "dask", test_store.SPEC, test_store.HOW, workers.executor, shard_records=2
    )
  assert (tmp_path / "killed").exists()
  clusters.wait_until(lambda: sum(process.poll() is not None for process in cluster.workers) == 1)
  assert files_of(store.path) == files_of(whole.path)
  cluster.workers.append(cluster.add_worker())


def files_of(folder):
  """Path → bytes of all files of a store."""
  return {
    path.relative_to(folder).as_posix(): path.read_bytes() for path in pathlib.Path(folder).rglob("*") if path.is_file()
  }


def test_jobs_of_submitit_are_sent_again_when_they_are_lost(tmp_path, monkeypatch):
  monkeypatch.setattr(submitit.Job, "_results_timeout_s", 1)  # for the result of a lost job
  with executors.opened(f"slurm:none,cluster=local,folder={tmp_path / 'jobs'}") as workers:
    markers = [(str(tmp_path / "marker"),), (str(tmp_path / "other"),)]
    (tmp_path / "other").touch()
    assert list(executors.in_order(workers.executor, tasks.die_once, markers)) == ["done", "done"]
  assert (tmp_path / "marker").exists()


@pytest.mark.slow
def test_errors_of_users_come_back_from_jobs(tmp_path):
  name = f"slurm:none,cluster=local,folder={tmp_path / 'jobs'}"
  with executors.opened(name) as workers, pytest.raises(DataError, match="is damaged 3"):
    list(executors.completed(workers.executor, tasks.refuse, [(3,)]))


@pytest.mark.parametrize("options", ["cluster=mars", "cpus=much"])
def test_what_submitit_does_not_know_is_one_line(tmp_path, options):
  with (
    pytest.raises(InputError, match="--executor=slurm:none"),
    executors.opened(f"slurm:none,folder={tmp_path},{options}"),
  ):
    pass


def test_any_executor_will_do(tmp_path):
  whole = preparation.prepare(
    test_store.dataset(), tmp_path / "whole", test_store.SPEC, test_store.HOW, shard_records=3
  )
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    other = preparation.prepare(
      test_store.dataset(), tmp_path / "other", test_store.SPEC, test_store.HOW, pool, shard_records=3
    )
  assert files_of(other.path) == files_of(whole.path)


@pytest.mark.quick
def test_a_partition_may_be_called_1(tmp_path):
  with executors.opened(f"slurm:1,cluster=local,folder={tmp_path}") as workers:
    assert workers.executor is not None
