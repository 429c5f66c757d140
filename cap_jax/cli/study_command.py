"""Defines what the study commands share: flags, checks before long work, the run and its report."""

import dataclasses
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas
import tqdm
from absl import flags

from cap_jax import executors
from cap_jax.cli import executor_flag, launcher, output_folders, reference_flags, study_flags
from cap_jax.inference import pretrained
from cap_jax.losses import tasks
from cap_jax.metrics import label_efficiency
from cap_jax.report import answer, methods_text, page, participants, study_report, study_tables, tables
from cap_jax.study import folds, study_config, study_datasets, study_grid, study_manifest, summary, training
from cap_jax.study import run_study as studies
from cap_jax.train import checkpoint, strategy_selection
from cap_jax.types import InputError


class Flags(NamedTuple):
  """The flags of a study.

  Attributes:
    config: what to compare.
    workdir: folder of the study.
    source: the source network.
    executor: what runs the cells.
  """

  config: flags.FlagHolder[Any]
  workdir: flags.FlagHolder[Any]
  source: flags.FlagHolder[Any]
  executor: flags.FlagHolder[Any]


def define_flags(default: str, executor: str) -> Flags:
  """Defines the flags of a study.

  Args:
    default: name of its default config in `cap_jax/cli/configs`.
    executor: the default one.
  """
  return Flags(
    study_flags.define_study("what to compare: methods, clinics, labels, seeds", default),
    flags.DEFINE_string("workdir", None, "folder of the study: new, or of a stopped study"),
    flags.DEFINE_string(
      "source",
      None,
      "the source network: one of the package such as radial, train, or a checkpoint folder (default: from the config)",
    ),
    executor_flag.define(executor),
  )


def read(command_flags: Flags) -> study_config.Study:
  """Returns the study that the flags name.

  Raises:
    InputError: a value is invalid.
  """
  study = study_flags.read_study(command_flags.config)
  source = (
    study.source_network if command_flags.source.value is None else launcher.required(command_flags.source, "radial")
  )
  study = study_flags.with_source(study, source, study_flags.read_overrides(command_flags.config))
  return folds.with_possible_labels(study)


def check(study: study_config.Study, command_flags: Flags, folder: str) -> None:
  """Checks before long work that every method can run in every clinic, and that the flags are valid.

  Args:
    study: to run.
    command_flags: of the command; the methods that they name must be in a cell.
    folder: of the study.

  Raises:
    InputError: a value of the study is invalid.
  """
  launcher.metrics()
  stores = {"config.source_data": study.source_data, "config.target_data": study.target_data}
  executors.check(command_flags.executor.value, workdir=folder, **stores)
  study_datasets.check_stores(study)
  study_datasets.check_rates(study)
  for clinic in study_grid.clinics_of(study):
    folds.check(clinic)
    folds.check_labelled(clinic)
  for name in strategy_selection.expanded(study.strategies):
    training.check(study, name, tasks.TASKS[study.task].model(study.model))
  if not study_grid.keys(study):
    raise InputError(
      f"n_target={study.n_target}: no method can use it; change n_target or the methods: {'; '.join(study_grid.unused(study))}"
    )
  _check_requested(study, study_flags.read_overrides(command_flags.config))


def _check_requested(study: study_config.Study, overrides: Mapping[str, Any]) -> None:
  """Checks that every method that the command line names runs in some cell.

  Raises:
    InputError: one runs in none.
  """
  requested = {name for field in ("baselines", "strategies") if field in overrides for name in getattr(study, field)}
  for line in study_grid.unused(study):
    name, _, reason = line.partition(": ")
    if name in requested:
      raise InputError(f"{name}: can run in no cell ({reason}); change --config.n_target, or omit it")


def announce(study: study_config.Study, folder: str, executor: str, count: int) -> int:
  """Prints to standard error the size of the study and the time that it takes.

  Args:
    study: to run.
    folder: of the study.
    executor: its name.
    count: number of cells that it runs at a time.

  Returns:
    The number of cells.
  """
  keys = study_grid.keys(study)
  seconds = study_grid.estimate_s(study, folder, keys, count)
  unfit = [line for clinic in study_grid.clinics_of(study) for line in folds.untested(clinic)]
  left = "; ".join(f"omitted: {line}" for line in (*study_grid.unused(study), *unfit))
  length = f"{seconds / 3600:.1f} hours" if seconds > 5400 else f"{seconds / 60:.0f} minutes"
  lines = [f"{len(keys)} cells; about {length} with --executor={executor}, excluding completed cells"]
  lines += [f"budget of {', '.join(names)}: {budget}" for budget, names in study_grid.budgets(study).items()]
  lines.append("methods without labels cannot use labelled validation subjects, so they use one learning rate")
  print("\n".join([*lines, left] if left else lines), file=sys.stderr, flush=True)
  return len(keys)


