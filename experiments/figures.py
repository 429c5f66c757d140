"""Computes the figures of the README and of the docs anew, all from one commit.

  python -m experiments.figures --list                                        what there is, where it stands, and how long it takes
  python -m experiments.figures --only=main,no_labels --workdir=runs/figures
  python -m experiments.figures --workdir=runs/figures --loop=FOLDER          all; FOLDER has the records of the circulatory loop

Run it in a clone without changes. Each figure gets a folder with its output and with a log for each command. What is finished is not
computed again; run the same command after a stop. `manifest.json` names the commit and the minutes of each command. `--tables=FOLDER`
copies the manifest, the tables that pages show and the printed lines to FOLDER, beside those of the same commit that are there;
`docs/figures` has those behind the pages.
"""

import dataclasses
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import tqdm
from absl import flags

from cap_jax import __version__, files
from cap_jax.cli import launcher, output_folders
from cap_jax.inference import pretrained
from cap_jax.types import InputError, suggest
from experiments.benchmarks.sections import SECTIONS

ROOT = pathlib.Path(__file__).resolve().parents[1]
MANIFEST = "manifest.json"
_PUBLISHED = (
  "answer",
  "by_labels",
  "choices",
  "clinics",
  "features",
  "intervals",
  "label_efficiency",
)  # tables of studies
FOLDERS = ("loop", "records", "aortic")
_CONFIGURATIONS: dict[str, tuple[str, ...]] = {"feature_transfer": (), "fine_tuning": ("--n_target=20",), "parameter_transfer": ("--n_target=20",), "domain_adaptation": (), "multi_task": ("--n_target=20",), "combination": ()}  # fmt: skip
_CLINICS = "--config.scenarios=population,device,device_population,subject_device,site,cuff,clinic,exact"
_STUDY = ("experiments.study", "--executor=processes:2")
_LIST = flags.DEFINE_bool("list", False, "only list the figures")
_ONLY = flags.DEFINE_list("only", [], "names of figures; all without it")
_LOOP = flags.DEFINE_string(
  "loop", None, "folder with the records of the mock circulatory loop (MCLGenerated.CO.Database)"
)
_RECORDS = flags.DEFINE_string("records", None, "folder radial of experiments.reference_records")
_AORTIC = flags.DEFINE_string("aortic", None, "folder aortic of experiments.reference_records")
_WORKDIR = flags.DEFINE_string("workdir", None, "folder for the outputs")
_TABLES = flags.DEFINE_string("tables", None, "folder that gets the tables and printed lines of all finished figures")
_LEFT_OUT = re.compile(
  r"%\||\[\d\d:\d\d[,<]|\x1b\[A|file://"
)  # bars of tqdm, and where this machine gets packages from


@dataclasses.dataclass(frozen=True)
class Figure:
  """Figures that some commands compute.

  Attributes:
    page: where they stand.
    commands: modules with their arguments; {out} is the folder of the outputs; {loop}, {records} and {aortic} are flags.
    minutes: on two cores of an AMD EPYC, at or after commit 25840f2; None if it was not timed.
  """

  page: str
  commands: tuple[tuple[str, ...], ...]
  minutes: float | None = None

  @property
  def needs(self) -> tuple[str, ...]:
    """Names of the flags that it needs."""
    text = " ".join(word for command in self.commands for word in command)
    return tuple(name for name in FOLDERS if f"{{{name}}}" in text)


def _world(number: int) -> tuple[str, ...]:
  return (
    *_STUDY, "--config=experiments/configs/headline.py", f"--config.cohort_seed={2024 + number}", f"--config.pretrain.seed={number}",
    "--config.seeds=0,", "--config.n_target=0,5,25,50,100,400", "--config.baselines=source,",
    "--config.strategies=scratch,multi_task/transducer,domain_adaptation/transducer", f"--workdir={{out}}/world_{number}",
  )  # fmt: skip


