"""Schemas of JSON headers: the fields that a header has, their types and their ranges, as a table of values.

    WINDOWS = Fields({"fs_hz": Number(60, 20_000), "seconds": Number(0.1, 20_000), …})
    check(WINDOWS, parse("config.json", remedy), "config.json", remedy)

A value is of exactly one type: `true` is no number, 3.0 no whole number. NaN and infinity lie in no range (but NaN in
that of a number that may be unknown), keys occur once, text contains no control characters. An error names the file, the field and what it must be.

This is a module of its own because the libraries for schemas (jsonschema, pydantic, msgspec) are large dependencies
for one page of code, name a field by rules of their own, and neither bound the memory that a file takes nor see keys
that occur twice. A store has some fifty values a record, and opens with 10⁵ records in seconds only because a valid
value costs one comparison here.
"""

import dataclasses
import json
import math
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from cap_jax import files
from cap_jax.types import DataError, escape, suggest

Fault = tuple[str, str]
"""The place below a value, such as `.sd_mmhg[3]`, and what is wrong there."""

MOST_BYTES = 100_000_000  # of a header
# How often a sign may occur in a header of any size, so that it takes less than 1 GB: an object takes some 230 bytes, a
# name and its value 200, a list 90, a number 32. A shard of 10⁵ records needs half of it.
_MOST_SIGNS = {b"{": 1_000_000, b":": 4_000_000, b"[": 3_000_000, b",": 8_000_000}
_MOST_WIDE_BYTES = 1 << 24  # beyond ASCII, a character takes up to four bytes
_MOST_CHARACTERS = 200  # of a text, unless a schema says otherwise
_DEEPEST = 32  # levels of a plain value
_NO_TEXT = {"Cc", "Cs", "Zl", "Zp"}  # controls, surrogates, separators of lines and paragraphs
_LONGEST = 40  # characters of a value in a message
_MOST_CHOICES = 8  # that a message lists


class Kind(Protocol):
  """What a value must be."""

  def fault(self, value: Any) -> Fault | None:
    """Returns the first thing that is wrong with a value, None if nothing is."""
    ...


def show(value: Any) -> str:
  """Returns a value as a message shows it: as JSON, short, and without control characters."""
  if isinstance(value, Mapping):
    return f"an object of {len(value)}"
  if isinstance(value, list | tuple):
    return f"a list of {len(value)}"
  if isinstance(value, int) and abs(value) >= 10**_LONGEST:
    return "a whole number of more digits than any quantity has"
  text = json.dumps(value[:_LONGEST] if isinstance(value, str) else value)
  return f"{text[:_LONGEST]}…" if len(text) > _LONGEST or (isinstance(value, str) and len(value) > _LONGEST) else text


def is_text(value: str) -> bool:
  """Returns whether a text is without control characters and can be written as UTF-8."""
  return value.isprintable() or not any(unicodedata.category(letter) in _NO_TEXT for letter in value)


def cleaned(value: Any) -> Any:
  """Returns a plain value whose texts have escapes for control characters: names come from files of any kind."""
  if isinstance(value, str):
    return escape(value)
  if isinstance(value, Mapping):
    return {cleaned(key): cleaned(item) for key, item in value.items()}
  return [cleaned(item) for item in value] if isinstance(value, list | tuple) else value


@dataclasses.dataclass(frozen=True)
class Number:
  """A finite number from `low` to `high`."""

  low: float
  high: float

  def fault(self, value: Any) -> Fault | None:
    if (type(value) is float or type(value) is int) and self.low <= value <= self.high:
      return None
    return "", f"is {show(value)}, must be a number from {self.low:g} to {self.high:g}"


@dataclasses.dataclass(frozen=True)
class NumberIfKnown(Number):
  """A finite number from `low` to `high`, or NaN, which stands for an unknown one."""

  def fault(self, value: Any) -> Fault | None:
    return None if type(value) is float and math.isnan(value) else super().fault(value)


@dataclasses.dataclass(frozen=True)
class Whole:
  """A whole number from `low` to `high`."""

  low: int
  high: int

  def fault(self, value: Any) -> Fault | None:
    if type(value) is int and self.low <= value <= self.high:
      return None
    return "", f"is {show(value)}, must be a whole number from {self.low} to {self.high}"


@dataclasses.dataclass(frozen=True)
class Flag:
  """true or false."""

  def fault(self, value: Any) -> Fault | None:
    return None if type(value) is bool else ("", f"is {show(value)}, must be true or false")


