"""Which layers are frozen: by name, by depth, or by the amount of target data and the distance between the domains.

| rule in `freeze` | freezes |
|---|---|
| a path, as `f` or `f/layer_0` | all parameters below it |
| `first:3`, `first:50%` | the first layers from the input |
| `last:3`, `last:50%` | the last layers before the output: surgical tuning of the early ones (Lee et al. 2023, ICLR) |
| `auto` | the layers that `decide` returns |
"""

import math
from collections.abc import Sequence

from cap_jax.strategies import surgery

ENOUGH = 10
FAR = 1.8
_LATE = "last:65%"


def decide(n_target: int, distance: float, layers: Sequence[str]) -> tuple[tuple[str, ...], str]:
  """Returns the layers that `auto` freezes, and why: the late ones if labels are few and the domains near, otherwise none.

  Waveform RMSE [mmHg] on validation subjects in silico, by tuned layers, means over two seeds:

  | scenario | d | labels | all | early third | late half | head |
  |---|---|---|---|---|---|---|
  | device_population | 1.93 | 1 | **1.58** | 1.76 | 1.68 | 1.75 |
  | | | 5 | **1.26** | 1.34 | 1.29 | 1.35 |
  | | | 20 | **0.85** | 0.98 | 0.91 | 1.01 |
  | population | 1.70 | 1 | 1.47 | **1.41** | 1.52 | 1.50 |
  | | | 5 | 1.20 | 1.17 | 1.16 | **1.14** |
  | | | 20 | **0.83** | 0.89 | 0.88 | 0.90 |
  | device | 1.70 | 1 | 1.48 | **1.36** | 1.48 | 1.57 |
  | | | 5 | **1.01** | 1.02 | 1.02 | |

  Args:
    n_target: number of labelled target subjects.
    distance: distance between the domains, 0 (indistinguishable) to 2 (separable without error), see `domain_distance`;
      NaN if unknown.
    layers: paths from the input to the output.

  Returns:
    The paths to freeze, and the reason.
  """
  if math.isnan(distance):
    return (), (
      f"freeze=auto: {n_target} labelled subjects, domain distance unknown without windows of both domains: all {len(layers)} layers are fine-tuned"
    )
  facts = f"freeze=auto: {n_target} labelled subjects, domain distance {distance:.2f}"
  if n_target >= ENOUGH:
    return (), f"{facts}: {ENOUGH} or more labelled subjects suffice to fine-tune all {len(layers)} layers"
  if distance >= FAR:
    return (), f"{facts}: a distance of {FAR} or more is large, so all {len(layers)} layers are fine-tuned"
  late = tuple(layers[len(layers) - _number(_LATE, len(layers)) :])
  return (
    late,
    f"{facts}: few labels and similar domains, so only the first {len(layers) - len(late)} layers are fine-tuned",
  )


def _number(rule: str, total: int) -> int:
  """Returns the number of layers of a rule, `3` or `50%` of a total.

  Raises:
    MergeError: it is neither, or more than the total.
  """
  text = rule.partition(":")[2]
  try:
    number = round(total * float(text[:-1]) / 100) if text.endswith("%") else int(text)
  except ValueError:
    number = -1
  if not 0 <= number <= total:
    raise surgery.MergeError(
      f"rule {rule!r} does not specify a valid number of layers; pass 0 to {total}, or a percentage such as first:50%"
    )
  return number


def resolve(
  freeze: Sequence[str], layers: Sequence[str], n_target: int, distance: float
) -> tuple[tuple[str, ...], str]:
  """Returns the frozen paths, and the reason if `auto` chose them ("" otherwise).

  Args:
    freeze: rules, see the module.
    layers: paths from the input to the output.
    n_target: number of labelled target subjects.
    distance: distance between the domains, see `decide`.

  Raises:
    MergeError: a rule does not specify a valid number of layers.
  """
  paths: list[str] = []
  reason = ""
  for rule in freeze:
    if rule == "auto":
      chosen, reason = decide(n_target, distance, layers)
      paths += chosen
    elif rule.startswith("first:"):
      paths += layers[: _number(rule, len(layers))]
    elif rule.startswith("last:"):
      paths += layers[len(layers) - _number(rule, len(layers)) :]
    else:
      paths.append(rule)
  return tuple(paths), reason
