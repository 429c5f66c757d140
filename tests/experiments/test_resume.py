"""What is killed goes on with the same command, and finds what would have been found without that."""

import dataclasses
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from cap_jax import files, own_files
from cap_jax.cli import distributed, output_folders
from cap_jax.study import study_grid, study_results
from cap_jax.train import checkpoint, metrics_writer, sigterm
from cap_jax.types import InputError
from tests.experiments.commands import ROOT, run, run_here, wave, write_csv
from tests.experiments.test_hosts import Hosts

CONFIG = """from cap_jax.config import Calibration, Model, Training, Windows
from cap_jax.study.study_config import Study
from cap_jax.cli import study_flags


def get_config():
  return study_flags.to_config_dict({study!r})
"""


def wait_for(condition, seconds=1800.0):  # a safety net
  end = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < end, "it never came to that"
    time.sleep(0.05)


def alive(group):
  try:
    os.killpg(group, 0)
  except ProcessLookupError:
    return False
  return True


def stop_when(ready, arguments, sent, log):
  """Starts a command, sends it a signal once it is so far, and waits until no process of it is left."""
  # at the precision of the tests, whose compiled programs it then finds
  environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_DEFAULT_MATMUL_PRECISION": "highest"}
  command = [sys.executable, "-m", *arguments]
  with open(log, "w") as said:
    started = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True)
    wait_for(lambda: ready() or started.poll() is not None)
    assert started.poll() is None, log.read_text()
    started.send_signal(sent)
    assert started.wait(600) == (sigterm.EXIT_STOPPED if sent == signal.SIGTERM else -sent)
  wait_for(lambda: not alive(started.pid), 600)


@pytest.mark.slow
def test_a_stopped_study_resumes_and_leaves_nobody_behind(small_study, done_study, tmp_path):
  """Ended once, killed once, in two processes; then what one process found in one go."""
  small = dataclasses.replace(small_study, strategies=("scratch", "feature_transfer"), n_target=(0, 1, 2))
  folder = pathlib.Path(shutil.copytree(done_study, tmp_path / "work"))
  shutil.rmtree(folder / "cells")
  (tmp_path / "small.py").write_text(CONFIG.format(study=small))
  arguments = [f"--config={tmp_path / 'small.py'}", f"--workdir={folder}", "--executor=processes:2"]
  keys = study_grid.keys(small)
  for sent, least in ((signal.SIGTERM, 1), (signal.SIGKILL, 4)):
    ready = functools.partial(lambda least: len(list(folder.glob("cells/**/*.json"))) >= least, least)
    stop_when(ready, ("experiments.study", *arguments), sent, tmp_path / "said")
    there = [key for key in keys if study_results.load(str(folder), key) is not None]
    assert least <= len(there) < len(keys)
    assert not (folder / "report.html").exists()

  done = run("study", *arguments)
  assert done.returncode == 0, done.stderr
  for key in keys:
    resumed, whole = (study_results.load(str(where), key).errors for where in (folder, done_study))
    assert [one.subject for one in resumed] == [one.subject for one in whole]
    np.testing.assert_equal(*([dataclasses.astuple(one)[1:] for one in result] for result in (resumed, whole)))
  assert (folder / "report.html").is_file()
  assert not [path for path in folder.rglob("*") if ".partial" in path.name]


SMALL = (
  "--config.source_subjects=24", "--config.source_seconds=8", "--config.target_seconds=8", "--config.labelled_subjects=3",
  "--config.unlabelled_subjects=3", "--config.validation_subjects=2", "--config.test_subjects=4", "--config.model.channels=8",
  "--config.model.layers=1", "--config.model.head_channels=8", "--config.pretrain.steps=1000", "--config.steps=1000",
  "--config.n_target=0,1,2", "--strategy=fine_tuning", "--n_target=2", "--metrics=jsonl",
)  # fmt: skip


