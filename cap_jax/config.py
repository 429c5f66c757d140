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


@dataclasses.dataclass(frozen=True)
class Device:
  """What measures the peripheral wave: a fluid-filled line (none if `natural_hz` is None) and white noise."""

  natural_hz: float | None = None
  damping: float = 0.2
  noise_mmhg: float = 0.5


@dataclasses.dataclass(frozen=True)
class Clinic:
  """A place where waves are recorded: whom it sees, with what device, for how long.

  Attributes:
    name: prefix of its subjects' names; two clinics never share one.
    subjects: how many.
    seconds: of record per subject.
  """

  name: str
  subjects: int
  seconds: float
  population: Population = Population()
  device: Device = Device()
  rhythm: Rhythm = Rhythm()
  fs_hz: float = 125.0
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class Windows:
  """Windows of a recording: length and hop; `margin_s` at each end counts in no error."""

  fs_hz: float = 125.0
  seconds: float = 4.0
  hop_s: float = 1.0
  margin_s: float = 0.25

  @property
  def samples(self) -> int:
    return round(self.seconds * self.fs_hz)

  @property
  def hop(self) -> int:
    return round(self.hop_s * self.fs_hz)

  @property
  def margin(self) -> int:
    return round(self.margin_s * self.fs_hz)


@dataclasses.dataclass(frozen=True)
class Model:
  """The network. `extractor` names f in `models.EXTRACTORS`, `head` names r in `models.HEADS`.

  patch: samples per token; the window is a whole number of patches.
  cosines: of the basis in which the head writes a wave, per two patches.
  """

  extractor: str = "token_cnn"
  head: str = "waveform"
  patch: int = 10
  channels: int = 64
  layers: int = 4
  kernel: int = 3
  head_channels: int = 64
  cosines: int = 8


@dataclasses.dataclass(frozen=True)
class Training:
  """Optimisation: AdamW, linear warm-up over a share of the steps, then a cosine to zero."""

  steps: int = 3000
  batch: int = 32
  learning_rate: float = 1e-2
  weight_decay: float = 1e-4
  warmup: float = 0.05
  clip: float = 1.0
  seed: int = 0


HEALTHY = Population()
ELDERLY_HYPERTENSIVE = Population(
  age_min=60.0, age_max=80.0, map_shift_mmhg=12.0, pwv_shift_sd=0.56, compliance_shift_sd=-0.4
)
# one fluid-filled line for the whole clinic, under-damped as such lines are
FLUID_LINE = Device(natural_hz=9.0, damping=0.2)

# Who is at the target clinic, and what measures there. The source is healthy people and an ideal transducer.
SCENARIOS: dict[str, tuple[Population, Device]] = {
  "population": (ELDERLY_HYPERTENSIVE, Device()),
  "device": (HEALTHY, FLUID_LINE),
  "device_population": (ELDERLY_HYPERTENSIVE, FLUID_LINE),
}


@dataclasses.dataclass(frozen=True)
class Study:
  """A comparison of methods: a source cohort, a target clinic, few labelled target subjects.

  Attributes:
    scenario: name in `SCENARIOS`.
    site: the peripheral site.
    n_target: numbers of labelled target subjects.
    seeds: each draws its own labelled subjects and initial parameters.
    source_subjects, source_seconds: size of the source cohort, without `validation_subjects`.
    labelled_subjects: pool from which the labelled ones are drawn; the largest `n_target` at least.
    validation_subjects: of source and of target, for the choice of hyper-parameters.
    test_subjects: of the target.
    target_seconds: of record per target subject.
  """

  scenario: str = "device_population"
  site: str = "radial"
  n_target: tuple[int, ...] = (1, 5, 20)
  seeds: tuple[int, ...] = (0, 1)
  source_subjects: int = 1200
  source_seconds: float = 16.0
  labelled_subjects: int = 40
  validation_subjects: int = 16
  test_subjects: int = 60
  target_seconds: float = 60.0
  model: Model = Model()
  windows: Windows = Windows()
  pretrain: Training = Training(learning_rate=2e-2)
  scratch: Training = Training(steps=1000, learning_rate=1e-2, weight_decay=1e-4)
  transfer: Training = Training(steps=1000, learning_rate=5e-3, weight_decay=0.1)
  cohort_seed: int = 2024
