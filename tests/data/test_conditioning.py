"""Conditioning: one rate, one clock, gaps and bad beats gone, and a report of it."""

import dataclasses

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import conditioning, datasets, recordings, signal_names
from cap_jax.data.sources import DATASETS
from cap_jax.types import DataError, InputError
from tests.signals.test_synchrony import pulses

pytestmark = pytest.mark.quick
SPEC = config.Conditioning()


def record(fs_hz=250.0, seconds=60, **signals):
  time_s = np.arange(int(seconds * fs_hz)) / fs_hz
  waves = {"radial": pulses(fs_hz, seconds), **signals}
  units = {name: "mmHg" if signal_names.is_pressure(name) else "1" for name in waves}
  return recordings.Recording(subject="s1", time_s=time_s, signals=waves, units=units, covariates={}, record="r1")


def test_resampling_keeps_the_wave():
  saved, report = conditioning.condition(record(250.0), SPEC)
  assert saved.fs_hz == pytest.approx(125.0)
  inner = slice(125, -125)
  difference = saved.signals["radial"] - pulses(250.0, 60)[::2]
  assert np.nanmax(np.abs(difference[inner])) < 0.5
  assert report.good_s["radial"] == pytest.approx(60.0, abs=0.02)
  assert report.faults == {"radial": {}}


def test_a_record_at_the_rate_stays_as_it_is_to_the_bit():
  raw = record(125.0)
  saved, _ = conditioning.condition(raw, SPEC)
  np.testing.assert_array_equal(saved.signals["radial"], raw.signals["radial"])


def test_short_gaps_are_bridged_long_ones_stay():
  raw = record(250.0)
  raw.signals["radial"][2000:2010] = np.nan
  raw.signals["radial"][5000:5500] = np.nan
  saved, report = conditioning.condition(raw, SPEC)
  assert report.filled == 10
  assert np.isfinite(saved.signals["radial"][1000:1005]).all()
  assert np.isnan(saved.signals["radial"][2505:2745]).all()
  assert report.faults["radial"] == {"no data": 1}


def test_a_pause_of_the_clock_is_not_a_wave():
  raw = record(125.0)
  time_s = raw.time_s.copy()
  time_s[3000:] += 2.0
  saved, report = conditioning.condition(dataclasses.replace(raw, time_s=time_s), SPEC)
  gap = (saved.time_s > 24.01) & (saved.time_s < 25.99)
  assert gap.sum() > 240
  assert np.isnan(saved.signals["radial"][gap]).all()
  assert report.faults["radial"]["pause of the clock"] == 1


@pytest.mark.parametrize(("delay_s", "removed"), [(0.34, True), (0.15, False)])
def test_only_what_no_pulse_takes_is_a_monitors_delay(delay_s, removed):
  raw = record(125.0, digital_ppg=pulses(125.0, 60, delay_s) / 100)
  saved, report = conditioning.condition(raw, SPEC)
  sync = report.sync["digital_ppg"]
  assert sync.lag_s == pytest.approx(delay_s, abs=0.004)
  assert sync.removed_s == (sync.lag_s if removed else 0.0)
  target = pulses(125.0, 60, 0.0 if removed else delay_s) / 100
  difference = (saved.signals["digital_ppg"] - target)[200:-200]
  assert np.nanmax(np.abs(difference)) < 0.03
  untouched, _ = conditioning.condition(raw, dataclasses.replace(SPEC, synchronise=False))
  np.testing.assert_array_equal(untouched.signals["digital_ppg"], raw.signals["digital_ppg"])


def test_one_beat_is_repeated():
  turn = np.arange(415) / 415
  beat = 95 + 20 * np.sin(2 * np.pi * turn - 1.2) + 8 * np.sin(4 * np.pi * turn)
  raw = recordings.Recording(
    subject="s", time_s=np.arange(415) / 500, signals={"radial": beat}, units={"radial": "mmHg"}, periodic=True
  )
  saved, report = conditioning.condition(raw, SPEC)
  assert report.seconds >= 12
  assert report.good_s["radial"] == pytest.approx(report.seconds, abs=0.05)
  expected = np.interp(saved.time_s[100] % 0.83, np.arange(415) / 500, beat)
  assert saved.signals["radial"][100] == pytest.approx(expected, abs=0.1)


def test_nothing_left_is_an_error():
  raw = record(125.0)
  raw.signals["radial"][:] = 90.0
  with pytest.raises(DataError, match=r"r1, subject s1: no usable beat \(flat line\); omit the record"):
    conditioning.condition(raw, SPEC)


