"""The front door: arrays in, arrays out."""

import dataclasses
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import cap_jax as cj
from cap_jax import config
from cap_jax.api.training import Evaluation
from cap_jax.data import batches
from tests.experiments.commands import ROOT, wave
from tests.train import people

FS = 125.0
FROZEN = {
  "equation": "θ_t = θ_s",
  "init_from_source": ("f", "r"),
  "stages": (cj.Stage(freeze=("f", "r")),),
  "name": "mine",
}


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
  result = out.indices()
  assert result["hr_bpm"].median() == pytest.approx(75, abs=0.5)
  assert result["csbp_mmhg"].mean() == pytest.approx(out.beats["csbp_est_mmhg"].mean(), abs=1.0)
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
  single = cj.windows(x[0], fs_hz=FS, subject="a")
  assert isinstance(single, batches.Waves)
  np.testing.assert_allclose(single.x_bt, pairs.of(["a"]).x_bt, atol=1e-5)


X = [np.full(1500, 90.0) + 20 * np.sin(np.arange(1500) / 20)]
TABLE = pandas.DataFrame({"radial_pressure_mmhg": X[0], "subject": "a"})


@pytest.mark.quick
@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ({"x": np.zeros((2, 3, 4)), "fs_hz": FS}, r"x: must be an array \(time,\) or \(record, time\)"),
    ({"x": records(2)[0], "y": records(1)[1], "fs_hz": FS}, "x has 2 records, y has 1; pass one of each per record"),
    ({"x": X}, "fs_hz: is missing; pass the sampling rate"),
    ({"x": pandas.DataFrame({"p": [1.0]})}, "column radial_pressure_mmhg is missing"),
    ({"x": X, "fs_hz": FS, "site": "elbow"}, "site=elbow: unknown site"),
    ({"x": None, "fs_hz": FS}, "x: must be an array"),
    ({"x": "abc", "fs_hz": FS}, "x: must be an array"),
    ({"x": [["a", "b"]], "fs_hz": FS}, "radial: must be an array of real numbers|x: must be an array of real numbers"),
    ({"x": X[0] + 1j, "fs_hz": FS}, "must be an array of real numbers"),
    ({"x": X, "fs_hz": "fast"}, "fs_hz='fast': must be a number"),
    ({"x": X, "fs_hz": -125}, "fs_hz=-125: must be positive"),
    ({"x": X * 2, "y": [X[0], X[0] * np.nan], "fs_hz": FS, "subject": ["a", "b"]}, "b: aortic_root contains only NaN"),
    ({"x": X * 2, "fs_hz": FS, "subject": ["a", None]}, "record 1 has no name"),
    ({"x": X * 2, "fs_hz": FS, "subject": ["a", " "]}, "record 1 has no name"),
    ({"x": X, "fs_hz": FS, "subject": 3.5}, "subject=3.5: must be a name"),
    ({"x": TABLE, "y": X, "fs_hz": FS}, "omit y and subject"),
    ({"x": TABLE, "fs_hz": FS, "subject": ["a"]}, "omit y and subject"),
    ({"x": TABLE.assign(time_s=np.arange(1500) / 125), "fs_hz": FS}, "has a clock, time_s; omit fs_hz"),
    ({"x": TABLE.assign(subject=[None, *["a"] * 1499]), "fs_hz": FS}, "1 rows have no subject"),
    ({"x": pandas.concat([TABLE, TABLE], axis=1), "fs_hz": FS}, "duplicate column"),
    *(({"x": X, "fs_hz": FS, "hop_s": hop_s}, "Windows") for hop_s in (0, -1, 1e-9)),
    *(
      ({"x": X, "fs_hz": FS, "hop_s": hop_s}, "hop_s=.*: must be") for hop_s in (float("nan"), float("inf"), "1", True)
    ),
  ],
)
def test_what_does_not_fit_together_is_one_line(arguments, message):
  with pytest.raises(cj.InputError, match=message) as caught:
    cj.windows(**arguments)
  assert "\n" not in str(caught.value)


