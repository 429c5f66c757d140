"""Benchmarks this project on this machine, against PyTorch where a target requires it, and reports which targets are met.

python -m experiments.benchmark [--only=steps,frozen] [--turns=5] [--output=benchmark]

Calls to compare alternate in one run. The sections `steps`, `alignment`, `many`, `personal` and `accuracy` need PyTorch
(requirements-bench.txt); `start` runs the default comparison twice. Writes OUTPUT.json, OUTPUT.md, and OUTPUT.png, a figure
of how costs grow, after each section.

python -m experiments.benchmark --only=steps,rate,personal,cohort,input --turns=3 --threads=4 --output=gpu   what a GPU is used for
"""

import dataclasses
import importlib
import json

import tqdm
from absl import flags

from cap_jax import files
from cap_jax.cli import launcher, output_folders
from cap_jax.data import signal_names
from cap_jax.report import costs, figures
from cap_jax.types import InputError
from experiments.benchmarks import growth, machine
from experiments.benchmarks.sections import SECTIONS
from experiments.benchmarks.timing import Options, Row

_ONLY = flags.DEFINE_list("only", list(SECTIONS), f"sections to run: {', '.join(SECTIONS)}")
_TURNS = flags.DEFINE_integer("turns", 5, "number of timed calls of each case", lower_bound=1)
_SUBJECTS = flags.DEFINE_integer("subjects", 4374, "number of virtual subjects", lower_bound=8)
_WINDOWS = flags.DEFINE_integer(
  "windows", 200_000, "windows that the section `preparation` prepares", lower_bound=10_000
)
_STEPS = flags.DEFINE_integer("steps", 50, "training steps per timed call", lower_bound=1)
_THREADS = flags.DEFINE_list("threads", ["1", "2"], "thread counts of PyTorch to try; the fastest is reported")
_STORE = flags.DEFINE_string(
  "store", "", "prepared store for the section `input` (default: a temporary store of virtual subjects)"
)
_SITE = flags.DEFINE_enum(
  "site", "radial", [*signal_names.SITES, signal_names.PPG], "signal that the section `input` reads"
)
_OUTPUT = flags.DEFINE_string("output", None, "write OUTPUT.json, .md and .png, which must not exist yet")
_SIGNIFICANT = 3


def _options() -> Options:
  for name in _ONLY.value:
    if name not in SECTIONS:
      raise InputError(f"--only={name}: unknown section; choose from {', '.join(SECTIONS)}")
  if not _ONLY.value or not all(number.isdigit() and int(number) > 0 for number in _THREADS.value):
    raise InputError(
      f"--only={','.join(_ONLY.value)}, --threads={','.join(_THREADS.value)}: pass names of sections and numbers of threads"
    )
  return Options(
    turns=_TURNS.value,
    subjects=_SUBJECTS.value,
    windows=_WINDOWS.value,
    steps=_STEPS.value,
    threads=tuple(int(number) for number in _THREADS.value),
    store=_STORE.value,
    site=_SITE.value,
  )


def measure(name: str, options: Options) -> list[Row]:
  """Returns the rows of a section.

  Args:
    name: of the section.
    options: of the measurement.

  Returns:
    The rows.

  Raises:
    InputError: the section needs PyTorch, which is not installed.
  """
  module, function = SECTIONS[name]
  try:
    return getattr(importlib.import_module(f"experiments.benchmarks.{module}"), function)(options)
  except ModuleNotFoundError as error:
    if error.name != "torch":
      raise
    raise InputError(
      f"--only={name}: PyTorch is not installed; run pip install -r requirements-bench.txt, or choose other sections"
    ) from error


def cells_of(row: Row) -> tuple[str, ...]:
  """Returns the cells of a row of the table."""
  target = "" if row.target is None else f"{'≥' if row.at_least else '≤'} {row.target:g}"
  verdict = {None: "", True: "met", False: "**missed**"}[row.reached]
  value = f"{row.value:.{_SIGNIFICANT}g}" if row.value < 1000 else f"{row.value:.0f}"
  return row.section, row.name, f"{value} {row.unit}".strip(), target, verdict, row.detail


def table(rows: list[Row]) -> str:
  """Formats rows as a Markdown table."""
  head = ("section", "what", "measured", "target", "", "detail")
  lines = [head, tuple("---" for _ in head), *(cells_of(row) for row in rows)]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _curves(rows: list[Row]) -> dict[str, dict[str, list[tuple[float, float]]]]:
  panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
  for row in rows:
    if row.against:
      panels.setdefault(row.against, {}).setdefault(row.curve, []).append((row.size, row.value))
  return panels


def _write(output: str, rows: list[Row], facts: dict[str, str], text: str) -> None:
  contents = {
    ".json": json.dumps(
      {"rows": [{**dataclasses.asdict(row), "met": row.reached} for row in rows], **facts}, indent=2
    ).encode(),
    ".md": f"{text}\n".encode(),
  }
  panels = _curves(rows)
  if panels:
    contents[".png"] = figures.to_png(costs.growth(panels, "ms", (growth.DEVICES,)))
  with files.write_atomically(*(output + end for end in contents)) as partial:
    for path, content in zip(partial, contents.values(), strict=True):
      with open(path, "wb") as file:
        file.write(content)


def main() -> None:
  options = _options()
  for end in (".json", ".md", ".png"):
    output_folders.check_file(_OUTPUT.value and _OUTPUT.value + end, "--output")
  rows: list[Row] = []
  facts, text = launcher.provenance(**machine.facts()), ""
  for name in tqdm.tqdm(_ONLY.value, desc="benchmark", unit="section", leave=False):
    rows += measure(name, options)
    text = "\n".join([table(rows), "", *(f"{fact}: {value}" for fact, value in facts.items())])
    if _OUTPUT.value:
      _write(_OUTPUT.value, rows, facts, text)  # a machine that is lent for minutes may be gone before the last section
  print(text)


if __name__ == "__main__":
  launcher.launch(main)
