"""Measures how artefacts of increasing severity affect a reconstruction: the error of the reconstructed part, and the fraction
that is not reconstructed.

python -m experiments.severity [--source=DIR/checkpoint] [--subjects=24] [--seed=0] [--workdir=DIR]

Prints both tables as Markdown. With --workdir it writes report.html, figures/ and tables/.
"""

import dataclasses
import os
import time

from absl import flags

from cap_jax.cli import launcher, output_folders
from cap_jax.inference import pretrained
from cap_jax.report import page, tables
from cap_jax.report import severity as sheets
from cap_jax.study import severity
from cap_jax.train import checkpoint

_SOURCE = flags.DEFINE_string(
  "source", pretrained.DEFAULT, f"checkpoint folder, or a packaged network: {', '.join(pretrained.names())}"
)
_SUBJECTS = flags.DEFINE_integer("subjects", 24, "number of virtual subjects", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 60.0, "duration of each record in s", lower_bound=8.0)
_SEED = flags.DEFINE_integer("seed", 0, "random seed of subjects and artefacts", lower_bound=0, upper_bound=2**31 - 1)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder to create for the report; without it, no report is written")


def main() -> None:
  began = time.perf_counter()
  trained = pretrained.load(_SOURCE.value)
  if _WORKDIR.value is None:
    _measure(trained)
    return
  with output_folders.whole_folder(_WORKDIR.value, "--workdir") as folder:
    section = _measure(trained)
    page.write_figures_and_tables(folder, [section])
    facts = launcher.provenance(
      network=", ".join(f"{key}: {value}" for key, value in trained.about.items()),
      seconds=f"{time.perf_counter() - began:.0f}",
    )
    explained = "A gap does not count as an error: implausible parts are not reconstructed, and the reason is given."
    opening = dataclasses.replace(section, text="\n".join((_describe_subjects(), explained, section.text)))
    page.write(os.path.join(folder, "report.html"), opening, [], facts)
  print(f"{os.path.join(_WORKDIR.value, 'report.html')}: {time.perf_counter() - began:.0f} s")


def _describe_subjects() -> str:
  return f"In silico: {_SUBJECTS.value} virtual subjects, {_SECONDS.value:g} s each."


def _measure(trained: checkpoint.Checkpoint) -> page.Section:
  """Prints the tables of all artefacts and returns them as a section of a page."""
  section = sheets.section(list(severity.curve(trained, _SUBJECTS.value, _SECONDS.value, _SEED.value)))
  print(_describe_subjects())
  for sheet in section.sheets.values():
    print(f"\n{sheet.caption}\n\n{tables.to_markdown(sheet)}", end="")
  return section
