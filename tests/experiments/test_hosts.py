"""Several hosts in one training, each a process of its own on this machine, of which one is slow, frozen, stopped or killed."""

import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import sys
import tempfile
import threading
import time

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from cap_jax.cli import distributed
from cap_jax.study import study_datasets, training
from cap_jax.train import checkpoint, clock, training_state
from cap_jax.types import InputError
from tests.experiments import commands
from tests.ports import free_port
from tests.train import people

SMALL = [
  f"--config.{name}={value}"
  for name, value in {
    "source_subjects": 6, "source_seconds": 8.0, "validation_subjects": 2, "pretrain.steps": 100, "pretrain.batch": 12,
    "model.channels": 8, "model.layers": 1, "model.head_channels": 8,
  }.items()
]  # fmt: skip
STATE = "training_states/000/000000050"
_PROCESSES = multiprocessing.get_context("forkserver")
_NET_S = 900  # a test that hangs ends


def before(place, name, act):
  """`act` comes before each call of a function."""
  real = getattr(place, name)

  def call(*args, **options):
    act()
    return real(*args, **options)

  setattr(place, name, call)


def people_as_source(study):
  """Made-up people instead of the virtual cohort, which takes longer to draw than all the rest."""
  of = {"data": "in silico: made-up people", "source": study.source}
  return study_datasets.Source(people.pairs("abcdef", 6, 0), people.pairs("uv", 6, 1), of)


def refuse():
  raise InputError("/data/store: block 7 cannot be read")


def kill_when(path):
  wait_for(path)
  os.kill(os.getpid(), signal.SIGKILL)


def wait_for(path):
  until = time.monotonic() + _NET_S
  while not path.exists() and time.monotonic() < until:
    time.sleep(0.1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Orders:
  """What a host is started with."""

  port: int
  number: int
  count: int
  workdir: str
  out: str
  err: str
  trouble: str
  extra: tuple
  whole: bool


def host(orders):
  """The command on one host. Its trouble: `flag:FLAG`, one that the others have not; `sleep:SECONDS` before the data are loaded; or at its first chunk of steps `slow:SECONDS`,
  `kill`, `kill_later` (at its second, when the first host has saved a state), `freeze`, `term` or `error`. If not `whole`, it trains on made-up people and calibrates nothing."""
  tempfile.tempdir = os.path.dirname(orders.out)  # a killed host leaves its scratch folder
  if not orders.whole:
    study_datasets.load_source = people_as_source
    training.source_network = lambda study, source, recorder: training.pretrained(
      study, source.training, source.validation, source.origin, recorder
    )
  what, _, seconds = orders.trouble.partition(":")
  training_state.EVERY = 50
  chunks = itertools.count(1)
  at_chunk = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "kill_later": lambda: kill_when(pathlib.Path(orders.workdir, STATE)) if next(chunks) == 2 else None,
    "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "freeze": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "slow": lambda: time.sleep(float(seconds)),
    "error": refuse,
  }
  if what in at_chunk:
    before(clock.Clock, "launched", at_chunk[what])
  if what == "sleep":
    before(study_datasets, "load_source", lambda: time.sleep(float(seconds)))
    before(checkpoint, "save", lambda: wait_for(pathlib.Path(orders.workdir, "checkpoint")))
  arguments = [*SMALL, f"--workdir={orders.workdir}", *orders.extra, *([seconds] if what == "flag" else [])]
  if orders.count > 1:
    arguments += [f"--coordinator=localhost:{orders.port}", f"--hosts={orders.count}", f"--host={orders.number}"]
  commands._main("pretrain", arguments, orders.out, orders.err, read=True)


class Hosts:
  """The same command on several hosts, with the trouble of some: number → trouble."""

  def __init__(self, folder, workdir, count, troubles=(), extra=(), whole=False, ports=None):
    """`ports`: number of a host → port by which it reaches the first; one free port for all by default."""
    port, self.folder, self.processes = free_port(), folder, []
    for number in range(count):
      out, err = (str(folder / f"{stream}{number}") for stream in ("out", "err"))
      of = dict(troubles).get(number, "")
      orders = Orders(
        port=(ports or {}).get(number, port), number=number, count=count, workdir=str(workdir), out=out, err=err, trouble=of, extra=tuple(extra),
        whole=whole,
      )  # fmt: skip
      self.processes.append(_PROCESSES.Process(target=host, args=(orders,)))
      self.processes[-1].start()

  def end(self):
    """Waits for all. Returns their statuses."""
    for process in self.processes:
      process.join(_NET_S)
      if process.is_alive():
        process.kill()
        process.join()
    return [process.exitcode for process in self.processes]

  def said(self, stream, number):
    """What a host printed."""
    return (self.folder / f"{stream}{number}").read_text(encoding="utf-8")


