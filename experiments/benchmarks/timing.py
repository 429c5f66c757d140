"""Times calls in turns, and defines the rows of the table.

Other work on a machine slows whatever runs beside it. Calls to compare therefore alternate, and a ratio is the
median of the ratios of turns, not the ratio of two medians.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import tqdm


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How much is measured.

  Attributes:
    turns: timed calls of each.
    subjects: virtual subjects of the cohort.
    windows: windows that are prepared by workers of a cluster.
    steps: training steps of a turn.
    threads: numbers of PyTorch's threads to try; the best counts.
    store: a prepared store, for the input of data; "" for one of virtual subjects.
    site: of the store's waves.
  """

  turns: int = 5
  subjects: int = 4374
  windows: int = 200_000
  steps: int = 50
  threads: tuple[int, ...] = (1, 2)
  store: str = ""
  site: str = "radial"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
  """One result.

  Attributes:
    section: of the table.
    name: of the result.
    value: the result.
    unit: of the value; "×" is a ratio.
    target: to reach, None without one.
    at_least: whether more is better.
    detail: what else a reader needs, such as both times of a ratio.
    against: quantity on the horizontal axis, for a point of a curve.
    curve: name of the curve.
    size: value of the quantity.
  """

  section: str
  name: str
  value: float
  unit: str
  target: float | None = None
  at_least: bool = True
  detail: str = ""
  against: str = ""
  curve: str = ""
  size: float = 0.0

  @property
  def reached(self) -> bool | None:
    """Returns whether the target is reached; None without a target."""
    if self.target is None:
      return None
    return self.value >= self.target if self.at_least else self.value <= self.target


Times = dict[str, list[float]]


def in_turns(calls: Mapping[str, Callable[[], Any]], turns: int, label: str) -> Times:
  """Times each call in each turn, every other turn in reverse order.

  Each call runs once before, to compile. The time includes waiting for the jax arrays that a call returns.

  Args:
    calls: name → function.
    turns: number of turns.
    label: of the progress bar.

  Returns:
    Name → seconds of each turn.
  """
  for call in calls.values():
    jax.block_until_ready(call())
  times: Times = {name: [] for name in calls}
  with tqdm.tqdm(total=turns * len(calls), desc=label, unit="", leave=False) as bar:
    for turn in range(turns):
      for name in list(calls)[:: -1 if turn % 2 else 1]:
        began = time.perf_counter()
        jax.block_until_ready(calls[name]())
        times[name].append(time.perf_counter() - began)
        bar.update()
  return times


def median(seconds: list[float]) -> float:
  return statistics.median(seconds)


def ratio(over: list[float], under: list[float]) -> float:
  """Returns the median of the ratios of turns.

  Args:
    over: seconds of each turn.
    under: seconds of each turn.

  Returns:
    The ratio.
  """
  return statistics.median(a / b for a, b in zip(over, under, strict=True))


def fastest(times: Times, names: list[str]) -> str:
  """Returns the call with the least median.

  Args:
    times: of all calls.
    names: calls to choose from.

  Returns:
    The name.
  """
  return min(names, key=lambda name: median(times[name]))
