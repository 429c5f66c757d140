"""Where tasks run: in this process, in threads or processes of this machine, on a Dask cluster, or as SLURM jobs.

    processes:1                      this process, one task after the other
    threads:2                        threads of this process, which share its data and compiled functions
    processes:4                      processes of this machine
    dask:node0:8786                  the workers of a running Dask cluster (Dask distributed)
    slurm:gpu,timeout_min=120        one SLURM job a task, in arrays (submitit; its options, its names)

Each is a `concurrent.futures.Executor`, and functions that take one take any other too. Workers on other machines need this
package in the same version, and the same folders under the same absolute paths.

A task computes with one thread: XLA splits a sum among threads, so that more of them change its last digits. The results are
therefore the same with every executor and on any number of cores, and tasks side by side do not wait for one another.
"""

import concurrent.futures
import contextlib
import functools
import importlib.metadata
import multiprocessing
import os
import pathlib
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import tqdm

from cap_jax import __version__, extras
from cap_jax.types import InputError

KINDS = ("processes", "threads", "dask", "slurm")
_LIBRARIES = {"dask": "distributed", "slurm": "submitit"}
_EXAMPLES = "processes:4, threads:2, dask:HOST:8786 or slurm:PARTITION"
_ONE_THREAD = ("NPROC", "1")  # of XLA on a CPU, which reads it before its first computation
_RETRIES = 3  # of a task whose worker was lost
_JOBS = 1000  # of SLURM, that are counted on in an estimate
_POLL_S = 1.0
_CONNECT_S = 20.0


class Workers(NamedTuple):
  """An executor that is ready.

  Attributes:
    executor: runs the tasks; None for this process, one after the other.
    tasks: number of tasks that it runs at a time.
  """

  executor: concurrent.futures.Executor | None
  tasks: int


def is_remote(text: str) -> bool:
  """Returns whether the workers of an executor may be on other machines."""
  return text.partition(":")[0] in ("dask", "slurm")


def check(text: str, **paths: str | None) -> None:
  """Checks the name of an executor, without starting it.

  Args:
    text: such as `processes:4`.
    **paths: flag → path that its workers must reach.

  Raises:
    InputError: it is none, what it needs is not installed, or workers on other machines cannot know a path.
  """
  kind, _, value = text.partition(":")
  if kind not in KINDS or not value:
    raise InputError(f"--executor={text}: unknown; pass {_EXAMPLES}")
  if kind in ("processes", "threads") and not (value.isdecimal() and 1 <= int(value) <= 10_000):
    raise InputError(f"--executor={text}: needs the number of {kind}, such as {kind}:4")
  if kind == "dask" and not value.rpartition(":")[2].isdecimal():
    raise InputError(f"--executor={text}: needs the address of the scheduler, such as dask:node0:8786")
  if kind == "slurm":
    _slurm_options(text)
  if is_remote(text):
    extras.load(_LIBRARIES[kind])
    for flag, path in paths.items():
      if path and not os.path.isabs(path):
        raise InputError(
          f"--{flag}={path}: a relative path, which the workers of --executor={kind} cannot know; pass the absolute path "
          "of a folder that all machines share"
        )


@contextlib.contextmanager
def opened(text: str) -> Iterator[Workers]:
  """Starts or joins an executor, and ends it with the block: at once if the block ends with an error.

  Args:
    text: such as `processes:4`.

  Yields:
    The executor.

  Raises:
    InputError: it is none, or cannot be reached.
  """
  check(text)
  os.environ.setdefault(*_ONE_THREAD)
  kind, _, value = text.partition(":")
  opened_as = {"threads": _threads, "processes": _processes, "dask": _dask, "slurm": _slurm}
  here = kind in ("processes", "threads") and int(value) == 1
  with contextlib.nullcontext(Workers(None, 1)) if here else opened_as[kind](text, value) as workers:
    yield workers


def completed(
  executor: concurrent.futures.Executor | None, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, Any]]:
  """Runs tasks, and yields the result of each when it is done.

  Args:
    executor: runs them; None for this process, one after the other.
    function: of a module, as other processes import it.
    tasks: the arguments of each call.

  Yields:
    The number of a task, and its result.

  Raises:
    InputError: the function raised it, or a worker died.
  """
  if executor is None:
    yield from ((number, function(*task)) for number, task in enumerate(tasks))
    return
  with executor.batch() if isinstance(executor, _Jobs) else contextlib.nullcontext():
    futures = {executor.submit(_outcome, function, *task): number for number, task in enumerate(tasks)}
  try:
    for future in concurrent.futures.as_completed(futures):
      result, error = _result(future)
      if error is not None:
        raise error
      yield futures.pop(future), result
  except BaseException:
    for future in futures:
      future.cancel()  # otherwise all that wait run first
    raise