class Relay:
  """Forwards connections to a port of this machine, and can close them."""

  def __init__(self, target):
    self._target, self._sockets = target, []
    self._server = socket.create_server(("localhost", 0))
    self.port = self._server.getsockname()[1]

  def __enter__(self):
    threading.Thread(target=self._accept, daemon=True).start()
    return self

  def __exit__(self, *error):
    self._server.close()
    self.close_connections()

  def close_connections(self):
    for end in self._sockets:
      with contextlib.suppress(OSError):  # closed already
        end.shutdown(socket.SHUT_RDWR)

  def _accept(self):
    with contextlib.suppress(OSError):  # the server is closed
      while True:
        near = self._server.accept()[0]
        with contextlib.suppress(OSError):  # the first host is not there yet
          far = socket.create_connection(("localhost", self._target))
          self._sockets += [near, far]
          for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

  def _forward(self, source, sink):
    with contextlib.suppress(OSError):
      while data := source.recv(65536):
        sink.sendall(data)
    for end in (source, sink):
      with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
  """The network that one host trains, and what it prints."""
  return train_alone(tmp_path_factory.mktemp("single"))


def train_alone(folder, **options):
  started = Hosts(folder, folder / "work", 1, **options)
  assert started.end() == [0], started.said("err", 0)
  return checkpoint.load(folder / "work" / "checkpoint"), started.said("out", 0)


def check_alike(started, work, single):
  """They end well, with the network of one; the first host speaks for all."""
  statuses = started.end()
  assert statuses == [0] * len(statuses), [started.said("err", number) for number in range(len(statuses))]
  for number in range(1, len(statuses)):
    assert [line for line in started.said("out", number).splitlines() if "Gloo" not in line] == []
  network, printed = single
  output = checkpoint.load(work / "checkpoint")
  for block, layer in (("f", "embed"), ("r", "conv")):
    kernels = [np.asarray(one.params[block][layer]["matrix"]["kernel"]) for one in (network, output)]
    np.testing.assert_allclose(*kernels, atol=2e-3)
  errors = [float(re.search(r"RMSE ([\d.]+) mmHg", text).group(1)) for text in (printed, started.said("out", 0))]
  assert abs(errors[0] - errors[1]) < 0.02


# the first host writes its checkpoint while the other waits for it, so nothing in writing one waits for all; past 30 s Gloo gives up its
# first collective
@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["sleep:3", "slow:40"])
def test_a_slow_host_is_waited_for(tmp_path, single, trouble):
  work = tmp_path / "work"
  check_alike(Hosts(tmp_path, work, 2, {1: trouble}), work, single)


def trained_by(tmp_path, work, count, troubles=()):
  """The parameters that hosts train together, and what the first says on standard error."""
  return trained_by_all(Hosts(tmp_path, work, count, troubles), work)


def trained_by_all(started, work):
  statuses = started.end()
  assert statuses == [0] * len(statuses), [started.said("err", number) for number in range(len(statuses))]
  output = checkpoint.load(work / "checkpoint")
  assert output.about["steps"] == 100
  return jax.tree.leaves(output.params), started.said("err", 0)


def killed_later(tmp_path, work, count, killed):
  """Hosts that lose one after a state was saved at half of the steps."""
  started = Hosts(tmp_path, work, count, {killed: "kill_later"})
  assert started.end() == [-signal.SIGKILL if number == killed else 1 for number in range(count)]
  assert (work / STATE).is_dir()


