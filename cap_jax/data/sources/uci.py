"""UCI's cuff-less blood pressure data (Kachuee et al. 2015, doi 10.24432/C5B602): MATLAB 7.3 files `Part_1.mat` to
`Part_4.mat`.

Each file contains a cell of matrices with the rows PPG, ABP and ECG at 125 Hz, which `h5py` shows as columns. The
subject of a record is unknown: a split by record may put one person on both sides.
"""

import functools
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from cap_jax.data import datasets, recordings, signal_names
from cap_jax.data.sources import folders, hdf5
from cap_jax.types import DataError

FS_HZ = 125.0
_ROWS = ("PPG", "ABP", "ECG")
CHANNELS: Mapping[str, str] = {"PPG": signal_names.PPG, "ABP": "arterial"}


def _read(
  path: pathlib.Path, name: str, number: int, subject: str, channels: Mapping[str, str]
) -> recordings.Recording:
  where = f"{path}: record {number + 1}"
  with hdf5.opened(path) as file:
    matrix = hdf5.whole(hdf5.element(hdf5.field(file, name, where), number), signals=2)  # it is copied
  if matrix.ndim != 2 or len(_ROWS) not in matrix.shape:
    raise DataError(
      where, f"a matrix of shape {matrix.shape} instead of one with the rows {', '.join(_ROWS)}", hdf5.REMEDY, subject
    )
  if matrix.shape[1] == len(_ROWS):
    matrix = matrix.T
  waves = {channels[row]: np.asarray(matrix[k], dtype=float) for k, row in enumerate(_ROWS) if row in channels}
  return recordings.make(subject, subject, where, np.arange(matrix.shape[1]) / FS_HZ, waves)


def load(path: str | os.PathLike[str], channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists the records of a part, or of a folder of parts.

  Args:
    path: a `.mat` file or a folder.
    channels: PPG, ABP → signal, such as {"ABP": "radial"}.

  Returns:
    The data set.

  Raises:
    DataError: `path` contains no such data.
  """
  listed: list[datasets.Entry | DataError] = []
  signal_by_channel = dict(channels or CHANNELS)
  for file in folders.find(path, "*.mat"):
    if isinstance(file, DataError):
      listed.append(file)
      continue
    try:
      with hdf5.opened(file) as content:
        name = next(iter(hdf5.names(content, str(file))), "")
        records = hdf5.field(content, name, str(file)) if name else None
        if records is None or not hdf5.has_references(records):
          raise DataError(str(file), "contains no cell array of records", "pass Part_1.mat to Part_4.mat of UCI")
        count = hdf5.count(records)
    except DataError as error:
      listed.append(error)
      continue
    for number in range(count):
      subject = f"{name}-{number + 1:05d}"
      read = functools.partial(_read, file, name, number, subject, signal_by_channel)
      listed.append(datasets.Entry(subject, subject, f"{file}: record {number + 1}", read))
  entries, lost = datasets.gather(listed)
  if not entries and not lost:
    raise DataError(str(path), "no .mat file found", "check --path")
  source = "UCI cuff-less blood pressure (Kachuee et al. 2015, doi 10.24432/C5B602)"
  return datasets.DataSet(
    name="uci",
    entries=entries,
    source=source,
    licence="CC BY 4.0",
    path=str(path),
    channels=channels,
    subjects_known=False,
    lost=lost,
  )
