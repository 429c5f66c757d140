"""Finger PPG through the front door and through the commands: scaled window by window, with or without a cuff, errors in mmHg."""

import json
import re

import numpy as np
import pandas
import pytest

import cap_jax as cj
from cap_jax import config
from cap_jax.data import batches
from cap_jax.losses import tasks
from cap_jax.signals import calibration
from cap_jax.strategies import find
from cap_jax.train import checkpoint, domains, runs
from tests.experiments.commands import ROOT, SMALL, run
from tests.experiments.test_data_commands import write_patients
from tests.signals.test_synchrony import pulses
from tests.train import people

FS = 125.0
READS = ("age", *calibration.CUFF[:2])
UNKNOWN = "the pressure level is unknown"


def ppg_pairs(names, windows, seed):
  """Windows of made-up people whose x has a gain and an offset of each person's own."""
  pairs = people.pairs(names, windows, seed)
  rng = np.random.default_rng(seed)
  gain = {name: rng.uniform(1e-3, 1e3) for name in names}
  x_bt = np.stack([gain[name] * x_t - 7 for name, x_t in zip(pairs.subject_b, pairs.x_bt, strict=True)])
  rows = len(x_bt)
  covariates = {
    "age": np.linspace(30, 80, rows),
    "cuff_sbp_mmhg": pairs.y_bt.max(1),
    "cuff_dbp_mmhg": pairs.y_bt.min(1),
  }
  covariates = {name: value.astype(np.float32) for name, value in covariates.items()}
  return batches.Pairs(x_bt.astype(np.float32), pairs.y_bt, pairs.subject_b, covariates, ("digital_ppg", "aortic_root"))


@pytest.fixture(scope="module")
def net(tiny_model):
  source, validation = (ppg_pairs([f"{name}{k}" for k in range(12)], 6, seed) for name, seed in (("s", 0), ("v", 9)))
  return cj.pretrain(source, steps=200, site="digital_ppg", model=tiny_model, validation=validation)


@pytest.mark.quick
def test_windows_of_ppg_have_covariates(tmp_path):
  x, y = [pulses(FS, 12, seed=k) / 7e4 for k in range(2)], [0.8 * pulses(FS, 12, seed=k) + 15 for k in range(2)]
  pairs = cj.windows(x, y, fs_hz=FS, subject=["a", "b"], site="digital_ppg", covariates={"age": [63, 71], "hr_bpm": 70})
  assert pairs.site == "digital_ppg"
  assert np.ptp(pairs.x_bt) < 1e-3
  assert set(pairs.of(["b"]).covariates["age"]) == {71.0}
  assert set(pairs.covariates["hr_bpm"]) == {70.0}
  rows = [
    pandas.DataFrame({"digital_ppg": x[k], "aortic_root_pressure_mmhg": y[k], "subject": n}) for k, n in enumerate("ab")
  ]
  table = pandas.concat(rows, ignore_index=True)
  table["age"] = np.where(table["subject"] == "a", 63, 71)
  same = cj.windows(table, fs_hz=FS, site="digital_ppg", covariates=["age"])
  np.testing.assert_array_equal(same.covariates["age"], pairs.covariates["age"])
  np.testing.assert_allclose(same.x_bt, pairs.x_bt, rtol=1e-5)
  for arguments, message in (
    ({"covariates": {"age": [1, 2, 3]}}, r"covariates\['age'\]: has shape \(3,\) for 2 records"),
    ({"covariates": ["age"]}, "covariates: is of type list; pass a mapping"),
    ({"covariates": {"age": ["old", "young"]}}, r"covariates\['age'\]: must be an array of real numbers"),
  ):
    with pytest.raises(cj.InputError, match=message):
      cj.windows(x, y, fs_hz=FS, site="digital_ppg", **arguments)
  for names, message in (({"age": 1}, "pass the names of its columns"), (["sex"], "column sex is missing")):
    with pytest.raises(cj.InputError, match=message):
      cj.windows(table, fs_hz=FS, site="digital_ppg", covariates=names)
  with pytest.raises(cj.InputError, match="age has 1500 values in the rows of a; a covariate has one"):
    cj.windows(table.assign(age=np.arange(len(table))), fs_hz=FS, site="digital_ppg", covariates=["age"])


