"""The commands as a user types them."""

import csv
import json
import re

import jax
import numpy as np
import pytest

from cap_jax.train import checkpoint
from tests import tiers
from tests.experiments.commands import ROOT, SMALL, run, run_here, wave, write_csv


@pytest.fixture(scope="session")
def source(done_study):
  """The source network of the small study."""
  return done_study / "checkpoint"


def test_pretrain_trains_the_source_network_of_a_study(source, tmp_path):
  done = run_here("pretrain", f"--workdir={tmp_path / 'w'}", *SMALL)
  assert done.returncode == 0, done.stderr
  assert "In silico" in done.stdout
  output, there = (checkpoint.load(folder) for folder in (tmp_path / "w" / "checkpoint", source))
  assert (output.model, output.windows, output.site, output.task) == (
    there.model,
    there.windows,
    there.site,
    there.task,
  )
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3), output.params, there.params)


def test_transfer_reports_its_merge_and_saves(source, tmp_path):
  done = run_here(
    "transfer",
    "--strategy=feature_transfer",
    f"--source={source}",
    "--n_target=2",
    f"--workdir={tmp_path / 'w'}",
    *SMALL,
  )
  assert done.returncode == 0, done.stderr
  lines = done.stdout.splitlines()
  embedding = next(line.split() for line in lines if line.startswith("f/embed "))
  assert embedding[1:3] == ["transferred", "2"]
  assert any(line.split()[:2] == ["r/wave", "fresh"] for line in lines)
  assert (tmp_path / "w" / "checkpoint" / "config.json").is_file()
  split = json.loads((tmp_path / "w" / "split.json").read_text())
  assert len(split["parts"]["target_test"]) == 4
  assert len(split["parts"]["labelled"]) == 2