def test_two_hosts_of_which_one_was_lost_resume_to_the_same_bits(tmp_path):
  """Two hosts in one go, of which one comes late; beside them two that lose one half-way, and go on."""
  (tmp_path / "never_stopped").mkdir()
  never_stopped = Hosts(tmp_path / "never_stopped", tmp_path / "whole", 2, {1: "sleep:1"})
  killed_later(tmp_path, tmp_path / "work", 2, killed=0)
  resumed, said = trained_by(tmp_path, tmp_path / "work", 2)
  whole, _ = trained_by_all(never_stopped, tmp_path / "whole")
  assert "resuming the stopped run" in said
  jax.tree.map(np.testing.assert_array_equal, resumed, whole)
  assert not (tmp_path / "work" / "training_states").exists()


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 1])
def test_four_hosts_resume_and_another_number_too(tmp_path, count):
  """Of four hosts the last is lost. The same four find the same bits; one alone adds in another order."""
  whole, _ = trained_by(tmp_path, tmp_path / "whole", 4)
  killed_later(tmp_path, tmp_path / "work", 4, killed=3)
  resumed, _ = trained_by(tmp_path, tmp_path / "work", count)
  for one, other in zip(resumed, whole, strict=True):
    np.testing.assert_allclose(one, other, rtol=0, atol=0 if count == 4 else 2e-3)


@pytest.mark.slow
def test_a_host_that_is_two_minutes_late_is_waited_for(tmp_path):
  (tmp_path / "single").mkdir()
  single = train_alone(tmp_path / "single", whole=True)
  work = tmp_path / "work"
  check_alike(Hosts(tmp_path, work, 2, {1: "sleep:120"}, whole=True), work, single)


def freeze(process, seconds):
  os.kill(process.pid, signal.SIGSTOP)
  time.sleep(seconds)
  os.kill(process.pid, signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [0, 1])
def test_a_host_that_is_frozen_for_less_than_a_minute_resumes(tmp_path, single, frozen):
  work = tmp_path / "work"
  started = Hosts(tmp_path, work, 2)
  wait_for(work / "run_settings.json")
  freeze(started.processes[frozen], 45)
  check_alike(started, work, single)


# at 100 s jax gives up a host by default; after 60 s gRPC closes a connection if a ping happened to be under way
@pytest.mark.slow
@pytest.mark.parametrize("frozen", [0, 1])
def test_a_host_that_is_frozen_for_two_minutes_resumes_or_says_why_not(tmp_path, single, frozen):
  work = tmp_path / "work"
  started = Hosts(tmp_path, work, 2)
  wait_for(work / "run_settings.json")
  freeze(started.processes[frozen], 120)
  if started.end() == [0, 0]:
    check_alike(started, work, single)
  else:
    said = [started.said("err", number) for number in range(2)]
    assert [process.exitcode for process in started.processes] == [1, 1], said
    for number in range(2):
      assert re.search(rf"error: host {frozen} of 2 was (lost|suspended for \d+ s)", said[number]), said[number]


@pytest.mark.slow
def test_a_host_whose_connection_is_closed_while_it_is_frozen_says_so(tmp_path):
  work = tmp_path / "work"
  port = free_port()
  with Relay(port) as relay:
    started = Hosts(tmp_path, work, 2, ports={0: port, 1: relay.port})
    wait_for(work / "run_settings.json")
    os.kill(started.processes[1].pid, signal.SIGSTOP)
    relay.close_connections()
    time.sleep(65)
    os.kill(started.processes[1].pid, signal.SIGCONT)
    assert started.end() == [1, 1], [started.said("err", number) for number in range(2)]
  said = started.said("err", 1)
  assert re.search(r"error: host 1 of 2 was suspended for \d+ s, and its connection was closed; run the same", said), (
    said
  )
  assert re.search(lost_line(1, 2, r"no heartbeat for \d+ s"), started.said("err", 0))


def lost_line(number, count, why):
  return rf"error: host {number} of {count} was lost \({why}\); run the same command again, on any number of hosts"


def test_a_killed_host_ends_the_others(tmp_path):
  work = tmp_path / "work"
  started = Hosts(tmp_path, work, 2, {0: "kill"})
  assert started.end() == [-signal.SIGKILL, 1], started.said("err", 1)
  assert re.search(lost_line(0, 2, "it closed the connection"), started.said("err", 1))
  assert not (work / "checkpoint").exists()
  assert "Traceback" not in started.said("err", 1)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 2])
