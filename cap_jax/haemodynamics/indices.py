"""Haemodynamic indices of aortic waves, batched over beats. An undefined index is NaN and has a reason.

| index | definition |
|---|---|
| csbp, cdbp, map, cpp | highest, lowest and mean pressure, and the pulse cSBP − cDBP |
| amplification | peripheral over central pulse pressure |
| p1, p2, ap, aix | systolic pressures before and after the reflection, AP = P2 − P1, AIx = AP/PP, all of the wave of 10 Hz bandwidth in which the reflection shows (`augmentation`): its peak, P2 of types A and B and P1 of type C, lies a little under cSBP, and its PP under cPP |
| tr | from the foot of that wave, its least value, to the reflection |
| aix75 | AIx − 0.39·(75 − HR) (Wilkinson et al. 2000, J. Physiol. 525, 263), in percentage points |
| form_factor | (MAP − DBP)/PP |
| ejection | from the foot to the incisura (`timing`) |
| sevr | area under diastole over area under systole, from zero pressure (Buckberg et al. 1972, Circ. Res. 30, 67) |
| dpdt_max, time_to_peak | of the rise, from the foot to the peak |
| forward, backward, rm, ri | wave separation (`wave_separation`), by a triangle where no flow was measured |
| reservoir, excess, … | of the reservoir (`reservoir`) |
| r, c2, c3, zc3 | Windkessels of two and three elements (`windkessel`), where flow was measured |
"""

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np

from cap_jax.haemodynamics import augmentation, reservoir, timing, wave_separation, windkessel
from cap_jax.signals import beats, windows

SAMPLES = 256
# index → its unit, "" without one
UNITS = {
  "hr": "bpm", "csbp": "mmHg", "cdbp": "mmHg", "map": "mmHg", "cpp": "mmHg", "amplification": "", "p1": "mmHg",
  "p2": "mmHg", "ap": "mmHg", "aix": "%", "aix75": "%", "tr": "ms", "form_factor": "", "ejection": "ms", "sevr": "%",
  "dpdt_max": "mmHg/s", "time_to_peak": "ms", "forward": "mmHg", "backward": "mmHg", "rm": "", "ri": "",
  "reservoir": "mmHg", "excess": "mmHg", "excess_integral": "mmHg s", "systolic_rate": "1/s", "diastolic_rate": "1/s",
  "asymptote": "mmHg", "r": "mmHg s/ml", "c2": "ml/mmHg", "c3": "ml/mmHg", "zc3": "mmHg s/ml",
}  # fmt: skip
_ENDINGS = {"mmHg": "_mmhg", "%": "_percent", "ms": "_ms", "bpm": "_bpm", "": ""}
FLAT, NO_PERIOD, NO_INCISURA, NO_INFLECTION = "flat or not finite", "no period", "no incisura", "no inflection"
STRAY_INFLECTION = "the inflection lies outside ejection"
NO_PERIPHERAL, FLAT_PERIPHERAL = "no peripheral wave", "the peripheral wave is flat or not finite"
NO_FLOW, NO_OUTFLOW = "no measured flow", "the flow has no positive mean"
NO_EXPONENTIAL, NO_WINDKESSEL = "no exponential fits diastole", "no Windkessel fits"
SEVERAL_BEATS, NOT_ABSOLUTE = "several beats in one, rate above 200 bpm", "the pressure is not above zero"
_SEVERAL = 0.5  # of a later harmonic (a choice; in aortic beats of people the first is the largest)
_LEAST_PULSE_MMHG = 1.0  # less is the noise of a flat line
_AIX_PER_BPM = 0.39


@dataclasses.dataclass(frozen=True)
class Indices:
  """Indices of beats.

  Attributes:
    values: index → (beat,), keys and units in `UNITS`.
    reasons: index → (beat,) why a value is NaN, "" where it is not.
    kind: (beat,) Murgo's type.
  """

  values: Mapping[str, np.ndarray]
  reasons: Mapping[str, np.ndarray]
  kind: np.ndarray


