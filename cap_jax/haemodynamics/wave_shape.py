"""The shape of single beats of an arterial pressure wave, at any site, and how the beats of a window vary.

A beat begins at its foot. h is its height above its lowest value relative to its pulse pressure, under a low-pass of
20 Hz, so that the noise of a sensor does not count as shape; T is its length.

| feature | definition |
|---|---|
| hr_bpm, map_mmhg, pp_mmhg, dbp_mmhg | rate, mean, pulse and diastolic pressure |
| form_factor | (MAP − DBP)/PP |
| upstroke_per_s | largest dh/dt of the rise: max dP/dt relative to PP |
| rise_ms | from h = 10 % to h = 90 % |
| peak_ms | from the foot to the peak |
| width_ms, crest_ms | time with h above 50 %, above 90 % |
| notch_ms, notch_level | time and h of the dicrotic notch or incisura (`timing.ejection`); NaN where there is none |
| rebound | largest rise of h after the peak, 0 for a wave that only falls |
| decay | T/τ of the exponential exp(−t/τ) that fits P from 60 to 95 % of the beat: the fall of ln P a beat |
| slope_db_per_octave | of the first ten harmonics below 20 Hz: a straight line through 20 log₁₀|c_k| over log₂ k |
| high_share | amplitude (RMS) from 9 to 20 Hz relative to that of all harmonics below 20 Hz |
| notch_share | of a window: share of its beats with a dicrotic notch or incisura |
| rr_variation | of a window: SD of the intervals between feet relative to their mean |
| pp_variation | of a window: difference of the largest and the smallest pulse pressure relative to the mean of both (Michard et al. 2000, Am. J. Respir. Crit. Care Med. 162, 134, over a breath) |
| swing_mmhg | of a window: range of the mean pressures of its beats |
| noise_mmhg | of a window: RMS above 25 Hz |
"""

import numpy as np

from cap_jax.haemodynamics import indices, timing
from cap_jax.signals import beats

# feature → its unit, "" without one
BEAT_UNITS = {
  "hr_bpm": "bpm", "map_mmhg": "mmHg", "pp_mmhg": "mmHg", "dbp_mmhg": "mmHg", "form_factor": "", "upstroke_per_s": "1/s",
  "rise_ms": "ms", "peak_ms": "ms", "width_ms": "ms", "crest_ms": "ms", "notch_ms": "ms", "notch_level": "", "rebound": "",
  "decay": "", "slope_db_per_octave": "dB/octave", "high_share": "",
}  # fmt: skip
WINDOW_UNITS = {"notch_share": "", "rr_variation": "", "pp_variation": "", "swing_mmhg": "mmHg", "noise_mmhg": "mmHg"}
UNITS = {**BEAT_UNITS, **WINDOW_UNITS}
_SHAPE_HZ = 20.0  # low-pass of the shape, and highest harmonic
_HARMONICS, _HIGH_HZ = 10, 9.0
_DIASTOLE = (0.6, 0.95)  # of the beat: after the dicrotic wave, before the foot
_NOISE_HZ = 25.0
_LEAST_PULSE_MMHG = 1.0


def _crossing_ms(h_bt: np.ndarray, steep_b: np.ndarray, level: float, step_b: np.ndarray) -> np.ndarray:
  """Returns when h passes a level on the rise around its steepest sample [ms], linear between samples, (beat,)."""
  index, row = np.arange(h_bt.shape[1])[None, :], np.arange(len(h_bt))
  above, before = h_bt >= level, index <= steep_b[:, None]
  # the last sample below the level before the steepest one, or the first above it behind
  below_b = np.where(before & ~above, index, -1).max(1)
  behind_b = np.where(~before & above, index, h_bt.shape[1]).min(1) - 1
  at = np.where(above[row, steep_b], below_b, behind_b)
  first, second = np.maximum(at, 0), np.minimum(at + 1, h_bt.shape[1] - 1)
  rise = h_bt[row, second] - h_bt[row, first]
  part = np.where(rise > 0, (level - h_bt[row, first]) / np.where(rise > 0, rise, 1.0), 0.0)
  return 1000 * step_b * np.maximum(at + np.clip(part, 0.0, 1.0), 0.0)


def _largest_rise(h_bt: np.ndarray, peak_b: np.ndarray) -> np.ndarray:
  """Returns the largest rise of h after its peak, (beat,)."""
  after_bt = np.where(np.arange(h_bt.shape[1])[None, :] >= peak_b[:, None], h_bt, h_bt.max(1, keepdims=True))
  return (after_bt - np.minimum.accumulate(after_bt, axis=1)).max(1)


def _decay(p_bt: np.ndarray) -> np.ndarray:
  """Returns the fall of ln P a beat in late diastole, (beat,); NaN where the pressure is not above zero."""
  turn = np.arange(p_bt.shape[1]) / p_bt.shape[1]
  late = (turn >= _DIASTOLE[0]) & (turn <= _DIASTOLE[1])
  defined = p_bt[:, late].min(1) > 0
  log_bt = np.log(np.where(defined[:, None], p_bt[:, late], 1.0))
  away = turn[late] - turn[late].mean()
  return np.where(defined, -(log_bt @ away) / (away @ away), np.nan)


