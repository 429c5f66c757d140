"""The source network that comes with the package, so that a wave can be rebuilt and a transfer begin at once. What it is and what it
is not for: cap_jax/pretrained/README.md."""

import os
import pathlib

NAME = "pretrained"
TRAIN = "train"  # instead of a checkpoint: a source network is trained
FOLDER = pathlib.Path(__file__).parents[1] / NAME / "radial"


def place(checkpoint: str | os.PathLike[str]) -> str:
  """The folder of a checkpoint: that of the package where it is called `pretrained`, otherwise as it was given."""
  return str(FOLDER if os.fspath(checkpoint) == NAME else checkpoint)
