"""What a reconstruction may replace, and what the flags may open."""

import os

import pytest

from tests.experiments.commands import run, wave, write_csv


@pytest.fixture
def given(tmp_path):
  return write_csv(tmp_path / "in.csv", *wave(6, 125.0))


def test_an_earlier_reconstruction_is_replaced_and_nothing_else(given, tmp_path):
  arguments = ("reconstruct", f"--input={given}", f"--output={tmp_path / 'out.csv'}")
  assert run(*arguments).returncode == 0
  assert run(*arguments).returncode == 0
  (tmp_path / "out.json").write_text('{"my": "notes"}')
  done = run(*arguments)
  assert done.returncode == 2
  assert done.stderr == (
    f"error: {tmp_path / 'out.csv'}: was not written by reconstruct; move it elsewhere, or choose another --output\n"
  )
  assert (tmp_path / "out.json").read_text() == '{"my": "notes"}'


@pytest.mark.parametrize("ending", ["csv", "json", "png"])
@pytest.mark.parametrize("kind", ["file", "pipe", "link"])
def test_what_others_made_is_not_replaced(given, tmp_path, ending, kind):
  place = tmp_path / f"out.{ending}"
  if kind == "file":
    place.write_text("mine")
  elif kind == "pipe":
    os.mkfifo(place)
  else:
    (tmp_path / "mine").write_text("mine")
    place.symlink_to(tmp_path / "mine")
  done = run("reconstruct", f"--input={given}", f"--output={tmp_path / 'out.csv'}", timeout=120)
  assert done.returncode == 2
  assert f"{place}: was not written by reconstruct; move it elsewhere" in done.stderr or kind == "pipe"
  assert os.path.lexists(place)
  if kind != "pipe":
    assert place.read_text() == "mine"


def test_the_input_is_not_replaced_under_another_ending(tmp_path):
  given = write_csv(tmp_path / "z.png", *wave(6, 125.0))
  done = run("reconstruct", f"--input={given}", f"--output={tmp_path / 'z.csv'}")
  assert done.returncode == 2
  assert "would replace the input file" in done.stderr


@pytest.mark.parametrize("flag", ["config", "flagfile"])
def test_a_file_of_settings_is_a_regular_file(tmp_path, flag):
  os.mkfifo(tmp_path / "pipe")
  done = run("compare", f"--{flag}={tmp_path / 'pipe'}", timeout=120)
  assert done.returncode == 2
  assert done.stderr.startswith(f"error: --{flag}: {tmp_path / 'pipe'}: is a named pipe")


def test_a_share_is_a_number(tmp_path):
  done = run("compare", "--male_share=nan", f"--workdir={tmp_path / 'work'}")
  assert done.returncode == 2
  assert "--male_share=nan: must be a number from 0 to 1" in done.stderr
  assert not (tmp_path / "work").exists()


def test_a_picture_of_others_is_not_replaced(given, tmp_path):
  arguments = ("describe", "--format=csv", f"--path={given}", f"--output={tmp_path / 'a.png'}")
  for _ in range(2):  # its own is replaced
    assert run(*arguments).returncode == 0
  (tmp_path / "a.png").write_bytes(b"mine")
  done = run(*arguments)
  assert done.returncode == 2
  assert f"--output={tmp_path / 'a.png'}: already exists; choose another name or move it elsewhere" in done.stderr
  assert (tmp_path / "a.png").read_bytes() == b"mine"


def test_a_page_of_others_is_not_replaced(tmp_path):
  (tmp_path / "page.md").write_text("mine")
  done = run("physiology", "--subjects=120", f"--output={tmp_path / 'page.md'}")
  assert done.returncode == 2
  assert "already exists" in done.stderr
  assert (tmp_path / "page.md").read_text() == "mine"
