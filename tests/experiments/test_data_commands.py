"""The commands on users' own data: a folder of patients in CSV, from the first look to a transferred network."""

import dataclasses
import json
import re

import numpy as np
import pandas
import pytest

from cap_jax import clinics, config
from cap_jax.data import datasets, splits, store
from cap_jax.data.sources import virtual
from cap_jax.train import checkpoint
from cap_jax.types import InputError
from tests.experiments.commands import SMALL, run, run_here, wave

SECONDS = 8.0  # of a patient's record, as in the small study: one program makes both


def write_patients(folder, patients, seconds=SECONDS):
  """A folder of CSV files as a clinic brings it: up to 12 virtual people in the place of patients."""
  folder.mkdir()
  clinic = clinics.Clinic(name="p", subjects=12, seconds=seconds, seed=11)
  rows = ["subject,age"]
  for number, recording in enumerate(virtual.draw(clinic, ("radial", "digital_ppg"))[:patients]):
    columns = {"time_s": recording.time_s}
    columns |= {f"{name}_pressure_mmhg": recording.signals[name] for name in ("radial", "aortic_root")}
    columns["digital_ppg"] = recording.signals["digital_ppg"]
    pandas.DataFrame(columns).round(4).to_csv(folder / f"P{number:02d}.csv", index=False)
    rows.append(f"P{number:02d},{recording.covariates['age']:.0f}")
  (folder / "subjects.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
  return folder


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
  folder = write_patients(tmp_path_factory.mktemp("clinic") / "patients", 12)
  t, p = wave(20, 100)
  bad = pandas.DataFrame({"time_s": t, "radial_pressure_mmhg": p / 7.50062, "aortic_root_pressure_mmhg": p})
  bad.to_csv(folder / "P12.csv", index=False)
  (folder / "P13.csv").write_bytes(b"time_s,radial_pressure_mmhg\n0,\xff\xfe\n")
  with open(folder / "subjects.csv", "a", encoding="utf-8") as file:
    file.write("P12,50\nP13,50\nP14,50\n")
  return folder


@pytest.fixture(scope="module")
def prepared(patients, tmp_path_factory):
  output = tmp_path_factory.mktemp("stores") / "clinic"
  shares = "--split=training:0.34,unlabelled:0.25,validation:0.16,test:0.25"
  done = run(
    "prepare",
    "--format=csv",
    f"--path={patients}",
    f"--output={output}",
    "--executor=processes:2",
    shares,
    "--shard_records=4",
  )
  assert done.returncode == 0, done.stderr
  return output, done


def test_describe_reports_what_is_there_and_what_would_be_left_out(patients, tmp_path):
  picture = tmp_path / "look.png"
  done = run("describe", "--format=csv", f"--path={patients}", f"--output={picture}")
  assert done.returncode == 0, done.stderr
  assert "csv: 14 subjects, 14 records" in done.stdout
  assert "radial [mmHg]: 12 records, 125 Hz, 96 s" in done.stdout
  assert "excluded: 3 of 15" in done.stdout
  assert "P12.csv: radial: median" in done.stdout
  assert "if it is in kPa, state it (channel NAME:SIGNAL:kPa) or multiply it by 7.50062" in done.stdout
  assert "P13.csv: cannot be read" in done.stdout
  assert "P14.csv: no such file; add the file, or remove the subject from subjects.csv" in done.stdout
  assert picture.stat().st_size > 20_000
  strict = run("describe", "--format=csv", f"--path={patients}", "--strict", f"--output={picture}")
  assert strict.returncode == 2
  assert strict.stderr.strip().endswith("P14.csv: no such file; add the file, or remove the subject from subjects.csv")


def test_a_column_of_another_name_and_a_missing_aortic_wave_are_said(patients, tmp_path):
  folder = tmp_path / "renamed"
  folder.mkdir()
  for name in ("P00", "P01", "P02"):
    table = pandas.read_csv(patients / f"{name}.csv").drop(columns="digital_ppg")
    table.rename(columns={"aortic_root_pressure_mmhg": "aorta_pressure_mmhg"}).to_csv(
      folder / f"{name}.csv", index=False
    )
  where = ("--format=csv", f"--path={folder}")
  done = run_here("describe", *where, f"--output={tmp_path / 'look.png'}")
  assert "not read: aorta_pressure_mmhg; --channels=NAME:SIGNAL reads one as a signal" in done.stdout
  assert datasets.NO_AORTIC_WAVE in done.stdout
  done = run_here("prepare", *where, f"--output={tmp_path / 'store'}")
  assert datasets.NO_AORTIC_WAVE in done.stdout
  with pytest.raises(
    InputError, match=r"contains no aortic_root .*prepare the files again with a channel mapped to aortic_root"
  ):
    store.open_store(tmp_path / "store").check_signals(["radial", "aortic_root"])
  done = run_here("describe", *where, "--channels=aorta_pressure_mmhg:aortic_root", f"--output={tmp_path / 'look.png'}")
  assert done.returncode == 0
  assert "not read" not in done.stdout
  assert datasets.NO_AORTIC_WAVE not in done.stdout
  for path in folder.glob("*.csv"):
    pandas.read_csv(path).drop(columns="radial_pressure_mmhg").to_csv(path, index=False)
  where = (*where, "--channels=aorta_pressure_mmhg:aortic_root")
  for command, output in (("describe", "look.png"), ("prepare", "aortic")):
    assert datasets.NO_PERIPHERAL_WAVE in run_here(command, *where, f"--output={tmp_path / output}").stdout


def test_prepare_skips_counts_and_lists_bad_records(prepared):
  output, done = prepared
  assert "12 records, 96 s at 125 Hz" in done.stdout
  assert "excluded: 3 of 15" in done.stdout
  assert "100%" in done.stderr
  split = splits.load(output / "split.json")
  assert {name: len(subjects) for name, subjects in split.subjects.items()} == {
    "training": 4, "unlabelled": 3, "validation": 2, "test": 3,
  }  # fmt: skip
  opened = store.open_store(output, verify=True)
  assert len(opened.manifest["lost"]) == 3
  assert "in silico" not in done.stdout  # the user's own records


def test_a_given_network_is_transferred_to_the_patients(prepared, done_study, tmp_path):
  flags = [flag for flag in SMALL if "n_target" not in flag and "model" not in flag]
  done = run_here(
    "transfer", "--strategy=fine_tuning", "--n_target=2", *flags, "--config.n_target=0,2", f"--config.target_data={prepared[0]}",
    f"--source={done_study / 'checkpoint'}", f"--workdir={tmp_path / 'work'}",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert "With own records: user-provided data." in done.stdout
  assert "waveform RMSE on 3 test subjects" in done.stdout
  header = json.loads((tmp_path / "work" / "checkpoint" / "config.json").read_text())
  assert header["about"]["target_data"] == str(prepared[0])


@pytest.mark.slow
def test_by_default_no_label_is_wasted_and_all_are_used(patients, done_study, tmp_path):
  store_ = tmp_path / "store"
  done = run_here("prepare", "--format=csv", f"--path={patients}", f"--output={store_}", "--executor=processes:1")
  assert done.returncode == 0, done.stderr
  assert "split: training 8, validation 2, test 2\n" in done.stdout
  assert (
    f"few test subjects: test each subject once with cap-jax study --source=radial --config.target_data={store_} "
    "--config.strategies=auto,scratch --config.folds=5" in done.stdout
  )
  done = run_here(
    "transfer", "--strategy=fine_tuning/head", f"--source={done_study / 'checkpoint'}", f"--config.target_data={store_}",
    "--config.steps=50", f"--workdir={tmp_path / 'work'}",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert "\n8 labelled subjects, " in done.stdout
  assert "no prediction intervals: intervals of 90 % need 9 calibration subjects, but there are 2" in done.stdout


@pytest.mark.slow
def test_a_network_is_trained_on_virtual_people_and_transferred_to_the_patients(prepared, tmp_path):
  output, _ = prepared
  few = ["--config.n_target=0,1,3", f"--config.target_data={output}"]
  done = run(
    "transfer", "--strategy=fine_tuning", "--n_target=3", *[flag for flag in SMALL if "n_target" not in flag], *few,
    f"--workdir={tmp_path / 'work'}",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert "With own records: user-provided data." in done.stdout
  assert "waveform RMSE on 3 test subjects" in done.stdout
  header = json.loads((tmp_path / "work" / "checkpoint" / "config.json").read_text())
  assert header["about"]["target_data"] == str(output)
  folds = run(
    "split", f"--store={output}", "--folds=2", "--split=training:0.6,validation:0.4", f"--output={tmp_path / 'folds'}"
  )
  assert folds.returncode == 0, folds.stderr
  assert "2 splits" in folds.stdout
  assert splits.load(tmp_path / "folds" / "fold-001.json").subjects["test"]
  many = run(
    "transfer", "--strategy=fine_tuning", "--n_target=9", f"--config.target_split={tmp_path / 'folds' / 'fold-000.json'}", *[flag for flag in SMALL if "n_target" not in flag], "--config.n_target=9,", few[1],
    f"--workdir={tmp_path / 'many'}",
  )  # fmt: skip
  assert many.returncode == 2
  assert "labelled subjects for training" in many.stderr


@pytest.mark.slow
def test_a_store_of_another_rate_than_the_network_is_refused_at_once(prepared, tmp_path):
  flags = (f"--config.target_data={prepared[0]}", "--config.windows.fs_hz=100", f"--workdir={tmp_path / 'w'}")
  for command in ("transfer", "study"):
    done = run(command, "--source=train" if command == "study" else "--strategy=scratch", *flags)
    assert done.returncode == 2
    said = "sampled at 125 Hz, but the network reads 100 Hz; prepare the data again with --fs_hz=100"
    assert done.stderr.splitlines()[-1] == f"error: {prepared[0]}: {said}"
    assert not (tmp_path / "w").exists()


@pytest.mark.slow
def test_a_study_of_real_records_calls_nobody_virtual(prepared, tmp_path):
  done = run(
    "study", *[flag for flag in SMALL if "n_target" not in flag], f"--config.target_data={prepared[0]}", "--config.n_target=0,3", "--config.strategies=scratch,fine_tuning",
    "--config.baselines=peripheral,source", "--invasive", "--male_share=0.5", f"--workdir={tmp_path / 'work'}",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert "With own records: user-provided data." in done.stdout
  page = (tmp_path / "work" / "report.html").read_text(encoding="utf-8").partition("<script>")[0]
  assert "virtual" not in page.replace("The source is virtual.", "")
  assert "the reference is not invasive" not in page
  assert "n = 3 &lt; 85" in page
  assert "in silico" not in page


@pytest.mark.slow
def test_pretraining_streams_from_a_store_of_virtual_people(tmp_path):
  path = "healthy,subjects=40,seconds=12"
  done = run(
    "prepare", "--format=virtual", f"--path={path}", "--channels=radial:radial", f"--output={tmp_path / 'store'}"
  )
  assert done.returncode == 0, done.stderr
  assert "40 records, 480 s at 125 Hz, in silico" in done.stdout
  model = ["--config.model.channels=8", "--config.model.layers=1", "--config.model.head_channels=8"]
  small = ["--config.pretrain.steps=100", *model, f"--config.source_data={tmp_path / 'store'}"]
  done = run("pretrain", *small, f"--workdir={tmp_path / 'work'}")
  assert done.returncode == 0, done.stderr
  assert "In silico: all subjects are virtual. radial, task waveform: RMSE" in done.stdout
  assert "on 9 unseen source subjects" in done.stdout
  rate = run("benchmark", "--only=input", f"--store={tmp_path / 'store'}", "--turns=1")
  assert rate.returncode == 0, rate.stderr
  assert re.search(r"share of the step rate without input \| [\d.]+ × \| ≥ 0.9", rate.stdout)
  assert "windows of the store" in rate.stdout


@pytest.mark.slow
def test_a_network_of_ppg_is_none_of_the_aorta_and_one_with_a_cuff_asks_for_its_reading(tmp_path):
  cuff = ["--config.site=digital_ppg", "--config.calibration.kind=map_dbp", "--config.reference=radial"]
  done = run("pretrain", *SMALL, *cuff, f"--workdir={tmp_path / 'ppg'}")
  assert done.returncode == 0, done.stderr
  assert "digital_ppg, task waveform" in done.stdout
  header = json.loads((tmp_path / "ppg" / "checkpoint" / "config.json").read_text())
  assert header["reference"] == "radial"
  assert header["calibration"]["kind"] == "map_dbp"
  t, p = wave(20, 125)
  given = tmp_path / "in.csv"
  pandas.DataFrame({"time_s": t, "digital_ppg": p / 100}).to_csv(given, index=False)
  flags = [f"--checkpoint={tmp_path / 'ppg' / 'checkpoint'}", f"--input={given}", f"--output={tmp_path / 'out.csv'}"]
  stripped = run("reconstruct", *flags)
  assert stripped.returncode == 2
  assert "the checkpoint reads cuff_sbp_mmhg, cuff_dbp_mmhg, cuff_map_mmhg (optional); passed: none" in stripped.stderr
  done = run("reconstruct", *flags, "--covariates=cuff_sbp_mmhg=150,cuff_dbp_mmhg=80,cuff_map_mmhg=101")
  assert done.returncode == 2
  assert "predicts the radial wave, not the aortic wave" in done.stderr
  assert not (tmp_path / "out.csv").exists()


def test_a_network_of_another_wave_or_with_a_cuff_asks_for_what_it_needs(done_study, tmp_path):
  """As above, with networks that were told to be so."""
  t, p = wave(8, 125)
  given = tmp_path / "in.csv"
  pandas.DataFrame({"time_s": t, "radial_pressure_mmhg": p}).to_csv(given, index=False)
  network = checkpoint.load(done_study / "checkpoint")
  changes = {
    "cuff": config.Signals(calibration=config.Calibration(kind="map_dbp")),
    "other": config.Signals(reference="radial"),
  }
  for name, message in (
    ("cuff", "the checkpoint reads cuff_sbp_mmhg, cuff_dbp_mmhg, cuff_map_mmhg (optional); passed: none"),
    ("other", "predicts the radial wave, not the aortic wave"),
  ):
    checkpoint.save(tmp_path / name, dataclasses.replace(network, signals=changes[name]))
    done = run("reconstruct", f"--checkpoint={tmp_path / name}", f"--input={given}", f"--output={tmp_path / 'out.csv'}")
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.slow
def test_sim_to_real_reports_distances_plausibility_and_errors(tmp_path):
  folder = write_patients(tmp_path / "patients", 3, seconds=60.0)
  done = run("prepare", "--format=csv", f"--path={folder}", "--nosynchronise", f"--output={tmp_path / 'store'}")
  assert done.returncode == 0, done.stderr
  work = tmp_path / "work"
  done = run(
    "sim_to_real", f"--stores={tmp_path / 'store'}", *SMALL, "--config.strategies=domain_adaptation,domain_adaptation/coral",
    f"--workdir={work}",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert "no accuracy is claimed" in done.stdout
  for method in ("mean wave", "transfer function, FIR, source", "source network unchanged", "domain adaptation: CORAL"):
    assert done.stdout.count(method) >= 6, method
  page = (work / "report.html").read_text(encoding="utf-8")
  assert "No accuracy of aortic pressure" in page
  assert page.count('role="img"') == 2
  for name in ("aortic", "arterial"):
    assert (work / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert (work / "tables" / f"{name}.csv").stat().st_size > 100


@pytest.mark.slow
def test_pwdb_written_by_the_cohort_is_read_by_its_loader(tmp_path):
  done = run("cohort", "--subjects=4", "--format=pwdb", f"--output={tmp_path / 'pwdb'}")
  assert done.returncode == 0, done.stderr
  done = run(
    "prepare", "--format=pwdb", f"--path={tmp_path / 'pwdb'}", f"--output={tmp_path / 'store'}", "--executor=processes:1",
    "--out_of_distribution=age:0:200",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert "out_of_distribution 4" in done.stdout
  recording = store.open_store(tmp_path / "store").recordings()[0]
  root, radial = recording.signals["aortic_root"], recording.signals["radial"]
  lag = np.argmax([np.corrcoef(root[:1000], radial[k : k + 1000])[0, 1] for k in range(60)])
  assert 4 <= lag <= 20  # 0.03 to 0.16 s on one clock, not foot on foot


@pytest.mark.parametrize(
  ("command", "arguments", "said"),
  [
    ("prepare", ["--format=csv", "--path=/nowhere", "--output=x"], "/nowhere: no such file or folder"),
    ("describe", ["--format=wfdb", "--path=/", "--channels=ABP"], "--channels=ABP: must be NAME:SIGNAL"),
    ("sim_to_real", ["--workdir=x"], "--stores is missing"),
    ("pretrain", ["--config.source_data=/nowhere", "--workdir=x"], "/nowhere: no prepared store found"),
  ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(command, arguments, said, tmp_path, monkeypatch):
  done = run(command, *(word.replace("=x", f"={tmp_path}/x") for word in arguments))
  assert done.returncode == 2
  assert said in done.stderr
  assert "Traceback" not in done.stderr
  assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
  "flags",
  [
    ("--site=brachial", "--config.calibration.kind=sbp_dbp"),
    ("--site=brachial", "--config.calibration.kind=map_dbp", "--config.cohort_seed=1"),
    ("--site=digital_ppg", "--config.calibration.kind=sbp_dbp", "--config.cohort_seed=2"),
  ],
)
def test_a_source_with_cuff_readings_trains_on_the_virtual_cohort(tmp_path, flags):
  done = run(
    "pretrain", *flags, "--config.source_subjects=1200", "--config.source_seconds=8.0", "--config.pretrain.steps=50",
    f"--workdir={tmp_path / 'work'}",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert checkpoint.load(tmp_path / "work" / "checkpoint").calibration.kind in flags[1]
