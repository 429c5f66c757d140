"""Files and folders of others, under every name that the work may give to its own, survive its end, its errors, a kill and a resume."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from cap_jax import own_files
from tests import tiers
from tests.kills.test_kills import ROOT, SAME, whole

__all__ = ["whole"]  # a fixture
TEXT = "written by somebody else"


def attempt(kind, folder, move):
  """The exit status of the work, which is killed at its move of this number, and what it said."""
  environment = {**os.environ, "JAX_PLATFORMS": "cpu", "TQDM_DISABLE": "1"}
  command = [sys.executable, "-m", "tests.kills.victim", kind, str(folder), str(move)]
  done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
  return int(re.findall(r"^ended (-?\d+)$", done.stdout, re.M)[-1]), done.stderr


def names_of_own(folder):
  """All names that the work has listed or left, with others of their kind."""
  names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
  for listed in folder.rglob(own_files.LIST):
    for line in listed.read_text().splitlines()[1:]:
      if line and ".partial-" not in line:  # of which nobody else can know the end
        names.add((listed.parent.relative_to(folder) / json.loads(line)[1]).as_posix())
  return names


def put(place, as_folder):
  """A file of others, or a folder with one; where nothing is yet."""
  if os.path.lexists(place) or not place.parent.is_dir():
    return []
  if as_folder:
    place.mkdir()
  (made := place / "mine.txt" if as_folder else place).write_text(TEXT)
  return [made]


def fill(folder, names, taken):
  """Files of others in every folder, under names of their own, under temporary ones, and under `taken` of `names`."""
  made = []
  for place in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
    for name in ("mine.txt", "notes.partial-draft.txt", "mine.partial", f"thesis.partial-{own_files.token()}", "room"):
      made += put(place / name, as_folder=False)
    made += put(place / "mine.partial-7", as_folder=True)
  rng = np.random.default_rng(taken)
  free = [name for name in sorted(names) if not os.path.lexists(folder / name) and (folder / name).parent.is_dir()]
  for name in rng.permutation(free)[:taken]:
    made += put(folder / name, as_folder=bool(rng.integers(2)))
  return made


def moved_as_told(said, made, folder, aside):
  """Moves what the error names out of the way; a folder with all that is in it."""
  error = next(line for line in reversed(said.splitlines()) if "Error: " in line)
  assert "InputError: " in error or "DataError: " in error, said
  places = {place for one in made for place in (one, *one.parents) if folder in place.parents}
  named = [place for place in places if re.search(re.escape(str(place)) + r"[:/]", error)]
  assert named, said
  place = max(named, key=lambda place: len(str(place)))
  target = aside / f"{len(list(aside.iterdir()))}"
  place.rename(target)
  return [target / one.relative_to(place) if place == one or place in one.parents else one for one in made]


def unharmed(made):
  for place in made:
    assert place.read_text() == TEXT, place


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "part"), [(kind, part) for kind in SAME for part in (3, 2)])
def test_what_others_wrote_is_unharmed(whole, tmp_path, kind, part):
  reference, moves = whole(kind)
  folder, aside = tmp_path / "work", tmp_path / "aside"
  folder.mkdir()
  aside.mkdir()
  status, _ = attempt(kind, folder, moves // part)
  assert status == -signal.SIGKILL
  made = fill(folder, names_of_own(folder) | names_of_own(reference), taken=8)
  unharmed(made)
  for _ in range(60):  # each error names one thing
    status, said = attempt(kind, folder, 0)
    unharmed(made)
    if status == 0:
      break
    made = moved_as_told(said, made, folder, aside)
  assert status == 0, said
  for place in made:
    if folder in place.parents:
      place.unlink()
  for place in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
    if not list(place.iterdir()):
      place.rmdir()
  SAME[kind](folder, reference)


@pytest.mark.parametrize("kind", tiers.sample(SAME, "preparation"))
def test_a_folder_of_others_is_refused_and_unharmed(whole, tmp_path, kind):
  reference, _ = whole(kind)
  folder = tmp_path / "work"
  names = names_of_own(reference)
  inner = folder / "store" if kind == "preparation" else folder
  for name in sorted(names):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
  made = fill(folder, names, taken=10_000)
  made += put(inner / own_files.LIST, as_folder=False)
  status, said = attempt(kind, folder, 0)
  assert status != 0
  assert re.search("types.(Input|Data)Error: ", said), said
  unharmed(made)
