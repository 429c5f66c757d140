"""Hosts of one training find one another, watch one another and end together.

Every host writes to the key-value store of `jax.distributed`, under `cap_jax/hosts/`:

    alive/HOST    a counter that a thread increments every `BEAT_S`
    stop          the host that the system asked to stop (SIGTERM); host 0, which alone saves states, then saves one and ends
    left/HOST     this host has read why the training ends
    end           why the training ends early, written by the first host that knows

A host is lost when its counter has stood still for `Timeouts.host_s`, or for `BROKEN_S` after a collective has failed. A
host that waits, compiles or reads is not lost, however long it takes: its thread continues to count. Time in which the
watching host itself was suspended does not count. A host that fails, or that detects a lost host, writes the reason to
`end`. All others read it, print one line and end with a non-zero status.

The store runs in host 0. Without it no host can be reached, so host 0 is reported as lost. jax then aborts the process
(SIGABRT), and a handler turns the abort into the same line. A host never waits for a lost one, neither in jax's
shutdown nor in a collective.

A suspended host resumes, unless it was suspended for more than a minute while a ping of gRPC was under way.
gRPC then closes the connection, for which jax has no setting, and jax aborts the process. The handler says so.
"""

import contextlib
import ctypes
import dataclasses
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cap_jax.train import sigterm
from cap_jax.types import InputError

BEAT_S = 1.0
BROKEN_S = 10.0
PARTING_S = 30.0  # host 0 waits at most this long for the others to read why it ends
_STORE_S = 5.0  # the store normally answers sooner
_MOST_AWAKE_S = 2.0  # a longer time between two checks means that this host was suspended
_PING_S = 60.0  # gRPC closes a connection with a ping that was under way for so long
_FOLDER = "cap_jax/hosts/"
_COLLECTIVE_FLAG = "--xla_cpu_collective_timeout_seconds"
_BROKEN = re.compile(r"gloo|nccl|collective|barrier|connection|DEADLINE_EXCEEDED|UNAVAILABLE", re.IGNORECASE)
_AGAIN = "run the same command again, on any number of hosts, which resumes the training in the same --workdir"


@dataclasses.dataclass(frozen=True)
class Timeouts:
  """How long hosts wait for one another [s].

  Attributes:
    join_s: until all hosts are present at the start.
    host_s: without a sign of life until a host is lost.
    collective_s: for hosts that are alive, in a collective and at the end.
  """

  join_s: int = 600
  host_s: int = 300
  collective_s: int = 3600


class KeyValueStore(Protocol):
  """The key-value store, as the client of `jax.distributed` provides it."""

  def key_value_set(self, key: str, value: str, allow_overwrite: bool = False) -> None: ...
  def key_value_dir_get(self, key: str) -> list[tuple[str, str]]: ...
  def wait_at_barrier(self, barrier_id: str, timeout_in_ms: int) -> None: ...


class SignsOfLife:
  """How long each other host has been silent, in seconds that this host was awake."""

  def __init__(self, host: int, host_count: int):
    self._silent_s = {other: 0.0 for other in range(host_count) if other != host}
    self._counters: dict[int, str] = {}
    self.store_silent_s = 0.0
    self.awake_s = 0.0

  def update(self, counters: Mapping[int, str]) -> None:
    """Records the counters that were read, host → counter."""
    for host in self._silent_s:
      if counters.get(host) != self._counters.get(host):
        self._silent_s[host] = 0.0
    self._counters, self.store_silent_s = dict(counters), 0.0

  def elapse(self, seconds: float) -> None:
    """Advances the time; a pause of this host counts only a little."""
    awake_s = min(seconds, _MOST_AWAKE_S)
    self.awake_s += awake_s
    self.store_silent_s += awake_s
    for host in self._silent_s:
      self._silent_s[host] += awake_s

  def lost(self, limit_s: float) -> list[int]:
    """Returns the hosts that have been silent for longer than a limit.

    While the store does not answer, only host 0 can be reported: no other host is heard.
    """
    if self.store_silent_s > _STORE_S:
      return [0] if self.store_silent_s > limit_s else []
    return [host for host, seconds in self._silent_s.items() if seconds > limit_s]