def _spectrum(p_bt: np.ndarray, period_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the slope of the harmonics [dB/octave] and the share of the fast ones, each (beat,)."""
  c_bk = np.abs(np.fft.rfft(p_bt, axis=1))[:, 1 : min(p_bt.shape[1] // 2, 200)]
  k = np.arange(1, c_bk.shape[1] + 1)
  f_bk = k[None, :] / period_b[:, None]
  inside = f_bk <= _SHAPE_HZ
  power = np.where(inside, c_bk**2, 0.0)
  share = np.sqrt(np.where(f_bk >= _HIGH_HZ, power, 0.0).sum(1) / power.sum(1))
  weight = (inside & (k <= _HARMONICS)[None, :]).astype(float)
  octave, level = np.log2(k)[None, :], 20 * np.log10(np.maximum(c_bk, 1e-12))
  count = weight.sum(1, keepdims=True)
  away = octave - (weight * octave).sum(1, keepdims=True) / count
  slope = (weight * away * level).sum(1) / np.maximum((weight * away**2).sum(1), 1e-12)
  return np.where(count[:, 0] > 1, slope, np.nan), share


def of_beats(p_bt: np.ndarray, period_b: np.ndarray) -> dict[str, np.ndarray]:
  """Computes the features of single beats.

  Args:
    p_bt: (beat, time) pressure [mmHg], one period each, evenly sampled from its foot.
    period_b: (beat,) length [s].

  Returns:
    feature → (beat,), keys and units in `BEAT_UNITS`; all NaN for a beat with a pulse below 1 mmHg.
  """
  p_bt, period_b = np.asarray(p_bt, dtype=float), np.asarray(period_b, dtype=float)
  if not len(p_bt):
    return {name: np.zeros(0) for name in BEAT_UNITS}
  pulsates = np.isfinite(p_bt).all(1) & (np.ptp(p_bt, axis=1) >= _LEAST_PULSE_MMHG)
  p_bt = np.where(pulsates[:, None], p_bt, 80 + 20 * np.sin(2 * np.pi * np.arange(p_bt.shape[1]) / p_bt.shape[1]))
  smooth, speed, _, _ = timing.derivatives(p_bt, period_b, _SHAPE_HZ)
  pulse, step_b, row = np.ptp(smooth, axis=1), period_b / p_bt.shape[1], np.arange(len(p_bt))
  h_bt = (smooth - smooth.min(1, keepdims=True)) / pulse[:, None]
  peak_b = h_bt.argmax(1)
  rising = np.arange(p_bt.shape[1])[None, :] <= np.maximum(peak_b, 1)[:, None]
  steep_b = np.where(rising, speed, -np.inf).argmax(1)
  notch_b = timing.ejection(p_bt, period_b)
  notch_k = np.round(np.nan_to_num(notch_b) / step_b).astype(int) % p_bt.shape[1]
  slope, share = _spectrum(p_bt, period_b)
  values = {
    "hr_bpm": 60 / period_b,
    "map_mmhg": p_bt.mean(1),
    "pp_mmhg": np.ptp(p_bt, axis=1),
    "dbp_mmhg": p_bt.min(1),
    "form_factor": indices.form_factor(p_bt),
    "upstroke_per_s": speed[row, steep_b] / pulse,
    "rise_ms": _crossing_ms(h_bt, steep_b, 0.9, step_b) - _crossing_ms(h_bt, steep_b, 0.1, step_b),
    "peak_ms": 1000 * peak_b * step_b,
    "width_ms": 1000 * (h_bt > 0.5).sum(1) * step_b,
    "crest_ms": 1000 * (h_bt > 0.9).sum(1) * step_b,
    "notch_ms": 1000 * notch_b,
    "notch_level": np.where(np.isfinite(notch_b), h_bt[row, notch_k], np.nan),
    "rebound": _largest_rise(h_bt, peak_b),
    "decay": _decay(p_bt),
    "slope_db_per_octave": slope,
    "high_share": share,
  }
  return {name: np.where(pulsates, value, np.nan) for name, value in values.items()}


def of_window(p_t: np.ndarray, fs_hz: float) -> dict[str, float]:
  """Computes the medians over the beats of a window, and how they vary.

  Args:
    p_t: (time,) pressure without gaps [mmHg].
    fs_hz: sampling rate.

  Returns:
    feature → value, keys and units in `UNITS`; all NaN for a window without two whole beats.
  """
  feet = beats.find_feet(p_t, fs_hz)
  if len(feet) < 3:
    return dict.fromkeys(UNITS, float("nan"))
  period_b = np.diff(feet) / fs_hz
  by_beat = of_beats(indices.cut(p_t, feet), period_b)
  own = beats.pressures(p_t, feet)
  f = np.fft.rfftfreq(p_t.size, 1 / fs_hz)
  fast = np.fft.irfft(np.fft.rfft(np.diff(p_t, prepend=p_t[:1])) * (f > _NOISE_HZ) / _unit_step(f, fs_hz), n=p_t.size)
  with np.errstate(all="ignore"):
    medians = {name: float(_median(value)) for name, value in by_beat.items()}
  return {
    **medians,
    "notch_share": float(np.isfinite(by_beat["notch_ms"]).mean()),
    "rr_variation": float(period_b.std() / period_b.mean()),
    "pp_variation": float(2 * np.ptp(own.pulse) / (own.pulse.max() + own.pulse.min())),
    "swing_mmhg": float(np.ptp(own.mean)),
    "noise_mmhg": float(np.sqrt((fast**2).mean())),
  }


def _unit_step(f: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns the gain of a difference of neighbouring samples at frequencies above 0, 1 at 0."""
  return np.where(f > 0, 2 * np.sin(np.pi * f / fs_hz), 1.0)


def _median(value_b: np.ndarray) -> float:
  """Returns the median of the defined values; NaN if fewer than half of them are."""
  defined = value_b[np.isfinite(value_b)]
  return float(np.median(defined)) if 2 * defined.size > value_b.size else float("nan")
