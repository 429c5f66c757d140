"""A network that reads its context is adapted without training: the clinic's waves are all that changes."""

import dataclasses
import json

import jax
import numpy as np
import pandas
import pytest

import cap_jax as cj
from cap_jax import config
from cap_jax.baselines import arx, transfer_function
from cap_jax.data import recordings, scalings
from cap_jax.inference import reconstruct, streaming, uncertainty
from cap_jax.models import detector
from cap_jax.signals import spectra
from cap_jax.strategies import find
from cap_jax.strategies.strategy import Strategy
from cap_jax.study import sim_to_real, study_config
from cap_jax.train import (
  checkpoint,
  checksummed,
  domains,
  fallback,
  filter_blend,
  prediction,
  runs,
  source_evidence,
  strategy_selection,
  uncertainty_calibration,
)
from cap_jax.types import InputError
from tests.experiments.commands import run
from tests.train import people

NAME = "domain_adaptation/context"
MODEL = config.Model(extractor="context_cnn", channels=8, layers=1, head_channels=8)


@pytest.fixture(scope="module")
def source():
  """A network that heeds its context, though it has learnt nothing."""
  windows = people.pairs([f"s{k}" for k in range(6)], 4, 0)
  params = jax.tree.map(np.array, checkpoint.nets.make_net(MODEL).init(jax.random.key(3), people.SAMPLES))
  film = params["f"]["layer_0"]["film"]["kernel"]
  film[:] = 0.05 * np.random.default_rng(0).normal(size=film.shape)
  params["r"]["wave"]["kernel"] = 0.1 + 0 * params["r"]["wave"]["kernel"]
  scaling = scalings.fit(windows, reads_context=True)
  return checkpoint.Checkpoint(params=params, model=MODEL, scaling=scaling, about={"source": "clinics"})


def noisy(windows, sd):
  x_bt = windows.x_bt + sd * np.random.default_rng(1).normal(size=windows.x_bt.shape).astype(np.float32)
  return dataclasses.replace(windows, x_bt=x_bt)


def test_only_the_context_changes(source):
  data = domains.Data(unlabelled=noisy(people.pairs(["u0", "u1", "u2"], 3, 1), 2.0).unlabelled())
  adapted = runs.adapt(find(NAME), source, data, runs.Budget(50, 8)).checkpoint
  jax.tree.map(np.testing.assert_array_equal, adapted.params, source.params)
  assert adapted.scaling == source.scaling.at_clinic(data.unlabelled)
  around = adapted.scaling.context
  assert len(around.clinic) == len(around.spectrum) == spectra.BANDS
  test = people.pairs(["t0"], 2, 2)
  assert np.abs(prediction.predict(adapted, test) - prediction.predict(source, test)).max() > 1e-3
  assert adapted.has_seen("u0")
  assert not adapted.has_seen("t0")


def test_the_intervals_of_the_source_stay(source):
  calibration = uncertainty_calibration.UncertaintyCalibration(
    head=None,
    detector=None,
    hr_bpm=None,
    ood_threshold=1.0,
    level=0.9,
    wave=2.0,
    csbp=1.5,
    subjects=20,
    where="clinics",
  )
  calibrated = cj.Network(dataclasses.replace(source, uncertainty_calibration=calibration))
  unlabelled = noisy(people.pairs(["u0", "u1"], 3, 1), 2.0).unlabelled()
  adapted = cj.transfer(calibrated, NAME, unlabelled=unlabelled)
  assert adapted.checkpoint.uncertainty_calibration == calibration
  assert adapted.checkpoint.scaling.context.clinic


def test_validation_subjects_calibrate_its_intervals_if_they_suffice(source):
  windows, others = people.pairs([f"s{k}" for k in range(6)], 4, 0), people.pairs([f"v{k}" for k in range(20)], 3, 4)
  equipped = cj.Network(uncertainty.equip(source, None, None, windows, others, "validation subjects of the source"))
  unlabelled = people.pairs(["u0", "u1"], 3, 1).unlabelled()
  few = cj.transfer(equipped, NAME, unlabelled=unlabelled, validation=people.pairs(["w0", "w1"], 3, 6))
  assert few.checkpoint.uncertainty_calibration == equipped.checkpoint.uncertainty_calibration
  assert few.reason.endswith("need 9 calibration subjects, but there are 2; those of the source stay")
  nine = cj.transfer(equipped, NAME, unlabelled=unlabelled, validation=people.pairs([f"w{k}" for k in range(9)], 3, 6))
  assert nine.checkpoint.uncertainty_calibration.where == "validation subjects of the target"
  assert np.isfinite(nine.checkpoint.uncertainty_calibration.wave)
  # which hold in that clinic alone
  elsewhere = cj.transfer(nine, NAME, unlabelled=people.pairs(["x0", "x1"], 3, 7).unlabelled())
  assert elsewhere.checkpoint.uncertainty_calibration is None
  assert "no prediction intervals" in elsewhere.reason


