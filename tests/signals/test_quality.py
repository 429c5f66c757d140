"""Gaps and their reasons."""

import numpy as np
import pytest

from cap_jax.signals import quality

pytestmark = pytest.mark.quick


def record(seconds=20, fs=100):
  t = np.arange(seconds * fs) / fs
  return t, 90 + 20 * np.sin(2 * np.pi * 1.2 * t)


def test_a_clean_record_is_one_span():
  t, p = record()
  good, gaps = quality.find_spans(t, p)
  assert [(s.start, s.stop) for s in good] == [(0, 2000)]
  assert gaps == []


def test_each_kind_of_gap_is_found_and_named():
  t, p = record()
  p[300:350] = np.nan
  p[700] = 400.0
  p[1000:1400] = 90.0
  good, gaps = quality.find_spans(t, p)
  assert [g.reason for g in gaps] == ["no data", "outside 15–320 mmHg", "flat line"]
  assert (gaps[0].start, gaps[0].stop) == (300, 350)
  assert (gaps[1].start, gaps[1].stop) == (700, 701)
  assert abs(gaps[2].start - 1000) < 20
  assert abs(gaps[2].stop - 1400) < 20
  assert [s.start for s in good][:3] == [0, 350, 701]


def test_a_pause_of_the_clock_ends_a_span():
  t, p = record()
  t = np.where(np.arange(2000) >= 900, t + 1.5, t)
  good, gaps = quality.find_spans(t, p)
  assert [(s.start, s.stop) for s in good] == [(0, 900), (900, 2000)]
  assert gaps[0].reason == "pause of 1.51 s in the clock"


@pytest.mark.parametrize("alive_s", [0.0, 3.0])
def test_a_dead_sensor_of_any_unit_is_a_flat_line(alive_s):
  """Nearly all of 80 s, so that the wave's usual range is nothing."""
  time_s = np.arange(0, 80, 0.008)
  x_t = np.where(time_s < alive_s, np.sin(2 * np.pi * time_s), 0.5)
  spans, gaps = quality.find_finite(time_s, x_t)
  assert sum(span.stop - span.start for span in spans) <= 125 * (alive_s + 1.5)
  assert gaps[-1].reason == "flat line"


def test_a_record_without_pulse_has_no_span():
  t, _ = record()
  good, gaps = quality.find_spans(t, np.full(2000, 80.0))
  assert good == []
  assert gaps[0].reason == "flat line"
  assert gaps[0].stop == 2000
