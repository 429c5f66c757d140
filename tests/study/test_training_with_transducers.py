"""Trainings with lines of the target's clinic, and the intervals that they get."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from cap_jax.inference import uncertainty
from cap_jax.strategies import find, transducer_response
from cap_jax.study import study_runner, training
from cap_jax.train import clock, domains, loop, runs, uncertainty_calibration

FOUND = transducer_response.TransducerMixture(
  natural_hz=np.array([9.0]), damping=np.array([0.2]), share=np.ones(1), noise=0.03, gain=40.0
)


@pytest.fixture(scope="module")
def ground(small_study, done_study):
  return study_runner.StudyRunner(small_study, str(done_study))


def adapted(ground, name, n_target):
  study, target, _ = ground.target("device", 0)
  return training.adapted(study, name, ground.trained, ground.source, target, n_target, 0)


def test_without_transducer_and_label_the_source_stays_as_it_is(ground):
  output = adapted(ground, "domain_adaptation/transducer", 0)  # 24 subjects of the source: too few to find one
  assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), output.checkpoint.params, ground.trained.params))
  assert "are too few to distinguish" in output.reason
  assert output.fitted.loss.size == 0
  assert output.fitted.validation[-1].steps == 0
  # with labels there is something to learn all the same
  assert adapted(ground, "multi_task/transducer", 2).fitted.loss.size == ground.study.steps


def test_with_a_transducer_the_source_is_seen_through_it(ground, monkeypatch):
  plain = adapted(ground, "multi_task/rehearsal", 2)
  monkeypatch.setattr(domains, "transducers_of", lambda *_: FOUND)
  through = adapted(ground, "multi_task/transducer", 2)
  assert "transducers at 9.0 Hz" in through.reason
  assert through.fitted.loss.size == plain.fitted.loss.size
  # the same target windows, the same order: the source's alone differ
  np.testing.assert_array_equal(through.fitted.metrics["target"][0], plain.fitted.metrics["target"][0])
  assert through.fitted.metrics["source"][0] != plain.fitted.metrics["source"][0]
  assert adapted(ground, "domain_adaptation/transducer", 0).fitted.loss.size == ground.study.steps


def transducer_first(ground):
  """A training whose first half is of the lines alone."""
  study, target, _ = ground.target("device", 0)
  study, data = dataclasses.replace(study, steps=100), target.data(ground.source, 2, 0)
  budget = runs.Budget(study.steps, study.batch)
  return study, runs.prepare(find("multi_task/transducer_first"), ground.trained, data, budget)


def test_labels_are_not_given_to_a_training_of_the_transducers(ground, monkeypatch):
  monkeypatch.setattr(domains, "transducers_of", lambda *_: FOUND)
  study, started = transducer_first(ground)
  before, after = started.plans
  assert before.steps == after.steps == study.steps // 2
  assert (set(before.of(started.fed)), set(after.of(started.fed))) == ({"source"}, {"source", "target"})


@pytest.mark.slow
def test_labels_are_not_read_before_the_lines_are_learnt(ground, monkeypatch):
  monkeypatch.setattr(domains, "transducers_of", lambda *_: FOUND)
  study, started = transducer_first(ground)
  before, after = started.plans
  broken = {**started.fed, "target": {**started.fed["target"], "y": started.fed["target"]["y"] * np.nan}}
  fit = functools.partial(
    loop.fit, started.net, started.loss, params=started.params, spec=started.spec, watch=loop.Watch("test")
  )
  one = fit(plans=[before], streams=broken)
  free = adapted(ground, "domain_adaptation/transducer", 0)
  assert one.loss.size == before.steps == study.steps // 2
  np.testing.assert_allclose(one.loss[0], free.fitted.loss[0], rtol=1e-5)  # the same network, windows and order
  with pytest.raises(clock.DivergedError, match="the loss is nan"):
    fit(plans=[before, after], streams=broken)


def test_without_a_transducer_only_the_labels_are_learnt(ground):
  _, started = transducer_first(ground)
  assert not started.transducers.has_transducers
  assert [sorted(plan.of(started.fed)) for plan in started.plans] == [["source", "target"]]


def test_intervals_without_labels_are_calibrated_behind_the_transducer(ground, monkeypatch):
  monkeypatch.setattr(domains, "transducers_of", lambda *_: FOUND)
  _, target, _ = ground.target("device", 0)
  output = adapted(ground, "domain_adaptation/transducer", 0)
  seen_by, equip = [], uncertainty.equip

  def noted(network, head, detector, train, calibration, where, **options):
    seen_by.append((calibration, where))
    return equip(network, head, detector, train, calibration, where, **options)

  monkeypatch.setattr(uncertainty, "equip", noted)
  for adaptation in (output, dataclasses.replace(output, transducers=None)):
    training.with_intervals(adaptation, ground.trained, ground.source, target, 0)
  (behind, where), (ahead, other) = seen_by
  assert where == other == uncertainty_calibration.OF_SOURCE
  np.testing.assert_array_equal(ahead.x_bt, ground.source.validation.x_bt)
  np.testing.assert_array_equal(behind.y_bt, ahead.y_bt)
  assert np.abs(behind.x_bt - ahead.x_bt).max() > 1.0
