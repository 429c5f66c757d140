"""Clean records have no faulty beats: the limit is 1 beat in 1,000, and no record is refused."""

import dataclasses

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import recordings
from experiments import false_alarms

CELLS = [
  (population, rhythm, device)
  for population in false_alarms.POPULATIONS
  for rhythm in false_alarms.RHYTHMS
  for device in false_alarms.DEVICES
]
HARDEST = ("icu", "with rhythm", "transducer")


# vasodilated subjects with a dicrotic wave behind a flat diastole, breathing and noise are the hardest kind
@pytest.mark.parametrize(
  ("population", "rhythm", "device", "subjects"),
  [(*HARDEST, 64), *(pytest.param(*cell, 200, marks=pytest.mark.slow) for cell in CELLS)],
)
def test_clean_records_have_no_faulty_beats(population, rhythm, device, subjects):
  result = false_alarms.measure(population, rhythm, device, subjects)
  assert result.beats > 12 * subjects
  assert result.per_thousand <= 1
  assert result.refused == 0


def test_no_record_of_the_nonlinear_solver_is_refused():
  result = false_alarms.measure_nonlinear()
  assert result.beats > 128 * 8
  assert (result.faulty, result.refused) == (0, 0)


@pytest.mark.quick
def test_faulty_beats_and_refused_records_are_counted():
  """A record with a flush, and one without a pulse."""
  t = np.arange(2000) / 125
  wave = 80 + 40 * np.exp(-(((t % 0.8) - 0.2) ** 2) / 0.006)
  flush = np.where((t > 6) & (t < 7), 280.0, wave)
  record = recordings.Recording(subject="a", time_s=t, signals={"radial": flush}, units={"radial": "mmHg"})
  flat = dataclasses.replace(record, signals={"radial": np.full(t.shape, 80.0)})
  result = false_alarms.count([record, flat], config.Conditioning(synchronise=False))
  assert result.beats > 10
  assert result.faulty > 0
  assert result.refused == 1
