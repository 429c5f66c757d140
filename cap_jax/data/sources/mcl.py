"""Aortic and radial pressure of a mock circulatory loop, measured at the same time: *in vitro*.

The database of the FDA (RST24CV01.01, CC0 1.0; Farahmand et al. 2023, 10.1016/j.compbiomed.2023.106979) has one file
without header for each record, with time [s], aortic flow [mL/s], aortic pressure and radial pressure [mmHg] at 1 kHz:

    COres/normovolemic/NV_step1_COresolution.csv         steps of cardiac output
    COrt/cardiogenic_shock/….csv                         a sudden fall of cardiac output and its return
    SVVres/hyperdynamic/RR12/HD_step1_SVVresolution_RR12.csv   steps of stroke volume variation, at 12 or 20 breaths/min

The loop was set to three states. Its records are those of three rigs, not of as many people, so split them by the
covariate `state`. An excerpt of two states ships with the package, at 250 Hz and in tenths of a unit
(`--path=excerpt`). Any `.npz` file of that form can be read: record → (time, 3) flow, aortic and radial pressure.
"""

import functools
import os
import pathlib
import re
from collections.abc import Mapping
from importlib import resources

import numpy as np

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import arrays, folders, tables
from cap_jax.types import DataError, InputError

EXCERPT = "excerpt"
STATES = {"NV": "normovolemic", "CS": "cardiogenic_shock", "HD": "hyperdynamic"}
TESTS = ("COres", "COrt", "SVVres")  # steps and response time of cardiac output, steps of stroke volume variation
SIGNALS = ("aortic_root_flow", "aortic_root", "radial")
SOURCE = (
  "mock circulatory loop of the FDA, RST24CV01.01, in vitro; cite Farahmand et al. 2023, "
  "10.1016/j.compbiomed.2023.106979"
)
_UNIT, _FS_HZ = 0.1, 250.0  # of the compact form
_REMEDY = "download the file again, or omit the record"


def _covariates(name: str, folders_of: tuple[str, ...], where: str) -> dict[str, float]:
  """Returns state, test, step and breaths per minute of a record, as numbers: positions in `STATES` and `TESTS`.

  Args:
    name: of the record, such as CS_step3_SVVresolution_RR12.
    folders_of: names of the folders that contain it, which decide where the name does not.
    where: file, for messages.

  Raises:
    DataError: neither names a state of the loop.
  """
  words = (*name.split("_"), *folders_of)
  states = [k for k, (short, long) in enumerate(STATES.items()) if short in words or long in words]
  if len(states) != 1:
    raise DataError(
      where,
      "names no state of the loop, in its name or its folder",
      f"keep the published names: {', '.join(f'{short}_step1_… in {long}' for short, long in STATES.items())}",
    )
  tests = [k for k, test in enumerate(TESTS) if any(word.startswith(test) for word in words)]
  step, breaths = re.search(r"step(\d+)", name), re.search(r"RR(\d+)", " ".join(words))
  numbers = {"state": float(states[0])}
  numbers |= {"test": float(tests[0])} if tests else {}
  numbers |= {"step": float(step.group(1))} if step else {}
  return numbers | ({"respiration_per_min": float(breaths.group(1))} if breaths else {})


def _recording(
  name: str,
  where: str,
  time_s: np.ndarray,
  columns_tq: np.ndarray,
  covariates: Mapping[str, float],
  sites: tuple[str, ...],
) -> recordings.Recording:
  signals = {signal: columns_tq[:, k].astype(float, copy=False) for k, signal in enumerate(SIGNALS) if signal in sites}
  return recordings.make(name, name, where, time_s, signals, covariates=covariates)


def _read_csv(path: pathlib.Path, covariates: Mapping[str, float], sites: tuple[str, ...]) -> recordings.Recording:
  with datasets.reading(str(path), _REMEDY, path.stem):
    shape = tables.measure(path)
    try:
      values_qt = tables.numbers(path, range(1 + len(SIGNALS)), shape, header=None) if shape.columns == 4 else None
    except InputError:
      raise
    except ValueError:
      values_qt = None
  if values_qt is None:
    raise DataError(
      str(path), "is not a table of four columns of numbers without header: time, aortic flow, two pressures", _REMEDY
    )
  return _recording(path.stem, str(path), values_qt[0], values_qt[1:].T, covariates, sites)


