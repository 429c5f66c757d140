"""What is said of reconstructed waves on real records: plausibility by known waves, calibration by the record's first seconds alone."""

import dataclasses

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import batches, recordings
from cap_jax.signals import calibration
from cap_jax.study import real, sim_to_real
from tests.signals.test_synchrony import pulses

pytestmark = pytest.mark.quick
SPEC = config.Windows()


def windows(p_t):
  return p_t[: len(p_t) // SPEC.samples * SPEC.samples].reshape(-1, SPEC.samples)


def with_notch(p_t, depth):
  """A bump after each peak, as of a dicrotic wave."""
  later = np.roll(p_t, 42) - p_t.min()
  return p_t + depth * later


def test_plausibility_of_known_waves():
  radial = windows(pulses(125.0, 60, seed=2))
  result = real.plausibility(radial, 0.7 * (radial - radial.mean()) + radial.mean() + 1.0, SPEC)
  assert result.beats > 40
  assert result.pulse_share == 1.0
  assert result.amplification == pytest.approx(1 / 0.7, abs=0.01)
  assert result.map_offset_mmhg == pytest.approx(1.0, abs=0.3)
  assert result.map_share == 1.0
  too_big = real.plausibility(radial, 1.3 * radial + 10, SPEC)
  assert too_big.pulse_share == 0.0
  assert too_big.map_share == 0.0
  assert real.plausibility(np.ones((2, 500)), np.ones((2, 500)), SPEC).beats == 0


def test_a_notch_is_a_halt_in_the_fall():
  plain = windows(pulses(125.0, 60, seed=2, smooth=1.5))
  assert not real.plausibility(plain, plain, SPEC).notch
  notched = windows(with_notch(pulses(125.0, 60, seed=2, smooth=1.5), 0.4))
  assert real.plausibility(notched, notched, SPEC).notch


def record(drift=0.0):
  pressure = pulses(125.0, 120, seed=5)
  pressure = pressure + drift * np.linspace(0, 1, pressure.size)
  waves = {"digital_ppg": pulses(125.0, 120, seed=5) / 50 - 7, "radial": pressure}
  units = {"digital_ppg": "1", "radial": "mmHg"}
  return recordings.Recording(subject="s", time_s=np.arange(pressure.size) / 125, signals=waves, units=units)


def test_a_reading_sees_the_first_seconds_alone():
  calm, risen = (real.calibrated_at_first(record(drift), "digital_ppg", "radial") for drift in (0.0, 60.0))
  assert calm.time_s[0] == pytest.approx(30.0)
  result = calibration.levels(calm.signals["digital_ppg"], 125.0)
  assert result.systolic == pytest.approx(120.0, abs=1.0)
  assert result.diastolic == pytest.approx(80.0, abs=1.0)
  # a pressure that rises later must not be known: of the rise of 60 mmHg in 120 s the reading sees 7.5 on the mean
  later = calibration.levels(risen.signals["digital_ppg"], 125.0)
  assert later.systolic == pytest.approx(127.5, abs=1.5)
  assert calm.units["digital_ppg"] == "mmHg"
  late = dataclasses.replace(record(), signals={**record().signals, "radial": np.full(15000, np.nan)})
  assert real.calibrated_at_first(late, "digital_ppg", "radial") is None


def test_each_record_is_left_out_once_and_none_outweighs():
  def some(name, count):
    x = np.arange(count * 3, dtype=float).reshape(count, 3)
    return batches.Pairs(x, x, np.array([name] * count))

  result = {"a": some("a", 50), "b": some("b", 4), "c": some("c", 9)}
  for name, others in real.leave_one_out(result):
    assert name not in others.subjects
    assert len(others.x_bt) == 63 - len(result[name].x_bt)
  few = real.balanced(real.join(list(result.values())), 6)
  assert [(few.subject_b == name).sum() for name in "abc"] == [6, 4, 6]


def test_subjects_without_a_whole_window_are_left_out():
  short = dataclasses.replace(record(), subject="short", time_s=np.arange(300) / 125)
  short = dataclasses.replace(short, signals={name: wave[:300] for name, wave in short.signals.items()})
  assert list(sim_to_real.windows_of([record(), short], "radial", "radial", SPEC)) == ["s"]