@pytest.mark.quick
def test_unnamed_records_differ_and_keep_their_names():
  x, _ = records(2)
  first, again = (cj.windows(x, fs_hz=FS).subjects for _ in range(2))
  assert first == again
  assert len(set(first)) == 2
  assert cj.windows([x[0]], fs_hz=FS, subject=[" a "]).subjects == ("a",)


@pytest.mark.quick
def test_what_a_mask_hides_is_a_gap_and_other_arrays_are_read_alike():
  x, _ = records(1)
  hidden = np.ma.masked_array(x[0], mask=np.arange(len(x[0])) < 500)
  assert len(cj.windows(hidden, fs_hz=FS).x_bt) < len(cj.windows(x[0], fs_hz=FS).x_bt)
  for like in (jnp.asarray(x[0]), pandas.Series(x[0]), x[0].tolist(), x[0][None]):
    np.testing.assert_allclose(cj.windows(like, fs_hz=FS).x_bt, cj.windows(x[0], fs_hz=FS).x_bt, rtol=1e-5)


PAIRS = people.pairs(["a", "b"], 2, 0)


@pytest.mark.quick
@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda net: cj.load(None), "must be a name or a path"),
    (lambda net: cj.load("x"), "x: no checkpoint found; .*, or a packaged network: "),
    (lambda net: cj.load("a" * 5000), "no checkpoint found"),
    (lambda net: net.save(None), "must be a name or a path"),
    (lambda net: net.save("/proc/x"), "/proc/x: cannot be written"),
    (lambda net: net.reconstruct("hello", fs_hz=125), "must be an array of real numbers"),
    (lambda net: net.reconstruct(X[0], fs_hz=125, time_s=X[0]), "has both a rate and a clock; pass either"),
    (lambda net: net.reconstruct(X[0], fs_hz=125, covariates={"age": "old"}), "covariate age"),
    (lambda net: net.reconstruct(X[0], fs_hz=125, covariates=[70]), "must map names to numbers"),
    (lambda net: net.predict(X[0]), "pairs: is of type ndarray; pass what `cap_jax.windows` returns"),
    (
      lambda net: net.with_params((net.params, []), of=()),
      "pass a tree of parameters; `merge` returns it with a report",
    ),
    (lambda net: net.with_params({"f": net.params["f"]}, of=()), "exist in only one of the two trees"),
    (lambda net: net.with_params(jax.tree.map(lambda x: x[:1], net.params), of=()), r"has the shape \(1,"),
    (lambda net: net.with_params(jax.tree.map(lambda x: x * np.nan, net.params), of=()), "contains NaN or infinite"),
    (lambda net: cj.merge(net, net, ("f",)), "source: is a Network, not a parameter tree; pass params"),
    (lambda net: cj.transfer("radial", "fine_tuning", PAIRS), "net: is of type str; pass a network"),
    (lambda net: cj.transfer(net, None, PAIRS), "strategy: is of type NoneType; pass a name or a Strategy"),
    (lambda net: cj.transfer(net, "magic", PAIRS), "strategy 'magic' is unknown"),
    (
      lambda net: cj.transfer(net, "fine_tuning", PAIRS.unlabelled()),
      "labelled: is of type Waves; pass what `cap_jax.windows`",
    ),
    (lambda net: cj.transfer(net, "fine_tuning", PAIRS, budget=60), "budget: is of type int; pass cap_jax.Budget"),
    (lambda net: cj.transfer(net, "fine_tuning", PAIRS, site="wrist"), "site=wrist: unknown site"),
    (
      lambda net: cj.transfer(net, "fine_tuning", dataclasses.replace(PAIRS, sites=("brachial", "aortic_root"))),
      "labelled: measured at the",
    ),
    (lambda net: cj.transfer(net, cj.Strategy(**FROZEN), PAIRS), "the whole network is frozen"),
    (
      lambda net: cj.transfer(net, cj.Strategy(**{**FROZEN, "stages": (cj.Stage(),), "optimizer": "zz"}), PAIRS),
      "'zz'",
    ),
    (
      lambda net: cj.evaluate(net, PAIRS.unlabelled()),
      "pairs: is of type Waves; pass what `cap_jax.windows` returns for x and y",
    ),
    (
      lambda net: cj.evaluate(net, dataclasses.replace(PAIRS, sites=("brachial", "aortic_root"))),
      "pairs: measured at the brachial",
    ),
    (lambda net: cj.Budget(steps=4), "Budget.steps=4: must be a positive multiple of 50"),
    (lambda net: cj.Budget(batch=0), "Budget.batch=0: must be a whole number from 1 to 65536"),
    (lambda net: cj.Budget(seed=1.5), "Budget.seed=1.5: must be a whole number"),
    (lambda net: cj.pretrain(PAIRS.unlabelled()), "people: is of type Waves"),
    (lambda net: cj.pretrain(PAIRS, steps=0), "Training.steps=0: must be a positive multiple of 50"),
    (lambda net: cj.pretrain(PAIRS, seed=-1), "Training.seed=-1: must be a whole number from 0"),
    (lambda net: cj.pretrain(PAIRS, model="lstm"), "model: is of type str; pass a cap_jax.config.Model"),
    (lambda net: cj.pretrain(PAIRS, model=config.Model(extractor="zz")), "extractor 'zz' is unknown"),
    (lambda net: cj.pretrain(PAIRS, model=config.Model(patch=7)), "not a whole number of patches of 7"),
    (lambda net: cj.cohort("mars"), "cohort 'mars' is unknown; choose one of healthy"),
    (lambda net: cj.cohort("wide", 1.5), r"Clinic.subjects=1.5: must be a whole number"),
    (lambda net: cj.cohort("wide", 2, device="cuff"), "device: is of type str; pass a cap_jax.clinics.Device"),
    (lambda net: cj.cohort("wide", 2, sites=("elbow",)), "elbow: not a site of the virtual cohort"),
    (lambda net: cj.transfer(net, "fine_tuning", PAIRS, site=np.array([])), "site: is of type ndarray; pass the name"),
    (lambda net: cj.pretrain(PAIRS, site=pandas.NA), "site: is of type NAType; pass the name"),
    (lambda net: cj.cohort("wide", 2, sites=None), "sites=None: must be a tuple of sites"),
    (lambda net: cj.cohort("wide", 2, sites=1.0), "sites=1.0: must be a tuple of sites"),
    (lambda net: cj.datasets.rig(np.array(["NV", "CS"])), "not in the excerpt; choose one of NV, CS"),
    (lambda net: cj.datasets.rig(pandas.NA), "state=<NA>: not in the excerpt"),
    (lambda net: cj.Cohort([], {}).windows(reference=["aortic_root"]), "reference: is of type list; pass the name"),
    (
      lambda net: cj.windows([P], fs_hz=FS, subject=["a\nb"]),
      "subject='a.nb': must have 255 characters at most, and no",
    ),
    (lambda net: cj.windows([P], fs_hz=FS, subject=["a" * 256]), "must have 255 characters at most"),
  ],
)
def test_what_cannot_be_is_one_line_with_a_remedy(net, call, message):
  with pytest.raises(cj.InputError, match=message) as caught:
    call(net)
  assert "\n" not in str(caught.value)
  assert "--" not in str(caught.value), "a flag in a message of the API"