@functools.lru_cache(1)
def _compact(path: str) -> dict[str, np.ndarray]:
  """Returns record → (time, 3) array of a file of the compact form."""
  with datasets.reading(path, _REMEDY):
    return arrays.read_archive(pathlib.Path(path))


def _read_compact(
  path: str, name: str, covariates: Mapping[str, float], sites: tuple[str, ...]
) -> recordings.Recording:
  values_tq = _compact(path)[name]
  if (
    not isinstance(values_tq, np.ndarray)
    or values_tq.ndim != 2
    or values_tq.shape[1] != len(SIGNALS)
    or values_tq.dtype.kind not in "iu"
  ):
    raise DataError(f"{path}: {name}", "is not an array (time, 3) of whole tenths of a unit", _REMEDY)
  folders.check_size(f"{path}: {name}", 8.0 * (2 * values_tq.size + len(values_tq)))
  time_s = np.arange(len(values_tq)) / _FS_HZ
  return _recording(name, f"{path}: {name}", time_s, _UNIT * values_tq, covariates, sites)


def _list_compact(path: str, sites: tuple[str, ...]) -> list[datasets.Entry | DataError]:
  listed: list[datasets.Entry | DataError] = []
  for name in _compact(path):
    where = f"{path}: {name}"
    try:
      covariates = _covariates(name, (), where)
      listed.append(datasets.Entry(name, name, where, functools.partial(_read_compact, path, name, covariates, sites)))
    except DataError as error:
      listed.append(error)
  return listed


def _list_folder(root: pathlib.Path, sites: tuple[str, ...]) -> list[datasets.Entry | DataError]:
  listed: list[datasets.Entry | DataError] = []
  for path in folders.find(root, "*.csv", "*.npz"):
    if isinstance(path, DataError):
      listed.append(path)
      continue
    if path.suffix == ".npz":
      try:
        listed += _list_compact(str(path), sites)
      except DataError as error:
        listed.append(error)
      continue
    try:
      folders_of = path.relative_to(root).parts[:-1] if root.is_dir() else path.parts[:-1]
      covariates = _covariates(path.stem, folders_of, str(path))
      listed.append(
        datasets.Entry(path.stem, path.stem, str(path), functools.partial(_read_csv, path, covariates, sites))
      )
    except DataError as error:
      listed.append(error)
  return listed


def load(path: str | os.PathLike[str] = EXCERPT, channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists the records of the loop.

  Args:
    path: folder of published files or of files of the compact form, one such file, or "excerpt".
    channels: signal → itself, for the requested ones of `SIGNALS`; all if None.

  Returns:
    The data set, in vitro. Each record counts as a subject.

  Raises:
    DataError: there is no such signal, or `path` contains no records of the loop.
  """
  for name in channels or ():
    if name not in SIGNALS:
      raise DataError(str(path), f"the loop has no signal {name}", f"choose --channels from {', '.join(SIGNALS)}")
  sites = tuple(channels or SIGNALS)
  if str(path) == EXCERPT:
    listed = _list_compact(str(resources.files("cap_jax.data.sources").joinpath("data/mcl_excerpt.npz")), sites)
  else:
    listed = _list_folder(pathlib.Path(path), sites)
  if not listed:
    raise DataError(str(path), "no .csv or .npz file found", f"check --path, or use --path={EXCERPT}")
  entries, lost = datasets.gather(listed)
  return datasets.DataSet(
    name="mcl",
    entries=entries,
    source=SOURCE,
    licence="CC0 1.0",
    path=str(path),
    channels=channels,
    place=datasets.IN_VITRO,
    subjects_known=False,
    lost=lost,
    notes=("measured on a mock circulatory loop: all results are in vitro; split by the covariate state",),
  )
