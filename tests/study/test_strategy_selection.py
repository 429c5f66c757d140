"""Which strategy `auto` takes, and by what."""

import dataclasses
import re

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import splits
from cap_jax.strategies import STRATEGIES
from cap_jax.study import methods, study_grid, study_runner, training
from cap_jax.train import loop, prediction, runs, strategy_selection
from cap_jax.train.strategy_selection import Ranked


def predicting(monkeypatch, predict):
  """Replaces what networks predict by a function of network and windows."""
  monkeypatch.setattr(prediction, "predict", lambda network, windows, rows=slice(None): predict(network, windows)[rows])


@pytest.fixture(scope="module")
def ground(small_study, done_study):
  return study_runner.StudyRunner(small_study, str(done_study))


def choose(ground, n_target, seed=0):
  study, target, _ = ground.target("device", 0)
  return training.choose(study, ground.trained, ground.source, target, n_target, seed)


@pytest.mark.quick
def test_candidates_are_strategies_and_the_free_one_uses_no_label():
  assert set(strategy_selection.CANDIDATES) <= set(STRATEGIES)
  assert all(STRATEGIES[name].needs_labels for name in strategy_selection.CANDIDATES)
  assert not STRATEGIES[strategy_selection.FREE].needs_labels
  assert strategy_selection.expanded(("fine_tuning", "auto", "fine_tuning")) == (
    "fine_tuning",
    *strategy_selection.CANDIDATES,
    strategy_selection.FREE,
  )


@pytest.mark.quick
def test_a_later_candidate_must_be_better_by_the_margin():
  def names(*errors):
    result = [Ranked(name, error) for name, error in zip("abc", errors, strict=True)]
    return [one.name for one in strategy_selection.ranked(result)]

  assert names(1.0, 0.95, 0.92) == ["a", "c", "b"]
  assert names(1.0, 0.89, 0.85) == ["b", "c", "a"]  # c is not a tenth better than b
  assert names(1.0, 1.2, 0.7) == ["c", "a", "b"]


@pytest.mark.quick
def test_a_later_candidate_must_be_better_by_a_standard_error_of_the_pairs():
  first = Ranked("a", 2.0, (1.0, 2.0, 3.0))
  assert Ranked("b", 1.5, (0.6, 1.4, 2.5)).is_better_than(first)  # better in each: 0.5, SE 0.06
  assert not Ranked("b", 1.5, (1.8, 2.3, 0.4)).is_better_than(first)  # by one subject alone: 0.5, SE 1.06


@pytest.mark.parametrize("n_target", [0, 1])
def test_without_two_labels_the_people_of_the_source_are_scored_on(ground, monkeypatch, n_target):
  """Untrained stand-ins of known error: the ranking follows it, and no label of the target's but the one drawn is seen."""
  error = {
    strategy_selection.CANDIDATES[0]: 1.0,
    strategy_selection.CANDIDATES[1]: 2.0,
    strategy_selection.CANDIDATES[2]: 0.5,
  }
  observed = []

  def adapt(short, name, trained, data, seed, recorder):
    assert data.validation is None
    assert data.n_target == n_target
    observed.append(name)
    about = {"offset": error.get(name, 3.0)}
    return runs.Adapted(
      checkpoint=dataclasses.replace(trained, about=about), fitted=loop.FitResult({}, {}, 0.0), report=[], reason=""
    )

  monkeypatch.setattr(training, "adapt", adapt)
  predicting(monkeypatch, lambda network, windows: windows.y_bt + network.about.get("offset", 4.0))
  choice = choose(ground, n_target)
  assert observed == list(strategy_selection.CANDIDATES if n_target else (strategy_selection.FREE,))
  expected = [
    (strategy_selection.CANDIDATES[2], 0.5),
    (strategy_selection.CANDIDATES[0], 1.0),
    (strategy_selection.CANDIDATES[1], 2.0),
  ]
  expected += [(name, 3.0) for name in strategy_selection.CANDIDATES[3:]]
  for one, (name, rmse) in zip(choice.ranking, expected if n_target else [(strategy_selection.FREE, 3.0)], strict=True):
    assert one.name == name
    assert one.rmse_mmhg == pytest.approx(rmse, rel=1e-5)
  assert "source network unchanged 4.00" in strategy_selection.format_ranking(choice)


