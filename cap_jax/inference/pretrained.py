"""The source network that comes with the package, so that a wave can be reconstructed and a transfer begin at once. What it is and what it
is not for: cap_jax/pretrained/README.md."""

import os
import pathlib

from cap_jax.train.checkpoint import REMEDY
from cap_jax.types import InputError

NAME = "pretrained"
TRAIN = "train"  # instead of a checkpoint: a source network is trained
FOLDER = pathlib.Path(__file__).parents[1] / NAME / "radial"


def place(checkpoint: str | os.PathLike[str]) -> str:
  """The folder of a checkpoint: that of the package where it is called `pretrained`, otherwise as it was given.

  Raises:
    InputError: there is no such folder.
  """
  if os.fspath(checkpoint) == NAME:
    return str(FOLDER)
  if not os.path.isdir(checkpoint):
    raise InputError(
      f"{os.path.abspath(checkpoint)}: no checkpoint there; {REMEDY}; or give {NAME} for the network of the package"
    )
  return str(checkpoint)
