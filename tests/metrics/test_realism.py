"""Distances of measured from virtual windows on clouds of known position, and the exchange of properties."""

import dataclasses

import numpy as np
import pytest

from cap_jax.data import datasets
from cap_jax.data.sources import nonlinear
from cap_jax.haemodynamics import wave_shape
from cap_jax.inference import pretrained
from cap_jax.metrics import realism, wave_changes
from cap_jax.signals import beats

pytestmark = pytest.mark.quick
FS = 125.0


def cloud(seed, count, offset=0.0):
  values = np.random.default_rng(seed).normal(size=(len(wave_shape.UNITS), count)) + offset
  return dict(zip(wave_shape.UNITS, values, strict=True))


def test_windows_are_cut_between_gaps():
  wave = np.arange(1000.0)
  wave[300] = np.nan
  cut = realism.cut([("a", wave), ("b", wave[:100])], FS, 2.0, 9)
  np.testing.assert_array_equal(cut.x_bt[:, 0], [0, 301, 551])
  assert cut.x_bt.shape == (3, 250)
  assert cut.subject_b.tolist() == ["a"] * 3
  assert len(realism.cut([("a", wave)], FS, 2.0, 1).x_bt) == 1


def test_single_features_are_inside_below_and_above():
  virtual = {"map_mmhg": np.linspace(0, 100, 10_001), "pp_mmhg": np.full(3, np.nan)}
  rows = realism.compare({"map_mmhg": np.array([-1.0, 0.5, 50, 98, 99.5, np.nan]), "pp_mmhg": np.ones(2)}, virtual)
  assert [row.name for row in rows] == ["map_mmhg"]
  assert (rows[0].below, rows[0].inside, rows[0].above) == pytest.approx((0.4, 0.4, 0.2))
  np.testing.assert_allclose(rows[0].virtual, [5, 50, 95])
  assert rows[0].measured[1] == 50


def test_the_same_cloud_is_inside_and_a_distant_one_is_not():
  virtual = cloud(0, 1500)
  assert realism.joint(cloud(1, 1500), virtual).inside == pytest.approx(0.95, abs=0.03)
  assert realism.joint(cloud(1, 200, offset=4.0), virtual).inside == 0
  low = cloud(1, 200) | {"map_mmhg": np.full(200, -9.0)}
  assert realism.joint(low, virtual).inside == 0
  assert realism.joint(low, virtual, realism.SHAPE).inside == pytest.approx(0.95, abs=0.04)
  lacking = cloud(1, 3)
  lacking["decay"][1] = np.nan
  np.testing.assert_array_equal(realism.joint(lacking, virtual).rows, [0, 2])
  with pytest.raises(ValueError, match="more than 5 virtual windows"):
    realism.joint(lacking, cloud(0, 5))


def test_a_network_calls_its_own_kind_inside_and_the_upside_down_outside():
  trained = pretrained_network()
  windows = virtual_windows()
  result = realism.by_network(trained, windows)
  assert result.threshold == trained.uncertainty_calibration.ood_threshold
  assert result.inside > 0.9
  down = windows._replace(x_bt=2 * windows.x_bt.mean(1, keepdims=True) - windows.x_bt)
  assert realism.by_network(trained, down).inside == 0
  with pytest.raises(ValueError, match="no detector"):
    realism.by_network(dataclasses.replace(trained, uncertainty_calibration=None), windows)


def pretrained_network():
  return pretrained.load()


def virtual_windows():
  """Radial beats of the nonlinear solver, repeated."""
  waves = []
  for entry in nonlinear.load().entries[:40]:
    recording = datasets.read(entry)
    time_s = np.arange(500) / FS
    period_s = recording.time_s[-1] + np.diff(recording.time_s).mean()
    waves.append((entry.subject, np.interp(time_s, recording.time_s, recording.signals["radial"], period=period_s)))
  return realism.cut(waves, FS, 4.0, 1)


def window(rate_bpm, level, pulse, peak=0.15, seconds=4.0):
  turn = np.arange(round(seconds * FS)) / FS * rate_bpm / 60 % 1
  beat = np.interp(turn, [0, peak, 1], [0, 1, 0])
  return level + pulse * (beat - 0.5)


def test_a_change_gives_a_window_one_property_of_another():
  own, donor = window(72, 95, 40), window(100, 60, 70, peak=0.4)
  apply = {name: change(own, donor, FS) for name, change in wave_changes.CHANGES.items()}
  np.testing.assert_array_equal(apply["nothing"], own)
  assert apply["mean pressure"].mean() == pytest.approx(donor.mean())
  assert np.ptp(apply["mean pressure"]) == pytest.approx(np.ptp(own))
  assert np.ptp(apply["pulse pressure"]) == pytest.approx(np.ptp(donor), rel=0.05)
  assert apply["pulse pressure"].mean() == pytest.approx(own.mean(), abs=0.01)
  assert beats.heart_rate(apply["heart rate"], FS) == pytest.approx(100, rel=0.03)
  assert np.ptp(apply["heart rate"]) == pytest.approx(np.ptp(own), rel=0.05)
  shaped = apply["shape of the beat"]
  assert beats.heart_rate(shaped, FS) == pytest.approx(72, rel=0.03)
  values = wave_shape.of_window(shaped, FS)
  assert values["peak_ms"] == pytest.approx(0.4 * 60_000 / 72, rel=0.1)
  assert values["pp_mmhg"] == pytest.approx(40, rel=0.05)
  everything = wave_shape.of_window(apply["heart rate, mean and pulse pressure, shape"], FS)
  for name, value in {"hr_bpm": 100, "map_mmhg": 60, "pp_mmhg": 70, "peak_ms": 240}.items():
    assert everything[name] == pytest.approx(value, rel=0.1), name


def test_noise_and_swing_are_exchanged():
  own = window(72, 95, 40)
  time_s = np.arange(own.size) / FS
  noisy = own + 0.7 * np.sin(2 * np.pi * 45 * time_s)
  assert np.std(wave_changes.noise(own, noisy, FS) - own) == pytest.approx(0.7 / np.sqrt(2), rel=0.15)
  assert np.std(wave_changes.noise(noisy, own, FS) - own) < 0.15
  moving = own + 5 * np.sin(2 * np.pi * 0.25 * time_s)
  swings = [wave_shape.of_window(x, FS)["swing_mmhg"] for x in (own, wave_changes.swing(own, moving, FS), moving)]
  assert swings[0] < 0.3
  assert swings[1] == pytest.approx(swings[2], rel=0.3)


def test_exchange_draws_a_donor_for_each_window():
  own = realism.WindowSet(np.stack([window(72, 95, 40)] * 3), np.array(["a", "a", "b"]), FS)
  donors = realism.WindowSet(np.stack([window(60, level, 50) for level in (60, 70)]), np.array(["x", "y"]), FS)
  changed = wave_changes.exchange(own, donors, wave_changes.level)
  assert set(np.round(changed.x_bt.mean(1)).tolist()) <= {60.0, 70.0}
  assert changed.subject_b.tolist() == ["a", "a", "b"]
