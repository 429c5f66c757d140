"""The main job whole; on real records the network of the package, and one that the job trains. Slow; nothing here measures accuracy
in vivo."""

import csv
import itertools
import json

import numpy as np
import pandas
import pytest
import scipy.io

from cap_jax.signals import beats
from tests.experiments.commands import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory):
  folder = tmp_path_factory.mktemp("main") / "work"
  done = run("compare", f"--workdir={folder}", timeout=900)
  assert done.returncode == 0, done.stderr
  print(done.stdout)
  return folder


@pytest.fixture(scope="module")
def rows(work):
  with open(work / "study.csv", encoding="utf-8") as file:
    return list(csv.DictReader(file))


def mean(rows, column, method, n_target):
  return np.mean([float(r[column]) for r in rows if (r["method"], r["n_target"]) == (method, str(n_target))])


STRATEGIES = ("feature_transfer", "fine_tuning", "parameter_transfer", "multi_task/context")


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_beats_scratch_and_the_transfer_function_at_five_labels_and_trains_less(rows, name):
  ours = mean(rows, "rmse_mmhg", name, 5)
  assert ours < mean(rows, "rmse_mmhg", "scratch", 5)
  assert ours < mean(rows, "rmse_mmhg", "gtf_target", 5)
  assert mean(rows, "steps_to_scratch", name, 5) < mean(rows, "steps_to_scratch", "scratch", 5)


def test_what_is_chosen_is_as_good_as_promised_and_adaptation_beats_the_unchanged_source(rows):
  assert mean(rows, "rmse_mmhg", "auto", 5) <= 0.65
  assert mean(rows, "rmse_mmhg", "domain_adaptation/context", 0) < mean(rows, "rmse_mmhg", "source", 0)


def real_record(name, reference_data, folder):
  """The input flags of a real record; two come as arrays and are written as CSV first."""
  if name in ("041s", "mixedsignals"):
    return [f"--input={reference_data / 'wfdb' / name}", "--channels=ABP:radial"]
  if name == "icu":
    p = scipy.io.loadmat(reference_data / "icu_ecg_abp_ppg.mat")["signal"][:, 2]
    t = np.arange(p.size) / 125
  else:
    stored = np.load(reference_data / "intraop_1.npz")
    t, p = stored["t_s"], stored["abp_mmhg"]
  pandas.DataFrame({"time_s": t, "radial_pressure_mmhg": p}).to_csv(folder / "in.csv", index=False)
  return [f"--input={folder / 'in.csv'}"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A source network of the job's own."""
  folder = tmp_path_factory.mktemp("trained") / "work"
  methods = ("--config.baselines=source", "--config.strategies=domain_adaptation/transducer", "--config.n_target=0")
  done = run("compare", "--source=train", *methods, f"--workdir={folder}", timeout=900)
  assert done.returncode == 0, done.stderr
  assert json.loads((folder / "study.json").read_text())["source_network"] == "train"
  return folder / "checkpoint"


def fails(request, reason):
  """A failure outside the simulation that is known, and that must be taken off this list once it is gone."""
  request.applymarker(pytest.mark.xfail(strict=True, reason=reason))


@pytest.fixture(
  scope="module",
  params=[(network, name) for network in ("package", "trained") for name in ("041s", "mixedsignals", "icu", "intraop")],
  ids="-".join,
)
def reconstructed(request, reference_data, tmp_path_factory):
  """Name, JSON and CSV of each real record's reconstruction."""
  network, name = request.param
  folder = tmp_path_factory.mktemp(name)
  flags = real_record(name, reference_data, folder)
  if network == "trained":
    flags.append(f"--checkpoint={request.getfixturevalue('trained')}")
  done = run("reconstruct", *flags, f"--output={folder / 'out.csv'}")
  assert done.returncode == 0, done.stderr
  return request.param, json.loads((folder / "out.json").read_text()), pandas.read_csv(folder / "out.csv")


def test_real_records_come_out_plausible(reconstructed, request):
  case, content, table = reconstructed
  if case[1] == "icu":
    fails(request, "both networks add more than 3 mmHg to the mean of one beat of eight to eleven of this record")
  name = "-".join(case)
  result = {key: np.array([beat[key] for beat in content["beats"]]) for key in content["beats"][0]}
  assert (result["cpp_est_mmhg"] <= result["peripheral_pp_mmhg"]).mean() > 0.9
  offset = result["cmap_est_mmhg"] - result["peripheral_map_mmhg"]
  saved = np.abs(offset) <= 3
  print(f"{name}: {len(saved)} beats, MAP {offset.mean():+.2f} mmHg, within 3 mmHg in {100 * saved.mean():.1f} %")
  assert saved.mean() > 0.95
  assert table["aortic_root_pressure_mmhg"].isna().mean() < 0.02  # only what the gaps name


def test_real_records_have_a_notch(reconstructed, request):
  """In the median beat the fall all but halts, then goes on."""
  case, _, table = reconstructed
  if case in (("package", "icu"), ("package", "041s")):
    fails(request, "the network of the package leaves no halt in the fall of this record, with the fallback or without")
  # in `intraop` the fall slows to 0.34 of the steepest fall after it, and 0.3 are asked
  if case in (("trained", "mixedsignals"), ("trained", "intraop")):
    fails(
      request,
      "a network that clinics have taught briefly leaves no halt in the fall of this record, or the fallback shortens it",
    )
  known = table[["time_s", "aortic_root_pressure_mmhg"]].dropna()
  time, wave = known["time_s"].to_numpy(), known["aortic_root_pressure_mmhg"].to_numpy()
  even = np.interp(np.arange(time[0], time[-1], 0.008), time, wave)
  feet = beats.find_feet(even, 125.0)
  phase = np.linspace(0, 1, 200)
  whole = [np.interp(phase, np.linspace(0, 1, b - a), even[a:b]) for a, b in itertools.pairwise(feet)]
  median = np.median(whole, axis=0)
  slope = np.diff(median)
  steepest = median.argmax() + slope[median.argmax() : median.argmax() + 90].argmin()
  halt = steepest + slope[steepest : steepest + 60].argmax()
  assert slope[halt] > 0.3 * slope[halt:].min() > 0.3 * slope[steepest]