def ending(index: str) -> str:
  """Returns the ending of an index's column in files, which is its unit.

  Args:
    index: name of an index, in `UNITS`.
  """
  return _ENDINGS[UNITS[index]]


def form_factor(p_bt: np.ndarray) -> np.ndarray:
  """Returns the form factor (MAP − DBP)/PP.

  Args:
    p_bt: (beat, time) pressure [mmHg].
  """
  return (p_bt.mean(1) - p_bt.min(1)) / np.ptp(p_bt, axis=1)


def cut(p_t: np.ndarray, feet: np.ndarray, samples: int = SAMPLES) -> np.ndarray:
  """Cuts a wave into the beats between successive feet, each without the drift between its ends.

  Args:
    p_t: (time,) a wave.
    feet: (beat + 1,) increasing indices.
    samples: samples per period of the result.

  Returns:
    (beat, samples).
  """
  turn = np.arange(samples) / samples
  beats_without_drift = [windows.without_drift(p_t[a:b]) for a, b in itertools.pairwise(feet)]
  rows = [
    np.interp(turn * len(beat), np.arange(len(beat) + 1), np.append(beat, beat[0])) for beat in beats_without_drift
  ]
  return np.array(rows).reshape(-1, samples)


def of_wave(p_t: np.ndarray, fs_hz: float, peripheral_t: np.ndarray | None = None) -> Indices:
  """Computes the indices of each beat of an aortic wave, from its first foot to its last.

  Args:
    p_t: (time,) aortic pressure without gaps [mmHg]; with fewer than two feet the result has no beats.
    fs_hz: sampling rate [Hz].
    peripheral_t: (time,) pressure at the arm on the same clock.

  Returns:
    The indices of each whole beat, by name.
  """
  feet = beats.find_feet(p_t, fs_hz)
  outside = None if peripheral_t is None else cut(peripheral_t, feet)
  return of_beats(cut(p_t, feet), np.diff(feet) / fs_hz, outside)


def of_beats(
  p_bt: np.ndarray, period_b: np.ndarray, peripheral_bt: np.ndarray | None = None, q_bt: np.ndarray | None = None
) -> Indices:
  """Returns all indices of beats by name, and why one is undefined.

  Args:
    p_bt: (beat, time) aortic pressure [mmHg], one period each, with any starting point.
    period_b: (beat,) [s].
    peripheral_bt: the same beats at the arm.
    q_bt: their aortic flow [ml/s].
  """
  p_bt, period_b = np.asarray(p_bt, dtype=float), np.asarray(period_b, dtype=float)
  if not len(p_bt):
    return _none()
  arch = np.sin(2 * np.pi * np.arange(p_bt.shape[1]) / p_bt.shape[1])
  pulsates, timed = _moves(p_bt, _LEAST_PULSE_MMHG), np.isfinite(period_b) & (period_b > 0)
  usable = pulsates & timed & ~_several(p_bt)
  # an arch in place of unusable beats avoids warnings of the arithmetic
  p_bt, period_b = np.where(usable[:, None], p_bt, 80 + 20 * arch), np.where(timed, period_b, 1.0)
  if q_bt is None:
    flows = np.zeros(len(p_bt), dtype=bool)
  else:
    q_bt = np.asarray(q_bt, dtype=float)
    flows = _moves(q_bt) & (q_bt.mean(1) > 0)
    q_bt = np.where(flows[:, None], q_bt, 400 * np.maximum(arch, 0.0))
  start_b = np.round(timing.foot_times(p_bt, period_b) / period_b * p_bt.shape[1]).astype(int)
  p_bt = timing.from_sample(p_bt, start_b)
  ejection_b = timing.ejection(p_bt, period_b)
  aug = augmentation.augmentation(p_bt, period_b, ejection_b)
  hr, pulse = 60 / period_b, np.ptp(p_bt, axis=1)
  step_b = period_b / p_bt.shape[1]
  values = {
    "hr": hr,
    "csbp": p_bt.max(1),
    "cdbp": p_bt.min(1),
    "map": p_bt.mean(1),
    "cpp": pulse,
    "amplification": _amplification(peripheral_bt, pulse),
    "p1": aug.p1_mmhg,
    "p2": aug.p2_mmhg,
    "ap": aug.ap_mmhg,
    "aix": aug.aix_percent,
    "aix75": aug.aix_percent - _AIX_PER_BPM * (75 - hr),
    "tr": 1000 * aug.tr_s,
    "form_factor": form_factor(p_bt),
    "ejection": 1000 * ejection_b,
    "sevr": _sevr(p_bt, period_b, ejection_b),
    "dpdt_max": _steepest(p_bt) / step_b,
    "time_to_peak": 1000 * p_bt.argmax(1) * step_b,
    # in a type C beat the inflection follows the peak of pressure, and so that of flow
    **_waves(
      p_bt, period_b, ejection_b, np.where(aug.kind == "C", p_bt.argmax(1) * step_b, aug.at_s), q_bt, flows, start_b
    ),
  }
  missing = (NO_PERIPHERAL if peripheral_bt is None else FLAT_PERIPHERAL), (NO_FLOW if q_bt is None else NO_OUTFLOW)
  absent = _absences(values, ejection_b, aug.kind, flows, *missing)
  unusable = np.where(pulsates, np.where(timed, SEVERAL_BEATS, NO_PERIOD), FLAT)
  reasons = {name: np.where(usable, why, unusable) for name, why in absent.items()}
  clean = {name: np.where(reasons[name] == "", value, np.nan) for name, value in values.items()}
  return Indices(clean, reasons, np.where(usable, aug.kind, ""))


