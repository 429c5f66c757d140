"""Compiled programs are kept for the next command, where the user allows it."""

import os
import subprocess
import sys

import pytest

from tests.experiments.commands import ROOT, wave, write_csv


def reconstructed(tmp_path, name, **environment):
  """The files of a reconstruction in a process of its own, with its own home."""
  given = write_csv(tmp_path / "in.csv", *wave(6, 125.0))
  output = tmp_path / f"{name}.csv"
  inherited = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XDG_"))}
  done = subprocess.run(
    [sys.executable, "-m", "cap_jax", "reconstruct", f"--input={given}", f"--output={output}"],
    cwd=ROOT, env={**inherited, "HOME": str(tmp_path / "home"), "JAX_PLATFORMS": "cpu", **environment}, capture_output=True, text=True,
    check=False,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  return output.read_bytes(), done.stderr


def kept(tmp_path):
  return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "home").rglob("*-cache")}


@pytest.mark.slow
def test_the_second_command_finds_the_programs_of_the_first(tmp_path):
  (tmp_path / "home").mkdir()
  first, _ = reconstructed(tmp_path, "first")
  programs = kept(tmp_path)
  assert programs
  second, said = reconstructed(tmp_path, "second")
  assert second == first
  assert kept(tmp_path) == programs
  assert "error" not in said.lower()
  for path in (tmp_path / "home").rglob("*-cache"):
    path.write_bytes(b"damaged")
  third, _ = reconstructed(tmp_path, "third")
  assert third == first


@pytest.mark.slow
@pytest.mark.parametrize("how", ["turned off", "no home"])
def test_nothing_is_kept_where_it_must_not_be(tmp_path, how):
  if how == "turned off":
    (tmp_path / "home").mkdir()
    reconstructed(tmp_path, "out", JAX_ENABLE_COMPILATION_CACHE="false")
    assert not (tmp_path / "home" / ".cache" / "cap_jax").exists()
  else:
    (tmp_path / "home").write_text("a file")
    reconstructed(tmp_path, "out")
    assert (tmp_path / "home").read_text() == "a file"
