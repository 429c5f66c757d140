"""Checkpoints as earlier releases wrote them."""

import json
import pathlib

import numpy as np

from cap_jax.train import checkpoint, checksummed


def write(folder: pathlib.Path, network: checkpoint.Checkpoint, written: int) -> None:
  """Writes a network of pressures, without context and detector, in an earlier format.

  Format 3 had other names and no heart rates. Formats 3 and 4 had the moments of features in place of a detector. Up to format 5, hashes
  were a list.
  """
  header = json.loads(json.dumps(checkpoint.header_of(network))) | {"format": written}
  header["seen_subject_hashes"] = list(network.seen_subject_hashes)
  calibration, arrays = header.get("uncertainty_calibration"), dict(network.params)
  if calibration is not None:
    arrays["uncertainty_calibration"] = dict(network.uncertainty_calibration.arrays)
  if written < 5:
    del header["scaling"]["unitless"], header["scaling"]["context"]
    rng, width = np.random.default_rng(0), network.model.channels
    moments = {"mean": rng.normal(size=width).astype(np.float32), "precision": np.eye(width, dtype=np.float32)}
    if calibration is not None:
      del calibration["detector"]
      arrays["uncertainty_calibration"]["features"] = moments
  if written == 3:
    del header["model"]["precision"]
    header["scaling"]["numbers"] = header["scaling"].pop("scalars")
    header["met"] = header.pop("seen_subject_hashes")
    if calibration is not None:
      del calibration["hr_bpm"], header["uncertainty_calibration"]
      calibration["unseen"] = calibration.pop("ood_threshold")
      header["doubt"] = calibration
      arrays["doubt"] = arrays.pop("uncertainty_calibration")
      arrays["doubt"]["seen"] = arrays["doubt"].pop("features")
  checksummed.write(folder, header, arrays)