def test_at_another_site_the_people_of_the_source_say_nothing_of_one_subject(ground, monkeypatch):
  monkeypatch.setattr(training, "adapt", lambda *_: pytest.fail("trained"))
  study, target, _ = ground.target("device", 0)
  elsewhere = dataclasses.replace(ground.trained, signals=dataclasses.replace(ground.trained.signals, site="brachial"))
  one = training.choose(study, elsewhere, ground.source, target, 1, 0)
  assert one.name == strategy_selection.ONE_LABEL_STRATEGY
  assert {ranked.name for ranked in one.ranking} == set(strategy_selection.CANDIDATES)
  assert "no subjects to compare" in strategy_selection.format_ranking(one)


def test_subjects_are_held_out_of_the_training_that_they_score(ground, monkeypatch):
  _, target, _ = ground.target("device", 0)
  error = dict(zip(strategy_selection.CANDIDATES, (1.0, 0.5, 2.0, 3.0, 4.0), strict=True))
  taught = []  # name, whose labels

  def adapt(short, name, trained, data, seed, recorder):
    assert short.steps == 2 * config.CHUNK  # a third of the study's would be too few for two stages
    taught.append((name, set(data.labelled.subjects)))
    network = dataclasses.replace(trained, about={"name": name, "taught": taught[-1][1]})
    return runs.Adapted(checkpoint=network, fitted=loop.FitResult({}, {}, 0.0), report=[], reason="")

  scored = []

  def predict(network, windows):
    if "taught" not in network.about:  # the source network, whose errors say whether this is its system
      return windows.y_bt + 1.0
    assert not network.about["taught"] & set(windows.subjects)
    scored.append((network.about["name"], set(windows.subjects)))
    return windows.y_bt + error[network.about["name"]]

  monkeypatch.setattr(training, "adapt", adapt)
  predicting(monkeypatch, predict)
  monkeypatch.setattr(strategy_selection, "_own_filter", lambda *_: None)
  choice = choose(ground, 3)
  assert choice.name == strategy_selection.CANDIDATES[1]
  np.testing.assert_allclose([ranked.rmse_mmhg for ranked in choice.ranking], [0.5, 1.0, 2.0, 3.0, 4.0], rtol=1e-5)
  drawn = set(splits.few_shot(target.labelled.subjects, 3, 0))
  for name in strategy_selection.CANDIDATES:
    assert [frozen for one, frozen in scored if one == name] == [drawn - whose for one, whose in taught if one == name]
    assert set.union(*(frozen for one, frozen in scored if one == name)) == drawn
  assert (
    "cross-validation over 3 labelled subjects in 3 folds: multi_task/transducer_first 0.50"
    in strategy_selection.format_ranking(choice)
  )


class Offset:
  """A filter whose wave is the reference plus a constant and noise, in place of a transfer function."""

  def __init__(self, windows, scale):
    self.windows, self.scale = windows, scale

  def predict(self, x_bt):
    rows = [int(np.flatnonzero((self.windows.x_bt == x_t).all(1))[0]) for x_t in x_bt]
    noise = np.random.default_rng(7).standard_normal(self.windows.y_bt.shape).astype(np.float32)
    return self.windows.y_bt[rows] + self.scale * noise[rows]


def test_left_out_subjects_choose_the_weight_of_the_transfer_function(ground, monkeypatch):
  """Independent errors of 2 mmHg of every network, and of 1 mmHg of the filter: w = 4/5, and an RMSE of √(4/5)."""
  _, target, _ = ground.target("device", 0)

  def adapt(short, name, trained, data, seed, recorder):
    return runs.Adapted(checkpoint=trained, fitted=loop.FitResult({}, {}, 0.0), report=[], reason="")

  noise = np.random.default_rng(8)
  monkeypatch.setattr(training, "adapt", adapt)
  predicting(monkeypatch, lambda _, windows: windows.y_bt + 2 * noise.standard_normal(windows.y_bt.shape))
  monkeypatch.setattr(strategy_selection, "_own_filter", lambda part, _: Offset(target.labelled, 1.0))
  choice = choose(ground, 3)
  assert choice.name == strategy_selection.CANDIDATES[0]
  assert choice.ranking[0].filter_weight == choice.blend.weight == pytest.approx(0.8, abs=0.02)
  assert choice.ranking[0].rmse_mmhg == pytest.approx(np.sqrt(0.8), rel=0.02)
  monkeypatch.setattr(strategy_selection, "_own_filter", lambda part, _: Offset(target.labelled, 5.0))
  assert choose(ground, 3).blend is None  # 2 of 2.15 mmHg: no gain of 10 %
  monkeypatch.setattr(strategy_selection, "_own_filter", lambda part, _: Offset(target.labelled, 1.0))
  text = strategy_selection.format_ranking(choice)
  assert re.search(r"multi_task/transducer blended with (79|80|81) % of the target's own transfer function", text)