def run(study: study_config.Study, folder: str, executor: str, began: float) -> None:
  """Runs or resumes the study in its folder, and writes the report.

  Args:
    study: to run.
    folder: of the study.
    executor: name of what runs the cells.
    began: `time.perf_counter` at the start of the command.
  """
  if studies.is_finished(study, folder):
    raise output_folders.FinishedError(
      f"{folder}: this study is finished; see {os.path.join(folder, 'report.html')} (remove that file to write the report again)"
    )
  with executors.opened(executor) as workers:
    total = announce(study, folder, executor, workers.tasks)
    with tqdm.tqdm(total=total, desc="study", unit="cell") as bar:
      for cell in studies.run(study, folder, workers.executor, launcher.metrics()):
        bar.set_postfix_str(f"{cell.key.scenario}, {cell.key.method}, n={cell.key.n_target}")
        bar.update()
  rows = studies.rows(study, folder)
  studies.write_rows(os.path.join(folder, "study.csv"), rows)
  report(study, folder, summary.frame(rows), began)


def report(study: study_config.Study, folder: str, rows: pandas.DataFrame, began: float) -> None:
  """Prints the tables, and writes the page, the figures and the tables as files.

  Args:
    study: that was run.
    folder: of the study.
    rows: a row a subject and cell.
    began: `time.perf_counter` at the start of the command.
  """
  setting, place = study_datasets.describe(study), study_datasets.place(study)
  clinics = study_report.open_clinics(study, folder, rows)
  gained = study_report.efficiency_tables_of(clinics)
  unknown = study_datasets.unknown_level(study)
  if unknown:
    print(f"note: {unknown}")
  headlines = [answer.headline(clinic, place) for clinic in clinics]
  if len(clinics) > 1:
    headlines = [f"{clinic.name}: {line}" for clinic, line in zip(clinics, headlines, strict=True)]
  print("\n".join(headlines))
  for clinic in clinics:
    print(
      f"\n{setting} {clinic.name}: {study_report.describe_clinic(clinic)}\n\n{tables.text(study_tables.short(clinic.summaries))}\n"
    )
  for name in ("label_efficiency", "choices"):
    if name in gained:
      print(f"{setting} {gained[name].caption}\n\n{tables.text(gained[name])}\n")
  names = ", ".join(clinic.name for clinic in clinics)
  facts_line = (
    f"{setting} Target clinic{'s' * (len(clinics) > 1)}: {names}. Source task: {study.task}, site: {study.site}."
  )
  warnings = [f"{unknown[0].upper()}{unknown[1:]}."] if unknown else []
  opening = answer.opening(clinics, place, facts_line, warnings)
  sections = [*_sections(clinics, folder, place), _gain(gained)]
  page.write_figures_and_tables(folder, [opening, *sections])
  path = os.path.join(folder, "report.html")
  page.write(path, opening, sections, _facts(study, folder, time.perf_counter() - began))
  others = ", ".join(os.path.join(folder, name) for name in ("study.csv", "checkpoint"))
  print(f"{path}, {others}: {time.perf_counter() - began:.0f} s")


def _gain(gained: Mapping[str, tables.Table]) -> page.Section:
  shows = "The error at every number of labels, and how many labels transfer saves."
  return page.Section(heading="Gain from transfer", shows=shows, text=label_efficiency.EXPLAINED, sheets=gained)


def _sections(clinics: list[study_report.ClinicResults], folder: str, place: str) -> list[page.Section]:
  """Returns the closed parts about each clinic, and before them a comparison of several."""
  loss = study_report.source_loss(folder)
  trained = checkpoint.load(path) if os.path.isdir(path := os.path.join(folder, "checkpoint")) else None
  sections = answer.clinics_section(clinics, place)
  for k, clinic in enumerate(clinics):
    reference = reference_flags.reference(place, clinic.study.calibration.kind)
    own = study_report.sections(clinic, loss, place, reference)
    if k:  # the waves of the first clinic are in the opening
      own[0] = dataclasses.replace(own[0], drawn=[*study_report.waves(clinic), *own[0].drawn])
    folds = clinic.rows["fold"].nunique()
    text = f"Subjects of the first of {folds} folds. " if folds > 1 else ""
    if clinic.study.source_network != pretrained.TRAIN:
      text += "The source network was trained elsewhere; the source subjects here are those of strategies that read source windows."
    own += participants.characteristics_section(clinic.groups, clinic.name, text)
    own.append(methods_text.section(methods_text.of_study(clinic, trained)))
    sections += answer.prefixed(clinic, own, len(clinics))
  return sections


def _facts(study: study_config.Study, folder: str, seconds: float) -> dict[str, str]:
  split, data = study_manifest.digests(folder)
  return launcher.provenance(
    config=", ".join(f"{name}: {value}" for name, value in study_flags.changed(study).items()) or "all defaults",
    splits="; ".join(f"{name} {digest}" for name, digest in split.items()),
    data="; ".join(f"{name} {digest}" for name, digest in data.items()),
    seconds=f"{seconds:.0f}",
  )
