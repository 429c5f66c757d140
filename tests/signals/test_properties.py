"""What holds of any wave, any split and any journal; examples are drawn by hypothesis, always the same ones."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cap_jax.data import scalings, splits
from cap_jax.signals import beat_quality, beats, quality, windows
from cap_jax.train import metrics_writer
from tests.signals.test_windows import blended

pytestmark = pytest.mark.quick

EVERY = settings(derandomize=True, max_examples=150, deadline=None)
ANY = st.floats(-1e4, 1e4, width=32) | st.just(float("nan"))
WAVES = arrays.arrays(np.float64, st.integers(2, 900), elements=ANY)
FINITE = arrays.arrays(np.float64, st.integers(2, 900), elements=st.floats(-1e4, 1e4, width=32))
NAMES = st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=30, unique=True)


@EVERY
@given(WAVES, st.sampled_from([0.01, 1 / 125, 0.5]), st.booleans())
def test_spans_and_gaps_share_out_a_record(x_t, step_s, pressure):
  find = quality.find_spans if pressure else quality.find_finite
  good, lost = find(np.arange(x_t.size) * step_s, x_t)
  owners = np.zeros(x_t.size, int)
  for span in (*good, *lost):
    assert 0 <= span.start <= span.stop <= x_t.size
    owners[span.start : span.stop] += 1
  assert (owners == 1).all()
  assert all(np.isfinite(x_t[span.start : span.stop]).all() for span in good)
  assert all(span.reason for span in lost)


@EVERY
@given(FINITE, st.sampled_from([60.0, 125.0, 500.0]))
def test_feet_rise_and_lie_in_the_record(x_t, fs_hz):
  feet = beats.find_feet(x_t, fs_hz)
  assert (np.diff(feet) > 0).all()
  assert len(feet) == 0 or (feet[0] >= 0 and feet[-1] < x_t.size)
  result = beat_quality.assess(x_t, fs_hz, feet, True, beat_quality.at_rails(x_t, fs_hz))
  assert all(len(bad_k) == max(len(feet) - 1, 0) for bad_k in result.values())


@EVERY
@given(FINITE, st.integers(0, 700), st.integers(0, 700))
def test_a_lengthened_record_holds_the_record(x_t, before, after):
  longer = windows.extend_periodically(x_t, 125.0, before, after)
  assert longer.size == before + x_t.size + after
  np.testing.assert_array_equal(longer[before : before + x_t.size], x_t)
  assert np.isfinite(longer).all()


@EVERY
@given(
  arrays.arrays(np.float64, st.integers(40, 400), elements=st.floats(-300, 300, width=32)),
  st.integers(16, 40),
  st.integers(1, 16),
  st.integers(1, 5),
)
def test_blending_what_was_cut_gives_the_record(x_t, length, hop, margin):
  starts = windows.starts_covering(x_t.size, length, hop)
  cut = np.stack([x_t[start : start + length] for start in starts])
  np.testing.assert_allclose(blended(cut, starts, margin), x_t, atol=1e-6)


@EVERY
@given(NAMES, st.integers(2, 8), st.integers(0, 2**31))
def test_folds_test_everybody_once_and_never_whom_they_train_on(names, folds, seed):
  folds = min(folds, len(names))
  result = splits.k_fold(names, folds, seed)
  assert sorted(name for fold in result for name in fold.subjects["test"]) == sorted(names)
  for fold in result:
    assert not set(fold.subjects["test"]) & set(fold.subjects["training"])
    assert len(fold.subjects["test"]) + len(fold.subjects["training"]) == len(names)


@EVERY
@given(NAMES, st.data())
def test_a_subject_in_two_parts_raises(names, data):
  twice = data.draw(st.sampled_from(names))
  others = tuple(name for name in names if name != twice)
  with pytest.raises(splits.LeakError):
    splits.Split({"training": (*others, twice), "test": (twice,)})


@EVERY
@given(st.floats(-50, 200), st.floats(0.1, 100), FINITE)
def test_scaling_is_undone(mean, sd, x_t):
  scaling = scalings.Scaling(mean_mmhg=mean, sd_mmhg=sd)
  np.testing.assert_allclose(scaling.unscale(scaling.scale(x_t)), x_t, atol=1e-5 * (1 + np.abs(x_t).max() + abs(mean)))


ROWS = st.lists(
  st.tuples(st.text(max_size=8), st.integers(0, 5000), st.floats(allow_nan=True)),
  max_size=12,
  unique_by=lambda row: row[:2],
)


@EVERY
@given(ROWS, st.integers(0, 400))
def test_a_journal_cut_anywhere_is_whole_after_the_same_rows(tmp_path_factory, rows, cut):
  folder = tmp_path_factory.mktemp("journal")

  def write():
    with metrics_writer.writing(str(folder), ("jsonl",)) as writer:
      for name, step, value in rows:
        writer.write(name, step, {"loss": value})

  def read():
    lines = [
      json.loads(line, parse_constant=pytest.fail) for line in (folder / metrics_writer.NAME).read_text().splitlines()
    ]
    return [(line["run"], line["step"], line["loss"]) for line in lines]

  write()
  whole, content = read(), (folder / metrics_writer.NAME).read_bytes()
  (folder / metrics_writer.NAME).write_bytes(content[: min(cut, len(content))])
  write()
  assert read() == whole