def test_what_is_not_trained_keeps_fallback_and_heart_rates(source):
  """Whoever calibrates the intervals, and whatever labels it reads."""
  windows, others = people.pairs([f"s{k}" for k in range(6)], 4, 0), people.pairs([f"v{k}" for k in range(20)], 3, 4)
  conservative = fallback.Fallback(transfer_function.TransferFunction(np.ones(3) / 3, 0.0))
  theta = detector.init(people.SAMPLES, jax.random.key(0))
  own = uncertainty.OutlierDetector(theta, fallback=conservative)
  equipped = cj.Network(uncertainty.equip(source, None, own, windows, others, "validation subjects of the source"))
  told = cj.transfer(
    equipped,
    "fine_tuning/context",
    labelled=people.pairs(people.PEOPLE, 4, 2),
    validation=people.pairs([f"w{k}" for k in range(9)], 3, 6),
  )
  before, after = (one.checkpoint.uncertainty_calibration for one in (equipped, told))
  assert after.where == "validation subjects of the target"
  assert after.fallback == before.fallback
  assert after.hr_bpm == before.hr_bpm is not None


@pytest.mark.parametrize("about", [{"source": "wide"}, {"source": "none", "strategy": "scratch"}, {}])
def test_auto_asks_a_network_that_no_clinic_has_taught_nothing(source, about):
  """Such a network reads a context, but has not learnt what it means."""
  one = dataclasses.replace(source, about=about)
  assert not one.knows_clinics
  assert source.knows_clinics
  labelled = people.pairs(people.PEOPLE, 4, 2)
  with pytest.raises(RuntimeError, match="compared"):
    strategy_selection.choose(one, domains.Data(labelled=labelled), None, runs.Budget(50, 8), compared)


def compared(*_):
  raise RuntimeError("compared")


def test_without_people_of_the_source_its_validation_error_speaks(source):
  """A network that errs much more on the labels than on its own subjects is in another system, with their waves or without."""
  labelled = people.pairs(people.PEOPLE, 4, 2)
  error = float(np.sqrt(np.square(source_evidence._errors(source, labelled, np.arange(20))).mean()))
  for share, name in ((1.0, "fine_tuning/context"), (0.01, strategy_selection.OTHER_SYSTEM_OF_CONTEXT.strategy)):
    one = dataclasses.replace(source, about={"source": "clinics", "validation_rmse_mmhg": share * error})
    choice = strategy_selection.choose(one, domains.Data(labelled=labelled), None, runs.Budget(50, 8), compared)
    assert choice.name == name
  assert "the labelled subjects contradict the source" in choice.reason


def test_a_fine_tuned_network_knows_its_clinic_too(source):
  labelled = people.pairs(people.PEOPLE, 4, 2)
  data = domains.Data(labelled=labelled)
  tuned = runs.adapt(find("fine_tuning/all"), source, data, runs.Budget(50, 8)).checkpoint
  assert tuned.scaling.context == source.scaling.at_clinic(labelled.unlabelled(), labelled).context
  unlabelled = noisy(people.pairs(["u0", "u1"], 3, 1), 2.0).unlabelled()
  tuned = runs.adapt(
    find("fine_tuning/all"), source, dataclasses.replace(data, unlabelled=unlabelled), runs.Budget(50, 8)
  ).checkpoint
  assert tuned.scaling.context == source.scaling.at_clinic(unlabelled, labelled).context
  fresh = runs.adapt(find("scratch"), source, data, runs.Budget(50, 8)).checkpoint
  assert fresh.scaling.context.spectrum != source.scaling.context.spectrum
  assert fresh.scaling.context.clinic


