"""Every default, once. Frozen dataclasses, plain values: they travel in checkpoints and hash as static arguments."""

import dataclasses


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


@dataclasses.dataclass(frozen=True)
class Study:
  """A comparison of methods: a source cohort, a target clinic, few labelled target subjects.

  Attributes:
    scenario: name in `clinics.SCENARIOS`.
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
  scratch: Training = Training(steps=1000, learning_rate=5e-3, weight_decay=1e-2)
  transfer: Training = Training(steps=1000, learning_rate=1e-2, weight_decay=0.1)
  cohort_seed: int = 2024