@pytest.mark.parametrize("scenarios", tiers.sample(["device", "population,device"], "device"))
def test_compare_writes_its_table_csv_and_page(source, tmp_path, scenarios):
  clinics, names = f"--config.scenarios={scenarios}", scenarios.split(",")
  methods = ["--config.baselines=peripheral,source,gtf_target", "--config.strategies=scratch,fine_tuning"]
  small = [flag for flag in SMALL if "n_target" not in flag and "model." not in flag]  # the model is that of the source
  flags = [clinics, *methods, *small, f"--source={source}", "--config.n_target=0,2"]
  done = run_here("compare", f"--workdir={tmp_path / 'w'}", *flags, "--metrics=jsonl")
  assert done.returncode == 0, done.stderr
  assert f"{len(names) * (2 + 3)} cells; about " in done.stderr
  assert re.search(r"budget of (.*, )?scratch(, .*)?: 1 × 50 steps", done.stderr)
  number = r"\d+\.\d\d"
  first = f"{names[0]}: " if len(names) > 1 else ""
  sentence = (
    f"{first}2 labelled subjects, fine-tuning: {number} mmHg \\(95 % CI {number} to {number}\\); source network unchanged {number}; "
    f"the same network from scratch {number}; FIR transfer function {number} \\(in silico\\)"
  )
  assert re.fullmatch(sentence, done.stdout.splitlines()[0])
  assert "In silico" in done.stdout
  with open(tmp_path / "w" / "study.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  assert {row["n_target"] for row in rows} == {"0", "2"}
  assert {row["scenario"] for row in rows} == set(names)
  page = (tmp_path / "w" / "report.html").read_text(encoding="utf-8")
  (answer,) = re.findall("<h1>(.*)</h1>", page)
  assert re.fullmatch(
    f"{first}With 2 labelled subjects, fine-tuning has a waveform RMSE of {number} mmHg \\(95 % CI {number} to {number}\\), against {number} of "
    f"the unchanged source network, {number} of the same network from scratch and {number} of an FIR transfer function; \\d+ test subjects, in silico.",
    answer.replace("&nbsp;", " "),
  )
  # one of all clinics; nothing was adapted: no map of features
  assert page.count('role="img"') == len(names) * 5 + (len(names) > 1)
  assert (tmp_path / "w" / "figures" / "few_shot_device.pdf").is_file()
  assert (tmp_path / "w" / "logs" / "device" / "fold_0" / "fine_tuning" / "n2_seed0" / "metrics.jsonl").is_file()
  again = run_here("compare", f"--workdir={tmp_path / 'w'}/", *flags)
  assert again.returncode == 0, again.stderr
  assert again.stdout.startswith(f"{tmp_path / 'w'}/: this study is finished; see {tmp_path / 'w'}/report.html")
  (tmp_path / "w" / "report.html").unlink()
  again = run_here("compare", f"--workdir={tmp_path / 'w'}", *flags)  # all is done: the report is written anew
  assert again.returncode == 0, again.stderr
  assert again.stdout.splitlines()[0] == done.stdout.splitlines()[0]


@pytest.mark.parametrize(("seconds", "fs"), [(20, 200.0), (0.8, 125.0)])
def test_reconstruct_a_csv(source, tmp_path, seconds, fs):
  t, p = wave(seconds, fs)
  given = write_csv(tmp_path / "in.csv", t, p)
  done = run("reconstruct", f"--checkpoint={source}", f"--input={given}", f"--output={tmp_path / 'out.csv'}")
  assert done.returncode == 0, done.stderr
  with open(tmp_path / "out.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  np.testing.assert_allclose([float(row["time_s"]) for row in rows], t, atol=1e-4)
  aortic = np.array([float(row["aortic_root_pressure_mmhg"]) for row in rows])
  assert abs(aortic.mean() - p.mean()) < 10  # a hundred steps of training: plausible, no more
  assert (tmp_path / "out.png").stat().st_size > 10_000
  content = json.loads((tmp_path / "out.json").read_text())
  assert "not a medical device" in content["note"]
  assert 20 <= len(content["beats"]) <= 26 if seconds > 1 else len(content["beats"]) == 1
  assert content["summary"]["hr_bpm"]["mean"] == pytest.approx(75, abs=2)


def test_without_a_checkpoint_the_network_of_the_package_reconstructs(tmp_path):
  t, p = wave(20, 100.0)
  fallen = write_csv(tmp_path / "fallen.csv", t, 190 - p)
  done = run("reconstruct", f"--input={fallen}", f"--output={tmp_path / 'fallen_out.csv'}")
  assert done.returncode == 0, done.stderr
  assert "is out of distribution" in done.stdout  # upside down
  given = write_csv(tmp_path / "in.csv", t, p)
  done = run("reconstruct", f"--input={given}", f"--output={tmp_path / 'out.csv'}")
  assert done.returncode == 0, done.stderr
  with open(tmp_path / "out.csv", encoding="utf-8") as file:
    rows = [[float(value) for value in row.values()] for row in csv.DictReader(file)]
  _, aortic, low, high = np.array(rows).T
  assert (low < aortic).all()
  assert (aortic < high).all()
  content = json.loads((tmp_path / "out.json").read_text())
  assert content["training"]["source"] == "clinics"
  assert content["summary"]["cpp_est_mmhg"]["mean"] < content["summary"]["peripheral_pp_mmhg"]["mean"]


def test_reconstruct_says_its_gaps(source, tmp_path):
  t, p = wave(10, 125.0)
  p[400:500] = np.nan
  given = write_csv(tmp_path / "in.csv", t, p)
  done = run("reconstruct", f"--checkpoint={source}", f"--input={given}", f"--output={tmp_path / 'out.csv'}")
  assert done.returncode == 0, done.stderr
  assert "gap 3.20–3.99 s: no data" in done.stdout
  with open(tmp_path / "out.csv", encoding="utf-8") as file:
    empty = [row["aortic_root_pressure_mmhg"] == "" for row in csv.DictReader(file)]
  assert all(empty[400:500])
  assert not any(empty[:400] + empty[500:])


def bad(tmp_path, kind):
  t, p = wave(5, 125.0)
  flags = {"checkpoint": None, "input": tmp_path / "in.csv", "output": tmp_path / "out.csv", "site": "radial"}
  column = "radial_pressure_mmhg"
  if kind == "site":
    flags["site"] = "wrist"
  elif kind == "column":
    column = "pressure"
  elif kind == "time":
    t[300] = t[200]
  elif kind == "kilopascal":
    p = p / 7.50062
  elif kind == "other_site":
    column, flags["site"] = "brachial_pressure_mmhg", "brachial"
  elif kind == "output":
    flags["output"] = tmp_path / "absent" / "out.csv"
  write_csv(tmp_path / "in.csv", t, p, column)
  if kind == "empty":
    (tmp_path / "in.csv").write_text("")
  return flags


@pytest.mark.parametrize(
  ("kind", "message"),
  [
    ("site", "--site=wrist: unknown site; choose one of"),
    ("column", "in.csv: no column is named after a signal (found: time_s, pressure)"),
    ("time", "in.csv: column time_s: time does not increase at data row 301"),
    ("kilopascal", "if it is in kPa, state it (channel NAME:SIGNAL:kPa) or multiply it by 7.50062"),
    ("empty", "in.csv: the file is empty"),
    ("other_site", "omit --site if it is a radial wave, or for a brachial wave use the packaged network brachial"),
    ("output", "is not a writable folder"),
  ],
)
def test_bad_input_is_one_line_and_status_two(source, tmp_path, kind, message):
  flags = {**bad(tmp_path, kind), "checkpoint": source}
  done = run("reconstruct", *(f"--{name}={value}" for name, value in flags.items()))
  assert done.returncode == 2
  lines = [line for line in done.stderr.splitlines() if line.strip()]
  assert len(lines) == 1, done.stderr
  assert lines[0].startswith("error: ")
  assert message in lines[0]
  assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_debug_shows_where_an_error_comes_from(tmp_path):
  place = tmp_path / "checkpoint"
  place.mkdir()
  (place / "config.json").write_text("{")
  argv = ["--input=a.csv", f"--output={tmp_path / 'b.csv'}", f"--checkpoint={place}"]
  plain, displayed = run("reconstruct", *argv), run("reconstruct", *argv, "--debug")
  assert (plain.returncode, displayed.returncode) == (2, 2)
  assert plain.stderr.count("\n") == 1
  assert displayed.stderr.splitlines()[-1] == plain.stderr.strip()
  assert "JSONDecodeError" in displayed.stderr  # the cause, not the line alone


@pytest.mark.parametrize(
  ("name", "arguments", "message"),
  [
    ("reconstruct", ["--input=a.csv", "--output=b.csv"], "a.csv: no such file or folder; check the path"),
    (
      "reconstruct",
      ["--input=a.csv", "--output=b.csv", "--checkpoint=x"],
      "x: no checkpoint found; pass the folder of one",
    ),
    (
      "reconstruct",
      ["--input=a.csv", "--output=b.csv", "--site=brachial"],
      "omit --site if it is a radial wave, or for a brachial wave use the packaged network brachial",
    ),
    ("reconstruct", ["--bogus=1"], "Unknown command line flag 'bogus'"),
    ("study", ["--steps=200"], "Unknown command line flag 'steps'; write --config.steps=200"),
    ("transfer", ["--source=nowhere", "--workdir=w"], "no checkpoint found; pass the folder of one"),
    ("transfer", ["--strategy=magic", "--workdir=w"], "--strategy=magic: unknown; choose one of"),
    ("transfer", ["--strategy=fine_tunning", "--workdir=w"], "unknown; did you mean fine_tuning"),
    ("transfer", ["--workdir=w", "--n_target=41", "--strategy=fine_tuning"], "must be 0 to 40 labelled subjects"),
    ("transfer", ["--workdir=w", "--strategy=auto", "--rate=0.1"], "--strategy=auto: sets these itself"),
    ("transfer", ["--workdir=w", "--steps=75"], "steps=75: must be a positive multiple of 50"),
    (
      "transfer",
      ["--workdir=w", "--config.stepz=75"],
      "'stepz' is not a field or value of a study; did you mean steps?",
    ),
    (
      "compare",
      ["--workdir=w", "--config.custom.fine_tunin.learning_rate=1"],
      "'fine_tunin' is not a field or value of a study; did you mean fine_tuning?",
    ),
    (
      "compare",
      ["--workdir=w", "--config.baselines=gtf_target,source", "--config.n_target=0,"],
      "gtf_target: can run in no cell (needs labelled subjects, but n_target is (0,))",
    ),
    ("transfer", ["--workdir=w", "--loss=target:much"], "--loss=target:much: the weight must be a number"),
    (
      "transfer",
      ["--workdir=w", "--init_from_source=f/lstm_0"],
      "rule 'f/lstm_0' matches no source parameter",
    ),
    ("transfer", ["--workdir=w", "--freeze=first:99"], "rule 'first:99' does not specify a valid number of layers"),
    ("transfer", ["--workdir=w", "--freeze=g"], "rule 'g' matches no frozen parameter"),
    (
      "transfer",
      ["--workdir=w", "--config.task=bp", "--strategy=fine_tuning"],
      "was trained for bp; transfer only other parts",
    ),
    ("transfer", ["--workdir=w", "--loss=hope:1"], "loss 'hope' is unknown; choose one of target"),
    ("transfer", ["--workdir=w", "--n_target=0", "--strategy=fine_tuning"], "fine_tuning needs labelled target"),
    ("pretrain", ["--workdir=w", "--site=aortic_root"], "must be a peripheral wave"),
    ("compare", ["--workdir=w", "--config.scenarios=device,venus"], "scenarios=venus: unknown; choose one of"),
    ("compare", ["--workdir=w", "--config.scenario=mars"], "scenario=mars: unknown; choose one of"),
    ("compare", ["--workdir=w", "--config.n_target=5,100"], "must be 0 to 40 labelled subjects"),
    ("compare", ["--config=absent.py"], "absent.py"),
    ("compare", ["--workdir=w", "--config.model.patch=7"], "not a whole number of patches of 7"),
    ("compare", ["--workdir=w", "--config.n_target=5,5"], "contains a duplicate value"),
    (
      "pretrain",
      ["--workdir=w", "--config.nope=3"],
      "'nope' is not a field or value of a study; docs/config.md lists all",
    ),
    ("pretrain", ["--workdir=w", "--config=README.md"], "--config: cannot load the file"),
    ("pretrain", [], "--workdir is missing; pass --workdir=DIR"),
    ("tune", ["--rates=fast"], "--rates=fast: each must be a number"),
    ("tune", ["--n_target=100"], "must be 0 to 40 labelled subjects"),
    ("tune", ["--strategy=scratch", "--n_target=0"], "--n_target=0: scratch needs labelled target subjects"),
    ("transfer", ["--workdir=w", "--strategy=auto", "--freeze=f"], "--strategy=auto: sets these itself"),
    (
      "transfer",
      ["--workdir=w", "--strategy=scratch", "--freeze=f,r"],
      "strategy scratch: the whole network is frozen",
    ),
    ("transfer", ["--workdir=w", "--loss=mmd:1:ramp:x"], "has 4 parts; a term is NAME:WEIGHT"),
    ("compare", ["--workdir=w", "--config.scenarios=device,device"], "contains a duplicate value"),
    ("compare", ["--workdir=w", "--metrics=csv"], "--metrics=csv: unknown; choose from jsonl, tensorboard"),
    ("study", [], "--workdir is missing; pass --workdir=DIR"),
    ("study", ["--workdir=w", "--config.baselines=oracle"], "baselines=oracle: unknown; choose one of peripheral"),
    ("study", ["--workdir=w", "--config.folds=200"], "folds=200: device_population has only 116 subjects"),
    (
      "study",
      ["--workdir=w", "--config.n_target=0,", "--config.strategies=scratch", "--config.baselines="],
      "no method can use it",
    ),
    (
      "evaluate",
      ["--workdir=w", "--checkpoint=nowhere", "--format=csv", "--path=x"],
      "no checkpoint found; pass the folder of one",
    ),
    (
      "compare",
      ["--workdir=w", "--config.site=brachial"],
      "was trained with site=radial; omit the flag, or add --source=",
    ),
    ("compare", ["--workdir=w", "--source=nowhere"], "no checkpoint found; pass the folder of one"),
    ("compare", ["--workdir=w", "--source=train", "--config.task=bp"], "was trained for bp; transfer only other parts"),
    (
      "compare",
      ["--workdir=w", "--source=train", "--config.model.extractor=cnn"],
      "strategy parameter_transfer: rule 'f/encoder_0' matches",
    ),
  ],
)
def test_bad_flags_are_one_line_and_status_two(name, arguments, message):
  done = run(name, *arguments)
  assert done.returncode == 2, done.stderr
  lines = [line for line in done.stderr.splitlines() if line.strip()]
  assert len(lines) == 1, done.stderr
  assert message in lines[0]
  assert not (ROOT / "w").exists()


def clock_seconds(text):
  hours, minutes, seconds = text.split(":")
  return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def pig(folder, number):
  """Pressure [mmHg] and flow [l/min] of the pig, at the times of the pressure."""
  waves = []
  for signal in ("P", "Q"):
    lines = (folder / f"invivo_Ao_baseline1_Ao{signal}{number}.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines if line.count(":") == 2 and line[0].isdigit()]
    waves.append(([clock_seconds(time) for time, _ in rows], [float(value) for _, value in rows]))
  (time, pressure), (flow_time, flow) = waves
  time = np.array(time)
  return time - time[0], np.array(pressure), np.interp(time, flow_time, flow) / 0.06


def human(folder):
  waves = [np.loadtxt(folder / f"stergiopulos1999_{name}.csv", delimiter=",") for name in ("apressure", "aflow")]
  time = waves[0][:, 0]
  return time, waves[0][:, 1], np.interp(time, waves[1][:, 0], waves[1][:, 1])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "limit"), [("human", 3.0), ("pig1", 4.0)])
def test_fit_reproduces_real_beats(reference_data, tmp_path, name, limit):
  folder = reference_data / "aortic_pq"
  time, pressure, flow = human(folder) if name == "human" else pig(folder, name[-1])
  rows = [f"{t:.4f},{p:.4f},{q:.4f}" for t, p, q in zip(time, pressure, flow, strict=True)]
  given = tmp_path / "beat.csv"
  given.write_text("time_s,aortic_root_pressure_mmhg,aortic_root_flow_ml_s\n" + "\n".join(rows) + "\n")
  done = run("fit", f"--input={given}", f"--output={tmp_path / 'fitted'}")
  assert done.returncode == 0, done.stderr
  result = json.loads((tmp_path / "fitted" / "fit.json").read_text())
  print(name, result)
  assert result["rms_mmhg"] <= limit
  assert result["beats"] == (1 if name == "human" else pytest.approx(3.5, abs=1))
  table = np.genfromtxt(tmp_path / "fitted" / "fit.csv", delimiter=",", names=True)
  rms = np.sqrt(np.mean((table["measured_mmhg"] - table["model_mmhg"]) ** 2))
  assert rms == pytest.approx(result["rms_mmhg"], abs=1e-3)
  assert (tmp_path / "fitted" / "fit.png").stat().st_size > 5000


@pytest.mark.slow
def test_cohort_in_the_layout_of_pwdb(tmp_path):
  folder = tmp_path / "cohort"
  done = run("cohort", "--subjects=3", "--format=pwdb", f"--output={folder}", "--plot")
  assert done.returncode == 0, done.stderr
  assert "3 virtual subjects (in silico)" in done.stdout
  assert "100%" in done.stderr
  assert len(list((folder / "PWs" / "csv").iterdir())) == 52
  with open(folder / "pwdb_haemod_params.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file, skipinitialspace=True))
  with open(folder / "subjects.csv", encoding="utf-8") as file:
    drawn = list(csv.DictReader(file))
  assert [float(row["age [years]"]) for row in rows] == pytest.approx([float(row["age"]) for row in drawn], rel=1e-5)
  with open(folder / "PWs" / "csv" / "PWs_AorticRoot_P.csv", encoding="utf-8") as file:
    beat = next(csv.DictReader(file, skipinitialspace=True))
  beat = np.array([float(value) for name, value in beat.items() if name != "Subject Number"])
  beat = beat[np.isfinite(beat)]
  assert beat.max() == pytest.approx(float(rows[0]["SBP_a [mmHg]"]), abs=0.1)
  assert beat[:25].max() - beat[0] > 0.15 * np.ptp(beat)  # it begins with the rise, at the foot
  assert beat.size == np.ceil(60 / float(rows[0]["HR [bpm]"]) * 500)
  assert (folder / "waves.png").stat().st_size > 20_000
  again = run("cohort", "--subjects=3", f"--output={folder}")
  assert again.returncode == 2
  assert "already exists; choose another folder" in again.stderr


@pytest.mark.parametrize(
  "second", [run_here, pytest.param(run, marks=pytest.mark.slow)], ids=["here", "another_process"]
)
def test_cohort_as_arrays_repeats_itself(tmp_path, second):
  argv = ["--subjects=5", "--seed=3", "--population=elderly_hypertensive"]
  for name, way in (("a", run_here), ("b", second)):
    done = way("cohort", *argv, f"--output={tmp_path / name}")
    assert done.returncode == 0, done.stderr
  a, b = (np.load(tmp_path / name / "cohort.npz") for name in ("a", "b"))
  assert set(a) >= {"aortic_root", "radial", "digital_ppg", "age", "sv_ml"}
  assert a["radial"].shape == (5, 256)
  for name in a:
    np.testing.assert_array_equal(a[name], b[name])
  assert 60 <= a["age"].min() <= a["age"].max() <= 80


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--subjects=0", "--output=x"], "--subjects=0"),
    (["--format=mat", "--output=x"], "--format=mat"),
    (["--population=martians", "--output=x"], "--population=martians"),
    ([], "--output is missing"),
    (["--subjects=2", "--output=/proc/x"], "--output=/proc/x: cannot be created"),
    (["--seed=18446744073709551616", "--output=x"], "--seed=18446744073709551616"),
  ],
)
def test_cohort_refuses_what_cannot_be(arguments, said):
  done = run("cohort", *arguments)
  assert done.returncode == 2
  assert said in done.stderr
  assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_physiology_page_is_printed_and_written(tmp_path):
  done = run("physiology", "--subjects=120", f"--output={tmp_path / 'page.md'}")
  assert done.returncode == 0, done.stderr
  assert done.stdout == (tmp_path / "page.md").read_text(encoding="utf-8")
  assert "| central SBP [mmHg] |" in done.stdout


