"""Makes the report of a network on a user's own data set."""

import csv
import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np

from cap_jax import files
from cap_jax.data import batches
from cap_jax.haemodynamics import indices
from cap_jax.metrics import agreement, standards
from cap_jax.report import page, participants, reconstruction, study_report, study_tables, tables
from cap_jax.study import characteristics, own_data, run_study, study_config, summary
from cap_jax.train import checkpoint
from cap_jax.types import DataError

_NAMES = {
  "csbp": ("cSBP [mmHg]", 1), "cdbp": ("cDBP [mmHg]", 1), "cpp": ("cPP [mmHg]", 1), "map": ("MAP [mmHg]", 1), "aix": ("AIx [%]", 1),
  "form_factor": ("form factor", 3), "ejection": ("ejection [ms]", 0), "sevr": ("SEVR [%]", 0), "hr": ("HR [bpm]", 0),
}  # fmt: skip
_BROWSED = 3
_NAMED = 5
NO_REFERENCE_NOTE = "No record has a measured aortic wave, so this report contains no errors."
ALL_LEFT_OUT_NOTE = "No record with an aortic wave counts for errors; the part “Left out of the errors” says why."
_VALID = "The intervals are valid only for subjects, sites and devices like those of the calibration."


def reconstructed_table(subjects: Sequence[own_data.Reconstructed]) -> tables.Table:
  """Returns a row a subject."""
  header = (
    "subject",
    "windows",
    "beats",
    *(name for name, _ in _NAMES.values()),
    "wave ± [mmHg]",
    "cSBP ± [mmHg]",
    "out of distribution",
    "missing",
  )
  rows = []
  for one in subjects:
    values = [study_tables.number(one.values[name], digits) for name, (_, digits) in _NAMES.items()]
    values[list(_NAMES).index("hr")] += " !" * bool(one.unusual_hr)
    strange = (
      ""
      if np.isnan(one.ood_fraction)
      else f"{100 * one.ood_fraction:.0f} %" + " !" * (one.ood_fraction > reconstruction.MOST_OOD)
    )
    widths = (study_tables.width(value) for value in (one.half_width_mmhg, one.csbp_half_width_mmhg))
    rows.append((one.subject, str(one.windows), str(one.beats), *values, *widths, strange, one.missing))
  caption = (
    "Reconstructed waves: indices of each subject's mean beat; ! marks records that are mostly out of distribution, and "
    "heart rates outside those of the training. Beats that have a foot in both waves count"
  )
  return tables.Table(header, rows, caption=caption)


def write_reconstructed(
  path: str | os.PathLike[str], subjects: Sequence[own_data.Reconstructed], unknown_level: str
) -> None:
  """Writes `reconstructed.csv`, a row a subject.

  Args:
    path: of the file.
    subjects: the reconstructed subjects.
    unknown_level: that the pressure level is unknown, which becomes a comment ahead of the header.
  """
  with files.write_atomically(path) as (partial,), open(partial, "w", newline="", encoding="utf-8") as file:
    file.write(f"# {unknown_level}\n" if unknown_level else "")
    writer = csv.writer(file)
    names = (f"{name}_est{indices.ending(name)}" for name in own_data.REPORTED_INDICES)
    writer.writerow(
      ("subject", "windows", "beats", *names, "half_width_mmhg", "csbp_half_width_mmhg", "ood_fraction", "missing")
    )
    for one in subjects:
      values = (*one.values.values(), one.half_width_mmhg, one.csbp_half_width_mmhg, one.ood_fraction)
      writer.writerow((one.subject, one.windows, one.beats, *(f"{value:.4f}" for value in values), one.missing))


def _study(trained: checkpoint.Checkpoint, path: str) -> study_config.Study:
  """Returns a study of the one network, which tables and figures need."""
  name, n_target, seed = own_data.method_of(trained)
  return study_config.Study(
    target_data=path,
    reference=trained.reference,
    site=trained.site,
    calibration=trained.calibration,
    windows=trained.windows,
    strategies=(name,) if name != "source" else (),
    n_target=tuple(sorted({0, n_target})),
    seeds=(seed,),
  )