@pytest.mark.slow
def test_a_stopped_transfer_resumes_to_the_same_bits(tmp_path):
  """Killed in its first training, asked to stop ahead of it, killed in a later one; a command of its like or with other settings is not let in."""
  whole, folder = tmp_path / "whole", tmp_path / "stopped"
  done = run("transfer", *SMALL, f"--workdir={whole}")
  assert done.returncode == 0, done.stderr
  arguments = ("experiments.transfer", *SMALL, f"--workdir={folder}")
  states = folder / "training_states"
  with subprocess.Popen(
    [sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
  ) as first:
    wait_for(lambda: any(states.glob("000/0*")) or first.poll() is not None)
    first.send_signal(signal.SIGSTOP)
    second = run("transfer", *SMALL, f"--workdir={folder}")  # while the first runs
    assert second.returncode == 2
    assert "another process is running there" in second.stderr
    first.kill()
  said = tmp_path / "said"
  stop_when(lambda: "resuming the stopped run" in said.read_text(), arguments, signal.SIGTERM, said)
  assert (tmp_path / "said").read_text().splitlines()[-1] == "stopped; run the same command again to resume"
  other = run("transfer", *SMALL, "--n_target=1", f"--workdir={folder}")
  assert other.returncode == 2
  assert "contains a stopped run with other settings or data, in " in other.stderr
  stop_when(lambda: any(states.glob("002/0*")), arguments, signal.SIGKILL, tmp_path / "said")
  last = run("transfer", *SMALL, f"--workdir={folder}")
  assert last.returncode == 0, last.stderr
  assert "resuming the stopped run" in last.stderr
  for name in ("source", "checkpoint"):
    a, b = (checkpoint.load(where / name).params for where in (whole, folder))
    jax.tree.map(np.testing.assert_array_equal, a, b)
  rows = []
  for where in (whole, folder):
    lines = [json.loads(line) for line in (where / "logs" / metrics_writer.NAME).read_text().splitlines()]
    rows.append([{key: value for key, value in line.items() if key != "time_s"} for line in lines])
  assert rows[0] == rows[1]
  assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in whole.iterdir())
  again = run("transfer", *SMALL, f"--workdir={folder}")
  assert again.returncode == 0
  assert again.stdout == f"{folder}: this run is finished; see {folder}/checkpoint\n"
  other = run("transfer", *SMALL, "--n_target=1", f"--workdir={folder}")
  assert other.returncode == 2
  assert "contains a finished run with other settings, see" in other.stderr


def test_states_that_a_kill_after_the_end_left_are_removed_and_those_of_others_stay(tmp_path):
  mine, ours = (tmp_path / name for name in ("mine", "ours"))
  ours.mkdir()
  own_files.begin(ours)
  for folder in (mine, ours):
    own_files.makedirs(folder / "training_states" / "000")
    own_files.makedirs(folder / "checkpoint")
  (ours / "run_settings.json").write_text('{"settings": [{}], "finished": true}')
  with pytest.raises(InputError, match="is not empty"), distributed.work_folder(str(mine), {}):
    raise AssertionError("the folder is another's")
  for settings, error in ({}, output_folders.FinishedError), ({"a": 1}, InputError):
    with pytest.raises(error, match="finished"), distributed.work_folder(str(ours), settings):
      raise AssertionError("the run is finished")
  assert sorted(path.name for path in mine.iterdir()) == ["checkpoint", "training_states"]
  assert sorted(path.name for path in ours.iterdir()) == ["checkpoint", "run_settings.json"]


def failing_run(folder, settings, error, *parts):
  """A run that makes folders or files, and fails."""
  with distributed.work_folder(str(folder), settings):
    for part in parts:
      if not part.endswith(".json"):
        own_files.makedirs(folder / part)
        continue
      with files.write_atomically(folder / part) as (partial,):
        pathlib.Path(partial).write_text("{}")
    raise error


def test_a_run_that_fails_before_anything_is_worth_resuming_leaves_its_folder_free(tmp_path):
  folder, kept = tmp_path / "run", tmp_path / "kept"
  with pytest.raises(InputError, match="no such site"):
    failing_run(folder, {"site": "rdial"}, InputError("no such site"), "split.json", "logs")
  with distributed.work_folder(str(folder), {"site": "radial"}) as (path, _):
    assert path == str(folder)
  with pytest.raises(InputError, match="late"):
    failing_run(kept, {}, InputError("late"), "training_states/000")
  with pytest.raises(InputError, match="contains a stopped run with other settings or data, in "):
    failing_run(kept, {"a": 1}, InputError("never"))


def test_what_others_put_there_stays_and_a_note_that_was_cut_does_not_matter(tmp_path):
  """A run that was killed while it wrote its first note, and one that was asked to stop."""
  folder = tmp_path / "run"
  folder.mkdir()
  own_files.begin(folder).claim(partial=[folder / "run_settings.json.partial-1"])
  (folder / "run_settings.json.partial-1").write_text('{"sour')
  long = ["--config.pretrain.steps=1000"]
  started = Hosts(tmp_path, folder, 1, extra=long)
  wait_for(lambda: any((folder / "training_states").glob("000/0*")) or not started.processes[0].is_alive())
  started.processes[0].terminate()
  assert started.end() == [sigterm.EXIT_STOPPED], started.said("err", 0)
  others = (
    "mine/notes.txt",
    "mine/thesis.partial-2.tex",
    "notes.partial-draft.txt",
    "training_states/000/mine.txt",
    "best/mine.txt",
  )
  for name in others:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
  refused = Hosts(tmp_path, folder, 1, extra=long)
  assert refused.end() == [2]
  assert f"{folder}/best: was not written by this run, which needs the name; move it elsewhere" in refused.said(
    "err", 0
  )
  (folder / "best").rename(folder / "mine" / "best")
  again = Hosts(tmp_path, folder, 1, extra=long)
  assert again.end() == [0], again.said("err", 0)
  assert "resuming the stopped run" in again.said("err", 0)
  assert sorted(path.name for path in folder.iterdir()) == [
    "checkpoint", "mine", "notes.partial-draft.txt", "run_settings.json", "split.json", "training_states"
  ]  # fmt: skip
  for name in ("mine/best/mine.txt", *others[:-1]):
    assert (folder / name).read_text() == "mine"
  (tmp_path / "study").mkdir()
  own_files.begin(tmp_path / "study").claim(partial=[tmp_path / "study" / "study.json.partial-1"])
  (tmp_path / "study" / "study.json.partial-1").write_text('{"sour')
  output_folders.open_folder(str(tmp_path / "study"))
  late = run_here("transfer", *SMALL[:-1], "--metrics=csv", f"--workdir={tmp_path / 'none'}")
  assert late.returncode == 2
  assert not (tmp_path / "none").exists()  # refused before anything is begun


