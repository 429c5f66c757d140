"""A sample of the cases of a test in the default run, the others in the slow one."""

from collections.abc import Iterable
from typing import Any

import pytest


def sample(cases: Iterable[Any], *saved: Any) -> list[Any]:
  """The cases for `pytest.mark.parametrize`, those that are not kept marked slow.

  Raises:
    ValueError: a case that is to be kept is none of them.
  """
  cases = list(cases)
  strangers = [case for case in saved if case not in cases]
  if strangers:
    raise ValueError(f"{strangers} are none of the cases {cases}")
  return [
    case if case in saved else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
    for case in cases
  ]
