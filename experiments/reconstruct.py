"""Rebuilds the aortic pressure wave of a record: a CSV file, or a WFDB record.

  python -m experiments.reconstruct --input=wave.csv --output=out.csv                       with the network of the package, radial
  python -m experiments.reconstruct --checkpoint=DIR/checkpoint --input=wave.csv --site=brachial --output=out.csv
  python -m experiments.reconstruct --input=DIR/041s --signal=ABP --site=radial --output=out.csv

Writes out.csv (time_s, aortic_root_pressure_mmhg on the input's clock; empty in gaps), out.png and out.json (per beat).
"""

import dataclasses
import math
import os

from absl import flags

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import DATASETS, wfdb_files
from cap_jax.inference import pretrained, reconstruct
from cap_jax.report import reconstruction
from cap_jax.signals import calibration
from cap_jax.train import checkpoint
from cap_jax.types import InputError
from experiments import common

_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", pretrained.NAME, "folder of the trained network; pretrained is that of the package"
)
_INPUT = flags.DEFINE_string("input", None, "CSV file with time_s and <site>_pressure_mmhg, or a WFDB record")
_SITE = flags.DEFINE_string("site", None, "where the wave was measured (default: what the checkpoint reads)")
_SIGNAL = flags.DEFINE_string("signal", "ABP", "name of the signal in a WFDB record")
_COVARIATES = flags.DEFINE_list(
  "covariates", [], "what the network and its calibration take besides the wave, as age=70,cuff_sbp_mmhg=141"
)
_OUTPUT = flags.DEFINE_string("output", None, "CSV file to write; .png and .json lie beside it")


def _check_flags() -> None:
  for name, flag in (("--input", _INPUT), ("--output", _OUTPUT)):
    if not flag.value:
      raise InputError(f"{name} is missing; give {name}=FILE.csv")
  if not _OUTPUT.value.endswith(".csv"):
    raise InputError(f"--output={_OUTPUT.value}: must end in .csv; the picture and the JSON get its name")
  if os.path.abspath(_OUTPUT.value) == os.path.abspath(_INPUT.value):
    raise InputError(f"--output={_OUTPUT.value}: is the input itself; choose another name")
  folder = os.path.dirname(os.path.abspath(_OUTPUT.value))
  if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
    raise InputError(f"--output={_OUTPUT.value}: {folder} is no folder that can be written to")


def _covariates(needed: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, float]:
  """Those of the flag.

  Raises:
    InputError: one is no number, or they are not those that the network takes.
  """
  found = {}
  for word in _COVARIATES.value:
    name, _, text = word.partition("=")
    try:
      value = float(text)
    except ValueError:
      value = float("nan")
    if not math.isfinite(value) or name in found:
      raise InputError(f"--covariates={word}: must be a name and a number, as age=70, each once")
    found[name] = value
  if not set(needed) <= set(found) <= {*needed, *optional}:
    takes = ", ".join((*needed, *(f"{name} if known" for name in optional))) or "none"
    raise InputError(f"--covariates: the checkpoint takes {takes}; given: {', '.join(found) or 'none'}")
  return found


def _recording(site: str) -> recordings.Recording:
  """The one record that the input is.

  Raises:
    InputError: it is no CSV file and no WFDB record, or has no wave of the site.
  """
  if wfdb_files.exists(_INPUT.value):
    found = DATASETS["wfdb"](_INPUT.value, {_SIGNAL.value: site})
  elif os.path.isdir(_INPUT.value):
    raise InputError(f"--input={_INPUT.value}: is a folder; give the CSV file itself, or a WFDB record's name")
  else:
    found = DATASETS["csv"](_INPUT.value)
  if found.lost or not found.entries:
    raise found.lost[0] if found.lost else InputError(f"--input={_INPUT.value}: holds no record")
  return datasets.read(found.entries[0])


def main() -> None:
  _check_flags()
  trained = checkpoint.load(pretrained.place(_CHECKPOINT.value))
  needed = tuple(dict.fromkeys((*trained.model.covariates, *calibration.needs(trained.calibration))))
  covariates = _covariates(needed, calibration.may_have(trained.calibration))
  site = _SITE.value or trained.site
  recordings.check_site(site)
  if site != trained.site:
    raise InputError(
      f"--site={site}: the checkpoint reads {trained.site}; make one with: python -m experiments.pretrain --site={site}"
    )
  recording = _recording(site)
  made = reconstruct.reconstruct(trained, dataclasses.replace(recording, covariates=covariates))
  facts = {
    "input": os.path.basename(_INPUT.value),
    "site": site,
    "covariates": covariates,
    "training": trained.about,
  }
  paths = reconstruction.write(_OUTPUT.value, made, site, facts)
  print("\n".join([reconstruction.spoken(made), *paths]))


if __name__ == "__main__":
  common.launch(main)
