"""What the values of a clinic may be."""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

from cap_jax import clinics
from cap_jax.types import InputError

_ANY = (-1e6, 1e6)
_RATE = (0.0, 60.0)  # a minute
# What each value may be; a range within the bounds, rising, where the value is one.
_LIMITS: Mapping[type, Mapping[str, clinics.Range]] = {
  clinics.Rhythm: {
    "breathing_min_hz": (0.02, 1.0),
    "breathing_max_hz": (0.02, 1.0),
    "rr_low_sd": (0.0, 0.2),
    "rr_high_sd": (0.0, 0.2),
    "sv_breathing": (0.0, 0.5),
    "sv_noise": (0.0, 0.3),
    "pressure_swing_mmhg": (0.0, 30.0),
    "ectopic_share": (0.0, 0.14),
    "ectopic_coupling": (0.4, 1.0),
    "ectopic_sv": (0.05, 1.0),
    "potentiated_sv": (0.5, 2.0),
  },
  clinics.Population: {
    "age_min": (18.0, 100.0),
    "age_max": (18.0, 100.0),
    "spread": (0.0, 2.0),
    "map_shift_mmhg": (-100.0, 100.0),
    "map_sd_mmhg": (0.0, 50.0),
    "pwv_shift_sd": (-5.0, 5.0),
    "compliance_shift_sd": (-5.0, 5.0),
    "hr_shift_bpm": (-100.0, 150.0),
    "sv_scale": (0.1, 5.0),
    "vasodilated_share": (0.0, 1.0),
    "fall_exponent_sd": (0.0, 1.0),
    "reflection": (-0.5, 0.65),
    "reflection_sd": (0.0, 0.3),
    "viscosity_log_sd": (0.0, 1.0),
    "womersley_min": (0.0, 1.0),
    "operating_sd_mmhg": (0.0, 20.0),
    "taper_sd": (0.0, 0.25),
    "steepening_max": (0.0, 3.0),
  },
  clinics.Cuff: {
    "sbp_bias_mmhg": (-50.0, 50.0),
    "sbp_sd_mmhg": (0.0, 50.0),
    "dbp_bias_mmhg": (-50.0, 50.0),
    "dbp_sd_mmhg": (0.0, 50.0),
  },
  clinics.Device: {
    "natural_hz": (1.0, 1000.0),
    "damping": (0.01, 10.0),
    "pole_hz": (0.1, 1000.0),
    "gain": (0.1, 10.0),
    "zero": _ANY,
    "delay_s": (-5.0, 5.0),
    "noise": (0.0, 1e3),
    "jitter_s": (0.0, 0.1),
    "drift": (0.0, 1e3),
    "motion": (0.0, 1e3),
    "motion_per_min": _RATE,
    "flush_per_min": _RATE,
    "damped_per_min": _RATE,
    "pauses_per_min": _RATE,
    "dropped_per_min": _RATE,
    "bits": (0, 32),
    "span": _ANY,
  },
  clinics.Clinic: {
    "subjects": (1, 10_000_000),
    "seconds": (4.0, 86_400.0),
    "fs_hz": (10.0, 20_000.0),
    "seed": (0, 2**32 - 1),
  },
}


def check(spec: Any) -> None:
  """Checks a clinic, population, rhythm, device or cuff, and what it is made of.

  Raises:
    InputError: a value is no number or outside its range; names it and the range.
  """
  for field in dataclasses.fields(spec):
    value = getattr(spec, field.name)
    if type(value) in _LIMITS:
      check(value)
    elif field.name in _LIMITS[type(spec)] and value is not None:
      low, high = _LIMITS[type(spec)][field.name]
      values = value if isinstance(value, tuple) else (value,)
      rising = all(a <= b for a, b in itertools.pairwise(values))
      if not rising or not all(math.isfinite(v) and low <= v <= high for v in values):
        kind = "must rise within" if len(values) > 1 else "must be"
        raise InputError(f"{type(spec).__name__}.{field.name}={value}: {kind} {low:g} to {high:g}")
  if isinstance(spec, clinics.Population) and spec.age_min >= spec.age_max:
    raise InputError(f"Population.age_min={spec.age_min}: must be less than age_max={spec.age_max}")
  if isinstance(spec, clinics.Rhythm) and spec.breathing_min_hz > spec.breathing_max_hz:
    raise InputError(f"Rhythm.breathing_min_hz={spec.breathing_min_hz}: must be at most {spec.breathing_max_hz}")
  if isinstance(spec, clinics.Device) and spec.scope not in ("device", "subject"):
    raise InputError(f"Device.scope={spec.scope}: must be device or subject")