def test_labels_are_context_too(source):
  """Nothing is trained; a subject is not told its own response."""
  labelled, unlabelled = people.pairs(people.PEOPLE, 4, 2), people.pairs(["u0", "u1"], 3, 1).unlabelled()
  data = domains.Data(labelled=labelled, unlabelled=unlabelled)
  told = runs.adapt(find("fine_tuning/context"), source, data).checkpoint
  jax.tree.map(np.testing.assert_array_equal, told.params, source.params)
  around = told.scaling.context
  assert around.labels == len(people.PEOPLE)
  assert len(around.labelled) == len(around.response) == spectra.RESPONSE
  few = runs.adapt(
    find("fine_tuning/context"), source, domains.Data(labelled=labelled)
  ).checkpoint  # their waves are the clinic's
  assert few.scaling.context == source.scaling.at_clinic(labelled, labelled).context
  untold = runs.adapt(find(NAME), source, data).checkpoint
  assert untold.scaling.context == dataclasses.replace(around, labelled=(), labels=0)
  test = people.pairs(["t0"], 2, 2)
  assert np.abs(prediction.predict(told, test) - prediction.predict(untold, test)).max() > 1e-3
  _, c_bq = told.scaling.labelled_inputs(labelled, MODEL)
  for name in people.PEOPLE:
    others = labelled.of([one for one in people.PEOPLE if one != name])
    there = source.scaling.at_clinic(unlabelled, others)
    own = labelled.of([name])
    np.testing.assert_allclose(c_bq[labelled.subject_b == name], there.inputs(own, MODEL)[1], atol=2e-4)


def test_it_needs_waves_and_a_source_that_reads_them(source):
  with pytest.raises(InputError, match="needs unlabelled windows of the target"):
    runs.adapt(find(NAME), source, domains.Data())
  _, plain, data = people.ground(dataclasses.replace(MODEL, extractor="token_cnn"), 50)
  with pytest.raises(InputError, match="does not read the context of a clinic; use one that does"):
    runs.adapt(find(NAME), plain, data)
  with pytest.raises(InputError, match="the source network reads no context; use its own extractor"):
    runs.adapt(find("multi_task/fresh"), plain, data, model=MODEL)


def test_without_labels_auto_is_it(source):
  data = domains.Data(unlabelled=people.pairs(["u0", "u1"], 3, 1).unlabelled())
  choice = strategy_selection.choose(source, data, None, runs.Budget(50, 8), lambda *_: pytest.fail("trained"))
  assert choice.name == NAME
  assert "no label" in strategy_selection.format_ranking(choice)


def test_with_labels_auto_rehearses_the_clinics_of_the_source(source):
  """Without windows of the source the labels are only context; at another site candidates are compared."""
  labelled = people.pairs(people.PEOPLE, 4, 2)
  data = domains.Data(unlabelled=people.pairs(["u0", "u1"], 3, 1).unlabelled(), labelled=labelled)
  budget, untrained = runs.Budget(50, 8), lambda *_: pytest.fail("trained")
  assert strategy_selection.choose(source, data, None, budget, untrained).name == "fine_tuning/context"
  with_source = dataclasses.replace(data, source=people.pairs([f"q{k}" for k in range(4)], 6, 0))
  choice = strategy_selection.choose(source, with_source, None, budget, untrained)
  assert choice.name == "multi_task/context"
  assert "the labels of the clinic" in strategy_selection.format_ranking(choice)
  elsewhere = dataclasses.replace(data, site="brachial")
  with pytest.raises(pytest.fail.Exception, match="trained"):
    strategy_selection.choose(source, elsewhere, None, budget, untrained)


def test_another_system_is_seen_with_the_context_of_the_clinic(source, monkeypatch):
  labelled = people.pairs(people.PEOPLE, 4, 2)
  unlabelled = people.pairs(["u0", "u1"], 3, 1).unlabelled()
  data = domains.Data(people.pairs([f"q{k}" for k in range(4)], 6, 0), unlabelled, labelled)
  seen = []
  assess = lambda here, _, there, __: seen.extend([here, there]) or source_evidence.SourceEvidence(0.01, 9.0, 1.0)  # noqa: E731
  monkeypatch.setattr(strategy_selection.source_evidence, "assess", assess)
  choice = strategy_selection.choose(source, data, None, runs.Budget(50, 8), lambda *_: pytest.fail("trained"))
  assert choice.name == strategy_selection.OTHER_SYSTEM_OF_CONTEXT.strategy
  assert [one.scaling for one in seen] == [source.scaling, source.scaling.at_clinic(unlabelled)]