def test_output_that_nobody_reads_is_no_error(tmp_path):
  write_csv(tmp_path / "A.csv", *wave(8, 100.0))
  (tmp_path / "subjects.csv").write_text("subject\nA\n")
  done = run("describe", "--format=csv", f"--path={tmp_path}", f"--output={tmp_path / 'a.png'}", read=False)
  assert done.returncode == 1
  assert not re.search("error|Traceback|ignored", done.stderr), done.stderr


@pytest.mark.slow
def test_a_reader_who_has_enough_is_no_error(tmp_path):
  command = [sys.executable, "-m", "experiments.describe", "--format=virtual", "--path=healthy,subjects=3"]
  command.append(f"--output={tmp_path / 'a.png'}")
  with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
    started.stdout.close()
    said = started.stderr.read()
  assert started.returncode == 1
  assert not re.search("error|Traceback|ignored", said), said


def test_a_command_that_fails_removes_its_own_files_and_keeps_those_of_others(tmp_path):
  """Of a command that writes a new folder as a whole."""
  written = []

  def fail(others):
    with output_folders.whole_folder(str(tmp_path / "made"), "--output") as folder:
      with files.write_atomically(os.path.join(folder, "own")) as (partial,):
        pathlib.Path(partial).write_text("own")
      own_files.makedirs(os.path.join(folder, "figures"))
      for name in others:
        pathlib.Path(folder, name).write_text("others")
      written.append(pathlib.Path(folder))
      raise InputError("bad")

  for others in ((), ("figures/mine",)):
    with pytest.raises(InputError, match="bad"):
      fail(others)
  assert not written[0].exists()
  assert [path.name for path in sorted(written[1].rglob("*"))] == ["figures", "mine"]
  assert (written[1] / "figures" / "mine").read_text() == "others"


NOBODY = 65534


def as_ordinary_user(program, shut):
  """What a program prints for somebody who may not write to a folder."""
  shut.chmod(0o555)
  for place in (shut, *shut.parents):  # somebody else must be able to come here
    if place.owner() == pathlib.Path(shut).owner() and place != pathlib.Path("/"):
      place.chmod(place.stat().st_mode | 0o055)
  preamble = f"import os\nif os.geteuid() == 0:\n  os.setgid({NOBODY})\n  os.setuid({NOBODY})\n"
  heavy = "from cap_jax.cli import distributed, output_folders\nfrom cap_jax.data import splits\n"
  command = [sys.executable, "-c", f"{heavy}{preamble}{program}"]
  environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
  done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  return done.stdout.splitlines()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX")
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path):
  """To an ordinary user; root may write everywhere."""
  shut = tmp_path / "shut"
  shut.mkdir()
  said = as_ordinary_user(
    f"""
from cap_jax.types import InputError

def attempt(call):
  try:
    call()
  except (InputError, OSError) as error:
    print(type(error).__name__, str(error).splitlines()[0])

def work():
  with distributed.work_folder({str(shut / "run")!r}, {{}}):
    pass

attempt(work)
attempt(lambda: output_folders.new_folder({str(shut / "run")!r}))
attempt(lambda: splits.Split({{"training": ("a",)}}).save({str(shut / "split.json")!r}))
attempt(lambda: output_folders.check_file({str(shut / "a.csv")!r}, "--output"))
""",
    shut,
  )
  assert said == [
    f"InputError --workdir={shut}/run: cannot be used (Permission denied); choose another folder",
    f"InputError --workdir={shut}/run: cannot be used (Permission denied); choose another folder",
    f"PermissionError [Errno 13] Permission denied: '{shut}/split.json'",
    f"InputError --output={shut}/a.csv: {shut} is not a writable folder; create it or choose another",
  ]
  assert list(shut.iterdir()) == []