def test_a_network_of_ppg_is_trained_transferred_and_reconstructs_in_mmhg(net):
  assert net.checkpoint.scaling.unitless
  test = ppg_pairs(["t0", "t1", "t2"], 6, 5)
  error = cj.evaluate(net, test)
  flat = np.sqrt(np.square(test.y_bt - test.y_bt.mean()).mean())
  assert error.summary.loc["rmse_mmhg", "mean"] < 0.8 * flat
  assert "amplification" not in error.subjects
  assert error.summary.loc["wave_covered", "mean"] > 0.7
  assert 0 < error.summary.loc["half_width_mmhg", "mean"] < 60
  noise = np.random.default_rng(0).normal(size=test.x_bt.shape).astype(np.float32)
  other = cj.evaluate(net, batches.Pairs(noise, test.y_bt, test.subject_b, {}, test.sites))
  assert error.summary.loc["ood_fraction", "mean"] < 0.5 < other.summary.loc["ood_fraction", "mean"]
  tuned = cj.transfer(net, "fine_tuning/all", labelled=ppg_pairs(["a", "b"], 6, 1), budget=cj.Budget(steps=100))
  assert tuned.checkpoint.scaling.unitless
  assert tuned.checkpoint.scaling.mean_mmhg == net.checkpoint.scaling.mean_mmhg
  assert cj.evaluate(tuned, test).summary.loc["rmse_mmhg", "mean"] < 0.8 * flat
  out = tuned.reconstruct(4095 - 1000 * pulses(FS, 20), fs_hz=FS)  # upside down
  assert UNKNOWN in repr(out)
  assert out.unknown_level == net.checkpoint.unknown_level
  assert 20 < np.nanmin(out.aortic_mmhg) < np.nanmax(out.aortic_mmhg) < 200
  assert out.beats["peripheral_sbp_mmhg"].isna().all()
  assert out.indices()["amplification"].isna().all()
  assert UNKNOWN in out.plot().get_suptitle()


@pytest.mark.slow
def test_a_cuffs_reading_gives_the_level(tiny_model):
  """As covariates, and as a calibration."""
  source = ppg_pairs([f"s{k}" for k in range(12)], 6, 0)
  reading = cj.pretrain(
    source, steps=50, site="digital_ppg", model=config.Model(**{**vars(tiny_model), "covariates": READS})
  )
  assert reading.checkpoint.unknown_level == ""
  out = reading.reconstruct(pulses(FS, 12), fs_hz=FS, covariates={"age": 60, "cuff_sbp_mmhg": 140, "cuff_dbp_mmhg": 80})
  assert "unknown" not in repr(out)
  x = pulses(FS, 12) / 400 - 3
  scaled = cj.calibrate(x, FS, 140, 80)
  levels = calibration.levels(scaled, FS)
  assert (levels.systolic, levels.diastolic) == pytest.approx((140, 80))
  mmhg = batches.Pairs(people.pairs(source.subjects, 6, 0).x_bt, source.y_bt, source.subject_b, {}, source.sites)
  cuff = cj.pretrain(
    mmhg, steps=50, site="digital_ppg", model=tiny_model, calibration=config.Calibration(kind="sbp_dbp")
  )
  assert not cuff.checkpoint.scaling.unitless
  assert cuff.checkpoint.unknown_level == ""
  out = cuff.reconstruct(x, fs_hz=FS, covariates={"cuff_sbp_mmhg": 140, "cuff_dbp_mmhg": 80})
  assert out.beats["peripheral_sbp_mmhg"].median() == pytest.approx(140, abs=0.5)
  for call in (
    lambda: cj.evaluate(cuff, ppg_pairs(["t"], 2, 3)),
    lambda: cj.transfer(cuff, "fine_tuning", labelled=ppg_pairs(["t"], 2, 3)),
    lambda: cj.pretrain(source, site="digital_ppg", calibration=config.Calibration(kind="sbp_dbp")),
    lambda: cj.transfer(cj.load("radial"), "fine_tuning", labelled=ppg_pairs(["t"], 2, 3), site="digital_ppg"),
  ):
    with pytest.raises(cj.InputError, match=r"the network reads a PPG in mmHg, but median .* pass waves that"):
      call()


@pytest.mark.quick
@pytest.mark.parametrize(
  ("x", "sbp", "message"),
  [
    (np.ones(1000), 140, "no whole beat to calibrate"),
    (np.full(100, np.nan), 140, "no whole beat to calibrate"),
    (np.ones((2, 100)), 140, r"x has shape \(2, 100\)"),
    (pulses(FS, 12), 82, "impossible cuff reading 82/80 mmHg"),
    (pulses(FS, 12), "high", "sbp_mmhg='high': must be a number"),
  ],
)
def test_what_cannot_be_calibrated_is_one_line(x, sbp, message):
  with pytest.raises(cj.InputError, match=message):
    cj.calibrate(x, FS, sbp, 80)


def test_what_a_ppg_cannot_do_is_refused(net):
  labelled = ppg_pairs(["a", "b"], 3, 1)
  with pytest.raises(cj.InputError, match="site=radial: the network reads a PPG without a unit"):
    cj.transfer(net, "fine_tuning", labelled=people.pairs(["a"], 2, 1), site="radial")
  with pytest.raises(cj.InputError, match="its loss mean_teacher scales pulses"):
    cj.transfer(net, "domain_adaptation/mean_teacher", unlabelled=labelled, source=ppg_pairs(["s"], 3, 2))