def test_any_host_may_be_killed_and_the_same_command_trains_again(tmp_path, single, killed):
  work = tmp_path / "work"
  started = Hosts(tmp_path, work, 3, {killed: "kill"}, ["--metrics=jsonl"])
  assert started.end() == [-signal.SIGKILL if number == killed else 1 for number in range(3)]
  why = "no heartbeat for 10 s" if killed else "it closed the connection"
  for number in range(3):
    if number != killed:
      assert re.search(lost_line(killed, 3, why), started.said("err", number)), started.said("err", number)
  again = Hosts(tmp_path, work, 3, extra=["--metrics=jsonl"])
  check_alike(again, work, single)
  assert "resuming the stopped run" in again.said("err", 0)


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [0, 2])
def test_a_host_that_stays_frozen_is_lost(tmp_path, frozen):
  started = Hosts(tmp_path, tmp_path / "work", 3, {frozen: "freeze"}, ["--host_timeout_s=20"])
  others = [process for number, process in enumerate(started.processes) if number != frozen]
  for process in others:
    process.join(_NET_S)
  started.processes[frozen].kill()
  started.end()
  assert [process.exitcode for process in others] == [1, 1]
  for number in range(3):
    if number != frozen:
      assert re.search(lost_line(frozen, 3, "no heartbeat for 20 s"), started.said("err", number))


@pytest.mark.slow
@pytest.mark.parametrize("host_with_it", [0, 1])
@pytest.mark.parametrize(
  ("trouble", "own", "others", "line"),
  [
    (
      "error",
      2,
      1,
      r"ended with an error \(/data/store: block 7 cannot be read\); fix the error, then run the same",
    ),
    ("term", 75, 75, "was stopped; run the same command again, on any number of hosts"),
  ],
)
def test_a_host_that_ends_takes_the_others_with_it(tmp_path, host_with_it, trouble, own, others, line):
  started = Hosts(tmp_path, tmp_path / "work", 2, {host_with_it: trouble})
  other = 1 - host_with_it
  statuses = started.end()
  assert (statuses[host_with_it], statuses[other]) == (own, others), [started.said("err", number) for number in (0, 1)]
  assert re.search(f"error: host {host_with_it} of 2 {line}", started.said("err", other))
  assert "Traceback" not in started.said("err", host_with_it) + started.said("err", other)


def test_hosts_with_other_settings_do_not_train_together(tmp_path):
  started = Hosts(tmp_path, tmp_path / "work", 2, {1: "flag:--config.pretrain.seed=5"})
  assert started.end() == [2, 2], [started.said("err", number) for number in range(2)]
  line = "error: --host=1: differs from host 0 in pretrain.seed; run the same command on all hosts"
  assert line in started.said("err", 0)
  assert line in started.said("err", 1)
  assert not (tmp_path / "work" / "checkpoint").exists()


@pytest.mark.slow
def test_a_collective_has_the_limit_of_its_flag(tmp_path):
  started = Hosts(tmp_path, tmp_path / "work", 2, {1: "slow:600"}, ["--collective_timeout_s=5"])
  assert started.end() == [1, 1]
  for number in range(2):
    assert re.search(
      "host 0 of 2 lost its connection to the other hosts, which all respond", started.said("err", number)
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_hosts_that_do_not_meet_are_named(tmp_path, number):
  arguments = [*SMALL, f"--coordinator=localhost:{free_port()}", "--hosts=2", f"--host={number}", "--join_timeout_s=5"]
  done = commands.run("pretrain", *arguments, f"--workdir={tmp_path / 'x'}", timeout=_NET_S)
  assert done.returncode == 2, done.stderr
  assert "not all hosts connected" in done.stderr
  assert not (tmp_path / "x").exists()


@pytest.mark.quick
@pytest.mark.parametrize(
  "given",
  [
    {"coordinator": "localhost:1234"},
    {"hosts": 2, "host": 0},
    {"coordinator": "localhost", "hosts": 2, "host": 0},
    {"coordinator": "localhost:1234", "hosts": 2, "host": 2},
  ],
)
def test_a_host_without_an_identity_is_refused(given):
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(sys.argv[:1])
  match = "pass HOST:PORT, the number of hosts and the index of this one"
  with flagsaver.flagsaver(**given), pytest.raises(InputError, match=match), distributed.joined():
    raise AssertionError


@pytest.mark.slow
def test_a_refused_host_makes_no_folder(tmp_path):
  done = commands.run("pretrain", *SMALL, "--hosts=2", "--host=0", f"--workdir={tmp_path / 'x'}", timeout=_NET_S)
  assert done.returncode == 2
  assert "pass HOST:PORT, the number of hosts and the index of this one" in done.stderr
  assert not (tmp_path / "x").exists()
