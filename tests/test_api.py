"""The front door: arrays in, arrays out."""

import re
import subprocess
import sys

import numpy as np
import pandas
import pytest

import cap_jax as cj
from cap_jax.data import batches
from tests.experiments.commands import ROOT, wave
from tests.train import people

FS = 125.0


@pytest.fixture(scope="module")
def net():
  return cj.load("radial")


def records(count, seconds=12, fs=FS):
  waves = [wave(seconds + k, fs)[1] * (1 + 0.02 * k) for k in range(count)]
  return [p + 5 for p in waves], waves


@pytest.mark.quick
def test_the_import_is_lazy():
  code = "import sys, cap_jax; print(cap_jax.__version__, [n for n in ('jax', 'numpy', 'pandas', 'flax') if n in sys.modules])"
  said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
  assert said == f"{cj.__version__} []\n"
  assert set(dir(cj)) >= {"load", "transfer", "Strategy", "windows"}
  with pytest.raises(AttributeError, match="no attribute 'reconstruct'"):
    _ = cj.reconstruct


def test_a_record_comes_back_on_its_own_clock(net):
  t, p = wave(20, 200.0)
  out = net.reconstruct(p, fs_hz=200)
  assert out.aortic_mmhg.shape == p.shape == out.time_s.shape
  assert out.interval.shape == (*p.shape, 2)
  inside = np.isfinite(out.aortic_mmhg)
  assert (out.interval[inside, 0] <= out.aortic_mmhg[inside]).all()
  assert len(out.beats) > 20
  assert 0 <= out.ood_fraction <= 1
  assert out.gaps.empty
  np.testing.assert_allclose(net.reconstruct(p, time_s=t).aortic_mmhg, out.aortic_mmhg, atol=1e-6)
  found = out.indices()
  assert found["hr_bpm"].median() == pytest.approx(75, abs=0.5)
  assert found["csbp_mmhg"].mean() == pytest.approx(out.beats["csbp_est_mmhg"].mean(), abs=1.0)
  assert len(out.plot().axes) >= 2


@pytest.mark.quick
def test_arrays_lists_and_tables_give_the_same_windows():
  x, y = records(3)
  names = ["a", "b", "c"]
  pairs = cj.windows(x, y, fs_hz=FS, subject=names)
  assert isinstance(pairs, batches.Pairs)
  assert pairs.subjects == ("a", "b", "c")
  rows = [
    pandas.DataFrame(
      {"subject": name, "time_s": np.arange(len(p)) / FS, "radial_pressure_mmhg": p, "aortic_root_pressure_mmhg": q}
    )
    for name, p, q in zip(names, x, y, strict=True)
  ]
  table = cj.windows(pandas.concat(rows, ignore_index=True))
  np.testing.assert_array_equal(table.subject_b, pairs.subject_b)
  np.testing.assert_allclose(table.x_bt, pairs.x_bt, atol=1e-3)
  np.testing.assert_allclose(table.y_bt, pairs.y_bt, atol=1e-3)
  square = cj.windows(np.stack([p[:1500] for p in x]), np.stack([q[:1500] for q in y]), fs_hz=FS, subject=names)
  assert square.subjects == pairs.subjects
  alone = cj.windows(x[0], fs_hz=FS, subject="a")
  assert isinstance(alone, batches.Waves)
  np.testing.assert_allclose(alone.x_bt, pairs.of(["a"]).x_bt, atol=1e-5)


@pytest.mark.quick
@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ({"x": np.zeros((2, 3, 4)), "fs_hz": FS}, r"radial has the shape \(3, 4\); give one record"),
    ({"x": records(2)[0], "y": records(1)[1], "fs_hz": FS}, "x holds 2 records, y 1, subject 2 names"),
    ({"x": records(1)[0]}, "give either fs_hz= or time_s="),
    ({"x": pandas.DataFrame({"p": [1.0]})}, "no column radial_pressure_mmhg; it has p"),
    ({"x": records(1)[0], "fs_hz": FS, "site": "elbow"}, "elbow"),
  ],
)
def test_what_does_not_fit_together_is_one_line(arguments, message):
  with pytest.raises(cj.InputError, match=message) as caught:
    cj.windows(**arguments)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  ("name", "lacking"),
  [("fine_tuning", "labelled"), ("multi_task", "source"), ("domain_adaptation", "unlabelled")],
)
@pytest.mark.quick
def test_what_a_strategy_needs_and_was_not_given_is_named(net, name, lacking):
  parts = {"labelled": people.pairs(["a"], 2, 0), "source": people.pairs(["s"], 2, 1)}
  parts["unlabelled"] = people.pairs(["u"], 2, 2)
  del parts[lacking]
  with pytest.raises(cj.InputError, match=rf"strategy {name}: reads .* and none were given; pass {lacking}="):
    cj.transfer(net, name, **parts, budget=cj.Budget(steps=100))


