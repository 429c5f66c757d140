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
import itertools
import re
import unicodedata
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


def leaf_paths(params: Params) -> dict[str, Any]:
  """Returns path → leaf, in the order of the tree.

  Raises:
    InputError: keys are no text.
  """
  try:
    flat, _ = jax.tree_util.tree_flatten_with_path(params)
  except ValueError as error:  # keys that have no order
    raise InputError("parameters: their keys must all be text, as those of `net.params`") from error
  return {"/".join(str(key.key) for key in path): leaf for path, leaf in flat}


def nest(leaves: Mapping[str, Any]) -> Params:
  """Returns the tree of a mapping path → leaf."""
  tree: Params = {}
  for path, leaf in leaves.items():
    *above, last = path.split("/")
    node = tree
    for key in above:
      node = node.setdefault(key, {})
    node[last] = leaf
  return tree


LONGEST_MESSAGE = 500  # characters
LONGEST_NAME = 255  # characters of the name of a subject or a record; those of a file name
_LONGEST_REMEDY, _LONGEST_SUBJECT, _LONGEST_CHOICES, _LONGEST_CHOICE = 290, 60, 360, 40
_LINE_ENDS = re.compile("[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")
_JOINERS = "\u200c\u200d"  # between letters of Persian and Indic scripts


def visible(text: str) -> str:
  """Returns text on one line in which every character is visible.

  Line ends become spaces. Control characters, such as those of a terminal, marks that change the direction of writing and
  bytes that are no text are written as escapes.

  Args:
    text: any text, such as a name in a file.
  """
  return text if text.isprintable() else escape(_LINE_ENDS.sub(" ", text)).strip()


def escape(text: str, kept: str = "") -> str:
  """Returns text with escapes for what `is_visible` excludes.

  Args:
    text: any text.
    kept: characters that stay as they are.
  """
  if text.isprintable():
    return text
  return "".join(one if one in kept or is_visible(one) else one.encode("unicode_escape").decode() for one in text)


def is_visible(text: str) -> bool:
  """Returns whether text has no control character, line end, mark of direction, or byte that is no text."""
  return text.isprintable() or all(
    each in _JOINERS or unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in text
  )


def counted(number: int, noun: str) -> str:
  """Returns a number of things, such as "1 record" and "2,000 records"."""
  return f"{number:,} {noun}{'s' * (number != 1)}"


def shorten(text: str, longest: int) -> str:
  """Returns text of which the middle is left out if it is long.

  Args:
    text: any text.
    longest: characters of the result; 5 or more.
  """
  if len(text) <= longest:
    return text
  before = (longest - 3) // 2
  return f"{text[:before].rstrip()} … {text[len(text) - (longest - 3 - before) :].lstrip()}"


def message_of(text: str) -> str:
  """Returns text as a message: visible, on one line, and of `LONGEST_MESSAGE` characters at most.

  The middle is left out, so that its beginning, which names the place, and its end, which is the remedy, stay.

  Args:
    text: of the message; it may quote files.
  """
  return shorten(visible(shorten(text, 8 * LONGEST_MESSAGE)), LONGEST_MESSAGE)


class InputError(ValueError):
  """An input of the user is invalid. The message names the input, the place and the remedy, as `message_of` writes it."""

  def __init__(self, message: str):
    super().__init__(message_of(message))


def suggest(name: str, names: Iterable[str]) -> str:
  """Returns the remedy for an unknown name: the names that resemble it, or all names.

  Args:
    name: the unknown name.
    names: the known names; of very many, the first.
  """
  known = [shorten(one, _LONGEST_CHOICE) for one in names]
  near = difflib.get_close_matches(str(name)[:LONGEST_NAME], known, n=3, cutoff=0.7)
  if near:
    return f"did you mean {' or '.join(near)}?"
  lengths = itertools.accumulate(len(one) + 2 for one in known)
  first = [one for one, length in zip(known, lengths, strict=True) if length <= _LONGEST_CHOICES]
  more = f", … ({len(known)} in all)" if len(first) < len(known) else ""
  return f"choose one of {', '.join(first) or 'none'}{more}"


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
    where, subject = escape(shorten(where, 8 * LONGEST_MESSAGE)), escape(shorten(subject, 8 * LONGEST_NAME))
    problem, remedy = (visible(shorten(part, 8 * LONGEST_MESSAGE)) for part in (problem, remedy))
    subject = shorten(subject, LONGEST_NAME)
    who = f", subject {shorten(subject, _LONGEST_SUBJECT)}" if subject else ""
    rest = LONGEST_MESSAGE - len(who) - len(": ; ")
    if len(where) + len(problem) + len(remedy) > rest:  # what is quoted is shortened, the remedy last
      remedy = shorten(remedy, max(_LONGEST_REMEDY, rest - len(where) - len(problem)))
      rest -= len(remedy)
      where = shorten(where, max(rest // 2, rest - len(problem)))
      problem = shorten(problem, rest - len(where))
    who = "" if subject in where else who
    self.where, self.problem, self.remedy, self.subject = where, problem, remedy, subject
    super().__init__(f"{where}{who}: {problem}; {remedy}")

  def __reduce__(self) -> tuple[Any, ...]:
    return DataError, (self.where, self.problem, self.remedy, self.subject)
