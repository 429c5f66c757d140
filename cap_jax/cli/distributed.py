"""Trains on several hosts at once. Each runs the same command and gets its identity from flags, or from the cluster:

  python -m experiments.pretrain --coordinator=node0:1234 --hosts=4 --host=2 --workdir=DIR
  srun python -m experiments.pretrain --coordinator=auto --workdir=DIR                      SLURM, TPU pods, GKE

Only the first host prints and writes to DIR; the output of the others is discarded.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import jax
from absl import flags

from cap_jax import files, own_files
from cap_jax.cli import output_folders
from cap_jax.train import host_liveness, training_state
from cap_jax.train.clock import DivergedError
from cap_jax.types import InputError, UnfitError

_COORDINATOR = flags.DEFINE_string(
  "coordinator", None, "HOST:PORT of the first of several hosts, or auto on a cluster that jax detects"
)
_HOSTS = flags.DEFINE_integer("hosts", None, "number of hosts that train together", lower_bound=1)
_HOST = flags.DEFINE_integer("host", None, "index of this host, from 0", lower_bound=0)
_TIMEOUTS = host_liveness.Timeouts()
_JOIN_S = flags.DEFINE_integer(
  "join_timeout_s", _TIMEOUTS.join_s, "seconds that hosts wait for all to connect", lower_bound=1
)
_HOST_S = flags.DEFINE_integer(
  "host_timeout_s", _TIMEOUTS.host_s, "seconds without a heartbeat after which a host counts as lost", lower_bound=1
)
_COLLECTIVE_S = flags.DEFINE_integer(
  "collective_timeout_s", _TIMEOUTS.collective_s, "seconds that hosts wait for one that is alive", lower_bound=1
)
_STATES, _SETTINGS = "training_states", "run_settings.json"
_RESULTS = ("source", "checkpoint", "best", "split.json")  # results that a resumed run writes again


@contextlib.contextmanager
def joined() -> Iterator[host_liveness.HostMonitor | None]:
  """Trains with other hosts in this block, if the flags name some. The block must start before any computation.

  All hosts leave the block together: an error on one of them, or its loss, ends the others, see `host_liveness`.

  Yields:
    The monitor of the hosts, None for a single host.

  Raises:
    InputError: the flags do not identify this host, or the others do not join.
  """
  coordinator, hosts, host = identity = (_COORDINATOR.value, _HOSTS.value, _HOST.value)
  if identity == (None, None, None):
    yield None
    return
  process = {}
  if coordinator != "auto":
    if coordinator is None or hosts is None or host is None or ":" not in coordinator or host >= hosts:
      raise InputError(
        f"--coordinator={coordinator} --hosts={hosts} --host={host}: pass HOST:PORT, the number of hosts and the "
        "index of this one, from 0; or --coordinator=auto on a cluster that jax detects"
      )
    process = {"coordinator_address": coordinator, "num_processes": hosts, "process_id": host}
  limits = host_liveness.Timeouts(_JOIN_S.value, _HOST_S.value, _COLLECTIVE_S.value)
  watch = host_liveness.join(limits, **process)
  if jax.process_index():  # only the first host prints
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
  try:
    yield watch
    watch.finish()
  except BaseException as error:
    watch.fail(error)
    raise


def _plain(value: Any) -> Any:
  return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def _fields(name: str, value: Any) -> Iterator[tuple[str, str]]:
  """Yields the fields of nested settings, as `pretrain.seed`, with their values as text."""
  entries: Iterable[tuple[str, Any]] = value.items() if isinstance(value, dict) else [("", one) for one in value]
  for field, part in entries:
    path = ".".join(filter(None, (name, field)))
    if isinstance(part, dict):
      yield from _fields(path, part)
    else:
      yield path or "checkpoint", repr(part)


def _begin(path: str, now: Any) -> tuple[own_files.OwnFiles, bool]:
  """Makes a work folder, or opens one in which a run with the same settings was stopped, see `work_folder`.

  Results of the stopped run are removed, as it writes them again; training states, metrics and files of others stay.

  Args:
    path: of the folder, which is locked.
    now: settings of the run, as JSON reads them.

  Returns:
    The list of the run's own files, and whether the run is new.

  Raises:
    output_folders.FinishedError: the same run was finished here.
    InputError: the folder has other content, or cannot be made.
  """
  note = os.path.join(path, _SETTINGS)
  if not os.path.lexists(note):
    if own_files.exists(path):
      own_files.begin(path).end()  # its process was killed before it wrote the settings
    output_folders.new_folder(path)
    own = own_files.begin(path)
    _write_note(path, now, finished=False)
    return own, True
  before, finished = _read_note(note)
  if finished:
    if own_files.exists(path):
      _end(path, own_files.begin(path))  # its process was killed after the end
    results = os.path.join(path, "checkpoint")
    if before == now:
      raise output_folders.FinishedError(f"{path}: this run is finished; see {results}")
    raise InputError(
      f"--workdir={path}: contains a finished run with other settings, see {results}; choose another folder"
    )
  if before != now:
    old, new = (dict(_fields("", settings)) for settings in (before, now))
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    raise InputError(
      f"--workdir={path}: contains a stopped run with other settings or data, in {', '.join(changed[:5])}; choose another folder or "
      "remove it"
    )
  if not own_files.exists(path):
    raise InputError(
      f"--workdir={path}: contains a stopped run of an earlier release, or lacks its {own_files.LIST}; choose another folder"
    )
  own = own_files.begin(path)
  for name in _RESULTS:
    own.make_free(os.path.join(path, name))
  print(f"{path}: resuming the stopped run", file=sys.stderr)
  return own, False


def _read_note(note: str) -> tuple[Any, bool]:
  """Returns the settings of a run, and whether it is finished.

  Raises:
    InputError: the file is damaged.
  """
  try:
    with open(files.regular(note), encoding="utf-8") as file:
      content = json.load(file)
    return content["settings"], bool(content["finished"])
  except (OSError, ValueError, LookupError, TypeError) as error:
    raise InputError(f"{note}: damaged ({error!r}); choose another --workdir or remove this one") from error


def _end(path: str, own: own_files.OwnFiles) -> None:
  """Removes what only an unfinished run needs."""
  own.remove(os.path.join(path, _STATES))
  own.end()


def _write_note(path: str, settings: Any, finished: bool) -> None:
  """Writes the settings of a run, and whether it is finished."""
  note = os.path.join(path, _SETTINGS)
  with files.write_atomically(note) as (partial,), open(partial, "w", encoding="utf-8") as file:
    json.dump({"settings": settings, "finished": finished}, file, indent=1)


@contextlib.contextmanager
def _released_on_error(path: str, own: own_files.OwnFiles, is_new: bool) -> Iterator[None]:
  """Removes the run's own files from a new work folder if it fails before anything is worth resuming, so that a corrected
  command can use the folder."""
  try:
    yield
  except (InputError, UnfitError, DivergedError):
    if is_new and not any(entry.is_dir() for entry in pathlib.Path(path, _STATES).glob("*")):
      own.remove(path)
      own.end()
    raise


@contextlib.contextmanager
def work_folder(
  path: str, *settings: Any, watch: host_liveness.HostMonitor | None = None
) -> Iterator[tuple[str, training_state.StateKeeper]]:
  """Opens the work folder of a run: a new one, or one in which a run with the same settings was stopped.

  Of several hosts only the first uses the folder. The others get a temporary folder and save no training states.

  Args:
    path: of the folder.
    *settings: of the run.
    watch: monitor of several hosts, all of which must have the same settings.

  Yields:
    The path of the folder, and the keeper of training states.

  Raises:
    output_folders.FinishedError: the same run was finished there.
    InputError: the folder cannot be used, or another host has other settings.
  """
  if watch is not None:
    watch.check_same("run", dict(_fields("", [_plain(one) for one in settings])))
    if jax.process_index():
      with tempfile.TemporaryDirectory(prefix="cap_jax-host-") as scratch:
        watch.before_leaving(lambda: shutil.rmtree(scratch, ignore_errors=True))
        yield scratch, training_state.StateKeeper(scratch)
      return
  states = os.path.join(path, _STATES)
  with contextlib.ExitStack() as stack:
    try:
      own_files.makedirs(path)
      stack.enter_context(files.lock_folder(path, wait=False))  # before reading anything in it
    except BlockingIOError as error:
      raise InputError(f"--workdir={path}: another process is running there; wait for it to finish") from error
    except OSError as error:
      raise InputError(f"--workdir={path}: cannot be used ({error.strerror}); choose another folder") from error
    now = json.loads(json.dumps([_plain(one) for one in settings]))
    try:
      own, is_new = _begin(path, now)
    except output_folders.FinishedError as error:
      if watch is not None:  # the other hosts must end too
        raise InputError(str(error)) from error
      raise
    with _released_on_error(path, own, is_new):
      yield path, training_state.StateKeeper(states)
    _write_note(path, now, finished=True)
    _end(path, own)
