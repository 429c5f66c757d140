"""Records of any length and rate."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
import scipy.signal

from cap_jax import config
from cap_jax.data import recordings, scalings
from cap_jax.inference import reconstruct
from cap_jax.report import reconstruction
from cap_jax.train import checkpoint, uncertainty_calibration
from cap_jax.types import InputError
from tests.signals.test_synchrony import pulses
from tests.train import people

pytestmark = pytest.mark.quick
CUFF = config.Calibration(kind="sbp_dbp")


@pytest.fixture(scope="module")
def identity_network(tiny_model):
  """A network whose answer is its input: what comes out shows windowing, blending and clocks alone."""
  params = people.drawn(tiny_model)
  params["r"]["wave"] = jax.tree.map(np.zeros_like, params["r"]["wave"])
  return checkpoint.Checkpoint(params=params, model=tiny_model, scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0))


def wave(t, period=0.8):
  u = t % period
  return 70 + 45 * np.exp(-((u - 0.25) ** 2) / 0.006) + 12 * np.exp(-((u - 0.5) ** 2) / 0.01)


def record(t, p):
  return recordings.Recording(subject="r", time_s=t, signals={"radial": p}, units={"radial": "mmHg"})


@pytest.mark.parametrize(
  ("fs", "seconds"), [(125.0, 30), (60.0, 12), (500.0, 9), (124.945, 7.3), (100.0, 3.1), (250.0, 1.7), (125.0, 0.8)]
)
def test_the_input_comes_back_on_its_own_clock(identity_network, fs, seconds):
  t = 5 + np.arange(int(seconds * fs)) / fs
  output = reconstruct.reconstruct(identity_network, record(t, wave(t)))
  np.testing.assert_array_equal(output.time_s, t)
  assert np.abs(output.aortic_mmhg - wave(t)).max() < (1.5 if fs == 60 else 0.4)
  assert output.gaps == []


def test_a_heart_rate_outside_that_of_the_training_is_said(identity_network):
  calibration = uncertainty_calibration.UncertaintyCalibration(
    head=None,
    detector=None,
    hr_bpm=(50.0, 100.0),
    ood_threshold=1e9,
    level=0.9,
    wave=1.0,
    csbp=1.0,
    subjects=20,
    where="validation subjects",
  )
  network = dataclasses.replace(identity_network, uncertainty_calibration=calibration)
  t = np.arange(2500) / 125
  usual = reconstruct.reconstruct(network, record(t, wave(t)))
  fast = reconstruct.reconstruct(network, record(t, wave(t, 0.4)))
  assert usual.unusual_hr == ""
  assert "interval" not in dataclasses.replace(calibration, subjects=2).outside  # it has none
  assert fast.unusual_hr == "the heart rate of 150/min is outside that of the training, 50 to 100/min"
  assert f"WARNING: {fast.unusual_hr}" in reconstruction.format_summary(fast)
  assert "WARNING" not in reconstruction.format_summary(usual)


@pytest.fixture(scope="module")
def ppg_network(identity_network):
  """The same of a PPG: it stretches each window to the pressures of its training."""
  scaling = scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0, unitless=True)
  return dataclasses.replace(identity_network, scaling=scaling, signals=config.Signals("digital_ppg"))


def ppg(t, x):
  return recordings.Recording(subject="r", time_s=t, signals={"digital_ppg": x}, units={"digital_ppg": "1"})


def test_a_ppg_is_read_in_any_unit_and_upside_down_too(ppg_network):
  t = np.arange(2500) / 125
  x = pulses(125.0, 20)
  x = (x - x.min()) / np.ptp(x)
  output = reconstruct.reconstruct(ppg_network, ppg(t, x))
  low, high = (92 + 17 * (edge - 0.45) / 0.28 for edge in (0, 1))
  assert np.abs(output.aortic_mmhg - (low + (high - low) * x)).max() < 1.0
  assert output.gaps == []
  np.testing.assert_array_equal(output.peripheral, x)
  for gain, offset in ((1e-4, 0.0), (4095.0, -2000.0), (-3.0, 800.0)):
    other = reconstruct.reconstruct(ppg_network, ppg(t, gain * x + offset))
    np.testing.assert_allclose(other.aortic_mmhg, output.aortic_mmhg, atol=1e-3)
    assert len(other.beats) == len(output.beats)
  assert np.isfinite(output.beats[3].csbp_est_mmhg)
  assert np.isnan(output.beats[3].peripheral_sbp_mmhg)


def test_faulty_beats_of_a_ppg_are_gaps_with_their_reason(ppg_network):
  t = np.arange(5000) / 125
  x = wave(t) / 1000
  x[2000:2300] += 0.05 * np.sin(np.arange(300) / 3)
  x[3000:3300] = x[3000]
  reasons = {gap.reason for gap in reconstruct.reconstruct(ppg_network, ppg(t, x)).gaps}
  assert reasons == {"beats that are moved", "flat line"}


def test_every_output_says_that_the_level_of_a_ppg_is_unknown(ppg_network, tmp_path):
  t = np.arange(2500) / 125
  output = reconstruct.reconstruct(ppg_network, ppg(t, wave(t)))
  text = "the pressure level is unknown: a PPG without a cuff's reading does not contain it, so it is the mean of the training"
  assert output.unknown_level == text
  assert f"WARNING: {text}" in reconstruction.format_summary(output)
  csv_path, json_path, _ = reconstruction.write(str(tmp_path / "out.csv"), output, "digital_ppg", {})
  comment, header, *rows = pathlib.Path(csv_path).read_text(encoding="utf-8").splitlines()
  assert (comment, header, len(rows)) == (f"# {text}", "time_s,aortic_root_pressure_mmhg", t.size)
  assert json.loads(pathlib.Path(json_path).read_text(encoding="utf-8"))["warnings"] == [text]
  pressure = dataclasses.replace(
    ppg_network,
    scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0),
    signals=config.Signals("digital_ppg", calibration=CUFF),
  )
  known = {"cuff_sbp_mmhg": 140.0, "cuff_dbp_mmhg": 80.0}
  calibrated = reconstruct.reconstruct(pressure, dataclasses.replace(ppg(t, wave(t)), covariates=known))
  assert calibrated.unknown_level == ""
  assert np.median([beat.peripheral_sbp_mmhg for beat in calibrated.beats]) == pytest.approx(140, abs=0.5)
  with pytest.raises(InputError, match="digital_ppg has no unit; calibrate it"):
    reconstruct.reconstruct(
      dataclasses.replace(ppg_network, scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0)), ppg(t, wave(t))
    )


def test_an_irregular_clock_is_kept(identity_network):
  t = np.cumsum(np.random.default_rng(0).uniform(0.005, 0.011, 1500))
  output = reconstruct.reconstruct(identity_network, record(t, wave(t)))
  assert np.abs(output.aortic_mmhg - wave(t)).max() < 0.4


def test_gaps_stay_gaps_and_what_lies_between_is_reconstructed(identity_network):
  t = np.arange(3000) / 100
  p = wave(t)
  p[500:600] = np.nan
  p[1500:1515] = 999.0
  p[2000:2400] = p[2000]
  output = reconstruct.reconstruct(identity_network, record(t, p))
  lost = np.isnan(output.aortic_mmhg)
  assert lost[500:600].all()
  assert lost[1500:1515].all()
  assert lost[2050:2350].all()
  assert not lost[:500].any()
  assert not lost[600:1500].any()
  assert not lost[1515:1975].any()  # the diastole before the flat line has hardly a pulse either
  assert [gap.reason for gap in output.gaps] == ["no data", "outside 15–320 mmHg", "flat line"]
  assert output.gaps[0].start_s == pytest.approx(5.0)
  assert output.gaps[0].end_s == pytest.approx(5.99)
  inner = ~lost
  inner[1975:2410] = False
  assert np.abs(output.aortic_mmhg - wave(t))[inner].max() < 0.5


@pytest.mark.parametrize("harm", ["rows", "cells", "marker", "arrival times"])
def test_short_losses_are_bridged(identity_network, harm):
  """Three samples of 125 Hz every 1.3 s, or packets that are stamped when they arrive."""
  t = np.arange(3750) / 125
  p, clock = wave(t), t.copy()
  unharmed = reconstruct.reconstruct(identity_network, record(t, p))
  lost = np.arange(t.size) % 163 >= 160
  if harm == "rows":
    t, p, clock = t[~lost], p[~lost], clock[~lost]
  elif harm == "arrival times":
    packet = np.arange(t.size) // 32
    late = np.random.default_rng(3).uniform(0, 0.02, packet.max() + 1)
    clock = np.maximum.accumulate(t + late[packet] + 1e-6 * np.arange(t.size))
    clock = clock + 1e-5 * np.arange(t.size)
  else:
    p[lost] = np.nan if harm == "cells" else -32768.0
  output = reconstruct.reconstruct(identity_network, record(clock, p))
  assert output.gaps == []
  assert len(output.beats) == len(unharmed.beats)
  for name in ("hr_bpm", "peripheral_sbp_mmhg", "peripheral_dbp_mmhg"):
    assert reconstruct.summary(output.beats)[name]["mean"] == pytest.approx(
      reconstruct.summary(unharmed.beats)[name]["mean"], abs=0.3
    ), name
  np.testing.assert_array_equal(output.time_s, clock)


@pytest.mark.parametrize(
  ("level", "marker"), [("top", -32768.0), ("top", 32767.0), ("bottom", -999.0), ("bottom", 0.0)]
)
def test_a_marker_of_lost_samples_hides_no_rail(identity_network, level, marker):
  t = np.arange(3750) / 125
  p = wave(t)
  cut = np.percentile(p, 85 if level == "top" else 30)
  p = np.minimum(p, cut) if level == "top" else np.maximum(p, cut)
  p[1500:1540] = marker
  with pytest.raises(InputError, match="beats that are clipped"):
    reconstruct.reconstruct(identity_network, record(t, p))


def test_less_than_a_beat_between_two_gaps_is_none(identity_network):
  t = np.arange(3000) / 100
  p = wave(t)
  p[1000:1040], p[1090:1200] = 400.0, 400.0
  output = reconstruct.reconstruct(identity_network, record(t, p))
  assert [gap.reason for gap in output.gaps] == ["outside 15–320 mmHg", "no whole beat", "outside 15–320 mmHg"]
  assert np.isnan(output.aortic_mmhg[1000:1200]).all()


def faulty(fault, t):
  """A record of 60 s whose third 10 s are faulty."""
  p, there = wave(t), (t >= 20) & (t < 30)
  if fault == "damped":
    b, a = scipy.signal.butter(2, 1.2 / (0.5 / (t[1] - t[0])))
    return np.where(there, scipy.signal.filtfilt(b, a, p), p)
  if fault == "clipped":
    return np.where(there, np.minimum(p + 30, 110), p - 10)
  if fault == "moved":
    rng = np.random.default_rng(0)
    shake = scipy.signal.lfilter([0.3], [1, -0.7], rng.normal(size=t.size))
    return np.clip(p + np.where(there, 60 * shake, 0), 16, 300)
  return np.where(there & (t % 3 < 0.8), 290 + 0.05 * p, p)  # flushed


@pytest.mark.parametrize("fault", ["damped", "clipped", "moved", "flushed"])
def test_faulty_beats_are_gaps_with_their_reason(identity_network, fault):
  t = np.arange(7500) / 125
  output = reconstruct.reconstruct(identity_network, record(t, faulty(fault, t)))
  lost = np.isnan(output.aortic_mmhg)
  assert any(fault in gap.reason for gap in output.gaps)
  wrong = np.abs(output.aortic_mmhg - (wave(t) - 10 * (fault == "clipped"))) > 10
  assert wrong.mean() < 0.01
  assert not lost[: 125 * 17].any()
  assert not lost[125 * 33 :].any()
  assert lost[125 * 21 : 125 * 29].mean() > (0.3 if fault in ("flushed", "moved") else 0.95)


def test_a_record_that_begins_and_ends_in_a_flush_loses_it(identity_network):
  """There is no second foot, so no beat holds the flush."""
  t = np.arange(2500) / 125
  p = wave(t)
  last = np.flatnonzero(p == p.min())[-1]
  flushed = (t < 0.2) | (t > t[last] + 0.05)
  p[flushed] = 290 + 5 * np.sin(40 * t[flushed])
  output = reconstruct.reconstruct(identity_network, record(t, p))
  assert "a part of a beat that is flushed" in {gap.reason for gap in output.gaps}
  assert np.isnan(output.aortic_mmhg[flushed]).mean() > 0.9
  assert np.nanmax(output.aortic_mmhg) < 150
  assert np.isnan(output.aortic_mmhg).mean() < flushed.mean() + 0.06


def test_beats_have_their_pressures_and_rate(identity_network):
  t = np.arange(2500) / 125
  output = reconstruct.reconstruct(identity_network, record(t, wave(t)))
  assert 23 <= len(output.beats) <= 25
  numbers = reconstruct.summary(output.beats)
  assert numbers["hr_bpm"]["mean"] == pytest.approx(75, abs=0.5)
  assert numbers["csbp_est_mmhg"]["mean"] == pytest.approx(wave(t).max(), abs=0.5)
  assert numbers["cdbp_est_mmhg"]["mean"] == pytest.approx(wave(t).min(), abs=0.5)
  assert numbers["cmap_est_mmhg"]["mean"] == pytest.approx(wave(t[:2400]).mean(), abs=0.5)
  assert numbers["peripheral_pp_mmhg"]["mean"] == pytest.approx(numbers["cpp_est_mmhg"]["mean"], abs=0.2)
  assert reconstruct.summary([]) == {}


def test_useless_records_are_refused(identity_network):
  t = np.arange(1000) / 125
  with pytest.raises(InputError, match=r"no usable segment of one beat or more \(flat line\)"):
    reconstruct.reconstruct(identity_network, record(t, np.full(1000, 80.0)))
  with pytest.raises(InputError, match="shorter than one beat"):
    reconstruct.reconstruct(identity_network, record(t[:20], wave(t[:20])))
  other = dataclasses.replace(identity_network, signals=dataclasses.replace(identity_network.signals, site="brachial"))
  with pytest.raises(
    InputError, match=r"contains radial, but the checkpoint reads brachial; use the packaged network radial"
  ):
    reconstruct.reconstruct(other, record(t, wave(t)))


def test_covariates_are_needed_where_the_network_takes_them(tiny_model):
  model = dataclasses.replace(tiny_model, covariates=("age",))
  params = people.drawn(model)
  scaling = scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0, scalars=(("age", 50.0, 12.0),))
  trained = checkpoint.Checkpoint(params=params, model=model, scaling=scaling)
  t = np.arange(1000) / 125
  with pytest.raises(InputError, match=r"the network reads age; pass covariates=\{'age': …\}"):
    reconstruct.reconstruct(trained, record(t, wave(t)))
  young, old = (
    reconstruct.reconstruct(trained, dataclasses.replace(record(t, wave(t)), covariates={"age": age})).aortic_mmhg
    for age in (30.0, 70.0)
  )
  assert np.abs(young - old).max() > 1e-3


def test_a_network_of_another_task_is_refused(tiny_model):
  model = dataclasses.replace(tiny_model, head="numbers")
  params = people.drawn(model)
  trained = checkpoint.Checkpoint(
    params=params, model=model, scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0), task="bp"
  )
  t = np.arange(1000) / 125
  with pytest.raises(InputError, match="trained for bp, not for the aortic wave"):
    reconstruct.reconstruct(trained, record(t, wave(t)))


def test_a_network_of_another_wave_reconstructs_no_aortic_one(identity_network):
  t = np.arange(3000) / 125
  other = dataclasses.replace(
    identity_network, signals=dataclasses.replace(identity_network.signals, reference="radial")
  )
  with pytest.raises(InputError, match="predicts the radial wave, not the aortic wave"):
    reconstruct.reconstruct(other, record(t, wave(t)))


@pytest.mark.parametrize("subject", ["P01", "P02"])
def test_a_reading_is_used_as_it_is(identity_network, subject):
  """Errors of a cuff are injected into training; the name of the file must not change what comes out."""
  t = np.arange(3000) / 125
  spec = config.Calibration(kind="sbp_dbp", sbp_bias_mmhg=5.0, sbp_sd_mmhg=10.0, dbp_sd_mmhg=8.0)
  given = dataclasses.replace(
    record(t, 0.5 * wave(t)), subject=subject, covariates={"cuff_sbp_mmhg": 150.0, "cuff_dbp_mmhg": 80.0}
  )
  output = reconstruct.reconstruct(
    dataclasses.replace(identity_network, signals=dataclasses.replace(identity_network.signals, calibration=spec)),
    given,
  )
  result = reconstruct.summary(output.beats)
  assert result["peripheral_sbp_mmhg"]["mean"] == pytest.approx(150.0, abs=0.5)
  assert result["peripheral_dbp_mmhg"]["mean"] == pytest.approx(80.0, abs=0.5)


def test_a_cuffs_own_map_counts_at_inference_too(identity_network):
  t = np.arange(3000) / 125
  known = {"cuff_sbp_mmhg": 150.0, "cuff_dbp_mmhg": 80.0, "cuff_map_mmhg": 100.0}
  given = dataclasses.replace(record(t, 0.5 * wave(t)), covariates=known)
  output = reconstruct.reconstruct(
    dataclasses.replace(
      identity_network,
      signals=dataclasses.replace(identity_network.signals, calibration=config.Calibration(kind="map_dbp")),
    ),
    given,
  )
  assert reconstruct.summary(output.beats)["peripheral_map_mmhg"]["mean"] == pytest.approx(100.0, abs=1.0)


def test_pieces_between_losses_without_a_whole_beat_are_left_out(identity_network):
  """Twelve rows lost every 0.8 s leave pieces of less than a beat, whose rhythm is that of the losses."""
  t = np.arange(2500) / 125
  lost = np.arange(t.size) % 100 < 15
  with pytest.raises(InputError, match="no whole beat between losses"):
    reconstruct.reconstruct(identity_network, record(t[~lost], wave(t[~lost], 0.9)))


def test_a_flattened_wave_has_all_fast_beats(identity_network):
  """215 a minute: the foot of an aortic beat belongs to one beat of the measured wave."""
  t = np.arange(2500) / 125
  peripheral = 70 + 20 * np.exp(-(((t % 0.28) - 0.1) ** 2) / 0.003)
  aortic = 70 + 5 * np.exp(-(((t % 0.56) - 0.1) ** 2) / 0.003)  # shows every other beat alone
  feet, own = reconstruct.paired_feet(peripheral, aortic, 125.0, "radial")
  assert len(feet) >= 70
  assert (np.diff(own) > 0).all()
