"""Reconstructs the aortic pressure wave of a record: a CSV, NPZ, MATLAB or VitalDB file, or a WFDB record.

  python -m experiments.reconstruct --input=wave.csv --output=out.csv                       uses the packaged radial network
  python -m experiments.reconstruct --checkpoint=DIR/checkpoint --input=wave.csv --site=brachial --output=out.csv
  python -m experiments.reconstruct --input=wave.csv --channels=Time:time_s,ART:radial:kPa --output=out.csv
  python -m experiments.reconstruct --input=DIR/041s --channels=ABP:radial --output=out.csv                                  a WFDB record

Writes out.csv (time_s, aortic_root_pressure_mmhg on the input's clock; empty in gaps), out.json (per beat) and, if matplotlib
is installed, out.png.
"""

import dataclasses
import math
import os
from collections.abc import Mapping

from absl import flags

from cap_jax.cli import channel_flags, launcher
from cap_jax.data import datasets, recordings, remarks, signal_names
from cap_jax.data.sources import DATASETS
from cap_jax.inference import pretrained, reconstruct
from cap_jax.report import reconstruction
from cap_jax.signals import calibration
from cap_jax.types import InputError

_FORMATS = {".mat": "npz", ".npz": "npz", ".vital": "vitaldb"}  # of other suffixes: CSV
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", pretrained.DEFAULT, f"checkpoint folder, or a packaged network: {', '.join(pretrained.names())}"
)
_INPUT = flags.DEFINE_string(
  "input", None, "CSV file with time_s and <site>_pressure_mmhg, .npz, .mat or .vital file, or WFDB record"
)
_SITE = flags.DEFINE_string("site", None, "site where the wave was measured (default: the checkpoint's)")
_COVARIATES = flags.DEFINE_list(
  "covariates", [], "covariates that the network and its calibration read, such as age=70,cuff_sbp_mmhg=141"
)
_OUTPUT = flags.DEFINE_string("output", None, "CSV file to write; .json and .png are written beside it")


def _paths() -> tuple[str, str]:
  """Returns the names of input and output.

  Raises:
    InputError: one is missing, or the output cannot be written.
  """
  input_path, output = launcher.required(_INPUT, "FILE.csv"), launcher.required(_OUTPUT, "FILE.csv")
  if not output.endswith(".csv"):
    raise InputError(f"--output={output}: must end in .csv; the figure and the JSON file get the same name")
  written = reconstruction.paths(output)
  read = os.path.realpath(input_path)
  if any(os.path.realpath(one) == read for one in written):
    raise InputError(f"--output={output}: would replace the input file; choose another name")
  folder = os.path.dirname(os.path.abspath(output))
  if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
    raise InputError(f"--output={output}: {folder} is not a writable folder; create it or choose another")
  reconstruction.check_replaceable(output)
  return input_path, output


def _covariates(needed: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, float]:
  """Returns the covariates from the flag.

  Raises:
    InputError: a value is no number, or the network does not take exactly these.
  """
  covariates = {}
  for word in _COVARIATES.value:
    name, _, text = word.partition("=")
    try:
      value = float(text)
    except ValueError:
      value = float("nan")
    if not math.isfinite(value) or name in covariates:
      raise InputError(f"--covariates={word}: must be NAME=NUMBER, such as age=70, each name once")
    covariates[name] = value
  if not set(needed) <= set(covariates) <= {*needed, *optional}:
    takes = ", ".join((*needed, *(f"{name} (optional)" for name in optional))) or "none"
    raise InputError(f"--covariates: the checkpoint reads {takes}; passed: {', '.join(covariates) or 'none'}")
  return covariates


def _recording(path: str, site: str, covariates: Mapping[str, float]) -> recordings.Recording:
  """Reads the one record of the input.

  Args:
    path: the input.
    site: site where the wave was measured.
    covariates: of the subject.

  Raises:
    InputError: it is no file of a known format, or has no wave of the site.
  """
  channels = channel_flags.read()
  record, suffix = os.path.splitext(path)
  record = record if suffix in (".hea", ".dat") else path
  if os.path.isfile(f"{record}.hea"):
    dataset = DATASETS["wfdb"](record, channels or {"ABP": site})
  elif os.path.isdir(path):
    raise InputError(f"--input={path}: is a folder; pass one file or the name of a WFDB record")
  else:
    dataset = DATASETS[_FORMATS.get(suffix.lower(), "csv")](path, channels or None)
  if dataset.lost or not dataset.entries:
    raise dataset.lost[0] if dataset.lost else InputError(f"--input={path}: contains no record; check the path")
  return dataclasses.replace(datasets.read(dataset.entries[0]), covariates=covariates)


def main() -> None:
  path, output = _paths()
  trained = pretrained.load(_CHECKPOINT.value)
  needed = tuple(dict.fromkeys((*trained.model.covariates, *calibration.needs(trained.calibration))))
  covariates = _covariates(needed, calibration.may_have(trained.calibration))
  site = _SITE.value or trained.site
  signal_names.check_site(site)
  if site != trained.site:
    raise InputError(
      f"--site={site}: the checkpoint reads {trained.site}; omit --site if it is a {trained.site} wave, or for a {site} wave {pretrained.remedy(site)}"
    )
  wave = reconstruct.reconstruct(trained, _recording(path, site, covariates))  # a long record is not kept twice
  facts = {
    "input": os.path.basename(path),
    "site": site,
    "covariates": covariates,
    "training": trained.about,
  }
  paths = reconstruction.write(output, wave, site, facts)
  notes = [f"note: {note}" for note in (*wave.notes, *remarks.of_covariates(covariates))]
  print("\n".join([*notes, reconstruction.format_summary(wave), *paths]))
