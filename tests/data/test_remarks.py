"""What a user is asked to look at in a record that can be read."""

import dataclasses

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import conditioning, recordings, remarks


def record(fs_hz=125.0, seconds=20.0, zero_mmhg=0.0, **covariates):
  time_s = np.arange(round(seconds * fs_hz)) / fs_hz
  beat = np.interp(time_s % 0.8, [0, 0.1, 0.3, 0.8], [80, 120, 95, 80])
  later = np.interp((time_s - 0.07) % 0.8, [0, 0.1, 0.3, 0.8], [80, 130, 90, 80])
  signals = {"aortic_root": beat, "radial": later + zero_mmhg}
  return recordings.make("P01", "P01", "P01.csv", time_s, signals, covariates=covariates)


def notes(recording):
  return conditioning.condition(recording, config.Conditioning())[0].notes


def test_a_sound_record_has_no_remark():
  assert notes(record(age=71, cuff_sbp_mmhg=130, cuff_dbp_mmhg=80)) == ()


@pytest.mark.quick
@pytest.mark.parametrize(
  ("covariates", "said"),
  [
    ({"age": 680}, "age is 680, but can be 0 to 120; correct it, networks and reports read it"),
    ({"cuff_sbp_mmhg": 17.5, "cuff_dbp_mmhg": 8.3}, "cuff_sbp_mmhg is 17.5, but can be 20 to 300"),
    ({"cuff_sbp_mmhg": 85, "cuff_dbp_mmhg": 153}, "cuff_sbp_mmhg 85 is not above cuff_dbp_mmhg 153; exchange them"),
  ],
)
def test_values_that_nobody_has_are_named(covariates, said):
  assert remarks.of_covariates(covariates)[0].startswith(said)


def test_doubtful_waves_are_named():
  (slow,) = remarks.of_waves(record(fs_hz=25.0, seconds=30))
  assert slow.startswith("25 samples a second, so the wave above 12 Hz is missing, and with it the incisura")
  (low,) = notes(record(zero_mmhg=-30.0))
  assert low.startswith("P01: the mean of radial lies 3")
  assert "below that of aortic_root; check the zeros, the heights and the units of both transducers" in low


def test_a_pressure_that_is_upside_down_is_named():
  sound = record()
  turned = {name: 2 * wave.mean() - wave for name, wave in sound.signals.items()}
  told = remarks.of_waves(dataclasses.replace(sound, signals={**sound.signals, "radial": turned["radial"]}))
  assert told == [
    "radial falls with the pulse, so it is upside down; correct its sign and its zero, or leave the record out"
  ]
  both = remarks.of_waves(dataclasses.replace(sound, signals=turned))
  assert [note.split()[0] for note in both] == ["aortic_root", "radial"]
  late = {**sound.signals, "radial": np.concatenate([np.full(1000, np.nan), turned["radial"][1000:]])}
  assert len(remarks.of_waves(dataclasses.replace(sound, signals=late))) == 1  # looked at where it was measured
  nothing = {**sound.signals, "radial": np.full(sound.time_s.size, np.nan)}
  assert remarks.of_waves(dataclasses.replace(sound, signals=nothing)) == []


def test_what_is_too_short_for_a_window_is_named():
  assert notes(record(seconds=3.0))[0] == ("P01: the longest usable part of aortic_root has 3.0 s; a window needs 4 s")
  flat = record()
  flat = dataclasses.replace(flat, signals={**flat.signals, "radial": np.full(flat.time_s.size, 95.0)})
  assert "P01: the longest usable part of radial has 0.0 s (flat line); a window needs 4 s" in notes(flat)
