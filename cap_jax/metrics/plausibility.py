"""What a person would accept of a reconstructed wave where nobody measured the aortic one, beat by beat.

| check | bound | why |
|---|---|---|
| pulse | PP peripheral over central 1.0 to 1.9 | arteries amplify the pulse, at rest up to some 1.9 times |
| diastole | central DBP 0 to 5 mmHg above the peripheral one | it falls a little along the arteries (Kroeker & Wood 1955) |
| mean | central mean 0 to 3 mmHg above the peripheral one | the mean pressure falls by 1 to 2 mmHg |
| lead | foot of the aortic wave 40 to 130 ms ahead | travel time from the aortic root to the wrist |
| smooth | share of 9 to 20 Hz at most that of the peripheral wave | the aortic root has no more fast content |
| incisura | where the peripheral wave has a dicrotic notch | the valve that makes one makes the other |

The bounds are those of a wrist. They say what is implausible, not what is right.
"""

import dataclasses

import numpy as np

from cap_jax.haemodynamics import indices, timing
from cap_jax.inference import reconstruct
from cap_jax.signals import beats

PULSE, DIASTOLE_MMHG, MEAN_MMHG, LEAD_MS = (1.0, 1.9), (0.0, 5.0), (0.0, 3.0), (40.0, 130.0)
CHECKS = ("pulse", "diastole", "mean", "lead", "smooth", "incisura")
FREQUENCIES_HZ = tuple(float(f) for f in range(1, 11))
_FAST_HZ, _HALF_BAND_HZ = (9.0, 20.0), 0.5
_LEAST_PULSE_MMHG = 1e-3
SHORTEST_S = 2.0  # of a piece between gaps
_WINDOW_S = 4.0


@dataclasses.dataclass(frozen=True)
class BeatPlausibility:
  """The checks of a record's beats.

  Attributes:
    passes: check → (beat,) whether it holds.
    gain_f: (frequency,) magnitude of the transfer function from the aortic to the peripheral wave at `FREQUENCIES_HZ`; NaN
      where a record is too short.
  """

  passes: dict[str, np.ndarray]
  gain_f: np.ndarray

  @property
  def beats(self) -> int:
    """The number of beats."""
    return len(self.passes[CHECKS[0]])

  def share(self, *names: str) -> float:
    """Returns the share of the beats for which some checks hold together; NaN without beats."""
    return float(np.all([self.passes[name] for name in names], axis=0).mean()) if self.beats else float("nan")


def of_record(peripheral_t: np.ndarray, aortic_t: np.ndarray, fs_hz: float, site: str = "radial") -> BeatPlausibility:
  """Checks the beats of a reconstructed record.

  Args:
    peripheral_t: (time,) measured wave [mmHg], NaN in its gaps.
    aortic_t: (time,) reconstructed wave [mmHg] on the same clock, NaN in its gaps.
    fs_hz: sampling rate.
    site: of the measured wave.
  """
  passes: dict[str, list[np.ndarray]] = {name: [] for name in CHECKS}
  pieces = [
    (peripheral_t[part], aortic_t[part])
    for part in np.ma.clump_unmasked(np.ma.masked_invalid(peripheral_t + aortic_t))
    if part.stop - part.start >= SHORTEST_S * fs_hz
  ]
  for p_t, a_t in pieces:
    for name, of_beats in _of_piece(p_t, a_t, fs_hz, site).items():
      passes[name].append(of_beats)
  joined = {name: np.concatenate([np.zeros(0, bool), *parts]) for name, parts in passes.items()}
  return BeatPlausibility(joined, _gain(pieces, fs_hz))


def _of_piece(p_t: np.ndarray, a_t: np.ndarray, fs_hz: float, site: str) -> dict[str, np.ndarray]:
  """Returns check → (beat,) of a piece without gaps."""
  own, aortic = reconstruct.paired_feet(p_t, a_t, fs_hz, site)
  if len(own) < 2:
    return {name: np.zeros(0, bool) for name in CHECKS}
  peripheral, central = beats.pressures(p_t, own), beats.pressures(a_t, aortic)
  lead_ms = 1000 * (own - aortic)[:-1] / fs_hz
  p_bt, a_bt = indices.cut(p_t, own), indices.cut(a_t, aortic)
  period_b, aortic_period_b = np.diff(own) / fs_hz, np.diff(aortic) / fs_hz
  has_notch = np.isfinite(timing.ejection(p_bt, period_b))
  return {
    "pulse": _within(peripheral.pulse / np.maximum(central.pulse, _LEAST_PULSE_MMHG), PULSE),
    "diastole": _within(central.diastolic - peripheral.diastolic, DIASTOLE_MMHG),
    "mean": _within(central.mean - peripheral.mean, MEAN_MMHG),
    "lead": _within(lead_ms, LEAD_MS) & np.isin(aortic, beats.find_feet(a_t, fs_hz))[:-1],  # not where it is assumed
    "smooth": _fast_share(a_bt, aortic_period_b) <= _fast_share(p_bt, period_b),
    "incisura": ~has_notch | np.isfinite(timing.ejection(a_bt, aortic_period_b)),
  }


def _within(value_b: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
  return (bounds[0] <= value_b) & (value_b <= bounds[1])


def _fast_share(x_bt: np.ndarray, period_b: np.ndarray) -> np.ndarray:
  """Returns the share of a beat's power from 9 to 20 Hz, (beat,)."""
  power_bk = np.square(np.abs(np.fft.rfft(x_bt, axis=1)))[:, 1:]
  frequency_bk = np.arange(1, power_bk.shape[1] + 1) / period_b[:, None]
  fast_bk = (frequency_bk >= _FAST_HZ[0]) & (frequency_bk <= _FAST_HZ[1])
  return (power_bk * fast_bk).sum(1) / np.maximum(power_bk.sum(1), np.finfo(float).tiny)


def _gain(pieces: list[tuple[np.ndarray, np.ndarray]], fs_hz: float) -> np.ndarray:
  """Returns |H| from the aortic to the peripheral wave, from cross spectra of windows of 4 s, (frequency,)."""
  size = round(_WINDOW_S * fs_hz)
  windows = [
    (p_t[start : start + size], a_t[start : start + size])
    for p_t, a_t in pieces
    for start in range(0, len(p_t) - size + 1, size)
  ]
  if not windows:
    return np.full(len(FREQUENCIES_HZ), np.nan)
  taper_t = np.hanning(size)
  p_wf, a_wf = (
    np.fft.rfft((x - x.mean(1, keepdims=True)) * taper_t, axis=1) for x in map(np.array, zip(*windows, strict=True))
  )
  frequency_f = np.fft.rfftfreq(size, 1 / fs_hz)
  near_ff = np.abs(frequency_f - np.array(FREQUENCIES_HZ)[:, None]) <= _HALF_BAND_HZ
  cross, power = (p_wf * a_wf.conj()).sum(0), np.square(np.abs(a_wf)).sum(0)
  return np.array([np.abs(cross[near].sum()) / max(power[near].sum(), np.finfo(float).tiny) for near in near_ff])
