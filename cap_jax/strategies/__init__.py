"""The registry of transfer strategies by name."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cap_jax.losses.terms import Term
from cap_jax.strategies import (
  combination,
  domain_adaptation,
  feature_transfer,
  fine_tuning,
  multi_task,
  parameter_transfer,
  scratch,
)
from cap_jax.strategies.strategy import Stage, Strategy
from cap_jax.types import InputError, suggest

STRATEGIES: dict[str, Strategy] = {
  "scratch": scratch.STRATEGY,
  "feature_transfer": feature_transfer.STRATEGY,
  "fine_tuning": fine_tuning.STRATEGY,
  "parameter_transfer": parameter_transfer.STRATEGY,
  "domain_adaptation": domain_adaptation.STRATEGY,
  "multi_task": multi_task.STRATEGY,
  "combination": combination.STRATEGY,
  **feature_transfer.VARIANTS,
  **fine_tuning.VARIANTS,
  **parameter_transfer.VARIANTS,
  **domain_adaptation.VARIANTS,
  **multi_task.VARIANTS,
}


def changes_of(strategy: Strategy) -> dict[str, Any]:
  """Returns the fields of a strategy that differ from the registered strategy of its name.

  A strategy without a registered name is compared with the defaults.

  Args:
    strategy: a strategy.
  """
  registered = STRATEGIES.get(strategy.name, Strategy(equation=strategy.equation))
  names = [field.name for field in dataclasses.fields(Strategy) if field.name != "name"]
  return {name: getattr(strategy, name) for name in names if getattr(strategy, name) != getattr(registered, name)}


def find(name: str, changes: Mapping[str, Any] | None = None) -> Strategy:
  """Returns a strategy by name, with some of its fields changed.

  Args:
    name: name in `STRATEGIES`.
    changes: field → value, as in a config or a flag.

  Raises:
    InputError: the name or a field is unknown, or a value is invalid.
  """
  if name not in STRATEGIES:
    raise InputError(f"strategy {name!r} is unknown; {suggest(name, STRATEGIES)}")
  values = dict(changes or {})
  fields = [field.name for field in dataclasses.fields(Strategy) if field.name != "name"]
  for field in values:
    if field not in fields:
      raise InputError(f"strategy {name}: no field {field!r}; {suggest(field, fields)}")
  try:
    for field, kind in (("stages", Stage), ("loss", Term)):
      if field in values:
        values[field] = tuple(kind(*part) for part in values[field])
    if "init_from_source" in values:
      values["init_from_source"] = tuple(values["init_from_source"])
    return dataclasses.replace(STRATEGIES[name], **values, name=name)
  except TypeError as error:
    raise InputError(f"strategy {name}: {error}") from error