def test_a_blend_must_also_win_after_training_in_full(ground, monkeypatch):
  """The filter errs by 1 mmHg, networks by 2 after the short trainings, and by 0.3 after the long ones."""
  _, target, _ = ground.target("device", 0)
  trainings = []

  def adapt(budget, name, trained, data, seed, recorder):
    trainings.append((name, budget.steps))
    return runs.Adapted(checkpoint=trained, fitted=loop.FitResult({}, {}, 0.0), report=[], reason="")

  def predict(_, windows):
    short = len(trainings) <= 3 * len(strategy_selection.CANDIDATES)
    return windows.y_bt + (2.0 if short else 0.3) * noise.standard_normal(windows.y_bt.shape)

  noise = np.random.default_rng(8)
  monkeypatch.setattr(training, "adapt", adapt)
  predicting(monkeypatch, predict)
  monkeypatch.setattr(strategy_selection, "_own_filter", lambda part, _: Offset(target.labelled, 1.0))
  choice = choose(ground, 3)
  first = strategy_selection.CANDIDATES[0]
  assert trainings[-3:] == [(first, ground.study.steps)] * 3
  assert choice.name == first
  assert choice.blend is None
  assert choice.ranking[0].rmse_mmhg == pytest.approx(0.3, rel=0.05)  # of the network alone, trained in full


@pytest.mark.parametrize("n_target", [1, 3])
def test_subjects_that_the_source_network_errs_on_are_of_another_system(ground, monkeypatch, n_target):
  monkeypatch.setattr(training, "adapt", lambda *_: pytest.fail("trained"))
  _, target, _ = ground.target("device", 0)
  labelled = set(target.labelled.subjects)
  predicting(
    monkeypatch,
    lambda _, windows: windows.y_bt + np.where(np.isin(windows.subject_b, list(labelled)), 80.0, 10.0)[:, None],
  )
  monkeypatch.setattr(strategy_selection, "_own_filter", lambda part, _: Offset(part, 1.0))
  choice = choose(ground, n_target)
  assert choice.name == strategy_selection.OTHER_SYSTEM.strategy
  assert choice.blend.weight == 0.5
  text = strategy_selection.format_ranking(choice)
  assert "the source counts 0.016: its network errs by 80.0 mmHg on the labelled subjects, but by at most 10.0" in text


@pytest.mark.slow
def test_it_is_a_method_of_a_study_with_and_without_labels(small_study, ground):
  study = dataclasses.replace(small_study, strategies=("scratch", "auto"), steps=100)
  assert {key.n_target for key in study_grid.keys(study) if key.method == "auto"} == {0, 1, 2}
  clinic, target, _ = ground.target("device", 0)
  clinic = dataclasses.replace(clinic, steps=100)
  for n_target in (0, 2):
    result = methods.method(clinic, "auto").run(
      methods.MethodInputs(
        study=clinic,
        source=ground.source,
        target=target,
        trained=ground.trained,
        published=pytest.fail,
        n_target=n_target,
        seed=0,
      )
    )
    assert result.predicted_bt.shape == target.test.y_bt.shape
    assert np.isfinite(result.predicted_bt).all()
    chosen = result.network.about["strategy"]
    assert chosen == (strategy_selection.FREE if n_target == 0 else chosen)
    assert chosen in strategy_selection.expanded(("auto",))
    assert chosen in result.reason
  assert "transducer" in result.reason