def _outcome(function: Callable[..., Any], *task: Any) -> tuple[Any, InputError | None]:
  """Runs a task in a worker. Returns its result, or the user's error, which engines would wrap in errors of their own."""
  os.environ.setdefault(*_ONE_THREAD)
  try:
    return function(*task), None
  except InputError as error:
    return None, error


def _result(future: "concurrent.futures.Future[Any]") -> tuple[Any, InputError | None]:
  """Returns what a task gave.

  Raises:
    InputError: its worker died.
  """
  try:
    result: tuple[Any, InputError | None] = future.result()
  except Exception as error:
    lost = isinstance(error, concurrent.futures.BrokenExecutor) or type(error).__name__ == "KilledWorker"  # of Dask
    if not lost:
      raise
    raise InputError(
      "a worker process died, because of a lack of memory or a damaged file; run the same command again with "
      "--executor=processes:1 to see where"
    ) from error
  return result


def in_order(
  executor: concurrent.futures.Executor | None, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]
) -> Iterator[Any]:
  """Runs tasks, and yields their results in the order of the tasks, see `completed`."""
  ready: dict[int, Any] = {}
  following = 0
  for number, result in completed(executor, function, tasks):
    ready[number] = result
    while following in ready:
      yield ready.pop(following)
      following += 1


@contextlib.contextmanager
def _threads(text: str, value: str) -> Iterator[Workers]:
  del text
  pool = concurrent.futures.ThreadPoolExecutor(int(value))
  try:
    yield Workers(pool, int(value))
  finally:
    pool.shutdown(wait=False, cancel_futures=True)  # running tasks finish; the others do not start


@contextlib.contextmanager
def _processes(text: str, value: str) -> Iterator[Workers]:
  del text
  others = multiprocessing.active_children()
  pool = concurrent.futures.ProcessPoolExecutor(int(value), multiprocessing.get_context("spawn"), _begin_worker)
  try:
    yield Workers(pool, int(value))
  except BaseException:
    for process in multiprocessing.active_children():
      if process not in others:
        process.kill()
    pool.shutdown(cancel_futures=True)
    raise
  pool.shutdown()


def _begin_worker() -> None:
  """Prepares a worker process: no progress bars, which would overwrite one another, and an end when its parent is killed.

  Its unfinished files do not appear under their final names then.
  """
  tqdm.tqdm.__init__ = functools.partialmethod(tqdm.tqdm.__init__, disable=True)  # type: ignore[method-assign, assignment]

  def watch() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _dask(text: str, value: str) -> Iterator[Workers]:
  distributed = extras.load("distributed")
  try:
    client = distributed.Client(f"tcp://{value}" if "://" not in value else value, timeout=_CONNECT_S)
  except (OSError, ValueError) as error:
    raise InputError(
      f"--executor={text}: no Dask scheduler answers there within {_CONNECT_S:.0f} s; start one with `dask scheduler`, and its "
      "workers with `dask worker`"
    ) from error
  try:
    threads = sum(client.nthreads().values())
    if not threads:
      raise InputError(f"--executor={text}: the cluster has no workers; start some with `dask worker {value}`")
    _check_versions(text, client)
    yield Workers(client.get_executor(pure=False), threads)
  finally:
    client.close()


def versions() -> dict[str, str]:
  """Returns the versions on which the digits of a result depend, of this process."""
  packages = ("jax", "jaxlib", "numpy", "scipy", "flax", "optax")
  return {
    "Python": ".".join(platform.python_version_tuple()[:2]),
    "cap_jax": __version__,
    **{name: importlib.metadata.version(name) for name in packages},
  }


def _check_versions(text: str, client: Any) -> None:
  """Checks that all workers have the versions of this process.

  Raises:
    InputError: one has another version, or lacks a package.
  """
  own = versions()
  try:
    of_workers = client.run(versions)
  except ImportError as error:
    raise InputError(
      f"--executor={text}: a worker cannot import {error.name}; install this environment on its machine"
    ) from error
  for worker, others in of_workers.items():
    for name, version in own.items():
      if others.get(name) != version:
        raise InputError(
          f"--executor={text}: the worker {worker} has {name} {others.get(name)}, but this process {version}, so digits could differ; "
          "install the same environment on its machine"
        )