@dataclasses.dataclass(frozen=True)
class End:
  """Why a training ends early.

  Attributes:
    culprits: hosts that were lost or failed.
    reason: what happened to them, as in "was stopped".
    status: exit status of the other hosts.
    remedy: what to do before the training is started again.
  """

  culprits: tuple[int, ...]
  reason: str
  status: int = 1
  remedy: str = ""

  def describe(self, count: int) -> str:
    """Returns one line for the user; `count` is the number of all hosts."""
    names, reason = ", ".join(map(str, self.culprits)), self.reason
    if len(self.culprits) > 1:
      return f"error: hosts {names} of {count} {re.sub('^was ', 'were ', reason)}; {self.remedy}{_AGAIN}"
    return f"error: host {names} of {count} {reason}; {self.remedy}{_AGAIN}"


class HostMonitor:
  """Two threads that watch the other hosts.

  One counts and reads the store. The other decides by what was read, even while a read takes long.
  """

  def __init__(
    self,
    store: KeyValueStore,
    host: int,
    host_count: int,
    limits: Timeouts,
    address: str = "",
  ):
    """Initialises the monitor; `start` starts its threads.

    Args:
      store: key-value store of all hosts.
      host: index of this host.
      host_count: number of hosts.
      limits: how long to wait.
      address: HOST:PORT of the store.
    """
    self._store, self._host, self._hosts, self._limits = store, host, host_count, limits
    self._address, self._clean_up = address, contextlib.ExitStack()
    self._limit_s: float = limits.host_s
    self._signs = SignsOfLife(host, host_count)
    self._end: End | None = None
    self._left: set[int] = set()
    self._over, self._leaving = threading.Event(), threading.Lock()
    self._finished = False
    self._stop, self._stopped_by = threading.Event(), host
    self._checked_s = time.monotonic()  # the last check of the second thread
    self._suspended_s = 0.0  # how long this host was suspended most recently

  def start(self) -> None:
    """Starts both threads."""
    _on_abort(self._aborted)
    if self._host:
      sigterm.pass_on(self._stop.set)
    for task in (self._count, self._decide):
      threading.Thread(target=task, daemon=True).start()

  def before_leaving(self, act: Callable[[], None]) -> None:
    """Calls a function before a thread ends the process, where no other clean-up runs."""
    self._clean_up.callback(act)

  def check_same(self, name: str, settings: Mapping[str, str]) -> None:
    """Checks that all hosts were started with the same settings.

    Hosts with different settings would train different networks or break a collective.

    Args:
      name: name of the settings.
      settings: field → value, as text.

    Raises:
      InputError: the settings differ; names the hosts and the fields.
    """
    place = f"{_FOLDER}settings/{name}/"
    self._store.key_value_set(f"{place}{self._host}", json.dumps(dict(settings)))
    self._store.wait_at_barrier(f"{_FOLDER}settings/{name}", self._limits.collective_s * 1000)
    settings_of_hosts = {
      int(key.rpartition("/")[2]): json.loads(text) for key, text in self._store.key_value_dir_get(place)
    }
    for host, own in sorted(settings_of_hosts.items()):
      other = [field for field in settings_of_hosts[0] if own.get(field) != settings_of_hosts[0][field]]
      if other:
        raise InputError(f"--host={host}: differs from host 0 in {', '.join(other)}; run the same command on all hosts")

  def finish(self) -> None:
    """Waits for all hosts at the end of the training.

    Raises:
      RuntimeError: they did not arrive within `Timeouts.collective_s`.
    """
    self._store.wait_at_barrier(f"{_FOLDER}finished", self._limits.collective_s * 1000)
    if not self._leaving.acquire(blocking=False):
      self._stay()
    self._finished = True
    self._part()

  def fail(self, error: BaseException) -> None:
    """Reports to the other hosts that this host fails with an error.

    After a broken collective it names the host that broke it and ends this process.
    """
    broken = isinstance(error, RuntimeError | ValueError) and not isinstance(error, InputError)
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if broken and _BROKEN.search(str(error)):
      self._limit_s = min(self._limit_s, BROKEN_S)
      until = self._signs.awake_s + 3 * BROKEN_S
      while self._signs.awake_s < until:  # the other thread finds the lost host and ends this process
        time.sleep(BEAT_S / 2)
      self._leave(End((self._host,), f"lost its connection to the other hosts, which all respond ({line})"))
    if not self._leaving.acquire(blocking=False):
      self._stay()
    if isinstance(error, sigterm.StopRequested):
      end = End((self._stopped_by,), "was stopped", sigterm.EXIT_STOPPED)
      if self._stopped_by != self._host:
        self._print(end)
    else:
      end = End((self._host,), f"ended with an error ({line})", remedy="fix the error, then ")
    self._part(end)

  def _count(self) -> None:
    beats = 0
    while not self._over.is_set():
      beats += 1
      with contextlib.suppress(RuntimeError, ValueError):  # host 0 does not answer, which the other thread detects
        self._store.key_value_set(f"{_FOLDER}alive/{self._host}", str(beats), allow_overwrite=True)
        if self._stop.is_set():
          self._store.key_value_set(f"{_FOLDER}stop", str(self._host), allow_overwrite=True)
        self._read()
      self._over.wait(BEAT_S)

  def _read(self) -> None:
    values = {key.rpartition(_FOLDER)[2]: value for key, value in self._store.key_value_dir_get(_FOLDER)}
    counters = {int(key.partition("/")[2]): value for key, value in values.items() if key.startswith("alive/")}
    self._left = {int(key.partition("/")[2]) for key in values if key.startswith("left/")}
    if "stop" in values and self._host == 0 and not self._stop.is_set():
      self._stopped_by = int(values["stop"])
      self._stop.set()
      os.kill(os.getpid(), signal.SIGTERM)  # the main thread raises it, after the next state if it trains
    if "end" in values:
      end = json.loads(values["end"])
      self._end = End(**{**end, "culprits": tuple(end["culprits"])})
    self._signs.update(counters)

  def _decide(self) -> None:
    self._checked_s = time.monotonic()
    while not self._over.wait(BEAT_S / 2):
      now = time.monotonic()
      seconds, self._checked_s = now - self._checked_s, now
      self._signs.elapse(seconds)
      if seconds > _MOST_AWAKE_S:
        self._suspended_s = seconds
      end = self._end
      lost = self._signs.lost(self._limit_s)
      if end is None and lost:
        end = End(tuple(lost), f"was lost (no heartbeat for {self._limit_s:.0f} s)")
      if end is not None:
        self._leave(end)

  def _leave(self, end: End) -> None:
    """Prints the reason and ends the process; only the first thread that calls it does so."""
    if not self._leaving.acquire(blocking=False):
      return
    if self._host in end.culprits and self._end is not None and end.status != sigterm.EXIT_STOPPED:
      end = dataclasses.replace(end, reason=f"{end.reason}: this is the host itself, which resumed too late")
    self._print(end)
    self._part(end)
    self._exit(end.status)

  def _print(self, end: End) -> None:
    os.write(2, f"\n{end.describe(self._hosts)}\n".encode(errors="backslashreplace"))  # a progress bar may stand there

  def _exit(self, status: int) -> NoReturn:
    self._clean_up.close()
    os._exit(status)  # the main thread may wait in a collective for ever

  def _stay(self) -> NoReturn:
    """Waits for the other thread to end the process."""
    while True:
      time.sleep(BEAT_S)

  def _part(self, end: End | None = None) -> None:
    """Reports to the other hosts that this host leaves. Host 0 leaves last, with the store."""

    def report() -> None:
      if end is not None:
        with contextlib.suppress(RuntimeError, ValueError):  # another host was first, or the store is lost
          self._store.key_value_set(f"{_FOLDER}end", json.dumps(dataclasses.asdict(end)))
      with contextlib.suppress(RuntimeError, ValueError):
        self._store.key_value_set(f"{_FOLDER}left/{self._host}", "", allow_overwrite=True)

    reporter = threading.Thread(target=report, daemon=True)  # a frozen host 0 does not answer
    reporter.start()
    reporter.join(PARTING_S / 3)
    if self._host == 0:
      lost = end.culprits if end is not None and end.status != sigterm.EXIT_STOPPED else ()
      others = {host for host in range(1, self._hosts) if host not in lost}
      until = time.monotonic() + PARTING_S
      while not others <= self._left and time.monotonic() < until:
        time.sleep(BEAT_S / 10)
      time.sleep(BEAT_S)  # for them to disconnect from the store
    self._over.set()

  def _aborted(self) -> None:
    """Turns the abort by which jax ends a host without a connection into a line and a status; ignores other aborts."""
    if self._finished:  # host 0 left before this host disconnected
      self._exit(0)
    if self._leaving.acquire(blocking=False):
      end = self.reason_of_abort()
      if end is None:
        return
      self._print(end)
    elif self._host == 0:
      return
    self._exit(1)

  def reason_of_abort(self) -> End | None:
    """Returns why jax aborts this host; None if not for a closed connection."""
    suspended_s = max(self._suspended_s, time.monotonic() - self._checked_s)
    if suspended_s > _PING_S:
      return End((self._host,), f"was suspended for {suspended_s:.0f} s, and its connection was closed")
    if self._host == 0:
      return None
    if self._signs.store_silent_s > _STORE_S:
      return End((0,), f"was lost (no heartbeat for {self._signs.store_silent_s:.0f} s)")
    return None if _answers(self._address) else End((0,), "was lost (it closed the connection)")