@pytest.mark.slow
def test_benchmark_prints_what_it_measured_beside_its_targets(tmp_path):
  only = "--only=cohort,checkpoints,frozen"
  done = run("benchmark", only, "--subjects=64", "--turns=1", "--steps=2", f"--output={tmp_path / 'b'}")
  assert done.returncode == 0, done.stderr
  result = json.loads((tmp_path / "b.json").read_text())
  rows = {row["name"]: row for row in result["rows"]}
  assert 0.5 < rows["compiling the beats"]["value"] < 60
  assert rows["subjects per second"]["value"] > 50
  assert rows["subjects per second"]["met"] is None
  frozen = rows["tcn, extractor computed, not trained"]
  assert 0 < frozen["value"] < 1  # less work cannot take longer
  assert frozen["met"] == (frozen["value"] <= frozen["target"])
  assert "jax" in result["versions"]
  assert "cores to use" in result["processor"]
  assert done.stdout == (tmp_path / "b.md").read_text(encoding="utf-8")
  assert "subjects per second" in done.stdout


def test_benchmark_refuses_a_section_that_is_not_there():
  done = run("benchmark", "--only=step")
  assert done.returncode == 2
  assert "--only=step: unknown section; choose from steps," in done.stderr


@pytest.mark.parametrize(
  ("rows", "said"),
  [
    ("".join(f"{k / 100},90\n" for k in range(200)), "no beat of 0.27 s or more in 200 rows"),
    ("0,90\n0.01,91\n0.02,92\n", "no beat of 0.27 s or more in 3 rows"),
    ("0,90\n0.01,\n0.02,92\n", "contains missing values"),
  ],
)
def test_fit_refuses_what_is_not_a_beat(tmp_path, rows, said):
  given = tmp_path / "beat.csv"
  given.write_text("time_s,aortic_root_pressure_mmhg\n" + rows)
  done = run("fit", f"--input={given}", f"--output={tmp_path / 'out'}")
  assert done.returncode == 2
  assert said in done.stderr
  assert "Traceback" not in done.stderr
  assert [p.name for p in tmp_path.iterdir()] == ["beat.csv"]