@contextlib.contextmanager
def _slurm(text: str, value: str) -> Iterator[Workers]:
  del value
  submitit = extras.load("submitit")
  options = _slurm_options(text)
  cluster, folder = options.pop("cluster"), pathlib.Path(str(options.pop("folder"))).expanduser()
  try:
    engine = submitit.AutoExecutor(folder=folder, cluster=cluster)
    engine.update_parameters(**options)
  except (RuntimeError, ValueError, NameError, TypeError) as error:
    raise InputError(f"--executor={text}: {str(error).splitlines()[0]}") from error
  jobs = _Jobs(engine)
  try:
    yield Workers(jobs, int(options.get("slurm_array_parallelism", _JOBS)))
  finally:
    jobs.shutdown(wait=False, cancel_futures=True)


class _Jobs(concurrent.futures.Executor):
  """Runs each task as a job of submitit, and once more, up to `_RETRIES` times, if the job is lost."""

  def __init__(self, engine: Any):
    """Makes the executor.

    Args:
      engine: executor of submitit.
    """
    self._engine = engine
    self._waiting: list[tuple[concurrent.futures.Future[Any], Any, tuple[Any, ...]]] = []
    self._lost: dict[concurrent.futures.Future[Any], int] = {}
    self._mutex = threading.Lock()
    self._ended = threading.Event()
    self._watcher = threading.Thread(target=self._watch, daemon=True)

  @contextlib.contextmanager
  def batch(self) -> Iterator[None]:
    """Sends what is submitted in this block as one array of jobs."""
    with self._mutex, self._engine.batch():
      yield

  def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "concurrent.futures.Future[Any]":
    """Submits a job. Returns the future of its result."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    self._send(future, (fn, args, kwargs))
    if not self._watcher.is_alive():
      self._watcher.start()
    return future

  def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
    """Ends the executor, see `concurrent.futures.Executor`; jobs that are cancelled end in the queue, too."""
    if cancel_futures:
      for future, *_ in self._waiting:
        future.cancel()
    while wait and self._waiting:
      time.sleep(_POLL_S)
    self._ended.set()
    self._look()

  def _send(self, future: "concurrent.futures.Future[Any]", call: tuple[Any, ...]) -> None:
    function, args, kwargs = call
    self._waiting.append((future, self._engine.submit(function, *args, **kwargs), call))

  def _watch(self) -> None:
    while not self._ended.wait(_POLL_S):
      self._look()

  def _look(self) -> None:
    """Passes on the results of the jobs that are done."""
    with self._mutex:
      waiting, self._waiting = self._waiting, []
      for future, job, call in waiting:
        if future.cancelled():
          job.cancel()
        elif not job.done():
          self._waiting.append((future, job, call))
        else:
          try:
            self._pass_on(future, job, call)
          except Exception as error:  # of submitit; whoever waits must hear of it
            future.set_exception(error)

  def _pass_on(self, future: "concurrent.futures.Future[Any]", job: Any, call: tuple[Any, ...]) -> None:
    error = job.exception()
    if error is None:
      future.set_result(job.result())
    elif type(error).__name__ != "UncompletedJobError":
      future.set_exception(error)
    elif self._lost.setdefault(future, 0) < _RETRIES:
      self._lost[future] += 1
      self._send(future, call)
    else:
      future.set_exception(concurrent.futures.BrokenExecutor(str(error)))


def _slurm_options(text: str) -> dict[str, str | int]:
  """Returns the options of `slurm:PARTITION,NAME=VALUE,…`, for submitit.

  Raises:
    InputError: one has no value.
  """
  partition, *fields = text.partition(":")[2].split(",")
  options: dict[str, str | int] = {"cluster": "slurm", "folder": "~/.cache/cap_jax/slurm", "slurm_partition": partition}
  for field in fields:
    name, equals, value = field.partition("=")
    if not name or not equals or not value:
      raise InputError(
        f"--executor={text}: '{field}' is not NAME=VALUE; see submitit's options, such as timeout_min=120"
      )
    options[name] = int(value) if value.isdecimal() else value
  return options
