"""Which layers are held: by name, by depth, or decided from the amount and the likeness of the target's data.

| word in `hold` | holds |
|---|---|
| a path, as `f` or `f/layer_0` | what lies below it |
| `first:3`, `first:50%` | the first layers from the input |
| `last:3`, `last:50%` | the last layers before the output: surgical tuning of the early ones (Lee et al. 2023, ICLR) |
| `auto` | as `decide` says |
"""

from collections.abc import Sequence

from cap_jax.transfer import surgery


def decide(n_target: int, distance: float, layers: Sequence[str]) -> tuple[tuple[str, ...], str]:
  """The layers that `auto` holds, and why.

  Args:
    n_target: labelled target subjects.
    distance: between the domains, 0 (alike) to 2 (told apart without error), see `likeness`.
    layers: paths from the input to the output.
  """
  return (), f"freeze=auto: {n_target} labelled subjects, distance {distance:.2f}: nothing held of {len(layers)} layers"


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


def resolve(hold: Sequence[str], layers: Sequence[str], n_target: int, distance: float) -> tuple[tuple[str, ...], str]:
  """Paths that are held, and the reason where `auto` chose them ("" else).

  Raises:
    MergeError: a word names no number of layers.
  """
  paths: list[str] = []
  reason = ""
  for word in hold:
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
