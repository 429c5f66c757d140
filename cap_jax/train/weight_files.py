"""Reads the named arrays of a file of weights. Nothing in the file is executed."""

import os

import numpy as np

from cap_jax import extras
from cap_jax.train import torch_files
from cap_jax.types import InputError

ENDINGS = (".safetensors", ".pt", ".pth")
_MOST_LETTERS = 300
_REMEDY = "save the tensors alone: safetensors.torch.save_file(model.state_dict(), FILE)"


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """Returns the arrays of a file by name. Numbers of other precisions become float32; whole numbers stay whole.

  Args:
    path: `.safetensors`, or a state dict of PyTorch, `.pt` or `.pth`.

  Raises:
    InputError: there is no such file, it is of another kind, it is damaged, or it contains more than tensors.
  """
  if not str(path).endswith(ENDINGS):
    raise InputError(f"{path}: must end in {', '.join(ENDINGS)}")
  if not os.path.isfile(path):
    raise InputError(f"{path}: no such file; check the path")
  safe = extras.load("safetensors") if str(path).endswith(ENDINGS[0]) else None
  try:
    arrays = torch_files.read(path) if safe is None else extras.load("safetensors.numpy").load_file(path)
  except ValueError as error:
    problem = " ".join(str(error).split())[:_MOST_LETTERS]  # it may quote the file
    raise InputError(f"{path}: {problem}; nothing was executed; {_REMEDY}") from error
  except Exception as error:
    if safe is None or not isinstance(error, safe.SafetensorError | KeyError | TypeError | AttributeError):
      raise
    raise InputError(f"{path}: cannot be read ({error}); {_REMEDY}, with tensors of float32") from error
  odd = [name for name, array in arrays.items() if array.dtype.kind == "c"]
  if odd:
    raise InputError(
      f"{path}: {odd[0]!r} has complex numbers, which no layer here has; {_REMEDY}, with tensors of float32"
    )
  with np.errstate(over="ignore"):  # an infinite parameter is refused when it is saved
    return {
      name: np.asarray(array, np.float32) if array.dtype.kind not in "iub" else array for name, array in arrays.items()
    }
