"""Processes that work for one another, of which none is left behind."""

import multiprocessing
import os
import threading


def exit_with_parent() -> None:
  """In a process that another one started: it ends when that one does, even if that is killed. What it was writing is no file yet."""
  threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
  parent = multiprocessing.parent_process()
  assert parent is not None
  parent.join()
  os._exit(1)


def kill_workers() -> None:
  """Ends all that this process started: what they were at is done again."""
  for child in multiprocessing.active_children():
    child.kill()