_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)
_handlers: list[Any] = []  # must live as long as the process


def _on_abort(act: Callable[[], None]) -> None:
  """Calls a function at SIGABRT, in the thread that aborts.

  Python's own handlers would run in the main thread, which may be waiting.
  """
  _handlers.append(_HANDLER(lambda number: act()))
  install = ctypes.CDLL(None).signal
  install.argtypes, install.restype = [ctypes.c_int, _HANDLER], ctypes.c_void_p
  install(signal.SIGABRT, _handlers[-1])


def _answers(address: str) -> bool:
  name, _, port = address.rpartition(":")
  try:
    socket.create_connection((name.strip("[]"), int(port)), timeout=BROKEN_S).close()
  except (OSError, ValueError):
    return False
  return True


def join(limits: Timeouts, **process: Any) -> HostMonitor:
  """Connects to the other hosts before any computation, and watches them from then on.

  Args:
    limits: how long to wait.
    **process: arguments of `jax.distributed.initialize` that identify this host; none where the cluster provides them.

  Returns:
    The monitor; call its `finish` or `fail` at the end.

  Raises:
    InputError: the other hosts do not arrive.
  """
  flags = os.environ.get("XLA_FLAGS", "")
  if _COLLECTIVE_FLAG not in flags:
    os.environ["XLA_FLAGS"] = f"{flags} {_COLLECTIVE_FLAG}={limits.collective_s}".strip()
  jax.config.update("jax_enable_recoverability", True)  # jax would abort the others without naming the lost host
  jax.config.update("jax_enable_preemption_service", False)  # it would intercept SIGTERM, and nothing would stop
  _on_abort(lambda: _exit_unjoined(limits))
  try:
    jax.distributed.initialize(
      initialization_timeout=limits.join_s, heartbeat_timeout_seconds=limits.host_s + 2 * int(PARTING_S), **process
    )
  except (RuntimeError, ValueError) as error:
    line = str(error).strip().splitlines()[0]
    raise InputError(
      f"--coordinator: not all hosts connected ({line}); start the same command on every host"
    ) from error
  from jax._src import distributed  # the store has no public name; orbax imports it from there too

  state: Any = distributed.global_state
  monitor = HostMonitor(state.client, state.process_id, state.num_processes, limits, state.coordinator_address or "")
  monitor.start()
  try:
    monitor.check_same("join", {"number of --hosts": str(state.num_processes)})
    _connect_devices(state.client, limits.join_s)
  except BaseException as error:
    monitor.fail(error)
    raise
  return monitor


def _exit_unjoined(limits: Timeouts) -> None:
  """Ends a host that did not reach the others, where jax would abort it."""
  line = f"error: --coordinator: not all hosts connected within {limits.join_s} s; start the same command on every host"
  os.write(2, f"\n{line}\n".encode())
  os._exit(2)


def _connect_devices(store: KeyValueStore, limit_s: int) -> None:
  """Connects the devices of all hosts while the hosts are in step.

  Gloo limits the first collective to 30 s, and no setting changes that.
  """
  devices = np.array(jax.devices())
  mesh = Mesh(devices, ("data",))
  ones = jax.make_array_from_callback(
    devices.shape, NamedSharding(mesh, PartitionSpec("data")), lambda index: np.ones(devices.shape, np.float32)[index]
  )
  total = jax.jit(jnp.sum, out_shardings=NamedSharding(mesh, PartitionSpec())).lower(ones).compile()
  store.wait_at_barrier(f"{_FOLDER}connect", limit_s * 1000)
  jax.block_until_ready(total(ones))