def test_parameters_of_another_network_bring_its_seen_subjects(net):
  labelled = people.pairs(["a", "b"], 2, 0)
  tuned = cj.transfer(net, "fine_tuning/head", labelled=labelled, budget=cj.Budget(steps=50))
  theta, _ = cj.merge(tuned.params, net.params, init_from_source=("r",))
  merged = net.with_params(theta, of=tuned)
  assert [one.get("strategy") for one in merged.about["params_of"]] == [None, "fine_tuning/head"]
  assert merged.about["source"] == "clinics"
  assert "merged" in repr(merged)
  with pytest.raises(cj.InputError, match="trained, selected or calibrated on"):
    cj.evaluate(merged, labelled)
  assert "Network(radial, waveform, source clinics, 36000 steps)" in repr(net)
  assert len(repr(labelled)) < 100


(P,), (A,) = records(1)


def test_source_subjects_count_as_seen_and_scratch_has_no_source(net):
  labelled, source = people.pairs(["a", "b"], 2, 0), people.pairs(["s", "t"], 2, 1)
  shared = cj.transfer(net, "multi_task", labelled=labelled, source=source, budget=cj.Budget(steps=50))
  with pytest.raises(cj.LeakError, match=r"2 of these subjects \(s, t\)"):
    cj.evaluate(shared, source)
  assert cj.transfer(net, "scratch", labelled=labelled, budget=cj.Budget(steps=50)).about["source"] == "none"
  tuned = cj.transfer(net, "fine_tuning/head", labelled=labelled, budget=cj.Budget(steps=50))
  with pytest.raises(cj.LeakError, match="a, b"):
    cj.transfer(tuned, "fine_tuning/head", labelled=people.pairs(["c"], 2, 3), validation=labelled)