def test_values_that_cannot_be():
  for change, said in (
    ({"fs_hz": 20.0}, "fs_hz=20"),
    ({"drop": ("late",)}, "'late' is not a fault"),
    ({"repeat_s": 1.0}, "repeat_s"),
  ):
    with pytest.raises(InputError, match=said):
      conditioning.check(dataclasses.replace(SPEC, **change))


def test_real_records(reference_data):
  """What the records are known for: a monitor's delay of the PPG, and a PPG that wraps around.

  The delay is 0.34 s by cross-correlation of the waves; the tangents of the slower upstroke of the PPG meet diastole later.
  """
  channels = {"abp_mmhg": "radial", "pleth": "digital_ppg", "t_s": "time_s"}
  intraop = datasets.read(DATASETS["npz"](reference_data / "intraop_1.npz", channels).entries[0])
  _, report = conditioning.condition(intraop, SPEC)
  assert report.sync["digital_ppg"].removed_s == pytest.approx(0.37, abs=0.01)
  wrapped = DATASETS["wfdb"](reference_data / "wfdb" / "v102s", {"PLETH": "digital_ppg"})
  _, report = conditioning.condition(datasets.read(wrapped.entries[0]), SPEC)
  assert report.faults["digital_ppg"]["clipped"] > 450
  assert report.good_s["digital_ppg"] < 10


@pytest.mark.parametrize("fs_hz", [125.0, 124.945, 500.0])
@pytest.mark.parametrize("delay_s", [0.0, 0.34])
def test_clipping_is_found_at_any_rate_and_on_a_moved_signal(fs_hz, delay_s):
  cut = np.minimum(pulses(fs_hz, 60, delay_s) / 100, 1.1)
  _, report = conditioning.condition(record(fs_hz, digital_ppg=cut), SPEC)
  assert report.faults["digital_ppg"]["clipped"] > 60
  assert report.good_s["digital_ppg"] < 3
  assert "clipped" not in report.faults["radial"]


def test_a_delay_that_changes_within_a_beat_is_a_drift():
  wave = pulses(125.0, 120, 0.34)
  wave[9000:] = pulses(125.0, 120, 0.44)[9000:]
  raw = record(125.0, 120, digital_ppg=wave / 100)
  with pytest.raises(DataError, match=r"digital_ppg and radial are not simultaneous: the lag drifts by 0\.10 s"):
    conditioning.condition(raw, SPEC)