def _none() -> Indices:
  """Returns the indices of no beat."""
  placeholder = of_beats(np.zeros((1, SAMPLES)), np.ones(1))
  values, reasons = (
    {name: value_b[:0] for name, value_b in values_by_index.items()}
    for values_by_index in (placeholder.values, placeholder.reasons)
  )
  return Indices(values, reasons, placeholder.kind[:0])


def _moves(x_bt: np.ndarray, least: float = 0.0) -> np.ndarray:
  """Returns whether a wave is finite and moves by more than `least`, (beat,)."""
  finite = np.isfinite(x_bt).all(1)
  return finite & (np.ptp(np.where(finite[:, None], x_bt, 0.0), axis=1) > least)


def _several(p_bt: np.ndarray) -> np.ndarray:
  """Returns whether a period holds two or three beats, (beat,): its second or third harmonic then dwarfs the first."""
  first, *others = np.abs(np.fft.rfft(np.where(np.isfinite(p_bt), p_bt, 0.0), axis=1))[:, 1:4].T
  return first < _SEVERAL * np.max(others, axis=0)


def _steepest(p_bt: np.ndarray) -> np.ndarray:
  """Returns the largest step between two samples of the rise of beats that start at their feet, (beat,)."""
  rise = np.arange(p_bt.shape[1] - 1)[None, :] < np.maximum(p_bt.argmax(1), 1)[:, None]
  return np.where(rise, np.diff(p_bt, axis=1), -np.inf).max(1)


def _amplification(peripheral_bt: np.ndarray | None, pulse_b: np.ndarray) -> np.ndarray:
  """Returns peripheral over central pulse pressure, (beat,)."""
  if peripheral_bt is None:
    return np.full(len(pulse_b), np.nan)
  outside_bt = np.asarray(peripheral_bt, dtype=float)
  pulsates = _moves(outside_bt, _LEAST_PULSE_MMHG)
  return np.where(pulsates, np.ptp(np.where(pulsates[:, None], outside_bt, 0.0), axis=1) / pulse_b, np.nan)


def _sevr(p_bt: np.ndarray, period_b: np.ndarray, ejection_b: np.ndarray) -> np.ndarray:
  """Returns the diastolic over the systolic pressure–time area [%], (beat,), of pressures above zero."""
  share_bt = np.arange(p_bt.shape[1])[None, :] / p_bt.shape[1]
  systole = share_bt < (ejection_b / period_b)[:, None]
  area = np.where(systole, p_bt, 0).sum(1)
  defined = np.isfinite(ejection_b) & (p_bt.min(1) > 0)
  return np.where(defined, 100 * (p_bt.sum(1) - area) / np.where(defined, area, 1.0), np.nan)