def test_rehearsed_clinics_keep_their_context(source):
  clinic_b = np.repeat([0.0, 1.0], 12).astype(np.float32)
  rehearsed = people.in_clinics(people.pairs([f"q{k}" for k in range(4)], 6, 0), clinic_b)
  data = domains.Data(rehearsed, people.pairs(["u0", "u1"], 3, 1).unlabelled(), people.pairs(people.PEOPLE, 4, 2))
  prepared = runs.prepare(find("multi_task/context"), source, data)
  own = source.scaling.inputs(rehearsed, MODEL)[1]
  np.testing.assert_array_equal(prepared.fed["source"]["c"], own)
  spectra_bk = prepared.fed["target"]["c"][:, spectra.BANDS : 2 * spectra.BANDS]
  assert np.ptp(spectra_bk, axis=0).max() == 0  # the clinic's mean
  assert np.abs(own[:, spectra.BANDS : 2 * spectra.BANDS] - spectra_bk[0]).max(1).min() > 1e-3


@pytest.mark.quick
def test_a_strategy_trains_with_stages_and_a_loss_or_not_at_all():
  for changes in ({"loss": ()}, {"stages": (), "init_from_source": ("f",)}):
    with pytest.raises(InputError, match="at least one stage and one term; or no stage"):
      Strategy(**{"init_from_source": ("f", "r"), **changes})


def test_it_is_stored_with_its_clinic_and_reconstructs(source, tmp_path):
  unlabelled = people.pairs(["u0", "u1", "u2"], 3, 1).unlabelled()
  adapted = dataclasses.replace(source, scaling=source.scaling.at_clinic(unlabelled))
  checkpoint.save(tmp_path / "net", adapted)
  again = checkpoint.load(tmp_path / "net")
  assert again.scaling == adapted.scaling
  time_s = np.arange(2500) / 125
  wave = (70 + 45 * np.exp(-(((time_s % 0.8) - 0.25) ** 2) / 0.006)).astype(np.float32)
  record = recordings.Recording(subject="p", time_s=time_s, signals={"radial": wave}, units={"radial": "mmHg"})
  one, other = (reconstruct.reconstruct(net, record).aortic_mmhg for net in (again, adapted))
  np.testing.assert_array_equal(one, other)
  unknown = reconstruct.reconstruct(source, record).aortic_mmhg
  assert np.nanmax(np.abs(unknown - one)) > 1e-3


@pytest.mark.parametrize(
  ("field", "value"),
  [
    ("spectrum", []),
    ("spectrum", [[0, 0]] * 60),
    ("clinic", [[0, -1]] * 60),
    ("clinic", [[0, 1]] * 59),
    ("clinic", "x"),
    ("response", [[0, 1]] * 3),
    ("labels", 3),
  ],
)
def test_a_damaged_context_is_refused(source, tmp_path, field, value):
  checkpoint.save(tmp_path / "net", source)
  content = json.loads((tmp_path / "net" / checkpoint.HEADER).read_text())
  content["scaling"]["context"][field] = value
  del content["sha256"]
  checksummed.write(tmp_path / "damaged", content, source.params)
  with pytest.raises(InputError, match="damaged, or written by another project"):
    checkpoint.load(tmp_path / "damaged")


def test_a_mixture_of_clinics_has_no_ppg():
  with pytest.raises(InputError, match="source=clinics: a mixture of clinics, which has no PPG"):
    sim_to_real.ppg_source(study_config.Study(source="clinics"), 4, 12.0)


