"""The table of plausible beats, on a folder of virtual people in the place of patients."""

import re

import pytest

from tests.experiments.commands import run_here
from tests.experiments.test_data_commands import write_patients


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
  return write_patients(tmp_path_factory.mktemp("plausibility") / "patients", 4, 13.0)


def test_virtual_people_come_out_plausible(patients):
  done = run_here("plausibility", "--format=csv", f"--path={patients}")
  assert done.returncode == 0, done.stderr
  rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line.startswith("|")]
  header, total = rows[0], next(row for row in rows if row[0] == "all beats")
  of = dict(zip(header, total, strict=True))
  assert int(of["beats"]) > 30
  # the diastole of young people falls by more than the bound, in truth too
  assert all(float(of[check]) > 90 for check in ("pulse", "mean", "lead")), of
  assert float(of["diastole"]) > 50
  assert float(of["incisura"]) > 70
  assert sum(bool(re.fullmatch(r"P\d+", row[0])) for row in rows) == 4
  gains = {row[0]: float(row[2]) for row in rows if row[0] in ("1", "4", "9")}
  assert gains["1"] < gains["4"] > gains["9"]


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (("--checkpoint=nowhere",), "nowhere: no checkpoint found"),
    (("--seconds=1",), "--seconds"),
    (("--format=nowhere",), "--format"),
  ],
)
def test_impossible_requests_are_errors(patients, flags, message):
  done = run_here("plausibility", "--format=csv", f"--path={patients}", *flags)
  assert done.returncode != 0
  assert message in done.stderr
