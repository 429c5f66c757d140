"""The main job: learn on a virtual cohort, transfer to a small clinic, compare with the baselines, report.

  python -m experiments.compare [--workdir=DIR] [--config=FILE] [--config.n_target=1,5]
  python -m experiments.compare --scenarios=population,device,subject_device --config.n_target=0,1,2,5,10,20,50 \
    --config.labelled_subjects=60 --config.seeds=0,1,2
"""

import dataclasses
import os
import pathlib
import time

import numpy as np
import tqdm
from absl import flags

from cap_jax import config
from cap_jax.data import splits
from cap_jax.evaluation import study as studies
from cap_jax.evaluation import study_data, study_limits
from cap_jax.losses import tasks
from cap_jax.report import figures, page, tables
from cap_jax.train import checkpoint, runs
from cap_jax.types import InputError
from experiments import common

_CONFIG = common.define_study("what to compare")
_SCENARIOS = flags.DEFINE_list("scenarios", None, "target clinics (default: the config's one)")
_WORKDIR = flags.DEFINE_string("workdir", None, "new folder for study.csv and report.html (default: runs/compare)")
_JUDGE = "fine_tuning"
_SHOWN = ("gtf_target", "scratch", _JUDGE)


def _draw(
  study: config.Study, target: study_data.Target, done: list[studies.Cell], folder: str
) -> list[tuple[figures.Figure, str]]:
  """Figures of one clinic, saved as PNG too."""
  focus = min(study.n_target, key=lambda n: abs(n - 5))
  shown = {c.method: c for c in done if c.n_target == focus and c.seed == study.seeds[0] and c.method in _SHOWN}
  drawn = {
    "few_shot": (
      figures.few_shot(tables.summarise(done), study_data.place(study)),
      "Waveform RMSE by labelled target subjects",
    )
  }
  if shown:
    judge = _JUDGE if _JUDGE in shown else next(iter(shown))
    waves = figures.waves(target.test, shown, judge, study_data.target_site(study), study.windows.fs_hz)
    drawn = {"waves": (waves, f"Waves with {focus} labelled subjects"), **drawn}
  for name, (figure, _) in drawn.items():
    pathlib.Path(folder, f"{name}_{study_data.target_name(study)}.png").write_bytes(figures.to_png(figure))
  return list(drawn.values())


def _compare(
  study: config.Study, source: study_data.Source, trained: checkpoint.Checkpoint, folder: str
) -> tuple[page.Section, list[studies.Cell], splits.Split]:
  """One target clinic: its section of the report, its cells, and who was in which part."""
  target = study_data.load_target(study)
  split = study_data.split_of(source, target)
  split.save(os.path.join(folder, f"split_{study_data.target_name(study)}.json"))
  cells = studies.cells(study, source, target, trained)
  done = list(tqdm.tqdm(cells, total=studies.count(study), desc=study_data.target_name(study), unit="cell"))
  reasons = "; ".join(dict.fromkeys(cell.reason for cell in done if cell.reason))
  text = f"{len(target.test.subjects)} test subjects; {study.steps} steps for each strategy. {reasons}".strip()
  table = tables.of_study(tables.summarise(done))
  name = study_data.target_name(study)
  print(f"\n{name}: {text}\n\n{tables.text(table)}\n")
  return page.Section(f"Target clinic: {name}", text, _draw(study, target, done, folder), table), done, split


def _training(loss: np.ndarray, sd_mmhg: float, folder: str) -> page.Section:
  figure = figures.training({"source network": loss * sd_mmhg**2})
  pathlib.Path(folder, "training.png").write_bytes(figures.to_png(figure))
  return page.Section("The source network", "", [(figure, "Training of the source network")])


def main() -> None:
  began = time.perf_counter()
  first = common.read_study(_CONFIG)
  clinics = [dataclasses.replace(first, scenario=name) for name in _SCENARIOS.value or [first.scenario]]
  if len({study.scenario for study in clinics}) < len(clinics):
    raise InputError(f"--scenarios={','.join(_SCENARIOS.value)}: names a clinic twice")
  for study in clinics:
    study_limits.check(study)
  for name in first.strategies:
    runs.check(first, name, tasks.TASKS[first.task].model(first.model), first.task)
  workdir = common.new_folder(_WORKDIR.value) if _WORKDIR.value else common.next_folder("runs/compare")
  source = study_data.load_source(first)
  trained, fitted = runs.pretrain(first, source.training, source.validation, source.origin)
  checkpoint.save(os.path.join(workdir, "checkpoint"), trained)
  summary = (
    f"{study_data.told(first)} Source: {len(source.training.subjects)} subjects, task {first.task}. Errors in mmHg."
  )
  print(f"\n{summary}")
  found = [_compare(study, source, trained, workdir) for study in clinics]
  studies.write_rows(os.path.join(workdir, "study.csv"), [cell for _, cells, _ in found for cell in cells])
  sections = [section for section, _, _ in found] + [_training(fitted.loss, trained.scaling.sd_mmhg, workdir)]
  facts = common.provenance(
    splits=", ".join(
      f"{study_data.target_name(study)}: sha256 {split.digest}"
      for study, (_, _, split) in zip(clinics, found, strict=True)
    ),
    source_validation_rmse=f"{trained.about['validation_rmse_mmhg']} mmHg",
    seconds=f"{time.perf_counter() - began:.0f}",
  )
  page.write(
    os.path.join(workdir, "report.html"),
    "Central aortic pressure by transfer",
    summary,
    tables.EXPLAINED,
    sections,
    facts,
  )
  print(f"{workdir}/report.html, {workdir}/study.csv, {workdir}/checkpoint: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
  common.launch(main)