@pytest.mark.slow
def test_taught_over_clinics_it_undoes_their_line(tmp_path):
  """After a short training, what the clinic's waves say helps behind a line, of which little is left (0.89, 0.99; radial 13.1)."""
  flags = {
    "source_subjects": 600, "validation_subjects": 40, "pretrain.steps": 1500, "scenarios": "device,", "n_target": "0,",
    "strategies": "domain_adaptation/context", "baselines": "peripheral,source", "seeds": "0,", "test_subjects": 20,
    "unlabelled_subjects": 30, "labelled_subjects": 4, "target_seconds": 16, "model.channels": 32, "model.head_channels": 32,
  }  # fmt: skip
  work = tmp_path / "work"
  done = run(
    "study", "--config=experiments/configs/pretrained.py", *(f"--config.{name}={value}" for name, value in flags.items()),
    f"--workdir={work}", timeout=900,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  errors = pandas.read_csv(work / "study.csv").groupby("method")["rmse_mmhg"].mean()
  print(errors)
  assert errors["domain_adaptation/context"] < 0.97 * errors["source"]
  assert errors["source"] < 0.1 * errors["peripheral"]


def test_a_header_without_context_is_refused(source, tmp_path):
  checkpoint.save(tmp_path / "net", source)
  content = json.loads((tmp_path / "net" / checkpoint.HEADER).read_text())
  content["scaling"]["context"] = None
  del content["sha256"]
  checksummed.write(tmp_path / "damaged", content, source.params)
  with pytest.raises(InputError, match="damaged, or written by another project"):
    checkpoint.load(tmp_path / "damaged")


def test_a_stream_knows_its_patient_better_with_each_beat(source):
  """After many beats of one kind, its context is that of the record."""
  network = streaming.StreamingNetwork(source, 125.0)
  time_s = np.arange(100) / 125
  beat_t, rng = 70 + 45 * np.exp(-((time_s - 0.25) ** 2) / 0.006), np.random.default_rng(0)
  state, states = network.begin(), []
  for _ in range(40):
    state, out = network(state, beat_t + 0.2 * rng.normal(size=100))
    states.append(state)
  assert state.windows == 40
  last = [np.abs(one.log_power_k - states[-1].log_power_k).mean() for one in states]
  assert last[0] > 3 * last[20] > 0
  assert np.isfinite(out.aortic_mmhg).all()
  other = network.begin()
  assert other.windows == 0  # nothing of a patient stays in the network


def test_the_spectrum_of_a_patient_survives_a_gap(source):
  """And nothing of the wave before it."""
  network, time_s = streaming.StreamingNetwork(source, 125.0), np.arange(100) / 125
  beat_t = 70 + 45 * np.exp(-((time_s - 0.25) ** 2) / 0.006)
  state, _ = network(network.begin(), beat_t)
  after = state.after_gap()
  assert after.past_t.size == 0
  np.testing.assert_array_equal(after.log_power_k, state.log_power_k)
  assert after.windows == 1
  with pytest.raises(InputError, match=r"omit it and continue with state.after_gap\(\)"):
    network(after, np.full(100, np.nan))


def test_labels_do_not_follow_into_another_clinic(source):
  told = source.scaling.at_clinic(people.pairs(["u0", "u1"], 3, 1), people.pairs(people.PEOPLE, 4, 2))
  other = people.pairs(["v0", "v1"], 3, 5)
  assert told.context.labels == len(people.PEOPLE)
  assert told.at_clinic(other) == source.scaling.at_clinic(other)
  assert told.without_clinic() == source.scaling


def test_people_of_the_source_are_not_of_the_target_clinic(source):
  """Unless they are recorded through its transducers."""
  home = people.pairs([f"q{k}" for k in range(4)], 6, 0)
  unlabelled = noisy(people.pairs(["u0", "u1"], 3, 1), 2.0).unlabelled()
  data = domains.Data(home, unlabelled, people.pairs(people.PEOPLE, 4, 2))
  for name in ("multi_task/context", "multi_task/fresh"):
    fed = runs.prepare(find(name), source, data).fed["source"]
    np.testing.assert_array_equal(fed["c"], source.scaling.inputs(home, MODEL)[1])


def test_people_behind_the_transducers_are_read_as_they_are_recorded(source, monkeypatch):
  home, unlabelled = people.pairs([f"q{k}" for k in range(4)], 6, 0), people.pairs(["u0", "u1"], 3, 1).unlabelled()
  data = domains.Data(home, unlabelled, people.pairs(people.PEOPLE, 4, 2))
  muffled = lambda _, x_bt, *rest: (x_bt + np.roll(x_bt, 12, axis=1)) / 2  # noqa: E731
  found = type("Found", (), {"has_transducers": True})()
  monkeypatch.setattr(domains, "_fit_transducers", lambda *_: found)
  monkeypatch.setattr(domains.transducer_response, "apply", muffled)
  domains._simulate_scaled.cache_clear()
  fed, _ = domains.streams(find("multi_task/transducer"), data, source.scaling.at_clinic(unlabelled), MODEL, source, 0)
  heard = muffled(None, source.scaling.scale_input(home.x_bt))
  np.testing.assert_allclose(fed["source"]["x"], heard, atol=1e-6)
  own_sk, number_b = spectra.by_group(spectra.log_power(heard), home.subject_b)
  expected = source.scaling.at_clinic(unlabelled).context.of_log_power(own_sk[number_b])
  np.testing.assert_allclose(fed["source"]["c"], expected, atol=1e-3)


def test_evidence_reads_people_and_patients_each_in_their_clinic(source, monkeypatch):
  seen = []
  predict = prediction.predict
  monkeypatch.setattr(
    source_evidence.prediction,
    "predict",
    lambda network, windows, rows: seen.append((network.scaling, len(windows.x_bt))) or predict(network, windows, rows),
  )
  home, unlabelled = people.pairs([f"q{k}" for k in range(100)], 6, 0), people.pairs(["u0", "u1"], 3, 1).unlabelled()
  labelled = people.pairs(people.PEOPLE, 4, 2)
  evidence = source_evidence.assess_clinic(source, domains.Data(home, unlabelled, labelled), home, labelled, None, 0)
  # all windows show the clinics, though some are judged
  assert seen == [(source.scaling.at_clinic(unlabelled), 20), (source.scaling, 600)]
  assert 0 < evidence.weight <= 1


@pytest.mark.parametrize("name", [NAME, "fine_tuning/context"])
def test_what_trains_nothing_stays_at_its_site(source, name):
  data = domains.Data(
    unlabelled=people.pairs(["u0", "u1"], 3, 1).unlabelled(),
    labelled=people.pairs(people.PEOPLE, 4, 2),
    site="brachial",
  )
  with pytest.raises(InputError, match="cannot follow it to brachial; use a source network that reads brachial"):
    runs.adapt(find(name), source, data)


def test_without_labels_auto_does_not_carry_it_to_another_site(source):
  data = domains.Data(
    people.pairs([f"q{k}" for k in range(4)], 6, 0), people.pairs(["u0", "u1"], 3, 1).unlabelled(), site="brachial"
  )
  with pytest.raises(InputError, match="compares strategies on subjects of the source"):
    strategy_selection.choose(source, data, None, runs.Budget(50, 8), lambda *_: pytest.fail("trained"))


def test_what_is_not_trained_keeps_its_blend(source):
  own = arx.Arx(a=np.array([0.5]), b=np.array([0.3, 0.2]), c=1.0, lead=2, fs_hz=125.0)
  blended = dataclasses.replace(source, blend=filter_blend.FilterBlend(own, 0.5))
  unlabelled = people.pairs(["u0", "u1"], 3, 1).unlabelled()
  assert runs.adapt(find(NAME), blended, domains.Data(unlabelled=unlabelled)).checkpoint.blend == blended.blend
  assert cj.transfer(cj.Network(blended), NAME, unlabelled=unlabelled).checkpoint.blend == blended.blend
  trained = domains.Data(labelled=people.pairs(people.PEOPLE, 4, 2))
  assert runs.adapt(find("fine_tuning/all"), blended, trained, runs.Budget(50, 8)).checkpoint.blend is None


def test_a_target_that_reads_no_context_is_saved_and_loaded(source, tmp_path):
  plain = dataclasses.replace(MODEL, extractor="token_cnn")
  data = domains.Data(people.pairs([f"q{k}" for k in range(4)], 6, 0), labelled=people.pairs(people.PEOPLE, 4, 2))
  target = runs.adapt(find("multi_task/fresh"), source, data, runs.Budget(50, 8), plain).checkpoint
  checkpoint.save(tmp_path / "net", target)
  assert checkpoint.load(tmp_path / "net").scaling.context is None


def test_one_labelled_window_is_no_collapse(source):
  data = domains.Data(labelled=people.pairs(["p0"], 1, 2))
  assert "collapsed" not in runs.adapt(find("fine_tuning/context"), source, data).reason


def test_covariates_of_a_user_may_have_any_name(source):
  """A hospital's number is no clinic of a simulation, and a name reveals no label."""
  windows = people.pairs(["t0", "t1"], 3, 2)
  named = dataclasses.replace(windows, covariates={"clinic": np.repeat([1.0, 2.0], 3), "labelled": np.ones(6)})
  np.testing.assert_array_equal(prediction.predict(source, named), prediction.predict(source, windows))
