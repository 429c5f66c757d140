"""Evaluates a trained network on your own data and writes a report. Errors are reported for records with a measured aortic wave.

  python -m experiments.evaluate --checkpoint=DIR/checkpoint --format=csv --path=FOLDER --site=radial --workdir=DIR2

Writes report.html, reconstructed.csv (indices of each subject's reconstructed wave), figures/ and tables/. For paired data it
also writes errors.csv, one row per subject, with the columns of study.csv.
"""

import dataclasses
import os
import time

import tqdm
from absl import flags

from cap_jax.cli import dataset_flags, launcher, output_folders, reference_flags
from cap_jax.data import datasets, signal_names
from cap_jax.inference import pretrained
from cap_jax.report import answer, methods_text, own_report, page, tables
from cap_jax.study import own_data
from cap_jax.train import checkpoint
from cap_jax.types import InputError, counted

_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", pretrained.DEFAULT, f"checkpoint folder, or a packaged network: {', '.join(pretrained.names())}"
)
_SITE = flags.DEFINE_string("site", None, "site where the wave was measured (default: the checkpoint's)")
_WORKDIR = flags.DEFINE_string("workdir", None, "folder to create for the report")
_SYNCHRONISE = flags.DEFINE_bool(
  "synchronise", None, "remove the monitor's constant delay (default: only for records of people)"
)


def _network() -> checkpoint.Checkpoint:
  """Loads the checkpoint of the flags.

  Raises:
    InputError: it does not read the site, or does not predict the aortic wave.
  """
  trained = pretrained.load(_CHECKPOINT.value)
  site = _SITE.value or trained.site
  signal_names.check_site(site)
  if site != trained.site:
    raise InputError(
      f"--site={site}: the checkpoint reads {trained.site}; omit --site if it is a {trained.site} wave, or for a {site} wave {pretrained.remedy(site)}"
    )
  if trained.task != "waveform" or trained.reference != "aortic_root":
    goal = trained.task if trained.task != "waveform" else f"the {trained.reference} wave"
    raise InputError(f"--checkpoint: trained for {goal}, not for the aortic wave; transfer it first")
  return trained


def _packaged(trained: checkpoint.Checkpoint) -> checkpoint.Checkpoint | None:
  """Returns the network of the package to compare a network with; None if there is none for the same windows."""
  name = pretrained.of_site(trained.site)
  if not name or pretrained.place(_CHECKPOINT.value) == pretrained.place(name):
    return None
  network = pretrained.load(name)
  alike = (network.windows, network.scaling.unitless, network.calibration) == (
    trained.windows, trained.scaling.unitless, trained.calibration
  )  # fmt: skip
  return network if alike and set(network.model.covariates) <= set(trained.model.covariates) else None


def _digests(own: own_data.UserWindows) -> dict[str, str]:
  """Returns the SHA-256 of the windows as the network reads them, and of the network."""
  paired = {"paired windows": own.paired.digest} if own.paired is not None else {}
  return {
    "windows": own.all_windows.digest,
    **paired,
    "checkpoint": checkpoint.digest(pretrained.place(_CHECKPOINT.value)),
  }


def _sections(
  trained: checkpoint.Checkpoint, own: own_data.UserWindows, dataset: datasets.DataSet, folder: str
) -> tuple[list[page.Section], list[str]]:
  """Writes the tables of the evaluation, and returns the parts of its page, the opening first, and the warnings."""
  path, place = dataset.path.split(",")[0], dataset.place
  name = os.path.basename(os.path.normpath(path))
  subjects, y_bt = own_data.reconstruct(trained, own.all_windows)
  waves = own_report.reconstructed(trained, subjects, y_bt, own.all_windows, path)
  own_report.write_reconstructed(os.path.join(folder, "reconstructed.csv"), subjects, trained.unknown_level)
  total, data = len(own.all_windows.subjects), f"the data set “{name}” ({dataset.name}, {place})"
  facts = f"{place[0].upper()}{place[1:]}: {total} subject{'s' * (total > 1)} of “{name}” ({dataset.name}), measured at {trained.site}. Network: {_CHECKPOINT.value}."
  if own.paired is None:
    warnings = own_report.warnings({}, subjects, trained)
    sentence = f"The aortic waves of {total} subject{'s' * (total > 1)} were reconstructed from the {trained.site} wave; their error is unknown ({place})."
    texts = (sentence, facts, own_report.why_no_errors(own))
    opening, errors = own_report.opening_without_errors(subjects, waves.browser, texts, warnings), []
    print(f"{sentence} {own_report.why_no_errors(own)}\n")
  else:
    evaluated = own_data.evaluate(trained, own.paired, name, _packaged(trained))
    clinic = own_report.results(trained, evaluated, path)
    warnings = own_report.warnings(evaluated.outliers, subjects, trained)
    reference = reference_flags.reference(place, trained.calibration.kind)
    errors = own_report.errors(clinic, place, reference, evaluated.outliers)
    own_report.write_errors(os.path.join(folder, "errors.csv"), evaluated, own_data.method_of(trained)[0])
    opening = answer.opening([clinic], place, facts, warnings)
    print(
      " ".join(text for text in (opening.heading, answer.caution(clinic), answer.without_delay(clinic)) if text) + "\n"
    )
    print(f"{tables.text(tables.condense(next(iter(errors[0].sheets.values()))))}\n")
  return [
    opening,
    *errors,
    dataclasses.replace(waves, browser=None),
    *own_report.participants_section(trained, own, name),
    methods_text.section(methods_text.of_evaluation(trained, own, data)),
  ], warnings


def main() -> None:
  began = time.perf_counter()
  trained, dataset = _network(), dataset_flags.open_dataset()
  synchronise = dataset.place in datasets.PEOPLE if _SYNCHRONISE.value is None else _SYNCHRONISE.value
  workdir = launcher.required(_WORKDIR, "DIR")
  output_folders.check_absent(workdir, "--workdir")
  bar = tqdm.tqdm(dataset.entries, desc="records", unit="", leave=False)
  own = own_data.gather(bar, trained, synchronise, dataset_flags.STRICT.value)
  lost = [*dataset.lost, *own.lost]
  with output_folders.whole_folder(workdir, "--workdir") as folder:
    (opening, *sections), warnings = _sections(trained, own, dataset, folder)
    if lost:
      sections.append(own_report.left_out(lost))
    page.write_figures_and_tables(folder, [opening, *sections])
    facts = launcher.provenance(
      data=f"{dataset.name}: {dataset.source}; {counted(len(dataset.entries), 'record')}",
      licence=dataset.licence,
      sha256="; ".join(f"{name} {digest}" for name, digest in _digests(own).items()),
      network=", ".join(f"{key}: {value}" for key, value in trained.about.items()),
      calibration_of_waves=trained.calibration.kind,
      calibrated_on=f"{trained.uncertainty_calibration.subjects} {trained.uncertainty_calibration.where}"
      if trained.uncertainty_calibration
      else "never",
      seconds=f"{time.perf_counter() - began:.0f}",
    )
    page.write(os.path.join(folder, "report.html"), opening, sections, facts)
  excluded = dataset_flags.describe_lost(lost, len(dataset.entries) + len(dataset.lost))
  print("\n".join([*dataset_flags.describe_notes(dataset, own.notes), *warnings, *excluded]))
  print(
    f"{os.path.join(workdir, 'report.html')}: {counted(len(own.all_windows.subjects), 'subject')}, {time.perf_counter() - began:.0f} s"
  )