@pytest.mark.quick
def test_windows_know_what_they_are_the_reference_of(net):
  brachial = cj.windows(P, A, fs_hz=FS, reference="brachial")
  for call in (
    lambda: cj.transfer(net, "fine_tuning", labelled=brachial),
    lambda: cj.evaluate(net, brachial),
    lambda: cj.pretrain(brachial, steps=50, validation=brachial),
  ):
    with pytest.raises(
      cj.InputError, match="their reference is the brachial, but the network predicts the aortic_root"
    ):
      call()
  with pytest.raises(cj.InputError, match="measured at the brachial, but the network is to read the radial"):
    net.predict(cj.windows(P, fs_hz=FS, site="brachial"))
  for site, reference in (("radial", "radial"), ("aortic_root", "aortic_root"), ("aortic_root", "radial")):
    with pytest.raises(cj.InputError, match="x must be a peripheral wave, and y another one"):
      cj.windows(P, A, fs_hz=FS, site=site, reference=reference)


@pytest.mark.quick
def test_a_table_joins_no_records():
  table = pandas.DataFrame({"radial_pressure_mmhg": P, "aortic_root_pressure_mmhg": A})
  with pytest.raises(cj.InputError, match="its index repeats"):
    cj.windows(pandas.concat([table, table]), fs_hz=FS)
  with pytest.raises(cj.InputError, match="the column 'Subject' must be called 'subject'"):
    cj.windows(table.assign(Subject="a"), fs_hz=FS)
  half = len(table) // 2
  mixed = ["a"] * half + ["b"] * (half // 2) + ["a"] * (len(table) - half - half // 2)
  with pytest.raises(cj.InputError, match="the rows of a do not follow one another"):
    cj.windows(table.assign(subject=mixed), fs_hz=FS)
  numbered = cj.windows(table.assign(subject=1.0), fs_hz=FS)
  assert numbered.subjects == cj.windows(P, A, fs_hz=FS, subject=1).subjects == ("1",)


@pytest.mark.quick
@pytest.mark.parametrize(
  "subject", [{"a", "b"}, {"a": 1, "b": 2}, b"ab", [["a"], ["b"]], [True, False], 1.5, [None, "b"]]
)
def test_names_of_subjects_are_text_or_whole_numbers(subject):
  with pytest.raises(cj.InputError, match="subject"):
    cj.windows([P, P], [A, A], fs_hz=FS, subject=subject)


@pytest.mark.quick
def test_a_record_that_is_too_short_is_named():
  with pytest.warns(UserWarning, match="left out, without a stretch of 4 s without a gap: b"):
    assert cj.windows([P, P[:300]], [A, A[:300]], fs_hz=FS, subject=["a", "b"]).subjects == ("a",)


@pytest.mark.quick
def test_parameters_are_finite_real_numbers_and_copied(net):
  kernel = lambda tree: tree["f"]["embed"]["matrix"]["kernel"]  # noqa: E731
  for change, message in (
    (lambda leaf: leaf.astype(complex), "is of type complex128"),
    (lambda leaf: leaf.astype(int), "is of type int"),
    (lambda leaf: np.full(leaf.shape, 1e300), "contains NaN or infinite"),
    (lambda leaf: np.full(leaf.shape, "x"), "is of type <U1"),
    (lambda leaf: [leaf], "must be a tree of dicts"),
  ):
    params = net.params
    params["f"] = {
      **params["f"],
      "embed": {"matrix": {**params["f"]["embed"]["matrix"], "kernel": change(kernel(params))}},
    }
    with pytest.raises(cj.InputError, match=message):
      net.with_params(params, of=())
  with pytest.raises(cj.InputError, match="of: is of type NoneType"):
    net.with_params(net.params, of=None)
  params = jax.tree.map(np.array, net.params)
  copied = net.with_params(params, of=())
  kernel(params)[...] = 0
  assert np.abs(kernel(copied.params)).max() > 0
  net.params["zz"] = 1
  net.about["source"] if "zz" not in net.params else pytest.fail("the tree of a network was changed")


@pytest.mark.parametrize(
  ("name", "lacking"),
  [("fine_tuning", "labelled"), ("multi_task", "source"), ("domain_adaptation", "unlabelled")],
)
@pytest.mark.quick
def test_what_a_strategy_needs_and_was_not_passed_is_named(net, name, lacking):
  pieces = {"labelled": people.pairs(["a"], 2, 0), "source": people.pairs(["s"], 2, 1)}
  pieces["unlabelled"] = people.pairs(["u"], 2, 2)
  del pieces[lacking]
  with pytest.raises(cj.InputError, match=rf"strategy {name}: needs .*; pass {lacking}="):
    cj.transfer(net, name, **pieces, budget=cj.Budget(steps=100))


def test_a_network_that_was_tuned_reports_its_source_and_refuses_subjects_that_it_has_seen(net, tmp_path):
  labelled, test = people.pairs(["a", "b"], 4, 0), people.pairs(["c"], 3, 5)
  tuned = cj.transfer(net, "fine_tuning/head", labelled=labelled, budget=cj.Budget(steps=50))
  assert (tuned.about["source"], tuned.about["strategy"], tuned.about["n_target"]) == (
    "clinics",
    "fine_tuning/head",
    2,
  )
  table = cj.evaluate(tuned, test)
  assert list(table.subjects.index) == ["c"]
  assert table.summary.loc["rmse_mmhg", "mean"] == pytest.approx(table.subjects["rmse_mmhg"].mean())
  with pytest.raises(cj.InputError, match="trained, selected or calibrated on"):
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
def test_auto_names_the_windows_that_it_compares_on(labels, lacking):
  labelled = people.pairs(labels, 2, 0) if labels else None
  plain = cj.Network(people.ground(config.Model(channels=8, layers=1, head_channels=8), 50)[1])
  with pytest.raises(cj.InputError, match=f"; pass {lacking}="):
    cj.transfer(plain, "auto", labelled=labelled, unlabelled=people.pairs(["u"], 2, 2))


@pytest.mark.parametrize(("labels", "strategy"), [(2, "fine_tuning/context"), (0, "domain_adaptation/context")])
def test_auto_needs_no_other_windows_for_a_network_that_reads_context(net, labels, strategy):
  here = cj.cohort("population", 4, seed=1, seconds=8.0).windows()
  labelled = here.of(here.subjects[:labels]) if labels else None
  tuned = cj.transfer(net, "auto", labelled=labelled, unlabelled=here.of(here.subjects[2:]))
  assert tuned.about["strategy"] == strategy
  assert tuned.checkpoint.scaling.context.labels == labels


def test_auto_hears_labels_that_speak_against_the_source(net):
  """No artery does that to a wave, and no window of the source is needed to say so."""
  here = cj.cohort("population", 2, seed=1, seconds=8.0).windows()
  absurd = dataclasses.replace(here, y_bt=60 + 0.3 * (here.y_bt - 90))
  tuned = cj.transfer(net, "auto", labelled=absurd, budget=cj.Budget(steps=50))
  assert tuned.about["strategy"] == "feature_transfer"
  assert "the labelled subjects contradict the source" in tuned.reason


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
  assert scope["own"].about["source"] == "clinics"
  assert scope["source"].about["source"] == "wide"
  assert any(leaf.fate == "transferred" for leaf in scope["report"])
  assert (tmp_path / "runs" / "source").is_dir()


def test_notebooks_show_tables_figures_and_warnings_first(net):
  t, p = wave(12, 125.0)
  shown = net.reconstruct(p, time_s=t)._repr_html_()
  assert 'src="data:image/png;base64,' in shown
  assert "csbp_est_mmhg" in shown
  flagged = dataclasses.replace(net.reconstruct(p, time_s=t), ood_fraction=0.9, unusual_hr="<b>fast</b>")._repr_html_()
  assert flagged.startswith("<p><strong>⚠ 90 % of the record is out of distribution")
  assert "&lt;b&gt;fast" in flagged
  drawn = net.reconstruct(p, time_s=t).plot()
  assert drawn._repr_html_().startswith('<iframe title="Reconstruction of the aortic wave')
  assert "radial, windows of 4 s at 125 Hz" in net._repr_html_()
  _, report = cj.merge(net.params, cj.load("brachial").params, ("f/embed",))
  assert "<td>f/embed/matrix/kernel</td><td>transferred</td>" in report._repr_html_()
  assert "<td>fresh</td>" in report._repr_html_()


@pytest.mark.parametrize("result", [None, 1.0, (jnp.zeros(3), {})])
def test_a_term_of_ones_own_that_returns_no_scalar_is_named(net, result):
  term = cj.Term("mine", definition=cj.Definition(lambda context: lambda params, batch, key: result, ("target",)))
  strategy = cj.Strategy(init_from_source=("f", "r"), loss=(cj.Term("target"), term), name="own")
  with pytest.raises(
    cj.InputError, match=r"term mine: returns no scalar and dict of metrics; end it with `return loss, \{\}`"
  ):
    cj.transfer(net, strategy, labelled=people.pairs(["a", "b"], 3, 0), budget=cj.Budget(steps=50))


def test_what_is_odd_about_records_is_warned_of():
  t = np.arange(30 * 125) / 125
  onsets = np.cumsum(0.85 + 0.04 * np.random.default_rng(0).standard_normal(40)) - 1

  def pulses(delay_s, height):
    since = t - delay_s - onsets[np.maximum(np.searchsorted(onsets, t - delay_s) - 1, 0)]
    return 80 + height * np.interp(since, [0, 0.1, 0.3, 1.2], [0, 1, 0.4, -0.2])

  beat, later = pulses(0.0, 40), pulses(0.07, 50)
  with pytest.warns(UserWarning, match="a: the mean of radial lies .. mmHg above that of aortic_root; check the zeros"):
    cj.windows([later + 40], [beat], fs_hz=125, subject=["a"])
  with pytest.warns(UserWarning, match="age is -1, but can be 0 to 120; correct it"):
    cj.windows([later], [beat], fs_hz=125, covariates={"age": [-1]})
  jumps = later.copy()
  jumps[2000:] = pulses(0.47, 50)[2000:]
  with pytest.warns(UserWarning, match="a: radial: the lag is 0.07 s from 0 to 1. s only"):
    cj.windows([jumps], [beat], fs_hz=125, subject=["a"])


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: cj.windows([np.full(900, np.nan)], fs_hz=125), "record 0: radial contains only NaN"),
    (lambda: cj.windows([[]], fs_hz=125), "record 0: radial contains no sample"),
    (lambda: cj.calibrate(np.zeros(500), 2, 120, 80), "fs_hz=2: 2 samples a second; a pulse wave needs 20"),
    (lambda: cj.calibrate(np.zeros(500), 125, 80, 120), r"impossible cuff reading 80/120 .*; correct it, or its unit"),
    (lambda: cj.Budget(steps="100"), "steps='100': must be a positive multiple of 50"),
  ],
)
def test_errors_name_the_record_and_the_value(call, message):
  with pytest.raises(cj.InputError, match=message):
    call()


def test_an_evaluation_shows_its_means_and_draws_its_subjects():
  subjects = pandas.DataFrame({"rmse_mmhg": [1.0, 3.0, 2.0]}, index=["a", "$b$", "c"])
  table = Evaluation(subjects, subjects.agg(["mean", "std", "count"]).T)
  assert "<td>rmse_mmhg</td><td>2.00</td><td>1.00</td>" in table._repr_html_()
  drawn = table.plot()
  assert drawn._repr_html_().startswith('<iframe title="RMSE of the wave [mmHg]"')
  (axes,) = drawn.axes
  assert list(axes.lines[0].get_ydata()) == [1.0, 2.0, 3.0]
  assert [text.get_text() for text in axes.texts] == ["a", "c", r"\$b\$"]