def pair(delay_s, change_s=0.0, seconds=60):
  """Aortic and radial pressure, the radial one later, from half time on by more."""
  late = pulses(125.0, seconds, delay_s)
  late[seconds * 125 // 2 :] = pulses(125.0, seconds, delay_s + change_s)[seconds * 125 // 2 :]
  aortic = 70 + 0.7 * (pulses(125.0, seconds, 0.0) - 70)
  return dataclasses.replace(
    record(125.0, seconds), signals={"aortic_root": aortic, "radial": late},
    units={"aortic_root": "mmHg", "radial": "mmHg"},
  )  # fmt: skip


@pytest.mark.parametrize(("delay_s", "change_s"), [(0.1, 0.4), (0.5, -0.4)])
def test_of_a_lag_that_jumps_the_shorter_one_is_kept(delay_s, change_s):
  cleaned, report = conditioning.condition(pair(delay_s, change_s), SPEC)
  assert any(note.startswith(f"{cleaned.subject}: radial: the lag is 0.") for note in cleaned.notes)  # who it is
  assert any("s elsewhere" in reason for reason in report.faults["radial"])
  assert report.sync["radial"].lag_s == pytest.approx(0.1, abs=0.02)
  assert 20 < report.good_s["radial"] < 40 < report.good_s["aortic_root"]


@pytest.mark.parametrize(
  ("begin_s", "stop_s", "change_s"),
  [
    (39, 60, 0.4),
    (21, 60, 0.4),
    (39, 60, 0.2),
    (0, 21, 0.4),
    (27, 35, 0.4),
    (30, 60, -0.2),
    (39, 60, -0.2),
    (0, 39, -0.2),
  ],
)
def test_where_the_lag_jumps_the_wave_is_left_out(begin_s, stop_s, change_s):
  raw, moved = pair(0.1), pulses(125.0, 60, 0.1 + change_s)
  begin, stop = begin_s * 125, stop_s * 125
  radial = raw.signals["radial"].copy()
  radial[begin:stop] = moved[begin:stop]
  cleaned, report = conditioning.condition(dataclasses.replace(raw, signals={**raw.signals, "radial": radial}), SPEC)
  kept = np.isfinite(cleaned.signals["radial"])
  assert not kept[begin + 125 : stop - 125].any()
  assert report.good_s["radial"] > 60 - (stop_s - begin_s) - 8
  assert report.sync["radial"].lag_s == pytest.approx(0.1, abs=0.02)
  assert any("radial: the lag is 0.10 s from" in note for note in cleaned.notes)


def test_pairs_of_two_rhythms_or_exchanged_channels_are_refused():
  other = pair(0.1)
  rng = np.random.default_rng(1)
  shifted = np.roll(pulses(125.0, 60, 0.1), int(rng.integers(1000, 3000)))
  with pytest.raises(DataError, match=r"are not simultaneous: (the rhythms differ|the lag)"):
    conditioning.condition(dataclasses.replace(other, signals={**other.signals, "radial": shifted}), SPEC)
  exchanged = {"aortic_root": other.signals["radial"], "radial": other.signals["aortic_root"]}
  with pytest.raises(
    DataError, match=r"radial and aortic_root are not simultaneous: radial is 0\.10 s ahead of aortic_root"
  ):
    conditioning.condition(dataclasses.replace(other, signals=exchanged), SPEC)


def test_a_ppg_that_falls_with_the_pulse_is_turned_over():
  wave = pulses(125.0, 60, 0.1) / 100
  upright, _ = conditioning.condition(record(125.0, 60, digital_ppg=wave), SPEC)
  turned, report = conditioning.condition(record(125.0, 60, digital_ppg=-wave), SPEC)
  assert report.faults["digital_ppg"]["falls with the pulse, turned over"] == 1
  a, b = (one.signals["digital_ppg"] for one in (upright, turned))
  assert np.corrcoef(a[500:-500], b[500:-500])[0, 1] > 0.999
  assert report.sync["digital_ppg"].lag_s == pytest.approx(0.1, abs=0.02)


def test_a_slower_signal_keeps_its_upstroke():
  slow_s = np.arange(62.5 * 60) / 62.5
  fast_s = np.arange(125 * 60) / 125
  wave = 90 + 20 * np.sin(2 * np.pi * 8 * slow_s)
  clock, waves = recordings.on_one_clock({"radial": (slow_s, wave), "digital_ppg": (fast_s, fast_s)})
  inner = slice(200, -200)
  np.testing.assert_allclose(waves["radial"][inner], 90 + 20 * np.sin(2 * np.pi * 8 * clock[inner]), atol=0.2)


def test_a_clock_full_of_pauses_is_refused():
  time_s = np.arange(2000) / 125
  time_s[-1] = 1e9
  with pytest.raises(DataError, match=r"2000 samples at 125 Hz span 1e.09 s; correct the clock"):
    recordings.make("s", "r", "file", time_s, {"radial": np.full(2000, 90.0)})


def test_an_empty_column_is_not_a_signal():
  time_s = np.arange(500) / 125
  output = recordings.make(
    "s", "r", "file", time_s, {"radial": np.full(500, 90.0), "digital_ppg": np.full(500, np.nan)}
  )
  assert output.sites == ("radial",)


@pytest.mark.parametrize("course", ["steady", "saw tooth"])
def test_a_lag_that_drifts_is_no_delay(course):
  """40 ms a minute over two minutes, and 0 to 120 ms in 20 s again and again, at a scatter of a few milliseconds."""
  t = np.arange(120 * 125) / 125
  late_s = 0.1 + (0.04 * t / 60 if course == "steady" else 0.12 * (t % 20) / 20)
  aortic = 70 + 0.7 * (pulses(125.0, 120, 0.0) - 70)
  radial = np.interp(t - late_s, t, pulses(125.0, 120, 0.0))
  raw = dataclasses.replace(
    record(125.0, 120), signals={"aortic_root": aortic, "radial": radial},
    units={"aortic_root": "mmHg", "radial": "mmHg"},
  )  # fmt: skip
  with pytest.raises(DataError, match=r"radial and aortic_root are not simultaneous: the lag drifts by 0\.0[3-6] s"):
    conditioning.condition(raw, SPEC)


def test_a_delay_of_three_seconds_is_found_and_said():
  cleaned, report = conditioning.condition(record(125.0, 120, digital_ppg=pulses(125.0, 120, 3.0) / 100), SPEC)
  assert report.sync["digital_ppg"].removed_s == pytest.approx(3.0, abs=0.02)
  assert any("digital_ppg: a monitor's delay of 3.0" in note for note in cleaned.notes)


def test_one_wave_under_two_names_is_no_pair():
  raw = pair(0.1)
  same = dataclasses.replace(
    raw, signals={"aortic_root": raw.signals["radial"], "radial": raw.signals["radial"].copy()}
  )
  with pytest.raises(DataError, match="radial is the same wave as aortic_root"):
    conditioning.condition(same, SPEC)
