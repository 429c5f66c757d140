"""Measured waves beside virtual clinics: the command on a folder of virtual people in the place of patients."""

import pandas
import pytest

from cap_jax.metrics import wave_changes
from tests.experiments.commands import run_here
from tests.experiments.test_data_commands import write_patients

SECONDS = 13.0


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
  return write_patients(tmp_path_factory.mktemp("realism") / "patients", 12, SECONDS)


@pytest.mark.slow
def test_people_of_the_same_clinic_lie_inside(patients, tmp_path):
  workdir = tmp_path / "out"
  sizes = ("--subjects=90", "--cohort=healthy", "--exchange=healthy")
  done = run_here("realism", "--format=csv", f"--path={patients}", *sizes, f"--workdir={workdir}")
  assert done.returncode == 0, done.stderr
  assert "12 windows of 12 subjects, measured; 90 subjects a clinic, in silico" in done.stdout
  table = pandas.read_csv(workdir / "tables" / "features.csv")
  assert len(table) == 21
  inside = table["inside [%]"].str.extract(r"(\d+)")[0].astype(float)
  assert inside.mean() > 90
  distances = pandas.read_csv(workdir / "tables" / "distances.csv").set_index("measure")["inside [%]"]
  assert len(distances) == 3
  assert distances.min() >= 75, distances
  exchanged = pandas.read_csv(workdir / "tables" / "exchange.csv")
  assert exchanged["exchanged property"].tolist() == list(wave_changes.CHANGES)
  assert {path.name for path in (workdir / "figures").glob("*.png")} == {"features.png", "beats.png"}


@pytest.mark.slow
def test_shorter_windows_are_more(patients, tmp_path):
  flags = ("--window_s=4", "--subjects=30", "--cohort=healthy", "--network=")
  done = run_here("realism", "--format=csv", f"--path={patients}", *flags, f"--workdir={tmp_path / 'out'}")
  assert done.returncode == 0, done.stderr
  assert "36 windows of 12 subjects, measured" in done.stdout  # three of 4 s in 13 s


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (("--site=femoral", "--network="), "--site=femoral: P00 has radial"),
    (("--site=aortic_root",), "--network=radial: reads radial, not aortic_root"),
    (("--network=", "--exchange=healthy", "--cohort=healthy"), "--exchange=healthy: needs a --network"),
    (("--exchange=icu", "--cohort=healthy"), "a clinic of --cohort"),
    (("--cohort=nowhere",), "unknown clinic 'nowhere'"),
  ],
)
def test_impossible_requests_are_errors(patients, tmp_path, flags, message):
  done = run_here("realism", "--format=csv", f"--path={patients}", *flags, f"--workdir={tmp_path / 'out'}")
  assert done.returncode == 2
  assert message in done.stderr
  assert not (tmp_path / "out").exists()
