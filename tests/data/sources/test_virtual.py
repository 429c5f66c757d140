"""Virtual clinics: their subjects seen through their devices."""

import dataclasses
import functools

import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.data import signal_names
from cap_jax.data.sources import virtual
from cap_jax.types import InputError
from tests import tiers

IDEAL = clinics.Device(noise=0.0)
ANYBODY = dataclasses.replace(clinics.HEALTHY, plausible=False)  # who is plausible takes the longest to find
QUIET = dataclasses.replace(clinics.CATHETER, noise=0.0, bits=0, zero=(0.0, 0.0))


@functools.cache
def observed(device, count=4):
  """The same subjects through a device."""
  return virtual.draw(clinics.Clinic(name="c", subjects=count, seconds=8.0, population=ANYBODY, device=device, seed=4))


def test_virtual_clinic_sees_its_subjects_through_its_device():
  plain, lined = observed(IDEAL), observed(clinics.Device(natural_hz=(9.0, 9.0), noise=0.0))
  assert [r.subject for r in plain] == ["c-4-00000", "c-4-00001", "c-4-00002", "c-4-00003"]
  for a, b in zip(plain, lined, strict=True):
    np.testing.assert_array_equal(a.signals["aortic_root"], b.signals["aortic_root"])
    difference = b.signals["radial"] - a.signals["radial"]
    assert np.abs(difference).max() > 2
    assert abs(difference.mean()) < 0.05
    assert 25 <= a.covariates["age"] <= 75
    assert a.units["radial"] == "mmHg"
  noisy = observed(clinics.Device(noise=0.5))
  noise = noisy[0].signals["radial"] - plain[0].signals["radial"]
  assert noise.std() == pytest.approx(0.5, rel=0.1)


def subject_lines(device):
  """The frequency responses |Y/X| of each subject's device between 1 and 8 Hz."""
  result = []
  for a, b in zip(observed(IDEAL), observed(device), strict=True):
    x, y = (np.abs(np.fft.rfft(r.signals["radial"]))[8:64] for r in (a, b))
    result.append((y / x)[x > 0.02 * x.max()].mean())
  return np.array(result)


def test_a_device_is_one_for_the_clinic_or_one_for_each_subject():
  one = subject_lines(dataclasses.replace(QUIET, scope="device"))
  each = subject_lines(QUIET)
  assert np.ptp(one) < 0.15
  assert np.ptp(each) > 2 * np.ptp(one)


@pytest.mark.parametrize("name", tiers.sample(["clinic", "site_ppg", "site_finger"], "site_finger"))
def test_scenarios_are_recorded_at_their_site(name):
  scenario = clinics.SCENARIOS[name]
  site = scenario.site or "radial"
  seconds = 60.0 if name == "clinic" else 8.0  # long enough for something to be lost
  result = virtual.draw(scenario.clinic("c", 6, seconds, seed=11), (site,))
  assert len(result) == 6
  for recording in result:
    wave = recording.signals[site]
    assert recording.units[site] == "mmHg"
    assert np.isfinite(wave).mean() > 0.97
    assert 50 < np.nanmedian(wave) < 160
    assert np.isfinite(recording.signals["aortic_root"]).all()
    assert recording.covariates["operating_mmhg"] == 0
  if name == "clinic":
    assert np.isnan(np.concatenate([r.signals[site] for r in result])).any()  # lost samples
    assert len({r.covariates["muscular_radius"] for r in result}) == 2  # some are vasodilated


def test_plain_oximeter_gives_a_normalised_wave():
  result = virtual.draw(clinics.Clinic(name="c", subjects=2, seconds=8.0, population=ANYBODY, seed=4), ("digital_ppg",))
  assert result[0].units["digital_ppg"] == "1"
  extremes = [extreme(result[0].signals["digital_ppg"]) for extreme in (np.nanmin, np.nanmax)]
  np.testing.assert_allclose(extremes, [0, 1], atol=1e-6)  # rounding in float32


def test_a_clinics_device_does_not_depend_on_its_size():
  few, more = (observed(QUIET, count) for count in (2, 4))
  np.testing.assert_allclose(few[1].signals["radial"], more[1].signals["radial"], atol=1e-3)


@pytest.mark.quick
@pytest.mark.parametrize(
  ("kind", "values", "said"),
  [
    (clinics.Clinic, {"name": "c", "seconds": 8.0, "subjects": 0}, "Clinic.subjects=0: must be 1 to"),
    (clinics.Clinic, {"name": "c", "seconds": 8.0, "subjects": 2, "seed": 2**40}, "Clinic.seed="),
    (
      clinics.Device,
      {"natural_hz": (0.0, 0.0)},
      r"Device.natural_hz=\(0.0, 0.0\): must be increasing and within 1 to 1000",
    ),
    (clinics.Device, {"damping": (0.4, 0.1)}, "Device.damping=.*must be increasing and within"),
    (clinics.Device, {"noise": float("nan")}, "Device.noise=nan: must be 0 to 1000"),
    (clinics.Device, {"bits": -3}, "Device.bits=-3: must be 0 to 32"),
    (clinics.Device, {"scope": "clinic"}, "Device.scope=clinic: must be device or subject"),
    (clinics.Cuff, {"sbp_sd_mmhg": -1.0}, "Cuff.sbp_sd_mmhg=-1.0: must be 0 to 50"),
    (clinics.Rhythm, {"ectopic_share": 2.0}, "Rhythm.ectopic_share=2.0: must be 0 to 0.14"),
    (clinics.Rhythm, {"breathing_min_hz": 0.5}, "Rhythm.breathing_min_hz=0.5: must be at most 0.3"),
  ],
)
def test_values_that_cannot_be_are_refused_where_they_are_made(kind, values, said):
  with pytest.raises(InputError, match=said):
    kind(**values)


@pytest.mark.quick
def test_every_scenario_differs_from_the_source():
  source = clinics.Scenario()
  for name, scenario in clinics.SCENARIOS.items():
    assert scenario != source, name
    assert scenario.site in (None, *signal_names.SITES, signal_names.PPG), name