def results(trained: checkpoint.Checkpoint, evaluated: own_data.Evaluated, path: str) -> study_report.ClinicResults:
  """Returns the errors on data with a measured aortic wave, as those of a study of the one network.

  Args:
    trained: the network.
    evaluated: its errors.
    path: of the data.
  """
  rows = summary.frame(evaluated.rows)
  summaries = [  # nothing was transferred here, so nothing is compared
    dataclasses.replace(one, against="", difference=agreement.NONE, p=float("nan")) for one in summary.summarise(rows)
  ]
  return study_report.ClinicResults(study=_study(trained, path), rows=rows, summaries=summaries, waves=evaluated.waves)


def errors(
  clinic: study_report.ClinicResults, place: str, reference: standards.Reference, named: Mapping[str, str]
) -> list[page.Section]:
  """Makes the sections on errors, for data with a measured aortic wave.

  Args:
    clinic: of `results`.
    place: where the data come from, one of `datasets.PLACES`.
    reference: of the validation standards.
    named: subject → how its error or amplification differs from those of the others.

  Returns:
    The sections in order.
  """
  count = clinic.rows["subject"].nunique()
  text = f"{count} subject{'s' * (count > 1)} with a measured aortic wave."
  return study_report.error_sections(clinic, text, place, reference, named)


def indices_table(subjects: Sequence[own_data.Reconstructed]) -> tables.Table:
  """Returns mean, SD and range of the main indices over subjects, an index a row."""
  rows = []
  for name, (title, digits) in _NAMES.items():
    values = np.array([one.values[name] for one in subjects])
    values = values[np.isfinite(values)]
    if name != "form_factor" and values.size:
      mean = f"{values.mean():.{digits}f}" + (f" ± {values.std(ddof=1):.{digits}f}" if values.size > 1 else "")
      rows.append((title, mean, f"{values.min():.{digits}f} to {values.max():.{digits}f}", str(values.size)))
  caption = "Indices of the reconstructed waves over subjects"
  return tables.Table(("index", "mean ± SD", "range", "subjects"), rows, caption=caption)


def why_no_errors(own: own_data.UserWindows) -> str:
  """Returns why a report contains no errors: no aortic wave was measured, or none of those counts.

  Args:
    own: windows of the data set, none of them paired.
  """
  reconstructed_too = {error.subject for error in own.lost} & set(own.all_windows.subjects)
  return ALL_LEFT_OUT_NOTE if reconstructed_too else NO_REFERENCE_NOTE


def opening_without_errors(
  subjects: Sequence[own_data.Reconstructed],
  browser: page.Browser | None,
  texts: Sequence[str],
  warnings: Sequence[str],
) -> page.Section:
  """Makes the first screen of a report without errors: the waves to look through, and the indices of all subjects.

  Args:
    subjects: the reconstructed subjects.
    browser: of some of their waves.
    texts: the sentence that the page opens with, and those below it.
    warnings: what a reader must not miss.
  """
  sheets = {"indices": indices_table(subjects)}
  valid = _VALID if any(np.isfinite(one.half_width_mmhg) for one in subjects) else ""
  below = "\n".join(text for text in (*texts[1:], valid) if text)
  return page.Section(heading=texts[0], text=below, browser=browser, sheets=sheets, warnings=warnings)


def participants_section(trained: checkpoint.Checkpoint, own: own_data.UserWindows, name: str) -> list[page.Section]:
  """Makes the section on the characteristics of the subjects, and of those that the network has seen as far as known.

  Args:
    trained: the network.
    own: windows of the data set.
    name: of the data set, for the file.
  """
  groups = {"network": characteristics.Group(len(trained.seen_subject_hashes), 0)}
  if own.paired is not None:
    groups["evaluated"] = characteristics.of(own.paired, trained.windows)
  if own.paired is None or own.paired.subjects != own.all_windows.subjects:
    groups["reconstructed"] = characteristics.of(own.all_windows, trained.windows)
  text = (
    "Seen by the network: all subjects who trained, selected or calibrated it, or its source; it keeps no more of them."
  )
  return participants.characteristics_section(groups, name, text)


