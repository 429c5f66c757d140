"""Long records are processed in blocks, whose size changes nothing."""

import numpy as np
import pytest

from cap_jax.signals import beat_quality, beats, blocks, clocks, filters, quality, synchrony, windows

pytestmark = pytest.mark.quick

FS_HZ = 125.0


def record(seconds=90, fs_hz=FS_HZ, seed=0, top=110.0):
  """A pulse whose rate, height and level change, with noise, gaps and faults, cut off at `top`."""
  rng, t = np.random.default_rng(seed), np.arange(int(seconds * fs_hz)) / fs_hz
  turn = np.cumsum(1.1 + 0.2 * np.sin(t / 7)) / fs_hz
  u = turn % 1
  strength = np.where(np.floor(turn) % 9 == 0, 0.5, 1.0)
  p = 70 + 3 * np.sin(t) + strength * (45 + 5 * np.sin(t / 11)) * np.exp(-((u - 0.2) ** 2) / 0.006)
  p += 12 * np.exp(-((u - 0.45) ** 2) / 0.01) + rng.normal(0, 0.3, t.size)
  for at, harm in ((0.1, np.nan), (0.3, 400.0), (0.5, 77.0), (0.7, -32768.0)):
    p[int(at * t.size) : int(at * t.size) + int(fs_hz * rng.uniform(0.02, 3))] = harm
  p[int(0.85 * t.size) : int(0.88 * t.size)] += 25 * np.sin(np.arange(int(0.88 * t.size) - int(0.85 * t.size)) / 4)
  return t, np.where(p < 390, np.minimum(p, top), p)


def same(function, monkeypatch, sizes=(257, 1500)):
  """Returns the result of a function, after comparing it with that in small blocks."""
  whole = function()
  for size in sizes:
    monkeypatch.setattr(blocks, "SAMPLES", size)
    for one, other in zip(function(), whole, strict=True):
      np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)
  return whole


def test_blocks_cover_a_record_once():
  for size in (0, 1, blocks.SAMPLES, 3 * blocks.SAMPLES + 7):
    cuts = list(blocks.cut(size, multiple=10))
    assert [a for a, _ in cuts] == [0, *(b for _, b in cuts)][: len(cuts)]
    assert all((b - a) % 10 == 0 for a, b in cuts[:-1])
    assert (cuts[-1][1] if cuts else 0) == size


def test_runs_are_those_of_true_samples():
  for mask in ([], [True], [False], [True, True, False, True], [False, True, True, False], [False, False, True]):
    expected = [(part.start, part.stop) for part in np.ma.clump_masked(np.ma.masked_where(mask, mask))] if mask else []
    assert blocks.runs(np.array(mask, dtype=bool)).tolist() == [list(run) for run in expected]


def test_the_line_through_a_clock_is_that_of_least_squares(monkeypatch):
  time_s = 1.7e9 + np.arange(5000) / 250 + np.random.default_rng(0).uniform(0, 0.01, 5000)
  step_s, first_s = same(lambda: clocks.line(time_s), monkeypatch)
  expected = np.polyfit(np.arange(5000), time_s - time_s[0], 1)
  assert step_s == pytest.approx(expected[0], rel=1e-9)
  assert first_s - time_s[0] == pytest.approx(expected[1], abs=1e-6)
  assert clocks.median_step(time_s) == np.median(np.diff(time_s))


def test_a_part_of_a_filtered_wave_is_that_part_of_the_filtered_whole():
  wave = record()[1][:1000]
  for cutoff_hz in (10.0, 16.0, 50.0, 62.0, 70.0):
    whole = filters.lowpass(wave, FS_HZ, cutoff_hz)
    for start, stop in ((0, 10), (300, 420), (990, 1000), (0, 1000)):
      part = filters.lowpass_part(wave, start, stop, FS_HZ, cutoff_hz)
      np.testing.assert_allclose(part, whole[start:stop], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
  ("fs_hz", "new_hz"), [(250.0, 125.0), (125.0, 250.0), (124.945, 125.0), (60.0, 125.0), (1000.0, 125.0)]
)
def test_a_resampled_wave_does_not_depend_on_blocks(monkeypatch, fs_hz, new_hz):
  t = np.arange(int(20 * fs_hz)) / fs_hz
  wave = 90 + 20 * np.sin(2 * np.pi * 1.3 * t) + np.random.default_rng(0).normal(0, 1, t.size)
  at_s = np.arange(int(19.5 * new_hz)) / new_hz
  (whole,) = same(lambda: [filters.resample(t, wave, at_s)], monkeypatch)
  steps_s = (clocks.median_step(t), clocks.median_step(at_s))
  reach, own = filters.reach(*steps_s), slice(700, 800)
  first, last = (int(place) for place in np.searchsorted(t, at_s[own][[0, -1]]))
  near = slice(max(first - reach, 0), last + reach)
  np.testing.assert_allclose(filters.resample(t[near], wave[near], at_s[own], steps_s), whole[own], rtol=0, atol=1e-9)