def _packaged(network: str, scenarios: str) -> tuple[str, ...]:
  """A packaged network on the people of the headline."""
  return (
    *_STUDY, f"--config=experiments/configs/pretrained.py:{network}", f"--config.source_network={network}", "--config.source_subjects=1200",
    "--config.labelled_subjects=400", "--config.unlabelled_subjects=400", "--config.validation_subjects=16",
    f"--config.scenarios={scenarios}", "--config.n_target=0,5", "--config.seeds=0,1,2,3,4", "--config.baselines=peripheral,source",
    "--config.strategies=domain_adaptation/context,fine_tuning/context,multi_task/context", "--config.steps=200", "--config.batch=16",
    f"--workdir={{out}}/{network}",
  )  # fmt: skip


def _configuration(name: str, folder: str, *flags_of: str) -> tuple[str, ...]:
  """One configuration of a strategy."""
  config = f"--config=experiments/configs/{name}.py"
  return ("experiments.transfer", config, *flags_of, f"--workdir={{out}}/{folder}")


_ATTACKED = (
  "aurora", "checkpoint", "checkpoint_header", "config", "csv", "mat", "npz", "parquet", "pulsedb", "pulsedb_subset", "pwdb", "pwdb_mat",
  "pwdb_wfdb", "reconstruct", "store", "uci", "vital", "vital_tracks", "weights", "wfdb", "wfdb_flac",
)  # fmt: skip
_FIVE = "examples/five_patients"
FIGURES = {
  "main": Figure("README.md", (("experiments.compare", "--workdir={out}/compare"),), 1),
  "headline": Figure(
    "README.md, docs/results.md",
    (
      (*_STUDY, "--config=experiments/configs/headline.py", "--workdir={out}/study"),
      (
        *_STUDY, "--config=experiments/configs/headline.py", "--config.n_target=5,", "--config.baselines=source,",
        "--config.strategies=auto,feature_transfer", "--workdir={out}/auto",
      ),
      _packaged("radial", "population,device_population,subject_device"),
      _packaged("brachial", "site"),
    ),
    95,
  ),
  "replications": Figure("docs/results.md", tuple(_world(number) for number in range(1, 5)), 48),
  "in_vitro": Figure(
    "README.md, docs/results.md, docs/limits.md, docs/strategies.md",
    (
      (
        "experiments.prepare", "--format=mcl", "--path={loop}", "--split=training:0.7,validation:0.3", "--output={out}/store",
      ),
      (*_STUDY, "--config=experiments/configs/rig.py", "--config.target_data={out}/store", "--workdir={out}/study"),
    ),
    17,
  ),
  "physics": Figure(
    "docs/results.md",
    (
      (
        "experiments.prepare", "--format=nonlinear", "--path=dev", "--out_of_distribution=reported:1:1",
        "--split=training:0.75,validation:0.25", "--output={out}/store",
      ),
      (*_STUDY, "--config=experiments/configs/physics.py", "--config.target_data={out}/store", "--workdir={out}/study"),
    ),
    6,
  ),
  "no_labels": Figure(
    "docs/results.md",
    ((*_STUDY, "--config=experiments/configs/no_harm.py", "--config.n_target=0,", _CLINICS, "--workdir={out}/study"),),
    6,
  ),
  "comparison": Figure(
    "docs/comparison.md",
    ((*_STUDY, "--config=experiments/configs/paper.py", "--config.seeds=0,1", "--workdir={out}/study"),),
    72,
  ),
  "configurations": Figure(
    "docs/comparison.md",
    (
      *(_configuration(name, name, *labels) for name, labels in _CONFIGURATIONS.items()),
      _configuration("domain_adaptation", "without_adversary", "--loss=source:1"),
    ),
    7,
  ),
  "patients": Figure(
    "docs/patients.md",
    (
      ("cap_jax", "describe", "--format=csv", f"--path={_FIVE}", "--output={out}/five.png"),
      ("cap_jax", "prepare", "--format=csv", f"--path={_FIVE}", "--output={out}/five"),
      (
        "cap_jax", "transfer", "--strategy=auto", "--source=radial", "--config.target_data={out}/five", "--steps=200",
        "--workdir={out}/mine",
      ),
      (
        "cap_jax", "evaluate", "--checkpoint={out}/mine/checkpoint", "--format=csv", f"--path={_FIVE}", "--site=radial",
        "--workdir={out}/report",
      ),
    ),
    0.5,
  ),
  "library": Figure(
    "docs/comparison.md",
    (("experiments.adapt_benchmark",), ("experiments.adapt_benchmark", "--problem=moons", "--network=narrow")),
    0.8,
  ),
  "model_cards": Figure(
    "cap_jax/pretrained/NAME/README.md",
    tuple(("experiments.model_card", f"--checkpoint={name}", f"--output={{out}}/{name}") for name in pretrained.names()),
    2.6,
  ),
  "plausibility": Figure(
    "docs/evaluation.md, cap_jax/pretrained/radial/README.md",
    (
      ("experiments.plausibility", "--format=csv", "--path={records}"),
      ("experiments.model_card", "--checkpoint=radial", "--format=csv", "--path={records}", "--output={out}/radial"),
    ),
    0.5,
  ),
  "realism": Figure(
    "docs/cohort.md",
    (
      (
        "experiments.realism", "--format=csv", "--path={records}", "--cohort=reference,wide,icu,patients,bedside",
        "--workdir={out}/radial",
      ),
    ),
    0.4,
  ),
  "aortic_realism": Figure(
    "docs/cohort.md",
    (
      (
        "experiments.realism", "--format=csv", "--path={aortic}", "--site=aortic_root", "--network=", "--window_s=4",
        "--cohort=reference,wide,patients", "--workdir={out}/aortic",
      ),
    ),
    0.2,
  ),
  "physiology": Figure(
    "docs/physiology.md",
    (("experiments.physiology", "--subjects=4374", "--seed=0", "--causes", "--output={out}/physiology.md"),),
    0.6,
  ),
  "severity": Figure("docs/reliability.md", (("experiments.severity", "--workdir={out}/report"),), 0.7),
  "false_alarms": Figure("docs/reliability.md", (("experiments.false_alarms", "--subjects=2000"),), 1.8),
  "damaged_input": Figure(
    "docs/reliability.md",
    tuple(("tests.fuzz", f"--target={name}", "--runs=10000", "--keep={out}") for name in _ATTACKED),
    28,
  ),
  "endurance": Figure(
    "docs/reliability.md",
    (("pytest", "-s", "-q", "-m", "slow", "tests/inference/test_long_records.py", "tests/kills", "tests/data/sources"),),
    12,
  ),
  "parity": Figure(
    "docs/export.md, docs/web.md",
    (
      ("pytest", "-s", "-q", "-m", "slow or not slow", "tests/export", "tests/web"),
      ("cap_jax", "web", "--output={out}/radial.html"),
    ),
    3.3,
  ),
  "speed": Figure(
    "docs/speed.md", tuple(("experiments.benchmark", f"--only={name}", f"--output={{out}}/{name}") for name in SECTIONS), 36
  ),
}  # fmt: skip


