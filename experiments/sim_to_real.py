"""Adapts networks from virtual subjects to real records without aortic labels, holding out one record at a time.
It measures no accuracy of aortic pressure, because these records have no aortic reference.

  python -m experiments.prepare --format=wfdb --path=FOLDER --channels=ABP:radial,PLETH:digital_ppg --nosynchronise --output=A
  python -m experiments.sim_to_real --stores=A,B,C --workdir=DIR

Part one: radial → aortic. A source network is adapted to the unlabelled radial waves of all records but one. For the held-out
record, the report gives feature distances and the plausibility of the reconstructed waves. Part two: finger PPG → radial pressure,
where both signals were measured. Each record is calibrated and synchronised on its own first 30 s. The stores contain real
`radial` and, for part two, `digital_ppg` signals.
"""

import dataclasses
import os
import time

import tqdm
from absl import flags

from cap_jax import config
from cap_jax.cli import launcher, output_folders, study_flags
from cap_jax.data import datasets, recordings, splits, store
from cap_jax.report import page, tables
from cap_jax.report import sim_to_real as sheets
from cap_jax.strategies import find
from cap_jax.study import sim_to_real, study_config, study_datasets, training
from cap_jax.train import checkpoint
from cap_jax.types import InputError

_CONFIG = study_flags.define_study("source and training; strategies without target labels")
_STORES = flags.DEFINE_list("stores", [], "prepared stores of records of people")
_WORKDIR = flags.DEFINE_string("workdir", None, "folder to create for the report")
_STRATEGIES = ("domain_adaptation", "domain_adaptation/mmd", "domain_adaptation/coral")
_PPG_S = 24.0  # length of the record of each virtual subject; its first quarter calibrates it


def _records() -> list[recordings.Recording]:
  """Returns all real recordings of the stores.

  Raises:
    InputError: there is no store, a store has virtual subjects, or two stores share a subject.
  """
  if not _STORES.value:
    raise InputError("--stores is missing; pass --stores=STORE,STORE, created with experiments.prepare")
  twice = [path for path in _STORES.value if _STORES.value.count(path) > 1]
  if twice:
    raise InputError(f"--stores: {twice[0]} occurs twice; name each store once")
  by_store: dict[str, list[recordings.Recording]] = {}
  for path in _STORES.value:
    opened = store.open_store(path)
    if opened.place not in datasets.PEOPLE:
      raise InputError(f"--stores: {path} contains records {opened.place}; pass stores of records of people")
    if opened.manifest["conditioning"]["synchronise"]:
      raise InputError(f"--stores: {path} was synchronised on whole records; prepare it with --nosynchronise")
    by_store[path] = opened.recordings()
  splits.Split({path: tuple(dict.fromkeys(r.subject for r in own)) for path, own in by_store.items()})
  return [recording for own in by_store.values() for recording in own]


def _study() -> study_config.Study:
  study = study_flags.read_study(_CONFIG)
  if study.strategies == study_config.Study.strategies:
    study = dataclasses.replace(study, strategies=_STRATEGIES)
  for name in study.strategies:
    if find(name, study.custom.get(name)).needs_labels:
      raise InputError(
        f"--config.strategies: {name} needs target labels, which these records do not have; choose another strategy"
      )
  study = dataclasses.replace(study, n_target=(0,), site="radial", reference="aortic_root")
  return study


def main() -> None:
  began = time.perf_counter()
  study, records = _study(), _records()
  workdir = output_folders.new_folder(launcher.required(_WORKDIR, "DIR"))
  source = study_datasets.load_source(study)
  trained, _ = training.pretrained(study, source.training, source.validation, source.origin)
  checkpoint.save(os.path.join(workdir, "checkpoint"), trained)
  count = len({recording.subject for recording in records})
  reconstructions = sim_to_real.aortic(study, trained, source.in_memory, source.validation, records)
  reconstructed = list(
    tqdm.tqdm(reconstructions, total=count * (3 + len(study.strategies)), desc="radial to aortic", unit="")
  )
  print(f"\n{sheets.EXPLAINED}\n\n{tables.text(sheets.aortic_table(reconstructed))}\n")

  by_catheter = config.Calibration(kind="invasive")  # of the radial pressure in the first seconds of each record
  other = dataclasses.replace(study, site=sim_to_real.PPG, reference="radial", calibration=by_catheter)
  people, validation = sim_to_real.ppg_source(other, study.source_subjects, _PPG_S)
  origin = {"data": "in silico: virtual cohort", "source": other.source}
  reader, _ = training.pretrained(other, people, validation, origin)
  measured = list(
    tqdm.tqdm(sim_to_real.arterial(other, reader, people, validation, records), desc="PPG to radial", unit="")
  )
  print(f"\n{tables.text(sheets.arterial_table(measured))}\n")

  spec = study.windows
  sections = []
  for name, heading, figure, table in (
    (
      "aortic",
      "Radial to aortic, without labels",
      sheets.waves(reconstructed, spec),
      sheets.aortic_table(reconstructed),
    ),
    ("arterial", "Finger PPG to radial pressure", sheets.pressures(measured, spec), sheets.arterial_table(measured)),
  ):
    drawn = page.Drawn(name, figure, "Four seconds of each held-out record")
    shows = f"Errors of every method. {drawn.caption}."
    sections.append(page.Section(heading=heading, shows=shows, drawn=[drawn], sheets={name: table}))
  page.write_figures_and_tables(workdir, sections)
  facts = launcher.provenance(
    stores=", ".join(f"{path}: {store.open_store(path).manifest['sha256']}" for path in _STORES.value),
    source=f"{study.source}, validation RMSE {trained.about['validation_rmse_mmhg']} mmHg (in silico)",
    seconds=f"{time.perf_counter() - began:.0f}",
  )
  summary = f"{count} real records, each held out once; the networks were trained on virtual subjects. No accuracy of aortic pressure is measured."
  first, *others = sections
  opening = dataclasses.replace(
    first, heading="Virtual to real", text="\n".join((summary, sheets.EXPLAINED, first.heading))
  )
  page.write(os.path.join(workdir, "report.html"), opening, others, facts)
  print(f"{os.path.join(workdir, 'report.html')}: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
  launcher.launch(main)
