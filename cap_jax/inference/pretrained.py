"""The networks of the package, for reconstruction and transfer without a training: one for each peripheral site.

cap_jax/pretrained/NAME/README.md says what each is for and what not.
"""

import json
import os
import pathlib

from cap_jax.train import checkpoint
from cap_jax.types import InputError

DEFAULT = "radial"
TRAIN = "train"  # instead of a checkpoint: train a source network
FOLDER = pathlib.Path(__file__).parents[1] / "pretrained"


def names() -> tuple[str, ...]:
  """Returns the names of the networks of the package."""
  return tuple(sorted(path.parent.name for path in FOLDER.glob(f"*/{checkpoint.HEADER}")))


def of_site(site: str) -> str:
  """Returns the name of the network of the package for a site, "" if there is none.

  Args:
    site: where waves were measured.
  """
  for name in names():
    if json.loads((FOLDER / name / checkpoint.HEADER).read_text(encoding="utf-8"))["site"] == site:
      return name
  return ""


def remedy(*sites: str) -> str:
  """Returns what to use for peripheral sites, as the end of a message: a network of the package, or a training.

  Args:
    sites: where waves were measured; the aortic root does not count.
  """
  outside = [site for site in sites if site != "aortic_root"]
  if not outside:
    return "pass a record with a peripheral wave"
  for site in outside:
    if name := of_site(site):
      return f"use the packaged network {name}"
  return f"train one for {outside[0]} with the command `cap-jax pretrain`"


def place(network: str | os.PathLike[str]) -> str:
  """Returns the folder of a network: that of the package for one of its names, otherwise the path itself.

  Args:
    network: a name such as "radial", or the folder of a checkpoint.

  Raises:
    InputError: there is no such folder.
  """
  path = os.fspath(network)
  if path in names():
    return str(FOLDER / path)
  if not os.path.isdir(path):
    raise InputError(
      f"{path[:200]}: no checkpoint found; pass the folder of one, or a packaged network: {', '.join(names())}"
    )
  if not os.path.isfile(os.path.join(path, checkpoint.HEADER)) and os.path.isdir(os.path.join(path, "checkpoint")):
    raise InputError(f"{path}: this is a run folder; pass {os.path.join(path, 'checkpoint')}")
  return path


def load(network: str | os.PathLike[str] = DEFAULT) -> checkpoint.Checkpoint:
  """Loads a network.

  Args:
    network: a name of the package such as "radial", or the folder of a checkpoint.

  Returns:
    The checkpoint.

  Raises:
    InputError: there is none, or it is damaged.
  """
  return checkpoint.load(place(network))
