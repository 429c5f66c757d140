"""The package: what it asks for, its command, and the wheel in an environment of its own."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

import cap_jax
from cap_jax import __main__ as command
from cap_jax import extras
from cap_jax.cli import launcher
from tests.experiments.commands import ROOT, wave, write_csv

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.quick
def test_requirements_are_those_of_the_package_with_its_extras():
  def listed(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-r"))}

  pieces = dict(PROJECT["optional-dependencies"])
  assert listed("requirements-dev.txt") == set(pieces.pop("dev"))
  assert listed("requirements-bench.txt") == set(pieces.pop("bench"))
  assert listed("requirements-docs.txt") == set(pieces.pop("docs"))
  assert listed("requirements.txt") == {*PROJECT["dependencies"], *(one for extra in pieces.values() for one in extra)}
  named = {name: extra for extra, result in pieces.items() for one in result for name in re.findall(r"^[\w-]+", one)}
  assert named == extras.EXTRAS


@pytest.mark.quick
def test_every_command_has_a_line_a_module_and_a_launcher():
  for name in command.COMMANDS:
    file = f"{launcher.MODULES.get(name, name)}.py"
    module = ast.parse((ROOT / "cap_jax" / "cli" / file).read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in module.body)
    assert f'launch_command("{name}")' in (ROOT / "experiments" / file).read_text(encoding="utf-8")
  assert all(f"  {name} " in command.usage() for name in command.COMMANDS)


@pytest.mark.quick
@pytest.mark.parametrize(
  ("arguments", "status", "out", "err"),
  [
    ([], 0, "usage: cap-jax COMMAND", ""),
    (["--version"], 0, cap_jax.__version__, ""),
    (["rebuild"], 2, "", "error: 'rebuild' is not a command; choose one of reconstruct, describe,"),
  ],
)
def test_the_command_says_what_there_is(arguments, status, out, err, monkeypatch, capsys):
  monkeypatch.setattr(sys, "argv", ["cap-jax", *arguments])
  ended = 0
  try:
    command.main()
  except SystemExit as end:
    ended = end.code
  said = capsys.readouterr()
  assert (ended, said.out.startswith(out), said.err.startswith(err)) == (status, True, True)


@pytest.mark.quick
def test_a_missing_extra_is_a_line_that_names_it(monkeypatch, capsys):
  def missing(name):
    raise ModuleNotFoundError(f"No module named {name!r}", name="matplotlib.figure")

  monkeypatch.setattr(extras.importlib, "import_module", missing)
  with pytest.raises(SystemExit, match="2"):
    launcher.launch_command("compare")
  expected = "error: matplotlib is not installed; install it with: python -m pip install 'cap_jax[report]'\n"
  assert capsys.readouterr().err == expected


# what Windows lacks, gone before anything is imported
ELSEWHERE = """
import importlib, os, pkgutil, sys, warnings
sys.modules["fcntl"] = None
del os.sched_getaffinity, os.posix_fallocate
warnings.simplefilter("ignore")  # filelock says that it falls back to a file that merely exists
import cap_jax, cap_jax.cli.launcher
for module in pkgutil.walk_packages(cap_jax.__path__, "cap_jax."):
  if not module.name.startswith("cap_jax.cli."):  # a process runs one command
    importlib.import_module(module.name)
from cap_jax import files
folder, wave, out = sys.argv[1:]
with files.lock_folder(folder):
  try:
    with files.lock_folder(folder, wait=False):
      raise SystemExit("two hold a folder")
  except BlockingIOError:
    pass
network = cap_jax.load("radial")
network.save(os.path.join(folder, "saved"))
assert cap_jax.load(os.path.join(folder, "saved")).about == network.about
sys.argv = ["cap-jax", "reconstruct", f"--input={wave}", f"--output={out}"]
importlib.import_module("cap_jax.__main__").main()
"""


@pytest.mark.slow
def test_everything_is_imported_and_used_without_what_windows_lacks(tmp_path):
  write_csv(tmp_path / "wave.csv", *wave(20, 100.0))
  argv = [sys.executable, "-c", ELSEWHERE, *map(str, (tmp_path, tmp_path / "wave.csv", tmp_path / "out.csv"))]
  done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr[-3000:]
  assert (tmp_path / "out.csv").is_file()


@pytest.mark.slow
def test_the_wheel_reconstructs_a_file_in_an_empty_environment(tmp_path):
  def checked(*argv):
    done = subprocess.run([*map(str, argv)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout

  checked(sys.executable, "-m", "venv", tmp_path / "venv")
  own = tmp_path / "venv" / "bin"
  (tmp_path / "project").mkdir()
  for name in (
    "cap_jax",
    "pyproject.toml",
    "README.md",
    "LICENSE",
  ):  # built in a copy: what an earlier build left stays out
    (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / "project" / name)
  checked(own / "python", "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", tmp_path, tmp_path / "project")
  (wheel,) = tmp_path.glob("*.whl")
  checked(own / "python", "-m", "pip", "install", "-q", wheel)
  tops = checked(own / "python", "-c", "import importlib.metadata as m; print(*m.packages_distributions())").split()
  assert "cap_jax" in tops
  assert not {"experiments", "matplotlib", "pyarrow", "wfdb"} & set(tops)
  write_csv(tmp_path / "wave.csv", *wave(20, 100.0))
  said = checked(own / "cap-jax", "reconstruct", "--input=wave.csv", "--output=out.csv")
  assert "beats; means: cSBP" in said
  assert (tmp_path / "out.csv").is_file()
  assert not (tmp_path / "out.png").exists()  # without the extra `report`
  done = subprocess.run(
    [own / "cap-jax", "describe", "--format=csv", "--path=."], cwd=tmp_path, capture_output=True, text=True
  )
  assert (done.returncode, "cap_jax[report]" in done.stderr) == (2, True)
  usage = checked(own / "cap-jax", "reconstruct", "--help")
  assert "cap-jax reconstruct --input=wave.csv" in usage
  assert "experiments" not in usage


def test_progress_is_a_line_now_and_then_where_nobody_watches(tmp_path):
  arguments = (
    "prepare",
    "--format=csv",
    f"--path={ROOT / 'examples' / 'five_patients'}",
    f"--output={tmp_path / 'store'}",
  )
  done = subprocess.run([sys.executable, "-m", "cap_jax", *arguments], cwd=ROOT, capture_output=True, check=True)
  assert b"100%" in done.stderr
  assert 0 < done.stderr.count(b"records:") <= 2  # the first and the last
