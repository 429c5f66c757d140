"""Imports the weights of a network that another program trained: a file of named arrays → θ = {θ_f, θ_r}.

A map says which array becomes which leaf: name in the file → paths in the parameter tree. Arrays named `….weight` have
PyTorch's layouts, (output, input) or (output, input, tap), and become matrices (input, output) or (tap · input, output).
Running statistics of batch normalisation are folded into its weight and bias first (`models.frozen_norm`):

    weight ← γ/√(σ² + ε),     bias ← β − μ γ/√(σ² + ε),     ε = 1e-5, PyTorch's default

Every name in the file, every entry of the map and every leaf of the imported blocks must find its counterpart.
"""

import collections
import csv
import dataclasses
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from cap_jax.data.sources import folders
from cap_jax.models.net import Net
from cap_jax.strategies import surgery
from cap_jax.types import InputError, Params, leaf_paths, nest, suggest

WeightMap = Mapping[str, tuple[str, ...]]
"""Name in the file → paths in the parameter tree; no path if the array is left behind."""
_EPSILON = 1e-5
_MEAN, _VARIANCE, _COUNT = ".running_mean", ".running_var", ".num_batches_tracked"
_MOST_PROBLEMS = 5
_MOST_MAP = 1e6  # bytes
_FRESH_SEED = 0  # of a head that is not imported


class Folded(NamedTuple):
  """Arrays after the folding of running statistics.

  Attributes:
    arrays: by name.
    statistics: names that are gone, folded into others.
  """

  arrays: dict[str, np.ndarray]
  statistics: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Imported:
  """Imported parameters, and the account of the import.

  Attributes:
    params: parameters of all blocks; a block without an entry in the map is fresh.
    blocks: the imported blocks.
    report: fate of each leaf, with the name that it came from; then the arrays that the map leaves behind.
    statistics: names of running statistics that were folded into other arrays.
  """

  params: Params
  blocks: tuple[str, ...]
  report: list[surgery.Leaf]
  statistics: tuple[str, ...]


def fold_statistics(arrays: Mapping[str, np.ndarray]) -> Folded:
  """Folds the running statistics of batch normalisation into its weight and bias.

  Args:
    arrays: of a file, by name.

  Raises:
    InputError: a mean has no variance, their shapes differ, or a variance is negative.
  """
  folded, gone = dict(arrays), []
  for name in arrays:
    if not name.endswith((_MEAN, _VARIANCE)):
      continue
    layer = name.removesuffix(_MEAN).removesuffix(_VARIANCE)
    names = [layer + ending for ending in (_MEAN, _VARIANCE)]
    shapes = {arrays[one].shape if one in arrays else None for one in (*names, f"{layer}.weight", f"{layer}.bias")}
    if len(shapes) != 1:
      raise InputError(f"{name}: batch normalisation needs {', '.join(names)}, weight and bias of one shape")
    if name.endswith(_VARIANCE):
      mean, variance = (arrays[one].astype(np.float64) for one in names)
      if (variance < 0).any():
        raise InputError(f"{name}: contains negative values; write the file again")
      scale = arrays[f"{layer}.weight"] / np.sqrt(variance + _EPSILON)
      folded[f"{layer}.weight"] = scale.astype(np.float32)
      folded[f"{layer}.bias"] = (arrays[f"{layer}.bias"] - mean * scale).astype(np.float32)
      gone += [one for one in (*names, layer + _COUNT) if one in arrays]
  for name in gone:
    del folded[name]
  return Folded(folded, tuple(gone))