def test_a_source_that_fills_in_its_ppg_takes_the_pressures_of_the_labels(tiny_model):
  source, labelled = ppg_pairs(["s0", "s1", "s2"], 4, 0), ppg_pairs(["a", "b"], 4, 1)
  itself = batches.Pairs(source.x_bt, source.x_bt, source.subject_b, {}, ("digital_ppg", "digital_ppg"))
  assert tasks.TASKS["masked"].reference is None
  masked = cj.pretrain(itself, task="masked", steps=50, site="digital_ppg", model=tiny_model)
  assert "validation_rmse_mmhg" not in masked.about
  assert 0 < masked.about["validation_rmse_sd"] < 3
  prepared = runs.prepare(
    find("fine_tuning/all"), masked.checkpoint, domains.Data(labelled=labelled, site="digital_ppg")
  )
  assert (prepared.scaling.mean_mmhg, prepared.scaling.sd_mmhg) == labelled.moments(reference=True)
  assert prepared.scaling.unitless
  scratch = runs.prepare(find("scratch"), masked.checkpoint, domains.Data(labelled=labelled, site="digital_ppg"))
  assert scratch.scaling == prepared.scaling


@pytest.mark.slow
def test_the_example_of_the_documentation_runs(capsys):
  text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
  scope = {}
  exec(re.search(r"<!-- ppg -->\n```python\n(.*?)```", text, re.DOTALL).group(1), scope)
  printed = capsys.readouterr().out
  assert printed.count(UNKNOWN) == 1  # with a reading it is known, both as covariates and as a calibration
  assert 1 < float(re.search(r"mean +(\d+\.\d+)", printed).group(1)) < 25
  assert scope["windows"].subjects == tuple(scope["names"])


@pytest.mark.slow
@pytest.mark.parametrize("cuff", [False, True])
def test_ppg_goes_through_all_commands(tmp_path, cuff):
  """A store of virtual people, a store of patients, the network between them, and a report."""
  patients = write_patients(tmp_path / "patients", 12)
  table = pandas.read_csv(patients / "subjects.csv").assign(cuff_sbp_mmhg=140, cuff_dbp_mmhg=80)
  table.to_csv(patients / "subjects.csv", index=False)
  stores = {}
  for name, flags in {
    "virtual": ["--format=virtual", "--path=healthy,subjects=40,seconds=12", "--channels=digital_ppg:digital_ppg"],
    "clinic": ["--format=csv", f"--path={patients}"],
  }.items():
    stores[name] = tmp_path / name
    done = run("prepare", *flags, f"--output={stores[name]}", "--executor=processes:1")
    assert done.returncode == 0, done.stderr
  kind = ["--config.calibration.kind=sbp_dbp"] if cuff else []
  source = ["--site=digital_ppg", f"--config.source_data={stores['virtual']}", *kind]
  done = run("pretrain", *SMALL, *source, f"--workdir={tmp_path / 'source'}")
  assert done.returncode == 0, done.stderr
  assert (UNKNOWN in done.stdout) == (not cuff)
  network = tmp_path / "source" / "checkpoint"
  assert checkpoint.load(network).scaling.unitless == (not cuff)
  done = run(
    "transfer", "--strategy=fine_tuning", f"--source={network}", f"--config.target_data={stores['clinic']}", "--steps=50",
    f"--workdir={tmp_path / 'tuned'}",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert (UNKNOWN in done.stdout) == (not cuff)
  tuned = [f"--checkpoint={tmp_path / 'tuned' / 'checkpoint'}"]
  others = write_patients(tmp_path / "others", 3)
  shape = pandas.read_csv(others / "subjects.csv").assign(cuff_sbp_mmhg=140, cuff_dbp_mmhg=80)
  shape["subject"] = ["Q0", "Q1", "Q2"]
  for k in range(3):
    (others / f"P{k:02d}.csv").rename(others / f"Q{k}.csv")
  shape.to_csv(others / "subjects.csv", index=False)
  done = run("evaluate", *tuned, "--format=csv", f"--path={others}", f"--workdir={tmp_path / 'report'}")
  assert done.returncode == 0, done.stderr
  page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
  assert (UNKNOWN in page) == (UNKNOWN in done.stdout) == (not cuff)
  first = (tmp_path / "report" / "reconstructed.csv").read_text(encoding="utf-8").splitlines()[0]
  assert first.startswith("# the pressure level" if not cuff else "subject,")
  assert len(pandas.read_csv(tmp_path / "report" / "errors.csv")) == 3
  covariates = ["--covariates=cuff_sbp_mmhg=140,cuff_dbp_mmhg=80"] if cuff else []
  done = run("reconstruct", *tuned, f"--input={others / 'Q1.csv'}", *covariates, f"--output={tmp_path / 'out.csv'}")
  assert done.returncode == 0, done.stderr
  assert (UNKNOWN in done.stdout) == (not cuff)
  assert bool(json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["warnings"]) == (not cuff)
