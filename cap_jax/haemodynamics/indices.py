"""Haemodynamic indices of aortic waves, batched over beats; what is undefined is NaN, with its reason.

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
NO_EXPONENTIAL, NO_WINDKESSEL = "diastole falls on no exponential", "no Windkessel fits"
SEVERAL_BEATS, NOT_ABSOLUTE = "several beats in one, faster than 200 a minute", "the pressure is not above zero"
_SEVERAL = 0.5  # of a later harmonic (a choice; in aortic beats of people the first is the largest)
_LEAST_PULSE_MMHG = 1.0  # less is the noise of a flat line
_AIX_PER_BPM = 0.39


@dataclasses.dataclass(frozen=True)
class Indices:
  """values: index → (beat,), keys and units in `UNITS`. reasons: index → (beat,) why a value is NaN, "" where it is not.
  kind: (beat,) Murgo's type."""

  values: Mapping[str, np.ndarray]
  reasons: Mapping[str, np.ndarray]
  kind: np.ndarray


def ending(index: str) -> str:
  """Of the columns of an index in files: its unit."""
  return _ENDINGS[UNITS[index]]


def form_factor(p_bt: np.ndarray) -> np.ndarray:
  """(MAP − DBP)/PP of (beat, time) waves."""
  return (p_bt.mean(1) - p_bt.min(1)) / np.ptp(p_bt, axis=1)


def cut(p_t: np.ndarray, feet: np.ndarray, samples: int = SAMPLES) -> np.ndarray:
  """(beat, samples) the beats between successive feet, each without the drift between its ends and at `samples` a period."""
  turn = np.arange(samples) / samples
  found = [windows.closed(p_t[a:b]) for a, b in itertools.pairwise(feet)]
  rows = [np.interp(turn * len(beat), np.arange(len(beat) + 1), np.append(beat, beat[0])) for beat in found]
  return np.array(rows).reshape(-1, samples)


def of_wave(p_t: np.ndarray, fs_hz: float, peripheral_t: np.ndarray | None = None) -> Indices:
  """Indices of each beat of an aortic wave without gaps, (time,) [mmHg], from its first foot to its last; of none if it has fewer
  than two."""
  feet = beats.find_feet(p_t, fs_hz)
  outside = None if peripheral_t is None else cut(peripheral_t, feet)
  return of_beats(cut(p_t, feet), np.diff(feet) / fs_hz, outside)