def test_spans_rails_and_clocks_do_not_depend_on_blocks(monkeypatch):
  t, p = record()
  late_s = np.maximum.accumulate(
    t + np.random.default_rng(0).uniform(0, 0.02, 1 + t.size // 32)[np.arange(t.size) // 32]
  )

  def found():
    spans = [one for find in (quality.find_spans, quality.find_finite) for part in find(t, p) for one in part]
    return [
      np.array([(span.start, span.stop) for span in spans]),
      beat_quality.at_rails(p, FS_HZ, quality.is_plausible(p)),
      quality.regular_clock(late_s + 1e-6 * np.arange(t.size)),
      quality.flat(p, FS_HZ),
      np.array([synchrony.polarity(x, FS_HZ) for x in (p, -p)]),
    ]

  _, rails, *_ = same(found, monkeypatch)
  assert rails.sum() > 100


@pytest.mark.parametrize("harm", ["none", "strong", "few"])
def test_feet_and_faults_do_not_depend_on_blocks(monkeypatch, harm):
  """For a few pieces of a record, which are compared with one another."""
  t, p = record(240)
  p = np.where(quality.is_plausible(p), p, np.nan)
  if harm == "strong":
    p = p + np.where(t % 20 < 6, 15 * np.random.default_rng(1).normal(size=t.size), 0)
  pieces = [p[a:b] for a, b in blocks.runs(np.isfinite(p)).tolist() if b - a > 20]
  pieces = pieces[:1] if harm == "few" else pieces
  rails = [x_t >= 110 for x_t in pieces]

  def found():
    assessed = beat_quality.assess_pieces(pieces, FS_HZ, True, rails)
    return [array for one in assessed for array in (one.feet, *one.faults.values(), np.array(one.flushed_ends))]

  feet, *_ = same(found, monkeypatch)
  assert feet.size > 10


def test_blended_windows_do_not_depend_on_their_groups_and_may_replace_what_they_were_cut_from():
  x_t = np.random.default_rng(0).normal(size=2111)
  starts = windows.starts_covering(x_t.size, 500, 250)
  frames = np.stack([x_t[start : start + 500] + start for start in starts])
  whole = windows.Blend(starts, 500, 31)
  whole.add(frames)
  for size in (1, 3):
    place_t = x_t.copy()
    blend = windows.Blend(starts, 500, 31, place_t)
    for row in range(0, len(starts), size):
      assert np.array_equal(place_t[starts[row] :], x_t[starts[row] :])  # not read yet
      blend.add(frames[row : row + size])
    np.testing.assert_allclose(place_t, whole.wave_t, rtol=0, atol=1e-9)


def test_the_nearest_of_some_values():
  values, to = np.array([2, 5, 9]), np.array([-3, 3, 4, 7, 8, 40])
  np.testing.assert_array_equal(beats.nearest(values, to), [2, 2, 5, 5, 9, 9])
  np.testing.assert_array_equal(beats.nearest(values[:1], to), [2] * 6)


def test_pressures_between_some_feet_are_those_of_the_wave():
  x_t, feet = np.random.default_rng(0).normal(90, 10, 900), np.arange(5, 890, 60)
  kept = feet[[0, 2, 3, 7, 14]]
  merged, expected = beats.merged(beats.pressures(x_t, feet), feet, kept), beats.pressures(x_t, kept)
  for name in ("systolic", "diastolic", "pulse", "mean"):
    np.testing.assert_allclose(getattr(merged, name), getattr(expected, name), rtol=1e-12)
  assert beats.merged(beats.pressures(x_t, feet), feet, feet[:1]).mean.size == 0