@dataclasses.dataclass(frozen=True)
class Text:
  """A text of `low` to `high` characters, none of them a control character.

  Attributes:
    low, high: least and largest number of characters.
    pattern: regular expression that the whole text matches; "" for any text.
    form: the pattern in words, for the message.
  """

  low: int = 0
  high: int = _MOST_CHARACTERS
  pattern: str = ""
  form: str = "a text"

  def fault(self, value: Any) -> Fault | None:
    if type(value) is str and self.low <= len(value) <= self.high and not self.pattern and value.isprintable():
      return None
    if type(value) is not str:
      return "", f"is {show(value)}, must be {self.form}"
    if not self.low <= len(value) <= self.high:
      return "", f"has {len(value)} characters, must have {self.low} to {self.high}"
    if not is_text(value):
      return "", f"is {show(value)}, must contain no control characters"
    if self.pattern and not re.fullmatch(self.pattern, value):
      return "", f"is {show(value)}, must be {self.form}"
    return None


@dataclasses.dataclass(frozen=True)
class OneOf:
  """One of some texts.

  Attributes:
    choices: the texts, as keys, which are found at once.
  """

  choices: Mapping[str, Any]

  def fault(self, value: Any) -> Fault | None:
    if type(value) is str and value in self.choices:
      return None
    few = len(self.choices) <= _MOST_CHOICES or type(value) is not str
    first = ", ".join(list(self.choices)[:_MOST_CHOICES])
    return "", f"is {show(value)}, {f'must be one of {first}' if few else suggest(value[:100], self.choices)}"


@dataclasses.dataclass(frozen=True)
class Constant:
  """Exactly one value."""

  expected: str | int

  def fault(self, value: Any) -> Fault | None:
    if type(value) is type(self.expected) and value == self.expected:
      return None
    return "", f"is {show(value)}, must be {show(self.expected)}"


@dataclasses.dataclass(frozen=True)
class Nullable:
  """null, or another kind."""

  kind: Kind

  def fault(self, value: Any) -> Fault | None:
    return None if value is None else self.kind.fault(value)


@dataclasses.dataclass(frozen=True)
class ListOf:
  """A list of `low` to `high` values of one kind.

  Attributes:
    kind: that of each value.
    low, high: least and largest number of values.
    distinct: whether each value occurs once; they are then texts.
  """

  kind: Kind
  low: int = 0
  high: int = 1_000_000
  distinct: bool = False

  def fault(self, value: Any) -> Fault | None:
    if type(value) is not list:
      return "", f"is {show(value)}, must be a list"
    if not self.low <= len(value) <= self.high:
      number = str(self.low) if self.low == self.high else f"{self.low} to {self.high}"
      return "", f"has {len(value)} values, must have {number}"
    check = self.kind.fault
    for k, item in enumerate(value):
      if fault := check(item):
        return f"[{k}]{fault[0]}", fault[1]
    if self.distinct and len(set(value)) != len(value):
      return "", "contains a value twice"
    return None


@dataclasses.dataclass(frozen=True)
class Positions:
  """A list whose values are of one kind each, in this order."""

  kinds: tuple[Kind, ...]

  def fault(self, value: Any) -> Fault | None:
    if type(value) is not list or len(value) != len(self.kinds):
      return "", f"is {show(value)}, must be a list of {len(self.kinds)}"
    for kind, item in zip(self.kinds, value, strict=True):
      if fault := kind.fault(item):
        k = next(k for k, one in enumerate(value) if one is item)
        return f"[{k}]{fault[0]}", fault[1]
    return None


@dataclasses.dataclass(frozen=True)
class Fields:
  """An object with fields of fixed names.

  Attributes:
    kinds: field → kind.
    optional: fields that may be missing.
    others: kind of fields of other names; None if there may be none.
  """

  kinds: Mapping[str, Kind]
  optional: frozenset[str] = frozenset()
  others: Kind | None = None

  def fault(self, value: Any) -> Fault | None:
    if type(value) is not dict:
      return "", f"is {show(value)}, must be an object"
    known = 0
    for name, kind in self.kinds.items():
      if name in value:
        known += 1
        if fault := kind.fault(value[name]):
          return f".{name}{fault[0]}", fault[1]
      elif name not in self.optional:
        return f".{name}", "is missing"
    if known == len(value):
      return None
    return self._fault_of_others({name: item for name, item in value.items() if name not in self.kinds})

  def _fault_of_others(self, others: dict[str, Any]) -> Fault | None:
    if self.others is None:
      return f".{_named(next(iter(others)))}", "is no field of this file"
    return MapOf(Text(1), self.others).fault(others)


@dataclasses.dataclass(frozen=True)
class ByName:
  """An object whose field `name` says which other fields it has."""

  kinds: Mapping[str, Kind]

  def fault(self, value: Any) -> Fault | None:
    name = value.get("name") if type(value) is dict else None
    if fault := OneOf(self.kinds).fault(name):
      return ".name", fault[1]
    return self.kinds[str(name)].fault(value)