def commit() -> str:
  """Returns the hash of the commit of this clone.

  Raises:
    InputError: there is none, or files differ from it.
  """
  git = ("git", "-C", str(ROOT))
  try:
    found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    changed = subprocess.run(
      [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True
    ).stdout
  except (OSError, subprocess.CalledProcessError) as error:
    raise InputError(f"{ROOT}: is no git clone, so no commit can be named; clone the repository") from error
  if changed:
    raise InputError(f"{ROOT}: files differ from the commit ({changed.split()[1]}); commit or stash the changes")
  return found


def table(names: Sequence[str]) -> str:
  """Returns the figures as lines of text: name, minutes, flags that they need, page."""
  rows = [("figure", "minutes", "needs", "page")]
  for name in names:
    one = FIGURES[name]
    minutes = "not timed" if one.minutes is None else f"{one.minutes:g}"
    rows.append((name, minutes, " ".join(f"--{flag}" for flag in one.needs), one.page))
  widths = [max(len(row[k]) for row in rows) for k in range(4)]
  lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
  hours = sum(FIGURES[name].minutes or 0 for name in names) / 60
  return "\n".join([*lines, f"{hours:.1f} hours on two cores, besides what is not timed"])


class Manifest:
  """The manifest of a folder: its commit, and which commands are finished.

  Attributes:
    content: what the file holds.
  """

  def __init__(self, folder: pathlib.Path, of_commit: str):
    """Reads the manifest, or begins one.

    Raises:
      InputError: the folder has figures of another commit.
    """
    self._path = folder / MANIFEST
    self.content: dict[str, Any] = {
      "commit": of_commit, "version": __version__, "python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}",
      "cores": os.cpu_count(), "figures": {},
    }  # fmt: skip
    if self._path.exists():
      self.content = json.loads(self._path.read_text(encoding="utf-8"))
    if self.content["commit"] != of_commit:
      raise InputError(
        f"--workdir={folder}: has figures of commit {self.content['commit'][:10]}, not {of_commit[:10]}; check that one out, or choose another"
      )
    self._write()  # so that a folder without a finished command is known as one of figures too

  def finished(self, name: str) -> list[dict[str, Any]]:
    """Returns the finished commands of a figure."""
    return self.content["figures"].setdefault(name, [])

  def add(self, name: str, command: Sequence[str], minutes: float) -> None:
    """Notes a finished command."""
    self.finished(name).append({"command": list(command), "minutes": round(minutes, 2)})
    self._write()

  def _write(self) -> None:
    with files.write_atomically(self._path) as (partial,), open(partial, "w", encoding="utf-8") as file:
      json.dump(self.content, file, indent=1)


def run(folder: pathlib.Path, names: Sequence[str], values: dict[str, str | None], record: Manifest) -> None:
  """Runs the commands of figures that are not finished; a figure that fails does not stop the others.

  Args:
    folder: of the outputs.
    names: of the figures.
    values: flag → value, for {loop}, {records} and {aortic}.
    record: which commands are finished.

  Raises:
    InputError: commands failed.
  """
  total = sum(len(FIGURES[name].commands) for name in names)
  failures: dict[str, InputError] = {}
  with tqdm.tqdm(total=total, desc="figures", unit="command") as bar:
    for name in names:
      try:
        _compute(folder / name, name, values, record, bar)
      except InputError as error:  # the other figures do not need this one
        failures[name] = error
  if failures:
    others = f" (also failed: {', '.join(list(failures)[1:])})" if len(failures) > 1 else ""
    raise InputError(f"{next(iter(failures.values()))}{others}")


def _compute(
  out: pathlib.Path, name: str, values: dict[str, str | None], record: Manifest, bar: "tqdm.tqdm[Any]"
) -> None:
  """Runs the commands of one figure that are not finished.

  Raises:
    InputError: a command fails.
  """
  out.mkdir(exist_ok=True)
  done = len(record.finished(name))
  bar.update(done)
  for number, template in enumerate(FIGURES[name].commands[done:], start=done + 1):
    bar.set_postfix_str(name)
    command = [word.format(out=out, **values) for word in template]
    begun = time.perf_counter()
    _run(command, out / f"log_{number}.txt", name)
    record.add(name, command, (time.perf_counter() - begun) / 60)
    bar.update()


def _run(command: Sequence[str], log: pathlib.Path, name: str) -> None:
  """Runs a command, whose output goes to a file.

  Raises:
    InputError: it fails.
  """
  with open(log, "ab") as file:
    done = subprocess.run(
      [sys.executable, "-m", *command], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, check=False
    )
  if done.returncode:
    raise InputError(
      f"--only={name}: `python -m {' '.join(command)}` ended with status {done.returncode}; read {log}, then run the same command again"
    )


def publish(folder: pathlib.Path, to: pathlib.Path, values: dict[str, str | None]) -> None:
  """Copies what the commands of finished figures printed, their tables and the manifest. Names of this machine's folders are left out.

  Args:
    folder: of the outputs.
    to: gets a folder for each figure; those of other figures of the same commit stay.
    values: flag → folder of records, for which the name of the flag stands.

  Raises:
    InputError: `to` has figures of another commit.
  """
  records = {value: name.upper() for name, value in values.items() if value}
  placed = {**records, os.path.relpath(folder, ROOT): "runs/figures", str(folder): "runs/figures", str(ROOT): "."}

  def plain(text: str) -> str:
    for place, shown in placed.items():
      text = text.replace(place, shown)
    return text

  manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
  finished = {name: done for name, done in manifest["figures"].items() if len(done) == len(FIGURES[name].commands)}
  earlier = json.loads((to / MANIFEST).read_text(encoding="utf-8")) if (to / MANIFEST).exists() else {}
  if earlier.get("commit", manifest["commit"]) != manifest["commit"]:
    raise InputError(
      f"--tables={to}: has figures of commit {earlier['commit'][:10]}, not {manifest['commit'][:10]}; remove it, or choose another folder"
    )
  manifest = {**earlier, **manifest, "figures": {**earlier.get("figures", {}), **finished}}
  to.mkdir(parents=True, exist_ok=True)
  (to / MANIFEST).write_text(plain(json.dumps(manifest, indent=1)) + "\n", encoding="utf-8")
  for name, done in finished.items():
    shutil.rmtree(to / name, ignore_errors=True)
    (to / name).mkdir()
    for number in range(1, len(done) + 1):
      lines = re.split(r"[\r\n]+", (folder / name / f"log_{number}.txt").read_text(encoding="utf-8"))
      printed = [plain(line) for line in lines if line.strip() and not _LEFT_OUT.search(line)]
      (to / name / f"printed_{number}.txt").write_text("\n".join([*printed, ""]), encoding="utf-8")
    for table_path in sorted((folder / name).rglob("tables/*.csv")):
      if not table_path.name.startswith(_PUBLISHED):
        continue
      copy = to / name / table_path.relative_to(folder / name).as_posix().replace("/tables/", "/").replace("/", "_")
      copy.write_text(plain(table_path.read_text(encoding="utf-8")), encoding="utf-8")


def chosen(only: Sequence[str], values: dict[str, str | None]) -> list[str]:
  """Returns the names of the figures to compute.

  Args:
    only: names; all for which the flags are passed, if it is empty.
    values: flag → value.

  Raises:
    InputError: a name is unknown, or a flag that it needs is missing.
  """
  for name in only:
    if name not in FIGURES:
      raise InputError(f"--only={name}: unknown figure; {suggest(name, FIGURES)}")
    missing = [flag for flag in FIGURES[name].needs if values[flag] is None]
    if missing:
      raise InputError(f"--only={name}: needs --{missing[0]}; pass the folder")
  return list(dict.fromkeys(only)) or [
    name for name, one in FIGURES.items() if all(values[flag] is not None for flag in one.needs)
  ]


def main() -> None:
  values = {"loop": _LOOP.value, "records": _RECORDS.value, "aortic": _AORTIC.value}
  if _LIST.value:
    print(table(list(dict.fromkeys(_ONLY.value)) or list(FIGURES)))
    return
  names = chosen(_ONLY.value, values)
  folder = pathlib.Path(launcher.required(_WORKDIR, "DIR")).resolve()
  of_commit = commit()
  if not (folder / MANIFEST).exists():
    output_folders.new_folder(str(folder))
  values = {name: value and str(pathlib.Path(value).resolve()) for name, value in values.items()}
  run(folder, names, values, Manifest(folder, of_commit))
  if _TABLES.value is not None:
    publish(folder, pathlib.Path(_TABLES.value), values)
  print(table(names))
  print(folder / MANIFEST)


if __name__ == "__main__":
  launcher.launch(main)
