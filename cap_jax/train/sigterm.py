"""Turns SIGTERM, by which a system requests a stop, into an exception that a training may delay until its state is saved.

A signal is sent to the whole process, so what this module knows is global too.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

EXIT_STOPPED = 75  # exit status after a requested stop with a saved state: EX_TEMPFAIL, "try again"


class StopRequested(BaseException):
  """The system requested a stop. Not an `Exception`, so no error handler catches it."""


_delayed = False
_requested = False
_pass_on: Callable[[], None] | None = None


def requested() -> bool:
  """Returns whether a SIGTERM arrived."""
  return _requested


def pass_on(act: Callable[[], None]) -> None:
  """Makes SIGTERM call a function on a host that saves nothing; the first host saves a state, and ends all."""
  global _pass_on
  _pass_on = act


def install() -> None:
  """Makes SIGTERM raise `StopRequested`: at once, or at the end of a block in which it is delayed."""

  def on_sigterm(number: int, frame: FrameType | None) -> None:
    global _requested
    del number, frame
    if _pass_on is not None:
      _pass_on()
      return
    _requested = True
    if not _delayed:
      raise StopRequested

  signal.signal(signal.SIGTERM, on_sigterm)


def check() -> None:
  """Raises what a delayed SIGTERM has not raised yet.

  Raises:
    StopRequested: a SIGTERM arrived.
  """
  if _requested:
    raise StopRequested


@contextlib.contextmanager
def delayed() -> Iterator[None]:
  """Delays a SIGTERM to the end of the block, or to a call of `check` in it.

  Raises:
    StopRequested: a SIGTERM arrived.
  """
  global _delayed
  _delayed = True
  try:
    yield
  finally:
    _delayed = False
  check()
