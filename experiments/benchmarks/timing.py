"""Times of calls in turns, and rows of the table that they make.

Other work on a machine slows whatever runs beside it, so what is compared is called alternately, and a ratio is the median of the turns'
ratios, not the ratio of two medians of different minutes.
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

  turns: of what is compared.
  subjects: virtual ones, of the cohort's own figures.
  steps: of training, in a turn.
  threads: of PyTorch, each tried; the best counts.
  store: a prepared store, for the input of data; "" for one of virtual people.
  site: of the store's waves that are read.
  """

  turns: int = 5
  subjects: int = 4374
  steps: int = 50
  threads: tuple[int, ...] = (1, 2)
  store: str = ""
  site: str = "radial"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
  """One figure.

  Attributes:
    section, name: what was measured.
    value, unit: of it; "×" is a ratio.
    target: that it should reach, None without one.
    at_least: whether more is better.
    detail: what else a reader needs, such as both times of a ratio.
    against, curve, size: of a point of a curve, what it grows with, whose it is, and how large that is.
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
  def met(self) -> bool | None:
    """Whether the target is reached; None without one."""
    if self.target is None:
      return None
    return self.value >= self.target if self.at_least else self.value <= self.target


Times = dict[str, list[float]]


def in_turns(calls: Mapping[str, Callable[[], Any]], turns: int, label: str) -> Times:
  """Seconds of each call in each turn; every other turn goes backwards. Each is called once before, to compile; arrays of jax that a
  call returns are waited for."""
  for call in calls.values():
    jax.block_until_ready(call())
  found: Times = {name: [] for name in calls}
  with tqdm.tqdm(total=turns * len(calls), desc=label, unit="", leave=False) as bar:
    for turn in range(turns):
      for name in list(calls)[:: -1 if turn % 2 else 1]:
        began = time.perf_counter()
        jax.block_until_ready(calls[name]())
        found[name].append(time.perf_counter() - began)
        bar.update()
  return found


def median(seconds: list[float]) -> float:
  return statistics.median(seconds)


def ratio(over: list[float], under: list[float]) -> float:
  """Median of the turns' ratios."""
  return statistics.median(a / b for a, b in zip(over, under, strict=True))


def fastest(times: Times, names: list[str]) -> str:
  """Which of some calls has the least median."""
  return min(names, key=lambda name: median(times[name]))
