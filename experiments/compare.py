"""The main job: learn on a virtual cohort, transfer to a small clinic, compare with the baselines, report.

python -m experiments.compare [--workdir=DIR] [--config=FILE] [--config.n_target=1,5]
"""

import os
import pathlib
import time

import tqdm
from absl import flags

from cap_jax.evaluation import study as studies
from cap_jax.evaluation import study_data
from cap_jax.report import figures, page, tables
from cap_jax.train import checkpoint, runs
from experiments import common

_CONFIG = common.define_study("what to compare")
_WORKDIR = flags.DEFINE_string("workdir", None, "new folder for study.csv and report.html (default: runs/compare)")
_JUDGE = "fine_tuning"
_SHOWN = ("gtf_target", "scratch", _JUDGE)


def main() -> None:
  began = time.perf_counter()
  study = common.read_study(_CONFIG)
  workdir = common.new_folder(_WORKDIR.value) if _WORKDIR.value else common.next_folder("runs/compare")
  source, target = study_data.load_source(study), study_data.load_target(study)
  split = study_data.split_of(source, target)
  split.save(os.path.join(workdir, "split.json"))
  trained, fitted = runs.pretrain(study, source.training, source.validation)
  checkpoint.save(os.path.join(workdir, "checkpoint"), trained)
  cells = studies.cells(study, source, target, trained)
  done = list(tqdm.tqdm(cells, total=studies.count(study), desc="cells", unit=""))
  studies.write_rows(os.path.join(workdir, "study.csv"), study, done)

  lines = tables.summarise(done)
  focus = min(study.n_target, key=lambda n: abs(n - 5))
  reasons = {c.reason: None for c in done if c.reason}
  shown = {c.method: c for c in done if c.n_target == focus and c.seed == study.seeds[0] and c.method in _SHOWN}
  scale = trained.scaling.sd_mmhg
  summary = (
    f"In silico: all subjects are virtual. Source: {study.source_subjects} subjects ({study.source}, task {study.task}); "
    f"target: scenario {study.scenario}, {len(target.test.subjects)} test subjects. Each strategy has {study.steps} steps."
  )
  drawn = {
    "few_shot": (figures.few_shot(lines), "Waveform RMSE against the number of labelled target subjects"),
    "training": (figures.training({"source network": fitted.loss * scale**2}), "Training of the source network"),
  }
  if shown:
    judge = _JUDGE if _JUDGE in shown else next(iter(shown))
    figure = figures.waves(target.test, shown, judge, study_data.target_site(study), study.windows.fs_hz)
    drawn = {"waves": (figure, f"Waves with {focus} labelled subjects"), **drawn}
  for name, (figure, _) in drawn.items():
    pathlib.Path(workdir, f"{name}.png").write_bytes(figures.to_png(figure))
  facts = common.provenance(
    split=f"sha256 {split.digest}",
    source_validation_rmse=f"{trained.about['validation_rmse_mmhg']} mmHg",
    seconds=f"{time.perf_counter() - began:.0f}",
  )
  title = "Central aortic pressure by transfer"
  page.write(os.path.join(workdir, "report.html"), title, summary, list(drawn.values()), lines, facts)
  print(f"\n{summary} Errors in mmHg.\n\n{tables.text(lines)}\n")
  for reason in reasons:
    print(f"fine-tuning: {reason}")
  print(f"{workdir}/report.html, {workdir}/study.csv, {workdir}/checkpoint: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
  common.launch(main)