def reconstructed(
  trained: checkpoint.Checkpoint,
  subjects: Sequence[own_data.Reconstructed],
  y_bt: np.ndarray,
  waves: batches.Waves,
  path: str,
) -> page.Section:
  """Makes the section on the reconstructed waves of all subjects, with some records to look through.

  Args:
    trained: the network.
    subjects: the reconstructed subjects.
    y_bt: (window, time) reconstructed waves [mmHg].
    waves: peripheral waves of the same windows.
    path: of the data.

  Returns:
    The section.
  """
  what, name = _study(trained, path), own_data.method_of(trained)[0]
  records = []
  for subject in waves.subjects[:_BROWSED]:
    rows = np.flatnonzero(waves.subject_b == subject)[:4]
    records.append(study_report.record(subject, {name: y_bt[rows]}, waves.x_bt[rows], what))
  browser = page.Browser(
    records, "The first records, beat by beat: drag to zoom, double-click to reset, hover for values."
  )
  why = (
    f"No intervals: {trained.uncertainty_calibration.lacking}."
    if trained.uncertainty_calibration and trained.uncertainty_calibration.lacking
    else ""
  )
  shows = "The indices of each subject's reconstructed wave."
  return page.Section(
    heading="Reconstructed waves",
    shows=shows,
    text=why,
    browser=browser,
    sheets={"reconstructed": reconstructed_table(subjects)},
  )


def warnings(
  outliers: Mapping[str, str], subjects: Sequence[own_data.Reconstructed], trained: checkpoint.Checkpoint
) -> list[str]:
  """Returns the lines that stand in the terminal and at the top of the page.

  Args:
    outliers: subject → how its error or amplification differs from those of the others.
    subjects: the reconstructed subjects.
    trained: the network.
  """
  lines = [f"WARNING: {trained.unknown_level}"] if trained.unknown_level else []
  lines += [
    f"WARNING: {subject} stands far from the others: {how}; check that both waves are simultaneous and in mmHg"
    for subject, how in outliers.items()
  ]
  windows = sum(one.windows for one in subjects)
  outside = sum(one.windows * one.ood_fraction for one in subjects)
  if trained.uncertainty_calibration and outside > reconstruction.MOST_OOD * windows:
    lines.append(
      f"WARNING: {100 * outside / windows:.0f} % of the windows are out of distribution; {trained.uncertainty_calibration.outside}"
    )
  elif flagged := [one.subject for one in subjects if one.ood_fraction > reconstruction.MOST_OOD]:
    names = ", ".join(flagged[:_NAMED]) + (", …" if len(flagged) > _NAMED else "")
    lines.append(
      f"WARNING: most windows of {len(flagged)} of {len(subjects)} subjects ({names}) are out of distribution; check the site, the unit and the sign of their waves"
    )
  unusual = [one for one in subjects if one.unusual_hr]
  if unusual:
    names = ", ".join(one.subject for one in unusual[:_NAMED]) + (", …" if len(unusual) > _NAMED else "")
    first = f"{unusual[0].subject}: " * (len(unusual) > 1) + unusual[0].unusual_hr
    lines.append(
      f"WARNING: unusual heart rate in {len(unusual)} of {len(subjects)} subjects ({names}): {first}; do not trust pulse pressure and ejection times"
    )
  return lines


def left_out(lost: Sequence[DataError]) -> page.Section:
  """Returns the section on records that could not be used, or that the network has seen, with the remedies."""
  rows = [(error.subject or "?", error.where, error.problem, error.remedy) for error in lost]
  shows = "Records that could not be used or that the network has seen, and what to do about each."
  return page.Section(
    heading="Left out of the errors",
    shows=shows,
    sheets={"left_out": tables.Table(("subject", "where", "problem", "remedy"), rows)},
  )


def write_errors(path: str | os.PathLike[str], evaluated: own_data.Evaluated, method: str) -> None:
  """Writes `errors.csv`, a row a subject, with the columns of `study.csv`.

  Args:
    path: of the file.
    evaluated: errors of all methods.
    method: whose rows are written.
  """
  run_study.write_rows(path, [row for row in evaluated.rows if row["method"] == method])
