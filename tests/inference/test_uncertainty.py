"""Intervals hold what they promise, and say so where they cannot."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from cap_jax.data import batches, recordings, scalings, splits
from cap_jax.inference import reconstruct, uncertainty, uncertainty_training
from cap_jax.models import net
from cap_jax.signals import filters
from cap_jax.study import methods, study_runner
from cap_jax.train import checkpoint

RNG = np.random.default_rng(0)


@pytest.mark.quick
def test_the_quantile_by_hand():
  """Three subjects: each has 1/4 of the weight, the fourth lies at infinity."""
  scores = [np.array([1.0, 3.0]), np.array([2.0]), np.array([5.0, 4.0])]
  assert uncertainty.conformal(scores, 0.5) == 3.0  # 1: 1/8, 2: 3/8, 3: 4/8
  assert uncertainty.conformal(scores, 0.75) == 5.0
  assert uncertainty.conformal(scores, 0.76) == math.inf
  assert uncertainty.conformal([np.arange(1.0, 10.0)[k : k + 1] for k in range(9)], 0.9) == 9.0  # ⌈10 · 0.9⌉-th of nine
  # nine subjects of minutes each reach 0.9 with their last score, whatever their many weights sum to
  several = [np.linspace(k, k + 1, 90 * 88) for k in range(9)]
  assert uncertainty.conformal(several, 0.9) == 9.0
  with pytest.raises(ValueError, match="at least one score for every subject"):
    uncertainty.conformal([np.zeros(0)], 0.5)


@pytest.mark.quick
def test_it_covers_a_beat_of_a_new_subject_however_alike_its_beats_are():
  """Plain pooling of correlated beats covers less than it says when subjects are few; weights by subject do not."""
  frozen = []
  for _ in range(400):
    people = [abs(RNG.normal() * RNG.uniform(0.5, 2)) + 0.05 * RNG.random(RNG.integers(2, 60)) for _ in range(13)]
    frozen.append((people[-1] <= uncertainty.conformal(people[:-1], 0.9)).mean())
  assert 0.88 < np.mean(frozen) < 0.97  # 0.9 to 0.9 + 1/13


@pytest.fixture(scope="module")
def detector(network):
  """A detector of these beats, taught on many of them."""
  return uncertainty.OutlierDetector(uncertainty_training.fit_detector(network, people(1000, 300, 2.0), 300))


@pytest.fixture(scope="module")
def network(tiny_model):
  """It answers its input; so errors are what the labels hold more."""
  params = net.make_net(tiny_model).init(jax.random.key(0), 500)
  params["r"]["wave"] = jax.tree.map(np.zeros_like, params["r"]["wave"])
  return checkpoint.Checkpoint(params=params, model=tiny_model, scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0))


def beat_wave(count):
  t = np.arange(500) / 125
  at = t[None, :] + RNG.random((count, 1))
  return (70 + 45 * np.exp(-(((at % 0.8) - 0.25) ** 2) / 0.006)).astype(np.float32)


def people(first, count, sd, hop=0.0):
  """Subjects of two windows each whose truth is off by noise, systole more than diastole."""
  x = beat_wave(2 * count)
  y = x + sd * RNG.normal(size=x.shape) * (0.2 + (x > 95)) + hop
  return batches.Pairs(x, y.astype(np.float32), np.repeat([f"p{first + k}" for k in range(count)], 2))


def test_intervals_cover_new_subjects_of_the_same_kind_and_widen_where_errors_are(network):
  training, calibration, fresh = people(0, 60, 2.0), people(100, 40, 2.0), people(200, 60, 2.0)
  head = uncertainty_training.fit_head(network, training)
  result = uncertainty.equip(network, head, None, training, calibration, "made")
  observed = uncertainty.coverage(result, fresh)
  assert np.mean([one.wave for one in observed]) == pytest.approx(0.9, abs=0.03)
  assert np.mean([one.csbp for one in observed]) == pytest.approx(0.9, abs=0.06)
  made = uncertainty.read(result, fresh)
  systole = fresh.x_bt > 100
  assert made.sigma_bt[systole].mean() > 2 * made.sigma_bt[fresh.x_bt < 80].mean()
  # a level width covers as much and is wider
  level = uncertainty.equip(network, None, None, training, calibration, "made")
  plain = uncertainty.coverage(level, fresh)
  assert np.mean([one.wave for one in plain]) == pytest.approx(0.9, abs=0.03)
  assert np.mean([one.half_width_mmhg for one in observed]) < np.mean([one.half_width_mmhg for one in plain])
  assert all(one.csbp_half_width_mmhg == pytest.approx(level.uncertainty_calibration.csbp) for one in plain)
  # errors are large at the peak, and so is the interval there
  assert all(one.csbp_half_width_mmhg > one.half_width_mmhg for one in observed)


def test_it_records_the_heart_rates_of_the_training(network):
  training = people(0, 3, 2.0)
  training.x_bt[0] = beat_wave(1)[0, np.arange(500) * 3 // 2 % 500]  # half as fast again
  result = uncertainty.equip(network, None, None, training, people(100, 10, 2.0), "made")
  low, high = result.uncertainty_calibration.hr_bpm
  assert low == pytest.approx(75.0, abs=1.0)
  assert high == pytest.approx(112.5, abs=2.0)


def test_the_head_leaves_the_wave_as_it_is(network):
  training = people(0, 20, 2.0)
  result = uncertainty.equip(
    network, uncertainty_training.fit_head(network, training), None, training, people(50, 20, 2.0), "made"
  )
  for a, b in zip(jax.tree.leaves(network.params), jax.tree.leaves(result.params), strict=True):
    np.testing.assert_array_equal(a, b)


def test_out_of_distribution_it_covers_less_and_flags(network, detector):
  training, calibration = people(0, 40, 2.0), people(100, 60, 2.0)
  result = uncertainty.equip(network, None, detector, training, calibration, "made")
  shifted = people(200, 20, 2.0, hop=9.0)
  assert np.mean([one.wave for one in uncertainty.coverage(result, shifted)]) < 0.5
  same = uncertainty.coverage(result, people(300, 60, 2.0))
  assert np.mean([one.ood_fraction for one in same]) < 0.06
  other = people(400, 20, 2.0)
  smooth = filters.lowpass(other.x_bt, 125.0, 1.5).astype(np.float32)
  for strange_bt in (smooth, 2 * other.x_bt.mean(1, keepdims=True) - other.x_bt):
    strange = dataclasses.replace(other, x_bt=strange_bt)
    assert np.mean([one.ood_fraction for one in uncertainty.coverage(result, strange)]) > 0.9
  assert np.isnan(
    uncertainty.coverage(uncertainty.equip(network, None, None, training, calibration, "made"), other)[0].ood_fraction
  )


def test_a_transferred_network_inherits_the_detector_and_its_threshold(network, detector):
  """A target is not unlike the training because it differs from itself, but its own waves may raise the threshold."""
  training, calibration = people(0, 40, 2.0), people(100, 60, 2.0)
  source = uncertainty.equip(network, None, detector, training, calibration, "made")
  inherited = uncertainty.inherited_detector(source, labelled=True)
  border = source.uncertainty_calibration.ood_threshold
  assert inherited.threshold == border
  alike = uncertainty.equip(network, None, inherited, people(500, 5, 2.0), people(600, 5, 2.0), "made")
  assert alike.uncertainty_calibration.ood_threshold == pytest.approx(border, abs=3.0)
  assert alike.uncertainty_calibration.ood_threshold >= border
  waves = people(700, 10, 2.0)
  strange = dataclasses.replace(waves, x_bt=2 * waves.x_bt.mean(1, keepdims=True) - waves.x_bt)
  other = uncertainty.equip(network, None, inherited, people(800, 5, 2.0), strange, "made")
  assert other.uncertainty_calibration.ood_threshold > border + 1
  assert np.mean([one.ood_fraction for one in uncertainty.coverage(other, strange)]) == 0
  assert uncertainty.inherited_detector(network, labelled=False) is None


def test_without_labels_intervals_are_no_narrower_than_those_of_the_source_network(network):
  """Both answer their input. The source network was calibrated in clinics whose zeros are wrong, the other one was not."""
  head = network.net.init(jax.random.key(1), 500)["r"]
  right = people(100, 60, 2.0)
  zero_b1 = np.repeat(RNG.uniform(-5, 5, 60), 2)[:, None].astype(np.float32)
  wrong = dataclasses.replace(right, x_bt=right.x_bt + zero_b1)
  source, own = (uncertainty.equip(network, head, None, people(0, 20, 2.0), part, "made") for part in (wrong, right))
  bounded = uncertainty.at_least(own, source)
  for name in ("wave", "csbp"):
    mine, theirs = (getattr(one.uncertainty_calibration, name) for one in (own, source))
    assert mine < 0.9 * theirs
    assert getattr(bounded.uncertainty_calibration, name) == theirs
  other = uncertainty.equip(network, None, None, people(0, 20, 2.0), right, "made")
  assert uncertainty.at_least(other, source) is other  # σ of another kind


def test_too_few_subjects_make_the_interval_infinite_and_it_is_stored(network, detector, tmp_path):
  training = people(0, 20, 2.0)
  head = uncertainty_training.fit_head(network, training)
  result = uncertainty.equip(network, head, detector, training, people(50, 5, 2.0), "made")
  assert result.uncertainty_calibration.wave == math.inf
  assert result.uncertainty_calibration.lacking == "intervals of 90 % need 9 calibration subjects, but there are 5"
  observed = uncertainty.coverage(result, people(80, 3, 2.0))
  assert all(np.isnan([one.wave, one.csbp]).all() for one in observed)  # what holds everything says nothing
  assert np.isfinite(result.uncertainty_calibration.ood_threshold)  # by the largest score of five
  assert all(one.half_width_mmhg == one.csbp_half_width_mmhg == math.inf for one in observed)
  assert (
    uncertainty.equip(network, None, None, training, people(50, 9, 2.0), "made").uncertainty_calibration.lacking == ""
  )
  checkpoint.save(tmp_path / "checkpoint", result)
  again = checkpoint.load(tmp_path / "checkpoint").uncertainty_calibration
  bare = [dataclasses.replace(one, head=None, detector=None) for one in (again, result.uncertainty_calibration)]
  assert bare[0] == bare[1]
  for part in ("head", "detector"):
    pairs = (jax.tree.leaves(getattr(one, part)) for one in (again, result.uncertainty_calibration))
    for a, b in zip(*pairs, strict=True):
      np.testing.assert_array_equal(a, b)


def test_who_was_trained_on_cannot_calibrate(network):
  training = people(0, 20, 2.0)
  with pytest.raises(splits.LeakError):
    uncertainty.equip(network, None, None, training, people(19, 5, 2.0), "made")
  with pytest.raises(ValueError, match="no calibrated intervals"):
    uncertainty.coverage(network, training)


def test_a_record_carries_its_interval_and_its_flag(network, detector):
  training, calibration = people(0, 40, 2.0), people(100, 60, 2.0)
  result = uncertainty.equip(network, None, detector, training, calibration, "made")
  t = np.arange(2500) / 125
  wave = 70 + 45 * np.exp(-(((t % 0.8) - 0.25) ** 2) / 0.006)
  record = recordings.Recording(subject="r", time_s=t, signals={"radial": wave}, units={"radial": "mmHg"})
  made = reconstruct.reconstruct(result, record)
  np.testing.assert_allclose(made.half_width_mmhg, result.uncertainty_calibration.wave, rtol=1e-4)
  assert all(
    beat.csbp_half_width_mmhg == pytest.approx(result.uncertainty_calibration.csbp, rel=1e-4) for beat in made.beats
  )
  assert made.ood_fraction < 0.3
  smooth = dataclasses.replace(record, signals={"radial": filters.lowpass(wave, 125.0, 1.5)})
  assert reconstruct.reconstruct(result, smooth).ood_fraction == 1.0
  stripped = reconstruct.reconstruct(network, record)
  assert np.isnan(stripped.ood_fraction)
  assert np.isnan(stripped.half_width_mmhg).all()
  assert "csbp_half_width_mmhg" not in reconstruct.summary(stripped.beats)


def test_the_study_calibrates_on_who_it_may_see(small_study, done_study):
  """Without target labels on the source's validation subjects, with labels on the target's."""
  working = study_runner.StudyRunner(small_study, str(done_study))
  study, target, _ = working.target("device", 0)
  ground = methods.MethodInputs(
    study=study,
    source=working.source,
    target=target,
    trained=working.trained,
    published=working.published,
    n_target=2,
    seed=0,
  )
  tuned = methods.strategy(study, "feature_transfer").run(ground).network.uncertainty_calibration
  assert tuned.subjects == len(target.validation.subjects)
  free = dataclasses.replace(ground, n_target=0)
  adapted = methods.strategy(study, "domain_adaptation").run(free).network.uncertainty_calibration
  assert adapted.subjects == len(working.source.validation.subjects)
  assert adapted.where != tuned.where
  assert tuned.head is not None


@pytest.mark.slow
def test_a_head_of_another_kind_takes_no_spread_from_the_source(small_study, done_study):
  other = dataclasses.replace(small_study.model, head_channels=16)
  study = dataclasses.replace(small_study, target_model=other)
  working = study_runner.StudyRunner(study, str(done_study))
  clinic, target, evaluator = working.target("device", 0)
  ground = methods.MethodInputs(
    study=clinic,
    source=working.source,
    target=target,
    trained=working.trained,
    published=working.published,
    n_target=2,
    seed=0,
  )
  made = methods.strategy(clinic, "feature_transfer").run(ground)
  assert made.network.uncertainty_calibration.head is None
  assert len(evaluator.errors(made.predicted_bt)) == 4