def of_beats(
  p_bt: np.ndarray, period_b: np.ndarray, peripheral_bt: np.ndarray | None = None, q_bt: np.ndarray | None = None
) -> Indices:
  """All indices.

  Args:
    p_bt: (beat, time) aortic pressure [mmHg], one period each, beginning anywhere.
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
  # an arch in place of what cannot be used keeps the arithmetic quiet
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
  found = augmentation.augmentation(p_bt, period_b, ejection_b)
  hr, pulse = 60 / period_b, np.ptp(p_bt, axis=1)
  step_b = period_b / p_bt.shape[1]
  values = {
    "hr": hr,
    "csbp": p_bt.max(1),
    "cdbp": p_bt.min(1),
    "map": p_bt.mean(1),
    "cpp": pulse,
    "amplification": _amplification(peripheral_bt, pulse),
    "p1": found.p1_mmhg,
    "p2": found.p2_mmhg,
    "ap": found.ap_mmhg,
    "aix": found.aix_percent,
    "aix75": found.aix_percent - _AIX_PER_BPM * (75 - hr),
    "tr": 1000 * found.tr_s,
    "form_factor": form_factor(p_bt),
    "ejection": 1000 * ejection_b,
    "sevr": _sevr(p_bt, period_b, ejection_b),
    "dpdt_max": _steepest(p_bt) / step_b,
    "time_to_peak": 1000 * p_bt.argmax(1) * step_b,
    # of a type C beat the inflection follows the peak of pressure, and so that of flow
    **_waves(
      p_bt, period_b, ejection_b, np.where(found.kind == "C", p_bt.argmax(1) * step_b, found.at_s), q_bt, flows, start_b
    ),
  }
  without = (NO_PERIPHERAL if peripheral_bt is None else FLAT_PERIPHERAL), (NO_FLOW if q_bt is None else NO_OUTFLOW)
  absent = _absences(values, ejection_b, found.kind, flows, *without)
  unusable = np.where(pulsates, np.where(timed, SEVERAL_BEATS, NO_PERIOD), FLAT)
  reasons = {name: np.where(usable, why, unusable) for name, why in absent.items()}
  clean = {name: np.where(reasons[name] == "", value, np.nan) for name, value in values.items()}
  return Indices(clean, reasons, np.where(usable, found.kind, ""))


def _none() -> Indices:
  """Of no beat."""
  one = of_beats(np.zeros((1, SAMPLES)), np.ones(1))
  values, reasons = ({name: part[:0] for name, part in whole.items()} for whole in (one.values, one.reasons))
  return Indices(values, reasons, one.kind[:0])


def _moves(x_bt: np.ndarray, least: float = 0.0) -> np.ndarray:
  """(beat,) whether a wave is finite and moves by more than `least`."""
  finite = np.isfinite(x_bt).all(1)
  return finite & (np.ptp(np.where(finite[:, None], x_bt, 0.0), axis=1) > least)


def _several(p_bt: np.ndarray) -> np.ndarray:
  """(beat,) whether a period holds two or three beats, so that its first harmonic is next to nothing beside its second or third."""
  first, *others = np.abs(np.fft.rfft(np.where(np.isfinite(p_bt), p_bt, 0.0), axis=1))[:, 1:4].T
  return first < _SEVERAL * np.max(others, axis=0)


def _steepest(p_bt: np.ndarray) -> np.ndarray:
  """(beat,) largest step between two samples of the rise of beats that start at their feet."""
  rise = np.arange(p_bt.shape[1] - 1)[None, :] < np.maximum(p_bt.argmax(1), 1)[:, None]
  return np.where(rise, np.diff(p_bt, axis=1), -np.inf).max(1)


def _amplification(peripheral_bt: np.ndarray | None, pulse_b: np.ndarray) -> np.ndarray:
  """Peripheral over central pulse pressure."""
  if peripheral_bt is None:
    return np.full(len(pulse_b), np.nan)
  outside_bt = np.asarray(peripheral_bt, dtype=float)
  known = _moves(outside_bt, _LEAST_PULSE_MMHG)
  return np.where(known, np.ptp(np.where(known[:, None], outside_bt, 0.0), axis=1) / pulse_b, np.nan)


def _sevr(p_bt: np.ndarray, period_b: np.ndarray, ejection_b: np.ndarray) -> np.ndarray:
  """Diastolic over systolic pressure–time area [%], of pressures above zero."""
  share_bt = np.arange(p_bt.shape[1])[None, :] / p_bt.shape[1]
  systole = share_bt < (ejection_b / period_b)[:, None]
  area = np.where(systole, p_bt, 0).sum(1)
  known = np.isfinite(ejection_b) & (p_bt.min(1) > 0)
  return np.where(known, 100 * (p_bt.sum(1) - area) / np.where(known, area, 1.0), np.nan)


def _waves(
  p_bt: np.ndarray, period_b: np.ndarray, ejection_b: np.ndarray, bend_s: np.ndarray, q_bt: np.ndarray | None,
  flows: np.ndarray, start_b: np.ndarray,
) -> dict[str, np.ndarray]:  # fmt: skip
  """Wave separation, reservoir and Windkessels."""
  nothing, absolute = np.full(len(p_bt), np.nan), p_bt.min(1) > 0
  if q_bt is None:
    known = (bend_s > 0) & (bend_s < ejection_b)
    rise, end = np.where(known, bend_s, 0.1), np.where(known, ejection_b, 0.3)
    parts = wave_separation.separate(p_bt, wave_separation.triangle(rise, end, period_b, p_bt.shape[1]))
    flow = None
  else:
    known, flow = flows, timing.from_sample(q_bt, start_b)
    parts = wave_separation.separate(p_bt, flow)
  stored = reservoir.separate(p_bt, period_b, ejection_b)
  two, three = (
    windkessel.Windkessel(*(nothing,) * 4)
    if flow is None
    else windkessel.Windkessel(
      *(np.where(flows, part, np.nan) for part in windkessel.fit(p_bt, flow, period_b, elements))
    )
    for elements in (2, 3)
  )
  apart = zip(
    ("forward", "backward", "rm", "ri"), (parts.forward_mmhg, parts.backward_mmhg, parts.rm, parts.ri), strict=True
  )
  return {
    **{name: np.where(known, value, np.nan) for name, value in apart},
    "reservoir": stored.peak_mmhg,
    "excess": stored.excess_mmhg,
    "excess_integral": stored.excess_mmhg_s,
    "systolic_rate": stored.systolic_rate,
    "diastolic_rate": stored.diastolic_rate,
    "asymptote": stored.asymptote_mmhg,
    "r": nothing
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
  """Why each value is NaN."""
  shut = np.where(np.isfinite(ejection_b), "", NO_INCISURA)
  bent = np.where(shut != "", shut, NO_INFLECTION)
  unparted = np.where(np.isnan(values["tr"]), bent, STRAY_INFLECTION)
  found = {name: np.full(len(ejection_b), "", dtype=object) for name in values}
  for names, why in (
    (("ejection",), shut),
    (("sevr",), np.where(shut != "", shut, NOT_ABSOLUTE)),
    (("r",), np.where(flows, NOT_ABSOLUTE, no_flow)),
    (_NEEDS_INFLECTION, bent),
    (_SEPARATED, unparted if no_flow == NO_FLOW else np.full(len(flows), no_flow)),  # a triangle stands for no flow
    (_STORED, np.where(shut != "", shut, NO_EXPONENTIAL)),
    (_FLOWING, np.where(flows, NO_WINDKESSEL, no_flow)),
    (("amplification",), np.full(len(flows), no_peripheral)),
  ):
    for name in names:
      found[name] = np.where(np.isnan(values[name]), why, "")
  return {name: why.astype(str) for name, why in found.items()}
