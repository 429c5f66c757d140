"""Characteristics of groups of subjects, as the first table of a paper lists them.

Only numbers, means and SDs of a group are kept, and no value of a subject.
"""

import dataclasses
import itertools
import json
import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cap_jax import config, files
from cap_jax.data import batches, signal_names, stream
from cap_jax.metrics import agreement
from cap_jax.signals import beats
from cap_jax.study import study_datasets
from cap_jax.types import DataError

PERIPHERAL = ("age", "hr_bpm", "sbp_mmhg", "dbp_mmhg", "pp_mmhg")
CENTRAL = ("csbp_mmhg", "cdbp_mmhg", "cpp_mmhg")
_WINDOWS = 4  # of each subject, from which pressures and heart rate are computed
_AORTIC = "aortic_root"


class Spread(NamedTuple):
  """Number of subjects with a value, their mean and SD; the SD of one is NaN."""

  n: int
  mean: float
  sd: float


@dataclasses.dataclass(frozen=True)
class Group:
  """A group of subjects.

  Attributes:
    subjects, windows: their numbers.
    values: name in `PERIPHERAL` or `CENTRAL` → mean and SD over subjects; without those that nobody has.
  """

  subjects: int
  windows: int
  values: Mapping[str, Spread] = dataclasses.field(default_factory=dict)


def _pressures(wave_t: np.ndarray, fs_hz: float) -> tuple[float, float, float]:
  """Returns heart rate, systolic and diastolic pressure of the whole beats of a window, NaN without any."""
  feet = beats.find_feet(wave_t, fs_hz)
  if len(feet) < 2:
    return (float("nan"),) * 3
  cut = [wave_t[a:b] for a, b in itertools.pairwise(feet)]
  rate = 60 * fs_hz * (len(feet) - 1) / float(feet[-1] - feet[0])
  return rate, float(np.mean([one.max() for one in cut])), float(np.mean([one.min() for one in cut]))


def _of_subject(windows: batches.Waves | batches.Pairs, rows: np.ndarray, spec: config.Windows) -> dict[str, float]:
  """Returns name → value of one subject, from some of its windows."""
  inner = slice(spec.margin, spec.samples - spec.margin)
  values = {"age": float(windows.covariates["age"][rows[0]])} if "age" in windows.covariates else {}
  read = [_pressures(windows.x_bt[k, inner], spec.fs_hz) for k in rows]
  values["hr_bpm"], systolic, diastolic = np.mean(read, axis=0).tolist()
  if signal_names.is_pressure(windows.site):
    values |= {"sbp_mmhg": systolic, "dbp_mmhg": diastolic, "pp_mmhg": systolic - diastolic}
  if isinstance(windows, batches.Pairs) and windows.reference == _AORTIC:
    _, systolic, diastolic = np.mean([_pressures(windows.y_bt[k, inner], spec.fs_hz) for k in rows], axis=0).tolist()
    values |= {"csbp_mmhg": systolic, "cdbp_mmhg": diastolic, "cpp_mmhg": systolic - diastolic}
  return values


def of(windows: batches.Waves | batches.Pairs | stream.Stream, spec: config.Windows, each: int = _WINDOWS) -> Group:
  """Summarises the subjects of some windows.

  Args:
    windows: of the group. Of a stream, whose waves are not in memory, only the age is known.
    spec: rate and margin of the windows.
    each: largest number of windows of a subject that are read.

  Returns:
    The group, with heart rate and peripheral pressures as recorded.
  """
  if isinstance(windows, stream.Stream):
    ages = np.asarray(windows.covariates.get("age", []), float)
    return Group(len(windows.subjects), windows.count, _spreads({"age": ages}))
  order = np.argsort(windows.subject_b, kind="stable")
  starts = np.flatnonzero(np.r_[True, windows.subject_b[order][1:] != windows.subject_b[order][:-1]])
  people = [_of_subject(windows, rows[:each], spec) for rows in np.split(order, starts[1:])]
  names = dict.fromkeys(name for one in people for name in one)
  columns = {name: np.array([one.get(name, np.nan) for one in people]) for name in names}
  return Group(len(people), len(windows.x_bt), _spreads(columns))


def _spreads(columns: Mapping[str, np.ndarray]) -> dict[str, Spread]:
  known = {name: values_s[np.isfinite(values_s)] for name, values_s in columns.items()}
  return {name: Spread(values_s.size, *agreement.spread(values_s)) for name, values_s in known.items() if values_s.size}


def of_study(source: study_datasets.Source, target: study_datasets.Target, spec: config.Windows) -> dict[str, Group]:
  """Returns part of the split → its group.

  Args:
    source, target: of the study.
    spec: rate and margin of the windows.
  """
  groups = {
    "source_training": of(source.training, spec, each=1),
    "source_validation": of(source.validation, spec),
    "target_labelled": of(target.labelled, spec),
    "target_unlabelled": of(target.unlabelled, spec),
    "target_validation": of(target.validation, spec),
    "target_test": of(target.test, spec),
  }
  if target.unlabelled.subjects == target.labelled.subjects:  # the same subjects, without their labels
    del groups["target_unlabelled"]
  return groups


def path_in(folder: str, clinic: str) -> str:
  """Returns the path of the groups of a clinic, or of its fold, in the folder of a study."""
  return os.path.join(folder, f"subjects_{clinic}.json")


def save(path: str | os.PathLike[str], groups: Mapping[str, Group]) -> None:
  """Writes groups as JSON, atomically.

  Args:
    path: of the file.
    groups: name → group.
  """
  with files.write_atomically(path) as (partial,), open(partial, "w", encoding="utf-8") as file:
    json.dump({name: dataclasses.asdict(group) for name, group in groups.items()}, file, indent=1)


def load(path: str | os.PathLike[str]) -> dict[str, Group]:
  """Loads groups.

  Args:
    path: of the file.

  Returns:
    Name → group; empty if there is no file, as in the folder of a study by an older version.

  Raises:
    DataError: the file is damaged.
  """
  try:
    with open(files.regular(path), encoding="utf-8") as file:
      return {
        str(name): Group(
          int(group["subjects"]),
          int(group["windows"]),
          {str(key): Spread(int(n), float(mean), float(sd)) for key, (n, mean, sd) in group["values"].items()},
        )
        for name, group in json.load(file).items()
      }
  except FileNotFoundError:
    return {}
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise DataError(
      str(path), f"contains no groups of subjects ({error})", "remove the file; the report then omits them"
    ) from error
