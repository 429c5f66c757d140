"""Reads the named arrays of a file of weights. Nothing in the file is executed."""

import os

import numpy as np

from cap_jax import extras, files
from cap_jax.data.sources import folders
from cap_jax.train import torch_files
from cap_jax.types import InputError

ENDINGS = (".safetensors", ".pt", ".pth")
_MOST_LETTERS = 300
_MOST_HEADER = 1 << 20  # bytes of the names, types and shapes, some 10,000 tensors
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
  safe = extras.load("safetensors") if str(path).endswith(ENDINGS[0]) else None
  try:
    arrays = torch_files.read(path) if safe is None else _read_safetensors(path)
  except InputError:
    raise
  except FileNotFoundError as error:
    raise InputError(f"{path}: no such file; check the path") from error
  except ValueError as error:
    problem = " ".join(str(error).split())[:_MOST_LETTERS]  # it may quote the file
    raise InputError(f"{path}: {problem}; nothing was executed; {_REMEDY}") from error
  except Exception as error:
    if safe is None or not isinstance(error, safe.SafetensorError | KeyError | TypeError | AttributeError):
      raise
    raise InputError(f"{path}: cannot be read ({error}); {_REMEDY}, with tensors of float32") from error
  folders.check_size(str(path), 4.0 * sum(array.size for array in arrays.values()), "tensors")
  odd = [name for name, array in arrays.items() if array.dtype.kind == "c"]
  if odd:
    raise InputError(
      f"{path}: {odd[0]!r} has complex numbers, which no layer here has; {_REMEDY}, with tensors of float32"
    )
  with np.errstate(over="ignore"):  # an infinite parameter is refused when it is saved
    return {
      name: np.asarray(array, np.float32) if array.dtype.kind not in "iub" else array for name, array in arrays.items()
    }


def _read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """Returns the arrays of a file of safetensors by name.

  Raises:
    OSError: there is no such file, or it cannot be reached.
    InputError: it is no regular file, or too large; or see `safetensors`.
  """
  with open(folders.check_file(path), "rb") as file:
    size = int.from_bytes(file.read(8), "little")
  if size > _MOST_HEADER:
    problem = f"its header has {size:.3g} bytes, more than {_MOST_HEADER / 1e6:.0f} MB"
    raise InputError(f"{path}: cannot be read ({problem}); {_REMEDY}")
  return extras.load("safetensors.numpy").load_file(files.regular(path))
