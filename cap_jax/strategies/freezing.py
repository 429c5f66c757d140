"""Which layers are frozen: by name, by depth, or decided from the amount and the likeness of the target's data.

| word in `freeze` | holds |
|---|---|
| a path, as `f` or `f/layer_0` | what lies below it |
| `first:3`, `first:50%` | the first layers from the input |
| `last:3`, `last:50%` | the last layers before the output: surgical tuning of the early ones (Lee et al. 2023, ICLR) |
| `auto` | as `decide` says |
"""

import math
from collections.abc import Sequence

from cap_jax.strategies import surgery

ENOUGH = 10
FAR = 1.8
_LATE = "last:65%"


def decide(n_target: int, distance: float, layers: Sequence[str]) -> tuple[tuple[str, ...], str]:
  """The layers that `auto` holds, and why: the late ones where labels are few and the domains near, none elsewhere.

  Measured on validation subjects, in silico, waveform RMSE [mmHg] by layers that are tuned, means over two seeds:

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
    n_target: labelled target subjects.
    distance: between the domains, 0 (alike) to 2 (told apart without error), see `likeness`; NaN where it is not known.
    layers: paths from the input to the output.
  """
  if math.isnan(distance):
    return (), (
      f"freeze=auto: {n_target} labelled subjects, distance unknown without windows of both domains: all {len(layers)} layers are tuned"
    )
  said = f"freeze=auto: {n_target} labelled subjects, distance {distance:.2f}"
  if n_target >= ENOUGH:
    return (), f"{said}: {ENOUGH} or more are enough to tune all {len(layers)} layers"
  if distance >= FAR:
    return (), f"{said}: at {FAR} or more the domains are far apart, so all {len(layers)} layers are tuned"
  late = tuple(layers[len(layers) - _number(_LATE, len(layers)) :])
  return late, f"{said}: few labels and near domains, so only the first {len(layers) - len(late)} layers are tuned"


def _number(word: str, total: int) -> int:
  """`3` or `50%` of a total.

  Raises:
    MergeError: it is neither, or more than the total.
  """
  text = word.partition(":")[2]
  try:
    number = round(total * float(text[:-1]) / 100) if text.endswith("%") else int(text)
  except ValueError:
    number = -1
  if not 0 <= number <= total:
    raise surgery.MergeError(f"rule {word!r} names no number of layers; give 0 to {total}, or a share as in first:50%")
  return number


def resolve(
  freeze: Sequence[str], layers: Sequence[str], n_target: int, distance: float
) -> tuple[tuple[str, ...], str]:
  """Paths that are frozen, and the reason where `auto` chose them ("" else).

  Raises:
    MergeError: a word names no number of layers.
  """
  paths: list[str] = []
  reason = ""
  for word in freeze:
    if word == "auto":
      chosen, reason = decide(n_target, distance, layers)
      paths += chosen
    elif word.startswith("first:"):
      paths += layers[: _number(word, len(layers))]
    elif word.startswith("last:"):
      paths += layers[len(layers) - _number(word, len(layers)) :]
    else:
      paths.append(word)
  return tuple(paths), reason
