"""The source network of the package, for reconstruction and transfer without a training. cap_jax/pretrained/README.md
says what it is for and what not.
"""

import os
import pathlib

from cap_jax.train.checkpoint import REMEDY
from cap_jax.types import InputError

NAME = "pretrained"
TRAIN = "train"  # instead of a checkpoint: train a source network
FOLDER = pathlib.Path(__file__).parents[1] / NAME / "radial"


def place(checkpoint: str | os.PathLike[str]) -> str:
  """Returns the folder of a checkpoint: that of the package for the name `pretrained`, otherwise the path itself.

  Raises:
    InputError: there is no such folder.
  """
  if os.fspath(checkpoint) == NAME:
    return str(FOLDER)
  if not os.path.isdir(checkpoint):
    raise InputError(
      f"{os.path.abspath(checkpoint)}: no checkpoint found; {REMEDY}; or pass {NAME} for the packaged network"
    )
  return str(checkpoint)