def _waves(
  p_bt: np.ndarray, period_b: np.ndarray, ejection_b: np.ndarray, bend_s: np.ndarray, q_bt: np.ndarray | None,
  flows: np.ndarray, start_b: np.ndarray,
) -> dict[str, np.ndarray]:  # fmt: skip
  """Computes wave separation, reservoir and Windkessels."""
  nan_b, absolute = np.full(len(p_bt), np.nan), p_bt.min(1) > 0
  if q_bt is None:
    separable = (bend_s > 0) & (bend_s < ejection_b)
    rise, end = np.where(separable, bend_s, 0.1), np.where(separable, ejection_b, 0.3)
    separated = wave_separation.separate(p_bt, wave_separation.triangle(rise, end, period_b, p_bt.shape[1]))
    flow = None
  else:
    separable, flow = flows, timing.from_sample(q_bt, start_b)
    separated = wave_separation.separate(p_bt, flow)
  reservoirs = reservoir.separate(p_bt, period_b, ejection_b)
  two, three = (
    windkessel.Windkessel(*(nan_b,) * 4)
    if flow is None
    else windkessel.Windkessel(
      *(np.where(flows, value, np.nan) for value in windkessel.fit(p_bt, flow, period_b, elements))
    )
    for elements in (2, 3)
  )
  named_values = zip(
    ("forward", "backward", "rm", "ri"),
    (separated.forward_mmhg, separated.backward_mmhg, separated.rm, separated.ri),
    strict=True,
  )
  return {
    **{name: np.where(separable, value, np.nan) for name, value in named_values},
    "reservoir": reservoirs.peak_mmhg,
    "excess": reservoirs.excess_mmhg,
    "excess_integral": reservoirs.excess_mmhg_s,
    "systolic_rate": reservoirs.systolic_rate,
    "diastolic_rate": reservoirs.diastolic_rate,
    "asymptote": reservoirs.asymptote_mmhg,
    "r": nan_b
    if flow is None
    else np.where(flows & absolute, p_bt.mean(1) / np.where(flows, flow.mean(1), 1.0), np.nan),
    "c2": two.c,
    "c3": three.c,
    "zc3": three.zc,
  }


_NEEDS_INFLECTION = ("p1", "p2", "ap", "aix", "aix75", "tr")
_SEPARATED = ("forward", "backward", "rm", "ri")
_STORED = ("reservoir", "excess", "excess_integral", "systolic_rate", "diastolic_rate", "asymptote")
_FLOWING = ("c2", "c3", "zc3")


def _absences(
  values: Mapping[str, np.ndarray], ejection_b: np.ndarray, kind: np.ndarray, flows: np.ndarray, no_peripheral: str,
  no_flow: str,
) -> dict[str, np.ndarray]:  # fmt: skip
  """Returns why each value is NaN."""
  no_incisura = np.where(np.isfinite(ejection_b), "", NO_INCISURA)
  no_inflection = np.where(no_incisura != "", no_incisura, NO_INFLECTION)
  not_separated = np.where(np.isnan(values["tr"]), no_inflection, STRAY_INFLECTION)
  reasons = {name: np.full(len(ejection_b), "", dtype=object) for name in values}
  for names, why in (
    (("ejection",), no_incisura),
    (("sevr",), np.where(no_incisura != "", no_incisura, NOT_ABSOLUTE)),
    (("r",), np.where(flows, NOT_ABSOLUTE, no_flow)),
    (_NEEDS_INFLECTION, no_inflection),
    # a triangle replaces missing flow
    (_SEPARATED, not_separated if no_flow == NO_FLOW else np.full(len(flows), no_flow)),
    (_STORED, np.where(no_incisura != "", no_incisura, NO_EXPONENTIAL)),
    (_FLOWING, np.where(flows, NO_WINDKESSEL, no_flow)),
    (("amplification",), np.full(len(flows), no_peripheral)),
  ):
    for name in names:
      reasons[name] = np.where(np.isnan(values[name]), why, "")
  return {name: why.astype(str) for name, why in reasons.items()}
