"""Who is lost, by the numbers that hosts read of one another."""

import json

import pytest

from cap_jax.train import host_liveness
from cap_jax.train.host_liveness import End, HostMonitor, SignsOfLife, Timeouts
from cap_jax.types import InputError

pytestmark = pytest.mark.quick


class Shelf:
  """A store of one process."""

  def __init__(self):
    self.kept, self.barriers = {}, []

  def key_value_set(self, key, value, allow_overwrite=False):
    if key in self.kept and not allow_overwrite:
      raise RuntimeError(f"ALREADY_EXISTS: {key}")
    self.kept[key] = value

  def key_value_dir_get(self, key):
    return [(name, value) for name, value in self.kept.items() if name.startswith(key)]

  def wait_at_barrier(self, barrier_id, timeout_in_ms):
    self.barriers.append((barrier_id, timeout_in_ms))


def seconds(signs, count):
  for _ in range(count):
    signs.elapse(1.0)


def test_hosts_with_other_settings_are_named():
  shelf = Shelf()
  for host in (1, 2):
    key = f"cap_jax/hosts/settings/run/{host}"
    shelf.key_value_set(key, json.dumps({"seed": str(host // 2), "steps": "50"}))
  with pytest.raises(InputError, match="--host=2: differs from host 0 in seed; run the same command"):
    HostMonitor(shelf, 0, 3, Timeouts(collective_s=7)).check_same("run", {"seed": "0", "steps": "50"})
  assert shelf.barriers == [("cap_jax/hosts/settings/run", 7000)]  # all have written before any reads


def test_a_host_whose_counter_moves_is_not_lost():
  signs = SignsOfLife(1, 4)
  for beat in range(5):
    signs.update({0: str(beat), 1: "7", 2: "3", 3: str(beat)})
    seconds(signs, 100)
  assert signs.lost(99) == [0]  # nothing was read since
  signs.update({0: "9", 1: "7", 2: "3", 3: "9"})
  assert signs.lost(99) == [2]
  assert signs.lost(500) == []
  assert signs.lost(499) == [2]


def test_host_0_is_named_where_none_can_be_heard():
  signs = SignsOfLife(2, 3)
  signs.update({0: "1", 1: "1"})
  seconds(signs, 3)
  signs.update({0: "2", 1: "1"})
  seconds(signs, 18)
  assert signs.lost(20) == []  # though of host 1 nothing was heard for 21 s
  seconds(signs, 3)
  assert signs.lost(20) == [0]


def test_a_host_0_that_hangs_is_named_though_its_store_answers():
  signs = SignsOfLife(1, 3)
  for beat in range(21):
    signs.update({0: "5", 2: str(beat)})
    seconds(signs, 1)
  assert signs.lost(20) == [0]


def test_two_lost_hosts_are_both_named():
  signs = SignsOfLife(0, 4)
  seconds(signs, 11)
  signs.update({2: "1"})
  assert signs.lost(10) == [1, 3]


def test_a_pause_of_this_host_is_no_silence_of_the_others():
  signs = SignsOfLife(0, 2)
  signs.elapse(3600.0)
  assert signs.lost(2.0) == []
  assert signs.awake_s == 2.0


def test_a_line_names_who_it_was_and_what_to_do():
  again = "run the same command again, on any number of hosts, which resumes the training in the same --workdir"
  assert End((1,), "was stopped").describe(2) == f"error: host 1 of 2 was stopped; {again}"
  assert End((1, 3), "was lost").describe(4) == f"error: hosts 1, 3 of 4 were lost; {again}"


def test_the_first_reason_stays():
  shelf = Shelf()
  HostMonitor(shelf, 1, 3, Timeouts()).fail(OSError("disk full"))
  HostMonitor(shelf, 2, 3, Timeouts()).fail(OSError("no route"))
  end = json.loads(shelf.kept["cap_jax/hosts/end"])
  assert (end["culprits"], end["reason"]) == ([1], "ended with an error (disk full)")
  assert {"cap_jax/hosts/left/1", "cap_jax/hosts/left/2"} <= set(shelf.kept)


def test_what_a_host_reads_is_what_another_wrote():
  shelf = Shelf()
  HostMonitor(shelf, 2, 3, Timeouts()).fail(ValueError("batch=5"))
  reader = HostMonitor(shelf, 1, 3, Timeouts())
  reader._read()
  assert reader._end == End((2,), "ended with an error (batch=5)", 1, "fix the error, then ")
  assert reader._left == {2}


def test_limits_are_in_order():
  limits = Timeouts()
  assert host_liveness.BROKEN_S < limits.host_s < limits.collective_s
  assert limits.host_s > 2 * 120  # two minutes of a frozen host, with room


def test_an_abort_names_the_host_that_was_suspended():
  monitor = HostMonitor(Shelf(), 1, 2, Timeouts())
  monitor._checked_s -= 90.0
  assert monitor.reason_of_abort() == End((1,), "was suspended for 90 s, and its connection was closed")
  first = HostMonitor(Shelf(), 0, 2, Timeouts())
  assert first.reason_of_abort() is None  # an abort of another kind keeps its trace
  first._suspended_s = 61.0
  assert first.reason_of_abort() == End((0,), "was suspended for 61 s, and its connection was closed")


def test_an_abort_names_a_host_0_that_does_not_answer():
  monitor = HostMonitor(Shelf(), 1, 2, Timeouts(), address="localhost:1")  # nobody listens there
  assert monitor.reason_of_abort() == End((0,), "was lost (it closed the connection)")
  seconds(monitor._signs, 61)
  assert monitor.reason_of_abort() == End((0,), "was lost (no heartbeat for 61 s)")
