"""The subjects of the nonlinear solver as a data set."""

import numpy as np
import pytest

from cap_jax.data import datasets
from cap_jax.data.sources import DATASETS, nonlinear
from cap_jax.types import InputError
from tests.arteries import test_waves

pytestmark = pytest.mark.quick


def test_beats_are_those_of_the_file():
  data = test_waves.nonlinear()
  result = DATASETS["nonlinear"]("dev")
  assert len(result.subjects) == 128
  assert result.place == datasets.IN_SILICO
  for number in (0, 77):
    recording = datasets.read(result.entries[number])
    assert recording.periodic
    assert recording.covariates == {
      "age": data["age"][number],
      "hr_bpm": data["hr"][number],
      "reported": number % 2,
    }
    period_s = 60 / data["hr"][number]
    for site in ("aortic_root", "radial"):
      there = np.interp(np.arange(200) * period_s / 200, recording.time_s, recording.signals[site], period=period_s)
      off = np.abs(there - data[site][number])  # 250 Hz joined by straight lines cut the incisura
      assert off.max() < 0.7
      assert off.mean() < 0.03


def test_fourier_series_of_a_beat_by_hand():
  beat = 90 + 3 * np.cos(2 * np.pi * np.arange(200) / 200) + np.sin(6 * np.pi * np.arange(200) / 200)
  time_s = np.array([0.0, 0.1, 0.37, 2.0])
  expected = 90 + 3 * np.cos(2 * np.pi * time_s / 0.8) + np.sin(6 * np.pi * time_s / 0.8)
  np.testing.assert_allclose(nonlinear.at_times(beat, 0.8, time_s), expected, atol=1e-9)


def test_what_there_is_not_is_refused():
  with pytest.raises(InputError, match="unknown data set of the nonlinear solver; use dev"):
    DATASETS["nonlinear"]("elsewhere")
  with pytest.raises(
    InputError, match="--channels=finger: unknown site of the nonlinear solver; choose from aortic_root, carotid"
  ):
    DATASETS["nonlinear"]("dev", {"finger": "finger"})
