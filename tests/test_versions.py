"""The tests in an environment of its own for other Pythons and for the least versions that the bounds allow. Slow, and skipped where this
machine lacks the Python: name them by CAP_JAX_PYTHONS=PATH:PATH."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
KNOWN = ("python3.11", "python3.12", "python3.13", "python3.14")
# what other versions may change: the physics, the losses, the trainings, what is read and what is drawn
PARTS = (
  "arteries",
  "data",
  "haemodynamics",
  "inference",
  "losses",
  "metrics",
  "models",
  "report",
  "signals",
  "train",
  "strategies",
  "study",
)


def pythons():
  named = [path for path in os.environ.get("CAP_JAX_PYTHONS", "").split(":") if path]
  result = [path for name in KNOWN if (path := shutil.which(name)) is not None and _starts(path)]
  return named or result


def _starts(python):
  """Whether it is more than the name of a version that is not chosen, as pyenv leaves them."""
  return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0


def checked(command, **options):
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)
  assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
  return done.stdout


def run(python, folder, *extra):
  pieces = [f"tests/{part}" for part in PARTS]
  environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CAP_JAX_"))}
  return checked([python, "-m", "pytest", "-q", f"--basetemp={folder}", *pieces, *extra], env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("python", pythons() or [None])
def test_another_python(python, tmp_path):
  if python is None:
    pytest.skip("no other Python here; name one by CAP_JAX_PYTHONS")
  checked([python, "-m", "venv", tmp_path / "venv"])
  own = tmp_path / "venv" / "bin" / "python"
  checked([own, "-m", "pip", "install", "-q", "-r", "requirements-dev.txt"])
  print(checked([own, "-m", "pip", "freeze"]))
  said = run(own, tmp_path / "tests")
  print(said)
  assert re.search(r"^\d{3,} passed", said, re.M)


@pytest.mark.slow
def test_the_least_versions(tmp_path):
  """Their deprecations are no matter."""
  uv = [sys.executable, "-m", "uv"]
  checked([sys.executable, "-m", "venv", tmp_path / "venv"])
  own = tmp_path / "venv" / "bin" / "python"
  install = [*uv, "pip", "install", "-q", f"--python={own}"]
  checked([*install, "--resolution=lowest-direct", "-r", "requirements.txt"])
  least = [f"{line}\n" for line in checked([*uv, "pip", "freeze", f"--python={own}"]).split()]
  (tmp_path / "least.txt").write_text("".join(least))
  bounds = re.findall(r"^(jax|flax|numpy|scipy)>=([\d.]+),", (ROOT / "requirements.txt").read_text(), re.M)
  assert len(bounds) == 4
  for name, bound in bounds:
    assert any(line.startswith(f"{name}=={bound}") for line in least), (name, bound, least)
  tools = ("pytest", "pytest-xdist", "hypothesis", "neurokit2", "playwright", "pyyaml")
  checked([*install, f"--constraint={tmp_path / 'least.txt'}", *tools])
  said = run(own, tmp_path / "tests", "-p", "no:warnings", "-o", "filterwarnings=default")
  print(said)
  assert re.search(r"^\d{3,} passed", said, re.M)