def test_a_network_that_was_tuned_tells_its_source_and_is_not_tested_on_whom_it_has_seen(net, tmp_path):
  labelled, test = people.pairs(["a", "b"], 4, 0), people.pairs(["c"], 3, 5)
  tuned = cj.transfer(net, "fine_tuning/head", labelled=labelled, budget=cj.Budget(steps=50))
  assert (tuned.about["source"], tuned.about["strategy"], tuned.about["n_target"]) == ("wide", "fine_tuning/head", 2)
  table = cj.evaluate(tuned, test)
  assert list(table.subjects.index) == ["c"]
  assert table.summary.loc["rmse_mmhg", "mean"] == pytest.approx(table.subjects["rmse_mmhg"].mean())
  with pytest.raises(cj.InputError, match="fitted on subjects"):
    cj.evaluate(tuned, labelled)
  validation = people.pairs([f"v{k}" for k in range(9)], 2, 7)
  calibrated = cj.transfer(
    net, "fine_tuning/head", labelled=labelled, validation=validation, budget=cj.Budget(steps=50)
  ).checkpoint.uncertainty_calibration
  assert calibrated.head is net.checkpoint.uncertainty_calibration.head  # σ comes with the features
  tuned.save(tmp_path / "tuned")
  np.testing.assert_array_equal(cj.load(tmp_path / "tuned").predict(test), tuned.predict(test))


@pytest.mark.quick
@pytest.mark.parametrize(("labels", "lacking"), [(["a"], "source"), (["a", "b"], "source"), ([], "source")])
def test_auto_names_the_windows_that_it_compares_on(net, labels, lacking):
  labelled = people.pairs(labels, 2, 0) if labels else None
  with pytest.raises(cj.InputError, match=f"none were given; pass {lacking}="):
    cj.transfer(net, "auto", labelled=labelled, unlabelled=people.pairs(["u"], 2, 2))


@pytest.mark.slow
def test_auto_takes_the_strategy_that_it_found_best(net):
  here, source = cj.cohort("device_population", 20, seed=1).windows(), cj.cohort("wide", 20, seed=0).windows()
  names = here.subjects
  test, unlabelled = here.of(names[12:]), here.of(names[2:12])
  for count in (2, 0):
    labelled = here.of(names[:count]) if count else None
    tuned = cj.transfer(
      net, "auto", labelled=labelled, unlabelled=unlabelled, source=source, budget=cj.Budget(steps=200)
    )
    assert tuned.about["strategy"] in tuned.reason
    assert tuned.about["n_target"] == count
    before, after = (cj.evaluate(one, test).subjects["rmse_mmhg"].mean() for one in (net, tuned))
    assert after < before if count else after <= before  # without a line in the waves the network stays as it is


@pytest.mark.slow
def test_the_example_of_the_documentation_runs(tmp_path, monkeypatch, capsys):
  text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
  code = re.search(r"<!-- api -->\n```python\n(.*?)```", text, re.DOTALL).group(1)
  monkeypatch.chdir(tmp_path)
  scope = {}
  exec(code, scope)
  before, after = (float(line) for line in capsys.readouterr().out.splitlines() if re.fullmatch(r"\d+\.\d+", line))
  assert after < before
  assert scope["own"].about["source"] == "wide"
  assert scope["source"].about["source"] == "wide"
  assert any(leaf.fate == "transferred" for leaf in scope["report"])
  assert (tmp_path / "runs" / "source").is_dir()
