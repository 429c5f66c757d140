"""Optional packages, and the extra of cap_jax that installs each."""

import importlib
from types import ModuleType

from cap_jax.types import InputError

EXTRAS = {
  "distributed": "dask",
  "h5py": "data",
  "pyarrow": "data",
  "vitaldb": "data",
  "wfdb": "data",
  "matplotlib": "report",
  "flatbuffers": "export",
  "safetensors": "export",
  "submitit": "slurm",
  "tensorboardX": "tensorboard",
}


def load(module: str) -> ModuleType:
  """Imports a module that may need an optional package.

  Raises:
    InputError: a package of an extra is missing; the message says how to install it.
  """
  try:
    return importlib.import_module(module)
  except ModuleNotFoundError as error:
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
      raise
    raise InputError(
      f"{package} is not installed; install it with: python -m pip install 'cap_jax[{EXTRAS[package]}]'"
    ) from error
