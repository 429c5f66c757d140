"""Indices against closed forms, the virtual cohort's known flow, and neurokit2 for what both have."""

import neurokit2
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import cohort, population, profiles
from cap_jax.haemodynamics import indices, reservoir, timing, wave_separation, windkessel
from cap_jax.signals import beats
from tests.arteries import people

SAMPLES = 400
TIME = np.arange(SAMPLES) / SAMPLES  # one beat of 1 s
ONE = np.ones(1)


@pytest.fixture(scope="module")
def subjects():
  drawn = people.draw(3, clinics.POPULATIONS["healthy"], 64)  # as many as in `test_haemodynamics`: one program
  result = profiles.profiles(drawn)
  p, q = np.asarray(result.p_mmhg, float), 1e6 * np.asarray(result.u_m_s * result.a_m2, float)
  return drawn, 60 / np.asarray(drawn.hr_bpm), p[:, 0], q[:, 0], p[:, 8]


def sawtooth():
  """Up in 0.2 s from 80 to 120 mmHg, straight down to 95 at 0.3 s, a dip to 90, a rebound steeper than the rise, and down to 80."""
  return np.interp(TIME, [0, 0.2, 0.3, 0.32, 0.33, 1], [80, 120, 95, 90, 94, 80])[None]


@pytest.mark.quick
def test_indices_of_straight_lines():
  wave = sawtooth()
  result = indices.of_beats(np.roll(wave, 123, axis=1), ONE, 80 + 2 * (wave - 80)).values
  for name, value in {"csbp": 120, "cdbp": 80, "cpp": 40, "map": wave.mean(), "hr": 60, "amplification": 2}.items():
    assert result[name][0] == pytest.approx(value, abs=1e-9), name
  assert result["form_factor"][0] == pytest.approx((wave.mean() - 80) / 40)
  assert result["dpdt_max"][0] == pytest.approx(200, rel=0.01)
  assert result["time_to_peak"][0] == pytest.approx(200, abs=3)
  assert result["ejection"][0] == pytest.approx(320, abs=10)
  shut = round(result["ejection"][0] * SAMPLES / 1000)
  assert result["sevr"][0] == pytest.approx(100 * wave[0, shut:].sum() / wave[0, :shut].sum(), rel=0.01)
  assert indices.form_factor(80 + 40 * TIME[None])[0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.quick
def test_noise_of_a_flat_line_is_not_a_beat():
  rng = np.random.default_rng(0)
  result = indices.of_wave(90 + 1e-6 * rng.normal(size=2500), 125.0)
  assert set(result.reasons["csbp"]) <= {indices.FLAT}
  assert np.isnan(result.values["aix"]).all()


@pytest.mark.quick
@pytest.mark.parametrize("rate", [200, 220, 240])
def test_beats_that_are_taken_for_one_are_no_beat(rate):
  t = np.arange(2500) / 125.0
  u = t * rate / 60 % 1
  wave = 80 + 40 * np.exp(-((u - 0.3) ** 2) / 0.02) + 10 * np.exp(-((u - 0.6) ** 2) / 0.02)
  result = indices.of_wave(wave, 125.0)
  whole = np.isfinite(result.values["csbp"])
  np.testing.assert_allclose(result.values["hr"][whole], rate, rtol=0.05)
  assert set(result.reasons["csbp"][~whole]) <= {indices.SEVERAL_BEATS}


@pytest.mark.quick
def test_ratios_of_pressure_need_pressures_above_zero():
  """A wave whose mean was taken out, as filtered ones are."""
  flow = 400 * np.maximum(np.sin(2 * np.pi * TIME), 0.0)[None]
  result = indices.of_beats(sawtooth() - 95, ONE, q_bt=flow)
  for name in ("sevr", "r"):
    assert np.isnan(result.values[name][0])
    assert result.reasons[name][0] == indices.NOT_ABSOLUTE
  assert np.isfinite(result.values["form_factor"][0])


@pytest.mark.slow
def test_augmentation_index_is_brought_to_75_beats_a_minute(subjects):
  _, period, root, _, _ = subjects
  result = indices.of_beats(root, period).values
  known = np.isfinite(result["aix"])
  assert known.mean() > 0.9
  np.testing.assert_allclose((result["aix"] - result["aix75"])[known], 0.39 * (75 - 60 / period)[known], atol=1e-4)
  # AIx is of the pulse in the 10 Hz wave in which the inflection is looked for, which is a little lower
  ratio = (result["aix"] / (100 * result["ap"] / result["cpp"]))[known]
  assert 1.0 <= ratio.min() <= ratio.max() < 1.15


@pytest.mark.quick
def test_what_is_undefined_says_why():
  sine, lost = 90 + 20 * np.sin(2 * np.pi * TIME), np.full(SAMPLES, np.nan)
  result = indices.of_beats(np.stack([sine, lost, np.full(SAMPLES, 90.0), sawtooth()[0]]), np.ones(4))
  assert result.reasons["ejection"].tolist() == [indices.NO_INCISURA, indices.FLAT, indices.FLAT, ""]
  assert result.reasons["aix"][0] == indices.NO_INCISURA
  assert set(result.reasons["amplification"]) == {indices.NO_PERIPHERAL, indices.FLAT}
  assert set(result.reasons["r"]) == {indices.NO_FLOW, indices.FLAT}
  for name, value in result.values.items():
    np.testing.assert_array_equal(np.isnan(value), result.reasons[name] != "", err_msg=name)
  assert set(result.values) == set(indices.UNITS)
  assert result.values["map"][0] == pytest.approx(90)
  assert result.kind[1] == ""


@pytest.mark.quick
def test_what_lacks_a_period_a_flow_or_a_peripheral_wave_says_so():
  beat, flow = sawtooth()[0], np.maximum(np.sin(2 * np.pi * TIME), 0.0)
  lost, flat = np.full(SAMPLES, np.nan), np.zeros(SAMPLES)
  result = indices.of_beats(
    np.stack([beat] * 6),
    np.array([1.0, np.nan, 0.0, 1.0, 1.0, 1.0]),
    np.stack([beat, beat, beat, lost, flat + 90.0, 1.5 * beat]),
    np.stack([flow, flow, flow, flat, lost, 300 * flow]),
  )
  assert result.reasons["csbp"].tolist() == ["", indices.NO_PERIOD, indices.NO_PERIOD, "", "", ""]
  assert result.reasons["amplification"].tolist()[3:] == [indices.FLAT_PERIPHERAL, indices.FLAT_PERIPHERAL, ""]
  np.testing.assert_allclose(result.values["amplification"][[0, 5]], [1.0, 1.5])
  for name in ("rm", "ri", "forward", "c2", "zc3"):
    assert result.reasons[name].tolist()[3:5] == [indices.NO_OUTFLOW, indices.NO_OUTFLOW], name
  assert np.isfinite(result.values["rm"][[0, 5]]).all()
  for name, value in result.values.items():
    np.testing.assert_array_equal(np.isnan(value), result.reasons[name] != "", err_msg=name)


@pytest.mark.quick
@pytest.mark.parametrize("wave", [np.full(500, 90.0), np.full(10, 90.0), 90 + 20 * np.sin(np.linspace(0, 5, 100))])
def test_a_wave_without_a_whole_beat_has_no_indices(wave):
  result = indices.of_wave(wave, 125.0, wave)
  assert set(result.values) == set(indices.UNITS)
  assert all(value.shape == (0,) for value in result.values.values())
  assert result.kind.shape == (0,)


@pytest.mark.quick
def test_a_windkessel_is_recovered():
  r, c, zc = np.array([1.1, 0.8]), np.array([1.3, 2.0]), np.array([0.05, 0.08])
  period = np.array([1.0, 0.7])
  q = 400 * wave_separation.triangle(np.full(2, 0.1), np.full(2, 0.3), period, 256)
  omega = 2 * np.pi * np.arange(129)[None] / period[:, None]
  for elements in (2, 3):
    z_c = zc[:, None] * (elements == 3)
    z = z_c + (r[:, None] - z_c) / (1 + 1j * omega * (r[:, None] - z_c) * c[:, None])
    spectrum = np.fft.rfft(q, axis=1) * z
    spectrum[:, 16:] = 0  # as many harmonics as the fit reads
    p = np.fft.irfft(spectrum, n=256, axis=1) + 8.0
    result = windkessel.fit(p, q, period, elements, p_out_mmhg=8.0)
    np.testing.assert_allclose(result.r, r, rtol=1e-6)
    np.testing.assert_allclose(result.c, c, rtol=1e-4)
    np.testing.assert_allclose(result.zc, z_c[:, 0], atol=1e-5)
    assert result.rmse_mmhg.max() < 1e-3
  assert np.isnan(windkessel.fit(p, -q, period, 2).c).all()
  with pytest.raises(ValueError, match="2 or 3"):
    windkessel.fit(p, q, period, 4)


def test_windkessels_of_the_cohort_have_its_resistance_and_compliance(subjects):
  drawn, period, root, flow, _ = subjects
  result = windkessel.fit(root, flow, period, 3, population.P_OUT_MMHG)
  supply = np.asarray(drawn.sv_ml) * np.asarray(drawn.hr_bpm) / 60
  np.testing.assert_allclose(result.r, (root.mean(1) - population.P_OUT_MMHG) / supply, rtol=1e-3)
  total = np.asarray(cohort.derived(drawn)["compliance_ml_mmhg"])
  assert np.nanmedian(result.c / total) == pytest.approx(1.0, abs=0.1)
  assert np.corrcoef(result.c, total)[0, 1] > 0.95


@pytest.mark.quick
def test_waves_are_separated_by_a_known_flow():
  forward = 20 * np.exp(-((TIME - 0.12) ** 2) / 0.002)
  backward = 8 * (1 - np.cos(2 * np.pi * (TIME - 0.2)))  # the first harmonic alone: it leaves Zc as it is
  p, q = (forward + backward)[None], ((forward - backward) / 0.06)[None]
  result = wave_separation.separate(80 + p, q)
  assert result.zc[0] == pytest.approx(0.06, rel=1e-6)
  np.testing.assert_allclose(result.forward_bt[0], forward - forward.mean(), atol=1e-6)
  assert result.rm[0] == pytest.approx(16 / 20, rel=1e-3)
  assert result.ri[0] == pytest.approx(16 / 36, rel=1e-3)
  np.testing.assert_allclose(wave_separation.separate(p, 7 * q).rm, result.rm)  # the flow's size does not matter


def test_a_triangle_stands_for_the_flow(subjects):
  """Against the cohort's own flow: the triangle tells subjects apart, at a reflection magnitude that is lower throughout."""
  _, period, root, flow, _ = subjects
  true, result = (indices.of_beats(root, period, q_bt=q).values["rm"] for q in (flow, None))
  known = np.isfinite(result)
  assert known.mean() > 0.9
  assert np.corrcoef(true[known], result[known])[0, 1] > 0.65
  assert 0.75 < np.median(result[known] / true[known]) < 0.9


@pytest.mark.quick
def test_the_flow_of_a_late_inflection_peaks_with_the_pressure():
  """Murgo's type C: the inflection follows the peak; a flow that peaked there would end at the height of ejection."""
  hump = lambda at, width: np.exp(-0.5 * ((TIME - at) / width) ** 2)  # noqa: E731
  tail = np.where(TIME > 0.36, 8 * np.exp(-(TIME - 0.36) / 0.3), 0)
  wave = (80 + 30 * hump(0.13, 0.05) + 14 * hump(0.30, 0.05) + tail)[None]
  result = indices.of_beats(wave, ONE)
  assert result.kind[0] == "C"
  peak, shut = result.values["time_to_peak"] / 1000, result.values["ejection"] / 1000
  from_foot = timing.from_sample(wave, np.round(timing.foot_times(wave, ONE) * SAMPLES).astype(int))
  flow = wave_separation.triangle(peak, shut, ONE, SAMPLES)
  assert result.values["rm"][0] == pytest.approx(wave_separation.separate(from_foot, flow).rm[0], rel=1e-6)
  assert result.values["rm"][0] < 0.5


@pytest.mark.quick
def test_a_reservoir_is_recovered():
  k_s, k_d, asymptote, shut = 9.0, 1.6, 40.0, 0.3
  fine = np.arange(40_000) / 40_000
  excess = np.where(fine < shut, np.sin(np.pi * fine / shut) ** 2, 0)

  def charged(size):
    out = np.empty_like(fine)
    out[0] = 80.0
    for t in range(fine.size - 1):
      out[t + 1] = out[t] + (k_s * size * excess[t] - k_d * (out[t] - asymptote)) / fine.size
    return out

  ends = [charged(size)[-1] for size in (0.0, 30.0)]
  size = 30 * (80 - ends[0]) / (ends[1] - ends[0])  # linear: the beat ends where it began
  stored = charged(size)
  p = (stored + size * excess)[::100][None]
  result = reservoir.separate(p, ONE, np.array([shut]))
  assert result.diastolic_rate[0] == pytest.approx(k_d, rel=0.01)
  assert result.asymptote_mmhg[0] == pytest.approx(asymptote, abs=0.5)
  assert result.systolic_rate[0] == pytest.approx(k_s, rel=0.03)
  np.testing.assert_allclose(result.reservoir_bt[0], stored[::100], atol=0.3)
  assert result.excess_mmhg[0] == pytest.approx(size, abs=0.4)
  assert np.isnan(reservoir.separate(p, ONE, np.array([np.nan])).excess_mmhg[0])


def test_ejection_ends_at_the_incisura_of_the_cohort(subjects):
  """The valve shuts at the end of ejection, the wave bends most in the regurgitant lobe of 25 ms after it."""
  drawn, period, root, _, _ = subjects
  result = indices.of_beats(root, period).values["ejection"] / 1000
  off = (result - np.asarray(drawn.lvet_s))[np.isfinite(result)]
  assert off.size > 0.9 * len(result)
  assert 0 < off.mean() < 0.0125
  assert off.std() < 0.007


def test_beats_of_a_record_have_the_indices_of_the_beat(subjects):
  _, period, root, _, radial = subjects
  fs_hz, k = 125.0, 0
  at = np.arange(0, 12, 1 / fs_hz) / period[k] * root.shape[1]
  aortic, outside = (
    np.interp(at % w.shape[1], np.arange(w.shape[1] + 1), np.append(w[k], w[k, 0])) for w in (root, radial)
  )
  result = indices.of_wave(aortic, fs_hz, outside)
  one = indices.of_beats(root[k : k + 1], period[k : k + 1], radial[k : k + 1])
  assert len(result.kind) > 10
  for name, atol in (("csbp", 0.3), ("map", 0.3), ("amplification", 0.05), ("form_factor", 0.01), ("ejection", 12)):
    np.testing.assert_allclose(result.values[name], one.values[name][0], atol=atol, err_msg=name)


def test_beside_neurokit2(subjects):
  """Heart rate and systolic peaks of an aortic record, which both find."""
  _, period, root, _, _ = subjects
  fs_hz = 125.0
  for k in range(5):
    at = np.arange(0, 20, 1 / fs_hz) / period[k] * root.shape[1]
    wave = np.interp(at % root.shape[1], np.arange(root.shape[1] + 1), np.append(root[k], root[k, 0]))
    peaks = neurokit2.ppg_findpeaks(wave, sampling_rate=fs_hz)["PPG_Peaks"]
    result = indices.of_wave(wave, fs_hz)
    assert np.median(result.values["hr"]) == pytest.approx(60 * fs_hz / np.median(np.diff(peaks)), rel=0.02)
    assert np.median(result.values["csbp"]) == pytest.approx(np.median(wave[peaks]), abs=0.3)
    assert abs(len(result.kind) - (len(peaks) - 1)) <= 2
    feet = beats.find_feet(wave, fs_hz)
    rise = np.median(peaks[1:-1] - feet[np.searchsorted(feet, peaks[1:-1]) - 1]) / fs_hz
    assert np.median(result.values["time_to_peak"]) == pytest.approx(1000 * rise, abs=25)
    assert np.median(np.diff(feet)) == pytest.approx(np.median(np.diff(peaks)), abs=2)
