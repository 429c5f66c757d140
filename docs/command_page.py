"""The page of all commands and their flags, from the code; `conf.py` writes it when the site is built."""

import importlib
import sys
from types import ModuleType

from absl import flags

from cap_jax.__main__ import COMMANDS

_FLAGS = "cap_jax.cli"
_COMMON = f"{_FLAGS}.launcher"


def text() -> str:
  """Returns the page, in MyST."""
  arguments, sys.argv = sys.argv, ["cap-jax"]  # which some modules parse when they are imported
  try:
    from cap_jax.cli import launcher

    common, shared = _rows(flags.FLAGS.flags_by_module_dict()[_COMMON]), {}
    parts = [
      "# Commands",
      "`cap-jax NAME --help` prints the same. {doc}`../config` lists the fields `--config.FIELD=VALUE`.",
      *(_section(name, what, launcher, shared) for name, what in COMMANDS.items()),
      f"## Flags of all commands\n\n{common}",
    ]
  finally:
    sys.argv = arguments
  return "\n\n".join(parts) + "\n"


def _section(name: str, what: str, launcher: ModuleType, shared: dict[str, list[flags.Flag]]) -> str:
  """Returns the section of a command: what it does, how it is called, its flags.

  Args:
    name: of the command.
    what: it does.
    launcher: the module that knows its usage.
    shared: module → its flags, of the modules that earlier commands have imported.
  """
  module = importlib.import_module(f"{_FLAGS}.{launcher.MODULES.get(name, name)}")
  defined = {
    key: own
    for key, own in flags.FLAGS.flags_by_module_dict().items()
    if key.startswith(f"{_FLAGS}.") and key != _COMMON
  }
  config = [
    flag for own in defined.values() for flag in own if flag.name == "config"
  ]  # each command has one of its own
  for key, own in defined.items():
    shared.setdefault(key, [flag for flag in own if flag not in config])
  for flag in [
    flag for own in defined.values() for flag in own
  ]:  # of which another command may define one of the same name
    delattr(flags.FLAGS, flag.name)
  found = [flag for place in _reached(module) for flag in shared.get(place, [])]
  return f"## `{name}`\n\n{what[0].upper()}{what[1:]}.\n\n```text\n{launcher.usage_of(name)}\n```\n\n{_rows([*found, *config])}"


def _reached(module: ModuleType) -> dict[str, None]:
  """Returns the names of the modules of commands and flags that a command imports, its own first."""
  reached, left = {}, [module]
  while left:
    one = left.pop(0)
    if one.__name__ not in reached:
      reached[one.__name__] = None
      left += [v for v in vars(one).values() if isinstance(v, ModuleType) and v.__name__.startswith(f"{_FLAGS}.")]
  return reached


def _rows(found: list[flags.Flag]) -> str:
  """Returns a table of flags."""
  lines = ["| flag | default | meaning |", "|---|---|---|"]
  for flag in sorted(found, key=lambda one: one.name):
    default = (
      "" if flag.default in (None, [], "") or flag.name == "config" else f"`{flag.default_as_str.strip(chr(39))}`"
    )
    meaning = " ".join((flag.help or "").split()).replace("|", "\\|").replace("<", "\\<")
    lines.append(f"| `--{flag.name}` | {default} | {meaning} |")
  return "\n".join(lines)