def read_map(path: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
  """Reads a map from JSON, {name: path, [paths] or null}, or from CSV with the columns name and path.

  Null or an empty path leaves the array behind. In CSV, a name with several paths has several rows.

  Raises:
    InputError: the file cannot be read, or is no map.
  """
  try:
    with open(folders.check_file(path, _MOST_MAP), encoding="utf-8", newline="") as file:
      return _map_of_rows(csv.DictReader(file)) if str(path).endswith(".csv") else _map_of_object(file.read())
  except InputError:
    raise
  except (OSError, ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
    raise InputError(
      f'{path}: is no map ({error}); write JSON such as {{"conv1.weight": "f/layer_0/matrix/kernel"}}, or CSV with the header '
      "name,path"
    ) from error


def _map_of_rows(rows: Iterable[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
  paths: dict[str, list[str]] = {}
  for row in rows:
    paths.setdefault(row["name"].strip(), []).append((row["path"] or "").strip())
  if not paths:
    raise ValueError("no rows")
  return {name: tuple(filter(None, several)) for name, several in paths.items()}


def _map_of_object(text: str) -> dict[str, tuple[str, ...]]:
  def unique(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    times = collections.Counter(name for name, _ in entries)
    if len(times) < len(entries):
      raise ValueError(f"name {times.most_common(1)[0][0]!r} occurs twice")
    return dict(entries)

  content = json.loads(text, object_pairs_hook=unique)
  if not isinstance(content, dict) or not content:
    raise ValueError("not an object with entries")
  paths = {
    name: [] if value is None else [value] if isinstance(value, str) else value for name, value in content.items()
  }
  for name, several in paths.items():
    if not isinstance(several, list) or not all(isinstance(one, str) and one for one in several):
      raise ValueError(f"{name}: must be a path, a list of paths or null")
  return {name: tuple(several) for name, several in paths.items()}


def _in_our_layout(name: str, array: np.ndarray) -> np.ndarray:
  """Returns an array of PyTorch in the layout of this project, see the module."""
  if name.endswith(".weight") and array.ndim == 2:
    return array.T
  if name.endswith(".weight") and array.ndim == 3:
    return array.transpose(2, 1, 0).reshape(-1, array.shape[0])
  return array


def load(arrays: Mapping[str, np.ndarray], weight_map: WeightMap, net: Net, samples: int, place: str) -> Imported:
  """Returns the parameters of a network from the arrays of a file.

  Args:
    arrays: of the file, by name.
    weight_map: which array becomes which leaf.
    net: the network.
    samples: length of its windows.
    place: the file, for messages.

  Raises:
    surgery.MergeError: an array, an entry of the map or a leaf has no counterpart, shapes differ, or an array is not
      finite. The message names both sides.
  """
  try:
    folded = fold_statistics(arrays)
  except InputError as error:
    raise surgery.MergeError(f"{place}: {error}") from error
  fresh = net.init(jax.random.key(_FRESH_SEED), samples)
  origin = {path: name for name, paths in weight_map.items() for path in paths}
  problems = _unmatched(folded, weight_map, leaf_paths(fresh))
  if problems:
    _refuse(place, problems)
  imported = nest({path: _in_our_layout(name, folded.arrays[name]) for path, name in origin.items()})
  blocks = tuple(block for block in net.blocks if block in imported)
  report = surgery.compare(imported, fresh, blocks)
  wrong = [
    _Problem(f"{leaf.path}, from {origin.get(leaf.path, 'no entry of the map')}: {leaf.note}")
    for leaf in report
    if leaf.note
  ]
  if wrong:
    _refuse(place, wrong)
  params, report = surgery.merge(imported, fresh, blocks)
  named = [dataclasses.replace(leaf, note=origin.get(leaf.path, "")) for leaf in report]
  left = [name for name, paths in weight_map.items() if not paths]
  named += [surgery.Leaf(name, "left behind", folded.arrays[name].shape) for name in left]
  return Imported(params, blocks, named, folded.statistics)


class _Problem(NamedTuple):
  """What cannot be, about a name; if `choices` has any, the remedy is one that resembles it."""

  text: str
  name: str = ""
  choices: Collection[str] = ()


def _unmatched(folded: Folded, weight_map: WeightMap, leaves: Mapping[str, Any]) -> list[_Problem]:
  """Returns what cannot be: names and paths without a counterpart, arrays that are not finite."""
  problems, statistics = [], set(folded.statistics)
  for name in dict.fromkeys((*weight_map, *folded.arrays)):
    if name in statistics:
      problems.append(_Problem(f"{name} is folded into the weight and bias of its layer; remove it from the map"))
    elif name not in folded.arrays:
      problems.append(_Problem(f"{name} is in the map, but not in the file", name, folded.arrays))
    elif name not in weight_map:
      text = f"{name} {folded.arrays[name].shape} is in the file, but not in the map; add it, or map it to null"
      problems.append(_Problem(text))
  times = collections.Counter(path for several in weight_map.values() for path in several)
  problems += [_Problem(f"{path} is not a leaf of the network", path, leaves) for path in times if path not in leaves]
  infinite = [name for name, array in folded.arrays.items() if not np.all(np.isfinite(array))]
  problems += [_Problem(f"{name} contains NaN or infinite values; write the file again") for name in infinite]
  several = sorted(path for path, count in times.items() if count > 1)
  problems += [_Problem(f"{path} has several arrays in the map; keep one") for path in several]
  if not any(surgery.matches(path, "f") for path in times):
    problems.append(_Problem("the map has no path in f; map the arrays of the extractor"))
  return problems


def _refuse(place: str, problems: Sequence[_Problem]) -> None:
  """Raises the error of the first problems. To find names that resemble another takes long, so it is done for these alone."""
  more = len(problems) - _MOST_PROBLEMS
  listed = "; ".join(
    f"{text}; {suggest(name, choices)}" if name else text for text, name, choices in problems[:_MOST_PROBLEMS]
  )
  raise surgery.MergeError(f"{place}: {listed}" + (f"; and {more} more" if more > 0 else ""))
