"""What a network answers where its input is unlike its training."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest

from cap_jax import config
from cap_jax.baselines import transfer_function
from cap_jax.data import batches, outliers, scalings
from cap_jax.inference import uncertainty, uncertainty_training
from cap_jax.models import net as nets
from cap_jax.train import checkpoint, checkpoint_schema, checksummed, fallback, uncertainty_calibration
from cap_jax.types import InputError

SPEC = config.Windows()


def filtered(taps: list[float], centre: int, width: int = 63) -> transfer_function.TransferFunction:
  """Returns a filter of `width` taps, the first of them at lag −centre."""
  whole = np.zeros(width)
  first = width // 2 - centre
  whole[first : first + len(taps)] = taps
  return transfer_function.TransferFunction(whole, 2.0)


@pytest.mark.quick
def test_the_way_twice_half_is_the_whole():
  """G = H∗H with an advance of H of 5 samples, so of 10 of G."""
  root = np.array([0.1, 0.6, 0.25, 0.05])
  whole = filtered(list(np.convolve(root, root)), 10)
  half = transfer_function.half_way(whole)
  np.testing.assert_allclose(half.taps, filtered(list(root), 5).taps, atol=1e-6)
  level = np.full((1, 500), 90.0, np.float32)
  np.testing.assert_allclose(half.predict(half.predict(level)), whole.predict(level), atol=1e-3)


@pytest.mark.quick
def test_the_weight_rises_with_the_logit():
  ood_b = np.array([-math.inf, 1.0, 1.3, 4.0, 1e6, math.nan])
  np.testing.assert_allclose(fallback.weight(ood_b, 1.0), [0, 0, 1 - math.exp(-0.04), 1 - math.exp(-4), 1, 0])
  assert fallback.weight(np.array([3.0]), math.inf) == 0


@pytest.mark.quick
def test_the_slow_part_comes_from_the_filter_and_the_fast_part_from_the_network():
  """√G halves a wave of 1 Hz; a ripple of the network, 20 Hz, stays."""
  whole = dataclasses.replace(filtered([0.25], 0), bias=0.0)
  time_s = np.arange(SPEC.samples) / SPEC.fs_hz
  slow_bt, fast_bt = 10 * np.sin(2 * np.pi * time_s)[None], 2 * np.sin(2 * np.pi * 20 * time_s)[None]
  conservative = fallback.Fallback(whole)
  y_bt = conservative.mix(3 * slow_bt + fast_bt, slow_bt, np.ones(1), SPEC.fs_hz)
  inner = slice(SPEC.margin, SPEC.samples - SPEC.margin)
  # the low-pass takes 1.4 % of 1 Hz and lets 0.4 % of 20 Hz through
  np.testing.assert_allclose(y_bt[:, inner], (0.5 * slow_bt + fast_bt)[:, inner], atol=0.4)
  x_bt = slow_bt[:, len(whole.taps) // 2 : -(len(whole.taps) // 2)]
  np.testing.assert_allclose(
    conservative.apart(slow_bt, SPEC.fs_hz), 0.375 * np.sqrt(np.square(x_bt).mean(1)), rtol=1e-3
  )


@pytest.mark.quick
@pytest.mark.parametrize("w", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("lag", [8.0, 6.5])
def test_delays_are_mixed_like_waves(w, lag):
  """Of two equal beats, some samples apart, comes the same beat in between, not two halves of it."""
  time = np.arange(SPEC.samples)

  def beat(late):
    return 80 + 40 * np.exp(-(((time - 250 - late) / 6) ** 2))[None]

  whole = dataclasses.replace(filtered([1.0], 0), bias=0.0)
  y_bt = fallback.Fallback(whole).mix(beat(0), beat(lag), np.array([w]), SPEC.fs_hz)
  np.testing.assert_allclose(y_bt, beat(lag * w), atol=0.05)  # of 40 mmHg


@pytest.mark.quick
def test_the_end_of_a_window_is_as_good_as_its_middle():
  """Up to the margin, where a beat ends in a stream, a window answers as a later one does in which this is inside."""
  root = np.exp(-((np.arange(-31, 32) / 5) ** 2))
  whole = transfer_function.TransferFunction(root / root.sum(), 0.0)
  time_s = np.arange(2 * SPEC.samples) / SPEC.fs_hz
  x_t = 80 + 40 * np.exp(-(((time_s % 0.8 - 0.3) / 0.05) ** 2))
  own_t = 80 + 30 * np.exp(-(((time_s % 0.8 - 0.26) / 0.06) ** 2))

  def answer(first):
    rows = slice(first, first + SPEC.samples)
    return fallback.Fallback(whole).mix(own_t[None, rows], x_t[None, rows], np.ones(1), SPEC.fs_hz)[0]

  for first in (0, 40, 70):
    inner = slice(SPEC.samples - SPEC.margin - 40, SPEC.samples - SPEC.margin)
    later = slice(inner.start - 150, inner.stop - 150)
    np.testing.assert_allclose(answer(first)[inner], answer(first + 150)[later], atol=0.5)


@pytest.mark.quick
@pytest.mark.parametrize(
  ("name", "value"), [("wave", 0.0), ("level", 1.0), ("ood_threshold", math.nan), ("hr_bpm", [200.0]), ("subjects", -5)]
)
def test_a_calibration_of_impossible_values_is_damaged(name, value):
  header = {
    "ood_threshold": 1.0, "level": 0.9, "wave": 2.0, "csbp": 2.0, "hr_bpm": None, "subjects": 20, "where": "made",
    "head": True, "detector": True, "fallback": None,
  }  # fmt: skip
  assert checkpoint_schema.UNCERTAINTY.fault(header) is None
  assert uncertainty_calibration.UncertaintyCalibration.restored(header).wave == 2.0
  place, problem = checkpoint_schema.UNCERTAINTY.fault({**header, name: value})
  assert place.startswith(f".{name}")
  assert "must" in problem


def beats_of(first: int, count: int) -> batches.Pairs:
  """Returns two windows of each of some people: aortic beats, and the same ones later and steeper at the wrist."""
  rng = np.random.default_rng(first)
  time_s = np.arange(SPEC.samples) / SPEC.fs_hz
  x, y, names = [], [], []
  for number in range(first, first + count):
    period_s, width_s, pulse = rng.uniform(0.7, 1.0), rng.uniform(0.07, 0.11), rng.uniform(35, 55)
    for begin_s in rng.uniform(0, 1, 2):
      for waves, late_s, narrower, larger in ((y, 0.0, 1.0, 1.0), (x, 0.06, 0.75, 1.2)):
        turn_s = (time_s + begin_s - late_s) % period_s - 0.3
        waves.append(70 + larger * pulse * np.exp(-((turn_s / (narrower * width_s)) ** 2)) - 8 * turn_s)
      names.append(f"p{number}")
  noise = rng.normal(0, 0.3, (len(x), SPEC.samples))
  return batches.Pairs((np.array(x) + noise).astype(np.float32), np.array(y, np.float32), np.array(names))


@pytest.fixture(scope="module")
def equipped(tiny_model):
  """A network that has learnt nothing, whose detector has learnt its source."""
  training, validation = beats_of(0, 150), beats_of(1000, 60)
  params = nets.make_net(tiny_model).init(jax.random.key(3), SPEC.samples)
  trained = checkpoint.Checkpoint(params=params, model=tiny_model, scaling=scalings.fit(training))
  conservative = uncertainty_training.fit_fallback(trained, training, validation)
  detector = uncertainty.OutlierDetector(
    uncertainty_training.fit_detector(trained, training, 400), fallback=conservative
  )
  return uncertainty.equip(trained, None, detector, training, validation, "made", adapted=False), validation


def strange(windows: batches.Pairs) -> batches.Pairs:
  """Returns windows behind a tubing that no artery is like."""
  x_bt = outliers.through_tubing(windows.y_bt, SPEC.fs_hz, 2.6, 0.05, 3.0, 3)
  return dataclasses.replace(windows, x_bt=x_bt.astype(np.float32))


def test_it_answers_for_the_network_where_the_input_is_unlike_the_training(equipped):
  network, windows = equipped
  intervals = network.uncertainty_calibration
  bare = dataclasses.replace(network, uncertainty_calibration=dataclasses.replace(intervals, fallback=None))
  own, other = (uncertainty.read(one, windows) for one in (bare, network))
  usual = own.ood_b <= intervals.ood_threshold
  assert usual.mean() > 0.9
  np.testing.assert_allclose(other.y_bt[usual], own.y_bt[usual], rtol=1e-6)
  far = strange(windows)
  reading = uncertainty.read(network, far)
  assert np.median(reading.ood_b) > intervals.ood_threshold
  w_b1 = fallback.weight(reading.ood_b, intervals.ood_threshold)[:, None]
  unchanged = uncertainty.read(bare, far)
  y_bt = intervals.fallback.mix(unchanged.y_bt, far.x_bt, w_b1[:, 0], SPEC.fs_hz)
  np.testing.assert_allclose(reading.y_bt, y_bt, atol=1e-3)
  apart_b = intervals.fallback.apart(far.x_bt, SPEC.fs_hz)
  half_width = intervals.wave * (reading.sigma_bt - (1 - w_b1) * unchanged.sigma_bt)
  assert (half_width >= 0.999 * w_b1 * intervals.fallback.wave * apart_b[:, None]).all()


def test_its_intervals_hold_in_other_systems(equipped):
  """In nine of ten systems, nine tenths of the wave lie inside."""
  network, windows = equipped
  rng = np.random.default_rng(5)
  x_bt = np.empty_like(windows.x_bt)
  conservative = network.uncertainty_calibration.fallback
  for subject in windows.subjects:
    rows = windows.subject_b == subject
    x_bt[rows] = outliers.through_any_tubing(windows.y_bt[rows], SPEC.fs_hz, rng)
  bare = dataclasses.replace(network, uncertainty_calibration=None)
  own_bt = uncertainty.read(bare, dataclasses.replace(windows, x_bt=x_bt)).y_bt
  y_bt, apart_b = conservative.mix(own_bt, x_bt, np.ones(len(x_bt)), SPEC.fs_hz), conservative.apart(x_bt, SPEC.fs_hz)
  inner = slice(SPEC.margin, SPEC.samples - SPEC.margin)
  inside_bt = (np.abs(y_bt - windows.y_bt) <= conservative.wave * apart_b[:, None])[:, inner]
  held = [inside_bt[windows.subject_b == subject].mean() for subject in windows.subjects]
  assert np.mean(np.array(held) >= 0.9) == pytest.approx(0.9, abs=0.1)


def test_labels_of_the_target_end_it(equipped):
  network, _ = equipped
  assert uncertainty.inherited_detector(network, labelled=True).fallback is None
  assert uncertainty.inherited_detector(network, labelled=False).fallback == network.uncertainty_calibration.fallback


def test_it_is_stored_and_checked(equipped, tmp_path):
  network, windows = equipped
  folder = tmp_path / "checkpoint"
  checkpoint.save(folder, network)
  again = checkpoint.load(folder)
  np.testing.assert_array_equal(uncertainty.read(again, windows).y_bt, uncertainty.read(network, windows).y_bt)
  path = folder / checksummed.HEADER
  header = json.loads(path.read_text())
  header["uncertainty_calibration"]["fallback"]["taps"] = [1.0, 2.0]
  header["sha256"][checksummed.HEADER] = checksummed._digest_of(header)  # as if written so
  path.write_text(json.dumps(header))
  with pytest.raises(InputError, match="damaged"):
    checkpoint.load(folder)


def test_an_input_without_a_unit_has_none(equipped):
  network, windows = equipped
  unitless = dataclasses.replace(network, scaling=dataclasses.replace(network.scaling, unitless=True))
  assert uncertainty_training.fit_fallback(unitless, windows, windows) is None


def test_windows_that_are_too_long_for_its_matrices_have_no_fallback(equipped):
  network, windows = equipped
  signals = dataclasses.replace(network.signals, windows=config.Windows(seconds=60.0))
  minute = dataclasses.replace(network, signals=signals)
  assert uncertainty_training.fit_fallback(minute, windows, windows) is None
