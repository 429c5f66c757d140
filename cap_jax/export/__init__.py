"""Writes networks for use without this package: weights, ONNX, StableHLO, and a manifest that says how to use them."""

import os
import tempfile
from collections.abc import Callable, Sequence

from cap_jax import files
from cap_jax.export import card, manifest, onnx_files, stablehlo
from cap_jax.inference import window_function
from cap_jax.train import checkpoint, checksummed
from cap_jax.types import InputError, suggest

FORMATS: dict[str, Callable[[str, checkpoint.Checkpoint], None]] = {
  "safetensors": checkpoint.fill,
  "onnx": onnx_files.write,
  "stablehlo": stablehlo.write,
}
"""Format → function that writes its files into a folder."""


def write(path: str | os.PathLike[str], trained: checkpoint.Checkpoint, formats: Sequence[str]) -> list[str]:
  """Writes a network to a folder that does not exist yet, with a model card and, of a network of the aortic wave, a manifest.

  Args:
    path: the new folder.
    trained: the network.
    formats: names in `FORMATS`.

  Returns:
    The names of the files.

  Raises:
    InputError: the folder exists, a format is unknown or not possible for the network, or its package is not installed.
    OSError: the disk is full or write-protected; nothing is left behind.
  """
  path = os.path.abspath(path)
  for name in formats:
    if name not in FORMATS:
      raise InputError(f"format {name!r} is unknown; {suggest(name, FORMATS)}")
  if not formats:
    raise InputError(f"no format is named; pass {', '.join(FORMATS)}")
  _check_free(path)
  checkpoint.check(path, trained)
  with tempfile.TemporaryDirectory(prefix="cap_jax-") as scratch, files.translate_os_errors(path):
    for name in dict.fromkeys(formats):
      FORMATS[name](scratch, trained)
    card.write(scratch, trained)
    if window_function.exists(trained):
      manifest.write(scratch, trained)
    files.install_folder(scratch, path)
  return sorted(os.listdir(path))


def _check_free(path: str) -> None:
  """Checks that a folder can be made at a path.

  Raises:
    InputError: something is there, or it would lie in a file or in a checkpoint, to which every other file is foreign.
  """
  if os.path.lexists(path):
    raise InputError(f"{path}: already exists; choose another folder or remove it")
  above = os.path.dirname(path)
  while above != os.path.dirname(above):
    if os.path.lexists(above) and not os.path.isdir(above):
      raise InputError(f"{above}: is not a folder; choose another output than {path}")
    if all(os.path.lexists(os.path.join(above, name)) for name in (checkpoint.HEADER, checksummed.ARRAYS)):
      raise InputError(f"{path}: would lie in the checkpoint {above}; choose another folder")
    above = os.path.dirname(above)
