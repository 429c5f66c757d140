"""Worker processes that end together with the process that started them."""

import multiprocessing
import os
import threading


def exit_with_parent() -> None:
  """Makes this worker process exit when its parent does, even if the parent is killed.

  Unfinished files of the worker do not appear under their final names.
  """
  threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
  parent = multiprocessing.parent_process()
  assert parent is not None
  parent.join()
  os._exit(1)


def kill_workers() -> None:
  """Kills all processes that this one started; their unfinished work has to be repeated."""
  for child in multiprocessing.active_children():
    child.kill()
