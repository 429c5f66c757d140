"""Shared types, and the legend of the axis letters that end the names of arrays.

| letter | axis | | letter | axis |
|---|---|---|---|---|
| b | window of a batch | | k | frequency or harmonic |
| t | sample in time | | e | edge of the arterial network |
| c | channel | | p | piece of an artery, or probe |
| n | token (a patch of samples) | | a | artery |
| d | feature | | w | terminal (Windkessel) |
| s | subject | | m | removed node of a round |
| | | | j | function of a basis |

A file that uses a letter for another axis defines it there. `x_bt` is a batch of peripheral windows, `y_bt` the aortic
waves on the same clock. Units are part of a name where data enter or leave the package (`fs_hz`, `p_mmhg`, `time_s`).
Inside, pressures are in mmHg except in `arteries`, which computes in SI.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

DType = Any
"""Data type of a computation, such as jnp.bfloat16; None for that of its arrays."""

Params = dict[str, Any]
"""A parameter tree whose top level is the notation of the method: {"f": θ_f, "r": θ_r}."""

Batch = Mapping[str, Any]
"""A part of a batch, array by name: "x" and "y" (batch, time), "c" (batch, covariate), …; or, for the whole loss of a
strategy, stream → part and "progress", the fraction of the training done."""
Metrics = dict[str, jax.Array]
LossFn = Callable[[Params, Batch, jax.Array], tuple[jax.Array, Metrics]]
"""loss(params, batch, key) -> (scalar, metrics), pure."""


class InputError(ValueError):
  """An input of the user is invalid. The message names the input, the place and the remedy."""


def suggest(name: str, names: Iterable[str]) -> str:
  """Returns the remedy for an unknown name: the names that resemble it, or all names.

  Args:
    name: the unknown name.
    names: the known names.
  """
  known = list(names)
  near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.7)
  return f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(known) or 'none'}"


class UnfitError(RuntimeError):
  """A method cannot be fitted to the data; the message says why."""


class DataError(InputError):
  """A file, record or subject is invalid: names the place, the problem and the remedy on one line.

  Attributes:
    where: the file, and the place in it.
    problem: what is wrong.
    remedy: what to do.
    subject: name of the subject, "" if the problem concerns none.
  """

  def __init__(self, where: str, problem: str, remedy: str, subject: str = ""):
    self.where, self.problem, self.remedy, self.subject = where, problem, remedy, subject
    who = f", subject {subject}" if subject and subject not in where else ""
    super().__init__(" ".join(f"{where}{who}: {problem}; {remedy}".split()))

  def __reduce__(self) -> tuple[Any, ...]:
    return DataError, (self.where, self.problem, self.remedy, self.subject)
