"""Beats as they come: near the wave that is reconstructed when all is known, at other rates too, and nothing but beats."""

import itertools

import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.data import recordings
from cap_jax.data.sources import virtual
from cap_jax.inference import pretrained, reconstruct, streaming
from cap_jax.signals import beats, windows
from cap_jax.train import checkpoint
from cap_jax.types import InputError

FS_HZ = 125.0


@pytest.fixture(scope="module")
def trained():
  return checkpoint.load(pretrained.FOLDER)


@pytest.fixture(scope="module")
def wave():
  """Half a minute of one virtual person: radial and aortic pressure, and the feet of the radial one."""
  output = virtual.draw(clinics.SOURCES["exact"].clinic("exact", 2, 30.0, FS_HZ))[1]
  radial, aortic = (np.asarray(output.signals[site], dtype=float) for site in ("radial", "aortic_root"))
  return radial, aortic, beats.find_feet(radial, FS_HZ)


def streamed(stream, radial, feet):
  state, result = stream.begin(), []
  for first, last in itertools.pairwise(feet):
    state, beat = stream(state, radial[first:last])
    result.append(beat)
  return result


def rms(x):
  return float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.slow
def test_a_stream_is_nearly_as_good_as_the_whole_record(trained, wave):
  radial, aortic, feet = wave
  result = streamed(streaming.StreamingNetwork(trained, FS_HZ), radial, feet)
  assert [len(beat.aortic_mmhg) for beat in result] == np.diff(feet).tolist()
  time_s = np.arange(len(radial)) / FS_HZ
  whole = reconstruct.reconstruct(trained, recordings.make("a", "", "here", time_s, {"radial": radial})).aortic_mmhg
  own = slice(feet[0], feet[-1])
  output = np.concatenate([beat.aortic_mmhg for beat in result])
  error, usual, before = rms(output - aortic[own]), rms(whole[own] - aortic[own]), rms((radial - aortic)[own])
  assert error < 1.4 * usual
  assert error < 0.1 * before
  assert rms(output - whole[own]) < 0.7  # the future is guessed
  width = np.concatenate([beat.half_width_mmhg for beat in result])
  assert (np.abs(output - aortic[own]) < width).mean() > 0.5
  assert not any(beat.out_of_distribution for beat in result)


def test_a_periodic_wave_is_reconstructed_alike_in_every_beat_and_at_every_rate(trained, wave):
  radial, _, feet = wave
  one = windows.without_drift(radial[feet[3] : feet[4]])
  first, *later = streamed(streaming.StreamingNetwork(trained, FS_HZ), np.tile(one, 8), np.arange(9) * len(one))
  for beat in later:
    np.testing.assert_allclose(beat.aortic_mmhg, first.aortic_mmhg, atol=0.05)
  doubled = np.interp(np.arange(2 * len(one)) / 2, np.arange(len(one) + 1), np.append(one, one[0]))
  fast = streamed(streaming.StreamingNetwork(trained, 2 * FS_HZ), np.tile(doubled, 8), np.arange(9) * len(doubled))
  assert rms(fast[-1].aortic_mmhg[::2] - later[-1].aortic_mmhg) < 0.5


def test_a_stream_keeps_no_more_than_it_needs_and_nothing_of_others(trained, wave):
  radial, _, feet = wave
  stream = streaming.StreamingNetwork(trained, FS_HZ)
  state = stream.begin()
  for first, last in itertools.pairwise(feet):
    state, _ = stream(state, radial[first:last])
  assert len(state.past_t) <= (trained.windows.seconds + 1) * FS_HZ + 1
  np.testing.assert_array_equal(state.past_t, radial[: feet[-1]][-len(state.past_t) :])
  beat = radial[feet[0] : feet[1]]
  np.testing.assert_array_equal(
    stream(stream.begin(), beat)[1].aortic_mmhg, stream(stream.begin(), beat)[1].aortic_mmhg
  )


@pytest.mark.parametrize(
  ("beat", "said"),
  [
    (np.zeros(10), "0.08 s; it must be one wave of 0.27 to 2.5 s"),
    (np.zeros(1000), "8.00 s; it must be one wave"),
    (np.full((2, 100), 90.0), "the beat has shape (2, 100)"),
    (np.append(np.linspace(70, 120, 99), np.nan), "contains 1 missing samples"),
    (np.linspace(-20, 120, 100), "not an arterial pulse, -20 to 120 mmHg"),
    (np.full(100, 90.0), "not an arterial pulse, 90 to 90 mmHg"),
  ],
)
def test_what_is_not_a_beat_is_refused(trained, beat, said):
  stream = streaming.StreamingNetwork(trained, FS_HZ)
  with pytest.raises(InputError) as refused:
    stream(stream.begin(), beat)
  assert said in str(refused.value)


def test_a_rate_that_cannot_be_is_refused(trained):
  with pytest.raises(InputError, match="fs_hz=0"):
    streaming.StreamingNetwork(trained, 0.0)