@dataclasses.dataclass(frozen=True)
class MapOf:
  """An object with any number of names of one kind, and values of another."""

  name: Kind
  kind: Kind
  high: int = 100_000

  def fault(self, value: Any) -> Fault | None:
    if type(value) is not dict:
      return "", f"is {show(value)}, must be an object"
    if len(value) > self.high:
      return "", f"has {len(value)} entries, must have at most {self.high}"
    for name, item in value.items():
      if fault := self.name.fault(name):
        return f".{_named(name)}", f"has a name that {fault[1]}"
      if fault := self.kind.fault(item):
        return f".{_named(name)}{fault[0]}", fault[1]
    return None


@dataclasses.dataclass(frozen=True)
class PlainValue:
  """Any value of JSON without NaN, infinity and control characters, and not deeply nested."""

  text: Text = Text(high=10_000)

  def fault(self, value: Any, depth: int = 0) -> Fault | None:
    if type(value) is float:
      return None if math.isfinite(value) else ("", f"is {show(value)}, must be finite")
    if type(value) is str:
      return self.text.fault(value)
    if depth > _DEEPEST:
      return "", f"is nested in more than {_DEEPEST} levels"
    if type(value) is dict:
      for name, item in value.items():
        if fault := self.text.fault(name) or self.fault(item, depth + 1):
          return f".{_named(name)}{fault[0]}", fault[1]
    if type(value) is list:
      for k, item in enumerate(value):
        if fault := self.fault(item, depth + 1):
          return f"[{k}]{fault[0]}", fault[1]
    return None


@dataclasses.dataclass(frozen=True)
class Deferred:
  """A kind that contains itself: returned when it is needed."""

  get: Callable[[], Kind]

  def fault(self, value: Any) -> Fault | None:
    return self.get().fault(value)


def _named(name: str) -> str:
  """Returns the name of a field as a message shows it."""
  return name if name.isidentifier() and len(name) <= _LONGEST else show(name)


def check(kind: Kind, value: Any, file: str, remedy: str) -> None:
  """Checks the content of a file.

  Args:
    kind: what it must be.
    value: the content.
    file: its name, for the message.
    remedy: what to do.

  Raises:
    DataError: it is something else; names the field, and what it must be.
  """
  try:
    fault = kind.fault(value)
  except RecursionError:
    fault = "", "is nested too deeply"
  refuse(fault, file, remedy)


def refuse(fault: Fault | None, file: str, remedy: str) -> None:
  """Raises what is wrong in a file, if anything is.

  Args:
    fault: what is wrong.
    file: its name, for the message.
    remedy: what to do.

  Raises:
    DataError: something is.
  """
  if fault:
    raise DataError(file, f"{fault[0].lstrip('.')} {fault[1]}".strip(), remedy)


def twice(values: Iterable[Any]) -> Any:
  """Returns the first value that occurs for the second time, None if there is none."""
  before = set()
  for value in values:
    if value in before:
      return value
    before.add(value)
  return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  """Returns the object of its entries.

  Raises:
    ValueError: a name occurs twice, of which a reader would see one only.
  """
  table = dict(pairs)
  if len(table) == len(pairs):
    return table
  raise ValueError(f"field {show(twice(name for name, _ in pairs))} occurs twice")


def parse(path: str | os.PathLike[str], remedy: str, most_bytes: int = MOST_BYTES) -> Any:
  """Reads a JSON file of bounded size.

  Args:
    path: the file.
    remedy: what to do about a file that cannot be read.
    most_bytes: size from which on the file is refused unread.

  Raises:
    OSError: there is no such file, or the system refuses to read it.
    DataError: it is no regular file, too large, or no JSON.
  """
  where = os.fspath(path)
  size = os.stat(path).st_size
  if size > most_bytes:
    raise DataError(where, f"has {size} bytes, too large for a header", remedy)
  with open(files.regular(path), "rb") as file:
    data = file.read(size + 1)
  # counted before they take memory, as are the bytes
  crowded = any(data.count(sign) > most for sign, most in _MOST_SIGNS.items())
  if crowded or len(data) > size or (len(data) > _MOST_WIDE_BYTES and not data.isascii()):
    raise DataError(where, f"holds more values than a header has ({len(data)} bytes)", remedy)
  try:
    text = data.decode()
    del data
    return json.loads(text, object_pairs_hook=_unique)
  except (ValueError, RecursionError) as error:
    raise DataError(where, f"damaged, or written by another project ({error})", remedy) from error
