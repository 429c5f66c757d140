"""Calibration: a wave gets the pressures of its reading, whatever its own scale."""

import dataclasses

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import calibrate, recordings
from cap_jax.signals import calibration
from cap_jax.types import InputError
from tests.signals.test_synchrony import pulses

pytestmark = pytest.mark.quick

FS_HZ = 125.0
KNOWN = {"cuff_sbp_mmhg": 130.0, "cuff_dbp_mmhg": 75.0, "invasive_map_mmhg": 96.0, "invasive_dbp_mmhg": 73.0}


def recording(wave_t, **known):
  time_s = np.arange(wave_t.size) / FS_HZ
  return recordings.Recording(
    subject="s1",
    time_s=time_s,
    signals={"digital_ppg": wave_t},
    units={"digital_ppg": "1"},
    covariates={**KNOWN, **known},
  )


@pytest.mark.parametrize(
  ("kind", "form", "expected"),
  [
    ("sbp_dbp", "0.4", (130.0, 75.0, None)),
    ("map_dbp", "third", (None, 75.0, 75 + 55 / 3)),
    ("map_dbp", "0.4", (None, 75.0, 75 + 0.4 * 55)),
    ("map_dbp", "0.412", (None, 75.0, 75 + 0.412 * 55)),
    ("map_dbp", "geometric", (None, 75.0, np.sqrt(130 * 75))),
    ("invasive", "0.4", (None, 73.0, 96.0)),
  ],
)
@pytest.mark.parametrize(("gain", "zero"), [(0.01, -3.0), (2.0, 100.0)])
def test_levels_become_those_of_the_reading(kind, form, expected, gain, zero):
  wave = gain * pulses(FS_HZ, 30) + zero
  output = calibrate.calibrate(recording(wave), "digital_ppg", config.Calibration(kind=kind, form=form))
  result = calibration.levels(output.signals["digital_ppg"], FS_HZ)
  for value, target in zip((result.systolic, result.diastolic, result.mean), expected, strict=True):
    if target is not None:
      assert value == pytest.approx(target, abs=1e-6)
  assert output.units["digital_ppg"] == "mmHg"


def test_a_cuffs_own_map_is_taken():
  output = calibrate.calibrate(
    recording(pulses(FS_HZ, 30), cuff_map_mmhg=90.0), "digital_ppg", config.Calibration(kind="map_dbp")
  )
  assert calibration.levels(output.signals["digital_ppg"], FS_HZ).mean == pytest.approx(90.0)


def test_injected_errors_have_their_bias_and_spread_and_stay_with_the_subject():
  spec = config.Calibration(
    kind="sbp_dbp", form="0.4", sbp_bias_mmhg=-5.0, sbp_sd_mmhg=10.0, dbp_bias_mmhg=5.0, dbp_sd_mmhg=8.0, seed=1
  )
  drawn = []
  for number in range(400):
    try:
      drawn.append(calibration.reading(spec, {"cuff_sbp_mmhg": 150.0, "cuff_dbp_mmhg": 70.0}, f"s{number}")[:2])
    except InputError:  # an error of more than the pulse pressure
      continue
  error = np.array(drawn) - [150.0, 70.0]
  assert len(drawn) > 395
  np.testing.assert_allclose(error.mean(0), [-5.0, 5.0], atol=1.2)
  np.testing.assert_allclose(error.std(0), [10.0, 8.0], atol=1.0)
  again = [calibration.reading(spec, {"cuff_sbp_mmhg": 150.0, "cuff_dbp_mmhg": 70.0}, "s7") for _ in range(2)]
  assert again[0] == again[1]
  other = calibration.reading(dataclasses.replace(spec, seed=2), {"cuff_sbp_mmhg": 150.0, "cuff_dbp_mmhg": 70.0}, "s7")
  assert other != again[0]


@pytest.mark.parametrize(
  ("change", "known", "message"),
  [
    ({"kind": "sbp_dbp"}, {"cuff_sbp_mmhg": float("nan")}, r"s1: calibration sbp_dbp needs cuff_sbp_mmhg \(found:"),
    ({"kind": "sbp_dbp"}, {"cuff_dbp_mmhg": 128.0}, "impossible cuff reading 130/128 mmHg"),
    ({"kind": "none"}, {}, "digital_ppg has no unit; calibrate it"),
  ],
)
def test_what_cannot_be_calibrated_is_refused(change, known, message):
  with pytest.raises(InputError, match=message):
    calibrate.calibrate(recording(pulses(FS_HZ, 30), **known), "digital_ppg", config.Calibration(**change))
  with pytest.raises(InputError, match="no whole beat"):
    calibrate.calibrate(recording(np.ones(1000)), "digital_ppg", config.Calibration(kind="sbp_dbp"))


def test_a_network_of_waves_without_a_unit_reads_them_as_they_are():
  given = recording(pulses(FS_HZ, 30))
  assert calibrate.calibrate(given, "digital_ppg", config.Calibration(), unitless=True) is given


@pytest.mark.parametrize(
  ("unitless", "covariates", "known"),
  [
    (False, (), True),
    (True, (), False),
    (True, ("age", "hr_bpm"), False),
    (True, ("cuff_dbp_mmhg",), True),
    (True, ("age", "invasive_map_mmhg"), True),
  ],
)
def test_the_level_is_that_of_a_pressure_or_of_a_reading(unitless, covariates, known):
  text = calibration.unknown_level(unitless, covariates)
  assert (text == "") == known
  assert known or text.endswith(
    "it is the mean of the training" + (", apart from what age and hr_bpm tell" if covariates else "")
  )


def test_values_that_cannot_be():
  for change, said in (
    ({"kind": "guess"}, "calibration.kind=guess: unknown; choose one of none, sbp_dbp"),
    ({"form": "half"}, "calibration.form=half"),
    ({"sbp_sd_mmhg": -1.0}, "sbp_sd_mmhg=-1.0"),
    ({"seed": -1}, "seed=-1"),
  ):
    with pytest.raises(InputError, match=said):
      calibration.check(config.Calibration(**change))


def test_gaps_do_not_move_the_levels():
  whole = pulses(FS_HZ, 60)
  torn = whole.copy()
  for start in range(0, torn.size, 140):
    torn[start : start + 3] = np.nan
  assert calibration.levels(torn, FS_HZ) is None or abs(calibration.levels(torn, FS_HZ).mean - 90) < 2
  few = whole.copy()
  few[3000:3010] = np.nan
  assert calibration.levels(few, FS_HZ).mean == pytest.approx(calibration.levels(whole, FS_HZ).mean, abs=0.05)
