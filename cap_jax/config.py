"""Every default, once. Frozen dataclasses, plain values: they travel in checkpoints and hash as static arguments."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Rhythm:
  """Beat-to-beat life of a record. Sizes are choices of the project, not citations.

  rr_breathing, rr_slow: relative swing of the RR interval with respiration and at 0.1 Hz.
  sv_breathing, sv_noise: relative swing and scatter of the stroke volume.
  pressure_swing_mmhg: respiration in all pressures together.
  """

  breathing_min_hz: float = 0.2
  breathing_max_hz: float = 0.3
  rr_breathing: float = 0.03
  rr_slow: float = 0.02
  sv_breathing: float = 0.06
  sv_noise: float = 0.01
  pressure_swing_mmhg: float = 2.0


@dataclasses.dataclass(frozen=True)
class Population:
  """A population of virtual subjects: ages are uniform, `spread` scales all standard deviations (z within ±2)."""

  age_min: float = 25.0
  age_max: float = 75.0
  spread: float = 0.8
  map_shift_mmhg: float = 0.0
  map_sd_mmhg: float = 7.5
  pwv_shift_sd: float = 0.0
  compliance_shift_sd: float = 0.0
