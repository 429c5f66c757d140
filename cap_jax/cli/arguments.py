"""Rewrites command-line arguments that absl and ml_collections cannot parse as they stand."""

import re
from collections.abc import Sequence

_CUSTOM = re.compile(r"(--?config)\.custom\.([^=\[]+)\.(\w+)(=.*)?", re.DOTALL)
# flags and fields that are whole numbers; any other value may be the name of a file
_WHOLE = re.compile(
  r"(--?(?:config\.(?:\w+\.)?)?(?:steps|batch|n_target|seed|\w*subjects)=)(\d+(?:\.\d+)?[eE]\+?\d{1,2})"
)


def normalised(argv: Sequence[str]) -> list[str]:
  """Returns arguments with quoted names of strategies, and whole numbers without an exponent.

  `--config.custom.multi_task/transducer.learning_rate=1e-3` names a strategy, whose slash would be a division, and
  `--config.steps=1e3` is a whole number.

  Args:
    argv: arguments as the user typed them.
  """
  return [_whole_number(_quoted(word)) for word in argv]


def _quoted(word: str) -> str:
  match = _CUSTOM.fullmatch(word)
  if match is None:
    return word
  config, strategy, field, value = match.groups()
  return f"{config}.custom['{strategy}'].{field}{value or ''}"


def _whole_number(word: str) -> str:
  match = _WHOLE.fullmatch(word)
  if match is None or not float(match.group(2)).is_integer():
    return word
  return f"{match.group(1)}{int(float(match.group(2)))}"
