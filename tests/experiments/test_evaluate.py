"""A network's report on a user's own folder of patients, with an aortic wave beside the peripheral one and without."""

import csv
import dataclasses
import html
import json
import re
import shutil

import numpy as np
import pandas
import pytest
import scipy.io
import wfdb

from cap_jax.inference import pretrained
from cap_jax.report import own_report
from cap_jax.study import run_study
from cap_jax.train import checkpoint
from tests.experiments.commands import run_here, write_csv
from tests.experiments.commands import wave as pulses
from tests.experiments.test_data_commands import write_patients


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
  folder = write_patients(tmp_path_factory.mktemp("clinic") / "patients", 5)
  (folder / "P05.csv").write_bytes(b"time_s,radial_pressure_mmhg\n0,\xff\xfe\n")
  with open(folder / "subjects.csv", "a", encoding="utf-8") as file:
    file.write("P05,50\n")
  return folder


def rows(path):
  with open(path, encoding="utf-8") as file:
    return list(csv.DictReader(file))


def _agreement_of(page):
  """The part whose table has the p of a slope, and what to put in its place."""
  return page[page.index('id="agreement-and-standards"') : page.index('id="errors-by-subgroup"')], ""


def test_paired_data_have_errors_a_row_a_subject(done_study, patients, tmp_path):
  done = run_here(
    "evaluate", f"--checkpoint={done_study / 'checkpoint'}", "--format=csv", f"--path={patients}", "--site=radial",
    "--invasive", "--male_share=0.5", f"--workdir={tmp_path / 'work'}",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  result = rows(tmp_path / "work" / "errors.csv")
  assert tuple(result[0]) == run_study.COLUMNS
  assert [row["subject"] for row in result] == [f"P{k:02d}" for k in range(5)]
  assert all(np.isfinite(float(row["rmse_mmhg"])) and float(row["beats"]) > 3 for row in result)
  page = (tmp_path / "work" / "report.html").read_text(encoding="utf-8")
  assert "n = 5 &lt; 85" in page
  assert "the subjects are virtual" not in page  # they are the user's own
  assert "the reference is not invasive" not in page
  assert "P05.csv" in page
  assert "excluded: 1 of 6" in done.stdout
  for name in (
    "difference",
    "95 % CI of difference",
    "p",
    "budget",
    "train [s]",
    "steps to scratch",
    "seeds",
    "labels",
  ):
    assert f'<th scope="col">{name}</th>' not in page.replace(*_agreement_of(page)), name  # one network alone has none
  assert "The waves of 5 subjects of the data set “patients” (csv, own records) were reconstructed in " in page
  assert "Errors were measured on 5 subjects with a measured reference (" in page
  assert "trained on 24 subjects of the source “healthy” in 100 steps." in page
  assert (tmp_path / "work" / "tables" / "standards_patients.tex").is_file()
  assert list((tmp_path / "work" / "figures").glob("*.pdf"))


def test_peripheral_waves_alone_have_a_report_without_errors(done_study, patients, tmp_path):
  folder = shutil.copytree(patients, tmp_path / "alone")
  for path in folder.glob("P0[0-4].csv"):
    pandas.read_csv(path)[["time_s", "radial_pressure_mmhg"]].to_csv(path, index=False)
  work = tmp_path / "work"
  done = run_here(
    "evaluate", f"--checkpoint={done_study / 'checkpoint'}", "--format=csv", f"--path={folder}", f"--workdir={work}"
  )
  assert done.returncode == 0, done.stderr
  assert not (work / "errors.csv").exists()
  page = (work / "report.html").read_text(encoding="utf-8")
  assert html.escape(own_report.NO_REFERENCE_NOTE) in page
  assert "RMSE" not in page.partition("<script>")[0]
  result = rows(work / "reconstructed.csv")
  assert [row["subject"] for row in result] == [f"P{k:02d}" for k in range(5)]
  assert all(60 < float(row["csbp_est_mmhg"]) < 220 for row in result)


@pytest.mark.parametrize(
  ("kind", "message"),
  [
    (
      "site",
      "--site=brachial: the checkpoint reads radial; omit --site if it is a radial wave, or for a brachial wave use the packaged network brachial",
    ),
    ("nothing", "no such file or folder"),
    ("other_wave", "contains no radial (found: brachial)"),
    ("empty", "subjects.csv: the file contains a header but no rows"),
    ("work", "already exists"),
  ],
)
def test_what_cannot_be_evaluated_is_one_line_and_nothing_is_written(done_study, tmp_path, kind, message):
  folder, work = tmp_path / "patients", tmp_path / "work"
  folder.mkdir()
  t, p = pulses(12, 125.0)
  write_csv(folder / "P00.csv", t, p, "brachial_pressure_mmhg" if kind == "other_wave" else "radial_pressure_mmhg")
  (folder / "subjects.csv").write_text("subject\n" + ("" if kind == "empty" else "P00\n"))
  path = tmp_path / "absent" if kind == "nothing" else folder
  if kind == "work":
    work.mkdir()
    (work / "mine.txt").write_text("keep")
  before = sorted(work.rglob("*"))
  done = run_here(
    "evaluate", f"--checkpoint={done_study / 'checkpoint'}", "--format=csv", f"--path={path}", f"--workdir={work}",
    f"--site={'brachial' if kind == 'site' else 'radial'}",
  )  # fmt: skip
  assert done.returncode == 2, done.stdout
  lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
  assert len(lines) == 1
  assert message in lines[0]
  assert "Traceback" not in done.stderr
  assert sorted(work.rglob("*")) == before


def test_what_cannot_be_windowed_or_evaluated_is_listed(done_study, patients, tmp_path):
  folder = shutil.copytree(patients, tmp_path / "mixed")
  short, lost = (pandas.read_csv(folder / name) for name in ("P00.csv", "P01.csv"))
  short[short["time_s"] < 3].to_csv(folder / "P00.csv", index=False)
  lost["aortic_root_pressure_mmhg"] = lost["aortic_root_pressure_mmhg"].where(lost["time_s"] < 2)
  lost.to_csv(folder / "P01.csv", index=False)
  work = tmp_path / "work"
  done = run_here(
    "evaluate", f"--checkpoint={done_study / 'checkpoint'}", "--format=csv", f"--path={folder}", f"--workdir={work}"
  )
  assert done.returncode == 0, done.stderr
  assert [row["subject"] for row in rows(work / "errors.csv")] == ["P02", "P03", "P04"]
  assert [row["subject"] for row in rows(work / "reconstructed.csv")] == ["P01", "P02", "P03", "P04"]
  assert "its radial wave has no 4 s without a gap; use a longer record" in done.stdout
  assert "where radial has none: reconstructed, but excluded from the error statistics" in done.stdout
  page = (work / "report.html").read_text(encoding="utf-8")
  assert "intervals of 90 % need 9 calibration subjects, but there are 2" in page
  digests = re.search(r"windows ([0-9a-f]{64}); paired windows ([0-9a-f]{64}); checkpoint ([0-9a-f]{64})", page)
  assert len(set(digests.groups())) == 3


def test_subjects_that_the_network_has_seen_are_not_evaluated(done_study, patients, tmp_path):
  network = checkpoint.load(done_study / "checkpoint")
  all_windows = [f"P{k:02d}" for k in range(5)]
  evaluated = {}
  for name, known_subjects in (("some", all_windows[:2]), ("all", all_windows)):
    checkpoint.save(
      tmp_path / name, dataclasses.replace(network, seen_subject_hashes=checkpoint.digests_of(known_subjects))
    )
    work = tmp_path / f"work_{name}"
    done = run_here(
      "evaluate", f"--checkpoint={tmp_path / name}", "--format=csv", f"--path={patients}", f"--workdir={work}"
    )
    assert done.returncode == 0, done.stderr
    evaluated[name] = [row["subject"] for row in rows(work / "errors.csv")] if (work / "errors.csv").exists() else []
    assert [row["subject"] for row in rows(work / "reconstructed.csv")] == all_windows
    page = (work / "report.html").read_text(encoding="utf-8")
    assert page.count("used for training, selection or calibration of the network") == len(known_subjects)
  assert evaluated == {"some": all_windows[2:], "all": []}
  assert html.escape(own_report.ALL_LEFT_OUT_NOTE) in page
  assert own_report.ALL_LEFT_OUT_NOTE in done.stdout
  assert html.escape(own_report.NO_REFERENCE_NOTE) not in page


@pytest.mark.slow
def test_an_adapted_network_is_compared_with_that_of_the_package_if_both_read_the_same_waves(patients, tmp_path):
  """With readings of a cuff instead, the packaged network would see waves that it never reads in use."""
  packaged = pretrained.load("radial")
  mine = dataclasses.replace(packaged, about={**packaged.about, "strategy": "fine_tuning", "n_target": 2})
  told = {}
  for name, kind in (("plain", "none"), ("cuff", "sbp_dbp")):
    signals = dataclasses.replace(mine.signals, calibration=dataclasses.replace(mine.calibration, kind=kind))
    checkpoint.save(tmp_path / name, dataclasses.replace(mine, signals=signals))
    folder = shutil.copytree(patients, tmp_path / f"{name}_patients")
    table = pandas.read_csv(folder / "subjects.csv").assign(cuff_sbp_mmhg=140, cuff_dbp_mmhg=80)
    table.to_csv(folder / "subjects.csv", index=False)
    done = run_here(
      "evaluate",
      f"--checkpoint={tmp_path / name}",
      "--format=csv",
      f"--path={folder}",
      f"--workdir={tmp_path / name}_work",
    )
    assert done.returncode == 0, done.stderr
    told[name] = "of the unchanged packaged network" in done.stdout
  assert told == {"plain": True, "cuff": False}


def test_a_network_of_another_wave_is_refused(done_study, patients, tmp_path):
  network = checkpoint.load(done_study / "checkpoint")
  checkpoint.save(
    tmp_path / "other", dataclasses.replace(network, signals=dataclasses.replace(network.signals, reference="carotid"))
  )
  work = tmp_path / "work"
  done = run_here(
    "evaluate", f"--checkpoint={tmp_path / 'other'}", "--format=csv", f"--path={patients}", f"--workdir={work}"
  )
  assert done.returncode == 2
  assert "trained for the carotid wave, not for the aortic wave" in done.stderr
  assert not work.exists()


def test_one_short_record_is_evaluated_without_statistics(done_study, tmp_path):
  """One subject with two windows: no interval, no limits of agreement, no standard, but its errors."""
  t, p = pulses(9, 125.0)
  folder = tmp_path / "one"
  folder.mkdir()
  table = {"time_s": t, "radial_pressure_mmhg": p, "aortic_root_pressure_mmhg": p - 3}
  pandas.DataFrame(table).to_csv(folder / "A.csv", index=False)
  (folder / "subjects.csv").write_text("subject\nA\n")
  done = run_here(
    "evaluate",
    f"--checkpoint={done_study / 'checkpoint'}",
    "--format=csv",
    f"--path={folder}",
    f"--workdir={tmp_path / 'w'}",
  )
  assert done.returncode == 0, done.stderr
  assert len(rows(tmp_path / "w" / "errors.csv")) == 1


def test_intervals_and_the_flag_are_written_beside_the_wave(done_study, tmp_path):
  """Two subjects calibrate no interval of 90 %; so it says, and has them once it was calibrated on enough."""
  t, p = pulses(12, 125.0)
  given = write_csv(tmp_path / "in.csv", t, p)
  few = checkpoint.load(done_study / "checkpoint")
  checkpoint.save(
    tmp_path / "enough",
    dataclasses.replace(
      few,
      uncertainty_calibration=dataclasses.replace(
        few.uncertainty_calibration, wave=2.0, csbp=1.5, ood_threshold=-1e9, subjects=20
      ),
    ),
  )
  result = {}
  for name, network in (("few", done_study / "checkpoint"), ("enough", tmp_path / "enough")):
    done = run_here(
      "reconstruct", f"--checkpoint={network}", f"--input={given}", f"--output={tmp_path / f'{name}.csv'}"
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / f"{name}.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    result[name] = done.stdout, content["intervals"], pandas.read_csv(tmp_path / f"{name}.csv")
  why = "intervals of 90 % need 9 calibration subjects, but there are 2"
  said, intervals, table = result["few"]
  assert f"no intervals: {why}" in said
  assert intervals == {"lacking": why}
  assert "low_mmhg" not in table
  said, intervals, table = result["enough"]
  assert intervals == {"ood_fraction": 1.0, "out_of_distribution": True}
  assert "WARNING: 100 % of the record is out of distribution" in said
  assert (table["high_mmhg"] - table["low_mmhg"]).min() > 0


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".dat", ".hea", ""])
def test_reconstruct_reads_one_file_of_any_known_format(done_study, tmp_path, suffix):
  t, p = pulses(12, 125.0)
  if suffix in (".mat", ".npz"):
    save = {".mat": scipy.io.savemat, ".npz": lambda path, arrays: np.savez(path, **arrays)}[suffix]
    save(tmp_path / f"r{suffix}", {"time_s": t, "radial_pressure_mmhg": p})
  else:
    wfdb.wrsamp("r", fs=125, units=["NU"], sig_name=["ART"], fmt=["16"], p_signal=p[:, None], write_dir=str(tmp_path))
  channels = [] if suffix in (".mat", ".npz") else ["--channels=ART:radial:mmHg"]
  done = run_here(
    "reconstruct", f"--checkpoint={done_study / 'checkpoint'}", f"--input={tmp_path / 'r'}{suffix}", *channels,
    f"--output={tmp_path / 'out.csv'}",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  table = pandas.read_csv(tmp_path / "out.csv")
  assert len(table) == t.size
  assert "peripheral SBP" in done.stdout
